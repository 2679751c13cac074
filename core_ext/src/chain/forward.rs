//! The forward of a chain, from put-call parity where quotes allow it.
use super::columns::Columns;
use super::{Params, nearest};
use crate::black::is_level;
use crate::math::exp;

/// Strikes that vote.
const VOTES: usize = 7;

/// Where a forward comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ForwardSource {
    /// Put-call parity over the strikes nearest the spot.
    Parity = 0,
    /// The future of the expiry.
    Future = 1,
    /// The spot.
    Spot = 2,
    /// There is none.
    None = 3,
}

/// A forward price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forward {
    /// The price, NaN where the source is [`ForwardSource::None`].
    pub value: f64,
    /// Median absolute deviation of the votes; NaN where there were none.
    pub error: f64,
    /// Where it comes from.
    pub source: ForwardSource,
}

impl Forward {
    const NONE: Self = Self { value: f64::NAN, error: f64::NAN, source: ForwardSource::None };
}

/// Median of `K + exp(rT) (C - P)` over the 7 strikes nearest the spot (or future, or the median strike) whose
/// quotes are two-sided on both sides; else the future; else the spot. None where there is no time to expiry.
pub(super) fn forward(chain: &Columns, params: &Params) -> Forward {
    let Params { spot, future, .. } = *params;
    if !is_level(params.t) {
        return Forward::NONE;
    }
    let growth = exp(params.rate * params.t);
    let mut votes = [0.0; VOTES];
    let count = collect(chain, reference(chain.strikes, spot, future), growth, &mut votes);
    if count > 0 {
        let value = median(&mut votes[..count]);
        if is_level(value) {
            for vote in &mut votes[..count] {
                *vote = (*vote - value).abs();
            }
            return Forward { value, error: median(&mut votes[..count]), source: ForwardSource::Parity };
        }
    }
    if is_level(future) {
        Forward { value: future, error: f64::NAN, source: ForwardSource::Future }
    } else if is_level(spot) {
        Forward { value: spot, error: f64::NAN, source: ForwardSource::Spot }
    } else {
        Forward::NONE
    }
}

/// The price whose neighbourhood votes.
fn reference(strikes: &[f64], spot: f64, future: f64) -> f64 {
    if !spot.is_nan() {
        spot
    } else if !future.is_nan() {
        future
    } else {
        let n = strikes.len();
        if n == 0 { f64::NAN } else { 0.5 * strikes[(n - 1) / 2] + 0.5 * strikes[n / 2] }
    }
}

/// Walks outwards from the reference, the lower strike first on a tie, and fills `votes`; gives their number.
fn collect(chain: &Columns, reference: f64, growth: f64, votes: &mut [f64; VOTES]) -> usize {
    let strikes = chain.strikes;
    let Some(centre) = nearest(strikes, reference) else {
        return 0;
    };
    let (mut below, mut above) = (centre + 1, centre + 1);
    let mut count = 0;
    while count < VOTES && (below > 0 || above < strikes.len()) {
        let lower = above == strikes.len()
            || below > 0 && (reference - strikes[below - 1]).abs() <= (strikes[above] - reference).abs();
        let i = if lower {
            below -= 1;
            below
        } else {
            above += 1;
            above - 1
        };
        if let Some((call, put)) = chain.parity_mids(i) {
            let vote = strikes[i] + growth * (call - put);
            if vote.is_finite() {
                votes[count] = vote;
                count += 1;
            }
        }
    }
    count
}

/// Median of at least one finite number; reorders them.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    0.5 * values[(n - 1) / 2] + 0.5 * values[n / 2]
}
