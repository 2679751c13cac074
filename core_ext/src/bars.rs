//! Bars: open, high, low and close over aligned intervals, mergeable in any order.
//!
//! A tick is a price with a key (time, order). Each bar keeps the keys of its first and last tick, so two partial
//! bars of the same interval merge to what one pass over all their ticks would give.
use crate::errors::{CoreError, same_length};

/// When a tick happened and which of those at that time it was.
pub type Key = (i64, i64);

/// One bar of one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// First nanosecond of the interval.
    pub start: i64,
    /// Price of the first tick.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Price of the last tick.
    pub close: f64,
    /// Number of ticks.
    pub count: i64,
    /// Key of the first tick.
    pub first: Key,
    /// Key of the last tick.
    pub last: Key,
}

impl Bar {
    /// The bar of a single tick.
    #[must_use]
    pub fn of_tick(start: i64, key: Key, price: f64) -> Self {
        Self {
            start,
            open: price,
            high: price,
            low: price,
            close: price,
            count: 1,
            first: key,
            last: key,
        }
    }

    /// Takes in another part of the same interval that shares no tick with this one.
    pub fn merge(&mut self, other: &Self) {
        if other.first < self.first {
            (self.first, self.open) = (other.first, other.open);
        }
        if other.last > self.last {
            (self.last, self.close) = (other.last, other.close);
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.count += other.count;
    }
}

/// Bars of the ticks in any order; a tick repeated with the same key and price counts once.
///
/// Intervals begin at multiples of `interval_ns` since the epoch. The bars come in ascending order, intervals
/// without a tick have none.
///
/// # Errors
/// Arrays of different lengths, a price that is not finite and positive, an interval that is not positive, one key
/// with two prices, or an interval beginning before the earliest representable time.
pub fn aggregate(
    ts_ns: &[i64],
    order: &[i64],
    prices: &[f64],
    interval_ns: i64,
) -> Result<Vec<Bar>, CoreError> {
    same_length("ts_ns", ts_ns.len(), "order", order.len())?;
    same_length("ts_ns", ts_ns.len(), "price", prices.len())?;
    if interval_ns <= 0 {
        return Err(CoreError::BadInterval { interval_ns });
    }
    if let Some(index) = prices.iter().position(|&p| !(p > 0.0 && p < f64::INFINITY)) {
        return Err(CoreError::BadPrice {
            index,
            value: prices[index],
        });
    }
    let key = |i: usize| (ts_ns[i], order[i]);
    let mut ticks: Vec<usize> = (0..prices.len()).collect();
    ticks.sort_by_key(|&i| key(i));

    let mut bars: Vec<Bar> = Vec::new();
    let mut previous: Option<usize> = None;
    for i in ticks {
        if let Some(p) = previous.filter(|&p| key(p) == key(i)) {
            if prices[p].to_bits() != prices[i].to_bits() {
                return Err(CoreError::ConflictingTick { index: i.max(p) });
            }
            continue;
        }
        previous = Some(i);
        let start = ts_ns[i]
            .div_euclid(interval_ns)
            .checked_mul(interval_ns)
            .ok_or(CoreError::TimeOutOfRange { index: i })?;
        let tick = Bar::of_tick(start, key(i), prices[i]);
        match bars.last_mut().filter(|bar| bar.start == start) {
            Some(bar) => bar.merge(&tick),
            None => bars.push(tick),
        }
    }
    Ok(bars)
}
