//! Implied volatilities of every bid, mid and ask of a chain: one batch a side.
use super::columns::{Columns, Side};
use super::rows::{QUOTES, Rows};
use super::{BORROWED, Market};
use crate::batch::{Column, Flags};
use crate::black::{Model, is_level};
use crate::errors::CoreError;
use crate::iv::{Quotes, implied};
use crate::level::Level;
use crate::math::select;

/// Fills the volatility rows of both sides, and the status rows with the statuses of the mids.
pub(super) fn fill(
    level: Level,
    market: &Market,
    chain: &Columns,
    rows: &mut [Rows; 2],
) -> Result<(), CoreError> {
    let n = chain.strikes.len();
    // A chain without a time is told to have none left.
    let t = select(is_level(market.t), market.t, 0.0);
    let strikes = chain.strikes.repeat(QUOTES);
    let mut prices = vec![0.0; QUOTES * n];
    let mut statuses = vec![0; QUOTES * n];
    for ((side, is_call), rows) in [(&chain.calls, true), (&chain.puts, false)].into_iter().zip(rows) {
        quotes(side, &mut prices);
        let quotes = Quotes {
            model: Model::MarketForward(market.forward),
            price: Column::Many(&prices),
            // The model takes the forward, and the yield that it implies.
            underlying: Column::One(f64::NAN),
            strike: Column::Many(&strikes),
            t: Column::One(t),
            rate: Column::One(market.rate),
            dividend_yield: Column::One(f64::NAN),
            is_call: Flags::One(is_call),
        };
        implied(level, &quotes, rows.volatilities, &mut statuses)?;
        for (code, &status) in rows.iv_status.iter_mut().zip(&statuses[n..2 * n]) {
            *code = f64::from(status);
        }
    }
    Ok(())
}

/// Bids, mids and asks of a side, NaN where there is none.
fn quotes(side: &Side, prices: &mut [f64]) {
    let n = side.bid.len();
    let (bids, rest) = prices.split_at_mut(n);
    let (mids, asks) = rest.split_at_mut(n);
    let present = |price: f64| select(price > 0.0, price, f64::NAN);
    for (i, ((bid, mid), ask)) in bids.iter_mut().zip(mids).zip(asks).enumerate() {
        (*bid, *mid, *ask) = (present(side.bid[i]), side.mid(i), present(side.ask[i]));
    }
}

/// The volatilities that the Greeks of a side use: a contract's own, else that of the other side at the same strike.
/// The status says so.
pub(super) fn pick(own: &mut Rows, other: &Rows) -> Vec<f64> {
    let mut picked = own.iv().to_vec();
    for ((sigma, &other), code) in picked.iter_mut().zip(other.iv()).zip(&mut *own.iv_status) {
        let borrows = sigma.is_nan() & !other.is_nan();
        *code += select(borrows, f64::from(BORROWED), 0.0);
        *sigma = select(borrows, other, *sigma);
    }
    picked
}

/// Number of volatilities of a row.
pub(super) fn converged(ivs: &[f64]) -> usize {
    ivs.iter().filter(|iv| !iv.is_nan()).count()
}

/// Mean of the mid volatilities of puts below and calls at or above the forward; NaN where there is none.
pub(super) fn mean_out_of_the_money(strikes: &[f64], forward: f64, calls: &[f64], puts: &[f64]) -> f64 {
    let split = strikes.partition_point(|&k| k < forward);
    let (mut sum, mut count) = (0.0, 0.0);
    for &iv in puts[..split].iter().chain(&calls[split..]) {
        sum += select(iv.is_nan(), 0.0, iv);
        count += select(iv.is_nan(), 0.0, 1.0);
    }
    // 0/0 is NaN.
    sum / count
}
