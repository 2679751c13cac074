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
        Self { start, open: price, high: price, low: price, close: price, count: 1, first: key, last: key }
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
        return Err(CoreError::BadPrice { index, value: prices[index] });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::repeatable;
    use proptest::prelude::*;

    #[test]
    fn one_bar_of_unordered_repeated_ticks() {
        let bars = aggregate(&[7, 5, 5, 9, 7], &[0, 2, 1, 0, 0], &[3.0, 8.0, 2.0, 4.0, 3.0], 10);
        let bar = Bar {
            start: 0,
            open: 2.0,
            high: 8.0,
            low: 2.0,
            close: 4.0,
            count: 4,
            first: (5, 1),
            last: (9, 0),
        };
        assert_eq!(bars, Ok(vec![bar]));
    }

    #[test]
    fn aligned_before_the_epoch_too() {
        let bars = aggregate(&[-1, 0, -10, -11], &[0; 4], &[1.0; 4], 10).unwrap_or_default();
        assert_eq!(bars.iter().map(|b| b.start).collect::<Vec<_>>(), [-20, -10, 0]);
    }

    #[test]
    fn refusals() {
        let length = aggregate(&[1], &[], &[1.0], 10);
        assert!(matches!(length, Err(CoreError::LengthMismatch { expected: 1, actual: 0, .. })));
        assert_eq!(aggregate(&[], &[], &[], 0), Err(CoreError::BadInterval { interval_ns: 0 }));
        assert_eq!(aggregate(&[i64::MIN], &[0], &[1.0], 7), Err(CoreError::TimeOutOfRange { index: 0 }));
        assert_eq!(aggregate(&[1, 1], &[0, 0], &[1.0, 2.0], 7), Err(CoreError::ConflictingTick { index: 1 }));
        for bad in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(
                aggregate(&[1, 2], &[0, 0], &[1.0, bad], 7),
                Err(CoreError::BadPrice { index: 1, value: bad })
            );
        }
        assert!(aggregate(&[1], &[0], &[f64::NAN], 7).is_err());
        assert_eq!(aggregate(&[], &[], &[], 7), Ok(vec![]));
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        #[test]
        fn parts_merge_to_the_whole(
            ticks in prop::collection::btree_map((-50i64..50, 0i64..3), 1u32..100, 0..40),
            cut in 0usize..40,
        ) {
            let all: Vec<((i64, i64), f64)> =
                ticks.into_iter().map(|(key, price)| (key, f64::from(price))).collect();
            let bars = |ticks: &[((i64, i64), f64)]| {
                let ts: Vec<i64> = ticks.iter().map(|t| t.0.0).collect();
                let order: Vec<i64> = ticks.iter().map(|t| t.0.1).collect();
                let price: Vec<f64> = ticks.iter().map(|t| t.1).collect();
                aggregate(&ts, &order, &price, 20).unwrap_or_default()
            };
            // Every other tick in one part, so that the parts overlap in time; reversed, as order must not matter.
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (i, &tick) in all.iter().enumerate().rev() {
                if i % 2 == 0 && i < cut { left.push(tick) } else { right.push(tick) }
            }
            let mut merged = bars(&left);
            for part in bars(&right) {
                match merged.iter_mut().find(|bar| bar.start == part.start) {
                    Some(bar) => bar.merge(&part),
                    None => merged.push(part),
                }
            }
            merged.sort_by_key(|bar| bar.start);
            prop_assert_eq!(merged, bars(&all));
        }
    }
}
