//! Estimates from random probes for Python callables.

use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sharpness_curvature::{
    DensityParams, Error, HutchinsonEstimate, HutchinsonParams, Node, Probes, ProbesParams, SymmetricOperator,
};

use crate::operator::Callable;
use crate::solvers::{OperatorArgs, Reporter};

/// [`HutchinsonParams`] from Python; the names are the same.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct HutchinsonArgs {
    rtol: f64,
    max_probes: usize,
    seed: u64,
}

/// The estimator of a quantity from random probes.
type Estimator<'a> = &'a (
        dyn Fn(
    &mut dyn SymmetricOperator,
    &HutchinsonParams,
    &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error>
            + Sync
    );

fn estimate<'py>(
    py: Python<'py>,
    estimator: Estimator<'_>,
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
    let answer = numbers(py, &found)?;
    answer.set_item("products", found.probes)?;
    finish(&answer, &callable, found.converged)?;
    Ok(answer)
}

fn numbers<'py>(py: Python<'py>, found: &HutchinsonEstimate) -> PyResult<Bound<'py, PyDict>> {
    let answer = PyDict::new(py);
    answer.set_item("value", found.value)?;
    answer.set_item("standard_error", found.standard_error)?;
    answer.set_item("probes", found.probes)?;
    answer.set_item("converged", found.converged)?;
    Ok(answer)
}

/// Adds how the answer was computed, but for the number of products.
fn finish(answer: &Bound<'_, PyDict>, callable: &Callable, converged: bool) -> PyResult<()> {
    answer.set_item("check_products", usize::from(callable.repeat_difference.is_some()))?;
    answer.set_item("stop", if converged { "converged" } else { "product_limit" })?;
    answer.set_item("seconds_in_products", callable.busy.as_secs_f64())
}

/// The trace; see `sharpness_curvature::trace`.
#[pyfunction]
pub(crate) fn trace<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: HutchinsonArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    estimate(py, &sharpness_curvature::trace, (operator, params, progress))
}

/// The trace; see `sharpness_curvature::hutch_plus_plus`.
#[pyfunction]
pub(crate) fn hutch_plus_plus<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    sketch: usize,
    params: HutchinsonArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let estimator =
        |op: &mut dyn SymmetricOperator, params: &HutchinsonParams, progress: &mut dyn FnMut(&_)| {
            sharpness_curvature::hutch_plus_plus(op, sketch, params, progress)
        };
    estimate(py, &estimator, (operator, params, progress))
}

/// The trace; see `sharpness_curvature::xtrace`.
#[pyfunction]
pub(crate) fn xtrace<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: HutchinsonArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    estimate(py, &sharpness_curvature::xtrace, (operator, params, progress))
}

/// The squared Frobenius norm; see `sharpness_curvature::squared_frobenius_norm`.
#[pyfunction]
pub(crate) fn squared_frobenius_norm<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: HutchinsonArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    estimate(py, &sharpness_curvature::squared_frobenius_norm, (operator, params, progress))
}

/// What [`probes`] estimates.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ProbesArgs {
    rtol: f64,
    max_probes: usize,
    seed: u64,
    /// Whether to estimate the trace, and the squared Frobenius norm.
    trace: bool,
    squared_norm: bool,
    /// The first index of each diagonal block, and the one after its last.
    blocks: Vec<(usize, usize)>,
    diagonal_probes: usize,
}

/// Estimates that share products; see `sharpness_curvature::Probes`.
#[pyfunction]
pub(crate) fn probes<'py>(
    py: Python<'py>,
    operator: OperatorArgs,
    params: ProbesArgs,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let mut callable = operator.callable();
    let mut reporter = Reporter::new(progress);
    let ProbesArgs { rtol, max_probes, seed, diagonal_probes, .. } = params;
    let blocks = params.blocks.iter().map(|(start, end)| std::iter::once(*start..*end).collect());
    let shared = ProbesParams { seed, block: 1, blocks: blocks.collect(), diagonal_probes };
    let solved = py.detach(|| {
        let mut probes = Probes::new(callable.dim(), shared)?;
        let mut report =
            |at: &HutchinsonEstimate| reporter.report((at.probes, at.value, at.standard_error, None));
        let op = &mut callable;
        let trace = params.trace.then(|| probes.trace(op, rtol, max_probes, &mut report)).transpose()?;
        let norm = || probes.squared_frobenius_norm(op, rtol, max_probes, &mut report);
        let norm = params.squared_norm.then(norm).transpose()?;
        let blocks = probes.block_traces(op, rtol, max_probes, &mut report)?;
        let mut report = |taken| reporter.report((taken, f64::NAN, f64::NAN, None));
        let diagonal = (diagonal_probes > 0).then(|| probes.diagonal(op, &mut report)).transpose()?;
        Ok((trace, norm, blocks, diagonal, probes.products()))
    });
    let (trace, norm, blocks, diagonal, products) = reporter.result(solved)?;
    let answer = PyDict::new(py);
    let of = |found: &Option<HutchinsonEstimate>| found.as_ref().map(|found| numbers(py, found)).transpose();
    answer.set_item("trace", of(&trace)?)?;
    answer.set_item("squared_norm", of(&norm)?)?;
    let each = blocks.iter().map(|found| numbers(py, found)).collect::<PyResult<Vec<_>>>()?;
    answer.set_item("blocks", each)?;
    let converged = trace.iter().chain(&norm).chain(&blocks).all(|found| found.converged);
    if let Some(diagonal) = diagonal {
        answer.set_item("diagonal", PyArray1::from_vec(py, diagonal.values))?;
        answer.set_item("diagonal_errors", PyArray1::from_vec(py, diagonal.standard_errors))?;
    }
    answer.set_item("products", products)?;
    finish(&answer, &callable, converged)?;
    Ok(answer)
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
    let mut reporter = Reporter::new(progress);
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
    finish(&answer, &callable, true)?;
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
