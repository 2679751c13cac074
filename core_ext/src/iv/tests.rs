//! Against the golden prices, back from prices of the core, at every edge, with hostile numbers, and on every level.
use super::guess::guess;
use super::problem::Problem;
use super::step::{Evaluation, is_last, moved};
use super::*;
use crate::black::{self, FIRST, Options, Units};
use crate::math::exp;
use crate::testing::{options, repeatable};
use proptest::prelude::*;

const MODELS: [Model; 2] = [Model::Black76, Model::BlackScholesMerton];
const EPSILON: f64 = f64::EPSILON;

/// Underlying, strike, t, rate, yield.
type Market = [f64; 5];

/// One volatility and its status.
fn solve(model: Model, price: f64, market: Market, is_call: bool) -> (f64, u8) {
    let [underlying, strike, t, rate, dividend_yield] = market.map(Column::One);
    let (price, is_call) = (Column::One(price), Flags::One(is_call));
    let quotes = Quotes { model, price, underlying, strike, t, rate, dividend_yield, is_call };
    let (mut sigma, mut status) = ([0.0], [99]);
    implied(Level::best(), &quotes, &mut sigma, &mut status).expect("one quote");
    (sigma[0], status[0])
}

/// Price, delta, gamma, vega, theta, rho.
fn greeks(model: Model, market: Market, sigma: f64, is_call: bool) -> [f64; FIRST] {
    let [underlying, strike, t, rate, dividend_yield] = market.map(Column::One);
    let (sigma, is_call) = (Column::One(sigma), Flags::One(is_call));
    let options = Options { model, underlying, strike, t, sigma, rate, dividend_yield, is_call };
    let mut out = [0.0; FIRST];
    let mut parts = out.chunks_mut(1);
    black::greeks(
        Level::best(),
        &options,
        Units::Raw,
        std::array::from_fn(|_| parts.next().unwrap_or_default()),
    )
    .expect("one option");
    out
}

/// The relative error that a volatility may have: four units of what the price carries, and what the rounding of rate,
/// carry and intrinsic value forces (`docs/accuracy.md`).
fn allowed(model: Model, price: f64, market: Market, sigma: f64, is_call: bool) -> f64 {
    let [underlying, strike, t, rate, dividend_yield] = market;
    let [_, delta, _, vega, ..] = greeks(model, market, sigma, is_call);
    let swing = vega * sigma;
    let rounding = (EPSILON * price).max(price.next_up() - price);
    let bound = 4.0 * EPSILON + (4.0 * rounding + 0.5 * EPSILON * (rate * t).abs() * price) / swing;
    if model == Model::Black76 {
        return bound;
    }
    let (log, carry) = ((underlying / strike).ln(), (rate - dividend_yield) * t);
    let moneyness = EPSILON * (2.0 * log.abs() + carry.abs() + 0.5 * (log + carry).abs());
    let (held, paid) = (underlying * exp(-dividend_yield * t), strike * exp(-rate * t));
    let is_out = (held < paid) == is_call;
    let delta = if is_out { underlying * delta.abs() } else { held - underlying * delta.abs() };
    let carried = if is_out {
        0.5 * (dividend_yield * t).abs() * price
    } else {
        held * (1.0 + (dividend_yield * t).abs()) + paid * (1.0 + (rate * t).abs())
    };
    bound + (moneyness * delta + EPSILON * carried) / swing
}

#[test]
fn golden_prices() {
    let (mut solved, mut worst) = (0, 0.0f64);
    for option in options("prices") {
        let [underlying, strike, t, sigma, rate, dividend_yield] = option.arguments;
        let market = [underlying, strike, t, rate, dividend_yield];
        for (is_call, &price) in [(true, &option.values[0]), (false, &option.values[1])] {
            let allowed = allowed(option.model, price, market, sigma, is_call);
            if !(allowed < 1e-6 && price > 1e-300 * underlying.max(1.0)) {
                continue;
            }
            let (found, status) = solve(option.model, price, market, is_call);
            assert_eq!(status, 0, "{option:?} {is_call}");
            let error = (found / sigma - 1.0).abs();
            assert!(error <= allowed, "{option:?} {is_call}: {found}, {} of the bound", error / allowed);
            worst = worst.max(4.0 * error / allowed);
            solved += 1;
        }
    }
    assert!(solved > 1500, "{solved}");
    assert!(worst > 0.5, "{worst}");
}

/// `ln s` from 1e-4 to 6, moneyness in units of `s`, rate and yield.
fn any_market() -> impl Strategy<Value = (f64, Market)> {
    let scale = prop_oneof![Just(0.0), Just(1e-6), Just(1.0), Just(3.0), Just(30.0)];
    let market = (-9.21..1.792f64, scale, -1.0..1.0f64, -9.2..2.3f64, -0.02..0.2f64, -0.02..0.1f64);
    market.prop_map(|(log_s, scale, depth, log_t, rate, dividend_yield)| {
        let (s, t) = (exp(log_s), exp(log_t));
        let x = (scale * depth * s).clamp(-10.0, 10.0);
        (s / t.sqrt(), [100.0, 100.0 * exp(x), t, rate, dividend_yield])
    })
}

proptest! {
    #![proptest_config(repeatable(20_000))]
    #[test]
    fn back_from_our_prices((sigma, mut market) in any_market(), is_call: bool, spot: bool) {
        let model = MODELS[usize::from(spot)];
        if spot {
            market[1] *= exp((market[3] - market[4]) * market[2]);
        }
        let price = greeks(model, market, sigma, is_call)[0];
        let allowed = allowed(model, price, market, sigma, is_call);
        if !(price > 1e-300 && allowed < 1e-6) {
            return Ok(()); // nothing is left of the volatility
        }
        let (found, status) = solve(model, price, market, is_call);
        prop_assert_eq!(status, 0);
        let error = (found / sigma - 1.0).abs();
        prop_assert!(error <= allowed, "{found}, {} of the bound", error / allowed);
    }

    /// Strikes far beyond the range of the guess.
    #[test]
    fn back_from_far_strikes(log_k in -690.0..690.0f64, depth in -36.0..8.0f64, is_call: bool) {
        let a = log_k.abs();
        let s = depth + (depth * depth + 2.0 * a).sqrt(); // so that d1 is this
        let market = [1.0, exp(log_k), 1.0, 0.0, 0.0];
        let price = greeks(Model::Black76, market, s, is_call)[0];
        let allowed = allowed(Model::Black76, price, market, s, is_call);
        if !(price > 1e-300 * market[1].max(1.0) && allowed < 1e-6) {
            return Ok(());
        }
        let (found, status) = solve(Model::Black76, price, market, is_call);
        prop_assert_eq!(status, 0);
        let error = (found / s - 1.0).abs();
        prop_assert!(error <= allowed, "{found}, {} of the bound", error / allowed);
    }
}

/// Value, or one minus it where it is more than 0.4, at a known `s`.
fn known(a: f64, s: f64) -> Option<Problem> {
    let [price, ..] = greeks(Model::Black76, [1.0, exp(a), 1.0, 0.0, 0.0], s, true);
    let high = price > 0.4;
    let target = if high { 1.0 - price } else { price };
    // Not where the difference has lost its digits.
    (target > 1e-300 && !(high && target < 1e-10)).then(|| Problem { a, excess: exp(a) - 1.0, target, high })
}

#[test]
fn one_step_suffices() {
    let (mut worst, mut near, mut solved) = (0.0f64, 0.0f64, 0);
    for i in 0..=200 {
        let a = 10.0 * (f64::from(i) / 200.0).powi(4);
        for j in 0..400 {
            let s = 1e-4 * exp(f64::from(j) / 400.0 * 11.8);
            let Some(problem) = known(a, s) else { continue };
            let guess = guess(&problem);
            let error = (guess / s - 1.0).abs();
            worst = worst.max(error);
            if !problem.high {
                near = near.max(error);
            }
            let evaluation = Evaluation::new(&problem, guess);
            let (x, newton) = evaluation.step(evaluation.missing());
            assert!(is_last(&problem, guess, newton), "{problem:?}: {s} {guess} {x}");
            assert!((moved(guess, x) / s - 1.0).abs() < 1e-6 * problem.target.max(1e-4) + 1e-5);
            solved += 1;
        }
    }
    assert!(worst < 4e-4 && near < 1e-4 && solved > 20_000, "{worst:e} {near:e} {solved}");
}

/// What the longest last step leaves: a second step finds nothing more to do.
#[test]
fn a_last_step_leaves_less_than_rounding() {
    for a in [0.0, 1e-6, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0] {
        for j in 0..200 {
            let s = 1e-3 * exp(f64::from(j) / 200.0 * 9.6);
            let Some(problem) = known(a, s) else { continue };
            for sign in [-1.0, 1.0] {
                let start = moved(s, sign * 0.98 * (2e-6 / (4.0 + a)).sqrt());
                let first = Evaluation::new(&problem, start);
                let (x, newton) = first.step(first.missing());
                assert!(is_last(&problem, start, newton));
                let second = Evaluation::new(&problem, moved(start, x));
                let rest = (second.missing() * second.inverse_slope).abs();
                let unit = EPSILON * (1.0 + second.inverse_slope.abs());
                assert!(rest <= 4.0 * unit, "{problem:?} {s}: {rest:e} of {unit:e}");
            }
        }
    }
}

#[test]
fn statuses_by_price() {
    use Status::{AboveMaximum, BelowIntrinsic, Converged, NoPrice, NotEnoughPrecision};
    let status = |model, price, strike, is_call, rate: f64| {
        let (sigma, status) = solve(model, price, [100.0, strike, 1.0, rate, 0.0], is_call);
        assert_eq!(sigma.is_nan(), status != 0);
        status
    };
    for model in MODELS {
        for (strike, is_call) in [(90.0, true), (90.0, false), (110.0, true), (110.0, false), (100.0, true)] {
            let intrinsic = (if is_call { 100.0 - strike } else { strike - 100.0f64 }).max(0.0);
            let maximum = if is_call { 100.0f64 } else { strike };
            for (price, expected) in [
                (f64::NAN, NoPrice),
                (f64::NEG_INFINITY, BelowIntrinsic),
                (-1.0, BelowIntrinsic),
                (intrinsic - 1e-9, BelowIntrinsic),
                (intrinsic.next_down(), BelowIntrinsic),
                (intrinsic, NotEnoughPrecision),
                (intrinsic.next_up(), NotEnoughPrecision),
                (intrinsic + 1.0, Converged),
                (maximum * (1.0 - 1e-6), Converged),
                (maximum.next_down(), NotEnoughPrecision),
                (maximum, AboveMaximum),
                (maximum.next_up(), AboveMaximum),
                (f64::MAX, AboveMaximum),
                (f64::INFINITY, AboveMaximum),
            ] {
                let found = status(model, price, strike, is_call, 0.0);
                assert_eq!(found, expected as u8, "{model:?} {strike} {is_call} {price}");
            }
            let tiny = if intrinsic > 0.0 { NotEnoughPrecision } else { Converged };
            assert_eq!(status(model, intrinsic + 1e-290, strike, is_call, 0.0), tiny as u8);
        }
        assert_eq!(status(model, -5e-324, 110.0, true, 0.0), BelowIntrinsic as u8);
    }
    // A discounted bound is not passed by its own rounding.
    for i in 1..200 {
        let rate = 0.001 * f64::from(i);
        let market = [100.0, 80.0, 1.0, rate, 0.0];
        let none = greeks(Model::Black76, market, 0.0, true)[0];
        assert_eq!(solve(Model::Black76, none, market, true).1, NotEnoughPrecision as u8);
        assert_eq!(solve(Model::Black76, none.next_down(), market, true).1, BelowIntrinsic as u8);
        assert_eq!(solve(Model::Black76, exp(-rate) * 100.0, market, true).1, AboveMaximum as u8);
    }
}

#[test]
fn statuses_by_market() {
    use Status::{Converged, Expired, InvalidInput, NoForward, NotEnoughPrecision};
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for model in MODELS {
        for (market, expected) in [
            ([100.0, 90.0, 1.0, 0.05, 0.0], Converged),
            ([100.0, 90.0, 0.0, 0.05, 0.0], Expired),
            ([100.0, 90.0, -0.0, 0.05, 0.0], Expired),
            ([nan, nan, -inf, nan, nan], Expired),
            ([100.0, 90.0, nan, 0.05, 0.0], InvalidInput),
            ([100.0, 90.0, inf, 0.05, 0.0], InvalidInput),
            ([nan, 90.0, 1.0, 0.05, 0.0], NoForward),
            ([0.0, 90.0, 1.0, 0.05, 0.0], NoForward),
            ([-1.0, nan, nan, 0.05, 0.0], NoForward),
            ([inf, 90.0, 1.0, 0.05, 0.0], NoForward),
            ([100.0, nan, 1.0, 0.05, 0.0], InvalidInput),
            ([100.0, 0.0, 1.0, 0.05, 0.0], InvalidInput),
            ([100.0, -90.0, 1.0, 0.05, 0.0], InvalidInput),
            ([100.0, inf, 1.0, 0.05, 0.0], InvalidInput),
            ([100.0, 90.0, 1.0, nan, 0.0], InvalidInput),
            ([100.0, 90.0, 1.0, inf, 0.0], InvalidInput),
            ([100.0, 90.0, 1.0, -inf, 0.0], InvalidInput),
            ([100.0, 90.0, 1.0, 1e5, 0.0], InvalidInput),
            ([100.0, 90.0, 1.0, -1e5, 0.0], InvalidInput),
            ([1e-310, 90.0, 1.0, 0.05, 0.0], NotEnoughPrecision),
            ([100.0, 5e-324, 1.0, 0.05, 0.0], NotEnoughPrecision),
            // A volatility of 1e146, with which nothing can be priced.
            ([100.0, 90.0, 1e-292, 0.05, 0.0], NotEnoughPrecision),
        ] {
            let (sigma, status) = solve(model, 15.0, market, true);
            assert_eq!(status, expected as u8, "{model:?} {market:?}");
            assert_eq!(sigma.is_nan(), status != 0);
            if status > 4 {
                assert_eq!(solve(model, nan, market, true).1, status);
            }
        }
        for bad in [nan, inf, -inf] {
            let expected = if model == Model::Black76 { Converged } else { InvalidInput };
            assert_eq!(solve(model, 15.0, [100.0, 90.0, 1.0, 0.05, bad], true).1, expected as u8);
        }
    }
    let (sigma, _) = solve(Model::Black76, 15.0, [101.0, 90.0, 1.0, 0.05, 0.0], true);
    assert_eq!(solve(Model::MarketForward(101.0), 15.0, [nan, 90.0, 1.0, 0.05, nan], true), (sigma, 0));
    assert_eq!(
        solve(Model::MarketForward(nan), 15.0, [100.0, 90.0, 1.0, 0.05, 0.0], true).1,
        NoForward as u8
    );
}

/// Where the guess underflows, the search finds the volatility.
#[test]
fn smallest_prices_at_the_money() {
    for price in [1e-150, 1e-170, 1e-250, 1e-305] {
        let (sigma, status) = solve(Model::Black76, price, [100.0, 100.0, 4.0, 0.0, 0.0], true);
        assert_eq!(status, 0);
        assert!((sigma / price * 200.0 - 2.5066282746310007).abs() < 4e-15, "{price}: {sigma}");
    }
}

/// Any bits, and the numbers where something happens.
fn hostile() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<u64>().prop_map(f64::from_bits),
        2 => -700.0..700.0f64,
        2 => 0.5..200.0f64,
        1 => prop_oneof![
            Just(0.0), Just(-0.0), Just(5e-324), Just(-5e-324), Just(f64::MIN_POSITIVE), Just(1.0), Just(f64::MAX),
            Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::NAN), Just(100.0)
        ],
    ]
}

proptest! {
    #![proptest_config(repeatable(3000))]
    /// No hang, a defined status, the same bits on every level, alone as among neighbours.
    #[test]
    fn hostile_numbers(
        columns in prop::collection::vec(prop::array::uniform6(hostile()), 1..70),
        is_call: bool,
        spot: bool,
    ) {
        let n = columns.len();
        let model = MODELS[usize::from(spot)];
        let column = |j: usize| columns.iter().map(|row| row[j]).collect::<Vec<f64>>();
        let [price, underlying, strike, t, rate, yields] = std::array::from_fn(column);
        let quotes = Quotes {
            model,
            price: Column::Many(&price),
            underlying: Column::Many(&underlying),
            strike: Column::Many(&strike),
            t: Column::Many(&t),
            rate: Column::Many(&rate),
            dividend_yield: Column::Many(&yields),
            is_call: Flags::One(is_call),
        };
        let (mut sigmas, mut statuses) = (vec![1.0; n], vec![99; n]);
        implied(Level::BASELINE, &quotes, &mut sigmas, &mut statuses).expect("columns of one length");
        for (&sigma, &status) in sigmas.iter().zip(&statuses) {
            prop_assert!(status <= 7);
            let fits = if status == 0 { sigma > 0.0 && sigma < 1e100 } else { sigma.is_nan() };
            prop_assert!(fits, "status {status}: {sigma}");
        }
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
        for &level in Level::available() {
            let (mut others, mut codes) = (vec![2.0; n], vec![77; n]);
            implied(level, &quotes, &mut others, &mut codes).expect("columns of one length");
            prop_assert_eq!(bits(&others), bits(&sigmas), "{}", level.name());
            prop_assert_eq!(&codes, &statuses);
        }
        for (i, &[price, underlying, strike, t, rate, dividend_yield]) in columns.iter().enumerate() {
            let (sigma, status) = solve(model, price, [underlying, strike, t, rate, dividend_yield], is_call);
            prop_assert_eq!((sigma.to_bits(), status), (sigmas[i].to_bits(), statuses[i]));
        }
    }

    /// The same for quotes that have a volatility, ordinary ones and ones far out.
    #[test]
    fn every_level_gives_the_same_bits(
        rows in prop::collection::vec((0.0..1.0f64, -1.0..1.0f64, 0..3usize, any::<bool>()), 1..130),
    ) {
        let n = rows.len();
        let strikes: Vec<f64> = rows.iter().map(|r| 100.0 * exp(r.1 * [0.2, 8.0, 600.0][r.2])).collect();
        let prices: Vec<f64> = rows.iter().zip(&strikes).map(|(r, &strike)| {
            let (low, high) = if r.3 { (100.0 - strike, 100.0) } else { (strike - 100.0, strike) };
            low.max(0.0) + (high - low.max(0.0)) * exp(-40.0 * r.0)
        }).collect();
        let flags: Vec<u8> = rows.iter().map(|r| u8::from(r.3)).collect();
        let quotes = Quotes {
            model: Model::Black76,
            price: Column::Many(&prices),
            underlying: Column::One(100.0),
            strike: Column::Many(&strikes),
            t: Column::One(0.5),
            rate: Column::One(0.0),
            dividend_yield: Column::One(f64::NAN),
            is_call: Flags::Many(&flags),
        };
        let results: Vec<_> = Level::available().iter().map(|&level| {
            let (mut sigmas, mut statuses) = (vec![0.0; n], vec![99; n]);
            implied(level, &quotes, &mut sigmas, &mut statuses).expect("columns of one length");
            (sigmas.iter().map(|v| v.to_bits()).collect::<Vec<u64>>(), statuses)
        }).collect();
        prop_assert!(results.iter().all(|result| *result == results[0]));
        prop_assert!(n < 60 || results[0].1.contains(&0));
    }
}

#[test]
fn lengths_are_compared() {
    let column = Column::One(1.0);
    let quotes = Quotes {
        model: Model::Black76,
        price: Column::Many(&[1.0, 2.0]),
        underlying: column,
        strike: column,
        t: column,
        rate: column,
        dividend_yield: column,
        is_call: Flags::One(true),
    };
    let level = Level::best();
    assert!(implied(level, &quotes, &mut [0.0; 2], &mut [0; 2]).is_ok());
    assert!(implied(level, &quotes, &mut [0.0; 3], &mut [0; 3]).is_err());
    assert!(implied(level, &quotes, &mut [0.0; 2], &mut [0; 1]).is_err());
    let quotes = Quotes { price: column, is_call: Flags::Many(&[1]), ..quotes };
    assert!(implied(level, &quotes, &mut [0.0; 2], &mut [0; 2]).is_err());
    assert!(implied(level, &quotes, &mut [], &mut []).is_err());
    let quotes = Quotes { is_call: Flags::One(true), ..quotes };
    assert!(implied(level, &quotes, &mut [], &mut []).is_ok());
}
