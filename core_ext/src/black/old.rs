//! Black-76: prices of European options on a forward.
//!
//! With forward `F`, strike `K`, total standard deviation `s = σ√T`, `x = ln(F/K)`, `h = x/s` and `t = s/2`, the
//! undiscounted value of the out-of-the-money option (take `x <= 0`; the other side mirrors) is
//!
//! `√(FK) · v · D(h, t)`, with `v = φ(h) exp(-t²/2)` its normalised vega and `D = Y(h+t) - Y(h-t)`, `Y = Φ/φ`,
//!
//! the scaled form of P. Jäckel, "Let's Be Rational", Wilmott 2015. It keeps relative accuracy down to the
//! smallest numbers; the in-the-money side is intrinsic value plus that.
//!
//! Conventions: `σ` per √year, `T` in years, `r` continuously compounded, prices discounted by `exp(-rT)`.
use crate::math::{exp, ln_ratio};
use crate::normal_old::{INV_SQRT_TWO_PI, mills};

/// `h + t` from which the value is taken from its upper bound downwards.
pub(crate) const NEAR_BOUND: f64 = 0.85;
/// `t` below which the difference `D` is summed as a series in `t²`.
const SMALL_T: f64 = 0.25;
/// `-h` from which the moments of that series come from a continued fraction.
const FAR_H: f64 = 7.0;

/// `ln(F/K)` with relative accuracy also near the money.
#[must_use]
pub fn log_moneyness(forward: f64, strike: f64) -> f64 {
    if is_level(forward) && is_level(strike) { ln_ratio(forward, strike) } else { f64::NAN }
}

/// `D(h, t) = Y(h+t) - Y(h-t)`: the out-of-the-money value in units of its vega, for `h <= 0 < t`, `h + t < 0.85`.
///
/// Relative error below 1e-14 for small `t`, below 3e-14 elsewhere.
#[must_use]
pub fn value_over_vega(h: f64, t: f64) -> f64 {
    if t >= SMALL_T {
        mills(-h - t) - mills(t - h)
    } else if h > -FAR_H {
        series_by_recursion(h, t)
    } else {
        series_by_fraction(h, t)
    }
}

/// `2 Σ t^(2j+1) M_(2j+1) / (2j+1)!` with the moments `M_n = ∫ u^n exp(hu - u²/2) du` over `u > 0`, upwards by
/// `M_(n+1) = h M_n + n M_(n-1)`. All terms are positive.
fn series_by_recursion(h: f64, t: f64) -> f64 {
    let square = t * t;
    let mut even = mills(-h);
    let mut odd = 1.0 + h * even;
    let mut power = t;
    let mut sum = power * odd;
    let mut n = 1.0;
    for _ in 0..8 {
        even = h * odd + n * even;
        odd = h * even + (n + 1.0) * odd;
        power *= square / ((n + 1.0) * (n + 2.0));
        let term = power * odd;
        sum += term;
        if term.abs() <= 1e-17 * sum {
            break;
        }
        n += 2.0;
    }
    2.0 * sum
}

/// The same series where `h <= -7`: the ratios `M_n / M_(n-1) = n / (-h + M_(n+1) / M_n)` downwards (Laplace's
/// continued fraction), the sum nested around them. Nothing cancels.
fn series_by_fraction(h: f64, t: f64) -> f64 {
    const PAIRS: usize = 7;
    let square = t * t;
    let a = -h;
    // Beyond the last pair the ratio is close to the fixed point of the recursion.
    let top = 4.0 * (2 * PAIRS + 2) as f64;
    let mut ratio = 0.5 * ((a * a + top).sqrt() - a);
    let mut nest = 1.0;
    let mut n = (2 * PAIRS + 1) as f64;
    for _ in 0..PAIRS {
        let odd = 1.0 / (a + ratio);
        let even = 1.0 / (a + n * odd);
        nest = 1.0 + square * odd * even * nest;
        ratio = (n - 1.0) * even;
        n -= 2.0;
    }
    let first = 1.0 / (a + ratio);
    2.0 * t * (first / (a + first)) * nest
}

/// The undiscounted out-of-the-money value for `h <= 0`; `root = √(FK)`, `bound = min(F, K)` its upper bound.
#[must_use]
pub fn out_of_the_money(h: f64, t: f64, root: f64, bound: f64) -> f64 {
    let vega = normalised_vega(h, t);
    if h + t < NEAR_BOUND {
        if vega == 0.0 { 0.0 } else { root * vega * value_over_vega(h, t) }
    } else {
        bound - root * vega * bound_gap_over_vega(h, t)
    }
}

/// `φ(h) exp(-t²/2)`: the derivative of the normalised value by `s`.
#[must_use]
#[inline]
pub fn normalised_vega(h: f64, t: f64) -> f64 {
    INV_SQRT_TWO_PI * exp(-0.5 * (h * h + t * t))
}

/// How far the normalised value is below its upper bound, in units of its vega.
#[must_use]
pub fn bound_gap_over_vega(h: f64, t: f64) -> f64 {
    mills(h + t) + mills(t - h)
}

/// Whether a number can be a forward or a strike.
#[must_use]
#[inline]
pub fn is_level(value: f64) -> bool {
    value > 0.0 && value < f64::INFINITY
}

/// Call and put price for forward `F`, strike `K`, total standard deviation `s` and discount factor.
///
/// `s = 0` gives the discounted intrinsic values, infinite `s` their upper bounds. Both are NaN where `F` or `K` is
/// not a finite positive number, `s` is negative or NaN, or the discount is not a finite positive number.
#[must_use]
pub fn prices(forward: f64, strike: f64, s: f64, discount: f64) -> (f64, f64) {
    if !(is_level(forward) && is_level(strike) && is_level(discount) && s >= 0.0) {
        return (f64::NAN, f64::NAN);
    }
    let bound = forward.min(strike);
    let value = if s == 0.0 {
        0.0
    } else if s == f64::INFINITY {
        bound
    } else {
        let h = -log_moneyness(forward, strike).abs() / s;
        out_of_the_money(h, 0.5 * s, forward.sqrt() * strike.sqrt(), bound)
    };
    let forward_value = forward - strike;
    if forward_value > 0.0 {
        (discount * (forward_value + value), discount * value)
    } else {
        (discount * value, discount * (value - forward_value))
    }
}

/// What all options of one expiry share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expiry {
    /// Forward `F` for the expiry instant.
    pub forward: f64,
    /// Years to the expiry instant.
    pub t: f64,
    /// Continuously compounded rate.
    pub rate: f64,
}

impl Expiry {
    /// `√T`; NaN where `T` is negative, infinite or NaN.
    #[must_use]
    pub fn root_t(&self) -> f64 {
        if self.t >= 0.0 && self.t < f64::INFINITY { self.t.sqrt() } else { f64::NAN }
    }

    /// `exp(-rT)`; NaN where `T` is negative, infinite or NaN.
    #[must_use]
    pub fn discount(&self) -> f64 {
        if self.t >= 0.0 && self.t < f64::INFINITY { exp(-self.rate * self.t) } else { f64::NAN }
    }
}

/// Prices both sides at every strike: `calls[i]`, `puts[i]` for `strikes[i]` and `sigmas[i]` (per √year).
///
/// Elements outside the domain (see [`prices`]) and all elements for `T < 0`, NaN or infinite are NaN.
pub fn price_strikes(expiry: Expiry, strikes: &[f64], sigmas: &[f64], calls: &mut [f64], puts: &mut [f64]) {
    let (root_t, discount) = (expiry.root_t(), expiry.discount());
    for ((&strike, &sigma), (call, put)) in
        strikes.iter().zip(sigmas).zip(calls.iter_mut().zip(puts.iter_mut()))
    {
        (*call, *put) = prices(expiry.forward, strike, sigma * root_t, discount);
    }
}
