//! Implied volatility: the inverse of the price, in batches.
//!
//! A price is turned into the value of the option out of the money at its strike, in units of its upper bound, and that is
//! solved for the total standard deviation `s = σ√T` (P. Jäckel, "Let's Be Rational", Wilmott 2015, whose scheme this
//! is: a guess, then Householder steps on the logarithm of the value, or of its gap to the bound where it is more than
//! 0.4 of it). Guess and step differ from his, so as to have no branches and to need one step:
//! * [`guess`] inverts Bachelier's formula, or the normal tail, and corrects by two terms of an expansion: within 4e-4
//!   of `s`, mostly 5e-5;
//! * [`step`] evaluates the value without cancellation ([`crate::mills`]) and sums the Taylor series of the inverse function
//!   to order 6.
//!
//! One step solves every price with `|ln(F/K)| <= 10`, two all up to 20 and nearly all up to 30. A step is the last one if
//! it is so short that its truncation is far below rounding. An element that four have not solved, which takes a strike
//! 1e13 times off the forward or a price below 1e-150 of it at the money, is searched in a bracket that every second step
//! halves, so that the end is certain. The result of an element never depends on its neighbours.
//!
//! # Accuracy
//! A price `p` undiscounted, of vega `ν`, determines `σ` up to `ε (1 + p/(νσ))` of itself (ε = 2⁻⁵²; Jäckel's attainable
//! accuracy): what rounding `p` and `σ` costs. In the money `p` holds the intrinsic value, and its digits are the loss.
//! Against mpmath the largest error seen is 2 of these units for `1e-4 <= s <= 6`, `|ln(F/K)| <= 10`, both sides of
//! parity. Discounting adds its rounding, the carry of a spot that of the log-moneyness (`docs/accuracy.md`).
mod guess;
mod kernel;
mod problem;
mod search;
mod step;
#[cfg(test)]
mod tests;

use crate::batch::{Column, Flags};
use crate::black::Model;
use crate::errors::{CoreError, same_length};
use crate::level::Level;

/// What became of one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The volatility reproduces the price.
    Converged = 0,
    /// There is no price.
    NoPrice = 1,
    /// The price is below the discounted intrinsic value.
    BelowIntrinsic = 2,
    /// The price is at or above what infinite volatility gives.
    AboveMaximum = 3,
    /// The price is so near one of these bounds, or so small, that its digits do not determine a volatility; or the
    /// volatility would not be a positive number below 1e100, or underlying or strike are subnormal.
    NotEnoughPrecision = 4,
    /// No time is left.
    Expired = 5,
    /// The underlying price is not a finite positive number.
    NoForward = 6,
    /// The strike is not a finite positive number, the time not finite, or the rates give no forward or no discount.
    InvalidInput = 7,
}

/// A batch of prices. Where more than one [`Status`] holds, 5 is told first, then 6, 7, 1, 2, 3, 4.
#[derive(Debug, Clone, Copy)]
pub struct Quotes<'a> {
    /// What the underlying prices are. With [`Model::MarketForward`] they are not used.
    pub model: Model,
    /// Prices of the options.
    pub price: Column<'a>,
    /// Forward or spot.
    pub underlying: Column<'a>,
    /// Strike.
    pub strike: Column<'a>,
    /// Years to expiry.
    pub t: Column<'a>,
    /// Rate.
    pub rate: Column<'a>,
    /// Yield of the underlying.
    pub dividend_yield: Column<'a>,
    /// Which are calls.
    pub is_call: Flags<'a>,
}

/// Volatilities per √year, NaN unless converged: `sigmas[i]`, and its [`Status`] as a number in `statuses[i]`.
///
/// # Errors
/// [`CoreError::LengthMismatch`] if a column of many values, or `statuses`, is not as long as `sigmas`.
pub fn implied(
    level: Level,
    quotes: &Quotes,
    sigmas: &mut [f64],
    statuses: &mut [u8],
) -> Result<(), CoreError> {
    let n = sigmas.len();
    same_length("sigmas", n, "statuses", statuses.len())?;
    for (name, column) in [
        ("price", quotes.price),
        ("underlying", quotes.underlying),
        ("strike", quotes.strike),
        ("t", quotes.t),
        ("rate", quotes.rate),
        ("dividend_yield", quotes.dividend_yield),
    ] {
        column.check(name, n)?;
    }
    quotes.is_call.check("is_call", n)?;
    level.run(kernel::Batch { quotes, sigmas, statuses });
    Ok(())
}
