//! Implied volatilities and Greeks of every quote of a chain.
use super::columns::{Columns, Side};
use super::out;
use crate::black::Expiry;
use crate::greeks::{Greeks, Market};
use crate::iv::{Inverter, Status, common_status};

/// Fills the volatility, status and Greek rows of both sides.
pub(super) fn fill(chain: &Columns, expiry: Expiry, spot: f64, call_rows: &mut [f64], put_rows: &mut [f64]) {
    let n = chain.strikes.len();
    if let Some(status) = common_status(expiry) {
        for rows in [call_rows, put_rows] {
            rows[out::IV_STATUS * n..][..n].fill(f64::from(status as u8));
        }
        return;
    }
    let market = Market::new(expiry, spot);
    for (i, &strike) in chain.strikes.iter().enumerate() {
        let inverter = Inverter::new(expiry, strike);
        let (call_iv, call_status) = quote(&chain.calls, i, n, &inverter, true, call_rows);
        let (put_iv, put_status) = quote(&chain.puts, i, n, &inverter, false, put_rows);
        let call = Pick::of(call_iv, call_status, put_iv);
        let put = Pick::of(put_iv, put_status, call_iv);
        let (mut call_greeks, mut put_greeks) = market.greeks(strike, call.sigma);
        if put.sigma.to_bits() != call.sigma.to_bits() {
            put_greeks = market.greeks(strike, put.sigma).1;
        }
        if call.sigma.is_nan() {
            call_greeks = Greeks::NAN;
        }
        call.store(call_greeks, i, n, call_rows);
        put.store(put_greeks, i, n, put_rows);
    }
}

/// Volatilities of bid, mid and ask of one quote; gives that of the mid.
fn quote(
    side: &Side,
    i: usize,
    n: usize,
    inverter: &Inverter,
    is_call: bool,
    rows: &mut [f64],
) -> (f64, Status) {
    let present = |price: f64| if price > 0.0 { price } else { f64::NAN };
    rows[out::BID_IV * n + i] = inverter.solve(present(side.bid[i]), is_call).0;
    rows[out::ASK_IV * n + i] = inverter.solve(present(side.ask[i]), is_call).0;
    let (iv, status) = inverter.solve(side.mid(i), is_call);
    rows[out::IV * n + i] = iv;
    (iv, status)
}

/// The volatility the Greeks of a quote use: its own, else that of the other side at the same strike.
struct Pick {
    sigma: f64,
    code: u8,
}

impl Pick {
    fn of(own: f64, status: Status, other: f64) -> Self {
        if own.is_nan() && !other.is_nan() {
            Self { sigma: other, code: status as u8 + out::BORROWED }
        } else {
            Self { sigma: own, code: status as u8 }
        }
    }

    fn store(&self, greeks: Greeks, i: usize, n: usize, rows: &mut [f64]) {
        rows[out::IV_STATUS * n + i] = f64::from(self.code);
        for (row, value) in greeks.to_array().into_iter().enumerate() {
            rows[(out::GREEKS + row) * n + i] = value;
        }
    }
}

/// Number of quotes of a side whose own mid volatility converged.
pub(super) fn converged(rows: &[f64], n: usize) -> usize {
    rows[out::IV * n..][..n].iter().filter(|iv| !iv.is_nan()).count()
}

/// Mean of the mid volatilities of puts below and calls at or above the forward; NaN where there is none.
pub(super) fn mean_out_of_the_money(
    strikes: &[f64],
    forward: f64,
    call_rows: &[f64],
    put_rows: &[f64],
) -> f64 {
    let n = strikes.len();
    let (mut sum, mut count) = (0.0, 0.0);
    for (i, &strike) in strikes.iter().enumerate() {
        let rows = if strike < forward { put_rows } else { call_rows };
        let iv = rows[out::IV * n + i];
        if !iv.is_nan() {
            sum += iv;
            count += 1.0;
        }
    }
    // 0/0 is NaN.
    sum / count
}
