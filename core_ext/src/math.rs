//! Elementary functions in IEEE basic operations only.
//!
//! The system's `libm` rounds differently from machine to machine, and a fused multiply-add rounds differently
//! from a product and a sum. These functions use addition, multiplication, division and bit patterns alone, in
//! a written order, so that every machine publishes the same bits. They have no branches, only selections, so that
//! a loop over them becomes vector instructions. Arguments outside a domain give NaN, as in C.
//!
//! Each is within one unit in the last place of the correctly rounded value (`tests/core_ext/golden/`).

/// Natural logarithm of 2, upper 33 bits: its product with an exponent is exact.
const LN2_HI: f64 = 0.6931471803691238;
/// The rest of the natural logarithm of 2.
const LN2_LO: f64 = 1.9082149292705877e-10;
/// Adding this rounds to an integer (to even on a tie) and leaves the integer in the low bits.
const ROUND: f64 = 6755399441055744.0;
/// `2^52` with an integer below `2^52` in its low bits is the sum of the two.
const TWO_52: u64 = 0x4330_0000_0000_0000;

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

/// `if condition { a } else { b }`, said so that both are computed.
#[inline(always)]
pub(crate) fn select(condition: bool, a: f64, b: f64) -> f64 {
    if condition { a } else { b }
}

/// NaN as one bit pattern: which of several NaNs an operation passes on is the compiler's choice of operand order.
#[inline(always)]
pub(crate) fn one_nan(x: f64) -> f64 {
    select(x.is_nan(), f64::NAN, x)
}

/// Value of the polynomial with at least two coefficients `c`, lowest power first: Horner's rule for the even and for
/// the odd powers, which a processor runs beside each other.
#[inline(always)]
pub(crate) fn polynomial<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let square = x * x;
    let mut sums = [0.0; 2];
    sums[(N - 1) % 2] = c[N - 1];
    sums[(N - 2) % 2] = c[N - 2];
    for i in (0..N - 2).rev() {
        sums[i % 2] = sums[i % 2] * square + c[i];
    }
    sums[0] + x * sums[1]
}

/// `2^k` for `-1022 <= k <= 1023`, from `k + 1023`.
#[inline(always)]
fn power_of_two(biased: u64) -> f64 {
    f64::from_bits(biased << 52)
}

/// Exponential function.
#[must_use]
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    exp_and_excess(x).0
}

/// `exp(x)`, and `exp(x) - 1`, which is exact to its own last bits for `|x| < ln(2)/2` and to those of `exp(x)` beyond.
#[must_use]
#[inline(always)]
pub fn exp_and_excess(x: f64) -> (f64, f64) {
    // Far beyond these ends the result is 0 or infinite anyway; NaN stays.
    let x = select(x > 710.0, 710.0, x);
    let x = select(x < -746.0, -746.0, x);
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let hi = x - k * LN2_HI;
    let lo = k * LN2_LO;
    let r = hi - lo;
    let tail = polynomial(&EXP_TAIL, r);
    let excess = hi + (r * r * tail - lo);
    let y = 1.0 + excess;
    // 2^k in two factors, each a normal number: the second product rounds once.
    let biased = rounded.to_bits().wrapping_sub(ROUND.to_bits() - 2046);
    let half = biased >> 1;
    let value = y * power_of_two(half) * power_of_two(biased.wrapping_sub(half));
    (value, select(k == 0.0, excess, value - 1.0))
}

/// Writes a positive normal `x` as `2^k (1 + f)` with `1 + f` between `√½` and `√2`; gives `k` and `1 + f`.
#[inline(always)]
fn mantissa(x: f64) -> (f64, f64) {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const FRACTION: u64 = 0x000f_ffff_ffff_ffff;
    let shifted = x.to_bits().wrapping_add(ONE - SQRT_HALF);
    let k = f64::from_bits((shifted >> 52) | TWO_52) - (4503599627370496.0 + 1023.0);
    (k, f64::from_bits((shifted & FRACTION).wrapping_add(SQRT_HALF)))
}

/// `k ln 2 + ln(1 + f)`, by `ln(1 + f) = 2 atanh(f / (2 + f))`.
#[inline(always)]
fn assemble_ln(k: f64, f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    assemble(k, f, s, z * polynomial(&LN_TAIL, z))
}

/// `k ln 2 + ln(1 + f)` from `s = f / (2 + f)` and `tail = 2 atanh(s) / s - 2`.
#[inline(always)]
fn assemble(k: f64, f: f64, s: f64, tail: f64) -> f64 {
    let half_square = 0.5 * f * f;
    // 2 s = f - s f and s f = f²/2 - s f²/2: the large terms are exact or last.
    k * LN2_HI - ((half_square - (s * (half_square + tail) + k * LN2_LO)) - f)
}

/// Natural logarithm.
#[must_use]
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    const TWO_54: f64 = 18014398509481984.0;
    let subnormal = x < f64::MIN_POSITIVE;
    let (k, m) = mantissa(select(subnormal, x * TWO_54, x));
    let value = assemble_ln(k - select(subnormal, 54.0, 0.0), m - 1.0);
    let special = select(x == 0.0, f64::NEG_INFINITY, select(x > 0.0, x, f64::NAN));
    select(x > 0.0 && x < f64::INFINITY, value, special)
}

/// Minimax `(2 atanh(s) - 2 s) / s³` in `s²` for `|s| <= 0.2`; error of `ln` below 2e-19.
const ATANH_TAIL: [f64; 8] = [
    0.666666666666666,
    0.4000000000005786,
    0.2857142855555346,
    0.22222224326695364,
    0.18181664102952305,
    0.15391168903569985,
    0.13172654019244842,
    0.1384937338618652,
];

/// `ln(a/b) + shift ln(2)` of positive normal numbers, by `ln(1 + f) = 2 atanh(f / (2 + f))` for `f = (a - b) / b`.
#[inline(always)]
fn shifted_ln_quotient(a: f64, b: f64, shift: f64) -> f64 {
    const BIAS: u64 = 2048;
    // Bit patterns are piecewise linear logarithms: b 2^k comes within 2/3 and 3/2 of a, and a - b 2^k is exact.
    let biased = a.to_bits().wrapping_sub(b.to_bits()).wrapping_add((BIAS << 52) + (1 << 51)) >> 52;
    let k = f64::from_bits(biased | TWO_52) - (4503599627370496.0 + 2048.0);
    let b = f64::from_bits(b.to_bits().wrapping_add(biased.wrapping_sub(BIAS) << 52));
    let difference = a - b;
    let (f, s) = (difference / b, difference / (a + b));
    let z = s * s;
    assemble(k + shift, f, s, z * polynomial(&ATANH_TAIL, z))
}

/// `ln(a/b)` of positive normal numbers below 2^1023; the quotient is not rounded.
///
/// Meaningless where one is not such a number.
#[must_use]
#[inline(always)]
pub fn ln_quotient(a: f64, b: f64) -> f64 {
    shifted_ln_quotient(a, b, 0.0)
}

/// `ln(a/b)` of positive finite numbers, with relative accuracy also where they are close to each other.
///
/// Meaningless where one is not positive and finite.
#[must_use]
#[inline(always)]
pub fn ln_ratio(a: f64, b: f64) -> f64 {
    const TWO_54: f64 = 18014398509481984.0;
    // Brought by powers of two to where numbers are normal and their sums finite.
    let scale = |x: f64| {
        let tiny = x < 2.0 * f64::MIN_POSITIVE;
        (x * select(tiny, TWO_54, 0.5), select(tiny, 55.0, 0.0))
    };
    let ((a, up), (b, down)) = (scale(a), scale(b));
    shifted_ln_quotient(a, b, down - up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{elementary, repeatable, ulp, worst_ulps};
    use proptest::prelude::*;

    #[test]
    fn golden_values_within_one_unit() {
        for (name, function) in [("exp", exp as fn(f64) -> f64), ("ln", ln)] {
            let worst = worst_ulps(name, function);
            assert!(worst <= 1.0, "{name}: {worst} ulp");
        }
    }

    #[test]
    fn golden_ratios_within_one_unit_and_a_half() {
        for (x, value) in elementary("ln") {
            for scale in [1.0, 0.125, 2f64.powi(40), 2f64.powi(-300), 2f64.powi(600)] {
                let scaled = x * scale;
                if scaled.is_normal() && scaled / scale == x {
                    let error = (ln_ratio(scaled, scale) - value).abs() / ulp(value);
                    assert!(error <= 1.5, "ln({scaled}/{scale}): {error} ulp");
                }
            }
        }
    }

    #[test]
    fn ends_of_the_domains() {
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(709.79), f64::INFINITY);
        assert!(exp(709.78).is_finite());
        assert_eq!(exp(-746.0), 0.0);
        assert_eq!(exp(-745.0), f64::from_bits(1));
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(-0.0), f64::NEG_INFINITY);
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(-1.0).is_nan());
        assert!(exp(f64::NAN).is_nan() && ln(f64::NAN).is_nan());
        assert!((ln(f64::from_bits(1)) + 744.4400719213812).abs() < 2e-13);
        assert_eq!(ln_ratio(7.5, 7.5), 0.0);
        assert!((ln_ratio(f64::MAX, f64::from_bits(1)) - 1454.2227848147652).abs() < 1e-12);
        assert!((ln_ratio(f64::from_bits(1), f64::MAX) + 1454.2227848147652).abs() < 1e-12);
        assert_eq!(ln_ratio(1.0f64.next_up(), 1.0), f64::EPSILON.next_down());
    }

    proptest! {
        #![proptest_config(repeatable(500))]

        #[test]
        fn logarithm_inverts_exponential(x in -700.0..700.0f64) {
            prop_assert!((ln(exp(x)) - x).abs() <= 3e-16 * x.abs().max(1.0));
        }

        #[test]
        fn ratio_is_antisymmetric(a in 1e-3..1e3f64, m in -3.0..3.0f64) {
            let l = ln_ratio(a, a * exp(m));
            prop_assert!((l + ln_ratio(a * exp(m), a)).abs() <= 7e-16 * l.abs());
        }

        #[test]
        fn exponential_is_monotone(x in -745.0..709.0f64) {
            prop_assert!(exp(x) <= exp(x + x.abs() * 1e-15 + 1e-15));
        }
    }
}
