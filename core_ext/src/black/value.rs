//! The value of an out-of-the-money option in units of the smaller of forward and strike.
//!
//! With forward `F`, strike `K`, total standard deviation `s = σ√T`, `x = -|ln(F/K)|`, `h = x/s`, `t = s/2`, the
//! undiscounted value is `min(F, K) · v`, where `d1 = h + t`, `d2 = h - t`, and
//!
//! `v = Φ(d1) - exp(-x) Φ(d2) = φ(d1) D(h, t)`, `D = Y(d1) - Y(d2)`, `Y(d) = Φ(d)/φ(d) = M(-d)`,
//!
//! with Mills' ratio `M`: the scaled form of P. Jäckel, "Let's Be Rational", Wilmott 2015. Three ways to `v`:
//! * `t < 0.4` and `t |h| < 2`: the difference would cancel; it is `2 Σ t^(2j+1) M_(2j+1) / (2j+1)!` with the odd
//!   moments `M_n = ∫ u^n exp(hu - u²/2) du` over `u > 0`, upwards from the first,
//!   `M_(n+2) = (h² + 2n + 1) M_n - n (n-1) M_(n-2)`;
//! * else `d1 <= 0`: `D = M(-d1) - M(-d2)`;
//! * else from above: `v = 1 - φ(d1) (M(d1) + M(-d2))`.
//!
//! All three are computed and one is selected.
use crate::math::{exp, select};
use crate::normal::{INV_SQRT_TWO_PI, first_moment, mills};

/// Half of `s` from which the difference of Mills' ratios is good.
const LARGE_T: f64 = 0.4;
/// `t |h|` from which it is, too: at most `h²/4` of rounding, where a relative error of the value by `h²` moves the
/// volatility by one.
const LARGE_TH: f64 = 2.0;

/// The value and what it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// `h + t`.
    pub d1: f64,
    /// `-d2 = t - h`, not negative.
    pub minus_d2: f64,
    /// `φ(d1)`: the vega of the value, its derivative by `s`.
    pub density: f64,
    /// `M(|d1|)`.
    pub near: f64,
    /// `M(-d2)`.
    pub far: f64,
    /// `D(h, t)`, the value over its vega; meaningless where the value is taken from above.
    pub over_vega: f64,
    /// Whether the value is taken from above.
    pub from_above: bool,
}

impl Value {
    /// For `x <= 0`, `s > 0`. NaN gives NaN.
    #[must_use]
    #[inline(always)]
    pub fn new(x: f64, s: f64) -> Self {
        // Further out nothing changes any more, but squares would overflow.
        let h = x / s;
        let h = select(h < -1e10, -1e10, h);
        let t = 0.5 * s;
        let (d1, minus_d2) = (h + t, t - h);
        let (near, far) = (mills(d1.abs()), mills(minus_d2));
        let by_series = t < LARGE_T && t * h > -LARGE_TH;
        Self {
            d1,
            minus_d2,
            density: INV_SQRT_TWO_PI * exp(-0.5 * (d1 * d1)),
            near,
            far,
            over_vega: select(by_series, series(h, t), near - far),
            from_above: !by_series && d1 > 0.0,
        }
    }

    /// `v`, between 0 and 1.
    #[must_use]
    #[inline(always)]
    pub fn value(&self) -> f64 {
        select(self.from_above, 1.0 - self.gap(), self.density * self.over_vega)
    }

    /// `1 - v` where the value is taken from above, with relative accuracy.
    #[must_use]
    #[inline(always)]
    pub fn gap(&self) -> f64 {
        self.density * (self.near + self.far)
    }
}

/// `2n + 1` and `1 / ((n+1)(n+2))` for the odd `n` from 1 to 17.
const STEPS: [(f64, f64); 9] = [
    (3.0, 1.0 / 6.0),
    (7.0, 1.0 / 20.0),
    (11.0, 1.0 / 42.0),
    (15.0, 1.0 / 72.0),
    (19.0, 1.0 / 110.0),
    (23.0, 1.0 / 156.0),
    (27.0, 1.0 / 210.0),
    (31.0, 1.0 / 272.0),
    (35.0, 1.0 / 342.0),
];

/// `D(h, t)` as the series of odd moments; ten terms leave less than 1e-17 of it.
#[inline(always)]
fn series(h: f64, t: f64) -> f64 {
    let (hh, tt) = (h * h, t * t);
    let mut before = 1.0;
    let mut term = first_moment(-h);
    let mut sum = term;
    for (odd, share) in STEPS {
        let next = (tt * share) * ((hh + odd) * term - before);
        before = tt * term;
        term = next;
        sum += term;
    }
    2.0 * t * sum
}
