//! The sweep of one chain.
use super::pricing::level_of;
use super::{arrays, run};
use crate::chain::{self, Convention, Params, columns, rows};
use numpy::PyArray2;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The numbers of a whole chain; see the stub for the meaning of each.
#[pyclass(frozen, module = "deltastream._core")]
pub struct Summary(chain::Summary);

/// Writes the getters, `as_tuple` and `__repr__` from one list, so that they cannot differ.
macro_rules! summary_fields {
    ($($name:ident: $kind:ty = $value:expr;)*) => {
        #[pymethods]
        impl Summary {
            $(
                #[getter]
                fn $name(&self) -> $kind {
                    let read: fn(&chain::Summary) -> $kind = $value;
                    read(&self.0)
                }
            )*

            /// All values in the order of the stub.
            fn as_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
                let values: Vec<Bound<'py, PyAny>> = vec![$(self.$name().into_pyobject(py)?.into_any()),*];
                PyTuple::new(py, values)
            }

            fn __repr__(&self) -> String {
                let fields = [$(format!("{}={:?}", stringify!($name), self.$name())),*];
                format!("Summary({})", fields.join(", ").replace("NaN", "nan"))
            }
        }
    };
}

summary_fields! {
    forward: f64 = |s| s.forward.value;
    forward_error: f64 = |s| s.forward.error;
    forward_source: u8 = |s| s.forward.source as u8;
    atm_strike: f64 = |s| s.atm_strike;
    atm_source: u8 = |s| s.atm_source as u8;
    straddle: f64 = |s| s.straddle;
    straddle_source: u8 = |s| s.straddle_source as u8;
    atm_iv: f64 = |s| s.atm_iv;
    avg_iv: f64 = |s| s.avg_iv;
    call_oi: f64 = |s| s.calls.oi;
    put_oi: f64 = |s| s.puts.oi;
    call_volume: f64 = |s| s.calls.volume;
    put_volume: f64 = |s| s.puts.volume;
    call_oi_change: f64 = |s| s.calls.oi_change;
    put_oi_change: f64 = |s| s.puts.oi_change;
    pcr_oi: f64 = |s| s.pcr_oi;
    pcr_volume: f64 = |s| s.pcr_volume;
    max_pain_lo: f64 = |s| s.max_pain.lo;
    max_pain_hi: f64 = |s| s.max_pain.hi;
    max_pain_strike: f64 = |s| s.max_pain.point;
    max_pain_value: f64 = |s| s.max_pain.pain;
    strikes: usize = |s| s.strikes;
    two_sided: usize = |s| s.two_sided;
    converged: usize = |s| s.converged;
    call_oi_count: usize = |s| s.calls.oi_count;
    put_oi_count: usize = |s| s.puts.oi_count;
    call_volume_count: usize = |s| s.calls.volume_count;
    put_volume_count: usize = |s| s.puts.volume_count;
    call_oi_change_count: usize = |s| s.calls.oi_change_count;
    put_oi_change_count: usize = |s| s.puts.oi_change_count;
    call_gex: f64 = |s| s.exposure.calls.gex;
    put_gex: f64 = |s| s.exposure.puts.gex;
    call_dex: f64 = |s| s.exposure.calls.dex;
    put_dex: f64 = |s| s.exposure.puts.dex;
    call_vex: f64 = |s| s.exposure.calls.vex;
    put_vex: f64 = |s| s.exposure.puts.vex;
    call_chex: f64 = |s| s.exposure.calls.chex;
    put_chex: f64 = |s| s.exposure.puts.chex;
    gex: f64 = |s| s.exposure.net.gex;
    dex: f64 = |s| s.exposure.net.dex;
    vex: f64 = |s| s.exposure.net.vex;
    chex: f64 = |s| s.exposure.net.chex;
    call_wall: f64 = |s| s.exposure.call_wall;
    put_wall: f64 = |s| s.exposure.put_wall;
    absolute_gamma_strike: f64 = |s| s.exposure.absolute_gamma_strike;
    exposure_count: usize = |s| s.exposure.count;
    exposure_coverage: f64 = |s| s.exposure.coverage;
}

/// Volatilities, Greeks, changes, totals and exposures of one chain.
#[pyfunction]
#[pyo3(signature = (
    columns, *, spot, future, t, rate, tick_size, lot, multiplier, convention, level = None
))]
#[allow(clippy::too_many_arguments)] // the public signature: all keywords
pub fn sweep<'py>(
    py: Python<'py>,
    columns: &Bound<'py, PyAny>,
    spot: f64,
    future: f64,
    t: f64,
    rate: f64,
    tick_size: f64,
    lot: f64,
    multiplier: f64,
    convention: &str,
    level: Option<&str>,
) -> PyResult<(Bound<'py, PyArray2<f64>>, Summary)> {
    let (columns, n) = arrays::matrix("columns", columns::ROWS, columns)?;
    let data = columns.as_slice()?;
    let (convention, level) = (named(convention)?, level_of(level)?);
    let params = Params { spot, future, t, rate, tick_size, lot, multiplier, convention };
    let (output, summary) = run(py, n, || {
        let mut output = vec![0.0; rows::ROWS * n];
        let summary = chain::sweep(level, data, n, &params, &mut output)?;
        Ok((output, summary))
    })?;
    Ok((arrays::to_matrix(py, output, rows::ROWS)?, Summary(summary)))
}

fn named(convention: &str) -> PyResult<Convention> {
    let found = Convention::ALL.into_iter().find(|(name, _)| *name == convention);
    found.map(|(_, convention)| convention).ok_or_else(|| {
        let names = Convention::ALL.map(|(name, _)| name).join(", ");
        PyValueError::new_err(format!("convention must be one of {names}, not {convention:?}"))
    })
}
