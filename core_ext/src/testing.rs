//! For the tests beside the code: the golden tables of `tests/core_ext/golden`, and repeatable properties.
#![allow(clippy::unwrap_used)]
use crate::black::Model;
use proptest::test_runner::{Config, RngSeed};

/// Property tests of `cases` cases that are the same ones on every run.
pub(crate) fn repeatable(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(76), ..Config::default() }
}

/// Rows `(x, value)` of one elementary function.
pub(crate) fn elementary(function: &str) -> Vec<(f64, f64)> {
    let rows: Vec<_> = include_str!("../../tests/core_ext/golden/elementary.csv")
        .lines()
        .filter_map(|line| line.strip_prefix(function)?.strip_prefix(','))
        .map(|rest| {
            let (x, value) = rest.split_once(',').unwrap();
            (x.parse().unwrap(), value.parse().unwrap())
        })
        .collect();
    assert!(!rows.is_empty(), "no golden rows for {function}");
    rows
}

/// The largest error in units in the last place of the golden values.
pub(crate) fn worst_ulps(function: &str, computed: impl Fn(f64) -> f64) -> f64 {
    elementary(function)
        .into_iter()
        .map(|(x, value)| (computed(x) - value).abs() / ulp(value))
        .fold(0.0, f64::max)
}

pub(crate) fn ulp(value: f64) -> f64 {
    let magnitude = value.abs();
    magnitude.next_up() - magnitude
}

/// A row of a table of options.
#[derive(Debug)]
pub(crate) struct Golden {
    pub model: Model,
    /// Underlying, strike, t, sigma, rate, yield.
    pub arguments: [f64; 6],
    pub values: Vec<f64>,
}

/// The rows of `prices` or `greeks`.
pub(crate) fn options(table: &str) -> Vec<Golden> {
    let text = match table {
        "prices" => include_str!("../../tests/core_ext/golden/prices.csv"),
        _ => include_str!("../../tests/core_ext/golden/greeks.csv"),
    };
    text.lines().skip(1).map(golden).collect()
}

fn golden(line: &str) -> Golden {
    let (model, numbers) = line.split_once(',').unwrap();
    let numbers: Vec<f64> = numbers.split(',').map(|field| field.parse().unwrap()).collect();
    Golden {
        model: if model == "black76" { Model::Black76 } else { Model::BlackScholesMerton },
        arguments: numbers[..6].try_into().unwrap(),
        values: numbers[6..].to_vec(),
    }
}
