//! Open interest and volume: changes, build-up and totals.
use super::columns::Side;
use super::{Params, out, quantity};
use crate::black::is_level;

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
    /// Classifies a price change against `price_step` and a change of open interest against `oi_step`.
    #[must_use]
    pub fn classify(price_change: f64, oi_change: f64, price_step: f64, oi_step: f64) -> Self {
        let (up, down) = (price_change > price_step, price_change < -price_step);
        let (more, fewer) = (oi_change > oi_step, oi_change < -oi_step);
        match (up, down, more, fewer) {
            (true, _, true, _) => Self::Long,
            (_, true, true, _) => Self::Short,
            (true, _, _, true) => Self::ShortCovering,
            (_, true, _, true) => Self::LongUnwinding,
            _ => Self::Neutral,
        }
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
pub(super) fn fill(side: &Side, params: &Params, rows: &mut [f64]) {
    let n = side.oi.len();
    let step = |value: f64| if is_level(value) { value } else { 0.0 };
    let (price_step, lot) = (step(params.tick_size), step(params.lot));
    for i in 0..n {
        let (Some(oi), Some(previous)) = (quantity(side.oi[i]), quantity(side.prev_oi[i])) else {
            continue;
        };
        let oi_change = oi - previous;
        rows[out::OI_CHANGE * n + i] = oi_change;
        let (last, close) = (side.last[i], side.prev_close[i]);
        if is_level(last) && is_level(close) {
            let oi_step = lot.max(OI_THRESHOLD * previous);
            let class = BuildUp::classify(last - close, oi_change, price_step, oi_step);
            rows[out::BUILDUP * n + i] = f64::from(class as u8);
        }
    }
}

/// Totals of a side whose rows [`fill`] has filled.
pub(super) fn totals(side: &Side, rows: &[f64]) -> Totals {
    let n = side.oi.len();
    let (oi, oi_count) = sum(side.oi.iter().copied().filter_map(quantity));
    let (volume, volume_count) = sum(side.volume.iter().copied().filter_map(quantity));
    let changes = &rows[out::OI_CHANGE * n..][..n];
    let (oi_change, oi_change_count) = sum(changes.iter().copied().filter(|c| !c.is_nan()));
    Totals { oi, oi_count, volume, volume_count, oi_change, oi_change_count }
}

fn sum(values: impl Iterator<Item = f64>) -> (f64, usize) {
    let (total, count) = values.fold((0.0, 0), |(total, count), v| (total + v, count + 1));
    (if count == 0 { f64::NAN } else { total }, count)
}
