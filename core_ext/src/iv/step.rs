//! One evaluation of the value at a guess `s`, and the step from there to the solution.
//!
//! With `h = a/s`, `t = s/2`, `d1 = t - h`, `d2 = -t - h`, Mills' ratio `M` and `φ` the normal density, the value and its
//! gap are `v = φ(d1) (M(-d1) - M(-d2))`, `1 - v = φ(d1) (M(d1) + M(-d2))`, and `∂v/∂s = φ(d1)`. What is solved is
//! `y(x) = y*` for `y = ln v`, or `ln (1 - v)` where it is high, as a function of `x = ln s`: like a power of `s` wherever
//! it is not like `ln s` itself, so that the length of a step, not its place, decides how good it is.
//!
//! `E = dx/dy`, `A = 1 + h² - t²` and `B = (h² + t²) E²` satisfy
//!
//! `E' = c E`, `c = 1 - A E`, `c' = 2 B - c + c²`, `B' = 2 (B c + E² (E - 1 + c))`
//!
//! in `y`, which gives the Taylor series of the inverse function `x(y)` without a derivative of anything else. It is summed
//! up to the fifth power of `y* - y`: a Householder step of order 6.
use super::problem::Problem;
use crate::math::{ln_quotient, select};
use crate::mills::{LEAST, Pair};

const SQRT_TWO_PI: f64 = 2.5066282746310007;
const THIRD: f64 = 1.0 / 3.0;
/// Largest `n² (4 + a)` of a Newton step `n` where the step is the last one: what it leaves is below ε/100.
const SHORT: f64 = 2e-6;

/// The value at a guess.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evaluation {
    /// `exp(y*)` over `exp(y + d1²/2)`, numerator and denominator.
    pub(super) wanted: f64,
    pub(super) found: f64,
    /// `d1²/2`.
    pub(super) depth: f64,
    /// `E`.
    pub(super) inverse_slope: f64,
    /// `h² - t²`.
    pub(super) difference: f64,
    /// `h² + t²`.
    pub(super) sum: f64,
}

impl Evaluation {
    #[inline(always)]
    pub(super) fn new(problem: &Problem, s: f64) -> Self {
        let Problem { a, target, high, .. } = *problem;
        let h = a / s;
        let t = 0.5 * s;
        let (d1, minus_d2) = (t - h, h + t);
        let pair = Pair::new(select(high, d1, -d1), minus_d2, select(high, 2.0 * h, s));
        let numerator = select(high, pair.sum(), pair.slope());
        let denominator = pair.denominator();
        Self {
            wanted: target * SQRT_TWO_PI * denominator,
            found: numerator * select(high, 1.0, s),
            depth: 0.5 * (d1 * d1),
            inverse_slope: numerator / (denominator * select(high, -s, 1.0)),
            difference: -d1 * minus_d2,
            sum: h * h + t * t,
        }
    }

    /// `y* - y`.
    #[inline(always)]
    pub(super) fn missing(&self) -> f64 {
        ln_quotient(self.wanted, self.found) + self.depth
    }

    /// The step in `ln s`, and Newton's.
    #[inline(always)]
    pub(super) fn step(&self, missing: f64) -> (f64, f64) {
        let e = self.inverse_slope;
        let c = 1.0 - (1.0 + self.difference) * e;
        let ee = e * e;
        let b = self.sum * ee;
        // Derivatives in y are numbered.
        let g = e - 1.0 + c;
        let c1 = 2.0 * b - c + c * c;
        let b1 = 2.0 * (b * c + ee * g);
        let cc1 = c * c1;
        let c2 = 2.0 * b1 - c1 + 2.0 * cc1;
        let b2 = 2.0 * (b1 * c + b * c1 + ee * (2.0 * c * g + e * c + c1));
        let squares2 = 2.0 * (c1 * c1 + c * c2);
        let c3 = 2.0 * b2 - c2 + squares2;
        // The derivatives of E in units of E: L' + c L from each to the next.
        let l2 = c * c + c1;
        let l2_1 = 2.0 * cc1 + c2;
        let l2_2 = squares2 + c3;
        let l3 = c * l2 + l2_1;
        let l4 = c * l3 + (c1 * l2 + c * l2_1 + l2_2);
        let m = missing;
        let fourth = l3 + (0.2 * m) * l4;
        let third = l2 + (0.25 * m) * fourth;
        let second = c + (THIRD * m) * third;
        let newton = m * e;
        (newton * (1.0 + (0.5 * m) * second), newton)
    }
}

/// `s exp(x)` for small `x`; a positive `s` never becomes less than a third or more than thrice itself.
#[inline(always)]
pub(super) fn moved(s: f64, x: f64) -> f64 {
    let x = select(x > 1.0, 1.0, select(x < -1.0, -1.0, x));
    s + s * (x * (1.0 + 0.5 * x * (1.0 + THIRD * x * (1.0 + 0.25 * x * (1.0 + 0.2 * x)))))
}

/// Whether the step from `s` reaches the solution. False for NaN, and where `s` is outside the domain of `M`.
///
/// Asked is the length of Newton's step, the first term of the series: only this is small nowhere else.
#[inline(always)]
pub(super) fn is_last(problem: &Problem, s: f64, newton: f64) -> bool {
    let d1 = 0.5 * s - problem.a / s;
    (newton * newton * (4.0 + problem.a) <= SHORT) & (select(problem.high, d1, -d1) >= LEAST)
}
