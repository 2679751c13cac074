//! Bars of ticks.
use super::{arrays, run};
use crate::bars::{Bar, aggregate};
use numpy::{Element, PyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;

type Column<T> = Py<PyArray1<T>>;

/// Bars as columns, one element per bar, in ascending order of `start`.
#[pyclass(frozen, get_all, module = "deltastream._core")]
pub struct Bars {
    /// First nanosecond of the interval.
    start: Column<i64>,
    /// Price of the first tick.
    open: Column<f64>,
    /// Highest price.
    high: Column<f64>,
    /// Lowest price.
    low: Column<f64>,
    /// Price of the last tick.
    close: Column<f64>,
    /// Number of ticks.
    count: Column<i64>,
    /// Time of the first tick.
    first_ts: Column<i64>,
    /// Order of the first tick.
    first_order: Column<i64>,
    /// Time of the last tick.
    last_ts: Column<i64>,
    /// Order of the last tick.
    last_order: Column<i64>,
}

#[pymethods]
impl Bars {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.start.bind(py).len()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<Bars: {}>", self.__len__(py))
    }
}

/// Aggregates ticks in any order to aligned bars.
#[pyfunction]
#[pyo3(signature = (ts_ns, order, price, interval_ns))]
pub fn ohlc(
    py: Python<'_>,
    ts_ns: &Bound<'_, PyAny>,
    order: &Bound<'_, PyAny>,
    price: &Bound<'_, PyAny>,
    interval_ns: i64,
) -> PyResult<Bars> {
    let ts_ns = arrays::integers("ts_ns", ts_ns)?;
    let order = arrays::integers("order", order)?;
    let price = arrays::floats("price", price)?;
    let bars = run(py, ts_ns.len(), || aggregate(&ts_ns, &order, &price, interval_ns))?;
    Ok(Bars {
        start: column(py, &bars, |b| b.start),
        open: column(py, &bars, |b| b.open),
        high: column(py, &bars, |b| b.high),
        low: column(py, &bars, |b| b.low),
        close: column(py, &bars, |b| b.close),
        count: column(py, &bars, |b| b.count),
        first_ts: column(py, &bars, |b| b.first.0),
        first_order: column(py, &bars, |b| b.first.1),
        last_ts: column(py, &bars, |b| b.last.0),
        last_order: column(py, &bars, |b| b.last.1),
    })
}

fn column<T: Element>(py: Python<'_>, bars: &[Bar], field: impl Fn(&Bar) -> T) -> Column<T> {
    PyArray1::from_iter(py, bars.iter().map(field)).unbind()
}
