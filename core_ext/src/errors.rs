//! What can be wrong with a whole call. What is wrong with one element is a status beside its value.
use std::fmt;

/// Why a call was refused; nothing has been computed.
#[derive(Debug, Clone, PartialEq)]
pub enum CoreError {
    /// Two arrays that belong together have different lengths.
    LengthMismatch {
        /// Name of the argument that sets the length.
        expected_name: &'static str,
        /// Its length.
        expected: usize,
        /// Name of the argument that differs.
        actual_name: &'static str,
        /// Its length.
        actual: usize,
    },
    /// A strike is not a finite positive number.
    BadStrike {
        /// Position of the first such strike.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A strike is not above the one before it.
    StrikesNotAscending {
        /// Position of the first such strike.
        index: usize,
    },
    /// A traded price is not a finite positive number.
    BadPrice {
        /// Position of the first such price.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// The length of a bar is not positive.
    BadInterval {
        /// The length asked for, in nanoseconds.
        interval_ns: i64,
    },
    /// The bar of a tick would begin before the earliest representable time.
    TimeOutOfRange {
        /// Position of the tick.
        index: usize,
    },
    /// One (time, order) carries two different prices, so neither open nor close is defined.
    ConflictingTick {
        /// Position of the tick that contradicts an earlier one.
        index: usize,
    },
    /// Bars of different lengths are to be merged.
    DifferentIntervals {
        /// Length of the one, in nanoseconds.
        left: i64,
        /// Length of the other.
        right: i64,
    },
    /// Two parts of one bar hold the same tick, which would count twice.
    SharedTick {
        /// First nanosecond of the bar.
        start: i64,
    },
}

impl fmt::Display for CoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthMismatch { expected_name, expected, actual_name, actual } => {
                write!(f, "{actual_name} has shape ({actual},), but {expected_name} has shape ({expected},)")
            }
            Self::BadStrike { index, value } => {
                write!(f, "strikes must be finite and positive, but strike {index} is {value}")
            }
            Self::StrikesNotAscending { index } => {
                write!(
                    f,
                    "strikes must be strictly ascending, but strike {index} is not above the one before it"
                )
            }
            Self::BadPrice { index, value } => {
                write!(f, "prices must be finite and positive, but price {index} is {value}")
            }
            Self::BadInterval { interval_ns } => {
                write!(f, "interval_ns must be positive, but is {interval_ns}")
            }
            Self::TimeOutOfRange { index } => {
                write!(f, "the bar of tick {index} would begin before the earliest representable time")
            }
            Self::ConflictingTick { index } => {
                write!(f, "tick {index} repeats the time and order of another tick with a different price")
            }
            Self::DifferentIntervals { left, right } => {
                write!(f, "bars of {left} ns cannot be merged with bars of {right} ns")
            }
            Self::SharedTick { start } => {
                write!(
                    f,
                    "both parts of the bar that starts at {start} hold the same tick: it would count twice"
                )
            }
        }
    }
}

impl std::error::Error for CoreError {}

/// Checks that `actual` is as long as `expected`.
///
/// # Errors
/// [`CoreError::LengthMismatch`] naming both lengths.
pub fn same_length(
    expected_name: &'static str,
    expected: usize,
    actual_name: &'static str,
    actual: usize,
) -> Result<(), CoreError> {
    if expected == actual {
        Ok(())
    } else {
        Err(CoreError::LengthMismatch { expected_name, expected, actual_name, actual })
    }
}

/// Checks that strikes are finite, positive and strictly ascending.
///
/// # Errors
/// [`CoreError::BadStrike`] or [`CoreError::StrikesNotAscending`] for the first offender.
pub fn check_strikes(strikes: &[f64]) -> Result<(), CoreError> {
    let (Some(first), Some(last)) = (strikes.first(), strikes.last()) else {
        return Ok(());
    };
    // Without an early exit the comparisons are vector instructions; the search below is for the offender alone.
    let ascents = strikes.iter().zip(&strikes[1..]).filter(|(a, b)| a < b).count();
    if ascents == strikes.len() - 1 && *first > 0.0 && *last < f64::INFINITY {
        return Ok(());
    }
    let mut previous = 0.0;
    for (index, &value) in strikes.iter().enumerate() {
        if !(value > 0.0 && value < f64::INFINITY) {
            return Err(CoreError::BadStrike { index, value });
        }
        if value <= previous {
            return Err(CoreError::StrikesNotAscending { index });
        }
        previous = value;
    }
    Ok(())
}
