//! Bars: open, high, low and close over aligned intervals, mergeable in any order.
//!
//! A tick is a price with a key (time, order). Each bar keeps the keys of its first and last tick, so two partial
//! bars of the same interval merge to what one pass over all their ticks would give.
use crate::errors::{CoreError, same_length};
use std::cmp::Ordering;

/// Extremes kept side by side, to fill vector registers.
const LANES: usize = 8;

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

/// Bars of one interval length, ascending; intervals without a tick have none.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    interval_ns: i64,
    bars: Vec<Bar>,
}

impl Bars {
    /// Bars of the ticks in any order; a tick repeated with the same key and price counts once.
    ///
    /// Intervals begin at multiples of `interval_ns` since the epoch. Ticks in ascending order of their keys need no
    /// sorting: that is looked for first.
    ///
    /// # Errors
    /// Arrays of different lengths, a price that is not finite and positive, an interval that is not positive, one
    /// key with two prices, or an interval beginning before the earliest representable time.
    pub fn aggregate(
        ts_ns: &[i64],
        order: &[i64],
        prices: &[f64],
        interval_ns: i64,
    ) -> Result<Self, CoreError> {
        same_length("ts_ns", ts_ns.len(), "order", order.len())?;
        same_length("ts_ns", ts_ns.len(), "price", prices.len())?;
        if interval_ns <= 0 {
            return Err(CoreError::BadInterval { interval_ns });
        }
        check_prices(prices)?;
        let bars = if ascending(ts_ns, order) {
            of_ascending(&Ticks { ts_ns, order, prices }, interval_ns, |i| i)
        } else {
            of_unordered(&Ticks { ts_ns, order, prices }, interval_ns)
        }?;
        Ok(Self { interval_ns, bars })
    }

    /// The bars of all the ticks of two parts that share none.
    ///
    /// # Errors
    /// Intervals of different lengths; two bars of one interval of which the first or last ticks are the same tick.
    pub fn merge(&self, other: &Self) -> Result<Self, CoreError> {
        if self.interval_ns != other.interval_ns {
            return Err(CoreError::DifferentIntervals { left: self.interval_ns, right: other.interval_ns });
        }
        let mut bars = Vec::with_capacity(self.bars.len().max(other.bars.len()));
        let (mut left, mut right) = (self.bars.iter().peekable(), other.bars.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            match a.start.cmp(&b.start) {
                Ordering::Less => bars.extend(left.next()),
                Ordering::Greater => bars.extend(right.next()),
                Ordering::Equal => {
                    if [a.first, a.last].iter().any(|key| [b.first, b.last].contains(key)) {
                        return Err(CoreError::SharedTick { start: a.start });
                    }
                    let mut bar = **a;
                    bar.merge(b);
                    bars.push(bar);
                    left.next();
                    right.next();
                }
            }
        }
        bars.extend(left.chain(right));
        Ok(Self { interval_ns: self.interval_ns, bars })
    }

    /// Length of each interval.
    #[must_use]
    pub fn interval_ns(&self) -> i64 {
        self.interval_ns
    }

    /// The bars.
    #[must_use]
    pub fn as_slice(&self) -> &[Bar] {
        &self.bars
    }
}

/// Columns of ticks.
struct Ticks<'a> {
    ts_ns: &'a [i64],
    order: &'a [i64],
    prices: &'a [f64],
}

fn check_prices(prices: &[f64]) -> Result<(), CoreError> {
    // Without an early exit the comparisons are vector instructions; the search is for the offender alone.
    let (positive, finite) = (|p: &&f64| **p > 0.0, |p: &&f64| **p < f64::INFINITY);
    if prices.iter().filter(positive).count() + prices.iter().filter(finite).count() == 2 * prices.len() {
        return Ok(());
    }
    match prices.iter().position(|&p| !(p > 0.0 && p < f64::INFINITY)) {
        Some(index) => Err(CoreError::BadPrice { index, value: prices[index] }),
        None => Ok(()),
    }
}

/// Whether each key is above the one before it.
fn ascending(ts_ns: &[i64], order: &[i64]) -> bool {
    let mut keys = ts_ns.iter().zip(order);
    let Some(mut previous) = keys.next() else {
        return true;
    };
    keys.all(|key| std::mem::replace(&mut previous, key) < key)
}

/// Puts ticks into order, each once, and aggregates them.
fn of_unordered(ticks: &Ticks, interval_ns: i64) -> Result<Vec<Bar>, CoreError> {
    let mut keys: Vec<(i64, i64, usize)> =
        ticks.ts_ns.iter().zip(ticks.order).enumerate().map(|(i, (&ts, &order))| (ts, order, i)).collect();
    // Stable: finds the ascending runs of feeds put one after the other.
    keys.sort_by_key(|&(ts, order, _)| (ts, order));
    for pair in keys.windows(2) {
        let ([(ts0, order0, i), (ts1, order1, j)], prices) = ([pair[0], pair[1]], ticks.prices);
        if (ts0, order0) == (ts1, order1) && prices[i].to_bits() != prices[j].to_bits() {
            return Err(CoreError::ConflictingTick { index: j });
        }
    }
    keys.dedup_by_key(|&mut (ts, order, _)| (ts, order));
    let ts_ns: Vec<i64> = keys.iter().map(|key| key.0).collect();
    let order: Vec<i64> = keys.iter().map(|key| key.1).collect();
    let prices: Vec<f64> = keys.iter().map(|key| ticks.prices[key.2]).collect();
    let sorted = Ticks { ts_ns: &ts_ns, order: &order, prices: &prices };
    of_ascending(&sorted, interval_ns, |i| keys[i].2)
}

/// Bars of ticks whose keys ascend; `position` tells where a tick stood in the caller's arrays.
fn of_ascending(
    ticks: &Ticks,
    interval_ns: i64,
    position: impl Fn(usize) -> usize,
) -> Result<Vec<Bar>, CoreError> {
    let Ticks { ts_ns, order, prices } = *ticks;
    let mut bars = Vec::new();
    let mut begin = 0;
    while begin < ts_ns.len() {
        let start = ts_ns[begin]
            .div_euclid(interval_ns)
            .checked_mul(interval_ns)
            .ok_or_else(|| CoreError::TimeOutOfRange { index: position(begin) })?;
        // No time from `start` on is further away than a u64 holds.
        let inside = |ts: i64| ts.abs_diff(start) < interval_ns.unsigned_abs();
        let end = begin + run_length(&ts_ns[begin..], inside);
        let (low, high) = range(&prices[begin..end]);
        bars.push(Bar {
            start,
            open: prices[begin],
            high,
            low,
            close: prices[end - 1],
            count: (end - begin) as i64,
            first: (ts_ns[begin], order[begin]),
            last: (ts_ns[end - 1], order[end - 1]),
        });
        begin = end;
    }
    Ok(bars)
}

/// How many times from the first on are `inside`; at least one. Doubles its steps, so that long and short runs are
/// both quick.
fn run_length(times: &[i64], inside: impl Fn(i64) -> bool) -> usize {
    let mut step = 1;
    while step < times.len() && inside(times[step]) {
        step *= 2;
    }
    let known = step / 2 + 1;
    let limit = step.min(times.len());
    known + times[known..limit].partition_point(|&ts| inside(ts))
}

/// Lowest and highest of at least one price.
fn range(prices: &[f64]) -> (f64, f64) {
    let (mut low, mut high) = ([prices[0]; LANES], [prices[0]; LANES]);
    let (blocks, rest) = prices.as_chunks::<LANES>();
    for block in blocks {
        for ((low, high), &price) in low.iter_mut().zip(&mut high).zip(block) {
            *low = if price < *low { price } else { *low };
            *high = if price > *high { price } else { *high };
        }
    }
    let lowest = low.iter().chain(rest).fold(prices[0], |low, &p| low.min(p));
    let highest = high.iter().chain(rest).fold(prices[0], |high, &p| high.max(p));
    (lowest, highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::repeatable;
    use proptest::prelude::*;

    fn aggregate(ts: &[i64], order: &[i64], prices: &[f64], interval: i64) -> Result<Vec<Bar>, CoreError> {
        Bars::aggregate(ts, order, prices, interval).map(|bars| bars.as_slice().to_vec())
    }

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
        let unordered = aggregate(&[5, i64::MIN], &[0; 2], &[1.0; 2], 7);
        assert_eq!(unordered, Err(CoreError::TimeOutOfRange { index: 1 }));
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

    #[test]
    fn one_bar_over_all_time() {
        let bars = aggregate(&[0, 1, i64::MAX], &[0; 3], &[2.0, 3.0, 1.0], i64::MAX).unwrap_or_default();
        let counts: Vec<_> = bars.iter().map(|bar| (bar.start, bar.count)).collect();
        assert_eq!(counts, [(0, 2), (i64::MAX, 1)]);
    }

    #[test]
    fn merges_that_are_refused() {
        let bars = |ts: i64, interval: i64| Bars::aggregate(&[ts], &[0], &[1.0], interval);
        let merged = |a: Result<Bars, CoreError>, b: Result<Bars, CoreError>| a?.merge(&b?);
        assert_eq!(
            merged(bars(3, 10), bars(3, 20)),
            Err(CoreError::DifferentIntervals { left: 10, right: 20 })
        );
        assert_eq!(merged(bars(13, 10), bars(13, 10)), Err(CoreError::SharedTick { start: 10 }));
        assert_eq!(merged(bars(3, 10), bars(4, 10)).map(|bars| bars.as_slice().len()), Ok(1));
    }

    /// Bars of the parts of `ticks`: tick `i` belongs to part `parts[i]`.
    fn part(ticks: &[((i64, i64), f64)], parts: &[u8], wanted: u8) -> Bars {
        let chosen: Vec<_> = ticks.iter().zip(parts).filter(|(_, part)| **part == wanted).collect();
        let ts: Vec<i64> = chosen.iter().map(|(tick, _)| tick.0.0).collect();
        let order: Vec<i64> = chosen.iter().map(|(tick, _)| tick.0.1).collect();
        let price: Vec<f64> = chosen.iter().map(|(tick, _)| tick.1).collect();
        Bars::aggregate(&ts, &order, &price, 20).unwrap_or(Bars { interval_ns: 0, bars: vec![] })
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        #[test]
        fn parts_merge_to_the_whole_in_any_order(
            ticks in prop::collection::btree_map((-150i64..150, 0i64..3), 1u32..100, 0..60),
            parts in prop::collection::vec(0u8..3, 60),
        ) {
            let ticks: Vec<_> = ticks.into_iter().map(|(key, price)| (key, f64::from(price))).collect();
            let [a, b, c] = [0, 1, 2].map(|wanted| part(&ticks, &parts, wanted));
            let whole = part(&ticks, &vec![0; ticks.len()], 0);
            let left = a.merge(&b).and_then(|ab| ab.merge(&c));
            let right = c.merge(&b).and_then(|cb| cb.merge(&a));
            prop_assert_eq!(left, Ok(whole.clone()));
            prop_assert_eq!(right, Ok(whole));
        }

        #[test]
        fn order_does_not_matter(
            ticks in prop::collection::btree_map((-150i64..150, 0i64..3), 1u32..100, 0..60),
        ) {
            let mut ticks: Vec<_> = ticks.into_iter().map(|(key, price)| (key, f64::from(price))).collect();
            let parts = vec![0; ticks.len()];
            let ordered = part(&ticks, &parts, 0);
            ticks.reverse();
            prop_assert_eq!(part(&ticks, &parts, 0), ordered);
        }

        #[test]
        fn runs_end_where_the_interval_does(length in 1usize..40, more in 0usize..40) {
            let times: Vec<i64> = (0..(length + more) as i64).collect();
            prop_assert_eq!(run_length(&times, |ts| ts < length as i64), length);
        }
    }
}
