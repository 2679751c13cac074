//! Max pain of one chain.
use super::{arrays, run};
use crate::errors::{check_strikes, same_length};
use pyo3::prelude::*;

/// Where the writers of all open contracts would pay least: `(lo, hi, point, pain)`.
#[pyfunction]
#[pyo3(signature = (strikes, call_oi, put_oi, spot))]
pub fn max_pain<'py>(
    py: Python<'py>,
    strikes: &Bound<'py, PyAny>,
    call_oi: &Bound<'py, PyAny>,
    put_oi: &Bound<'py, PyAny>,
    spot: f64,
) -> PyResult<(f64, f64, f64, f64)> {
    let [strikes, call_oi, put_oi] =
        arrays::each([("strikes", strikes), ("call_oi", call_oi), ("put_oi", put_oi)], |(name, column)| {
            arrays::vector::<f64>(name, column)
        })?;
    let (strikes, call_oi, put_oi) = (strikes.as_slice()?, call_oi.as_slice()?, put_oi.as_slice()?);
    let result = run(py, strikes.len(), || {
        same_length("strikes", strikes.len(), "call_oi", call_oi.len())?;
        same_length("strikes", strikes.len(), "put_oi", put_oi.len())?;
        check_strikes(strikes)?;
        Ok(crate::max_pain::max_pain(strikes, call_oi, put_oi, spot))
    })?;
    Ok((result.lo, result.hi, result.point, result.pain))
}
