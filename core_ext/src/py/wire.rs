//! Columns as they are sent.
use super::{arrays, run};
use crate::wire::{self, Column, Name};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Names of the columns of a matrix, by which they are sent.
#[pyclass(frozen, module = "deltastream._core")]
pub struct ColumnNames(Vec<Name>);

#[pymethods]
impl ColumnNames {
    #[new]
    fn new(columns: Vec<(String, bool)>) -> PyResult<Self> {
        let named = columns.into_iter().map(|(text, whole)| {
            Name::new(&text, whole).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "a column's name is 1 to 255 letters, digits and underscores, not {text:?}"
                ))
            })
        });
        named.collect::<PyResult<_>>().map(Self)
    }

    /// Columns as a JSON object.
    #[pyo3(signature = (columns, which = None))]
    fn json<'py>(
        &self,
        py: Python<'py>,
        columns: &Bound<'py, PyAny>,
        which: Option<Vec<usize>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.encoded(py, columns, which, wire::json)
    }

    /// Columns as a `MessagePack` map.
    #[pyo3(signature = (columns, which = None))]
    fn msgpack<'py>(
        &self,
        py: Python<'py>,
        columns: &Bound<'py, PyAny>,
        which: Option<Vec<usize>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.encoded(py, columns, which, wire::msgpack)
    }

    /// Which columns differ anywhere, and at which places.
    fn differing(
        &self,
        py: Python<'_>,
        old: &Bound<'_, PyAny>,
        new: &Bound<'_, PyAny>,
    ) -> PyResult<(Vec<usize>, Vec<usize>)> {
        let ((old, n), (new, length)) =
            (arrays::matrix("old", self.0.len(), old)?, arrays::matrix("new", self.0.len(), new)?);
        let (old, new) = (old.as_slice()?, new.as_slice()?);
        run(py, QUICK, || {
            crate::errors::same_length("old", n, "new", length)?;
            Ok(wire::differing(old, new, n))
        })
    }
}

/// What takes no longer than to let other threads in and wait for one's turn.
const QUICK: usize = 0;

impl ColumnNames {
    fn encoded<'py>(
        &self,
        py: Python<'py>,
        columns: &Bound<'py, PyAny>,
        which: Option<Vec<usize>>,
        write: fn(&[Column<'_>]) -> Vec<u8>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let which = which.unwrap_or_else(|| (0..self.0.len()).collect());
        let (columns, n) = arrays::matrix("columns", which.len(), columns)?;
        let values = columns.as_slice()?;
        let named = which.iter().enumerate().map(|(row, &column)| match self.0.get(column) {
            Some(name) => Ok((name, &values[row * n..(row + 1) * n])),
            None => Err(PyIndexError::new_err(format!(
                "there are {} columns, and none with number {column}",
                self.0.len()
            ))),
        });
        let named = named.collect::<PyResult<Vec<_>>>()?;
        Ok(PyBytes::new(py, &run(py, QUICK, || Ok(write(&named)))?))
    }
}
