//! At the money: strike, straddle and volatility.
use super::columns::{Columns, Side};
use super::{AtmSource, StraddleSource, nearest};
use crate::black::is_level;
use crate::math::ln_ratio;

/// Index of the listed strike nearest the forward, or the spot where there is no forward.
pub(super) fn strike(strikes: &[f64], forward: f64, spot: f64) -> (Option<usize>, AtmSource) {
    if let Some(i) = nearest(strikes, forward) {
        (Some(i), AtmSource::Forward)
    } else if let Some(i) = nearest(strikes, spot) {
        (Some(i), AtmSource::Spot)
    } else {
        (None, AtmSource::None)
    }
}

/// Call plus put at strike `i`: mids, or the last price of a side without one.
pub(super) fn straddle(chain: &Columns, i: Option<usize>) -> (f64, StraddleSource) {
    let Some(i) = i else {
        return (f64::NAN, StraddleSource::None);
    };
    let price = |side: &Side| {
        let mid = side.mid(i);
        if mid.is_nan() {
            (if is_level(side.last[i]) { side.last[i] } else { f64::NAN }, true)
        } else {
            (mid, false)
        }
    };
    let ((call, call_last), (put, put_last)) = (price(&chain.calls), price(&chain.puts));
    let sum = call + put;
    let source = if sum.is_nan() {
        StraddleSource::None
    } else if call_last || put_last {
        StraddleSource::Lasts
    } else {
        StraddleSource::Mids
    };
    (sum, source)
}

/// Volatility at the forward: linear in total variance over `ln(K/F)` between the nearest strikes on either side
/// that have one; NaN where a side has none.
pub(super) fn volatility(strikes: &[f64], forward: f64, calls: &[f64], puts: &[f64]) -> f64 {
    let n = strikes.len();
    let at = |i: usize| {
        let (own, other) = if strikes[i] < forward { (puts, calls) } else { (calls, puts) };
        let iv = if own[i].is_nan() { other[i] } else { own[i] };
        (!iv.is_nan()).then_some((strikes[i], iv))
    };
    let split = strikes.partition_point(|&k| k < forward);
    let above = (split..n).find_map(at);
    if let Some((_, iv)) = above.filter(|&(k, _)| k <= forward) {
        return iv;
    }
    let below = (0..split).rev().find_map(at);
    let (Some((k0, iv0)), Some((k1, iv1))) = (below, above) else {
        return f64::NAN;
    };
    let (x0, x1) = (ln_ratio(k0, forward), ln_ratio(k1, forward));
    let weight = -x0 / (x1 - x0);
    // The time to expiry cancels.
    (iv0 * iv0 * (1.0 - weight) + iv1 * iv1 * weight).sqrt()
}
