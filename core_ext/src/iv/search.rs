//! From a first guess to the last bit: Householder steps inside a bracket.
use super::curve::{Curve, normalised_value};
use crate::black::{NEAR_BOUND, bound_gap_over_vega, normalised_vega, value_over_vega};
use crate::math::ln;

/// `ln √(2π)`.
const LN_SQRT_TWO_PI: f64 = 0.9189385332046728;
/// A relative step below this leaves an error far below rounding: the steps are of fourth order.
const CONVERGED: f64 = 1e-6;
const MAX_STEPS: usize = 64;

impl Curve {
    /// The `s` whose normalised value is `value`, `0 < value < bound`.
    pub(super) fn total_sd(&self, value: f64) -> Option<f64> {
        if value < self.centre.value {
            let step = LogObjective { x: self.x, target: ln(value) };
            search(self.guess_below(value), 0.0, self.centre.s, |s| step.at(s))
        } else if value < 0.5 * self.bound {
            let step = ValueObjective { x: self.x, bound: self.bound, target: value };
            search(self.guess_above(value), self.centre.s, f64::INFINITY, |s| step.at(s))
        } else {
            let step = GapObjective { x: self.x, bound: self.bound, target: self.bound - value };
            search(self.guess_above(value), self.centre.s, f64::INFINITY, |s| step.at(s))
        }
    }
}

/// Newton's step and the two ratios `f''/f'`, `f'''/f'` that raise its order to four.
struct Step {
    newton: f64,
    second: f64,
    third: f64,
}

impl Step {
    /// Householder's step of fourth order.
    fn length(&self) -> f64 {
        let n = self.newton;
        n * (1.0 + 0.5 * self.second * n) / (1.0 + n * (self.second + self.third * n / 6.0))
    }
}

/// Second and third derivative of the normalised value by `s` in units of the first.
#[inline]
fn shape(h: f64, s: f64) -> (f64, f64) {
    let second = h * h / s - 0.25 * s;
    (second, second * second - 3.0 * (h / s) * (h / s) - 0.25)
}

/// `1/ln b(s) - 1/ln b*`: nearly linear in `s²` for small values, where `b` is far below any normal number too.
struct LogObjective {
    x: f64,
    target: f64,
}

impl LogObjective {
    fn at(&self, s: f64) -> Step {
        let (h, t) = (self.x / s, 0.5 * s);
        let ratio = value_over_vega(h, t);
        let log = ln(ratio) - 0.5 * (h * h + t * t) - LN_SQRT_TWO_PI;
        let slope = 1.0 / ratio;
        let (second, third) = shape(h, s);
        let inverse = 1.0 / log;
        Step {
            newton: (self.target - log) * log / self.target * ratio,
            second: second - slope * (1.0 + 2.0 * inverse),
            third: third + 2.0 * slope * slope * (1.0 + 3.0 * inverse * (1.0 + inverse))
                - 3.0 * second * slope * (1.0 + 2.0 * inverse),
        }
    }
}

/// `b(s) - b*`.
struct ValueObjective {
    x: f64,
    bound: f64,
    target: f64,
}

impl ValueObjective {
    fn at(&self, s: f64) -> Step {
        let (h, t) = (self.x / s, 0.5 * s);
        let vega = normalised_vega(h, t);
        let (second, third) = shape(h, s);
        Step { newton: (self.target - normalised_value(h, t, vega, self.bound)) / vega, second, third }
    }
}

/// `ln(b_max - b(s)) - ln(b_max - b*)` for values near the upper bound.
struct GapObjective {
    x: f64,
    bound: f64,
    target: f64,
}

impl GapObjective {
    fn at(&self, s: f64) -> Step {
        let (h, t) = (self.x / s, 0.5 * s);
        let vega = normalised_vega(h, t);
        let gap = if h + t < NEAR_BOUND {
            self.bound - vega * value_over_vega(h, t)
        } else {
            vega * bound_gap_over_vega(h, t)
        };
        let slope = vega / gap;
        let (second, third) = shape(h, s);
        Step {
            newton: ln(gap / self.target) / slope,
            second: second + slope,
            third: third + slope * (3.0 * second + 2.0 * slope),
        }
    }
}

/// Follows the steps from `guess`, staying between `lo` and `hi`; a step that leaves them is replaced by halving.
fn search(guess: f64, mut lo: f64, mut hi: f64, step: impl Fn(f64) -> Step) -> Option<f64> {
    let middle = |lo: f64, hi: f64| {
        if hi < f64::INFINITY { 0.5 * (lo + hi) } else { 2.0 * lo + 1.0 }
    };
    let mut s = if guess > lo && guess < hi { guess } else { middle(lo, hi) };
    for _ in 0..MAX_STEPS {
        let step = step(s);
        if step.newton > 0.0 {
            lo = s;
        } else {
            hi = s;
        }
        let length = step.length();
        let next = s + length;
        if length.abs() <= CONVERGED * s {
            return Some(next);
        }
        s = if next > lo && next < hi { next } else { middle(lo, hi) };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::black::out_of_the_money;
    use crate::math::exp;

    #[test]
    fn few_steps_from_every_start() {
        let steps = std::cell::Cell::new(0);
        let mut worst = 0;
        for i in 0..400 {
            for j in 1..200 {
                let x = -10.0 * f64::from(i * i) / 160_000.0;
                let curve = Curve::new(x, exp(0.5 * x));
                let s = 6.0 * f64::from(j) / 200.0;
                let value = out_of_the_money(x / s, 0.5 * s, 1.0, curve.bound);
                if value < curve.centre.value && value > 1e-300 {
                    steps.set(0);
                    let objective = LogObjective { x: curve.x, target: ln(value) };
                    let found = search(curve.guess_below(value), 0.0, curve.centre.s, |s| {
                        steps.set(steps.get() + 1);
                        objective.at(s)
                    });
                    assert!(found.is_some());
                    worst = worst.max(steps.get());
                }
            }
        }
        assert!(worst <= 3, "{worst} steps");
    }
}
