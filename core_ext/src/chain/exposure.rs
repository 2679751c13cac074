//! Dealer exposure: what those who made the market would have to trade as the spot, the volatility and the time move.
//!
//! Per contract, with `m` units of the underlying per unit of open interest and the Greeks in payload units:
//!
//! | | formula | unit |
//! |---|---|---|
//! | GEX | `Γ OI m S² / 100` | currency of delta per 1 % of the spot |
//! | DEX | `Δ OI m S` | currency of delta |
//! | VEX | `vanna OI m S` | currency of delta per volatility point |
//! | CHEX | `charm OI m S` | currency of delta per calendar day |
//!
//! A contract enters all four sums where its open interest is stated and all four Greeks are finite.
use super::columns::Columns;
use super::interest::Totals;
use super::rows::Rows;
use super::{Params, quantity, ratio};
use crate::black::is_level;
use crate::math::select;
use crate::sums::sum;

/// Which side the dealers are taken to hold: a convention, not an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// Long the calls, short the puts.
    Naive,
    /// Short the calls, long the puts.
    Inverse,
    /// Short both.
    ShortAll,
}

impl Convention {
    /// All of them, with their names.
    pub const ALL: [(&str, Self); 3] =
        [("naive", Self::Naive), ("inverse", Self::Inverse), ("short_all", Self::ShortAll)];

    /// Net of a side's quantities, each with sign +1.
    fn net(self, call: f64, put: f64) -> f64 {
        match self {
            Self::Naive => call - put,
            Self::Inverse => put - call,
            Self::ShortAll => 0.0 - (call + put),
        }
    }
}

/// The four quantities; NaN where they cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantities {
    /// By gamma.
    pub gex: f64,
    /// By delta.
    pub dex: f64,
    /// By vanna.
    pub vex: f64,
    /// By charm.
    pub chex: f64,
}

/// The exposure of a chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// Of all calls, with sign +1; NaN where none entered.
    pub calls: Quantities,
    /// Of all puts, with sign +1.
    pub puts: Quantities,
    /// Of both under the convention; NaN where a side is.
    pub net: Quantities,
    /// Strike of the largest GEX among the calls, the lowest on a tie; NaN where none is positive. No multiplier is
    /// needed for it.
    pub call_wall: f64,
    /// Strike of the largest GEX among the puts.
    pub put_wall: f64,
    /// Strike of the largest sum of both magnitudes.
    pub absolute_gamma_strike: f64,
    /// Contracts that entered.
    pub count: usize,
    /// Their share of the open interest stated; NaN where that is none.
    pub coverage: f64,
}

/// One side: what enters of it.
struct Side {
    /// Open interest, NaN where the contract does not enter.
    weights: Vec<f64>,
    /// Gamma times that, 0 where the contract does not enter.
    gammas: Vec<f64>,
    quantities: Quantities,
}

pub(super) fn exposure(
    chain: &Columns,
    [calls, puts]: &[Rows; 2],
    params: &Params,
    totals: [&Totals; 2],
) -> Exposure {
    let (calls, puts) = (Side::new(chain.calls.oi, calls, params), Side::new(chain.puts.oi, puts, params));
    let both: Vec<f64> = calls.gammas.iter().zip(&puts.gammas).map(|(call, put)| call + put).collect();
    let net = |of: fn(&Quantities) -> f64| params.convention.net(of(&calls.quantities), of(&puts.quantities));
    let [entered, stated] = [
        calls.entered() + puts.entered(),
        totals.iter().map(|total| select(total.oi.is_nan(), 0.0, total.oi)).sum(),
    ];
    Exposure {
        net: Quantities {
            gex: net(|q| q.gex),
            dex: net(|q| q.dex),
            vex: net(|q| q.vex),
            chex: net(|q| q.chex),
        },
        call_wall: largest(chain.strikes, &calls.gammas),
        put_wall: largest(chain.strikes, &puts.gammas),
        absolute_gamma_strike: largest(chain.strikes, &both),
        count: calls.count() + puts.count(),
        coverage: ratio(entered, stated),
        calls: calls.quantities,
        puts: puts.quantities,
    }
}

impl Side {
    fn new(oi: &[f64], rows: &Rows, params: &Params) -> Self {
        let (delta, gamma, vanna, charm) = (&*rows.delta, &*rows.gamma, &*rows.vanna, &*rows.charm);
        let greeks = delta.iter().zip(gamma).zip(vanna.iter().zip(charm));
        // 0 times what is not finite is NaN.
        let weight = |(&oi, ((&d, &g), (&v, &c)))| quantity(oi) + (0.0 * d + 0.0 * g + (0.0 * v + 0.0 * c));
        let weights: Vec<f64> = oi.iter().zip(greeks).map(weight).collect();
        let gammas: Vec<f64> =
            weights.iter().zip(gamma).map(|(&weight, &gamma)| weighted([weight, gamma])).collect();
        // Where nothing entered, or the multiplier is not known, everything is NaN.
        let spot = params.spot;
        let scale = if is_level(params.multiplier) && weights.iter().any(|weight| !weight.is_nan()) {
            params.multiplier * spot
        } else {
            f64::NAN
        };
        let total = |greek: &[f64]| finite(scale * sum([&weights, greek], weighted));
        let quantities = Quantities {
            gex: finite(scale * (0.01 * spot) * sum([&gammas], |[gamma]| gamma)),
            dex: total(delta),
            vex: total(vanna),
            chex: total(charm),
        };
        Self { weights, gammas, quantities }
    }

    fn count(&self) -> usize {
        self.weights.iter().filter(|weight| !weight.is_nan()).count()
    }

    fn entered(&self) -> f64 {
        sum([&self.weights], |[weight]| select(weight > 0.0, weight, 0.0))
    }
}

#[inline]
fn weighted([weight, greek]: [f64; 2]) -> f64 {
    select(weight > 0.0, weight * greek, 0.0)
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

/// The first strike of the largest value, NaN where none is positive.
fn largest(strikes: &[f64], values: &[f64]) -> f64 {
    let (mut strike, mut most) = (f64::NAN, 0.0);
    for (&k, &value) in strikes.iter().zip(values) {
        if value > most {
            (strike, most) = (k, value);
        }
    }
    strike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventions() {
        let nets = Convention::ALL.map(|(_, convention)| convention.net(5.0, 3.0));
        assert_eq!(nets, [2.0, -2.0, -8.0]);
        for (_, convention) in Convention::ALL {
            assert!(convention.net(0.0, 0.0).is_sign_positive());
            assert!(convention.net(1.0, f64::NAN).is_nan());
        }
    }

    #[test]
    fn walls() {
        let strikes = [90.0, 100.0, 110.0];
        assert_eq!(largest(&strikes, &[1.0, 3.0, 3.0]), 100.0);
        assert_eq!(largest(&strikes, &[5e-324, 0.0, 0.0]), 90.0);
        assert!(largest(&strikes, &[0.0; 3]).is_nan());
        assert!(largest(&[], &[]).is_nan());
    }
}
