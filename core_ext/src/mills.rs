//! Mills' ratio `M(z) = (1 - Φ(z)) / φ(z)` of the normal distribution, and its slope between two places.
//!
//! `M(z) = 1 / (z + r(z))`, where the remainder `r` falls from `√(2/π)` at 0 like `1/z`. It is `2/(z + 2.5)`, which is
//! near it everywhere, and a small correction: one rational function `R(z)/S(z)` for all `z >= -0.56`.
//!
//! The slope `(M(z1) - M(z2)) / (z2 - z1) = (1 + r[z1, z2]) M(z1) M(z2)` takes the divided differences of both parts:
//! of the first in closed form, of the polynomials by Horner's rule run along with their values. So it loses no digits
//! however close the places are, where the difference of two ratios would cancel. In the limit it is the first moment
//! `-M'(z) = 1 - z M(z)`.
//!
//! Largest errors seen against mpmath: 2 units in the last place of the ratio, 3 · 2⁻⁵² of the slope.
use crate::math::{polynomial, select};

/// The least argument.
pub const LEAST: f64 = -0.56;
/// Beyond this `M(z) = 1/z` to the last bit, and it is taken there: powers would overflow.
const FAR: f64 = 1e11;

/// Numerator of the correction: minimax in the relative error of `M`, which is 5e-19, found by iterated weighted least
/// squares at 50 digits.
const R: [f64; 12] = [
    -42892.211289353036,
    -975461.3731051063,
    -2454529.2759948256,
    -2393361.450590365,
    -1368670.1981523004,
    -527945.7663545328,
    -145831.35065131352,
    -29488.823333453984,
    -4344.530393648274,
    -450.3306066818557,
    -30.02358352479211,
    -1.0,
];
/// Denominator of the correction.
const S: [f64; 13] = [
    20275794.90228337,
    45329960.29652205,
    48691163.31262427,
    33299587.06984963,
    16134118.767475342,
    5830352.036609618,
    1611540.0091957757,
    343703.1311909587,
    56269.83701983618,
    6922.681053540579,
    610.9485243105427,
    35.0235835247745,
    1.0,
];

/// The first part of the remainder is `C / (z + D)`.
const C: f64 = 2.0;
const D: f64 = 2.5;

/// `M(z)`.
#[must_use]
#[inline(always)]
pub fn mills(z: f64) -> f64 {
    let z = select(z > FAR, FAR, z);
    let u = z + D;
    let s = polynomial(&S, z);
    (u * s) / ((z * u + C) * s + u * polynomial(&R, z))
}

/// `M` at two places: `u/w` there.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    u1: f64,
    u2: f64,
    w1: f64,
    w2: f64,
    slope: f64,
}

impl Pair {
    /// For `z1 <= z2`, both from [`LEAST`] to 1e11, and the difference `z2 - z1`, which the caller may know better.
    #[must_use]
    #[inline(always)]
    pub fn new(z1: f64, z2: f64, difference: f64) -> Self {
        let (u1, u2) = (z1 + D, z2 + D);
        let (r1, r12) = value_and_slope(&R, z1, z2);
        let (s1, s12) = value_and_slope(&S, z1, z2);
        let (r2, s2) = (r1 + r12 * difference, s1 + s12 * difference);
        let share = 1.0 / (s1 * s2);
        // w = z u + C + u R/S, and u1 u2 (1 + r[z1, z2]), the large terms last.
        let w1 = (z1 * u1 + C) + (r1 * s2) * (share * u1);
        let w2 = (z2 * u2 + C) + (r2 * s1) * (share * u2);
        let hyperbolas = (D * D - C) + (z1 * z2 + D * (z1 + z2));
        let slope = hyperbolas + (s1 * r12 - r1 * s12) * (share * (u1 * u2));
        Self { u1, u2, w1, w2, slope }
    }

    /// `M(z1)`.
    #[must_use]
    #[inline(always)]
    pub fn first(&self) -> f64 {
        self.u1 / self.w1
    }

    /// `M(z2)`.
    #[must_use]
    #[inline(always)]
    pub fn second(&self) -> f64 {
        self.u2 / self.w2
    }

    /// The common denominator of [`Self::sum`] and [`Self::slope`].
    #[must_use]
    #[inline(always)]
    pub fn denominator(&self) -> f64 {
        self.w1 * self.w2
    }

    /// `M(z1) + M(z2)`, times the denominator.
    #[must_use]
    #[inline(always)]
    pub fn sum(&self) -> f64 {
        self.u1 * self.w2 + self.u2 * self.w1
    }

    /// `(M(z1) - M(z2)) / (z2 - z1)`, times the denominator.
    #[must_use]
    #[inline(always)]
    pub fn slope(&self) -> f64 {
        self.slope
    }
}

/// A polynomial at `z1`, and its divided difference between `z1` and `z2`.
#[inline(always)]
fn value_and_slope<const N: usize>(c: &[f64; N], z1: f64, z2: f64) -> (f64, f64) {
    let mut value = c[N - 1] * z1 + c[N - 2];
    let mut slope = c[N - 1];
    for i in (0..N - 2).rev() {
        slope = slope * z2 + value;
        value = value * z1 + c[i];
    }
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{elementary, repeatable, ulp};
    use proptest::prelude::*;

    #[test]
    fn golden_values() {
        let mut checked = 0;
        for (z, value) in elementary("mills").into_iter().filter(|row| row.0 >= LEAST) {
            let place = z.min(FAR);
            let pair = Pair::new(place, place + 1.0, (place + 1.0) - place);
            for computed in [mills(z), pair.first()] {
                let error = (computed - value).abs() / ulp(value);
                assert!(z > FAR || error <= 2.0, "mills({z}): {error} ulp");
                checked += 1;
            }
        }
        assert!(checked > 500);
        assert!(mills(f64::NAN).is_nan());
        assert_eq!(mills(f64::INFINITY), mills(FAR));
        assert!((mills(FAR) * FAR - 1.0).abs() <= f64::EPSILON);
    }

    /// The slope at one place is the first moment.
    #[test]
    fn golden_slopes() {
        for (z, value) in elementary("first_moment").into_iter().filter(|row| row.0 >= 0.0 && row.0 < FAR) {
            let pair = Pair::new(z, z, 0.0);
            let error = (pair.slope() / pair.denominator() - value).abs() / value;
            assert!(error <= 3.0 * f64::EPSILON, "{z}: {error:e}");
        }
    }

    proptest! {
        #![proptest_config(repeatable(2000))]

        /// Far apart, where a difference loses little.
        #[test]
        fn slopes_are_differences(z in -0.56..3.0f64, width in 0.5..20.0f64) {
            let width = (z + width) - z;
            let pair = Pair::new(z, z + width, width);
            let (first, second) = (mills(z), mills(z + width));
            let (slope, sum) = (pair.slope() / pair.denominator(), pair.sum() / pair.denominator());
            prop_assert!((slope * width - (first - second)).abs() <= 2e-15 * first);
            prop_assert!((sum - (first + second)).abs() <= 1e-15 * sum);
            prop_assert!((pair.second() - second).abs() <= 1e-15 * second);
        }

        /// Close together it falls between the moments at both ends.
        #[test]
        fn slopes_are_means(z in 0.0..40.0f64, width in 1e-12..1e-3f64) {
            let moment = |z: f64| {
                let pair = Pair::new(z, z, 0.0);
                pair.slope() / pair.denominator()
            };
            let pair = Pair::new(z, z + width, width);
            let slope = pair.slope() / pair.denominator();
            prop_assert!(slope <= moment(z) * (1.0 + 2e-15) && slope >= moment(z + width) * (1.0 - 2e-15));
        }
    }
}
