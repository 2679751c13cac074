//! The output columns of a chain.
//!
//! | rows of the calls | of the puts | |
//! |---|---|---|
//! | 0-2 | 11-13 | volatility at the bid, at the mid, at the ask |
//! | 3 | 14 | status of that at the mid |
//! | 4-8 | 15-19 | delta, gamma, theta, vega, rho |
//! | 9, 10 | 20, 21 | change in open interest, build-up |
//! | 22-29 | 30-37 | vanna, charm, vomma, veta, speed, zomma, color, ultima |

/// Rows of a side: volatilities, status, five Greeks, change in open interest, build-up.
const FIRST: usize = 11;
/// Rows of a side after those of both: the other eight Greeks.
const FURTHER: usize = 8;
/// Quotes that have a volatility: bid, mid, ask.
pub(super) const QUOTES: usize = 3;
/// Rows of the output: 11 for the calls, 11 for the puts, then 8 more for the calls and 8 more for the puts.
pub const ROWS: usize = 2 * (FIRST + FURTHER);

/// One side of the output, a column each, in the order of the rows.
pub(super) struct Rows<'a> {
    /// Three rows: at the bid, at the mid, at the ask.
    pub(super) volatilities: &'a mut [f64],
    /// [`crate::iv::Status`] of the mid, plus [`super::BORROWED`].
    pub(super) iv_status: &'a mut [f64],
    pub(super) delta: &'a mut [f64],
    pub(super) gamma: &'a mut [f64],
    pub(super) theta: &'a mut [f64],
    pub(super) vega: &'a mut [f64],
    pub(super) rho: &'a mut [f64],
    /// Open interest less the previous session's.
    pub(super) oi_change: &'a mut [f64],
    /// [`super::BuildUp`] of the contract.
    pub(super) buildup: &'a mut [f64],
    pub(super) vanna: &'a mut [f64],
    pub(super) charm: &'a mut [f64],
    pub(super) vomma: &'a mut [f64],
    pub(super) veta: &'a mut [f64],
    pub(super) speed: &'a mut [f64],
    pub(super) zomma: &'a mut [f64],
    pub(super) color: &'a mut [f64],
    pub(super) ultima: &'a mut [f64],
}

impl<'a> Rows<'a> {
    /// Both sides, calls first, of [`ROWS`] rows of `n`.
    pub(super) fn of_both_sides(output: &'a mut [f64], n: usize) -> [Self; 2] {
        let (calls, rest) = output.split_at_mut(FIRST * n);
        let (puts, rest) = rest.split_at_mut(FIRST * n);
        let (further_calls, further_puts) = rest.split_at_mut(FURTHER * n);
        [Self::new(calls, further_calls, n), Self::new(puts, further_puts, n)]
    }

    /// Volatilities at the mid.
    pub(super) fn iv(&self) -> &[f64] {
        let n = self.volatilities.len() / QUOTES;
        &self.volatilities[n..2 * n]
    }

    fn new(first: &'a mut [f64], mut further: &'a mut [f64], n: usize) -> Self {
        let (volatilities, mut first) = first.split_at_mut(QUOTES * n);
        // Fields are evaluated in the order written.
        let mut next = || first.split_off_mut(..n).unwrap_or_default();
        let mut more = || further.split_off_mut(..n).unwrap_or_default();
        Self {
            volatilities,
            iv_status: next(),
            delta: next(),
            gamma: next(),
            theta: next(),
            vega: next(),
            rho: next(),
            oi_change: next(),
            buildup: next(),
            vanna: more(),
            charm: more(),
            vomma: more(),
            veta: more(),
            speed: more(),
            zomma: more(),
            color: more(),
            ultima: more(),
        }
    }
}
