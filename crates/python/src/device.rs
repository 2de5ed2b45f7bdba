//! Vectors that Python keeps, for example on the device where a model computes its products.

use numpy::PyArray1;
use pyo3::IntoPyObjectExt as _;
use pyo3::call::PyCallArgs;
use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sharpness_curvature::{EigenParams, Error, Method, Progress, Projection, VectorSpace, lanczos_in};

use crate::errors::InvalidInputError;
use crate::operator::{self, Tolerances};
use crate::solvers::{self, EigenArgs, Reporter, dictionary};

/// The attributes of the Python object. It also has a method for each operation of [`VectorSpace`].
#[derive(FromPyObject)]
struct Attributes {
    dim: usize,
    is_single: bool,
    basis_error: f64,
    /// The relative error of a product beyond the rounding of its precision.
    product_error: f64,
    /// The tolerances for repeating and for symmetry; `None` checks neither.
    tolerances: Option<(f64, f64)>,
    /// Whether it has the method `exact`: a product in double precision.
    has_exact: bool,
}

/// A Python object as a space of vectors, which are Python objects too.
struct PythonSpace {
    object: Py<PyAny>,
    attributes: Attributes,
    /// If set, the first product is computed twice, and the second must fit the first.
    tolerances: Option<Tolerances>,
    /// The first vector and its product.
    first: Option<[Py<PyAny>; 2]>,
    /// The relative difference of two products with the same vector.
    repeat_difference: Option<f64>,
}

impl PythonSpace {
    fn new(object: Bound<'_, PyAny>) -> PyResult<Self> {
        let attributes: Attributes = object.extract()?;
        let tolerances = attributes.tolerances.map(|(repeat, symmetry)| Tolerances { repeat, symmetry });
        Ok(Self { object: object.unbind(), attributes, tolerances, first: None, repeat_difference: None })
    }

    /// Calls a method. Its exception passes through the solver unchanged.
    fn call<A, R>(&self, name: &str, arguments: A) -> Result<R, Error>
    where
        A: for<'py> PyCallArgs<'py>,
        R: for<'py> FromPyObjectOwned<'py>,
    {
        Python::attach(|py| {
            let returned = self.object.bind(py).call_method1(name, arguments)?;
            returned.extract().map_err(Into::<PyErr>::into)
        })
        .map_err(raised)
    }

    /// Calls a method that returns nothing.
    fn change(&self, name: &str, arguments: impl for<'py> PyCallArgs<'py>) -> Result<(), Error> {
        self.call::<_, Py<PyAny>>(name, arguments).map(drop)
    }

    /// `A v`, without checks.
    fn product(&self, v: &Py<PyAny>) -> Result<Py<PyAny>, Error> {
        Python::attach(|py| py.check_signals()).map_err(raised)?;
        self.call("apply", (v,))
    }

    /// Checks that the operator is one fixed matrix: repeats the first product.
    fn check_repeat(&mut self, v: &Py<PyAny>, product: &Py<PyAny>, tolerance: f64) -> Result<(), Error> {
        let mut difference = self.product(v)?;
        self.add_scaled(&mut difference, -1.0, product)?;
        let relative = operator::relative(self.norm(&difference)?, self.norm(product)?);
        self.repeat_difference = Some(relative);
        operator::require_repeat(relative, tolerance).map_err(raised)
    }

    /// Checks `⟨v, A w⟩ = ⟨w, A v⟩` for the vectors of the first two products.
    fn check_symmetry(
        &mut self,
        [v, av]: &[Py<PyAny>; 2],
        [w, aw]: [&Py<PyAny>; 2],
        tolerance: f64,
    ) -> Result<(), Error> {
        let sides = [self.dot(v, aw)?, self.dot(w, av)?];
        let scale = self.norm(av)? * self.norm(w)? + self.norm(aw)? * self.norm(v)?;
        operator::require_symmetry(sides, scale, tolerance).map_err(raised)
    }
}

fn raised(error: PyErr) -> Error {
    Error::Operator(error.into())
}

impl VectorSpace for PythonSpace {
    type Vector = Py<PyAny>;

    fn dim(&self) -> usize {
        self.attributes.dim
    }

    fn is_single(&self) -> bool {
        self.attributes.is_single
    }

    fn basis_error(&self) -> f64 {
        self.attributes.basis_error
    }

    fn product_error(&self) -> f64 {
        operator::product_error(self.attributes.is_single, self.attributes.product_error)
    }

    fn import(&mut self, v: Vec<f64>) -> Result<Py<PyAny>, Error> {
        let array = Python::attach(|py| PyArray1::from_vec(py, v).unbind());
        self.call("from_numpy", (array,))
    }

    fn random_unit(&mut self) -> Result<Py<PyAny>, Error> {
        self.call("random_unit", ())
    }

    fn apply(&mut self, v: &Py<PyAny>) -> Result<Py<PyAny>, Error> {
        let product = self.product(v)?;
        let Some(tolerances) = self.tolerances else { return Ok(product) };
        match self.first.take() {
            None => {
                self.check_repeat(v, &product, tolerances.repeat)?;
                // The solver changes the product, but not the vector.
                let kept = self.call("copy", (&product,))?;
                self.first = Some(Python::attach(|py| [v.clone_ref(py), kept]));
            }
            Some(first) => {
                self.check_symmetry(&first, [v, &product], tolerances.symmetry)?;
                // One comparison suffices; the solver watches the others.
                self.tolerances = None;
            }
        }
        Ok(product)
    }

    fn dot(&mut self, x: &Py<PyAny>, y: &Py<PyAny>) -> Result<f64, Error> {
        self.call("dot", (x, y))
    }

    fn norm(&mut self, v: &Py<PyAny>) -> Result<f64, Error> {
        self.call("norm", (v,))
    }

    fn scale(&mut self, v: &mut Py<PyAny>, factor: f64) -> Result<(), Error> {
        self.change("scale", (&*v, factor))
    }

    fn add_scaled(&mut self, y: &mut Py<PyAny>, a: f64, x: &Py<PyAny>) -> Result<(), Error> {
        self.change("add_scaled", (&*y, a, x))
    }

    fn push(&mut self, v: Py<PyAny>) -> Result<(), Error> {
        self.change("push", (v,))
    }

    fn get(&mut self, i: usize) -> Result<Py<PyAny>, Error> {
        self.call("get", (i,))
    }

    fn project(&mut self, w: &mut Py<PyAny>, subtract: Option<&[f64]>) -> Result<Projection, Error> {
        let (coefficients, norm) = self.call("project", (&*w, subtract))?;
        Ok(Projection { coefficients, norm })
    }

    fn combine(&mut self, first: usize, column: &[f64]) -> Result<Py<PyAny>, Error> {
        self.call("combine", (first, column))
    }

    fn rotate(&mut self, first: usize, size: usize, columns: &[Vec<f64>]) -> Result<(), Error> {
        self.change("rotate", (first, size, columns))
    }

    fn keep(&mut self, order: &[usize]) -> Result<(), Error> {
        self.change("keep", (order,))
    }
}

/// Extreme eigenpairs by Lanczos on the vectors of a Python object; see `sharpness_curvature::lanczos_in`. The answer is that of
/// `eigenpairs`, with the vectors of the object.
#[pyfunction]
pub(crate) fn eigenpairs_on_device<'py>(
    py: Python<'py>,
    space: Bound<'py, PyAny>,
    params: EigenArgs<'py>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let params = params.params()?;
    let object = space.clone();
    let mut space = PythonSpace::new(space)?;
    if params.method_for(space.dim()) != Method::Lanczos {
        return Err(InvalidInputError::new_err("only Lanczos keeps its vectors on a device"));
    }
    let mut reporter = Reporter::new(progress);
    let solved = py.detach(|| {
        let mut report = |at: &Progress| reporter.report((at.products, at.value, at.residual, at.limit));
        let mut found = lanczos_in(&mut space, &params, &mut report)?;
        if !space.attributes.has_exact {
            found.widen(params.which, found.rounding);
            let rounding = found.rounding;
            return Ok((found, rounding));
        }
        let measured: Result<Vec<_>, Error> = found
            .pairs
            .iter()
            .map(|pair| {
                let product = space.call("exact", (&pair.vector,))?;
                space.quotient_and_residual(&pair.vector, product)
            })
            .collect();
        let rounding = found.replace(&measured?, params.which, space.dim());
        Ok((found, rounding))
    });
    let (found, rounding) = reporter.result(solved)?;
    let answer = dictionary(py, &found, &params, rounding)?;
    answer.set_item("seconds_in_products", object.getattr("seconds_in_products")?)?;
    answer.set_item("repeat_difference", space.repeat_difference)?;
    let exact = if space.attributes.has_exact { found.pairs.len() } else { 0 };
    answer.set_item("check_products", exact + usize::from(space.repeat_difference.is_some()))?;
    let vectors: Vec<_> = found.pairs.into_iter().map(|pair| pair.vector).collect();
    answer.set_item("vectors", vectors.into_py_any(py)?)?;
    Ok(answer)
}

/// Whether `eigenpairs` runs Lanczos with this method in dimension `dim`.
#[pyfunction]
pub(crate) fn runs_lanczos(method: &str, dim: usize, max_products: usize) -> PyResult<bool> {
    let params = EigenParams { method: solvers::method(method)?, max_products, ..EigenParams::default() };
    Ok(params.method_for(dim) == Method::Lanczos)
}
