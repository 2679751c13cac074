//! The normal distribution: density, distribution function, its inverse, and Mills' ratio.
//!
//! Tails have relative accuracy: everything is a density times [`mills`], which neither overflows nor cancels.
//! Rational approximations: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp.
//! 23 (1969), and M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
//! Statistics 37 (1988).
//!
//! Against correctly rounded values (`tests/core_ext/golden/`) the largest errors seen, in units in the last place:
//! `erfc` 3, `erfcx` 3, `mills` 4, `cdf` 3, `pdf` 2, `inverse_cdf` 4.
#![allow(missing_docs, dead_code)]
use crate::math::{exp, ln, polynomial};

/// `√(2π)`.
pub const SQRT_TWO_PI: f64 = 2.5066282746310007;
/// `1 / √(2π)`, the density at zero.
pub const INV_SQRT_TWO_PI: f64 = 0.3989422804014327;
/// `√(π/2)`, Mills' ratio at zero.
const SQRT_HALF_PI: f64 = 1.2533141373155003;
const INV_SQRT_PI: f64 = 0.5641895835477563;

/// Cody: `erf(x) / x` in `x²` for `|x| <= 0.46875`.
const ERF_P: [f64; 5] = [
    3.20937758913846947e03,
    3.77485237685302021e02,
    1.13864154151050156e02,
    3.16112374387056560e00,
    1.85777706184603153e-1,
];
const ERF_Q: [f64; 5] =
    [2.84423683343917062e03, 1.28261652607737228e03, 2.44024637934444173e02, 2.36012909523441209e01, 1.0];
/// Cody: `exp(x²) erfc(x)` in `x` for `0.46875 <= x <= 4`.
const ERFCX_P: [f64; 9] = [
    1.23033935479799725e03,
    2.05107837782607147e03,
    1.71204761263407058e03,
    8.81952221241769090e02,
    2.98635138197400131e02,
    6.61191906371416295e01,
    8.88314979438837594e00,
    5.64188496988670089e-1,
    2.15311535474403846e-8,
];
const ERFCX_Q: [f64; 9] = [
    1.23033935480374942e03,
    3.43936767414372164e03,
    4.36261909014324716e03,
    3.29079923573345963e03,
    1.62138957456669019e03,
    5.37181101862009858e02,
    1.17693950891312499e02,
    1.57449261107098347e01,
    1.0,
];
/// Cody: the remainder of `x √π exp(x²) erfc(x)` in `1/x²` for `x >= 4`.
const FAR_P: [f64; 6] = [
    6.58749161529837803e-4,
    1.60837851487422766e-2,
    1.25781726111229246e-1,
    3.60344899949804439e-1,
    3.05326634961232344e-1,
    1.63153871373020978e-2,
];
const FAR_Q: [f64; 6] = [
    2.33520497626869185e-3,
    6.05183413124413191e-2,
    5.27905102951428412e-1,
    1.87295284992346725e00,
    2.56852019228982242e00,
    1.0,
];

/// Error function for `|x| <= 0.46875`.
#[inline]
fn erf_small(x: f64) -> f64 {
    let z = x * x;
    x * (polynomial(&ERF_P, z) / polynomial(&ERF_Q, z))
}

/// Scaled complementary error function for `x >= 0.46875`.
#[inline]
fn erfcx_large(x: f64) -> f64 {
    if x <= 4.0 {
        return polynomial(&ERFCX_P, x) / polynomial(&ERFCX_Q, x);
    }
    let z = 1.0 / (x * x);
    (INV_SQRT_PI - z * (polynomial(&FAR_P, z) / polynomial(&FAR_Q, z))) / x
}

/// `exp(-x²)` with relative accuracy: the square is split so that its rounding does not enter the exponent.
fn exp_minus_square(x: f64) -> f64 {
    let head = f64::from_bits(x.to_bits() & 0xffff_ffff_f800_0000);
    exp(-(head * head)) * exp(-((x - head) * (x + head)))
}

/// Scaled complementary error function `exp(x²) erfc(x)`; infinite below about -26.6.
#[must_use]
pub fn erfcx(x: f64) -> f64 {
    if x >= 0.46875 {
        erfcx_large(x)
    } else if x >= -0.46875 {
        exp(x * x) * (1.0 - erf_small(x))
    } else if x < -26.7 {
        f64::INFINITY
    } else {
        2.0 / exp_minus_square(x) - erfcx_large(-x)
    }
}

/// Complementary error function `erfc(x) = 2/√π ∫_x^∞ exp(-u²) du`.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    if x.abs() <= 0.46875 {
        1.0 - erf_small(x)
    } else if x > 27.3 {
        0.0
    } else if x > 0.0 {
        exp_minus_square(x) * erfcx_large(x)
    } else if x < -6.0 {
        2.0
    } else {
        2.0 - exp_minus_square(x) * erfcx_large(-x)
    }
}

/// Mills' ratio `(1 - Φ(z)) / φ(z)` for any `z`; 1/z for large `z`, infinite below about -37.6.
#[must_use]
#[inline]
pub fn mills(z: f64) -> f64 {
    SQRT_HALF_PI * erfcx(z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Standard normal density `φ(z)`.
#[must_use]
pub fn pdf(z: f64) -> f64 {
    if z.abs() > 39.0 {
        return 0.0;
    }
    let head = f64::from_bits(z.to_bits() & 0xffff_ffff_f800_0000);
    INV_SQRT_TWO_PI * (exp(-0.5 * (head * head)) * exp(-0.5 * ((z - head) * (z + head))))
}

/// Standard normal distribution function `Φ(z)`.
#[must_use]
pub fn cdf(z: f64) -> f64 {
    if z <= 0.0 { lower_tail(z) } else { 1.0 - lower_tail(-z) }
}

/// `Φ(z)` for `z <= 0`; NaN stays NaN.
fn lower_tail(z: f64) -> f64 {
    if z < -39.0 { 0.0 } else { pdf(z) * mills(-z) }
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
