//! For the tests beside the code: the golden tables of `tests/core_ext/golden`, and repeatable properties.
#![allow(clippy::unwrap_used)]
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

/// Rows `(forward, strike, t, sigma, rate, call, put)` of Black-76 prices.
pub(crate) fn black() -> Vec<[f64; 7]> {
    include_str!("../../tests/core_ext/golden/black.csv")
        .lines()
        .skip(1)
        .map(|line| {
            let v: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
            [v[0], v[1], v[2], v[3], v[4], v[6], v[12]]
        })
        .collect()
}
