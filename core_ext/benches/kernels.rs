//! The kernels by themselves, on each instruction set of this processor: `cargo bench --bench kernels`.
//!
//! Columns of [`OPTIONS`] options, which stay in the cache with their results: what is measured is arithmetic,
//! not memory. `benches/core.py` measures the same work from Python, on a million options and beside peers.
mod inputs;
mod peer;

use std::fmt::{Display, Formatter};

use _core::bars::Bars;
use _core::black::{self, ALL, FIRST, Model, Units};
use _core::chain::{rows, sweep};
use _core::iv::{Status, implied};
use _core::level::Level;
use _core::max_pain::max_pain;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use inputs::{Chain, Inputs, OpenInterest, Ticks};

const OPTIONS: usize = 2048;
const STRIKES: usize = 500;
const CHAIN: usize = 60;
const TICKS: usize = 100_000;

fn main() {
    divan::main();
}

/// A model on an instruction set.
#[derive(Clone, Copy)]
struct Case(Model, Level);

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let model = if self.0 == Model::Black76 { "Black-76" } else { "Black-Scholes-Merton" };
        write!(f, "{model}, {}", self.1.name())
    }
}

fn cases() -> impl Iterator<Item = Case> {
    [Model::Black76, Model::BlackScholesMerton]
        .into_iter()
        .flat_map(|model| Level::available().iter().map(move |&level| Case(model, level)))
}

fn level_names() -> impl Iterator<Item = &'static str> {
    Level::available().iter().map(|level| level.name())
}

fn results<const N: usize>() -> [Vec<f64>; N] {
    std::array::from_fn(|_| vec![0.0; OPTIONS])
}

/// The floor under all that follows: one logarithm, two exponentials, two Mills' ratios.
#[divan::bench(args = cases())]
fn price(bencher: Bencher, Case(model, level): Case) {
    let inputs = Inputs::new(OPTIONS);
    let options = inputs.options(model);
    let mut out = vec![0.0; OPTIONS];
    bencher
        .counter(ItemsCount::new(OPTIONS))
        .bench_local(|| black::prices(level, black_box(&options), black_box(&mut out)));
}

/// What a chain's first order costs beyond its prices: they share all that is transcendental.
#[divan::bench(args = cases())]
fn price_and_5_greeks(bencher: Bencher, Case(model, level): Case) {
    let inputs = Inputs::new(OPTIONS);
    let options = inputs.options(model);
    let mut out = results::<FIRST>();
    bencher.counter(ItemsCount::new(OPTIONS)).bench_local(|| {
        let out = out.each_mut().map(Vec::as_mut_slice);
        black::greeks(level, black_box(&options), Units::Payload, black_box(out))
    });
}

/// What the second and third order add: multiplications alone, and nine more rows to store.
#[divan::bench(args = cases())]
fn price_and_13_greeks(bencher: Bencher, Case(model, level): Case) {
    let inputs = Inputs::new(OPTIONS);
    let options = inputs.options(model);
    let mut out = results::<ALL>();
    bencher.counter(ItemsCount::new(OPTIONS)).bench_local(|| {
        let out = out.each_mut().map(Vec::as_mut_slice);
        black::all_greeks(level, black_box(&options), Units::Payload, black_box(out))
    });
}

/// The inverse: the guess, and as many steps as the block's slowest option needs.
#[divan::bench(args = cases())]
fn implied_volatility(bencher: Bencher, Case(model, level): Case) {
    let inputs = Inputs::new(OPTIONS);
    let prices = inputs.prices(model);
    let quotes = inputs.quotes(model, &prices);
    let (mut sigmas, mut statuses) = (vec![0.0; OPTIONS], vec![0; OPTIONS]);
    assert_eq!(implied(level, &quotes, &mut sigmas, &mut statuses), Ok(()));
    assert!(statuses.iter().all(|&status| status == Status::Converged as u8), "all have a volatility");
    bencher
        .counter(ItemsCount::new(OPTIONS))
        .bench_local(|| implied(level, black_box(&quotes), black_box(&mut sigmas), black_box(&mut statuses)));
}

/// The peer on the same options, quoted undiscounted at a forward: with the solver it takes by itself, and with
/// the one that its author measures as the fastest. Neither knows of instruction sets.
#[divan::bench(args = ["hybrid", "experimental"])]
fn implied_volatility_of_the_peer(bencher: Bencher, solver: &str) {
    let inputs = Inputs::new(OPTIONS);
    let prices = inputs.undiscounted_prices();
    let quotes = inputs.undiscounted(&prices);
    let solve = if solver == "hybrid" { peer::hybrid } else { peer::experimental };
    let mut out = vec![0.0; OPTIONS];
    bencher.counter(ItemsCount::new(OPTIONS)).bench_local(|| solve(black_box(&quotes), black_box(&mut out)));
}

/// One pass over a long chain; per strike.
#[divan::bench]
fn max_pain_of_500_strikes(bencher: Bencher) {
    let OpenInterest { strikes, calls, puts } = OpenInterest::new(STRIKES, 24e3);
    bencher
        .counter(ItemsCount::new(STRIKES))
        .bench_local(|| max_pain(black_box(&strikes), black_box(&calls), black_box(&puts), f64::NAN));
}

/// All that the enricher needs of a chain, in one call; per option, of which a strike has two.
#[divan::bench(args = level_names())]
fn sweep_of_60_strikes(bencher: Bencher, level: &str) {
    let level = Level::named(level).unwrap_or(Level::BASELINE);
    let Chain { columns, params } = Chain::new(CHAIN);
    let mut out = vec![0.0; rows::ROWS * CHAIN];
    bencher
        .counter(ItemsCount::new(2 * CHAIN))
        .bench_local(|| sweep(level, black_box(&columns), CHAIN, black_box(&params), black_box(&mut out)));
}

/// Bars of a minute of ordered ticks, as a replay has them: comparisons, no sorting; per tick.
#[divan::bench]
fn bars_of_ordered_ticks(bencher: Bencher) {
    let Ticks { ts_ns, order, prices } = Ticks::new(TICKS);
    bencher.counter(ItemsCount::new(TICKS)).bench_local(|| {
        Bars::aggregate(black_box(&ts_ns), black_box(&order), black_box(&prices), 60_000_000_000)
    });
}
