//! Price and sensitivities of one option.
//!
//! With `w` the sign, `P = exp(-rT) F φ(d1)`, asset and bond leg `A = exp(-rT) F Φ(w d1)`, `B = exp(-rT) K Φ(w d2)`,
//! `s = σ√T` and `e = ∂d1/∂T = (r-q)/s - d2/(2T)`:
//!
//! | | definition | formula | payload unit |
//! |---|---|---|---|
//! | price | `V` | `w (A - B)` | |
//! | delta | `∂V/∂S` | `w A / S` | per point |
//! | gamma | `∂²V/∂S²` | `P / (S² s)` | per point² |
//! | vega | `∂V/∂σ` | `P √T` | per volatility point (0.01) |
//! | theta | `-∂V/∂T` | `w (q A - r B) - P σ / (2√T)`; on a forward `r V - P σ / (2√T)` | per calendar day |
//! | rho | `∂V/∂r` | `w T B`; on a forward `-T V` | per 1 % of rate |
//! | vanna | `∂²V/∂S∂σ` | `-P d2 / (S σ)` | per point and volatility point |
//! | charm | `-∂²V/∂S∂T` | `(q w A - P e) / S` | per point and day |
//! | vomma | `∂²V/∂σ²` | `P √T d1 d2 / σ` | per volatility point² |
//! | veta | `∂²V/∂σ∂T` | `P √T (1/(2T) - q - d1 e)` | per volatility point and day |
//! | speed | `∂³V/∂S³` | `-Γ (1 + d1/s) / S` | per point³ |
//! | zomma | `∂³V/∂S²∂σ` | `Γ (d1 d2 - 1) / σ` | per point² and volatility point |
//! | color | `∂³V/∂S²∂T` | `-Γ (1/(2T) + q + d1 e)` | per point² and day |
//! | ultima | `∂³V/∂σ³` | `-P √T (d1 d2 (1 - d1 d2) + d1² + d2²) / σ²` | per volatility point³ |
//! | forward delta | `exp(rT) ∂V/∂F` | `w Φ(w d1)` | |
//!
//! Black-Scholes-Merton derivatives hold the others of `S, r, q, σ, T` fixed. An option on a forward is the same with
//! `S = F` and `q = r`, so they hold `F` fixed. A year has 365 days. Source: E. G. Haug, "The Complete Guide to Option
//! Pricing Formulas", 2nd ed., chapter 2; every column is checked against numerical derivatives of the price.
//!
//! Without time or volatility the price is the discounted intrinsic value, delta its slope, and what depends on the
//! density 0. Exactly at the money delta is then half its jump, vega its limit, theta and all higher ones NaN.
use super::contract::{Contract, Terms};

/// Sensitivities per year, per 1.00 of volatility and per 1.00 of rate, or in payload units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    /// Per calendar day, per volatility point, per 1 % of rate.
    Payload,
    /// The plain derivatives; theta and charm with their sign.
    Raw,
}

/// Number of values of [`FirstOrder`].
pub const FIRST: usize = 6;
/// Number of values of [`AllOrders`].
pub const ALL: usize = 15;

impl Units {
    /// What each value is multiplied with, in the order of [`AllOrders`].
    #[must_use]
    #[inline(always)]
    pub fn factors(self) -> [f64; ALL] {
        const DAY: f64 = 1.0 / 365.0;
        const POINT: f64 = 0.01;
        match self {
            Self::Raw => [1.0; ALL],
            Self::Payload => {
                [1.0, 1.0, 1.0, POINT, DAY, POINT, POINT, DAY, 1e-4, POINT * DAY, 1.0, POINT, DAY, 1e-6, 1.0]
            }
        }
    }
}

/// What both orders share.
struct Common {
    terms: Terms,
    asset: f64,
    smooth: f64,
    root_t: f64,
    inverse_underlying: f64,
    gamma: f64,
    first: [f64; FIRST],
}

#[inline(always)]
fn common(c: &Contract) -> Common {
    let terms = Terms::new(c);
    let (asset, bond) = (c.discount * terms.asset, c.discount * terms.bond);
    let (density, smooth) = (c.discount * terms.density, c.discount * terms.smooth_density);
    let price = c.discount * terms.value;
    let root_t = c.t.sqrt();
    let inverse_underlying = 1.0 / c.underlying;
    let inverse_root_t = c.sigma * terms.inverse_sd;
    let gamma = smooth * inverse_underlying * (terms.inverse_sd * inverse_underlying);
    let vega = density * root_t;
    let decay = 0.5 * smooth * c.sigma * inverse_root_t;
    let (theta, rho) = if c.rate_moves_forward {
        (c.sign * (c.dividend_yield * asset - c.rate * bond) - decay, c.sign * c.t * bond)
    } else {
        (c.rate * price - decay, -c.t * price)
    };
    let delta = c.sign * asset * inverse_underlying;
    Common {
        terms,
        asset,
        smooth,
        root_t,
        inverse_underlying,
        gamma,
        first: [price, delta, gamma, vega, theta, rho],
    }
}

/// What is computed of an option.
pub(super) trait Measure<const N: usize> {
    fn of(&self, contract: &Contract) -> [f64; N];
}

/// The price alone.
pub(super) struct Price;

impl Measure<1> for Price {
    #[inline(always)]
    fn of(&self, contract: &Contract) -> [f64; 1] {
        [contract.discount * Terms::new(contract).value]
    }
}

/// Price, delta, gamma, vega, theta, rho.
pub(super) struct FirstOrder;

impl Measure<FIRST> for FirstOrder {
    #[inline(always)]
    fn of(&self, contract: &Contract) -> [f64; FIRST] {
        common(contract).first
    }
}

/// Price, delta, gamma, vega, theta, rho, vanna, charm, vomma, veta, speed, zomma, color, ultima, forward delta.
pub(super) struct AllOrders;

impl Measure<ALL> for AllOrders {
    #[inline(always)]
    fn of(&self, c: &Contract) -> [f64; ALL] {
        let Common { terms, asset, smooth, root_t, inverse_underlying, gamma, first, .. } = common(c);
        let Terms { d1, d2, inverse_sd, .. } = terms;
        let [price, delta, _, vega, theta, rho] = first;
        let inverse_sigma = root_t * inverse_sd;
        let inverse_root_t = c.sigma * inverse_sd;
        let half_inverse_t = 0.5 * inverse_root_t * inverse_root_t;
        let drift = (c.rate - c.dividend_yield) * inverse_sd - d2 * half_inverse_t;
        let product = d1 * d2;
        let smooth_vega = smooth * root_t;

        let vanna = -smooth * inverse_underlying * (d2 * inverse_sigma);
        let charm = (c.dividend_yield * c.sign * asset - smooth * drift) * inverse_underlying;
        let vomma = smooth_vega * (product * inverse_sigma);
        let veta = smooth_vega * (half_inverse_t - c.dividend_yield - d1 * drift);
        let speed = -gamma * ((1.0 + d1 * inverse_sd) * inverse_underlying);
        let zomma = gamma * ((product - 1.0) * inverse_sigma);
        let color = -gamma * (half_inverse_t + c.dividend_yield + d1 * drift);
        let ultima = -smooth_vega
            * ((product * (1.0 - product) + d1 * d1 + d2 * d2) * (inverse_sigma * inverse_sigma));
        let forward_delta = c.sign * terms.asset / c.forward;
        [
            price,
            delta,
            gamma,
            vega,
            theta,
            rho,
            vanna,
            charm,
            vomma,
            veta,
            speed,
            zomma,
            color,
            ultima,
            forward_delta,
        ]
    }
}
