//! Eigenpairs of Python callables.

use std::time::Duration;

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sharpness_curvature::{EigenParams, Eigenpairs, Method, Progress, Stop, SymmetricOperator as _, Which};

use crate::errors::exception;
use crate::operator::{Callable, Tolerances};

/// The operator of a solve: what applies it, its dimension and precision, and how exactly products must repeat.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct OperatorArgs {
    apply: Py<PyAny>,
    dim: usize,
    is_single: bool,
    /// The relative error of a product beyond the rounding of its precision.
    product_error: f64,
    /// The tolerances for repeating and for symmetry; `None` checks neither.
    tolerances: Option<(f64, f64)>,
}

impl OperatorArgs {
    pub(crate) fn callable(self) -> Callable {
        let tolerances = self.tolerances.map(|(repeat, symmetry)| Tolerances { repeat, symmetry });
        Callable::new(self.apply, self.dim, self.is_single).with_errors(self.product_error, tolerances)
    }
}

/// [`EigenParams`] from Python; the names are the same.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct EigenArgs<'py> {
    k: usize,
    which: String,
    method: String,
    rtol: f64,
    bound_rtol: Option<f64>,
    max_products: usize,
    memory_bytes: usize,
    start: Vec<PyReadonlyArray1<'py, f64>>,
    seed: u64,
    failure_probability: f64,
}

impl EigenArgs<'_> {
    pub(crate) fn params(self) -> PyResult<EigenParams> {
        let which = match &*self.which {
            "largest" => Which::LargestAlgebraic,
            "smallest" => Which::SmallestAlgebraic,
            "magnitude" => Which::LargestMagnitude,
            other => return Err(unknown("which", other, "largest, smallest or magnitude")),
        };
        Ok(EigenParams {
            k: self.k,
            which,
            method: method(&self.method)?,
            rtol: self.rtol,
            bound_rtol: self.bound_rtol,
            max_products: self.max_products,
            memory_bytes: self.memory_bytes,
            start: self.start.iter().map(|v| v.as_array().iter().copied().collect()).collect(),
            seed: self.seed,
            failure_probability: self.failure_probability,
        })
    }
}

pub(crate) fn method(name: &str) -> PyResult<Method> {
    match name {
        "auto" => Ok(Method::Auto),
        "lanczos" => Ok(Method::Lanczos),
        "dense" => Ok(Method::Dense),
        "power" => Ok(Method::PowerIteration),
        other => Err(unknown("method", other, "auto, lanczos, dense or power")),
    }
}

fn unknown(name: &str, given: &str, known: &str) -> PyErr {
    crate::errors::InvalidInputError::new_err(format!("{name} = {given:?}: must be {known}"))
}

/// Calls Python with the progress of a solver. The first exception ends the calls and is kept.
pub(crate) struct Reporter {
    callable: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Reporter {
    pub(crate) fn new(callable: Option<Py<PyAny>>) -> Self {
        Self { callable, raised: None }
    }

    pub(crate) fn report(&mut self, arguments: (usize, f64, f64, Option<f64>)) {
        let Some(callable) = &self.callable else { return };
        if let Err(error) = Python::attach(|py| callable.call1(py, arguments).map(drop)) {
            (self.callable, self.raised) = (None, Some(error));
        }
    }

    pub(crate) fn result<T>(self, solved: Result<T, sharpness_curvature::Error>) -> PyResult<T> {
        self.raised.map_or(Ok(()), Err)?;
        solved.map_err(exception)
    }
}

/// Extreme eigenpairs; see `sharpness_curvature::eigenpairs`. `exact` applies the same operator in double precision, if `operator`
/// does not: values and residuals are then its own.
#[pyfunction]
pub(crate) fn eigenpairs<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: EigenArgs<'py>,
    progress: Option<Py<PyAny>>,
    exact: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let params = params.params()?;
    let mut callable = operator.callable();
    let mut exact = exact.map(|apply| Callable::new(apply, callable.dim(), false));
    let mut reporter = Reporter::new(progress);
    let solved = py.detach(|| {
        let mut report = |at: &Progress| reporter.report((at.products, at.value, at.residual, at.limit));
        let mut found = sharpness_curvature::eigenpairs(&mut callable, &params, &mut report)?;
        let rounding = match &mut exact {
            Some(exact) => found.recompute(exact, params.which, 1)?,
            None => {
                found.widen(params.which, found.rounding);
                found.rounding
            }
        };
        Ok((found, rounding))
    });
    let (found, rounding) = reporter.result(solved)?;
    let answer = dictionary(py, &found, &params, rounding)?;
    let busy = callable.busy + exact.as_ref().map_or(Duration::ZERO, |exact| exact.busy);
    answer.set_item("seconds_in_products", busy.as_secs_f64())?;
    answer.set_item("repeat_difference", callable.repeat_difference)?;
    let checks = exact.map_or(0, |_| found.pairs.len()) + usize::from(callable.repeat_difference.is_some());
    answer.set_item("check_products", checks)?;
    let vectors = found.pairs.into_iter().map(|pair| PyArray1::from_vec(py, pair.vector));
    answer.set_item("vectors", vectors.collect::<Vec<_>>())?;
    Ok(answer)
}

/// All of the answer but the vectors and what was spent.
pub(crate) fn dictionary<'py, V>(
    py: Python<'py>,
    found: &Eigenpairs<V>,
    params: &EigenParams,
    rounding: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let answer = PyDict::new(py);
    let pairs: PyResult<Vec<_>> = found
        .pairs
        .iter()
        .zip(found.enclosures(params.which, Some(rounding)))
        .map(|(pair, enclosure)| {
            let one = PyDict::new(py);
            let reached = pair.residual <= (params.rtol * pair.value.abs()).max(found.rounding);
            one.set_item("value", pair.value)?;
            one.set_item("residual", pair.residual)?;
            one.set_item("limit", pair.limit)?;
            one.set_item("lower", enclosure.lower)?;
            one.set_item("lower_failure_probability", enclosure.lower_failure_probability)?;
            one.set_item("upper", enclosure.upper)?;
            one.set_item("upper_failure_probability", enclosure.upper_failure_probability)?;
            one.set_item("interval", enclosure.interval.map(|[low, high]| (low, high)))?;
            one.set_item("converged", found.converged() && reached)?;
            Ok(one)
        })
        .collect();
    answer.set_item("pairs", pairs?)?;
    answer.set_item("products", found.products)?;
    answer.set_item(
        "stop",
        match found.stop {
            Stop::Converged => "converged",
            Stop::Unproved => "unproved",
            Stop::ProductLimit => "product_limit",
            Stop::Stagnated => "stagnated",
        },
    )?;
    let bounds = found.spectrum_bounds;
    answer.set_item("spectrum", bounds.map(|b| (b.lower, b.upper, b.failure_probability)))?;
    answer.set_item("asymmetry", found.asymmetry)?;
    answer.set_item("rounding", rounding)?;
    answer.set_item("norm", found.norm)?;
    Ok(answer)
}
