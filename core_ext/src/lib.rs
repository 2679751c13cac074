//! Option mathematics for `DeltaStream`, and columns as they are sent: pure functions over slices and scalars, and their
//! Python bindings in `py`.
//!
//! Results depend on the inputs alone: no I/O, no clock, no randomness, no state, and no function whose last bits
//! depend on the machine.
// Counts of strikes and ticks are far below 2^52; exponents are cut and joined as bit patterns on purpose.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]
// A test that asks for one exact number means it.
#![cfg_attr(test, allow(clippy::float_cmp))]

pub mod bars;
pub mod batch;
pub mod black;
pub mod chain;
pub mod errors;
pub mod iv;
pub mod level;
pub mod math;
pub mod max_pain;
pub mod mills;
pub mod normal;
mod py;
pub mod sums;
#[cfg(test)]
mod testing;
pub mod wire;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::py::bars::{Bars, ohlc};
    #[pymodule_export]
    use crate::py::chain::{Summary, sweep};
    #[pymodule_export]
    use crate::py::max_pain::max_pain;
    #[pymodule_export]
    use crate::py::pricing::{all_greeks, greeks, implied_volatility, levels, price};
    #[pymodule_export]
    use crate::py::wire::ColumnNames;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const build_profile: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
}
