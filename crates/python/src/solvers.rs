//! The solvers of `sharpness-curvature` for Python callables.

use std::time::Duration;

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sharpness_curvature::{
    DensityParams, EigenParams, Eigenpairs, HutchinsonEstimate, HutchinsonParams, Method, Node, Progress,
    Stop, SymmetricOperator as _, Which,
};

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
    fn callable(self) -> Callable {
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

/// [`HutchinsonParams`] from Python; the names are the same.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct HutchinsonArgs {
    rtol: f64,
    max_probes: usize,
    seed: u64,
}

/// The estimator of a quantity from random probes.
type Estimator = fn(
    &mut dyn sharpness_curvature::SymmetricOperator,
    &HutchinsonParams,
    &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, sharpness_curvature::Error>;

fn estimate<'py>(
    py: Python<'py>,
    estimator: Estimator,
    (operator, params, progress): (OperatorArgs, HutchinsonArgs, Option<Py<PyAny>>),
) -> PyResult<Bound<'py, PyDict>> {
    let HutchinsonArgs { rtol, max_probes, seed } = params;
    let params = HutchinsonParams { rtol, max_probes, block: 1, seed };
    let mut callable = operator.callable();
    let mut reporter = Reporter::new(progress);
    let solved = py.detach(|| {
        let mut report =
            |at: &HutchinsonEstimate| reporter.report((at.probes, at.value, at.standard_error, None));
        estimator(&mut callable, &params, &mut report)
    });
    let found = reporter.result(solved)?;
    let answer = PyDict::new(py);
    answer.set_item("value", found.value)?;
    answer.set_item("standard_error", found.standard_error)?;
    answer.set_item("products", found.probes)?;
    answer.set_item("check_products", usize::from(callable.repeat_difference.is_some()))?;
    answer.set_item("stop", if found.converged { "converged" } else { "product_limit" })?;
    answer.set_item("converged", found.converged)?;
    answer.set_item("seconds_in_products", callable.busy.as_secs_f64())?;
    Ok(answer)
}

/// The trace; see `sharpness_curvature::trace`.
#[pyfunction]
pub(crate) fn trace<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: HutchinsonArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    estimate(py, sharpness_curvature::trace, (operator, params, progress))
}

/// The squared Frobenius norm; see `sharpness_curvature::squared_frobenius_norm`.
#[pyfunction]
pub(crate) fn squared_frobenius_norm<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: HutchinsonArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    estimate(py, sharpness_curvature::squared_frobenius_norm, (operator, params, progress))
}

/// The density of the eigenvalues; see `sharpness_curvature::density`.
#[pyfunction]
pub(crate) fn density<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: DensityArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let DensityArgs { probes, steps, seed } = params;
    let params = DensityParams { probes, steps, seed };
    let mut callable = operator.callable();
    let mut reporter = Reporter { callable: progress, raised: None };
    let solved = py.detach(|| {
        let mut report = |_, products| reporter.report((products, f64::NAN, f64::NAN, None));
        sharpness_curvature::density(&mut callable, &params, &mut report)
    });
    let found = reporter.result(solved)?;
    let answer = PyDict::new(py);
    let nodes = |of: fn(&Node) -> f64| {
        found.probes.iter().map(|nodes| nodes.iter().map(of).collect()).collect::<Vec<Vec<f64>>>()
    };
    answer.set_item("values", nodes(|node| node.value))?;
    answer.set_item("weights", nodes(|node| node.weight))?;
    answer.set_item("products", found.products)?;
    answer.set_item("check_products", usize::from(callable.repeat_difference.is_some()))?;
    answer.set_item("stop", "converged")?;
    answer.set_item("seconds_in_products", callable.busy.as_secs_f64())?;
    Ok(answer)
}

/// [`DensityParams`] from Python; the names are the same.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct DensityArgs {
    probes: usize,
    steps: usize,
    seed: u64,
}
