//! Prices, Greeks and implied volatilities of any number of options.
use super::arrays::{Array, Operand, Reading, each, flag, number};
use super::run;
use crate::batch::{Column, Flags};
use crate::black::{self, ALL, FIRST, Model, Options, Units};
use crate::errors::CoreError;
use crate::iv::{Quotes, implied};
use crate::level::Level;
use numpy::Element;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

type Argument<'a, 'py> = &'a Bound<'py, PyAny>;

const GREEKS: [&str; FIRST] = ["out.price", "out.delta", "out.gamma", "out.vega", "out.theta", "out.rho"];
#[rustfmt::skip]
const ALL_GREEKS: [&str; ALL] = [
    "out.price", "out.delta", "out.gamma", "out.vega", "out.theta", "out.rho",
    "out.vanna", "out.charm", "out.vomma", "out.veta",
    "out.speed", "out.zomma", "out.color", "out.ultima", "out.forward_delta",
];

/// Instruction sets that the kernels are compiled for and this processor has, the best one last.
#[pyfunction]
pub fn levels(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    PyTuple::new(py, Level::available().iter().map(|level| level.name()))
}

/// Prices.
#[pyfunction]
#[pyo3(signature = (model, underlying, strike, t, sigma, rate, dividend_yield, is_call, out, level=None, /))]
#[allow(clippy::too_many_arguments)] // one per column
pub fn price(
    py: Python<'_>,
    model: &str,
    underlying: Argument,
    strike: Argument,
    t: Argument,
    sigma: Argument,
    rate: Argument,
    dividend_yield: Argument,
    is_call: Argument,
    out: Argument,
    level: Option<&str>,
) -> PyResult<()> {
    let columns = [underlying, strike, t, sigma, rate, dividend_yield];
    let out = [Array::new("out", out)?];
    evaluate(py, model, columns, is_call, &out, level, |level, options, [out]| {
        black::prices(level, options, out)
    })
}

/// Prices and the five usual Greeks.
#[pyfunction]
#[pyo3(signature = (model, underlying, strike, t, sigma, rate, dividend_yield, is_call, raw, out, level=None, /))]
#[allow(clippy::too_many_arguments)] // one per column
pub fn greeks(
    py: Python<'_>,
    model: &str,
    underlying: Argument,
    strike: Argument,
    t: Argument,
    sigma: Argument,
    rate: Argument,
    dividend_yield: Argument,
    is_call: Argument,
    raw: bool,
    out: &Bound<'_, PyTuple>,
    level: Option<&str>,
) -> PyResult<()> {
    let columns = [underlying, strike, t, sigma, rate, dividend_yield];
    let out = outputs(GREEKS, out)?;
    evaluate(py, model, columns, is_call, &out, level, |level, options, out| {
        black::greeks(level, options, units(raw), out)
    })
}

/// Prices and all Greeks.
#[pyfunction]
#[pyo3(signature = (model, underlying, strike, t, sigma, rate, dividend_yield, is_call, raw, out, level=None, /))]
#[allow(clippy::too_many_arguments)] // one per column
pub fn all_greeks(
    py: Python<'_>,
    model: &str,
    underlying: Argument,
    strike: Argument,
    t: Argument,
    sigma: Argument,
    rate: Argument,
    dividend_yield: Argument,
    is_call: Argument,
    raw: bool,
    out: &Bound<'_, PyTuple>,
    level: Option<&str>,
) -> PyResult<()> {
    let columns = [underlying, strike, t, sigma, rate, dividend_yield];
    let out = outputs(ALL_GREEKS, out)?;
    evaluate(py, model, columns, is_call, &out, level, |level, options, out| {
        black::all_greeks(level, options, units(raw), out)
    })
}

/// Volatilities that reproduce prices, and what became of each price.
#[pyfunction]
#[pyo3(signature = (
    model, price, underlying, strike, t, rate, dividend_yield, is_call, sigma_out, status_out, level=None, /
))]
#[allow(clippy::too_many_arguments)] // one per column
pub fn implied_volatility(
    py: Python<'_>,
    model: &str,
    price: Argument,
    underlying: Argument,
    strike: Argument,
    t: Argument,
    rate: Argument,
    dividend_yield: Argument,
    is_call: Argument,
    sigma_out: Argument,
    status_out: Argument,
    level: Option<&str>,
) -> PyResult<()> {
    let ((model, underlying_name), level) = (model_of(model)?, level_of(level)?);
    let columns = [
        ("price", price),
        (underlying_name, underlying),
        ("strike", strike),
        ("t", t),
        ("rate", rate),
        ("dividend_yield", dividend_yield),
    ];
    let inputs = Inputs::new(columns, is_call)?;
    let sigmas = Array::<f64>::new("out.sigma", sigma_out)?;
    let statuses = Array::<u8>::new("out.status", status_out)?;
    statuses.same_size_as(&sigmas)?;
    statuses.apart_from(&sigmas)?;
    inputs.fit(&sigmas)?;
    inputs.fit(&statuses)?;
    let n = sigmas.len();
    if n == 0 {
        return Ok(());
    }
    let (mut sigmas, mut statuses) = (sigmas.write()?, statuses.write()?);
    let (sigmas, statuses) = (sigmas.as_slice_mut()?, statuses.as_slice_mut()?);
    let borrowed = inputs.borrow()?;
    let [price, underlying, strike, t, rate, dividend_yield] = borrowed.columns()?;
    let is_call = borrowed.flags()?;
    let quotes = Quotes { model, price, underlying, strike, t, rate, dividend_yield, is_call };
    run(py, n, || implied(level, &quotes, sigmas, statuses))
}

/// Runs a kernel on columns in the order underlying, strike, t, sigma, rate, dividend yield.
fn evaluate<const K: usize>(
    py: Python<'_>,
    model: &str,
    columns: [Argument; 6],
    is_call: Argument,
    out: &[Array<'_, f64>; K],
    level: Option<&str>,
    kernel: impl FnOnce(Level, &Options, [&mut [f64]; K]) -> Result<(), CoreError> + Send,
) -> PyResult<()> {
    let ((model, underlying_name), level) = (model_of(model)?, level_of(level)?);
    let [underlying, strike, t, sigma, rate, dividend_yield] = columns;
    let columns = [
        (underlying_name, underlying),
        ("strike", strike),
        ("t", t),
        ("sigma", sigma),
        ("rate", rate),
        ("dividend_yield", dividend_yield),
    ];
    let inputs = Inputs::new(columns, is_call)?;
    for (i, array) in out.iter().enumerate() {
        inputs.fit(array)?;
        for other in &out[..i] {
            array.same_size_as(other)?;
            array.apart_from(other)?;
        }
    }
    let n = out[0].len();
    if n == 0 {
        return Ok(());
    }
    let mut writers = each(out.each_ref(), Array::write)?;
    let slices = each(writers.each_mut(), |writer| Ok(writer.as_slice_mut()?))?;
    let borrowed = inputs.borrow()?;
    let [underlying, strike, t, sigma, rate, dividend_yield] = borrowed.columns()?;
    let is_call = borrowed.flags()?;
    let options = Options { model, underlying, strike, t, sigma, rate, dividend_yield, is_call };
    run(py, n, || kernel(level, &options, slices))
}

/// The input columns of a call, checked.
struct Inputs<'py> {
    numbers: [Operand<'py, f64>; 6],
    is_call: Operand<'py, u8>,
}

impl<'py> Inputs<'py> {
    fn new(columns: [(&'static str, &Bound<'py, PyAny>); 6], is_call: &Bound<'py, PyAny>) -> PyResult<Self> {
        let numbers = each(columns, |(name, column)| number(name, column))?;
        Ok(Self { numbers, is_call: flag("is_call", is_call)? })
    }

    /// Refuses an output of another size than an input, or with memory in common.
    fn fit<T: Element>(&self, out: &Array<'_, T>) -> PyResult<()> {
        for array in self.numbers.iter().filter_map(Operand::array) {
            array.same_size_as(out)?;
            out.apart_from(array)?;
        }
        if let Some(array) = self.is_call.array() {
            array.same_size_as(out)?;
            out.apart_from(array)?;
        }
        Ok(())
    }

    fn borrow(&self) -> PyResult<Borrowed<'py>> {
        Ok(Borrowed { numbers: each(self.numbers.each_ref(), Operand::read)?, is_call: self.is_call.read()? })
    }
}

/// The input columns of a call while it lasts.
struct Borrowed<'py> {
    numbers: [Reading<'py, f64>; 6],
    is_call: Reading<'py, u8>,
}

impl Borrowed<'_> {
    fn columns(&self) -> PyResult<[Column<'_>; 6]> {
        each(self.numbers.each_ref(), |reading| match reading {
            Reading::One(value) => Ok(Column::One(*value)),
            Reading::Many(array) => Ok(Column::Many(array.as_slice()?)),
        })
    }

    fn flags(&self) -> PyResult<Flags<'_>> {
        match &self.is_call {
            Reading::One(value) => Ok(Flags::One(*value != 0)),
            Reading::Many(array) => Ok(Flags::Many(array.as_slice()?)),
        }
    }
}

/// The output arrays of a call.
fn outputs<'py, const K: usize>(
    names: [&'static str; K],
    out: &Bound<'py, PyTuple>,
) -> PyResult<[Array<'py, f64>; K]> {
    if out.len() != K {
        return Err(PyValueError::new_err(format!("out must hold {K} arrays, but holds {}", out.len())));
    }
    let mut arrays = out.iter();
    each(names, |name| match arrays.next() {
        Some(array) => Array::new(name, &array),
        None => Err(PyValueError::new_err(format!("{name} is missing"))),
    })
}

/// A model by its name, and how the face calls its underlying.
fn model_of(name: &str) -> PyResult<(Model, &'static str)> {
    match name {
        "black76" => Ok((Model::Black76, "forward")),
        "bsm" => Ok((Model::BlackScholesMerton, "spot")),
        _ => Err(PyValueError::new_err(format!("model must be black76 or bsm, not {name}"))),
    }
}

/// An instruction set by its name; the best one without.
pub(super) fn level_of(name: Option<&str>) -> PyResult<Level> {
    let Some(name) = name else { return Ok(Level::best()) };
    Level::named(name).ok_or_else(|| {
        let names: Vec<_> = Level::available().iter().map(|level| level.name()).collect();
        PyValueError::new_err(format!("level must be one of {}, not {name}", names.join(", ")))
    })
}

fn units(raw: bool) -> Units {
    if raw { Units::Raw } else { Units::Payload }
}
