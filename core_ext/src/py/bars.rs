//! Bars of ticks.
use super::{arrays, run};
use crate::bars::{self, Bar};
use numpy::{Element, PyArray1};
use pyo3::prelude::*;

type Column<'py, T> = Bound<'py, PyArray1<T>>;

/// Bars, one element per bar in each column, in ascending order of `start`.
#[pyclass(frozen, eq, module = "deltastream._core")]
#[derive(PartialEq)]
pub struct Bars(bars::Bars);

/// Writes the columns' getters from one list.
macro_rules! columns {
    ($($name:ident: $kind:ty = $value:expr;)*) => {
        #[pymethods]
        impl Bars {
            $(
                #[getter]
                fn $name<'py>(&self, py: Python<'py>) -> Column<'py, $kind> {
                    column(py, self.0.as_slice(), $value)
                }
            )*

            #[getter]
            fn interval_ns(&self) -> i64 {
                self.0.interval_ns()
            }

            /// The bars of the ticks of both.
            fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
                let (left, right) = (&self.0, &other.0);
                run(py, left.as_slice().len() + right.as_slice().len(), || left.merge(right)).map(Self)
            }

            fn __len__(&self) -> usize {
                self.0.as_slice().len()
            }

            fn __repr__(&self) -> String {
                format!("<Bars: {} of {} ns>", self.__len__(), self.0.interval_ns())
            }
        }
    };
}

columns! {
    start: i64 = |b| b.start;
    open: f64 = |b| b.open;
    high: f64 = |b| b.high;
    low: f64 = |b| b.low;
    close: f64 = |b| b.close;
    count: i64 = |b| b.count;
    first_ts: i64 = |b| b.first.0;
    first_order: i64 = |b| b.first.1;
    last_ts: i64 = |b| b.last.0;
    last_order: i64 = |b| b.last.1;
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
    let (ts_ns, order) = (arrays::vector::<i64>("ts_ns", ts_ns)?, arrays::vector::<i64>("order", order)?);
    let price = arrays::vector::<f64>("price", price)?;
    let (ts_ns, order, price) = (ts_ns.as_slice()?, order.as_slice()?, price.as_slice()?);
    run(py, ts_ns.len(), || bars::Bars::aggregate(ts_ns, order, price, interval_ns)).map(Bars)
}

fn column<'py, T: Element>(py: Python<'py>, bars: &[Bar], field: impl Fn(&Bar) -> T) -> Column<'py, T> {
    PyArray1::from_iter(py, bars.iter().map(field))
}
