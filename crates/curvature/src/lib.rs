//! Eigenvalues, the trace and the Frobenius norm of a symmetric operator `A`, given only products `v -> A v`.
//!
//! | to compute | call | with |
//! | --- | --- | --- |
//! | extreme eigenpairs | [`eigenpairs()`] | [`EigenParams`] |
//! | the trace | [`trace()`], [`hutch_plus_plus()`] or [`xtrace()`] | [`HutchinsonParams`] |
//! | the squared Frobenius norm | [`squared_frobenius_norm()`] | [`HutchinsonParams`] |
//! | several of these, the traces of blocks and the diagonal from the same products | [`Probes`] | [`ProbesParams`] |
//! | the density of the eigenvalues | [`density()`] | [`DensityParams`] |
//!
//! [`Scaled`] is the operator `D A D` with a diagonal `D`, and [`Block`] a diagonal block of `A`.
//!
//! Implement [`SymmetricOperator`] for your matrix, Hessian or covariance. The answer to [`eigenpairs()`]
//! has the vectors, their residuals, and an interval that contains the whole spectrum with a stated
//! probability, so a result can be trusted to be the *largest* eigenvalue and not just one of them:
//!
//! ```
//! use sharpness_curvature::{ApplyError, EigenParams, SymmetricOperator, eigenpairs};
//!
//! /// The second difference on `n` points of a line. Its largest eigenvalue is `4 sin²(π n / (2 n + 2))`.
//! struct SecondDifference {
//!     n: usize,
//! }
//!
//! impl SymmetricOperator for SecondDifference {
//!     fn dim(&self) -> usize {
//!         self.n
//!     }
//!     fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
//!         let at = |i: usize| v.get(i).copied().unwrap_or(0.0);
//!         for i in 0..self.n {
//!             out[i] = 2.0 * v[i] - at(i.wrapping_sub(1)) - at(i + 1);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut operator = SecondDifference { n: 400 };
//! let answer = eigenpairs(&mut operator, &EigenParams::default(), &mut |_| ())?;
//! let (top, bounds) = (&answer.pairs[0], answer.spectrum_bounds.expect("Lanczos gives bounds"));
//! assert!(answer.converged());
//! assert!(top.value <= 4.0 && 3.99 < top.value + top.residual && 4.0 <= top.limit.expect("a bound"));
//! assert!(bounds.upper < 4.1, "λ_max lies in [{}, {}]", top.value, bounds.upper);
//! # Ok::<(), sharpness_curvature::Error>(())
//! ```
//!
//! The same seed gives the same bits on any number of threads. Run [`lanczos()`], [`dense()`] or
//! [`power_iteration()`] directly, or choose one with [`EigenParams::method`]. [`spectra`] builds operators
//! with known eigenvalues for tests. [`lanczos_in()`] keeps its vectors wherever a [`VectorSpace`] puts them, for
//! example on an accelerator.

mod basis;
mod congruence;
mod dense;
mod density;
mod effective_rank;
mod eigenpairs;
mod enclosure;
mod error;
mod host_space;
mod hutch_plus_plus;
mod hutchinson;
mod krylov;
mod lanczos;
mod operator;
mod params;
mod power_iteration;
mod probes;
mod ranges;
mod sample;
mod space;
pub mod spectra;
mod spectrum_bounds;
mod start;
mod symmetric_eigen;
mod vectors;
mod which;
mod xtrace;

pub use congruence::{Block, Scaled};
pub use dense::{DENSE_LIMIT, dense};
pub use density::{Average, Density, DensityParams, Node, density};
pub use effective_rank::quotient;
pub use eigenpairs::eigenpairs;
pub use enclosure::Enclosure;
pub use error::{ApplyError, Error};
pub use hutch_plus_plus::hutch_plus_plus;
pub use hutchinson::{HutchinsonParams, squared_frobenius_norm, trace};
pub use lanczos::{lanczos, lanczos_bytes, lanczos_in, smallest_lanczos_bytes};
pub use operator::{DenseOperator, SymmetricOperator};
pub use params::{EigenParams, Eigenpair, Eigenpairs, Method, Progress, Stop, rounding};
pub use power_iteration::power_iteration;
pub use probes::{DiagonalEstimate, Probes, ProbesParams};
pub use sample::HutchinsonEstimate;
pub use space::VectorSpace;
pub use spectrum_bounds::SpectrumBounds;
pub use vectors::Projection;
pub use which::Which;
pub use xtrace::xtrace;
