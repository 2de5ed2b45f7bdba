//! A Python callable as a symmetric operator.

use std::time::{Duration, Instant};

use numpy::{Element, PyArray1, PyReadonlyArray1, PyUntypedArrayMethods as _};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use sharpness_curvature::{ApplyError, SymmetricOperator};

use crate::errors::{ChangingOperatorError, NotSymmetricError};

/// How far two products with one vector may differ, relative to their norm.
#[derive(Clone, Copy)]
pub(crate) struct Tolerances {
    /// Two products with the same vector.
    pub(crate) repeat: f64,
    /// `⟨v, A w⟩` and `⟨w, A v⟩`, relative to the norms of the products.
    pub(crate) symmetry: f64,
}

/// A Python callable `apply(v) -> A v`, where both are NumPy vectors `[dim]` in `f32` or `f64`.
pub(crate) struct Callable {
    apply: Py<PyAny>,
    dim: usize,
    is_single: bool,
    /// The relative error of a product, if that of its precision is not all.
    product_error: f64,
    /// If set, the first product is computed twice, and the second must fit the first.
    tolerances: Option<Tolerances>,
    /// The first vector and its product.
    first: Option<[Vec<f64>; 2]>,
    /// The time in the callable.
    pub(crate) busy: Duration,
    /// The relative difference of two products with the same vector.
    pub(crate) repeat_difference: Option<f64>,
}

impl Callable {
    pub(crate) fn new(apply: Py<PyAny>, dim: usize, is_single: bool) -> Self {
        Self {
            apply,
            dim,
            is_single,
            product_error: 0.0,
            tolerances: None,
            first: None,
            busy: Duration::ZERO,
            repeat_difference: None,
        }
    }

    /// With products that have this relative error, and checked to these tolerances.
    pub(crate) fn with_errors(self, product_error: f64, tolerances: Option<Tolerances>) -> Self {
        Self { product_error, tolerances, ..self }
    }

    fn product(&mut self, v: &[f64], out: &mut [f64]) -> PyResult<()> {
        Python::attach(|py| {
            py.check_signals()?;
            let input = if self.is_single { vector::<f32>(py, v) } else { vector::<f64>(py, v) };
            let started = Instant::now();
            let product = self.apply.bind(py).call1(PyTuple::new(py, [input])?)?;
            self.busy += started.elapsed();
            read(&product, out)
        })
    }

    /// Checks that the operator is one fixed matrix: repeats the first product.
    fn check_repeat(&mut self, v: &[f64], out: &[f64], tolerance: f64) -> PyResult<()> {
        let mut again = vec![0.0; self.dim];
        self.product(v, &mut again)?;
        let squares = |x: f64, y: f64| x + y * y;
        let difference = out.iter().zip(&again).map(|(a, b)| a - b).fold(0.0, squares).sqrt();
        let norm = out.iter().copied().fold(0.0, squares).sqrt();
        let relative = relative(difference, norm);
        self.repeat_difference = Some(relative);
        require_repeat(relative, tolerance)
    }

    /// Checks `⟨v, A w⟩ = ⟨w, A v⟩` for the vectors of the first two products.
    fn check_symmetry(
        &self,
        [v, av]: &[Vec<f64>; 2],
        (w, aw): (&[f64], &[f64]),
        tolerance: f64,
    ) -> PyResult<()> {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let sides = [dot(v, aw), dot(w, av)];
        let scale = dot(av, av).sqrt() * dot(w, w).sqrt() + dot(aw, aw).sqrt() * dot(v, v).sqrt();
        require_symmetry(sides, scale, tolerance)
    }
}

impl SymmetricOperator for Callable {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.product(v, out)?;
        let Some(tolerances) = self.tolerances else { return Ok(()) };
        match self.first.take() {
            None => {
                self.check_repeat(v, out, tolerances.repeat)?;
                self.first = Some([v.to_vec(), out.to_vec()]);
            }
            Some(first) => {
                self.check_symmetry(&first, (v, out), tolerances.symmetry)?;
                // One comparison suffices; the solver watches the others.
                self.tolerances = None;
            }
        }
        Ok(())
    }

    fn is_single(&self) -> bool {
        self.is_single
    }

    fn product_error(&self) -> f64 {
        product_error(self.is_single, self.product_error)
    }
}

/// The relative error of a product in `f32` or not, if `known` does not say more.
pub(crate) fn product_error(is_single: bool, known: f64) -> f64 {
    // Sums of a network in `f32` lose a few more bits than the format.
    let single = if is_single { 8.0 * f64::from(f32::EPSILON) } else { 0.0 };
    known.max(single)
}

/// The norm of a difference relative to that of what differs.
pub(crate) fn relative(difference: f64, norm: f64) -> f64 {
    if difference > 0.0 { difference / norm } else { 0.0 }
}

/// Requires that two products with the same vector agree, given their relative difference.
pub(crate) fn require_repeat(relative: f64, tolerance: f64) -> PyResult<()> {
    // A product that is not finite is reported as such.
    if relative.is_nan() || relative <= tolerance {
        return Ok(());
    }
    Err(ChangingOperatorError::new_err(format!(
        "the operator changes: two products with the same vector differ by {relative:.1e} of their norm (at most \
         {tolerance:.0e} is rounding). Compute all products on the same data, in the same order, without shuffling, \
         augmentation or dropout, or fix the seed inside the callable"
    )))
}

/// Requires that `⟨v, A w⟩` and `⟨w, A v⟩` agree, relative to the norms of vectors and products.
pub(crate) fn require_symmetry([one, other]: [f64; 2], scale: f64, tolerance: f64) -> PyResult<()> {
    let relative = (one - other).abs() / scale;
    if relative.is_nan() || relative <= tolerance {
        return Ok(());
    }
    Err(NotSymmetricError::new_err(format!(
        "the operator is not symmetric: ⟨v, A w⟩ = {one:.6e}, but ⟨w, A v⟩ = {other:.6e}. Its eigenvalues need not be real. \
         A Hessian is symmetric, so a derivative inside the callable is wrong, or `hvp(v)` is not a product with a Hessian"
    )))
}

/// A new NumPy vector, which the callable may keep.
fn vector<'py, T: Element + FromWide>(py: Python<'py>, v: &[f64]) -> Bound<'py, PyAny> {
    PyArray1::from_iter(py, v.iter().map(|x| T::from_wide(*x))).into_any()
}

trait FromWide {
    fn from_wide(x: f64) -> Self;
}

impl FromWide for f64 {
    fn from_wide(x: f64) -> Self {
        x
    }
}

impl FromWide for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the products are in single precision")]
    fn from_wide(x: f64) -> Self {
        x as Self
    }
}

/// Reads a NumPy vector in `f64` or `f32`. `python/sharpness` makes sure that it is one of the right length.
fn read(product: &Bound<'_, PyAny>, out: &mut [f64]) -> PyResult<()> {
    if let Ok(array) = product.extract::<PyReadonlyArray1<'_, f64>>() {
        check_length(array.len(), out.len())?;
        for (out, x) in out.iter_mut().zip(array.as_array()) {
            *out = *x;
        }
        return Ok(());
    }
    let array = product.extract::<PyReadonlyArray1<'_, f32>>().map_err(|_| {
        pyo3::exceptions::PyTypeError::new_err("a product must be a vector in float32 or float64")
    })?;
    check_length(array.len(), out.len())?;
    for (out, x) in out.iter_mut().zip(array.as_array()) {
        *out = f64::from(*x);
    }
    Ok(())
}

fn check_length(length: usize, dim: usize) -> PyResult<()> {
    if length == dim {
        return Ok(());
    }
    Err(pyo3::exceptions::PyValueError::new_err(format!(
        "a product has {length} entries, but the operator has dimension {dim}"
    )))
}
