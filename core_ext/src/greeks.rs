//! First-order sensitivities and gamma of Black-76 prices to the spot, in published units.
//!
//! The carry is the one the forward implies: `F = S exp((r-q)T)`, and a derivative holds the other ones of
//! `S, r, q, σ, T` fixed.
//!
//! | | definition | unit |
//! |---|---|---|
//! | delta | `∂V/∂S` | per point |
//! | gamma | `∂²V/∂S²` | per point² |
//! | theta | `-∂V/∂T / 365` | per calendar day |
//! | vega | `∂V/∂σ / 100` | per volatility point (0.01) |
//! | rho | `∂V/∂r / 100` | per 1 % of rate |
use crate::black::{Expiry, is_level, log_moneyness, normalised_vega};
use crate::normal_old::mills;

const DAYS_PER_YEAR: f64 = 365.0;
const PER_CENT: f64 = 0.01;

/// Sensitivities of one option, in the units of the module's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greeks {
    /// `∂V/∂S`, negative for puts.
    pub delta: f64,
    /// `∂²V/∂S²`.
    pub gamma: f64,
    /// `-∂V/∂T / 365`.
    pub theta: f64,
    /// `∂V/∂σ / 100`.
    pub vega: f64,
    /// `∂V/∂r / 100`.
    pub rho: f64,
}

impl Greeks {
    /// All absent.
    pub const NAN: Self =
        Self { delta: f64::NAN, gamma: f64::NAN, theta: f64::NAN, vega: f64::NAN, rho: f64::NAN };

    /// In the order delta, gamma, theta, vega, rho.
    #[must_use]
    pub fn to_array(self) -> [f64; 5] {
        [self.delta, self.gamma, self.theta, self.vega, self.rho]
    }
}

/// An expiry with its spot: what the Greeks of all its options share.
#[derive(Debug, Clone, Copy)]
pub struct Market {
    expiry: Expiry,
    spot: f64,
    root_t: f64,
    discount: f64,
    /// `r - q = ln(F/S) / T` taken off `r`: the implied yield `q`.
    carry: f64,
}

impl Market {
    /// `spot` may be absent (NaN or not positive): then delta, gamma and theta are NaN.
    #[must_use]
    pub fn new(expiry: Expiry, spot: f64) -> Self {
        let spot = if is_level(spot) { spot } else { f64::NAN };
        let carry = expiry.rate - log_moneyness(expiry.forward, spot) / expiry.t;
        Self { expiry, spot, root_t: expiry.root_t(), discount: expiry.discount(), carry }
    }

    /// Greeks of the call and of the put at `strike` with volatility `sigma` (per √year).
    ///
    /// All are NaN where forward or strike is not a finite positive number or `σ√T` is not finite and positive.
    #[must_use]
    pub fn greeks(&self, strike: f64, sigma: f64) -> (Greeks, Greeks) {
        let Expiry { forward, t, rate } = self.expiry;
        let s = sigma * self.root_t;
        if !(is_level(forward) && is_level(strike) && is_level(s) && is_level(self.discount)) {
            return (Greeks::NAN, Greeks::NAN);
        }
        let (h, half) = (log_moneyness(forward, strike) / s, 0.5 * s);
        let (d1, d2) = (h + half, h - half);
        let ratio = strike.sqrt() / forward.sqrt();
        let vega = normalised_vega(h, half);
        // φ(d1) = v √(K/F), φ(d2) = v √(F/K), from one exponential.
        let density = vega * ratio;
        let (above1, below1) = both_tails(d1, density);
        let (above2, below2) = both_tails(d2, vega / ratio);

        let present = self.discount * forward;
        let decay = 0.5 * present * density * sigma / self.root_t;
        let vega = PER_CENT * present * density * self.root_t;
        let gamma = present * density / (self.spot * self.spot * s);
        let asset = present * self.carry;
        let bond = self.discount * strike;
        let theta =
            |sign: f64, n1: f64, n2: f64| (sign * (asset * n1 - rate * bond * n2) - decay) / DAYS_PER_YEAR;
        let delta = present / self.spot;
        let rho = PER_CENT * t * bond;
        (
            Greeks {
                delta: delta * above1,
                gamma,
                theta: theta(1.0, above1, above2),
                vega,
                rho: rho * above2,
            },
            Greeks {
                delta: -delta * below1,
                gamma,
                theta: theta(-1.0, below1, below2),
                vega,
                rho: -rho * below2,
            },
        )
    }
}

/// `Φ(d)` and `Φ(-d)` from the density at `d`.
#[inline]
fn both_tails(d: f64, density: f64) -> (f64, f64) {
    let tail = if density == 0.0 { 0.0 } else { density * mills(d.abs()) };
    if d <= 0.0 { (tail, 1.0 - tail) } else { (1.0 - tail, tail) }
}

/// Greeks at every strike, five rows of `strikes.len()` each: delta, gamma, theta, vega, rho.
pub fn greeks_strikes(market: &Market, strikes: &[f64], sigmas: &[f64], calls: &mut [f64], puts: &mut [f64]) {
    let n = strikes.len();
    for (i, (&strike, &sigma)) in strikes.iter().zip(sigmas).enumerate() {
        let (call, put) = market.greeks(strike, sigma);
        for (row, (c, p)) in call.to_array().into_iter().zip(put.to_array()).enumerate() {
            calls[row * n + i] = c;
            puts[row * n + i] = p;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::black::old::prices;
    use crate::testing::repeatable;
    use proptest::prelude::*;

    fn value(spot: f64, strike: f64, t: f64, sigma: f64, rate: f64, carry: f64) -> (f64, f64) {
        let expiry = Expiry { forward: spot * crate::math::exp((rate - carry) * t), t, rate };
        prices(expiry.forward, strike, sigma * expiry.root_t(), expiry.discount())
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        #[test]
        fn agree_with_differences_of_prices(
            m in -0.3..0.3f64, t in 0.05..2.0f64, sigma in 0.1..0.8f64,
            rate in -0.02..0.1f64, carry in -0.02..0.1f64,
        ) {
            let (spot, strike) = (100.0, 100.0 * crate::math::exp(m));
            let expiry = Expiry { forward: spot * crate::math::exp((rate - carry) * t), t, rate };
            let (call, put) = Market::new(expiry, spot).greeks(strike, sigma);
            let step = 1e-4;
            let slope = |f: &dyn Fn(f64) -> (f64, f64)| {
                let ((c1, p1), (c0, p0)) = (f(step), f(-step));
                ((c1 - c0) / (2.0 * step), (p1 - p0) / (2.0 * step))
            };
            let delta = slope(&|e| value(spot + e, strike, t, sigma, rate, carry));
            let vega = slope(&|e| value(spot, strike, t, sigma + e, rate, carry));
            let theta = slope(&|e| value(spot, strike, t + e, sigma, rate, carry));
            let rho = slope(&|e| value(spot, strike, t, sigma, rate + e, carry));
            let (up, at, down) = (
                value(spot + 0.01, strike, t, sigma, rate, carry).0,
                value(spot, strike, t, sigma, rate, carry).0,
                value(spot - 0.01, strike, t, sigma, rate, carry).0,
            );
            for (greeks, delta, vega, theta, rho) in
                [(call, delta.0, vega.0, theta.0, rho.0), (put, delta.1, vega.1, theta.1, rho.1)]
            {
                prop_assert!((greeks.delta - delta).abs() < 1e-6);
                prop_assert!((greeks.vega - vega / 100.0).abs() < 1e-5);
                prop_assert!((greeks.theta + theta / 365.0).abs() < 1e-5);
                prop_assert!((greeks.rho - rho / 100.0).abs() < 1e-5);
                prop_assert!((greeks.gamma - (up - 2.0 * at + down) / 1e-4).abs() < 1e-5);
            }
        }

        #[test]
        fn parity(m in -5.0..5.0f64, s in 1e-3..5.0f64, t in 1e-3..3.0f64) {
            let strike = 100.0 * crate::math::exp(m);
            let market = Market::new(Expiry { forward: 101.0, t, rate: 0.05 }, 100.0);
            let (call, put) = market.greeks(strike, s / t.sqrt());
            let forward_delta = market.discount * 1.01;
            prop_assert!((call.delta - put.delta - forward_delta).abs() < 1e-15);
            prop_assert!(call.gamma >= 0.0 && call.gamma.to_bits() == put.gamma.to_bits());
            prop_assert!(call.vega.to_bits() == put.vega.to_bits());
            prop_assert!((0.0..=forward_delta * (1.0 + 1e-15)).contains(&call.delta));
        }
    }

    #[test]
    fn without_spot_only_vega_and_rho() {
        for spot in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
            let (call, put) =
                Market::new(Expiry { forward: 100.0, t: 0.1, rate: 0.05 }, spot).greeks(100.0, 0.2);
            for greeks in [call, put] {
                assert!(greeks.delta.is_nan() && greeks.gamma.is_nan() && greeks.theta.is_nan());
                assert!(greeks.vega > 0.0 && greeks.rho.is_finite());
            }
        }
    }
}
