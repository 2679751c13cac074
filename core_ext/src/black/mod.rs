//! European options: Black-76 on a forward, Black-Scholes-Merton on a spot with a continuous yield.
//!
//! Conventions: `σ` per √year, `T` in years, `r` and `q` continuously compounded, prices discounted by `exp(-rT)`.
//! An argument is out of the domain where a price is not finite and positive, a strike, time or volatility not
//! finite or negative (a strike of 0 is a strike), a rate gives no finite positive discount factor, or anything is NaN;
//! everything is NaN then.
//!
//! Error against correctly rounded values: `docs/accuracy.md`.
mod contract;
mod greeks;
pub mod old;
pub use old::*;
#[cfg(test)]
mod tests;
mod value;

use crate::batch::{BLOCK, Column, Flags, Row, store};
use crate::errors::{CoreError, same_length};
use crate::level::{Kernel, Level};
use crate::math::one_nan;
pub use contract::{Contract, is_level};
pub use greeks::{ALL, FIRST, Units, all_orders, first_order, price};
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

    #[inline(always)]
    fn black76(&self, i: usize) -> Contract {
        Contract::black76(
            self.underlying[i],
            self.strike[i],
            self.t[i],
            self.sigma[i],
            self.rate[i],
            self.sign[i],
        )
    }

    #[inline(always)]
    fn black_scholes_merton(&self, i: usize) -> Contract {
        Contract::black_scholes_merton(
            self.underlying[i],
            self.strike[i],
            self.t[i],
            self.sigma[i],
            self.rate[i],
            self.dividend_yield[i],
            self.sign[i],
        )
    }

    #[inline(always)]
    fn on_market_forward(&self, forward: f64, i: usize) -> Contract {
        Contract::on_market_forward(
            self.underlying[i],
            forward,
            self.strike[i],
            self.t[i],
            self.sigma[i],
            self.rate[i],
            self.sign[i],
        )
    }
}

/// A batch, what to compute of each option, and where to put it.
struct Batch<'a, 'b, 'o, F, const N: usize> {
    options: &'a Options<'b>,
    compute: F,
    factors: [f64; ALL],
    out: [&'o mut [f64]; N],
}

impl<F: Fn(&Contract) -> [f64; N], const N: usize> Kernel for Batch<'_, '_, '_, F, N> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        match self.options.model {
            Model::Black76 => self.blocks(
                #[inline(always)]
                |rows, i| rows.black76(i),
            ),
            Model::BlackScholesMerton => self.blocks(
                #[inline(always)]
                |rows, i| rows.black_scholes_merton(i),
            ),
            Model::MarketForward(forward) => self.blocks(
                #[inline(always)]
                |rows, i| rows.on_market_forward(forward, i),
            ),
        }
    }
}

impl<F: Fn(&Contract) -> [f64; N], const N: usize> Batch<'_, '_, '_, F, N> {
    #[inline(always)]
    fn blocks(&mut self, contract: impl Fn(&Rows, usize) -> Contract) {
        let mut rows = Rows::new();
        let mut results = [[0.0; BLOCK]; N];
        for start in (0..self.out[0].len()).step_by(BLOCK) {
            rows.load(self.options, start);
            for i in 0..BLOCK {
                let values = (self.compute)(&contract(&rows, i));
                for (j, value) in values.into_iter().enumerate() {
                    results[j][i] = one_nan(value * self.factors[j]);
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
    run(
        level,
        options,
        #[inline(always)]
        |c| greeks::price(c),
        Units::Raw,
        [out],
    )
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
    run(
        level,
        options,
        #[inline(always)]
        |c| greeks::first_order(c),
        units,
        out,
    )
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
    run(
        level,
        options,
        #[inline(always)]
        |c| greeks::all_orders(c),
        units,
        out,
    )
}

fn run<const N: usize>(
    level: Level,
    options: &Options,
    compute: impl Fn(&Contract) -> [f64; N],
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
    level.run(Batch { options, compute, factors: units.factors(), out });
    Ok(())
}
