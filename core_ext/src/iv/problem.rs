//! From a price to the equation that is solved, or to the reason why there is none.
use super::Status;
use crate::black::{Contract, is_level};
use crate::math::select;

/// A value within this many units of rounding of a bound tells nothing about the volatility.
const NOISE: f64 = 64.0 * f64::EPSILON;
/// Share of its upper bound above which a value is measured from there.
const HIGH: f64 = 0.4;

/// Which `s = σ√T` gives the option out of the money its value?
#[derive(Debug, Clone, Copy)]
pub(super) struct Problem {
    /// `a = |ln(F/K)|`.
    pub(super) a: f64,
    /// `|F - K| / min(F, K) = exp(a) - 1`.
    pub(super) excess: f64,
    /// The value `v` in units of its upper bound `min(F, K)`; where it is high, `1 - v`.
    pub(super) target: f64,
    /// Whether it is high.
    pub(super) high: bool,
}

impl Problem {
    /// The equation, and the [`Status`] as a number; unless this is 0 the equation is another, harmless one.
    #[inline(always)]
    pub(super) fn new(contract: &Contract, price: f64) -> (Self, f64) {
        let Contract { underlying, forward, strike, log_moneyness, t, discount, sign, .. } = *contract;
        let bound = select(log_moneyness > 0.0, strike, forward);
        let maximum = select(sign > 0.0, forward, strike);
        let undiscounted = price / discount;
        let signed = sign * contract.excess;
        let intrinsic = select(signed > 0.0, signed, 0.0);
        let value = undiscounted - intrinsic;
        let room = bound - value;
        let high = value > HIGH * bound;
        let target = select(high, room, value) / bound;

        // Only a subtraction loses digits. Bounds are compared as a price is discounted, or it might pass its own.
        let largest = select(undiscounted > bound, undiscounted, bound);
        let vague = (value <= NOISE * intrinsic) | (room <= NOISE * largest) | (target < f64::MIN_POSITIVE);
        let subnormal = (underlying < f64::MIN_POSITIVE) | (strike < f64::MIN_POSITIVE);
        let positive = |x: f64| (x > 0.0) & (x < f64::INFINITY);
        let valid =
            positive(strike) & (t < f64::INFINITY) & is_level(discount) & (is_level(forward) | subnormal);
        let mut status = 0.0;
        // The later ones come first.
        for (holds, code) in [
            (vague, Status::NotEnoughPrecision),
            (price >= discount * maximum, Status::AboveMaximum),
            (price < discount * intrinsic, Status::BelowIntrinsic),
            (subnormal, Status::NotEnoughPrecision),
            (price.is_nan(), Status::NoPrice),
            (!valid, Status::InvalidInput),
            (!positive(underlying), Status::NoForward),
            (t <= 0.0, Status::Expired),
        ] {
            status = select(holds, f64::from(code as u8), status);
        }
        let solvable = status == 0.0;
        let problem = Self {
            a: select(solvable, log_moneyness.abs(), 0.5),
            excess: select(solvable, contract.excess.abs() / bound, 0.6487212707001282),
            target: select(solvable, target, 0.1),
            high: high & solvable,
        };
        (problem, status)
    }
}
