//! The chain sweep: everything the enricher needs of one chain, in one call.
//!
//! A chain comes as 23 rows of one column per strike (see [`columns`]) and leaves as 38 rows (see [`rows`]) and a
//! [`Summary`]. It passes through stages, each over whole columns: the forward, the volatilities of all quotes, the
//! Greeks of all contracts, the changes, then sums in a fixed order; so every level gives the same bits.
//!
//! A price is there when it is finite and positive, a quantity when it is finite and not negative; anything else is
//! absent. What cannot be computed is NaN, and a code beside it says why.
mod atm;
mod exposure;
mod forward;
mod interest;
mod sensitivity;
mod volatility;

pub mod columns;
pub mod rows;

use crate::black::is_level;
use crate::errors::{CoreError, check_strikes};
use crate::level::Level;
use crate::math::select;
use crate::max_pain::{MaxPain, max_pain};
use columns::Columns;
pub use exposure::{Convention, Exposure, Quantities};
pub use forward::{Forward, ForwardSource};
pub use interest::BuildUp;
use rows::Rows;

/// Added to a status where the Greeks use the volatility of the other side at the same strike.
pub const BORROWED: u8 = 16;

/// What a chain's columns do not say. Each may be NaN where not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Params {
    /// Price of the underlying.
    pub spot: f64,
    /// Price of the future of the same expiry.
    pub future: f64,
    /// Years to the expiry instant; NaN or not positive: nothing that depends on time is computed.
    pub t: f64,
    /// Continuously compounded rate.
    pub rate: f64,
    /// Smallest price step, the threshold of a price change.
    pub tick_size: f64,
    /// Contract size in the unit of the open interest, the least threshold of its change.
    pub lot: f64,
    /// Units of the underlying per unit of open interest.
    pub multiplier: f64,
    /// How the exposures of calls and puts net.
    pub convention: Convention,
}

/// What all contracts of a chain share; NaN where there is none.
struct Market {
    spot: f64,
    forward: f64,
    t: f64,
    rate: f64,
}

/// Where the straddle's prices come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StraddleSource {
    /// Both mids.
    Mids = 0,
    /// The last price of at least one side, which has no two-sided quote.
    Lasts = 1,
    /// A side has neither.
    None = 2,
}

/// What the at-the-money strike is nearest to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AtmSource {
    /// The forward.
    Forward = 0,
    /// The spot, where there is no forward.
    Spot = 1,
    /// There is neither, or no strike.
    None = 2,
}

/// The numbers of a whole chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Forward price, its error and its source.
    pub forward: Forward,
    /// Listed strike nearest the forward, the lower on a tie.
    pub atm_strike: f64,
    /// What that strike is nearest to.
    pub atm_source: AtmSource,
    /// Call plus put at that strike.
    pub straddle: f64,
    /// Where its prices come from.
    pub straddle_source: StraddleSource,
    /// Volatility at the forward.
    pub atm_iv: f64,
    /// Mean of the mid volatilities of the out-of-the-money quotes.
    pub avg_iv: f64,
    /// Totals of the calls.
    pub calls: interest::Totals,
    /// Totals of the puts.
    pub puts: interest::Totals,
    /// Put over call open interest.
    pub pcr_oi: f64,
    /// Put over call volume.
    pub pcr_volume: f64,
    /// Where the pain of the writers is least.
    pub max_pain: MaxPain,
    /// Number of strikes.
    pub strikes: usize,
    /// Strikes with a two-sided quote on both sides.
    pub two_sided: usize,
    /// Quotes whose mid volatility converged.
    pub converged: usize,
    /// What the dealers are exposed to.
    pub exposure: Exposure,
}

/// Computes one chain. `data` holds [`columns::ROWS`] rows of `n`, `output` [`rows::ROWS`] rows of `n`, all of which
/// are written.
///
/// # Errors
/// Strikes that are not finite, positive and strictly ascending.
///
/// # Panics
/// If the slices do not have these sizes.
pub fn sweep(
    level: Level,
    data: &[f64],
    n: usize,
    params: &Params,
    output: &mut [f64],
) -> Result<Summary, CoreError> {
    assert_eq!(output.len(), rows::ROWS * n, "38 rows of n");
    let chain = Columns::new(data, n);
    check_strikes(chain.strikes)?;
    let params = Params { spot: level_or_nan(params.spot), future: level_or_nan(params.future), ..*params };

    let forward = forward::forward(&chain, &params);
    let market = Market { spot: params.spot, forward: forward.value, t: params.t, rate: params.rate };
    let mut sides = Rows::of_both_sides(output, n);
    volatility::fill(level, &market, &chain, &mut sides)?;
    let [calls, puts] = &mut sides;
    let sigmas = [volatility::pick(calls, puts), volatility::pick(puts, calls)];
    sensitivity::fill(level, &market, true, chain.strikes, &sigmas[0], calls)?;
    sensitivity::fill(level, &market, false, chain.strikes, &sigmas[1], puts)?;
    interest::fill(&chain.calls, &params, calls);
    interest::fill(&chain.puts, &params, puts);
    let calls = interest::totals(&chain.calls, &sides[0]);
    let puts = interest::totals(&chain.puts, &sides[1]);
    let [call_ivs, put_ivs] = [0, 1].map(|side: usize| sides[side].iv());

    let (atm_index, atm_source) = atm::strike(chain.strikes, forward.value, params.spot);
    let (straddle, straddle_source) = atm::straddle(&chain, atm_index);
    let reference = if params.spot.is_nan() { forward.value } else { params.spot };
    Ok(Summary {
        forward,
        atm_strike: atm_index.map_or(f64::NAN, |i| chain.strikes[i]),
        atm_source,
        straddle,
        straddle_source,
        atm_iv: atm::volatility(chain.strikes, forward.value, call_ivs, put_ivs),
        avg_iv: volatility::mean_out_of_the_money(chain.strikes, forward.value, call_ivs, put_ivs),
        pcr_oi: ratio(puts.oi, calls.oi),
        pcr_volume: ratio(puts.volume, calls.volume),
        max_pain: max_pain(chain.strikes, chain.calls.oi, chain.puts.oi, reference),
        strikes: n,
        two_sided: (0..n).filter(|&i| chain.parity_mids(i).is_some()).count(),
        converged: volatility::converged(call_ivs) + volatility::converged(put_ivs),
        exposure: exposure::exposure(&chain, &sides, &params, [&calls, &puts]),
        calls,
        puts,
    })
}

/// `a / b`, NaN where `b` is zero or either is absent.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { f64::NAN }
}

fn level_or_nan(value: f64) -> f64 {
    if is_level(value) { value } else { f64::NAN }
}

/// A quantity where it is there, else NaN.
#[inline]
fn quantity(value: f64) -> f64 {
    select((0.0..f64::INFINITY).contains(&value), value, f64::NAN)
}

/// Makes every NaN of a row the same one, whose bits do not tell where it came from.
fn same_nan(row: &mut [f64]) {
    for value in row {
        *value = select(value.is_nan(), f64::NAN, *value);
    }
}

/// Index of the strike nearest `target`, the lower on a tie.
fn nearest(strikes: &[f64], target: f64) -> Option<usize> {
    if strikes.is_empty() || target.is_nan() {
        return None;
    }
    let above = strikes.partition_point(|&k| k < target);
    if above == strikes.len() {
        return Some(above - 1);
    }
    if above > 0 && target - strikes[above - 1] <= strikes[above] - target {
        return Some(above - 1);
    }
    Some(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: Params = Params {
        spot: 105.0,
        future: f64::NAN,
        t: 0.1,
        rate: 0.0,
        tick_size: 0.05,
        lot: 1.0,
        multiplier: 75.0,
        convention: Convention::Naive,
    };

    #[test]
    fn nearest_strike() {
        let strikes = [90.0, 100.0, 110.0];
        for (target, index) in [(-1.0, 0), (95.0, 0), (95.1, 1), (100.0, 1), (105.0, 1), (1e9, 2)] {
            assert_eq!(nearest(&strikes, target), Some(index), "{target}");
        }
        assert_eq!(nearest(&strikes, f64::NAN), None);
        assert_eq!(nearest(&[], 1.0), None);
    }

    #[test]
    fn parity_of_one_strike() {
        let mut data = [f64::NAN; columns::ROWS];
        data[0] = 100.0;
        (data[1], data[3], data[12], data[14]) = (7.0, 7.0, 2.0, 2.0);
        let mut output = [0.0; rows::ROWS];
        let summary = sweep(Level::best(), &data, 1, &PARAMS, &mut output);
        assert_eq!(
            summary.map(|s| (s.forward.value, s.forward.error, s.straddle, s.two_sided, s.converged)),
            Ok((105.0, 0.0, 9.0, 1, 2))
        );
        let (call, put) = (output[1], output[12]);
        assert!((call / put - 1.0).abs() < 1e-14, "{call} {put}");
        assert_eq!(output[0].to_bits(), call.to_bits());
    }

    #[test]
    fn strikes_must_ascend() {
        let mut data = [1.0; columns::ROWS * 2];
        let mut output = [0.0; rows::ROWS * 2];
        let error = sweep(Level::best(), &data, 2, &PARAMS, &mut output);
        assert_eq!(error, Err(CoreError::StrikesNotAscending { index: 1 }));
        data[1] = f64::NAN;
        assert!(matches!(
            sweep(Level::best(), &data, 2, &PARAMS, &mut output),
            Err(CoreError::BadStrike { index: 1, .. })
        ));
    }
}
