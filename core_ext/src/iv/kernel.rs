//! The computation of a batch, block by block, in stages that are a loop each: short loops are vectorised well, and a
//! processor runs several of their turns at once.
use super::guess::guess;
use super::problem::Problem;
use super::search::search;
use super::step::{Evaluation, is_last, moved};
use super::{Quotes, Status};
use crate::batch::{BLOCK, Row, store};
use crate::black::{Contract, Model};
use crate::level::Kernel;
use crate::math::select;

/// Volatilities from here on nothing can be priced with.
const HUGE: f64 = 1e100;
/// Steps of a block, before what is not solved is searched for one by one.
const PASSES: usize = 4;
/// An integer below 2^52 plus this has the integer in its low bits.
const TWO_52: f64 = 4503599627370496.0;

/// A batch and where its results go; both are of one length.
pub(super) struct Batch<'a, 'b> {
    pub(super) quotes: &'a Quotes<'b>,
    pub(super) sigmas: &'a mut [f64],
    pub(super) statuses: &'a mut [u8],
}

impl Kernel for Batch<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.quotes.model {
            Model::Black76 => self.blocks(
                #[inline(always)]
                |r, i| Contract::black76(r.underlying[i], r.strike[i], r.t[i], 0.0, r.rate[i], r.sign[i]),
            ),
            Model::BlackScholesMerton => self.blocks(
                #[inline(always)]
                |r, i| {
                    let (strike, t, dividend_yield) = (r.strike[i], r.t[i], r.dividend_yield[i]);
                    let (spot, rate, sign) = (r.underlying[i], r.rate[i], r.sign[i]);
                    Contract::black_scholes_merton(spot, strike, t, 0.0, rate, dividend_yield, sign)
                },
            ),
            Model::MarketForward(forward) => self.blocks(
                #[inline(always)]
                |r, i| Contract::black76(forward, r.strike[i], r.t[i], 0.0, r.rate[i], r.sign[i]),
            ),
        }
    }
}

impl Batch<'_, '_> {
    #[inline(always)]
    fn blocks(self, contract: impl Fn(&Rows, usize) -> Contract) {
        let Self { quotes, sigmas, statuses } = self;
        let (mut rows, mut work) = (Rows::new(), Work::new());
        let mut codes = [0; BLOCK];
        for start in (0..sigmas.len()).step_by(BLOCK) {
            rows.load(quotes, start);
            work.pose(&rows, &contract);
            work.guess();
            let mut passes = 1;
            while !work.step() {
                if passes == PASSES {
                    work.search();
                    break;
                }
                passes += 1;
            }
            work.finish(&rows.t, &mut codes);
            store(&work.s, sigmas, start);
            let statuses = &mut statuses[start..];
            let count = statuses.len().min(BLOCK);
            statuses[..count].copy_from_slice(&codes[..count]);
        }
    }
}

/// The arguments of a block, a row each.
struct Rows {
    price: Row,
    underlying: Row,
    strike: Row,
    t: Row,
    rate: Row,
    dividend_yield: Row,
    sign: Row,
}

impl Rows {
    #[inline(always)]
    fn new() -> Self {
        let row = [0.0; BLOCK];
        Self { price: row, underlying: row, strike: row, t: row, rate: row, dividend_yield: row, sign: row }
    }

    #[inline(always)]
    fn load(&mut self, quotes: &Quotes, start: usize) {
        quotes.price.load(start, &mut self.price);
        quotes.underlying.load(start, &mut self.underlying);
        quotes.strike.load(start, &mut self.strike);
        quotes.t.load(start, &mut self.t);
        quotes.rate.load(start, &mut self.rate);
        quotes.dividend_yield.load(start, &mut self.dividend_yield);
        quotes.is_call.load(start, &mut self.sign);
    }
}

/// What becomes of a block, a row each.
struct Work {
    a: Row,
    excess: Row,
    target: Row,
    /// 1 or 0.
    high: Row,
    /// Guess and solution, in the end the volatility.
    s: Row,
    /// 1 until solved, then 0.
    open: Row,
    status: Row,
    wanted: Row,
    found: Row,
    depth: Row,
    inverse_slope: Row,
    difference: Row,
    sum: Row,
}

// One index goes into many rows.
#[allow(clippy::needless_range_loop)]
impl Work {
    #[inline(always)]
    fn new() -> Self {
        let row = [0.0; BLOCK];
        Self {
            a: row,
            excess: row,
            target: row,
            high: row,
            s: row,
            open: row,
            status: row,
            wanted: row,
            found: row,
            depth: row,
            inverse_slope: row,
            difference: row,
            sum: row,
        }
    }

    #[inline(always)]
    fn problem(&self, i: usize) -> Problem {
        Problem { a: self.a[i], excess: self.excess[i], target: self.target[i], high: self.high[i] > 0.0 }
    }

    #[inline(always)]
    fn pose(&mut self, rows: &Rows, contract: impl Fn(&Rows, usize) -> Contract) {
        for i in 0..BLOCK {
            let (problem, status) = Problem::new(&contract(rows, i), rows.price[i]);
            self.a[i] = problem.a;
            self.excess[i] = problem.excess;
            self.target[i] = problem.target;
            self.high[i] = select(problem.high, 1.0, 0.0);
            self.status[i] = status;
            self.open[i] = 1.0;
        }
    }

    #[inline(always)]
    fn guess(&mut self) {
        for i in 0..BLOCK {
            self.s[i] = guess(&self.problem(i));
        }
    }

    /// One step of what is open; true if nothing is afterwards.
    #[inline(always)]
    fn step(&mut self) -> bool {
        for i in 0..BLOCK {
            let evaluation = Evaluation::new(&self.problem(i), self.s[i]);
            self.wanted[i] = evaluation.wanted;
            self.found[i] = evaluation.found;
            self.depth[i] = evaluation.depth;
            self.inverse_slope[i] = evaluation.inverse_slope;
            self.difference[i] = evaluation.difference;
            self.sum[i] = evaluation.sum;
        }
        let mut open = 0;
        for i in 0..BLOCK {
            let evaluation = Evaluation {
                wanted: self.wanted[i],
                found: self.found[i],
                depth: self.depth[i],
                inverse_slope: self.inverse_slope[i],
                difference: self.difference[i],
                sum: self.sum[i],
            };
            let s = self.s[i];
            let (x, newton) = evaluation.step(evaluation.missing());
            let was_open = self.open[i] > 0.0;
            let still = was_open & !is_last(&self.problem(i), s, newton);
            self.s[i] = select(was_open, moved(s, x), s);
            self.open[i] = select(still, 1.0, 0.0);
            open |= self.open[i].to_bits();
        }
        open == 0
    }

    /// Solves what is open, one by one.
    #[cold]
    #[inline(never)]
    fn search(&mut self) {
        for i in 0..BLOCK {
            if self.open[i] > 0.0 {
                self.s[i] = search(&self.problem(i)).unwrap_or(f64::NAN);
            }
        }
    }

    #[inline(always)]
    fn finish(&mut self, t: &Row, codes: &mut [u8; BLOCK]) {
        const IMPRECISE: f64 = Status::NotEnoughPrecision as u8 as f64;
        for i in 0..BLOCK {
            let sigma = self.s[i] / t[i].sqrt();
            let status = self.status[i];
            let unusable = (status == 0.0) & !((sigma > 0.0) & (sigma < HUGE));
            let status = select(unusable, IMPRECISE, status);
            self.s[i] = select(status == 0.0, sigma, f64::NAN);
            codes[i] = (status + TWO_52).to_bits() as u8;
        }
    }
}
