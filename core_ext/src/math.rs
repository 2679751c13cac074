//! Elementary functions in IEEE basic operations only.
//!
//! The system's `libm` rounds differently from machine to machine, and a fused multiply-add rounds differently
//! from a product and a sum. These functions use addition, multiplication, division and bit patterns alone, in
//! a written order, so that every machine publishes the same bits. Arguments outside a domain give NaN, as in C.
//!
//! Each is within one unit in the last place of the correctly rounded value (`tests/core_ext/golden/`).

/// Natural logarithm of 2, upper 33 bits: its product with an exponent is exact.
const LN2_HI: f64 = 0.6931471803691238;
/// The rest of the natural logarithm of 2.
const LN2_LO: f64 = 1.9082149292705877e-10;
/// Adding and subtracting this rounds to an integer (to even on a tie) in the default rounding mode.
const ROUND: f64 = 6755399441055744.0;
/// Below this the result of `exp` is zero, above the other it is infinite.
const EXP_UNDERFLOW: f64 = -745.1332191019412;
const EXP_OVERFLOW: f64 = 709.782712893384;

/// Chebyshev interpolation of `(exp(r) - 1 - r) / r²` on `|r| <= ln(2)/2`; error of `exp` below 1.7e-17.
const EXP_TAIL: [f64; 10] = [
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
];

/// Chebyshev interpolation of `(2 atanh(s) - 2 s) / s³` in `s²` on `s <= 0.1716`; error of `ln` below 5e-18.
const LN_TAIL: [f64; 7] = [
    0.666666666666667,
    0.39999999999899505,
    0.28571428625975487,
    0.2222221113479508,
    0.18182889125261723,
    0.15331721600556042,
    0.14616449685043406,
];

/// Value of the polynomial with coefficients `c`, lowest power first, by Horner's rule.
#[inline]
pub(crate) fn polynomial<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let mut sum = c[N - 1];
    for &a in c[..N - 1].iter().rev() {
        sum = sum * x + a;
    }
    sum
}

/// `y · 2^k` for `-2044 <= k <= 2046`, rounded once.
#[inline]
fn scale(y: f64, k: i64) -> f64 {
    let half = k >> 1;
    y * power_of_two(half) * power_of_two(k - half)
}

/// `2^k` for `-1022 <= k <= 1023`.
#[inline]
fn power_of_two(k: i64) -> f64 {
    f64::from_bits(((1023 + k) as u64) << 52)
}

/// Splits `x` into `k ln 2 + r`, `|r| <= ln(2)/2`; gives `k` and `exp(r) - 1`.
#[inline]
fn reduced_exp_m1(x: f64) -> (i64, f64) {
    let k = (x * std::f64::consts::LOG2_E + ROUND) - ROUND;
    let hi = x - k * LN2_HI;
    let lo = k * LN2_LO;
    let r = hi - lo;
    (k as i64, hi + (r * r * polynomial(&EXP_TAIL, r) - lo))
}

/// Exponential function.
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > EXP_OVERFLOW {
        return f64::INFINITY;
    }
    if x < EXP_UNDERFLOW {
        return 0.0;
    }
    let (k, e) = reduced_exp_m1(x);
    scale(1.0 + e, k)
}

/// `exp(x) - 1` without cancellation near zero.
#[must_use]
pub fn exp_m1(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    if x > EXP_OVERFLOW {
        return f64::INFINITY;
    }
    if x < -40.0 {
        return -1.0;
    }
    let (k, e) = reduced_exp_m1(x);
    if k == 0 {
        e
    } else if k > 56 {
        scale(1.0 + e, k)
    } else {
        power_of_two(k) * ((1.0 - power_of_two(-k)) + e)
    }
}

/// Natural logarithm.
#[must_use]
pub fn ln(x: f64) -> f64 {
    if !(x > 0.0 && x < f64::INFINITY) {
        return ln_special(x);
    }
    if x < f64::MIN_POSITIVE {
        let (k, f) = mantissa(x * power_of_two(54));
        return assemble_ln(k - 54, f, 0.0);
    }
    let (k, f) = mantissa(x);
    assemble_ln(k, f, 0.0)
}

/// `ln(1 + x)` without cancellation near zero.
#[must_use]
pub fn ln_1p(x: f64) -> f64 {
    if !(x > -1.0 && x < f64::INFINITY) {
        return ln_special(1.0 + x);
    }
    if x > -0.29 && x < 0.41 {
        return assemble_ln(0, x, 0.0);
    }
    let u = 1.0 + x;
    // What the sum lost, relative to it: 1 + x = u (1 + c).
    let c = if x >= 1.0 { 1.0 - (u - x) } else { x - (u - 1.0) } / u;
    let (k, f) = mantissa(u);
    assemble_ln(k, f, c)
}

/// The logarithm where it is not a finite number.
fn ln_special(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x > 0.0 {
        x
    } else {
        f64::NAN
    }
}

/// Writes a positive normal `x` as `2^k (1 + f)` with `1 + f` between `√½` and `√2`.
#[inline]
fn mantissa(x: f64) -> (i64, f64) {
    const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
    const EXPONENT: u64 = 0xfff0_0000_0000_0000;
    let offset = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let k = offset.cast_signed() >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub(offset & EXPONENT));
    (k, m - 1.0)
}

/// `k ln 2 + ln(1 + f) + c` for small `c`, by `ln(1 + f) = 2 atanh(f / (2 + f))`.
#[inline]
fn assemble_ln(k: i64, f: f64, c: f64) -> f64 {
    let k = k as f64;
    let s = f / (2.0 + f);
    let z = s * s;
    let tail = z * polynomial(&LN_TAIL, z);
    let half_square = 0.5 * f * f;
    // 2 s = f - s f and s f = f²/2 - s f²/2: the large terms are exact or last.
    k * LN2_HI - ((half_square - (s * (half_square + tail) + (k * LN2_LO + c))) - f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{repeatable, worst_ulps};
    use proptest::prelude::*;

    #[test]
    fn golden_values_within_one_unit() {
        for (name, function) in
            [("exp", exp as fn(f64) -> f64), ("exp_m1", exp_m1), ("ln", ln), ("ln_1p", ln_1p)]
        {
            let worst = worst_ulps(name, function);
            assert!(worst <= 1.0, "{name}: {worst} ulp");
        }
    }

    #[test]
    fn ends_of_the_domains() {
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(709.79), f64::INFINITY);
        assert!(exp(709.78).is_finite());
        assert_eq!(exp(-746.0), 0.0);
        assert_eq!(exp(-745.0), f64::from_bits(1));
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp_m1(-0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!(exp_m1(f64::NEG_INFINITY), -1.0);
        assert_eq!(exp_m1(1e-300), 1e-300);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(-1.0).is_nan());
        assert_eq!(ln_1p(-1.0), f64::NEG_INFINITY);
        assert_eq!(ln_1p(1e-300), 1e-300);
        assert!(ln_1p(-1.5).is_nan());
        for function in [exp, exp_m1, ln, ln_1p] {
            assert!(function(f64::NAN).is_nan());
        }
        assert!((ln(f64::from_bits(1)) + 744.4400719213812).abs() < 2e-13);
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        #[test]
        fn logarithm_inverts_exponential(x in -700.0..700.0f64) {
            prop_assert!((ln(exp(x)) - x).abs() <= 3e-16 * x.abs().max(1.0));
        }

        #[test]
        fn small_forms_agree_with_each_other(x in -0.9..10.0f64) {
            prop_assert!((exp_m1(ln_1p(x)) - x).abs() <= 6e-16 * (1.0 + x.abs()));
        }

        #[test]
        fn exponential_is_monotone(x in -745.0..709.0f64) {
            prop_assert!(exp(x) <= exp(x + x.abs() * 1e-15 + 1e-15));
        }
    }
}
