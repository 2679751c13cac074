//! The normal distribution: density, distribution function, its inverse, Mills' ratio and the first moment.
//!
//! Tails have relative accuracy: everything is a density times [`mills`], which neither overflows nor cancels.
//!
//! Mills' ratio is `M(z) = (1 - Φ(z)) / φ(z) = 1 / (z + r(z))`, and the remainder `r`, which falls from `√(2/π)` like
//! `1/z`, is one rational function for all `z >= 0`. Written so, `M` and the first moment
//! `G(z) = ∫ u exp(-zu - u²/2) du = 1 - z M(z)` over `u > 0` both come without cancellation.
//! The inverse is M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
//! Statistics 37 (1988).
//!
//! Against correctly rounded values (`tests/core_ext/golden/`) the largest errors seen, in units in the last place:
//! `mills` 2, `first_moment` 6, `cdf` 3, `pdf` 2, `inverse_cdf` 4.
use crate::math::{exp, ln, polynomial, select};

/// `1 / √(2π)`, the density at zero.
pub const INV_SQRT_TWO_PI: f64 = 0.3989422804014327;

/// Numerator of `r(z)`: minimax in relative error for `z >= 0`, found by iterated weighted least squares at 50 digits;
/// error of the rational function 3e-17.
const REMAINDER_P: [f64; 11] = [
    4315710.463984106,
    6216839.789987741,
    4520465.544231718,
    2141680.458331742,
    724537.212050116,
    181892.20543076083,
    34252.0233086119,
    4782.979619358539,
    476.1478214229299,
    30.792831693063157,
    1.0,
];
/// Denominator of `r(z)`.
const REMAINDER_Q: [f64; 12] = [
    5408940.937071717,
    10255044.878569616,
    9597045.84042497,
    5783608.7181335455,
    2478060.4274444226,
    790226.3675576244,
    191273.40776923983,
    35198.318950183,
    4844.565282755432,
    478.1478214228843,
    30.792831693063224,
    1.0,
];

/// Numerator and denominator of `r(z)`, `z >= 0`; beyond 1e20, where `M = 1/z` to the last bit, those of 1e20.
#[inline(always)]
fn remainder(z: f64) -> (f64, f64, f64) {
    let z = select(z > 1e20, 1e20, z);
    let (p, q) = (polynomial(&REMAINDER_P, z), polynomial(&REMAINDER_Q, z));
    (p, q, z * q + p)
}

/// Mills' ratio `(1 - Φ(z)) / φ(z)` for `z >= 0`; beyond 1e20 its value there.
#[must_use]
#[inline(always)]
pub fn mills(z: f64) -> f64 {
    let (_, q, sum) = remainder(z);
    q / sum
}

/// `G(z) = 1 - z M(z)` for `z >= 0`: the first moment, between `1/(z² + 3)` and 1; beyond 1e20 its value there.
#[must_use]
#[inline(always)]
pub fn first_moment(z: f64) -> f64 {
    let (p, _, sum) = remainder(z);
    p / sum
}

/// `exp(-z²/2)` with relative accuracy: the square is split so that its rounding does not enter the exponent.
#[inline(always)]
fn gauss(z: f64) -> f64 {
    // Far out the result is 0, and the split would overflow.
    let z = select(z > 1e3, 1e3, select(z < -1e3, -1e3, z));
    let head = f64::from_bits(z.to_bits() & 0xffff_ffff_f800_0000);
    exp(-0.5 * (head * head)) * exp(-0.5 * ((z - head) * (z + head)))
}

/// Standard normal density `φ(z)`.
#[must_use]
#[inline(always)]
pub fn pdf(z: f64) -> f64 {
    INV_SQRT_TWO_PI * gauss(z)
}

/// Standard normal distribution function `Φ(z)`.
#[must_use]
#[inline(always)]
pub fn cdf(z: f64) -> f64 {
    let tail = pdf(z) * mills(z.abs());
    select(z > 0.0, 1.0 - tail, tail)
}

const CENTRE_P: [f64; 8] = [
    3.3871328727963666080e0,
    1.3314166789178437745e+2,
    1.9715909503065514427e+3,
    1.3731693765509461125e+4,
    4.5921953931549871457e+4,
    6.7265770927008700853e+4,
    3.3430575583588128105e+4,
    2.5090809287301226727e+3,
];
const CENTRE_Q: [f64; 8] = [
    1.0,
    4.2313330701600911252e+1,
    6.8718700749205790830e+2,
    5.3941960214247511077e+3,
    2.1213794301586595867e+4,
    3.9307895800092710610e+4,
    2.8729085735721942674e+4,
    5.2264952788528545610e+3,
];
const TAIL_P: [f64; 8] = [
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
];
const TAIL_Q: [f64; 8] = [
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
];
const FAR_TAIL_P: [f64; 8] = [
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
];
const FAR_TAIL_Q: [f64; 8] = [
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
];

/// The `z` with `Φ(z) = p`; infinite at 0 and 1, NaN outside.
#[must_use]
pub fn inverse_cdf(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * (polynomial(&CENTRE_P, r) / polynomial(&CENTRE_Q, r));
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return if tail == 0.0 { f64::INFINITY.copysign(q) } else { f64::NAN };
    }
    let r = (-ln(tail)).sqrt();
    let z = if r <= 5.0 {
        polynomial(&TAIL_P, r - 1.6) / polynomial(&TAIL_Q, r - 1.6)
    } else {
        polynomial(&FAR_TAIL_P, r - 5.0) / polynomial(&FAR_TAIL_Q, r - 5.0)
    };
    z.copysign(q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{elementary, repeatable, ulp, worst_ulps};
    use proptest::prelude::*;

    #[test]
    fn golden_values_within_the_documented_error() {
        for (name, function, limit) in
            [("cdf", cdf as fn(f64) -> f64, 3.0), ("pdf", pdf, 2.0), ("inverse_cdf", inverse_cdf, 4.0)]
        {
            let worst = worst_ulps(name, function);
            assert!(worst <= limit, "{name}: {worst} ulp");
        }
        for (name, function, limit) in
            [("mills", mills as fn(f64) -> f64, 2.0), ("first_moment", first_moment, 6.0)]
        {
            for (z, value) in elementary(name) {
                let error = (function(z) - value).abs() / ulp(value);
                assert!(z < 0.0 || error <= limit, "{name}({z}): {error} ulp");
            }
        }
    }

    #[test]
    fn ends_of_the_domains() {
        for function in [mills, first_moment, pdf, cdf, inverse_cdf] {
            assert!(function(f64::NAN).is_nan());
        }
        assert_eq!((mills(1e20), mills(f64::INFINITY)), (1e-20, 1e-20));
        assert_eq!(first_moment(0.0), 1.0 - 0.0 * mills(0.0));
        assert_eq!((pdf(f64::INFINITY), pdf(f64::NEG_INFINITY)), (0.0, 0.0));
        assert_eq!((cdf(f64::INFINITY), cdf(f64::NEG_INFINITY)), (1.0, 0.0));
        assert_eq!((inverse_cdf(1.0), inverse_cdf(0.0)), (f64::INFINITY, f64::NEG_INFINITY));
        assert!(inverse_cdf(-0.1).is_nan() && inverse_cdf(1.1).is_nan());
        assert_eq!(inverse_cdf(0.5), 0.0);
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        #[test]
        fn tails_add_to_one(z in -40.0..40.0f64) {
            prop_assert!((cdf(z) + cdf(-z) - 1.0).abs() <= 2.3e-16);
        }

        #[test]
        fn inverse_inverts(z in -37.0..3.0f64) {
            prop_assert!((inverse_cdf(cdf(z)) - z).abs() <= 3e-14 * z.abs().max(1.0));
        }

        #[test]
        fn mills_and_moment_decrease(z in 0.0..30.0f64) {
            prop_assert!(mills(z + 1e-9) < mills(z));
            prop_assert!(first_moment(z + 1e-9) < first_moment(z));
            prop_assert!((first_moment(z) + z * mills(z) - 1.0).abs() <= 5e-16);
        }
    }
}
