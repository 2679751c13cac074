//! Against the golden tables of `tests/core_ext/golden`, at the ends of the domain, and on every level.
use super::*;
use crate::math::exp;
use crate::testing::{options, repeatable};
use proptest::prelude::*;

const MODELS: [Model; 2] = [Model::Black76, Model::BlackScholesMerton];

/// Computes one option: underlying, strike, t, sigma, rate, yield.
fn values(model: Model, arguments: [f64; 6], is_call: bool, units: Units) -> [f64; ALL] {
    let [underlying, strike, t, sigma, rate, dividend_yield] = arguments.map(Column::One);
    let options =
        Options { model, underlying, strike, t, sigma, rate, dividend_yield, is_call: Flags::One(is_call) };
    let mut out = [0.0; ALL];
    let mut parts = out.chunks_mut(1);
    let slices = std::array::from_fn(|_| parts.next().unwrap_or_default());
    all_greeks(Level::best(), &options, units, slices).expect("one option");
    out
}

/// All values of a batch on one level, row after row.
fn on_level(level: Level, options: &Options, n: usize) -> Vec<u64> {
    let mut out = vec![0.0; n * ALL];
    let mut parts = out.chunks_mut(n);
    all_greeks(level, options, Units::Raw, std::array::from_fn(|_| parts.next().unwrap_or_default()))
        .expect("columns of one length");
    out.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn golden_prices() {
    let (mut worst, mut deep) = (0.0f64, 0);
    for option in options("prices") {
        let [underlying, strike, t, .., dividend_yield] = option.arguments;
        for (is_call, reference) in [(true, option.values[0]), (false, option.values[1])] {
            let price = values(option.model, option.arguments, is_call, Units::Raw)[0];
            let error = (price - reference).abs();
            if option.model == Model::Black76 && reference > 1e-200 * underlying {
                worst = worst.max(error / reference);
                deep += usize::from(reference < 1e-100 * underlying);
            }
            let largest = underlying.max(reference).max(strike) * exp((-dividend_yield * t).max(0.0));
            assert!(error <= 2e-15 * largest, "{option:?} {is_call}: {price} {reference}");
        }
    }
    assert!(worst <= 1e-12, "{worst:e}");
    assert!(deep > 10);
}

/// Relative, or absolute in the scale of the terms that are summed; `tests/core_ext` has the finer bounds.
#[test]
fn golden_greeks() {
    for option in options("greeks") {
        let [underlying, _, t, sigma, rate, dividend_yield] = option.arguments;
        let (is_call, references) = (option.values[0] != 0.0, &option.values[1..]);
        let computed = values(option.model, option.arguments, is_call, Units::Raw);
        let [price, _, gamma, vega, ..] = computed;
        let d = 40.0; // beyond it nothing is left
        let legs = (price.abs() + underlying) * (1.0 + rate.abs() + dividend_yield.abs() + t);
        let drift = d / t + (rate.abs() + dividend_yield.abs()) / (sigma * t.sqrt());
        let scales = [
            legs,
            1.0,
            gamma,
            vega,
            legs + vega / t,
            legs,
            vega * d / (underlying * sigma * t.sqrt()),
            1.0 + drift,
            vega * d * d / sigma,
            vega * d * drift,
            gamma * d / (underlying * sigma * t.sqrt()),
            gamma * d * d / sigma,
            gamma * d * drift,
            vega * d.powi(4) / (sigma * sigma),
            1.0,
        ];
        for (j, ((&value, &reference), scale)) in computed.iter().zip(references).zip(scales).enumerate() {
            let error = (value - reference).abs();
            assert!(error <= 1e-11 * (reference.abs() + scale.abs()), "{option:?}: {j} {value} {reference}");
        }
    }
}

#[test]
fn without_time_or_volatility() {
    for (t, sigma) in [(0.0, 0.2), (0.0, 0.0), (1.0, 0.0)] {
        for (strike, call, put) in [(90.0, 10.0, 0.0), (110.0, 0.0, 10.0)] {
            for (is_call, price) in [(true, call), (false, put)] {
                let found = values(Model::Black76, [100.0, strike, t, sigma, 0.0, 0.0], is_call, Units::Raw);
                let slope = if price > 0.0 { if is_call { 1.0 } else { -1.0 } } else { 0.0 };
                assert_eq!((found[0], found[1], found[14]), (price, slope, slope));
                assert!(
                    found[2..14].iter().enumerate().all(|(j, v)| *v == 0.0 || j == 3 && *v == -t * price)
                );
            }
        }
        let found = values(Model::Black76, [100.0, 100.0, t, sigma, 0.0, 0.0], true, Units::Raw);
        assert_eq!((found[0], found[1], found[5]), (0.0, 0.5, 0.0));
        assert!((found[3] - 100.0 * t.sqrt() * 0.3989422804014327).abs() < 1e-13);
        assert!(found[2].is_nan() && found[4].is_nan() && found[6..14].iter().all(|v| v.is_nan()));
    }
    let discounted = values(Model::BlackScholesMerton, [100.0, 90.0, 2.0, 0.0, 0.05, 0.01], true, Units::Raw);
    assert!((discounted[0] - (100.0 * exp(-0.02) - 90.0 * exp(-0.1))).abs() < 1e-13);
    assert!((discounted[1] - exp(-0.02)).abs() < 1e-15);
}

#[test]
fn strike_zero() {
    let arguments = [100.0, 0.0, 2.0, 0.3, 0.05, 0.01];
    let call = values(Model::BlackScholesMerton, arguments, true, Units::Raw);
    assert!((call[0] - 100.0 * exp(-0.02)).abs() < 1e-13 && (call[1] - exp(-0.02)).abs() < 1e-15);
    assert_eq!(values(Model::BlackScholesMerton, arguments, false, Units::Raw).map(f64::abs), [0.0; ALL]);
}

#[test]
fn out_of_the_domain_is_nan() {
    let good = [100.0, 90.0, 1.0, 0.2, 0.05, 0.01];
    for model in MODELS {
        for (i, bad) in [
            (0, vec![0.0, -1.0]),
            (1, vec![-1.0]),
            (2, vec![-1e-300]),
            (3, vec![-0.1, 1e100]),
            (4, vec![-1e4, 1e4]),
            (5, vec![]),
        ] {
            for value in bad.into_iter().chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]) {
                let mut arguments = good;
                arguments[i] = value;
                let found = values(model, arguments, true, Units::Payload);
                if i == 5 && model == Model::Black76 {
                    assert!(found.iter().all(|v| v.is_finite()));
                } else {
                    assert!(found.iter().all(|v| v.is_nan()), "{model:?} {arguments:?} {found:?}");
                }
            }
        }
    }
}

#[test]
fn lengths_are_compared() {
    let (two, three) = ([1.0; 2], [1.0; 3]);
    let one = Column::One(1.0);
    let options = Options {
        model: Model::Black76,
        underlying: Column::Many(&three),
        strike: Column::Many(&two),
        t: one,
        sigma: one,
        rate: one,
        dividend_yield: one,
        is_call: Flags::One(true),
    };
    let error = prices(Level::best(), &options, &mut [0.0; 3]).expect_err("strikes are two");
    assert_eq!(error.to_string(), "strike has shape (2,), but out has shape (3,)");
}

/// Numbers that break careless code.
fn hostile() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 1e-3..1e3f64,
        1 => proptest::num::f64::ANY,
        1 => prop::sample::select(vec![
            0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324, -1.0,
        ]),
    ]
}

proptest! {
    #![proptest_config(repeatable(300))]

    #[test]
    fn every_level_gives_the_same_bits(
        rows in prop::collection::vec((prop::array::uniform6(hostile()), any::<u8>()), 1..200),
        bsm in any::<bool>(),
    ) {
        let n = rows.len();
        let column = |j: usize| rows.iter().map(|(row, _)| row[j]).collect::<Vec<_>>();
        let columns: [Vec<f64>; 6] = std::array::from_fn(column);
        let flags: Vec<u8> = rows.iter().map(|(_, is_call)| is_call & 0x82).collect();
        let [underlying, strike, t, sigma, rate, dividend_yield] =
            std::array::from_fn(|j| Column::Many(&columns[j]));
        let model = MODELS[usize::from(bsm)];
        let is_call = Flags::Many(&flags);
        let options = Options { model, underlying, strike, t, sigma, rate, dividend_yield, is_call };
        let reference = on_level(Level::BASELINE, &options, n);
        for &level in Level::available() {
            prop_assert!(on_level(level, &options, n) == reference, "{}", level.name());
        }
        let (arguments, is_call) = rows[n / 2];
        let alone = values(model, arguments, is_call & 0x82 != 0, Units::Raw);
        for (j, value) in alone.into_iter().enumerate() {
            prop_assert_eq!(value.to_bits(), reference[j * n + n / 2]);
        }
    }

    #[test]
    fn bounds_and_monotony(
        log_strike in -8.0..8.0f64, s in 1e-3..6.0f64, t in 1e-3..5.0f64, rate in -0.05..0.2f64,
    ) {
        let strike = 100.0 * exp(log_strike);
        let sigma = s / t.sqrt();
        let discount = exp(-rate * t);
        for is_call in [true, false] {
            let of = |sigma: f64| values(Model::Black76, [100.0, strike, t, sigma, rate, 0.0], is_call, Units::Raw);
            let (found, more) = (of(sigma), of(sigma * 1.001));
            let cap = discount * if is_call { 100.0 } else { strike };
            prop_assert!(found[0] >= 0.0 && found[0] <= cap);
            prop_assert!(more[0] >= found[0]);
            prop_assert!(found[2] >= 0.0 && found[3] >= 0.0);
            prop_assert!(found[14].abs() <= 1.0);
        }
    }
}
