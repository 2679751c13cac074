//! European options: Black-76 on a forward, Black-Scholes-Merton on a spot with a continuous yield.
//!
//! Conventions: `σ` per √year, `T` in years, `r` and `q` continuously compounded, prices discounted by `exp(-rT)`.
//! An argument is out of the domain where a price is not finite, positive and normal, a strike, time or volatility not
//! finite or negative (a strike of 0 is a strike), a rate gives no finite positive discount factor, or anything is NaN;
//! everything is NaN then.
//!
//! Error against correctly rounded values: `docs/accuracy.md`.
mod contract;
mod greeks;
#[cfg(test)]
mod tests;
mod value;

use crate::batch::{BLOCK, Column, Flags, Row, store};
use crate::errors::{CoreError, same_length};
use crate::level::{Kernel, Level};
use crate::math::one_nan;
pub use contract::{Contract, is_level};
pub use greeks::{ALL, FIRST, Units};
use greeks::{AllOrders, FirstOrder, Measure, Price};
pub use value::Value;

/// What the underlying price of an option is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// A forward or future; the yield is not used.
    Black76,
    /// A spot with a continuous yield.
    BlackScholesMerton,
    /// A spot whose forward for the expiry is this one; the yield is what it implies.
    MarketForward(f64),
}

/// A batch of options.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What the underlying prices are.
    pub model: Model,
    /// Forward or spot.
    pub underlying: Column<'a>,
    /// Strike.
    pub strike: Column<'a>,
    /// Years to expiry.
    pub t: Column<'a>,
    /// Volatility per √year.
    pub sigma: Column<'a>,
    /// Rate.
    pub rate: Column<'a>,
    /// Yield of the underlying.
    pub dividend_yield: Column<'a>,
    /// Which are calls.
    pub is_call: Flags<'a>,
}

impl Options<'_> {
    fn columns(&self) -> [(&'static str, Column<'_>); 6] {
        [
            ("underlying", self.underlying),
            ("strike", self.strike),
            ("t", self.t),
            ("sigma", self.sigma),
            ("rate", self.rate),
            ("dividend_yield", self.dividend_yield),
        ]
    }
}

/// The arguments of a block of options, a row each.
struct Rows {
    underlying: Row,
    strike: Row,
    t: Row,
    sigma: Row,
    rate: Row,
    dividend_yield: Row,
    sign: Row,
}

impl Rows {
    #[inline(always)]
    fn new() -> Self {
        let row = [0.0; BLOCK];
        Self { underlying: row, strike: row, t: row, sigma: row, rate: row, dividend_yield: row, sign: row }
    }

    #[inline(always)]
    fn load(&mut self, options: &Options, start: usize) {
        options.underlying.load(start, &mut self.underlying);
        options.strike.load(start, &mut self.strike);
        options.t.load(start, &mut self.t);
        options.sigma.load(start, &mut self.sigma);
        options.rate.load(start, &mut self.rate);
        options.dividend_yield.load(start, &mut self.dividend_yield);
        options.is_call.load(start, &mut self.sign);
    }
}

/// How an option of a model is read out of a block.
trait Reader {
    fn contract(&self, rows: &Rows, i: usize) -> Contract;
}

struct OnForward;

impl Reader for OnForward {
    #[inline(always)]
    fn contract(&self, r: &Rows, i: usize) -> Contract {
        Contract::black76(r.underlying[i], r.strike[i], r.t[i], r.sigma[i], r.rate[i], r.sign[i])
    }
}

struct OnSpot;

impl Reader for OnSpot {
    #[inline(always)]
    fn contract(&self, r: &Rows, i: usize) -> Contract {
        let (rate, dividend_yield) = (r.rate[i], r.dividend_yield[i]);
        let (underlying, sign) = (r.underlying[i], r.sign[i]);
        Contract::black_scholes_merton(
            underlying,
            r.strike[i],
            r.t[i],
            r.sigma[i],
            rate,
            dividend_yield,
            sign,
        )
    }
}

struct OnMarketForward(f64);

impl Reader for OnMarketForward {
    #[inline(always)]
    fn contract(&self, r: &Rows, i: usize) -> Contract {
        let (underlying, sign) = (r.underlying[i], r.sign[i]);
        Contract::on_market_forward(underlying, self.0, r.strike[i], r.t[i], r.sigma[i], r.rate[i], sign)
    }
}

/// A batch, what to compute of each option, and where to put it.
struct Batch<'a, 'b, 'o, M, const N: usize> {
    options: &'a Options<'b>,
    measure: M,
    factors: [f64; ALL],
    out: [&'o mut [f64]; N],
}

impl<M: Measure<N>, const N: usize> Kernel for Batch<'_, '_, '_, M, N> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        match self.options.model {
            Model::Black76 => self.blocks(&OnForward),
            Model::BlackScholesMerton => self.blocks(&OnSpot),
            Model::MarketForward(forward) => self.blocks(&OnMarketForward(forward)),
        }
    }
}

impl<M: Measure<N>, const N: usize> Batch<'_, '_, '_, M, N> {
    #[inline(always)]
    fn blocks(&mut self, reader: &impl Reader) {
        let mut rows = Rows::new();
        let mut results = [[0.0; BLOCK]; N];
        for start in (0..self.out[0].len()).step_by(BLOCK) {
            rows.load(self.options, start);
            #[expect(clippy::needless_range_loop, reason = "one index into many rows")]
            for i in 0..BLOCK {
                let values = self.measure.of(&reader.contract(&rows, i));
                for j in 0..N {
                    results[j][i] = one_nan(values[j] * self.factors[j]);
                }
            }
            for (row, out) in results.iter().zip(&mut self.out) {
                store(row, out, start);
            }
        }
    }
}

/// Prices: `out[i]` for option `i`.
///
/// # Errors
/// [`CoreError::LengthMismatch`] if a column of many values is not as long as `out`.
pub fn prices(level: Level, options: &Options, out: &mut [f64]) -> Result<(), CoreError> {
    run(level, options, Price, Units::Raw, [out])
}

/// Price, delta, gamma, vega, theta, rho: `out[j][i]` for option `i`.
///
/// # Errors
/// [`CoreError::LengthMismatch`] if a column of many values, or another output, is not as long as `out[0]`.
pub fn greeks(
    level: Level,
    options: &Options,
    units: Units,
    out: [&mut [f64]; FIRST],
) -> Result<(), CoreError> {
    run(level, options, FirstOrder, units, out)
}

/// Price, delta, gamma, vega, theta, rho, vanna, charm, vomma, veta, speed, zomma, color, ultima, forward delta:
/// `out[j][i]` for option `i`.
///
/// # Errors
/// [`CoreError::LengthMismatch`] if a column of many values, or another output, is not as long as `out[0]`.
pub fn all_greeks(
    level: Level,
    options: &Options,
    units: Units,
    out: [&mut [f64]; ALL],
) -> Result<(), CoreError> {
    run(level, options, AllOrders, units, out)
}

fn run<const N: usize>(
    level: Level,
    options: &Options,
    measure: impl Measure<N>,
    units: Units,
    out: [&mut [f64]; N],
) -> Result<(), CoreError> {
    let n = out[0].len();
    for row in &out {
        same_length("out[0]", n, "out", row.len())?;
    }
    for (name, column) in options.columns() {
        column.check(name, n)?;
    }
    options.is_call.check("is_call", n)?;
    level.run(Batch { options, measure, factors: units.factors(), out });
    Ok(())
}
