//! What a model makes of its arguments, and the terms that price and Greeks of one option share.
use super::value::Value;
use crate::math::{exp, exp_and_excess, ln_ratio, select};

/// Total standard deviations and times below this are none: the option is its intrinsic value.
const NONE: f64 = 1e-290;
/// Total standard deviations above this are this, where everything has its limit; volatilities must be below.
const HUGE: f64 = 1e100;

/// One option in the terms of its forward.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// Price of what the option is on: `S`, or `F` where it is on the forward itself.
    pub underlying: f64,
    /// Forward `F`.
    pub forward: f64,
    /// Strike `K`.
    pub strike: f64,
    /// `F - K`.
    pub excess: f64,
    /// `ln(F/K)`.
    pub log_moneyness: f64,
    /// Years to expiry `T`.
    pub t: f64,
    /// Volatility `σ` per √year.
    pub sigma: f64,
    /// Continuously compounded rate `r`.
    pub rate: f64,
    /// Continuously compounded yield `q` of the underlying: `F = S exp((r-q)T)`.
    pub dividend_yield: f64,
    /// `exp(-rT)`.
    pub discount: f64,
    /// +1 for a call, -1 for a put.
    pub sign: f64,
    /// Whether `r` moves the forward; if not, it only discounts.
    pub rate_moves_forward: bool,
}

impl Contract {
    /// An option on a forward or future.
    #[must_use]
    #[inline(always)]
    pub fn black76(forward: f64, strike: f64, t: f64, sigma: f64, rate: f64, sign: f64) -> Self {
        Self {
            underlying: forward,
            forward,
            strike,
            excess: forward - strike,
            log_moneyness: ln_ratio(forward, strike),
            t,
            sigma,
            rate,
            dividend_yield: rate,
            discount: exp(-rate * t),
            sign,
            rate_moves_forward: false,
        }
    }

    /// An option on a spot with a continuous yield.
    #[must_use]
    #[inline(always)]
    pub fn black_scholes_merton(
        spot: f64,
        strike: f64,
        t: f64,
        sigma: f64,
        rate: f64,
        dividend_yield: f64,
        sign: f64,
    ) -> Self {
        let carry = (rate - dividend_yield) * t;
        let (growth, gain) = exp_and_excess(carry);
        Self {
            underlying: spot,
            forward: select(is_level(spot), spot * growth, f64::NAN),
            strike,
            excess: select(carry.abs() < 0.34, (spot - strike) + spot * gain, spot * growth - strike),
            // Not from the forward, whose rounding would weigh more near the money.
            log_moneyness: ln_ratio(spot, strike) + carry,
            t,
            sigma,
            rate,
            dividend_yield,
            discount: exp(-rate * t),
            sign,
            rate_moves_forward: true,
        }
    }

    /// An option on a spot whose forward the market tells: the yield is what it implies.
    ///
    /// Without a spot (NaN) what is a derivative by it or by time is NaN.
    #[must_use]
    #[inline(always)]
    pub fn on_market_forward(
        spot: f64,
        forward: f64,
        strike: f64,
        t: f64,
        sigma: f64,
        rate: f64,
        sign: f64,
    ) -> Self {
        Self {
            underlying: spot,
            forward,
            strike,
            excess: forward - strike,
            log_moneyness: ln_ratio(forward, strike),
            t,
            sigma,
            rate,
            dividend_yield: rate - select(is_level(spot), ln_ratio(forward, spot), f64::NAN) / t,
            discount: exp(-rate * t),
            sign,
            rate_moves_forward: true,
        }
    }

    /// `σ√T`.
    #[inline(always)]
    fn total_sd(&self) -> f64 {
        let s = self.sigma * self.t.sqrt();
        select(s > HUGE, HUGE, s)
    }

    /// Whether there is a number to compute.
    #[inline(always)]
    fn is_valid(&self) -> bool {
        is_level(self.forward)
            & (self.strike >= 0.0)
            & (self.strike < f64::INFINITY)
            & (self.t >= 0.0)
            & (self.t < f64::INFINITY)
            & (self.sigma >= 0.0)
            & (self.sigma < HUGE)
            & is_level(self.discount)
    }
}

/// Whether a number can be a forward or a strike: positive, finite and normal, so that it has an inverse.
#[must_use]
#[inline(always)]
pub fn is_level(value: f64) -> bool {
    (f64::MIN_POSITIVE..f64::INFINITY).contains(&value)
}

/// The terms of one option. All are NaN where the arguments are out of the domain.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Undiscounted price.
    pub value: f64,
    /// `F Φ(w d1)`, `w` the sign.
    pub asset: f64,
    /// `K Φ(w d2)`.
    pub bond: f64,
    /// `F φ(d1) = K φ(d2)`.
    pub density: f64,
    /// The same, but NaN where an option exactly at the money has no volatility or time left: derivatives of higher
    /// order have no limit there.
    pub smooth_density: f64,
    /// `(ln(F/K) + s²/2) / s`; 0 without volatility.
    pub d1: f64,
    /// `d1 - s`; 0 without volatility.
    pub d2: f64,
    /// `1 / s`; 0 without volatility.
    pub inverse_sd: f64,
}

impl Terms {
    /// Computes them.
    #[must_use]
    #[inline(always)]
    pub fn new(contract: &Contract) -> Self {
        let s = contract.total_sd();
        let none = (s < NONE) | (contract.t < NONE) | (contract.strike == 0.0);
        let poison = select(contract.is_valid(), 0.0, f64::NAN);
        let (forward, strike) = (contract.forward + poison, contract.strike + poison);

        let forward_is_larger = select(none, f64::from(forward > strike), contract.log_moneyness) > 0.0;
        let x = -contract.log_moneyness.abs();
        #[expect(clippy::float_cmp, reason = "the kink is one point")]
        let at_the_money = none & (forward == strike);
        let s = select(none, 1.0, s);
        let shape = Value::new(x, s);
        let smaller = select(forward_is_larger, strike, forward);
        let larger = select(forward_is_larger, forward, strike);

        let value = select(none, 0.0, smaller * shape.value());
        let density = select(none, select(at_the_money, FLAT, 0.0), shape.density);
        let density = smaller * density + poison;
        // Of the smaller side Φ(d1) or, from above, its tail; of the larger one Φ(d2).
        let (near, far) = (density * shape.near(), density * shape.far());
        let below = !shape.from_above;
        let in_the_money = (contract.sign > 0.0) == forward_is_larger;
        let smaller_side = select((none | below) == in_the_money, smaller - near, near);
        let larger_side = select(in_the_money, larger - far, far);
        let half = 0.5 * smaller;
        let smaller_side = select(at_the_money, half, smaller_side);
        let larger_side = select(at_the_money, half, larger_side);
        let intrinsic = contract.sign * contract.excess + poison;
        let (d1, d2) = (
            select(forward_is_larger, shape.minus_d2, shape.d1),
            select(forward_is_larger, -shape.d1, -shape.minus_d2),
        );
        Self {
            value: value + select(intrinsic > 0.0, intrinsic, 0.0 * intrinsic),
            asset: select(forward_is_larger, larger_side, smaller_side),
            bond: select(forward_is_larger, smaller_side, larger_side),
            density,
            smooth_density: select(at_the_money, f64::NAN, density),
            d1: select(none, 0.0, d1),
            d2: select(none, 0.0, d2),
            inverse_sd: select(none, 0.0, 1.0 / s),
        }
    }
}

/// `φ(0)`.
const FLAT: f64 = crate::normal::INV_SQRT_TWO_PI;
