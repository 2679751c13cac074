//! Prices, Greeks and implied volatilities of one expiry.
use super::{arrays, run};
use crate::black::{Expiry, price_strikes};
use crate::errors::same_length;
use crate::greeks::{Market, greeks_strikes};
use crate::iv::implied_strikes;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

type Vector<'py> = Bound<'py, PyArray1<f64>>;
type Matrix<'py> = Bound<'py, PyArray2<f64>>;

/// Black-76 prices of calls and puts at the same strikes.
#[pyfunction]
#[pyo3(signature = (forward, strikes, t, sigmas, rate))]
pub fn black76_price<'py>(
    py: Python<'py>,
    forward: f64,
    strikes: &Bound<'py, PyAny>,
    t: f64,
    sigmas: &Bound<'py, PyAny>,
    rate: f64,
) -> PyResult<(Vector<'py>, Vector<'py>)> {
    let strikes = arrays::floats("strikes", strikes)?;
    let sigmas = arrays::floats("sigmas", sigmas)?;
    let n = strikes.len();
    let (calls, puts) = run(py, n, || {
        same_length("strikes", n, "sigmas", sigmas.len())?;
        let (mut calls, mut puts) = (vec![0.0; n], vec![0.0; n]);
        price_strikes(Expiry { forward, t, rate }, &strikes, &sigmas, &mut calls, &mut puts);
        Ok((calls, puts))
    })?;
    Ok((calls.into_pyarray(py), puts.into_pyarray(py)))
}

/// Greeks of calls and puts at the same strikes.
#[pyfunction]
#[pyo3(signature = (forward, strikes, t, sigmas, rate, spot))]
pub fn black76_greeks<'py>(
    py: Python<'py>,
    forward: f64,
    strikes: &Bound<'py, PyAny>,
    t: f64,
    sigmas: &Bound<'py, PyAny>,
    rate: f64,
    spot: f64,
) -> PyResult<(Matrix<'py>, Matrix<'py>)> {
    let strikes = arrays::floats("strikes", strikes)?;
    let sigmas = arrays::floats("sigmas", sigmas)?;
    let n = strikes.len();
    let (calls, puts) = run(py, n, || {
        same_length("strikes", n, "sigmas", sigmas.len())?;
        let (mut calls, mut puts) = (vec![0.0; 5 * n], vec![0.0; 5 * n]);
        let market = Market::new(Expiry { forward, t, rate }, spot);
        greeks_strikes(&market, &strikes, &sigmas, &mut calls, &mut puts);
        Ok((calls, puts))
    })?;
    Ok((arrays::to_matrix(py, calls, 5)?, arrays::to_matrix(py, puts, 5)?))
}

/// Black-76 implied volatilities of one side, and what became of each price.
#[pyfunction]
#[pyo3(signature = (forward, strikes, t, prices, rate, is_call))]
pub fn implied_volatility<'py>(
    py: Python<'py>,
    forward: f64,
    strikes: &Bound<'py, PyAny>,
    t: f64,
    prices: &Bound<'py, PyAny>,
    rate: f64,
    is_call: bool,
) -> PyResult<(Vector<'py>, Bound<'py, PyArray1<u8>>)> {
    let strikes = arrays::floats("strikes", strikes)?;
    let prices = arrays::floats("prices", prices)?;
    let n = strikes.len();
    let (sigmas, statuses) = run(py, n, || {
        same_length("strikes", n, "prices", prices.len())?;
        let (mut sigmas, mut statuses) = (vec![0.0; n], vec![0; n]);
        implied_strikes(Expiry { forward, t, rate }, &strikes, &prices, is_call, &mut sigmas, &mut statuses);
        Ok((sigmas, statuses))
    })?;
    Ok((sigmas.into_pyarray(py), statuses.into_pyarray(py)))
}
