//! The value of an out-of-the-money option in units of the smaller of forward and strike.
//!
//! With forward `F`, strike `K`, total standard deviation `s = σ√T`, `x = -|ln(F/K)|`, `h = x/s`, `t = s/2`, the
//! undiscounted value is `min(F, K) · v`, where `d1 = h + t`, `d2 = h - t`, and
//!
//! `v = Φ(d1) - exp(-x) Φ(d2) = φ(d1) D(h, t)`, `D = Y(d1) - Y(d2)`, `Y(d) = Φ(d)/φ(d) = M(-d)`,
//!
//! with Mills' ratio `M`: the scaled form of P. Jäckel, "Let's Be Rational", Wilmott 2015. `D` is `s` times the slope of `M`
//! between `-d1` and `-d2`, which [`Pair`] gives without cancellation. Where `d1 > 0.5` the value is taken from above,
//! `v = 1 - φ(d1) (M(d1) + M(-d2))`.
use crate::math::{exp, select};
use crate::mills::Pair;
use crate::normal::INV_SQRT_TWO_PI;

/// `d1` above which the value is taken from above; less than minus the least argument of `M`.
const HIGH: f64 = 0.5;
/// Beyond this nothing changes any more, but powers would overflow.
const FAR: f64 = 1e10;

/// The value and what it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// `h + t`.
    pub d1: f64,
    /// `-d2 = t - h`, not negative.
    pub minus_d2: f64,
    /// `φ(d1)`: the vega of the value, its derivative by `s`.
    pub density: f64,
    /// Whether the value is taken from above.
    pub from_above: bool,
    s: f64,
    ratios: Pair,
}

impl Value {
    /// For `x <= 0`, `s > 0`. NaN gives NaN.
    #[must_use]
    #[inline(always)]
    pub fn new(x: f64, s: f64) -> Self {
        let h = x / s;
        let h = select(h < -FAR, -FAR, h);
        let t = 0.5 * s;
        let (d1, minus_d2) = (h + t, t - h);
        let from_above = d1 > HIGH;
        let s = select(s > FAR, FAR, s);
        let t = 0.5 * s;
        let ratios = Pair::new(select(from_above, t + h, -t - h), t - h, select(from_above, -2.0 * h, s));
        let density = INV_SQRT_TWO_PI * exp(-0.5 * (d1 * d1));
        Self { d1, minus_d2, density, from_above, s, ratios }
    }

    /// `v`, between 0 and 1.
    #[must_use]
    #[inline(always)]
    pub fn value(&self) -> f64 {
        let numerator = select(self.from_above, self.ratios.sum(), self.s * self.ratios.slope());
        let part = self.density * (numerator / self.ratios.denominator());
        select(self.from_above, 1.0 - part, part)
    }

    /// `M(-d1)`; from above `M(d1)`.
    #[must_use]
    #[inline(always)]
    pub fn near(&self) -> f64 {
        self.ratios.first()
    }

    /// `M(-d2)`.
    #[must_use]
    #[inline(always)]
    pub fn far(&self) -> f64 {
        self.ratios.second()
    }
}
