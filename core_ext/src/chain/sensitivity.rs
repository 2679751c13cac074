//! Greeks of every contract of a chain: one batch a side.
use super::rows::Rows;
use super::{Market, same_nan};
use crate::batch::{Column, Flags};
use crate::black::{ALL, Model, Options, Units, all_greeks};
use crate::errors::CoreError;
use crate::level::Level;

/// Fills the rows of the Greeks of the calls or the puts, at the volatilities `sigma`.
pub(super) fn fill(
    level: Level,
    market: &Market,
    is_call: bool,
    strikes: &[f64],
    sigma: &[f64],
    rows: &mut Rows,
) -> Result<(), CoreError> {
    let options = Options {
        model: Model::MarketForward(market.forward),
        underlying: Column::One(market.spot),
        strike: Column::Many(strikes),
        t: Column::One(market.t),
        sigma: Column::Many(sigma),
        rate: Column::One(market.rate),
        // The model takes the one that the forward implies.
        dividend_yield: Column::One(f64::NAN),
        is_call: Flags::One(is_call),
    };
    let Rows {
        delta, gamma, theta, vega, rho, vanna, charm, vomma, veta, speed, zomma, color, ultima, ..
    } = rows;
    // Two values that nobody asks for.
    let (mut price, mut forward_delta) = (vec![0.0; strikes.len()], vec![0.0; strikes.len()]);
    let out: [&mut [f64]; ALL] = [
        &mut price,
        delta,
        gamma,
        vega,
        theta,
        rho,
        vanna,
        charm,
        vomma,
        veta,
        speed,
        zomma,
        color,
        ultima,
        &mut forward_delta,
    ];
    all_greeks(level, &options, Units::Payload, out)?;
    for row in [delta, gamma, theta, vega, rho, vanna, charm, vomma, veta, speed, zomma, color, ultima] {
        same_nan(row);
    }
    Ok(())
}
