//! The first guess.
//!
//! A low value is inverted in Bachelier's model. With `η = |F - K| / value` that gives `h_B = m / s_B`, `m = |F - K|`, as a
//! function of `η` alone. C. Grunspan, "A note on the equivalence between the normal and the lognormal implied volatility: a
//! model free approach", 2011, begins the way back; here it is `1/w = h_B²/a² - κ - κ₂ w` for `w = s²`, quadratic in `w`, with
//! `κ(a) = 2 ln(sinh(a/2) / (a/2)) / a²` and `κ₂ = 1/480` at the money. Both are fits near these, which make it exact to
//! 1e-4.
//!
//! A high value has a gap `g` to its bound. `u = -Φ⁻¹(exp(-a/2) g / 2)` would be `s/2` at the money; elsewhere
//! `w + a² G(s/2) = 4 u²` but for terms of fourth order in `h`, with the first moment `G(z) = 1 - z M(z)` of the normal tail.
//! With `1/G = α + w/4` and a fit of `α` in `u`, `a` and `g` this is quadratic in `w`, too.
//!
//! For `a <= 10` the guess is within 4e-4 of `s`, of a low value within 1e-4. Further out it becomes worse, 2e-2 at `a = 25`.
use super::problem::Problem;
use crate::math::{polynomial, select};
use std::f64::consts::LN_2;

/// Minimax `ln(1 + f) / f` for `1 + f` between `√½` and `√2`.
const LN: [f64; 6] = [1.000012374, -0.4998532629, 0.3322699406, -0.2546824567, 0.223220418, -0.1432896987];

/// `(h_B (1 + 1.5/η))²` in `ln(1 + η/1.5)`; relative error 7e-5.
const BACHELIER: ([f64; 6], [f64; 5]) = (
    [0.35807405, 0.21637625, 0.13292065, 0.017146678, 0.0082339048, 5.0146059e-5],
    [1.0, 0.10167246, 0.039882076, 0.0044079031, 2.5102456e-5],
);
/// `κ` in `a²`.
const KAPPA: ([f64; 3], [f64; 3]) = (
    [0.08337394015383026, 0.001020116996709428, 1.0180852105714448e-06],
    [1.0, 0.020445568561601672, 5.7749085804491176e-05],
);
/// `κ₂` in `a²`, its denominator plus the last one times `a² v`.
const KAPPA_2: ([f64; 2], [f64; 3], f64) = (
    [0.0020335112370541276, 2.5519519603779993e-05],
    [1.0, 0.028273053315460362, 0.000146989112792534],
    0.0058021973122619704,
);
/// `4 u²` in `-ln Φ(-u)`; relative error 8e-5.
const QUANTILE: ([f64; 5], [f64; 4]) = (
    [5.985278623, -16.6670822, 9.289000913, 2.995684095, 0.04462412568],
    [1.0, 2.23518694, 0.3977429031, 0.005582910888],
);
/// `α` in `-ln Φ(-u)`, its numerator plus the last ones times `g` and `a g`.
const ALPHA: ([f64; 2], [f64; 2], f64, f64) = (
    [1.875459663217636, 0.6922083585378077],
    [1.0, 0.22528600572544333],
    -1.0406689593492144,
    0.09501252285256208,
);

/// `ln x` of a positive normal number; absolute error 2e-6.
#[inline(always)]
fn ln(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const FRACTION: u64 = 0x000f_ffff_ffff_ffff;
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let shifted = x.to_bits().wrapping_add(ONE - SQRT_HALF);
    let k = f64::from_bits((shifted >> 52) | TWO_52) - (4503599627370496.0 + 1023.0);
    let f = f64::from_bits((shifted & FRACTION).wrapping_add(SQRT_HALF)) - 1.0;
    k * LN_2 + f * polynomial(&LN, f)
}

/// A guess of `s`; anything, also NaN, where `a` is huge.
#[inline(always)]
pub(super) fn guess(problem: &Problem) -> f64 {
    const NEAR: f64 = 1e-4;
    let Problem { a, excess, target, high } = *problem;
    let aa = a * a;
    let scaled = 1.5 * target;
    let sum = excess + scaled;
    let l = ln(select(high, 1.0, sum) / select(high, target, scaled));
    let u = l + (0.5 * a + LN_2);

    // Quotients of both kinds of value, the low one first; the divisions are shared.
    let first = select(high, polynomial(&QUANTILE.0, u), polynomial(&BACHELIER.0, l))
        / select(high, polynomial(&QUANTILE.1, u), polynomial(&BACHELIER.1, l));
    let alpha = polynomial(&ALPHA.0, u) + (ALPHA.2 + ALPHA.3 * a) * target;
    let second = select(high, alpha, polynomial(&KAPPA.0, aa))
        / select(high, polynomial(&ALPHA.1, u), polynomial(&KAPPA.1, aa));

    let kappa_2 = polynomial(&KAPPA_2.0, aa) / (polynomial(&KAPPA_2.1, aa) + KAPPA_2.2 * (target * aa));
    // h_B / a = (h_B (1 + 1.5/η)) · (η / a) / (η + 1.5), finite at the money.
    let near = a < NEAR;
    let x = select(near, 1.0 + 0.5 * a, excess) / (sum * select(near, 1.0, a));
    let low_b = first * (x * x) - second;
    let low_d = low_b * low_b - 4.0 * kappa_2;

    let high_b = 0.25 * first - second;
    let high_d = high_b * high_b + (first * second - aa);

    let d = select(high, high_d, low_d);
    let root = select(high, high_b, low_b) + select(d > 0.0, d, 0.0).sqrt();
    (2.0 * select(high, root, 1.0) / select(high, 1.0, root)).sqrt()
}
