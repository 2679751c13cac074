//! Arguments that are `NumPy` arrays, with errors that say what came instead.
use numpy::ndarray::Array2;
use numpy::{
    Element, IntoPyArray, PyArray2, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat};
use std::ops::Range;

/// A C-contiguous array argument of the dtype of `T`, of any shape, not yet borrowed.
pub(super) struct Array<'py, T: Element> {
    name: &'static str,
    array: Bound<'py, PyArrayDyn<T>>,
}

impl<'py, T: Element> Array<'py, T> {
    pub(super) fn new(name: &'static str, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let Ok(array) = value.cast::<PyArrayDyn<T>>() else {
            return Err(not_an_array_of::<T>(name, value));
        };
        if !array.is_c_contiguous() {
            return Err(PyValueError::new_err(format!(
                "{name} of shape {} must be C-contiguous (use numpy.ascontiguousarray)",
                tuple(array.shape())
            )));
        }
        if array.len() > 0 && !array.data().is_aligned() {
            return Err(PyValueError::new_err(format!("{name} must be aligned (copy it)")));
        }
        Ok(Self { name, array: array.clone() })
    }

    pub(super) fn len(&self) -> usize {
        self.array.len()
    }

    /// Refuses another number of elements than `expected` has.
    pub(super) fn same_size_as<U: Element>(&self, expected: &Array<'_, U>) -> PyResult<()> {
        if self.len() == expected.len() {
            return Ok(());
        }
        Err(PyValueError::new_err(format!(
            "{} has shape {}, but {} has shape {}",
            self.name,
            tuple(self.array.shape()),
            expected.name,
            tuple(expected.array.shape())
        )))
    }

    /// Refuses memory in common with `other`: writing one would change the other.
    pub(super) fn apart_from<U: Element>(&self, other: &Array<'_, U>) -> PyResult<()> {
        let (mine, theirs) = (self.addresses(), other.addresses());
        if mine.start < theirs.end && theirs.start < mine.end {
            return Err(PyValueError::new_err(format!("{} overlaps {}", self.name, other.name)));
        }
        Ok(())
    }

    fn addresses(&self) -> Range<usize> {
        let start = self.array.data().addr();
        start..start + self.len() * size_of::<T>()
    }

    /// Borrows it for reading; other readers may do so at the same time.
    pub(super) fn read(&self) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
        self.array.try_readonly().map_err(|_| self.in_use())
    }

    /// Borrows it for writing.
    pub(super) fn write(&self) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
        self.array.try_readwrite().map_err(|error| match error {
            numpy::BorrowError::NotWriteable => PyValueError::new_err(format!("{} is read-only", self.name)),
            _ => self.in_use(),
        })
    }

    fn in_use(&self) -> PyErr {
        PyValueError::new_err(format!("{} is being used by a call in another thread", self.name))
    }
}

/// An array argument, or one value that stands for all elements.
pub(super) enum Operand<'py, T: Element> {
    One(T),
    Many(Array<'py, T>),
}

impl<'py, T: Element> Operand<'py, T> {
    pub(super) fn array(&self) -> Option<&Array<'py, T>> {
        match self {
            Self::One(_) => None,
            Self::Many(array) => Some(array),
        }
    }

    pub(super) fn read(&self) -> PyResult<Reading<'py, T>>
    where
        T: Copy,
    {
        match self {
            Self::One(value) => Ok(Reading::One(*value)),
            Self::Many(array) => Ok(Reading::Many(array.read()?)),
        }
    }
}

/// An operand while a call reads it.
pub(super) enum Reading<'py, T: Element> {
    One(T),
    Many(PyReadonlyArrayDyn<'py, T>),
}

/// A Python float, or an array of float64.
pub(super) fn number<'py>(name: &'static str, value: &Bound<'py, PyAny>) -> PyResult<Operand<'py, f64>> {
    match value.cast::<PyFloat>() {
        Ok(float) => Ok(Operand::One(float.value())),
        Err(_) => Array::new(name, value).map(Operand::Many),
    }
}

/// A Python bool, or the bytes of an array of bool: any but 0 is true to `NumPy`, and no `bool` to Rust.
pub(super) fn flag<'py>(name: &'static str, value: &Bound<'py, PyAny>) -> PyResult<Operand<'py, u8>> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Operand::One(flag.is_true().into()));
    }
    let py = value.py();
    let flags = Array::<bool>::new(name, value)?.array;
    let bytes = flags.call_method1(intern!(py, "view"), (numpy::dtype::<u8>(py),))?;
    Ok(Operand::Many(Array::new(name, &bytes)?))
}

/// Converts each element of an array, or stops at the first that cannot be.
pub(super) fn each<T, U, const K: usize>(
    items: [T; K],
    convert: impl FnMut(T) -> PyResult<U>,
) -> PyResult<[U; K]> {
    let converted = items.into_iter().map(convert).collect::<PyResult<Vec<U>>>()?;
    match converted.try_into() {
        Ok(array) => Ok(array),
        Err(_) => unreachable!("as many as there were"),
    }
}

/// A C-contiguous array argument of so many dimensions, while a call reads it.
fn reading<'py, T: Element>(
    name: &'static str,
    ndim: usize,
    value: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let found = Array::<T>::new(name, value)?;
    if found.array.ndim() != ndim {
        let plural = if ndim == 1 { "" } else { "s" };
        return Err(PyValueError::new_err(format!(
            "{name} must have {ndim} dimension{plural}, but has shape {}",
            tuple(found.array.shape())
        )));
    }
    found.read()
}

/// A vector, while a call reads it.
pub(super) fn vector<'py, T: Element>(
    name: &'static str,
    value: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    reading(name, 1, value)
}

/// A float64 matrix of the given number of rows, row after row, while a call reads it, and its number of columns.
pub(super) fn matrix<'py>(
    name: &'static str,
    rows: usize,
    value: &Bound<'py, PyAny>,
) -> PyResult<(PyReadonlyArrayDyn<'py, f64>, usize)> {
    let found = reading::<f64>(name, 2, value)?;
    let shape = found.shape();
    if shape[0] != rows {
        return Err(PyValueError::new_err(format!(
            "{name} must have shape ({rows}, n), but has shape {}",
            tuple(shape)
        )));
    }
    let n = shape[1];
    Ok((found, n))
}

/// A new float64 matrix from its rows.
pub(super) fn to_matrix(py: Python<'_>, data: Vec<f64>, rows: usize) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let columns = data.len() / rows;
    let array = Array2::from_shape_vec((rows, columns), data)
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(array.into_pyarray(py))
}

fn not_an_array_of<T: Element>(name: &str, value: &Bound<'_, PyAny>) -> PyErr {
    let wanted = numpy::dtype::<T>(value.py());
    match value.cast::<PyUntypedArray>() {
        Ok(array) => PyTypeError::new_err(format!("{name} must have dtype {wanted}, not {}", array.dtype())),
        Err(_) => match value.get_type().name() {
            Ok(kind) => PyTypeError::new_err(format!("{name} must be a NumPy array of {wanted}, not {kind}")),
            Err(error) => error,
        },
    }
}

/// A shape as Python writes it.
fn tuple(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}
