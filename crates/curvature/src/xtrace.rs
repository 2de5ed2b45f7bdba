//! XTrace (Epperly, Tropp and Webber 2024, *XTrace: making the most of every sample in stochastic trace estimation*, SIAM J. Matrix
//! Anal. Appl. 45(1), arXiv 2301.07825): every random vector serves both as a sketch of the range of `A` and as a probe of the rest.
//!
//! For `k` vectors `ω_i`, uniform on the sphere of radius `√n`, let `Q_i` be an orthonormal basis of the products `A ω_j`, `j ≠ i`.
//! The estimate is the mean over `i` of
//!
//! ```text
//! x_i = tr Q_iᵀ A Q_i + νᵀ A ν,  ν = sqrt(n - k + 1) (I - Q_i Q_iᵀ) ω_i / ‖(I - Q_i Q_iᵀ) ω_i‖
//! ```
//!
//! (section 2.3 there, with the normalization of its section 2.4). All of it follows from `Y = AΩ = QR`, `AQ` and small matrices:
//! `Q_i Q_iᵀ = Q (I - s_i s_iᵀ) Qᵀ`, where `s_i` is the normalized column `i` of `R^(-T)`.
//!
//! The paper estimates the error by the spread of the `x_i`. These depend on one another, and in our simulations it was too small by
//! up to a factor of 1.5, so that intervals for 95 % held the trace in 81 to 96 %. The standard error here is the jackknife's: the
//! spread of the estimates without one of the vectors, which follow from the same small matrices. Its square is at least the variance
//! of the estimate with `k - 1` vectors, in expectation (Efron and Stein 1981, *The jackknife estimate of variance*, Ann. Stat. 9(3)).
//! So it is conservative: in our simulations the errors were 0.2 to 1.0 times as large.

use nalgebra::DMatrix;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::basis::Basis;
use crate::error::Error;
use crate::hutchinson::HutchinsonParams;
use crate::operator::{Products, SymmetricOperator};
use crate::params::rounding;
use crate::sample::{FEWEST_PROBES, HutchinsonEstimate, spread_factor};
use crate::vectors::{self, Entry};

/// The fewest products of a standard error: two random vectors.
const FEWEST_PRODUCTS: usize = 4;

/// Estimates the trace of `op` by XTrace, from two products per random vector. `max_probes` is the largest number of products, and
/// the estimate's [`probes`](HutchinsonEstimate::probes) the number taken. The number of vectors grows by a fifth at a time, from 8,
/// until the tolerance is met.
///
/// It needs fewer products than [`trace()`](crate::trace()) if the eigenvalues decay, and about twice as many if all have about the
/// same magnitude. The standard error is conservative. It is 0, and the trace exact up to rounding, once there are more vectors than
/// nonzero eigenvalues, or as many as rows.
///
/// Takes `16 dim` bytes per vector, half if the operator [is single](SymmetricOperator::is_single), and `16 dim block`.
///
/// # Errors
/// As [`trace()`](crate::trace()), and [`Error::TooFewProducts`] if `max_probes` is less than 4.
pub fn xtrace(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    params.check(op)?;
    if params.max_probes < FEWEST_PRODUCTS {
        return Err(Error::TooFewProducts { max_products: params.max_probes, needed: FEWEST_PRODUCTS });
    }
    if op.is_single() { estimate::<f32>(op, params, progress) } else { estimate::<f64>(op, params, progress) }
}

fn estimate<T: Entry>(
    op: &mut dyn SymmetricOperator,
    params: &HutchinsonParams,
    progress: &mut dyn FnMut(&HutchinsonEstimate),
) -> Result<HutchinsonEstimate, Error> {
    let mut sketch = Sketch::<T>::new(op, params);
    let most = (params.max_probes / 2).min(sketch.operator.dim());
    let mut size = FEWEST_PROBES.min(most);
    loop {
        sketch.grow(size)?;
        let (value, standard_error) = if sketch.is_whole() {
            ((0..sketch.basis.len()).map(|i| sketch.h(i, i)).sum(), 0.0)
        } else {
            Matrices::new(&sketch)?.estimate(sketch.operator.dim())
        };
        let is_trusted = size >= FEWEST_PROBES || sketch.is_whole();
        let spread = standard_error * spread_factor(size as f64 - 1.0).max(1.0);
        let converged = is_trusted && (sketch.is_whole() || spread <= params.rtol * value.abs());
        let found = HutchinsonEstimate { value, standard_error, probes: sketch.operator.count(), converged };
        progress(&found);
        if converged || size == most {
            return Ok(found);
        }
        size = (size + (size / 5).max(2)).min(most);
    }
}

/// Random vectors `Ω`, the basis `Q` of their products, and the small matrices that they give.
struct Sketch<'a, T> {
    operator: Products<'a>,
    rng: ChaCha8Rng,
    block: usize,
    omegas: Vec<Vec<T>>,
    basis: Basis<T>,
    /// `ωᵀ A ω` of each vector.
    forms: Vec<f64>,
    /// The columns of `R`, from the first entry to the diagonal.
    r: Vec<Vec<f64>>,
    /// The columns of `QᵀAQ`, of which the first entries to the diagonal, at least, are known.
    h: Vec<Vec<f64>>,
    /// The columns of `QᵀΩ`.
    w: Vec<Vec<f64>>,
    /// Whether a product lay in the span of the earlier ones.
    is_captured: bool,
}

impl<'a, T: Entry> Sketch<'a, T> {
    fn new(op: &'a mut dyn SymmetricOperator, params: &HutchinsonParams) -> Self {
        Self {
            operator: Products::new(op),
            rng: ChaCha8Rng::seed_from_u64(params.seed),
            block: params.block,
            omegas: Vec::new(),
            basis: Basis::new(),
            forms: Vec::new(),
            r: Vec::new(),
            h: Vec::new(),
            w: Vec::new(),
            is_captured: false,
        }
    }

    /// Whether nothing of `A` is left outside the basis.
    fn is_whole(&self) -> bool {
        self.is_captured || self.basis.len() == self.operator.dim()
    }

    /// Grows to `size` vectors, unless the basis captures `A` with fewer.
    fn grow(&mut self, size: usize) -> Result<(), Error> {
        self.extend_range(size)?;
        self.extend_h()?;
        if self.is_whole() {
            return Ok(());
        }
        self.w.resize_with(self.omegas.len(), Vec::new);
        for (omega, column) in self.omegas.iter().zip(&mut self.w) {
            let new = &self.basis.vectors[column.len()..];
            column.extend(vectors::project(&mut T::widen(omega).into_owned(), new, None).coefficients);
        }
        Ok(())
    }

    fn extend_range(&mut self, size: usize) -> Result<(), Error> {
        let dim = self.operator.dim();
        while self.omegas.len() < size && !self.is_captured {
            let count = self.block.min(size - self.omegas.len());
            let radius = (dim as f64).sqrt();
            let new: Vec<Vec<T>> = (0..count)
                .map(|_| {
                    let mut omega = vectors::random_unit(dim, &mut self.rng);
                    vectors::scale(&mut omega, radius);
                    T::narrow(omega)
                })
                .collect();
            let wide: Vec<_> = new.iter().map(|omega| T::widen(omega)).collect();
            let inputs: Vec<&[f64]> = wide.iter().map(AsRef::as_ref).collect();
            let products = self.operator.products(&inputs)?;
            let forms: Vec<f64> = inputs.iter().zip(&products).map(|(v, y)| vectors::dot(v, y)).collect();
            drop(wide);
            for ((omega, product), form) in new.into_iter().zip(products).zip(forms) {
                let smallest = rounding(vectors::norm(&product), dim);
                let Some(column) = self.basis.push(product, smallest) else {
                    self.is_captured = true;
                    break;
                };
                self.r.push(column);
                self.omegas.push(omega);
                self.forms.push(form);
            }
        }
        Ok(())
    }

    fn extend_h(&mut self) -> Result<(), Error> {
        while self.h.len() < self.basis.len() {
            let end = (self.h.len() + self.block).min(self.basis.len());
            let wide: Vec<_> = self.basis.vectors[self.h.len()..end].iter().map(|q| T::widen(q)).collect();
            let inputs: Vec<&[f64]> = wide.iter().map(AsRef::as_ref).collect();
            for mut product in self.operator.products(&inputs)? {
                let column = vectors::project(&mut product, &self.basis.vectors, None).coefficients;
                self.h.push(column);
            }
        }
        Ok(())
    }

    fn h(&self, i: usize, j: usize) -> f64 {
        self.h[i.max(j)][i.min(j)]
    }
}

/// The products of the small matrices, `[k, k]`, with `S` the normalized columns of `R^(-T)`.
struct Matrices {
    /// `SᵀS`, `SᵀW`, `SᵀHS` and `SᵀHW`, where `W = QᵀΩ` and `H = QᵀAQ`.
    ss: DMatrix<f64>,
    sw: DMatrix<f64>,
    shs: DMatrix<f64>,
    shw: DMatrix<f64>,
    /// The diagonals of `SᵀR`, which has no other entries, of `WᵀW`, and of `(Ω - QW)ᵀ A (Ω - QW)`.
    sr: Vec<f64>,
    ww: Vec<f64>,
    rest: Vec<f64>,
    /// `tr H`.
    trace: f64,
}

impl Matrices {
    fn new<T: Entry>(sketch: &Sketch<'_, T>) -> Result<Self, Error> {
        let k = sketch.basis.len();
        let r = DMatrix::from_fn(k, k, |i, j| sketch.r[j].get(i).copied().unwrap_or(0.0));
        let h = DMatrix::from_fn(k, k, |i, j| sketch.h(i, j));
        let w = DMatrix::from_fn(k, k, |i, j| sketch.w[j][i]);
        // Columns of `S` are normalized, so that a factor of `R` does not matter but overflows.
        let inverse = (&r / r.amax()).solve_upper_triangular(&DMatrix::identity(k, k));
        let mut s = inverse.ok_or(Error::Decomposition { size: k })?.transpose();
        for mut column in s.column_iter_mut() {
            let largest = column.amax();
            column /= largest;
            let norm = column.norm();
            column /= norm;
        }
        let (hs, hw) = (&h * &s, &h * &w);
        let diagonal = |x: &DMatrix<f64>, y: &DMatrix<f64>| -> Vec<f64> {
            (0..k).map(|i| x.column(i).dot(&y.column(i))).collect()
        };
        let (wr, whw) = (diagonal(&w, &r), diagonal(&w, &hw));
        let rest = (0..k).map(|i| sketch.forms[i] - 2.0 * wr[i] + whw[i]).collect();
        Ok(Self {
            ss: s.tr_mul(&s),
            sw: s.tr_mul(&w),
            shs: s.tr_mul(&hs),
            shw: s.tr_mul(&hw),
            sr: diagonal(&s, &r),
            ww: diagonal(&w, &w),
            rest,
            trace: h.trace(),
        })
    }

    /// The estimate of the trace and its standard error, for dimension `dim`.
    fn estimate(&self, dim: usize) -> (f64, f64) {
        let k = self.sr.len();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let value = mean(&(0..k).map(|j| self.without(None, j, dim)).collect::<Vec<_>>());
        if k < 2 {
            return (value, f64::INFINITY);
        }
        let without = |i: usize| {
            let others: Vec<f64> =
                (0..k).filter(|j| *j != i).map(|j| self.without(Some(i), j, dim)).collect();
            mean(&others)
        };
        let jackknife: Vec<f64> = (0..k).map(without).collect();
        let center = mean(&jackknife);
        let squares: f64 = jackknife.iter().map(|x| (x - center).powi(2)).sum();
        (value, (squares * (k as f64 - 1.0) / k as f64).sqrt())
    }

    /// The estimate `x_j` of the trace with vector `j` as the probe, from all vectors but `i`.
    ///
    /// The basis is `Q` without the directions `U = [u_1, u_2]`, orthonormal, that only the vectors `j` and `i` reach. With
    /// `a = UᵀW_j`, the rest of the probe is `ν = (ω - QW_j) + QUa`.
    fn without(&self, i: Option<usize>, j: usize, dim: usize) -> f64 {
        let (sw, sr, shs, shw) = (self.sw[(j, j)], self.sr[j], self.shs[(j, j)], self.shw[(j, j)]);
        let mut trace = self.trace - shs;
        let mut norm = dim as f64 - self.ww[j] + sw * sw;
        let mut form = self.rest[j] + sw * (2.0 * (sr - shw) + sw * shs);
        let mut rank = self.sr.len() - 1;
        if let Some(i) = i {
            let g = self.ss[(i, j)];
            // `u_2` is the normalized part of `s_i` orthogonal to `u_1 = s_j`.
            let length = (1.0 - g * g).max(f64::EPSILON).sqrt();
            let a = (self.sw[(i, j)] - g * sw) / length;
            let r = -g * sr / length;
            let cross = (self.shs[(i, j)] - g * shs) / length;
            let own = (self.shs[(i, i)] - 2.0 * g * self.shs[(i, j)] + g * g * shs) / (length * length);
            let hw = (self.shw[(i, j)] - g * shw) / length;
            trace -= own;
            norm += a * a;
            form += a * (2.0 * (r - hw + sw * cross) + a * own);
            rank -= 1;
        }
        trace + form * (dim - rank) as f64 / norm
    }
}
