//! Implied volatility: the inverse of Black-76, after P. Jäckel, "Let's Be Rational", Wilmott 2015.
//!
//! A price is turned into the normalised value of the out-of-the-money option at the same strike. A rational
//! interpolation on one of four branches gives the first guess of the total standard deviation; Householder
//! steps of fourth order, on an objective that is nearly linear on the branch, finish it, usually two. Every step
//! is kept inside a shrinking bracket, so the search always ends.
use crate::black::{
    Expiry, bound_gap_over_vega, is_level, log_moneyness, normalised_vega, value_over_vega,
};
use crate::math::{exp, ln};
use crate::normal::{SQRT_TWO_PI, cdf, inverse_cdf, mills};

/// `ln √(2π)`.
const LN_SQRT_TWO_PI: f64 = 0.9189385332046728;
const SQRT_THREE: f64 = 1.7320508075688772;
const TWO_PI: f64 = std::f64::consts::TAU;
/// A value within this many units of rounding of a bound tells nothing about the volatility.
const NOISE: f64 = 64.0 * f64::EPSILON;
/// A relative step below this leaves an error far below rounding: the steps are of fourth order.
const CONVERGED: f64 = 1e-6;
const MAX_STEPS: usize = 64;

/// What became of one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The volatility reproduces the price.
    Converged = 0,
    /// There is no price.
    NoPrice = 1,
    /// The price is below the discounted intrinsic value.
    BelowIntrinsic = 2,
    /// The price is at or above what infinite volatility gives.
    AboveMaximum = 3,
    /// The price is so near one of these bounds that its digits do not determine a volatility.
    NotEnoughPrecision = 4,
    /// The time to expiry is not a finite positive number.
    NoTime = 5,
    /// The forward is not a finite positive number.
    NoForward = 6,
    /// The strike is not a finite positive number, or the rate gives no discount factor.
    InvalidInput = 7,
}

/// The inverse at one strike; sides and prices share its expansions.
#[derive(Debug, Clone)]
pub struct Inverter {
    forward: f64,
    strike: f64,
    root_t: f64,
    discount: f64,
    /// `√(FK)`.
    root: f64,
    /// `-|ln(F/K)|`.
    x: f64,
    /// Upper bound of the normalised value, `exp(x/2)`.
    bound: f64,
    /// Where the normalised value has its inflection.
    centre: Knot,
    /// Where its tangent there meets zero.
    low: Knot,
}

/// A point of the normalised value as a function of `s`.
#[derive(Debug, Clone, Copy)]
struct Knot {
    s: f64,
    value: f64,
    vega: f64,
}

impl Inverter {
    /// The expiry must have no [`common_status`], the strike be finite and positive.
    #[must_use]
    pub fn new(expiry: Expiry, strike: f64) -> Self {
        let forward = expiry.forward;
        let (root_t, discount) = (expiry.root_t(), expiry.discount());
        let x = -log_moneyness(forward, strike).abs();
        let bound = (forward.min(strike) / forward.max(strike)).sqrt();
        let half = (-0.5 * x).sqrt();
        let vega = normalised_vega(half, half);
        let ratio = value_over_vega(-half, half);
        let centre = Knot {
            s: 2.0 * half,
            value: vega * ratio,
            vega,
        };
        let low = Knot::at(x, centre.s - ratio, bound);
        Self {
            forward,
            strike,
            root_t,
            discount,
            root: forward.sqrt() * strike.sqrt(),
            x,
            bound,
            centre,
            low,
        }
    }

    /// Volatility per √year of one discounted price, NaN unless converged.
    #[must_use]
    pub fn solve(&self, price: f64, is_call: bool) -> (f64, Status) {
        if price.is_nan() {
            return (f64::NAN, Status::NoPrice);
        }
        let undiscounted = price / self.discount;
        let signed = self.forward - self.strike;
        let intrinsic = if is_call {
            signed.max(0.0)
        } else {
            (-signed).max(0.0)
        };
        let value = undiscounted - intrinsic;
        // Only a subtraction loses digits.
        let noise = if intrinsic > 0.0 {
            NOISE * intrinsic
        } else {
            0.0
        };
        let cap = self.forward.min(self.strike);
        if value < -noise || value.is_nan() {
            return (f64::NAN, Status::BelowIntrinsic);
        }
        if value >= cap {
            return (f64::NAN, Status::AboveMaximum);
        }
        if value <= noise || cap - value <= NOISE * undiscounted.max(cap) {
            return (f64::NAN, Status::NotEnoughPrecision);
        }
        match self.total_sd(value / self.root) {
            Some(s) => (s / self.root_t, Status::Converged),
            None => (f64::NAN, Status::NotEnoughPrecision),
        }
    }

    /// The `s` whose normalised value is `value`, `0 < value < bound`.
    fn total_sd(&self, value: f64) -> Option<f64> {
        if value < self.centre.value {
            let step = LogObjective {
                x: self.x,
                target: ln(value),
            };
            search(self.guess_below(value), 0.0, self.centre.s, |s| step.at(s))
        } else if value < 0.5 * self.bound {
            let step = ValueObjective {
                x: self.x,
                bound: self.bound,
                target: value,
            };
            search(self.guess_above(value), self.centre.s, f64::INFINITY, |s| {
                step.at(s)
            })
        } else {
            let step = GapObjective {
                x: self.x,
                bound: self.bound,
                target: self.bound - value,
            };
            search(self.guess_above(value), self.centre.s, f64::INFINITY, |s| {
                step.at(s)
            })
        }
    }

    /// First guess left of the inflection.
    fn guess_below(&self, value: f64) -> f64 {
        let (low, centre) = (self.low, self.centre);
        if value >= low.value {
            let (d0, d1) = (1.0 / low.vega, 1.0 / centre.vega);
            let chord = (centre.s - low.s) / (centre.value - low.value);
            // The second derivative vanishes at the inflection.
            let r = (d1 - d0) / (d1 - chord);
            return rational_cubic(
                value,
                (low.value, low.s, d0),
                (centre.value, centre.s, d1),
                r,
            );
        }
        // Far left the map is carried to one that is nearly linear: f = 2π|x| Φ(x/(√3 s))³ / (3√3).
        let a = -self.x;
        let z = self.x / (SQRT_THREE * low.s);
        let tail = cdf(z);
        let f = TWO_PI * a / (3.0 * SQRT_THREE) * tail * tail * tail;
        let growth = exp(z * z + 0.125 * low.s * low.s);
        let slope = TWO_PI * z * z * tail * tail * growth;
        let curvature = std::f64::consts::FRAC_PI_6 * z * z / (low.s * low.s * low.s)
            * tail
            * (8.0 * SQRT_THREE * low.s * a
                + (3.0 * low.s * low.s * (low.s * low.s - 8.0) - 8.0 * a * a) * mills(-z))
            * growth
            * growth;
        let r = (0.5 * low.value * curvature + slope - 1.0) / (slope - f / low.value);
        let mapped = rational_cubic(value, (0.0, 0.0, 1.0), (low.value, f, slope), r);
        let mapped = if mapped > 0.0 {
            mapped
        } else {
            let w = value / low.value;
            (f * w + low.value * (1.0 - w)) * w
        };
        let cube = mapped / (TWO_PI * a);
        (self.x / (SQRT_THREE * inverse_cdf(SQRT_THREE * exp(ln(cube) / 3.0)))).abs()
    }

    /// First guess right of the inflection.
    fn guess_above(&self, value: f64) -> f64 {
        let centre = self.centre;
        let high = Knot::at(
            self.x,
            centre.s + (self.bound - centre.value) / centre.vega,
            self.bound,
        );
        if value <= high.value {
            let (d0, d1) = (1.0 / centre.vega, 1.0 / high.vega);
            let chord = (high.s - centre.s) / (high.value - centre.value);
            let r = (d1 - d0) / (chord - d0);
            return rational_cubic(
                value,
                (centre.value, centre.s, d0),
                (high.value, high.s, d1),
                r,
            );
        }
        // Far right f = Φ(-s/2) is nearly linear in the value.
        let h = self.x / high.s;
        let f = cdf(-0.5 * high.s);
        let slope = -0.5 * exp(0.5 * h * h);
        let curvature = 0.5 * SQRT_TWO_PI * exp(h * h + 0.125 * high.s * high.s) * h * h / high.s;
        let width = self.bound - high.value;
        let r = (0.5 * width * curvature - 0.5 - slope) / (-f / width - slope);
        let mapped = rational_cubic(value, (high.value, f, slope), (self.bound, 0.0, -0.5), r);
        let mapped = if mapped > 0.0 {
            mapped
        } else {
            let w = (self.bound - value) / width;
            (f * w + 0.5 * width * (1.0 - w)) * w
        };
        -2.0 * inverse_cdf(mapped)
    }
}

impl Knot {
    fn at(x: f64, s: f64, bound: f64) -> Self {
        let (h, t) = (if x == 0.0 { 0.0 } else { x / s }, 0.5 * s);
        let vega = normalised_vega(h, t);
        Self {
            s,
            value: normalised_value(h, t, vega, bound),
            vega,
        }
    }
}

fn normalised_value(h: f64, t: f64, vega: f64, bound: f64) -> f64 {
    if h + t < 0.85 {
        vega * value_over_vega(h, t)
    } else {
        bound - vega * bound_gap_over_vega(h, t)
    }
}

/// Rational cubic through two points `(x, y, y')` with tension `r` (Delbourgo and Gregory 1985), kept monotone.
fn rational_cubic(x: f64, left: (f64, f64, f64), right: (f64, f64, f64), r: f64) -> f64 {
    let ((x0, y0, d0), (x1, y1, d1)) = (left, right);
    let width = x1 - x0;
    let w = (x - x0) / width;
    let v = 1.0 - w;
    let chord = (y1 - y0) / width;
    let least = if chord == 0.0 {
        0.0
    } else {
        (d0 + d1) / chord - 1.0
    };
    let r = if r.is_finite() {
        r.max(least).max(-1.0 + 1e-8)
    } else {
        1e8
    };
    if r >= 1e8 {
        return y0 * v + y1 * w;
    }
    let top = y1 * w * w * w
        + (r * y1 - width * d1) * w * w * v
        + (r * y0 + width * d0) * w * v * v
        + y0 * v * v * v;
    top / (1.0 + (r - 3.0) * w * v)
}

/// Newton's step and the two ratios `f''/f'`, `f'''/f'` that raise its order to four.
struct Step {
    newton: f64,
    second: f64,
    third: f64,
}

impl Step {
    /// Householder's step of fourth order.
    fn length(&self) -> f64 {
        let n = self.newton;
        n * (1.0 + 0.5 * self.second * n) / (1.0 + n * (self.second + self.third * n / 6.0))
    }
}

/// Second and third derivative of the normalised value by `s` in units of the first.
#[inline]
fn shape(h: f64, s: f64) -> (f64, f64) {
    let second = h * h / s - 0.25 * s;
    (second, second * second - 3.0 * (h / s) * (h / s) - 0.25)
}

/// `1/ln b(s) - 1/ln b*`: nearly linear in `s²` for small values, where `b` is far below any normal number too.
struct LogObjective {
    x: f64,
    target: f64,
}

impl LogObjective {
    fn at(&self, s: f64) -> Step {
        let (h, t) = (self.x / s, 0.5 * s);
        let ratio = value_over_vega(h, t);
        let log = ln(ratio) - 0.5 * (h * h + t * t) - LN_SQRT_TWO_PI;
        let slope = 1.0 / ratio;
        let (second, third) = shape(h, s);
        let inverse = 1.0 / log;
        Step {
            newton: (self.target - log) * log / self.target * ratio,
            second: second - slope * (1.0 + 2.0 * inverse),
            third: third + 2.0 * slope * slope * (1.0 + 3.0 * inverse * (1.0 + inverse))
                - 3.0 * second * slope * (1.0 + 2.0 * inverse),
        }
    }
}

/// `b(s) - b*`.
struct ValueObjective {
    x: f64,
    bound: f64,
    target: f64,
}

impl ValueObjective {
    fn at(&self, s: f64) -> Step {
        let (h, t) = (self.x / s, 0.5 * s);
        let vega = normalised_vega(h, t);
        let (second, third) = shape(h, s);
        Step {
            newton: (self.target - normalised_value(h, t, vega, self.bound)) / vega,
            second,
            third,
        }
    }
}

/// `ln(b_max - b(s)) - ln(b_max - b*)` for values near the upper bound.
struct GapObjective {
    x: f64,
    bound: f64,
    target: f64,
}

impl GapObjective {
    fn at(&self, s: f64) -> Step {
        let (h, t) = (self.x / s, 0.5 * s);
        let vega = normalised_vega(h, t);
        let gap = if h + t < 0.85 {
            self.bound - vega * value_over_vega(h, t)
        } else {
            vega * bound_gap_over_vega(h, t)
        };
        let slope = vega / gap;
        let (second, third) = shape(h, s);
        Step {
            newton: ln(gap / self.target) / slope,
            second: second + slope,
            third: third + slope * (3.0 * second + 2.0 * slope),
        }
    }
}

/// Follows the steps from `guess`, staying between `lo` and `hi`; a step that leaves them is replaced by halving.
fn search(guess: f64, mut lo: f64, mut hi: f64, step: impl Fn(f64) -> Step) -> Option<f64> {
    let middle = |lo: f64, hi: f64| {
        if hi < f64::INFINITY {
            0.5 * (lo + hi)
        } else {
            2.0 * lo + 1.0
        }
    };
    let mut s = if guess > lo && guess < hi {
        guess
    } else {
        middle(lo, hi)
    };
    for _ in 0..MAX_STEPS {
        let step = step(s);
        if step.newton > 0.0 {
            lo = s;
        } else {
            hi = s;
        }
        let length = step.length();
        let next = s + length;
        if length.abs() <= CONVERGED * s {
            return Some(next);
        }
        s = if next > lo && next < hi {
            next
        } else {
            middle(lo, hi)
        };
    }
    None
}

/// Volatilities of the prices of one side: `sigmas[i]` (NaN unless converged) and `statuses[i]` for `strikes[i]`.
pub fn implied_strikes(
    expiry: Expiry,
    strikes: &[f64],
    prices: &[f64],
    is_call: bool,
    sigmas: &mut [f64],
    statuses: &mut [u8],
) {
    let common = common_status(expiry);
    for (i, (&strike, &price)) in strikes.iter().zip(prices).enumerate() {
        let (sigma, status) = match common {
            Some(status) => (f64::NAN, status),
            None if !is_level(strike) => (f64::NAN, Status::InvalidInput),
            None => Inverter::new(expiry, strike).solve(price, is_call),
        };
        sigmas[i] = sigma;
        statuses[i] = status as u8;
    }
}

/// What keeps a whole expiry from having volatilities, if anything does.
#[must_use]
pub fn common_status(expiry: Expiry) -> Option<Status> {
    if !is_level(expiry.t) {
        Some(Status::NoTime)
    } else if !is_level(expiry.forward) {
        Some(Status::NoForward)
    } else if !is_level(expiry.discount()) {
        Some(Status::InvalidInput)
    } else {
        None
    }
}
