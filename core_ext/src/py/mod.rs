//! Python bindings: argument checks, `NumPy` views, release of the GIL, error mapping. No arithmetic.
pub mod bars;
pub mod chain;
pub mod max_pain;
pub mod pricing;
pub mod wire;

mod arrays;

use crate::errors::CoreError;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        PyValueError::new_err(error.to_string())
    }
}

/// From this many elements on, a computation takes long enough for other threads to be let in.
const DETACH_FROM: usize = 16;

/// Runs a computation, without the GIL if it has at least [`DETACH_FROM`] elements.
///
/// A panic, a defect of this crate, becomes a `RuntimeError`: Python's `PanicException` is not an `Exception`, and a
/// supervisor would not see it.
fn run<T: Send>(
    py: Python<'_>,
    elements: usize,
    compute: impl FnOnce() -> Result<T, CoreError> + Send,
) -> PyResult<T> {
    let guarded = || survived(compute);
    let outcome = if elements >= DETACH_FROM { py.detach(guarded) } else { guarded() };
    match outcome {
        Some(result) => Ok(result?),
        None => Err(PyRuntimeError::new_err("deltastream._core: internal error (a defect, please report)")),
    }
}

/// What a computation gives, or nothing if it panics.
fn survived<T>(compute: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(compute)).ok()
}

#[cfg(test)]
mod tests {
    use super::survived;

    #[test]
    fn a_panic_goes_no_further() {
        assert_eq!(survived(|| 1), Some(1));
        assert_eq!(survived(|| [1, 2][std::hint::black_box(2)]), None);
    }
}
