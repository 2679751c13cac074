//! The input columns of a chain.
use crate::black::is_level;
use crate::math::select;

/// Rows of the input: the strikes, then 11 for the calls and 11 for the puts.
pub const ROWS: usize = 1 + 2 * SIDE_ROWS;
const SIDE_ROWS: usize = 11;

/// One chain: views into its columns.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Strikes, strictly ascending.
    pub strikes: &'a [f64],
    /// The calls.
    pub calls: Side<'a>,
    /// The puts.
    pub puts: Side<'a>,
}

/// One side of a chain: the columns that enter a computation. Sizes, last-trade time and vendor volatility do not.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Best bid price.
    pub bid: &'a [f64],
    /// Best ask price.
    pub ask: &'a [f64],
    /// Last traded price.
    pub last: &'a [f64],
    /// Volume of the session.
    pub volume: &'a [f64],
    /// Open interest.
    pub oi: &'a [f64],
    /// Closing price of the previous session.
    pub prev_close: &'a [f64],
    /// Open interest of the previous session.
    pub prev_oi: &'a [f64],
}

impl<'a> Columns<'a> {
    /// Views `data` as [`ROWS`] rows of `n`.
    ///
    /// # Panics
    /// If it is not that long.
    #[must_use]
    pub fn new(data: &'a [f64], n: usize) -> Self {
        assert_eq!(data.len(), ROWS * n, "23 rows of n");
        let (strikes, sides) = data.split_at(n);
        let (calls, puts) = sides.split_at(SIDE_ROWS * n);
        Self { strikes, calls: Side::new(calls, n), puts: Side::new(puts, n) }
    }

    /// Both mids at strike `i`, where both sides have a two-sided quote.
    #[must_use]
    pub fn parity_mids(&self, i: usize) -> Option<(f64, f64)> {
        let (call, put) = (self.calls.mid(i), self.puts.mid(i));
        (!call.is_nan() && !put.is_nan()).then_some((call, put))
    }
}

impl<'a> Side<'a> {
    /// Order: bid, bid size, ask, ask size, last, volume, OI, previous close, previous OI, last trade, vendor IV.
    fn new(rows: &'a [f64], n: usize) -> Self {
        let row = |i: usize| &rows[i * n..(i + 1) * n];
        Self {
            bid: row(0),
            ask: row(2),
            last: row(4),
            volume: row(5),
            oi: row(6),
            prev_close: row(7),
            prev_oi: row(8),
        }
    }

    /// Middle of a two-sided quote that is not crossed, else NaN.
    #[must_use]
    #[inline]
    pub fn mid(&self, i: usize) -> f64 {
        let (bid, ask) = (self.bid[i], self.ask[i]);
        select(is_level(bid) & is_level(ask) & (bid <= ask), bid + 0.5 * (ask - bid), f64::NAN)
    }
}
