//! Arguments of a batch, and the blocks it is computed in.
//!
//! A batch is cut into blocks of [`BLOCK`] elements that lie on the stack. A kernel is a loop over a block; the
//! compiler sees its length and that nothing overlaps, and turns it into vector instructions. The last block is
//! padded, so that an element's result never depends on its position or on its neighbours.
use crate::errors::{CoreError, same_length};

/// Elements of a block.
pub const BLOCK: usize = 64;

/// One row of a block.
pub type Row = [f64; BLOCK];

/// A numeric argument of a batch: one value for all elements, or one for each.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// The same value for all elements.
    One(f64),
    /// A value for each element.
    Many(&'a [f64]),
}

impl Column<'_> {
    /// Checks that a column of many values has `n`.
    ///
    /// # Errors
    /// [`CoreError::LengthMismatch`].
    pub fn check(&self, name: &'static str, n: usize) -> Result<(), CoreError> {
        match self {
            Self::One(_) => Ok(()),
            Self::Many(values) => same_length("out", n, name, values.len()),
        }
    }

    /// The values from `start` on, as many as the row holds or the column has; the rest repeats the last one.
    ///
    /// # Panics
    /// If a column of many values ends at or before `start`.
    #[inline(always)]
    pub fn load(&self, start: usize, row: &mut Row) {
        match *self {
            Self::One(value) => row.fill(value),
            Self::Many(values) => load(&values[start..], row),
        }
    }
}

/// Which options of a batch are calls.
#[derive(Debug, Clone, Copy)]
pub enum Flags<'a> {
    /// All are, or none is.
    One(bool),
    /// One flag for each element, not 0 for a call. Bytes, as `NumPy` holds them: any may stand for true, where a
    /// Rust `bool` must be 1.
    Many(&'a [u8]),
}

impl Flags<'_> {
    /// Checks that many flags are `n`.
    ///
    /// # Errors
    /// [`CoreError::LengthMismatch`].
    pub fn check(&self, name: &'static str, n: usize) -> Result<(), CoreError> {
        match self {
            Self::One(_) => Ok(()),
            Self::Many(flags) => same_length("out", n, name, flags.len()),
        }
    }

    /// +1 for a call, -1 for a put, from `start` on; as [`Column::load`].
    ///
    /// # Panics
    /// If there are many flags, but none from `start` on.
    #[inline(always)]
    pub fn load(&self, start: usize, row: &mut Row) {
        match *self {
            Self::One(is_call) => row.fill(sign(is_call)),
            Self::Many(flags) => {
                let flags = &flags[start..];
                for (i, value) in row.iter_mut().enumerate() {
                    *value = sign(flags[i.min(flags.len() - 1)] != 0);
                }
            }
        }
    }
}

#[inline(always)]
fn sign(is_call: bool) -> f64 {
    if is_call { 1.0 } else { -1.0 }
}

/// Fills the row from the beginning of `values`, and what they leave with their last one.
#[inline(always)]
pub(crate) fn load(values: &[f64], row: &mut Row) {
    if let Some(whole) = values.first_chunk::<BLOCK>() {
        *row = *whole;
    } else {
        row[..values.len()].copy_from_slice(values);
        row[values.len()..].fill(values[values.len() - 1]);
    }
}

/// Copies the row to `values` from `start` on, as far as they reach.
#[inline(always)]
pub(crate) fn store(row: &Row, values: &mut [f64], start: usize) {
    let values = &mut values[start..];
    let count = values.len().min(BLOCK);
    values[..count].copy_from_slice(&row[..count]);
}
