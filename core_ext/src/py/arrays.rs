//! Arguments that are `NumPy` arrays, with errors that say what came instead.
use numpy::ndarray::Array2;
use numpy::{
    Element, IntoPyArray, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A private copy of a C-contiguous array argument, and its shape.
///
/// It is copied because another Python thread may write to the array while the GIL is released; for the sizes in
/// use the copy costs about a microsecond.
fn owned<T: Element + Copy, D: numpy::ndarray::Dimension>(
    name: &str,
    dtype: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<(Vec<T>, Vec<usize>)> {
    let Ok(untyped) = value.cast::<PyUntypedArray>() else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{name} must be a NumPy array of {dtype}, not {kind}")));
    };
    let found = untyped.dtype();
    if !found.is_equiv_to(&numpy::dtype::<T>(value.py())) {
        return Err(PyTypeError::new_err(format!("{name} must have dtype {dtype}, not {found}")));
    }
    let shape = untyped.shape().to_vec();
    if D::NDIM != Some(shape.len()) {
        let ndim = D::NDIM.unwrap_or_default();
        return Err(PyValueError::new_err(format!(
            "{name} must have {ndim} dimension{}, but has shape {}",
            if ndim == 1 { "" } else { "s" },
            tuple(&shape)
        )));
    }
    if !untyped.is_c_contiguous() {
        return Err(PyValueError::new_err(format!(
            "{name} of shape {} must be C-contiguous (use numpy.ascontiguousarray)",
            tuple(&shape)
        )));
    }
    let array: PyReadonlyArray<'_, T, D> = value
        .cast::<numpy::PyArray<T, D>>()
        .map_err(PyErr::from)?
        .try_readonly()
        .map_err(|error| PyValueError::new_err(format!("{name}: {error}")))?;
    let data = array.as_slice().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))?;
    Ok((data.to_vec(), shape))
}

/// A float64 vector.
pub(super) fn floats(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    Ok(owned::<f64, numpy::Ix1>(name, "float64", value)?.0)
}

/// An int64 vector.
pub(super) fn integers(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    Ok(owned::<i64, numpy::Ix1>(name, "int64", value)?.0)
}

/// A float64 matrix of the given number of rows, row after row, and its number of columns.
pub(super) fn matrix(name: &str, rows: usize, value: &Bound<'_, PyAny>) -> PyResult<(Vec<f64>, usize)> {
    let (data, shape) = owned::<f64, numpy::Ix2>(name, "float64", value)?;
    if shape[0] != rows {
        return Err(PyValueError::new_err(format!(
            "{name} must have shape ({rows}, n), but has shape {}",
            tuple(&shape)
        )));
    }
    Ok((data, shape[1]))
}

/// A new float64 matrix from its rows.
pub(super) fn to_matrix(py: Python<'_>, data: Vec<f64>, rows: usize) -> PyResult<Bound<'_, PyArray2<f64>>> {
    let columns = data.len() / rows;
    let array = Array2::from_shape_vec((rows, columns), data)
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(array.into_pyarray(py))
}

/// A shape as Python writes it.
fn tuple(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}
