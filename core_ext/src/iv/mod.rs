//! Implied volatility: the inverse of Black-76, after P. Jäckel, "Let's Be Rational", Wilmott 2015.
//!
//! A price is turned into the normalised value of the out-of-the-money option at the same strike. A rational
//! interpolation on one of four branches gives the first guess of the total standard deviation; Householder
//! steps of fourth order, on an objective that is nearly linear on the branch, finish it, usually two. Every step
//! is kept inside a shrinking bracket, so the search always ends.
mod curve;
mod search;

use crate::black::{Expiry, is_level, log_moneyness};
use curve::Curve;

/// A value within this many units of rounding of a bound tells nothing about the volatility.
const NOISE: f64 = 64.0 * f64::EPSILON;

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
    /// The price is so near one of these bounds, or so small, that its digits do not determine a volatility.
    NotEnoughPrecision = 4,
    /// The time to expiry is not a finite positive number.
    NoTime = 5,
    /// The forward is not a finite positive number.
    NoForward = 6,
    /// The strike is not a finite positive number, or the rate gives no discount factor.
    InvalidInput = 7,
}

/// The inverse at one strike; sides and prices share its curve.
#[derive(Debug, Clone)]
pub struct Inverter {
    forward: f64,
    strike: f64,
    root_t: f64,
    discount: f64,
    /// `√(FK)`.
    root: f64,
    curve: Curve,
}

impl Inverter {
    /// The expiry must have no [`common_status`], the strike be finite and positive.
    #[must_use]
    pub fn new(expiry: Expiry, strike: f64) -> Self {
        let forward = expiry.forward;
        let (root_t, discount) = (expiry.root_t(), expiry.discount());
        let x = -log_moneyness(forward, strike).abs();
        let bound = (forward.min(strike) / forward.max(strike)).sqrt();
        let root = forward.sqrt() * strike.sqrt();
        Self { forward, strike, root_t, discount, root, curve: Curve::new(x, bound) }
    }

    /// Volatility per √year of one discounted price, NaN unless converged.
    #[must_use]
    pub fn solve(&self, price: f64, is_call: bool) -> (f64, Status) {
        if price.is_nan() {
            return (f64::NAN, Status::NoPrice);
        }
        let undiscounted = price / self.discount;
        let signed = self.forward - self.strike;
        let intrinsic = if is_call { signed.max(0.0) } else { (-signed).max(0.0) };
        let value = undiscounted - intrinsic;
        // Only a subtraction loses digits.
        let noise = if intrinsic > 0.0 { NOISE * intrinsic } else { 0.0 };
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
        let normalised = value / self.root;
        if normalised < f64::MIN_POSITIVE {
            return (f64::NAN, Status::NotEnoughPrecision);
        }
        // Where σ itself would be no finite positive number, the search has found nothing to publish.
        match self.curve.total_sd(normalised).map(|s| s / self.root_t).filter(|&sigma| is_level(sigma)) {
            Some(sigma) => (sigma, Status::Converged),
            None => (f64::NAN, Status::NotEnoughPrecision),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::black::{normalised_vega, old::prices, out_of_the_money};
    use crate::math::exp;
    use crate::testing::repeatable;
    use proptest::prelude::*;

    /// Rounding of a normalised value, carried to its volatility: what no method can undercut, in parts of `s`.
    fn information(x: f64, s: f64) -> f64 {
        let (h, t) = (x / s, 0.5 * s);
        let value = out_of_the_money(h, t, 1.0, exp(0.5 * x));
        f64::EPSILON * (1.0 + value / (normalised_vega(h, t) * s))
    }

    proptest! {
        #![proptest_config(repeatable(4000))]
        #[test]
        fn round_trip(log_s in -9.2..1.79f64, depth in 0.0..37.0f64) {
            let s = exp(log_s);
            let x = -(depth * s).min(10.0);
            let inverter = Inverter::new(Expiry { forward: 1.0, t: 1.0, rate: 0.0 }, exp(-x));
            let x = inverter.curve.x;
            let value = out_of_the_money(x / s, 0.5 * s, 1.0, inverter.curve.bound);
            prop_assume!(value > f64::MIN_POSITIVE && value < inverter.curve.bound * (1.0 - 1e-13));
            let found = inverter.curve.total_sd(value);
            prop_assert!(found.is_some());
            let error = (found.unwrap_or(0.0) / s - 1.0).abs();
            prop_assert!(error <= 5.0 * information(x, s), "x {x} s {s}: {error:e}");
        }
    }

    #[test]
    fn statuses() {
        let inverter = Inverter::new(Expiry { forward: 100.0, t: 1.0, rate: 0.0 }, 90.0);
        let status = |price: f64, is_call: bool| inverter.solve(price, is_call).1;
        assert_eq!(status(f64::NAN, true), Status::NoPrice);
        assert_eq!(status(9.99, true), Status::BelowIntrinsic);
        assert_eq!(status(-1.0, false), Status::BelowIntrinsic);
        assert_eq!(status(f64::NEG_INFINITY, true), Status::BelowIntrinsic);
        assert_eq!(status(10.0, true), Status::NotEnoughPrecision);
        assert_eq!(status(10.0 + 1e-14, true), Status::NotEnoughPrecision);
        assert_eq!(status(0.0, false), Status::NotEnoughPrecision);
        assert_eq!(status(5e-324, false), Status::NotEnoughPrecision);
        assert_eq!(status(1e-300, false), Status::Converged);
        assert_eq!(status(12.0, true), Status::Converged);
        assert_eq!(status(100.0, true), Status::AboveMaximum);
        assert_eq!(status(100.0_f64.next_down(), true), Status::NotEnoughPrecision);
        assert_eq!(status(90.0, false), Status::AboveMaximum);
        assert_eq!(status(f64::INFINITY, false), Status::AboveMaximum);
    }

    #[test]
    fn at_the_money_exactly() {
        let inverter = Inverter::new(Expiry { forward: 100.0, t: 1.0, rate: 0.0 }, 100.0);
        for s in [1e-12, 1e-6, 0.01, 0.2, 1.0, 3.0, 8.0] {
            let (call, _) = prices(100.0, 100.0, s, 1.0);
            let (found, status) = inverter.solve(call, true);
            assert_eq!(status, Status::Converged);
            assert!((found / s - 1.0).abs() < 4.0 * information(0.0, s), "{s} {found}");
        }
    }

    #[test]
    fn whole_expiries() {
        let expiry = |forward: f64, t: f64, rate: f64| common_status(Expiry { forward, t, rate });
        assert_eq!(expiry(100.0, 1.0, 0.05), None);
        for t in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(expiry(100.0, t, 0.05), Some(Status::NoTime));
        }
        for forward in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(expiry(forward, 1.0, 0.05), Some(Status::NoForward));
        }
        for rate in [f64::NAN, f64::INFINITY, -1e6, 1e6] {
            assert_eq!(expiry(100.0, 1.0, rate), Some(Status::InvalidInput));
        }
    }
}
