//! The normalised value of an out-of-the-money option as a function of the total standard deviation `s`, and its
//! approximate inverse.
use crate::black::{NEAR_BOUND, bound_gap_over_vega, normalised_vega, value_over_vega};
use crate::math::{exp, ln};
use crate::normal_old::{SQRT_TWO_PI, cdf, inverse_cdf, mills};

const SQRT_THREE: f64 = 1.7320508075688772;
const TWO_PI: f64 = std::f64::consts::TAU;

/// The curve at one log-moneyness, with the points its first guesses are built on.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// `-|ln(F/K)|`.
    pub(super) x: f64,
    /// Upper bound of the value, `exp(x/2)`.
    pub(super) bound: f64,
    /// Where the value has its inflection.
    pub(super) centre: Knot,
    /// Where the tangent there meets zero.
    low: Knot,
}

/// A point of the normalised value as a function of `s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knot {
    pub(super) s: f64,
    pub(super) value: f64,
    vega: f64,
}

impl Curve {
    /// `x <= 0`, `bound = exp(x/2)`.
    pub(super) fn new(x: f64, bound: f64) -> Self {
        let half = (-0.5 * x).sqrt();
        let vega = normalised_vega(half, half);
        let ratio = value_over_vega(-half, half);
        let centre = Knot { s: 2.0 * half, value: vega * ratio, vega };
        let low = Knot::at(x, centre.s - ratio, bound);
        Self { x, bound, centre, low }
    }

    /// First guess left of the inflection.
    pub(super) fn guess_below(&self, value: f64) -> f64 {
        let (low, centre) = (self.low, self.centre);
        if value >= low.value {
            let (d0, d1) = (1.0 / low.vega, 1.0 / centre.vega);
            let chord = (centre.s - low.s) / (centre.value - low.value);
            // The second derivative vanishes at the inflection.
            let r = (d1 - d0) / (d1 - chord);
            return rational_cubic(value, (low.value, low.s, d0), (centre.value, centre.s, d1), r);
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
    pub(super) fn guess_above(&self, value: f64) -> f64 {
        let centre = self.centre;
        let high = Knot::at(self.x, centre.s + (self.bound - centre.value) / centre.vega, self.bound);
        if value <= high.value {
            let (d0, d1) = (1.0 / centre.vega, 1.0 / high.vega);
            let chord = (high.s - centre.s) / (high.value - centre.value);
            let r = (d1 - d0) / (chord - d0);
            return rational_cubic(value, (centre.value, centre.s, d0), (high.value, high.s, d1), r);
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
        Self { s, value: normalised_value(h, t, vega, bound), vega }
    }
}

/// The value at `h = x/s`, `t = s/2`.
pub(super) fn normalised_value(h: f64, t: f64, vega: f64, bound: f64) -> f64 {
    if h + t < NEAR_BOUND { vega * value_over_vega(h, t) } else { bound - vega * bound_gap_over_vega(h, t) }
}

/// Rational cubic through two points `(x, y, y')` with tension `r` (Delbourgo and Gregory 1985), kept monotone.
fn rational_cubic(x: f64, left: (f64, f64, f64), right: (f64, f64, f64), r: f64) -> f64 {
    let ((x0, y0, d0), (x1, y1, d1)) = (left, right);
    let width = x1 - x0;
    let w = (x - x0) / width;
    let v = 1.0 - w;
    let chord = (y1 - y0) / width;
    let least = if chord == 0.0 { 0.0 } else { (d0 + d1) / chord - 1.0 };
    let r = if r.is_finite() { r.max(least).max(-1.0 + 1e-8) } else { 1e8 };
    if r >= 1e8 {
        return y0 * v + y1 * w;
    }
    let top = y1 * w * w * w
        + (r * y1 - width * d1) * w * w * v
        + (r * y0 + width * d0) * w * v * v
        + y0 * v * v * v;
    top / (1.0 + (r - 3.0) * w * v)
}
