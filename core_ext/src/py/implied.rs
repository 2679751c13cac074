//! Implied volatilities of columns, one option after the other.
use crate::batch::{Column, Flags};
use crate::black::{Expiry, Model};
use crate::errors::{CoreError, same_length};
use crate::iv::{Status, implied_strikes};
use crate::level::Level;
use crate::math::exp;

/// A batch of quotes.
pub(super) struct Quotes<'a> {
    pub(super) model: Model,
    pub(super) price: Column<'a>,
    pub(super) underlying: Column<'a>,
    pub(super) strike: Column<'a>,
    pub(super) t: Column<'a>,
    pub(super) rate: Column<'a>,
    pub(super) dividend_yield: Column<'a>,
    pub(super) is_call: Flags<'a>,
}

/// Volatility (NaN unless converged) and status of each quote.
pub(super) fn implied(
    _level: Level,
    quotes: &Quotes,
    sigmas: &mut [f64],
    statuses: &mut [u8],
) -> Result<(), CoreError> {
    same_length("sigmas", sigmas.len(), "statuses", statuses.len())?;
    for i in 0..sigmas.len() {
        let [price, underlying, strike, t, rate, dividend_yield] =
            [quotes.price, quotes.underlying, quotes.strike, quotes.t, quotes.rate, quotes.dividend_yield]
                .map(|column| match column {
                    Column::One(value) => value,
                    Column::Many(values) => values[i],
                });
        let is_call = match quotes.is_call {
            Flags::One(flag) => flag,
            Flags::Many(flags) => flags[i] != 0,
        };
        let forward = match quotes.model {
            Model::Black76 => underlying,
            Model::MarketForward(forward) => forward,
            Model::BlackScholesMerton => underlying * exp((rate - dividend_yield) * t),
        };
        let (sigma, status) = (&mut sigmas[i..=i], &mut statuses[i..=i]);
        if t.is_nan() || t == f64::INFINITY {
            (sigma[0], status[0]) = (f64::NAN, Status::InvalidInput as u8);
        } else {
            implied_strikes(Expiry { forward, t, rate }, &[strike], &[price], is_call, sigma, status);
        }
    }
    Ok(())
}
