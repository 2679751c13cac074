//! Max pain: where the writers of all open contracts would pay least.
//!
//! `pain(x) = Σ OI_call max(0, x - K) + Σ OI_put max(0, K - x)` per unit of the multiplier, for `x` between the
//! first and the last strike. It is convex and linear between strikes with slope
//! `Σ_(K <= x) OI_call - Σ_(K > x) OI_put`, so one sweep finds the whole interval of its minimum.
use crate::sums::sum;

/// A slope below this share of all open interest is flat: it is what summing fractions leaves behind.
const FLAT: f64 = 1e-9;
/// Strikes summed at once while the slope is still below its flat part.
const STRIDE: usize = 16;

/// Where pain is least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxPain {
    /// Lowest strike with the least pain.
    pub lo: f64,
    /// Highest strike with the least pain; pain is flat between the two.
    pub hi: f64,
    /// The point of the interval nearest the reference price.
    pub point: f64,
    /// Pain there, in open-interest units times points.
    pub pain: f64,
}

impl MaxPain {
    /// Not computable.
    pub const NAN: Self = Self { lo: f64::NAN, hi: f64::NAN, point: f64::NAN, pain: f64::NAN };
}

/// The interval of least pain and its point nearest `reference` (the lowest point where that is NaN).
///
/// `strikes` strictly ascending, the three slices of one length; open interest that is absent, negative or infinite
/// counts as none. All NaN where there is no open interest or its sum overflows, `pain` where that does.
#[must_use]
pub fn max_pain(strikes: &[f64], call_oi: &[f64], put_oi: &[f64], reference: f64) -> MaxPain {
    let (calls, puts) = (counted(call_oi), counted(put_oi));
    let puts_total = sum([&puts], |[p]| p);
    let total = puts_total + sum([&calls], |[c]| c);
    // The comparison is false for a sum that overflowed, too.
    if !(total > 0.0 && total < f64::INFINITY) {
        return MaxPain::NAN;
    }
    let (lo, hi) = least(&calls, &puts, -puts_total, FLAT * total);
    let (lo, hi) = (strikes[lo], strikes[hi]);
    let point = if reference.is_nan() { lo } else { reference.clamp(lo, hi) };
    let split = strikes.partition_point(|&k| k < point);
    let pain = sum([&strikes[..split], &calls[..split]], |[k, c]| (point - k) * c)
        + sum([&strikes[split..], &puts[split..]], |[k, p]| (k - point) * p);
    MaxPain { lo, hi, point, pain: if pain < f64::INFINITY { pain } else { f64::NAN } }
}

/// Open interest as it counts.
fn counted(oi: &[f64]) -> Vec<f64> {
    let number = |&oi: &f64| {
        // Two selects, each one vector instruction; as one condition they are not vectorised.
        let known = if oi > 0.0 { oi } else { 0.0 };
        if known < f64::INFINITY { known } else { 0.0 }
    };
    oi.iter().map(number).collect()
}

/// First and last index of the least pain: where the slope, `slope` before the first strike, is no longer below
/// `-flat`, and where it is above `flat`.
fn least(calls: &[f64], puts: &[f64], mut slope: f64, flat: f64) -> (usize, usize) {
    let last = calls.len() - 1;
    let mut lo = None;
    for start in (0..last).step_by(STRIDE) {
        let stride = start..(start + STRIDE).min(last);
        // The slope never falls: a stride that ends below needs no second look.
        let after = slope + sum([&calls[stride.clone()], &puts[stride.clone()]], |[c, p]| c + p);
        if after < -flat {
            slope = after;
            continue;
        }
        for i in stride {
            slope += calls[i] + puts[i];
            if slope >= -flat {
                lo = lo.or(Some(i));
            }
            if slope > flat {
                return (lo.unwrap_or(i), i);
            }
        }
    }
    (lo.unwrap_or(last), last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::repeatable;
    use proptest::prelude::*;

    const STRIKES: [f64; 4] = [90.0, 100.0, 110.0, 120.0];

    #[test]
    fn flat_stretch_and_its_nearest_point() {
        let result = |spot| max_pain(&STRIKES, &[5.0, 5.0, 0.0, 0.0], &[0.0, 0.0, 5.0, 5.0], spot);
        assert_eq!((result(105.0).lo, result(105.0).hi), (100.0, 110.0));
        assert_eq!(result(105.0).point, 105.0);
        assert_eq!(result(50.0).point, 100.0);
        assert_eq!(result(500.0).point, 110.0);
        assert_eq!(result(f64::NAN).point, 100.0);
        assert_eq!(result(f64::INFINITY).point, 110.0);
        assert_eq!(result(105.0).pain, 15.0 * 5.0 + 5.0 * 5.0 + 5.0 * 5.0 + 15.0 * 5.0);
    }

    #[test]
    fn one_side_only_reaches_the_end() {
        let none = [f64::NAN; 4];
        let calls = max_pain(&STRIKES, &[0.0, 0.0, 1.0, 1.0], &none, 300.0);
        assert_eq!((calls.lo, calls.hi, calls.pain), (90.0, 110.0, 0.0));
        let puts = max_pain(&STRIKES, &none, &[1.0, 0.0, 0.0, 0.0], 300.0);
        assert_eq!((puts.lo, puts.hi, puts.pain), (90.0, 120.0, 0.0));
    }

    #[test]
    fn nothing_to_find() {
        for oi in [0.0, f64::NAN, -3.0, f64::INFINITY] {
            assert!(max_pain(&STRIKES, &[oi; 4], &[oi; 4], 100.0).lo.is_nan());
        }
        assert!(max_pain(&STRIKES, &[f64::MAX; 4], &[f64::MAX; 4], 100.0).pain.is_nan());
        let huge = max_pain(&[1e300, 2e300], &[0.0, 1e300], &[1e300, 0.0], 1.5e300);
        assert_eq!((huge.lo, huge.hi, huge.pain), (1e300, 2e300, 0.0));
        assert!(max_pain(&[1e300, 2e300], &[1e300, 0.0], &[0.0, 3e300], 0.0).pain.is_nan());
        assert!(max_pain(&[], &[], &[], 100.0).lo.is_nan());
        assert_eq!(
            max_pain(&[7.0], &[1.0], &[2.0], 100.0),
            MaxPain { lo: 7.0, hi: 7.0, point: 7.0, pain: 0.0 }
        );
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        /// Thirds of contracts do not sum exactly; in thirds the reference is exact.
        #[test]
        fn equals_brute_force(
            gaps in prop::collection::vec(1u32..5, 1..90),
            thirds in prop::collection::vec((0u32..4, 0u32..4), 90),
        ) {
            let mut level = 100;
            let strikes: Vec<i64> = gaps.iter().map(|&g| { level += i64::from(g); level }).collect();
            let oi = &thirds[..strikes.len()];
            let pains: Vec<i64> = strikes.iter().map(|&x| {
                strikes.iter().zip(oi)
                    .map(|(&k, &(c, p))| i64::from(c) * (x - k).max(0) + i64::from(p) * (k - x).max(0))
                    .sum()
            }).collect();
            let least = *pains.iter().min().unwrap_or(&0);
            let lo = pains.iter().position(|&p| p == least).map(|i| strikes[i] as f64);
            let hi = pains.iter().rposition(|&p| p == least).map(|i| strikes[i] as f64);

            let levels: Vec<f64> = strikes.iter().map(|&k| k as f64).collect();
            let calls: Vec<f64> = oi.iter().map(|&(c, _)| f64::from(c) / 3.0).collect();
            let puts: Vec<f64> = oi.iter().map(|&(_, p)| f64::from(p) / 3.0).collect();
            let found = max_pain(&levels, &calls, &puts, f64::NAN);
            if oi.iter().all(|&(c, p)| c + p == 0) {
                prop_assert!(found.lo.is_nan());
            } else {
                prop_assert_eq!((Some(found.lo), Some(found.hi)), (lo, hi));
                prop_assert!((found.pain - least as f64 / 3.0).abs() <= 1e-9 * (1.0 + least as f64));
            }
        }
    }
}
