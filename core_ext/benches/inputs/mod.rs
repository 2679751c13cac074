//! Options as liquid markets list them, drawn as in `benches/_options.py`; the same in every run.
use std::iter::successors;

use _core::batch::{Column, Flags};
use _core::black::{self, Model, Options};
use _core::chain::{Convention, Params};
use _core::iv::Quotes;
use _core::level::Level;

use crate::peer::Undiscounted;

/// Steele, Lea and Flood's `SplitMix64` (2014), as uniform numbers.
struct Uniform(u64);

impl Uniform {
    fn draw(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        low + (high - low) * (f64::from_bits((1.0f64).to_bits() | z >> 12) - 1.0)
    }
}

/// Columns of options: strikes within three standard deviations of the forward, every second a call.
pub struct Inputs {
    spot: Vec<f64>,
    forward: Vec<f64>,
    strike: Vec<f64>,
    t: Vec<f64>,
    sigma: Vec<f64>,
    rate: Vec<f64>,
    dividend_yield: Vec<f64>,
    is_call: Vec<u8>,
}

impl Inputs {
    pub fn new(n: usize) -> Self {
        let mut uniform = Uniform(20261120);
        let mut draw = |low, high| -> Vec<f64> { (0..n).map(|_| uniform.draw(low, high)).collect() };
        let (spot, t, sigma) = (draw(18e3, 26e3), draw(1.0 / 365.0, 2.0), draw(0.05, 0.8));
        let (rate, dividend_yield, d) = (draw(0.0, 0.08), draw(0.0, 0.04), draw(-3.0, 3.0));
        let forward: Vec<f64> =
            (0..n).map(|i| spot[i] * ((rate[i] - dividend_yield[i]) * t[i]).exp()).collect();
        let strike = (0..n).map(|i| forward[i] * (d[i] * sigma[i] * t[i].sqrt()).exp()).collect();
        let is_call = (0..n).map(|i| u8::from(i % 2 == 0)).collect();
        Self { spot, forward, strike, t, sigma, rate, dividend_yield, is_call }
    }

    pub fn options(&self, model: Model) -> Options<'_> {
        let underlying = if model == Model::Black76 { &self.forward } else { &self.spot };
        Options {
            model,
            underlying: Column::Many(underlying),
            strike: Column::Many(&self.strike),
            t: Column::Many(&self.t),
            sigma: Column::Many(&self.sigma),
            rate: Column::Many(&self.rate),
            dividend_yield: Column::Many(&self.dividend_yield),
            is_call: Flags::Many(&self.is_call),
        }
    }

    /// Their prices.
    pub fn prices(&self, model: Model) -> Vec<f64> {
        prices(&self.options(model), self.strike.len())
    }

    /// The same options, quoted at these prices.
    pub fn quotes<'a>(&'a self, model: Model, prices: &'a [f64]) -> Quotes<'a> {
        let Options { underlying, strike, t, rate, dividend_yield, is_call, .. } = self.options(model);
        Quotes { model, price: Column::Many(prices), underlying, strike, t, rate, dividend_yield, is_call }
    }

    /// Prices of [`Self::undiscounted`].
    pub fn undiscounted_prices(&self) -> Vec<f64> {
        prices(&Options { rate: Column::One(0.0), ..self.options(Model::Black76) }, self.strike.len())
    }

    /// What the peer takes: options on their forwards, at these undiscounted prices.
    pub fn undiscounted<'a>(&'a self, prices: &'a [f64]) -> Undiscounted<'a> {
        Undiscounted {
            price: prices,
            forward: &self.forward,
            strike: &self.strike,
            t: &self.t,
            is_call: &self.is_call,
        }
    }
}

fn prices(options: &Options, n: usize) -> Vec<f64> {
    let mut prices = vec![f64::NAN; n];
    if let Err(error) = black::prices(Level::best(), options, &mut prices) {
        panic!("{error:?}");
    }
    prices
}

/// A quoted chain of a fortnight with a smile, every quote two-sided: what [`sweep`](_core::chain::sweep) takes.
pub struct Chain {
    pub columns: Vec<f64>,
    pub params: Params,
}

impl Chain {
    pub fn new(n: usize) -> Self {
        let (forward, t, rate) = (24_065.0, 14.0 / 365.0, 0.065);
        let OpenInterest { strikes, calls, puts } = OpenInterest::new(n, forward);
        let sigma: Vec<f64> = strikes.iter().map(|k| 0.13 + 0.9 * (k / forward - 1.0).powi(2)).collect();
        let mut columns = strikes.clone();
        for (is_call, oi) in [(true, calls), (false, puts)] {
            let fair = prices(
                &Options {
                    model: Model::Black76,
                    underlying: Column::One(forward),
                    strike: Column::Many(&strikes),
                    t: Column::One(t),
                    sigma: Column::Many(&sigma),
                    rate: Column::One(rate),
                    dividend_yield: Column::One(0.0),
                    is_call: Flags::One(is_call),
                },
                n,
            );
            let bid: Vec<f64> = fair.iter().map(|price| (price * 19.9).floor() / 20.0).collect();
            let ask: Vec<f64> = fair.iter().map(|price| (price * 20.1).ceil() / 20.0).collect();
            let (size, absent) = (vec![75.0; n], vec![f64::NAN; n]);
            for row in [&bid, &size, &ask, &size, &bid, &oi, &oi, &ask, &oi, &absent, &absent] {
                columns.extend(row);
            }
        }
        let params = Params {
            spot: 24_012.35,
            future: forward,
            t,
            rate,
            tick_size: 0.05,
            lot: 75.0,
            multiplier: 1.0,
            convention: Convention::Naive,
        };
        Self { columns, params }
    }
}

/// Ticks in ascending order, a millisecond apart.
pub struct Ticks {
    pub ts_ns: Vec<i64>,
    pub order: Vec<i64>,
    pub prices: Vec<f64>,
}

impl Ticks {
    pub fn new(n: usize) -> Self {
        let mut uniform = Uniform(20261120);
        let ts_ns = successors(Some(1_700_000_000_000_000_000), |ts| Some(ts + 1_000_000)).take(n).collect();
        let prices = (0..n).map(|_| uniform.draw(24e3, 25e3)).collect();
        Self { ts_ns, order: vec![0; n], prices }
    }
}

/// Open interest of a chain around a price.
pub struct OpenInterest {
    pub strikes: Vec<f64>,
    pub calls: Vec<f64>,
    pub puts: Vec<f64>,
}

impl OpenInterest {
    pub fn new(n: usize, around: f64) -> Self {
        let mut uniform = Uniform(20261120);
        let mut draw = || -> Vec<f64> { (0..n).map(|_| 75.0 * uniform.draw(0.0, 5e4).round()).collect() };
        let strikes: Vec<f64> = successors(Some(0.0), |above| Some(above + 50.0)).take(n).collect();
        let lowest = (around / 50.0).round() * 50.0 - strikes[n / 2];
        let strikes = strikes.iter().map(|above| lowest + above).collect();
        Self { strikes, calls: draw(), puts: draw() }
    }
}
