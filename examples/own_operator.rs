//! The largest eigenvalue of your own symmetric operator, of which only products `v -> A v` are known.
//!
//! The operator is the Laplacian of a hypercube's graph: 4,096 vertices, each with an edge to the 12 vertices that differ from it in
//! one bit. Its eigenvalues are 0, 2, …, 24, so the answer can be checked.
//!
//! Run it with `cargo run -p sharpness-examples --example own_operator`.

use sharpness_curvature::{ApplyError, EigenParams, Error, SymmetricOperator, eigenpairs};

/// `(A v)_i = Σ_j (v_i - v_j)` over the neighbours `j` of vertex `i`.
struct HypercubeLaplacian {
    bits: u32,
}

impl SymmetricOperator for HypercubeLaplacian {
    fn dim(&self) -> usize {
        1 << self.bits
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        for (i, out) in out.iter_mut().enumerate() {
            *out = (0..self.bits).map(|bit| v[i] - v[i ^ (1 << bit)]).sum();
        }
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let mut operator = HypercubeLaplacian { bits: 12 };
    let params = EigenParams { rtol: 1e-8, ..EigenParams::default() };
    let answer = eigenpairs(&mut operator, &params, &mut |progress| {
        println!("after {:2} products: {:.9}", progress.products, progress.value);
    })?;

    let top = &answer.pairs[0];
    println!("λ_max = {:.9}, residual {:.1e}, {} products", top.value, top.residual, answer.products);
    if let Some(bounds) = answer.spectrum_bounds {
        println!("no eigenvalue exceeds {:.6} (wrong with probability 0.001)", bounds.upper);
    }

    assert!(answer.converged(), "the residual and the bound meet their tolerances");
    assert!((top.value - 24.0).abs() < 1e-6, "λ_max of this graph is 24");
    // The eigenvector has the same absolute value at all vertices, and opposite signs at the two ends of each edge.
    let entry = top.vector[0];
    assert!((entry.abs() - 1.0 / 64.0).abs() < 1e-6 && (top.vector[1] + entry).abs() < 1e-6);
    Ok(())
}
