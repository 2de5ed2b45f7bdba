//! The second-order expansion of the loss along directions.

use serde::{Deserialize, Serialize};
use sharpness_curvature::SymmetricOperator;

use crate::Result;
use crate::measures::{norm, solver_error};

/// `L(w + Σ cᵢ dᵢ) ≈ L + Σ cᵢ g·dᵢ + ½ Σ cᵢ cⱼ dᵢᵀ H dⱼ`, with exact products.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quadratic {
    /// `L`, the loss at the weights.
    pub loss: f64,
    /// `g·dᵢ` for the gradient `g`.
    pub slopes: Vec<f64>,
    /// `dᵢᵀ H dⱼ` for the Hessian `H`, a symmetric matrix by rows.
    pub curvatures: Vec<Vec<f64>>,
}

impl Quadratic {
    /// The prediction at the point with the coordinates `place`, one per direction.
    pub fn at(&self, place: &[f64]) -> f64 {
        let linear: f64 = self.slopes.iter().zip(place).map(|(slope, c)| slope * c).sum();
        let row = |row: &Vec<f64>| row.iter().zip(place).map(|(curvature, c)| curvature * c).sum::<f64>();
        let square: f64 = self.curvatures.iter().map(row).zip(place).map(|(row, c)| row * c).sum();
        self.loss + (linear + 0.5 * square)
    }
}

/// `dᵢᵀ H dⱼ`, and for each direction `‖H d - θ d‖ / ‖d‖` with its Rayleigh quotient `θ`, which is zero for an eigenvector. Costs a
/// product per direction; `block` of them share a linearization.
///
/// # Errors
/// Those of the products.
pub(super) fn curvatures(
    operator: &mut impl SymmetricOperator,
    directions: &[Vec<f64>],
    block: usize,
) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
    let mut products = vec![vec![0.0; operator.dim()]; directions.len()];
    for (directions, products) in directions.chunks(block.max(1)).zip(products.chunks_mut(block.max(1))) {
        let directions: Vec<&[f64]> = directions.iter().map(Vec::as_slice).collect();
        let mut outs: Vec<&mut [f64]> = products.iter_mut().map(Vec::as_mut_slice).collect();
        let applied = operator.apply_block(&directions, &mut outs);
        applied.map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
    }
    let places = 0..directions.len();
    let entry = |i: usize, j: usize| dot(&directions[i], &products[j]);
    // Rounding alone makes the two differ.
    let symmetric = |i, j| if i == j { entry(i, i) } else { 0.5 * (entry(i, j) + entry(j, i)) };
    let matrix = places.clone().map(|i| places.clone().map(|j| symmetric(i, j)).collect()).collect();
    let residual = |i: usize| {
        let length = norm(&directions[i]);
        let quotient = entry(i, i) / (length * length);
        let rest: Vec<f64> =
            directions[i].iter().zip(&products[i]).map(|(d, product)| product - quotient * d).collect();
        norm(&rest) / length
    };
    Ok((matrix, places.map(residual).collect()))
}

/// The inner product.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
