//! Max pain: where the writers of all open contracts would pay least.
//!
//! `pain(x) = Σ OI_call max(0, x - K) + Σ OI_put max(0, K - x)` per unit of the multiplier, for `x` between the
//! first and the last strike. It is convex and linear between strikes with slope
//! `Σ_(K <= x) OI_call - Σ_(K > x) OI_put`, so one sweep finds the whole interval of its minimum.

/// A slope below this share of all open interest is flat: it is what summing fractions leaves behind.
const FLAT: f64 = 1e-9;

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
    pub const NAN: Self = Self {
        lo: f64::NAN,
        hi: f64::NAN,
        point: f64::NAN,
        pain: f64::NAN,
    };
}

/// Open interest as it counts: absent, negative and infinite values are none.
#[inline]
fn counted(oi: f64) -> f64 {
    if oi > 0.0 && oi < f64::INFINITY {
        oi
    } else {
        0.0
    }
}

/// The interval of least pain and its point nearest `reference` (the lowest point where that is NaN).
///
/// `strikes` strictly ascending, the three slices of one length. All NaN where there is no open interest.
#[must_use]
pub fn max_pain(strikes: &[f64], call_oi: &[f64], put_oi: &[f64], reference: f64) -> MaxPain {
    let total: f64 = call_oi.iter().chain(put_oi).map(|&oi| counted(oi)).sum();
    // The comparison is false for a sum that overflowed, too.
    if !(total > 0.0 && total < f64::INFINITY) {
        return MaxPain::NAN;
    }
    let flat = FLAT * total;
    let last = strikes.len() - 1;
    let mut slope = -put_oi.iter().map(|&oi| counted(oi)).sum::<f64>();
    let mut lo = last;
    let mut hi = last;
    for i in 0..last {
        slope += counted(call_oi[i]) + counted(put_oi[i]);
        if slope >= -flat && lo == last {
            lo = i;
        }
        if slope > flat {
            hi = i;
            break;
        }
    }
    let (lo, hi) = (strikes[lo], strikes[hi]);
    let point = if reference.is_nan() {
        lo
    } else {
        reference.clamp(lo, hi)
    };
    MaxPain {
        lo,
        hi,
        point,
        pain: pain_at(point, strikes, call_oi, put_oi),
    }
}

/// `pain(x)`.
#[must_use]
pub fn pain_at(x: f64, strikes: &[f64], call_oi: &[f64], put_oi: &[f64]) -> f64 {
    let sides = call_oi.iter().zip(put_oi);
    strikes
        .iter()
        .zip(sides)
        .map(|(&k, (&c, &p))| {
            if x > k {
                (x - k) * counted(c)
            } else {
                (k - x) * counted(p)
            }
        })
        .sum()
}
