//! Implied volatilities of every bid, mid and ask of a chain: one batch a side.
use super::columns::{Columns, Side};
use super::rows::{QUOTES, Rows};
use super::{BORROWED, Market, same_nan};
use crate::black::{Expiry, is_level};
use crate::iv::{Inverter, Status};
use crate::math::{exp, select};

/// Fills the volatility rows of both sides, and the status rows with the statuses of the mids.
pub(super) fn fill(market: &Market, chain: &Columns, rows: &mut [Rows; 2]) {
    let n = chain.strikes.len();
    if let Some(status) = common_status(market) {
        for side in rows {
            side.volatilities.fill(f64::NAN);
            side.iv_status.fill(f64::from(status as u8));
        }
        return;
    }
    let expiry = Expiry { forward: market.forward, t: market.t, rate: market.rate };
    let strikes = chain.strikes.repeat(QUOTES);
    let mut prices = vec![0.0; QUOTES * n];
    let mut statuses = vec![0; QUOTES * n];
    for ((side, is_call), rows) in [(&chain.calls, true), (&chain.puts, false)].into_iter().zip(rows) {
        quotes(side, &mut prices);
        for (i, (&strike, &price)) in strikes.iter().zip(&prices).enumerate() {
            let (sigma, status) = Inverter::new(expiry, strike).solve(price, is_call);
            (rows.volatilities[i], statuses[i]) = (sigma, status as u8);
        }
        same_nan(rows.volatilities);
        for (code, &status) in rows.iv_status.iter_mut().zip(&statuses[n..2 * n]) {
            *code = f64::from(status);
        }
    }
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

/// What keeps a whole expiry from having volatilities, if anything does.
fn common_status(market: &Market) -> Option<Status> {
    if !is_level(market.t) {
        Some(Status::NoTime)
    } else if !is_level(market.forward) {
        Some(Status::NoForward)
    } else if !is_level(exp(-market.rate * market.t)) {
        Some(Status::InvalidInput)
    } else {
        None
    }
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
