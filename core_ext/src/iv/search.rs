//! The solution where plain steps from the first guess have not found it: steps inside a bracket.
use super::problem::Problem;
use super::step::{Evaluation, is_last, moved};
use crate::math::{exp, ln, select};

/// Every second step halves the bracket in `ln s`, which is less than 800 wide: at the end nothing is left of it.
const MOST: usize = 140;

/// Solves any problem of `0 <= a < ∞` and a normal `target` below 0.6; None if its digits do not tell `s`.
#[cold]
pub(super) fn search(problem: &Problem) -> Option<f64> {
    let (mut low, mut high) = bracket(problem);
    let mut s = middle(low, high);
    for i in 0..MOST {
        let evaluation = Evaluation::new(problem, s);
        let missing = evaluation.missing();
        let (x, newton) = evaluation.step(missing);
        let next = moved(s, x);
        if is_last(problem, s, newton) {
            return Some(next);
        }
        // A value rises with s, a gap falls.
        if (missing > 0.0) == problem.high {
            high = s;
        } else {
            low = s;
        }
        let inside = next > low && next < high;
        s = if inside && i % 2 == 0 { next } else { middle(low, high) };
    }
    None
}

/// The geometric mean.
fn middle(low: f64, high: f64) -> f64 {
    exp(0.5 * (ln(low) + ln(high)))
}

/// Bounds of the solution. Between them `d1` and `d2` are less than 70, so that an [`Evaluation`] is a number.
fn bracket(problem: &Problem) -> (f64, f64) {
    let Problem { a, target, high, .. } = *problem;
    // The s that has this d1 = s/2 - a/s, and more than 0.
    let at = |d1: f64| {
        let root = (d1 * d1 + 2.0 * a).sqrt();
        if d1 > 0.0 { root + d1 } else { 2.0 * a / (root - d1) }
    };
    let tail = (-2.0 * ln(target)).sqrt();
    // v <= s φ(0).
    let least = 2.5 * select(high, 0.4, target);
    if high {
        // Φ(-d1) <= 1 - v <= 2 Φ(-d1), at most exp(-d1²/2) for d1 >= 0; and 1 - v <= 0.6.
        (at(-0.26).max(least), at(tail))
    } else {
        // v <= Φ(d1), at most exp(-d1²/2) for d1 <= 0; and 0.4 >= v >= 2 Φ(d1) - 1 for d1 >= 0.
        (at(-tail).max(least), at(0.53))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iv::guess::guess;

    /// From the bracket alone the same as by steps from the guess, to the last digits.
    #[test]
    fn agrees_with_the_steps() {
        for a in [0.0, 1e-300, 1e-9, 1e-3, 0.1, 1.0, 4.0, 10.0] {
            for target in [1e-300, 1e-100, 1e-20, 1e-6, 0.01, 0.1, 0.3, 0.399] {
                for high in [false, true] {
                    if high && target < 1e-14 {
                        continue;
                    }
                    let problem = Problem { a, excess: exp(a) - 1.0, target, high };
                    let found = search(&problem).expect("a solution");
                    let s = guess(&problem);
                    let evaluation = Evaluation::new(&problem, s);
                    let stepped = moved(s, evaluation.step(evaluation.missing()).0);
                    if stepped.is_nan() {
                        assert!(a * target < 1e-300, "{problem:?}");
                        continue; // the guess has underflowed
                    }
                    assert!((found / stepped - 1.0).abs() < 4e-15, "{problem:?}: {found} {stepped}");
                }
            }
        }
    }

    /// Where no guess is good: the value of the solution is the wanted one.
    #[test]
    fn far_beyond_the_fits() {
        for a in [11.0, 30.0, 100.0, 700.0, 1454.0] {
            for (target, high) in
                [(1e-307, false), (1e-30, false), (0.3, false), (0.599, true), (1.5e-14, true)]
            {
                let problem = Problem { a, excess: f64::INFINITY, target, high };
                let s = search(&problem).expect("a solution");
                let evaluation = Evaluation::new(&problem, s);
                let error = evaluation.missing() * evaluation.inverse_slope;
                assert!(error.abs() < 2e-15, "{problem:?}: {s}, {error:e}");
            }
        }
    }
}
