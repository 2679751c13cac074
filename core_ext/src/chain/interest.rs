//! Open interest and volume: changes, build-up and totals.
use super::columns::Side;
use super::rows::Rows;
use super::{Params, quantity};
use crate::black::is_level;
use crate::math::select;
use crate::sums::sum;

/// Share of the previous open interest below which a change means nothing.
const OI_THRESHOLD: f64 = 0.005;

/// What a change of price and of open interest together say about positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BuildUp {
    /// One of the changes is within its threshold.
    Neutral = 0,
    /// Price up, open interest up.
    Long = 1,
    /// Price down, open interest up.
    Short = 2,
    /// Price up, open interest down.
    ShortCovering = 3,
    /// Price down, open interest down.
    LongUnwinding = 4,
}

impl BuildUp {
    #[inline]
    fn code(self) -> f64 {
        f64::from(self as u8)
    }
}

/// Sums over one side; NaN where no strike has the quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    /// Open interest.
    pub oi: f64,
    /// Strikes that have it.
    pub oi_count: usize,
    /// Volume.
    pub volume: f64,
    /// Strikes that have it.
    pub volume_count: usize,
    /// Change in open interest, over the strikes that have both values.
    pub oi_change: f64,
    /// Strikes that have it.
    pub oi_change_count: usize,
}

/// Fills the rows of change in open interest and build-up.
pub(super) fn fill(side: &Side, params: &Params, rows: &mut Rows) {
    let step = |value: f64| if is_level(value) { value } else { 0.0 };
    let (price_step, lot) = (step(params.tick_size), step(params.lot));
    let (changes, codes) = (rows.oi_change.iter_mut(), rows.buildup.iter_mut());
    let now = side.oi.iter().zip(side.last);
    let before = side.prev_oi.iter().zip(side.prev_close);
    for (((&oi, &last), (&previous, &close)), (change, code)) in now.zip(before).zip(changes.zip(codes)) {
        let oi_change = quantity(oi) - quantity(previous);
        let price_change = select(is_level(last) & is_level(close), last - close, f64::NAN);
        let share = OI_THRESHOLD * previous;
        let found = build_up(price_change, oi_change, price_step, select(share > lot, share, lot));
        *change = select(oi_change.is_nan(), f64::NAN, oi_change);
        *code = select((price_change + oi_change).is_nan(), f64::NAN, found);
    }
}

/// Code of a price change against `price_step` and a change of open interest against `oi_step`.
///
/// By selections, not branches: which one it is cannot be predicted.
#[inline]
fn build_up(price_change: f64, oi_change: f64, price_step: f64, oi_step: f64) -> f64 {
    let by_interest = |more: BuildUp, fewer: BuildUp| {
        let falling = select(oi_change < -oi_step, fewer.code(), BuildUp::Neutral.code());
        select(oi_change > oi_step, more.code(), falling)
    };
    let rising = by_interest(BuildUp::Long, BuildUp::ShortCovering);
    let falling = by_interest(BuildUp::Short, BuildUp::LongUnwinding);
    let falling = select(price_change < -price_step, falling, BuildUp::Neutral.code());
    select(price_change > price_step, rising, falling)
}

/// Totals of a side whose rows [`fill`] has filled.
pub(super) fn totals(side: &Side, rows: &Rows) -> Totals {
    let (oi, oi_count) = total(side.oi, quantity);
    let (volume, volume_count) = total(side.volume, quantity);
    let (oi_change, oi_change_count) = total(rows.oi_change, |change| change);
    Totals { oi, oi_count, volume, volume_count, oi_change, oi_change_count }
}

/// Sum and number of the values that are there; the sum is NaN where none is.
#[inline]
fn total(values: &[f64], there: impl Fn(f64) -> f64) -> (f64, usize) {
    let count = values.iter().filter(|&&value| !there(value).is_nan()).count();
    let known = |[value]: [f64; 1]| {
        let value = there(value);
        select(value.is_nan(), 0.0, value)
    };
    (if count == 0 { f64::NAN } else { sum([values], known) }, count)
}
