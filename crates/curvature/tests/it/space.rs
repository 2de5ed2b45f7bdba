//! Lanczos on vectors that live elsewhere than in host memory: here, in a space of plain loops.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use sharpness_curvature::{
    DenseOperator, EigenParams, Eigenpairs, Error, Projection, SymmetricOperator, VectorSpace, lanczos,
    lanczos_in, smallest_lanczos_bytes, spectra::with_eigenvalues,
};

use crate::cases::{ENDS, cases, largest_magnitude};

/// A vector of a [`Loops`]. The solver cannot look into it.
struct Opaque(Vec<f64>);

/// Every operation as its definition says, with sums in the order of the entries.
struct Loops {
    operator: DenseOperator,
    basis: Vec<Vec<f64>>,
    rng: ChaCha8Rng,
    operations: usize,
    /// The operation that fails.
    failing: Option<usize>,
}

impl Loops {
    fn new(operator: &DenseOperator, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { operator: operator.clone(), basis: Vec::new(), rng, operations: 0, failing: None }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.operations += 1;
        if self.failing == Some(self.operations) {
            return Err(Error::Operator("out of memory".into()));
        }
        Ok(())
    }
}

fn sum_of_products(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn norm(x: &[f64]) -> f64 {
    let largest = largest_magnitude(x);
    if largest <= 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

fn add(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

impl VectorSpace for Loops {
    type Vector = Opaque;

    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn is_single(&self) -> bool {
        false
    }

    fn basis_error(&self) -> f64 {
        0.0
    }

    fn product_error(&self) -> f64 {
        0.0
    }

    fn import(&mut self, v: Vec<f64>) -> Result<Opaque, Error> {
        self.count()?;
        Ok(Opaque(v))
    }

    fn random_unit(&mut self) -> Result<Opaque, Error> {
        self.count()?;
        let mut v: Vec<f64> = (0..self.dim()).map(|_| StandardNormal.sample(&mut self.rng)).collect();
        let norm = norm(&v);
        v.iter_mut().for_each(|x| *x /= norm);
        Ok(Opaque(v))
    }

    fn apply(&mut self, v: &Opaque) -> Result<Opaque, Error> {
        self.count()?;
        let rows = self.operator.entries().chunks(v.0.len());
        Ok(Opaque(rows.map(|row| sum_of_products(row, &v.0)).collect()))
    }

    fn dot(&mut self, x: &Opaque, y: &Opaque) -> Result<f64, Error> {
        self.count()?;
        Ok(sum_of_products(&x.0, &y.0))
    }

    fn norm(&mut self, v: &Opaque) -> Result<f64, Error> {
        self.count()?;
        Ok(norm(&v.0))
    }

    fn scale(&mut self, v: &mut Opaque, factor: f64) -> Result<(), Error> {
        self.count()?;
        v.0.iter_mut().for_each(|x| *x *= factor);
        Ok(())
    }

    fn add_scaled(&mut self, y: &mut Opaque, a: f64, x: &Opaque) -> Result<(), Error> {
        self.count()?;
        add(&mut y.0, a, &x.0);
        Ok(())
    }

    fn push(&mut self, v: Opaque) -> Result<(), Error> {
        self.count()?;
        self.basis.push(v.0);
        Ok(())
    }

    fn get(&mut self, i: usize) -> Result<Opaque, Error> {
        self.count()?;
        Ok(Opaque(self.basis[i].clone()))
    }

    fn project(&mut self, w: &mut Opaque, subtract: Option<&[f64]>) -> Result<Projection, Error> {
        self.count()?;
        for (c, v) in subtract.unwrap_or_default().iter().zip(&self.basis) {
            add(&mut w.0, -c, v);
        }
        let coefficients = self.basis.iter().map(|v| sum_of_products(v, &w.0)).collect();
        Ok(Projection { coefficients, norm: norm(&w.0) })
    }

    fn combine(&mut self, first: usize, column: &[f64]) -> Result<Opaque, Error> {
        self.count()?;
        let mut sum = vec![0.0; self.dim()];
        for (s, v) in column.iter().zip(&self.basis[first..]) {
            add(&mut sum, *s, v);
        }
        Ok(Opaque(sum))
    }

    fn rotate(&mut self, first: usize, size: usize, columns: &[Vec<f64>]) -> Result<(), Error> {
        self.count()?;
        let new: Result<Vec<_>, Error> = columns.iter().map(|column| self.combine(first, column)).collect();
        for (v, new) in self.basis[first..first + size].iter_mut().zip(new?) {
            *v = new.0;
        }
        Ok(())
    }

    fn keep(&mut self, order: &[usize]) -> Result<(), Error> {
        self.count()?;
        self.basis = order.iter().map(|i| self.basis[*i].clone()).collect();
        Ok(())
    }
}

/// Compares the pairs of both solves, and checks the residuals of the second against its vectors.
fn check_agreement(
    label: &str,
    norm: f64,
    host: &Eigenpairs,
    other: &Eigenpairs<Opaque>,
    op: &DenseOperator,
) {
    assert_eq!((other.stop, other.products), (host.stop, host.products), "{label}");
    assert_eq!(other.pairs.len(), host.pairs.len(), "{label}: pairs");
    let tolerance = 1e-9 * norm;
    for (own, theirs) in other.pairs.iter().zip(&host.pairs) {
        let (value, residual) = (own.value - theirs.value, own.residual - theirs.residual);
        assert!(value.abs() <= tolerance, "{label}: {} and {}", own.value, theirs.value);
        assert!(residual.abs() <= 1e-3 * theirs.residual + tolerance, "{label}: residual off by {residual}");
        assert_eq!(own.limit.is_some(), theirs.limit.is_some(), "{label}: limit");
        let rows = op.entries().chunks(op.dim());
        let difference: Vec<f64> = rows
            .zip(&own.vector.0)
            .map(|(row, u)| sum_of_products(row, &own.vector.0) - own.value * u)
            .collect();
        let true_residual = self::norm(&difference);
        assert!(
            (true_residual - own.residual).abs() <= tolerance,
            "{label}: {true_residual} and {}",
            own.residual
        );
    }
    match (other.spectrum_bounds, host.spectrum_bounds) {
        (Some(own), Some(theirs)) => {
            let distance = (own.upper - theirs.upper).abs().max((own.lower - theirs.lower).abs());
            assert!(distance <= 1e-6 * norm, "{label}: {own:?} and {theirs:?}");
        }
        (own, theirs) => assert_eq!(own, theirs, "{label}: bounds"),
    }
}

#[test]
fn a_space_of_plain_loops_gives_the_values_of_the_host_to_rounding() {
    for case in cases() {
        let (dim, norm) = (case.eigenvalues.len(), largest_magnitude(&case.eigenvalues));
        let mut op = with_eigenvalues(&case.eigenvalues, 5).unwrap();
        for (which, k) in ENDS.into_iter().flat_map(|which| [(which, 1), (which, 3)]) {
            if k > dim {
                continue;
            }
            let start = (k > 1).then(|| (0..dim).map(|i| 1.0 / (i + 1) as f64).collect());
            let params = EigenParams {
                k,
                which,
                start: start.into_iter().collect(),
                seed: 7,
                ..EigenParams::default()
            };
            let host = lanczos(&mut op, &params, &mut |_| ()).unwrap();
            let other = lanczos_in(&mut Loops::new(&op, 7), &params, &mut |_| ()).unwrap();
            check_agreement(&format!("{}, {which:?}, k = {k}", case.name), norm, &host, &other, &op);
        }
    }
}

#[test]
fn restarts_and_locks_agree_with_the_host() {
    let eigenvalues: Vec<f64> =
        [vec![9.0, 8.8, 8.0], (0..150).map(|i| 7.0 * 0.96_f64.powi(i)).collect()].concat();
    let mut op = with_eigenvalues(&eigenvalues, 2).unwrap();
    for k in [1, 2, 5] {
        let memory_bytes = smallest_lanczos_bytes(k, op.dim(), false) + 2 * 8 * op.dim();
        let params = EigenParams { k, rtol: 1e-6, memory_bytes, ..EigenParams::default() };
        let host = lanczos(&mut op, &params, &mut |_| ()).unwrap();
        let mut space = Loops::new(&op, 0);
        let other = lanczos_in(&mut space, &params, &mut |_| ()).unwrap();
        let capacity = memory_bytes / (8 * op.dim());
        assert!(host.products > capacity, "k = {k}: {} products do not restart", host.products);
        assert!(space.basis.len() <= capacity, "k = {k}: {} vectors of {capacity}", space.basis.len());
        check_agreement(&format!("k = {k}"), 9.0, &host, &other, &op);
    }
}

#[test]
fn a_failure_of_any_operation_ends_the_solve_with_its_error() {
    let eigenvalues: Vec<f64> = [vec![5.0; 2], (0..60).map(|i| 4.0 * 0.9_f64.powi(i)).collect()].concat();
    let op = with_eigenvalues(&eigenvalues, 3).unwrap();
    let params = EigenParams {
        k: 2,
        rtol: 1e-4,
        memory_bytes: smallest_lanczos_bytes(2, op.dim(), false),
        start: vec![vec![1.0; op.dim()]],
        ..EigenParams::default()
    };
    let mut whole = Loops::new(&op, 0);
    lanczos_in(&mut whole, &params, &mut |_| ()).unwrap();
    assert!(whole.operations > 100, "{} operations", whole.operations);
    for failing in 1..=whole.operations {
        let mut space = Loops { failing: Some(failing), ..Loops::new(&op, 0) };
        let error = lanczos_in(&mut space, &params, &mut |_| ()).map(drop).unwrap_err();
        assert!(
            matches!(&error, Error::Operator(cause) if cause.to_string() == "out of memory"),
            "{failing}: {error}"
        );
        assert_eq!(space.operations, failing, "the solver stops at the failure");
    }
}

#[test]
fn a_product_that_is_not_finite_is_an_error_in_any_space() {
    let dim = 200;
    let mut entries = vec![0.0; dim * dim];
    (0..dim).for_each(|i| entries[i * dim + i] = i as f64);
    entries[dim + 1] = f64::NAN;
    let op = DenseOperator::new(dim, entries).unwrap();
    let error = lanczos_in(&mut Loops::new(&op, 0), &EigenParams::default(), &mut |_| ()).map(drop);
    assert!(matches!(error, Err(Error::NonFinite { product: 1 })), "{error:?}");
}
