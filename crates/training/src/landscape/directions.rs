//! The directions in which the loss is shown.

use std::str::FromStr;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use sharpness_curvature::{SymmetricOperator as _, eigenpairs};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Curvature;
use sharpness_network::{Table, Weights};

use super::quadratic::dot;
use crate::measures::{Problem, norm, solver_error};
use crate::progress::Phase;
use crate::seeds::Purpose;
use crate::{Error, Result};

/// How directions are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// The eigenvectors of the largest eigenvalues of the Hessian, of length 1.
    Eigenvectors,
    /// The gradient `g` and, in two dimensions, the part of `H g` that is orthogonal to it, both of length 1: the plane to which
    /// gradient flow keeps to second order in time.
    Gradient,
    /// Gaussian directions with filter normalization (Li et al. 2018, section 4).
    Random,
}

impl Directions {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Eigenvectors, Self::Gradient, Self::Random];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eigenvectors => "eigenvectors",
            Self::Gradient => "gradient",
            Self::Random => "random",
        }
    }

    /// What the coordinates along the axis with this index, from 0, measure.
    pub fn axis(self, index: usize) -> String {
        match (self, index) {
            (Self::Eigenvectors, index) => format!("distance along eigenvector {}", index + 1),
            (Self::Gradient, 0) => "distance along the gradient g".to_owned(),
            (Self::Gradient, _) => "distance along Hg, orthogonal to g".to_owned(),
            (Self::Random, index) => format!("filter-normalized random direction {}", index + 1),
        }
    }
}

impl FromStr for Directions {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| format!("there are {names}"))
    }
}

/// `count` directions at `weights`, where `operator` is linearized, each in the layout of the parameters.
///
/// # Errors
/// [`Error::MeasureSetting`] if there are no such directions; those of the solver.
pub(super) fn directions<B: Backend>(
    problem: &Problem<'_, B>,
    operator: &mut Curvature<'_, B>,
    weights: &Weights,
    (how, count): (Directions, usize),
) -> Result<Vec<Vec<f64>>> {
    let table = problem.network().parameters();
    let mut found = match how {
        Directions::Eigenvectors => eigenvectors(problem, operator)?,
        Directions::Gradient => along_gradient(operator, count)?,
        Directions::Random => {
            let seed = problem.subject().seed;
            (0..count as u64)
                .map(|stream| filter_normalized(table, &weights.parameters, (seed, stream)))
                .collect()
        }
    };
    found.truncate(count);
    if found.len() < count || found.iter().any(|direction| norm(direction) <= 0.0) {
        let problem = match how {
            Directions::Eigenvectors => {
                "fewer eigenvectors were found; raise --max-products, or choose --dimensions 1"
            }
            Directions::Gradient => "the gradient vanishes here, or is an eigenvector; choose eigenvectors",
            Directions::Random => {
                "no tensor of the network with two or more axes has weights other than zero"
            }
        };
        return Err(Error::MeasureSetting { name: "choice of --directions", problem });
    }
    if problem.network().backend().element_bytes() < size_of::<f64>() {
        // The precision of the weights suffices, and that of the files that hold them.
        found.iter_mut().flatten().for_each(|x| *x = f64::from(to_single(*x)));
    }
    Ok(found)
}

#[expect(clippy::cast_possible_truncation, reason = "to round is the purpose")]
const fn to_single(x: f64) -> f32 {
    x as f32
}

/// The eigenvectors of as many of the largest eigenvalues as the settings ask for. The gradient does not fall along any.
fn eigenvectors<B: Backend>(
    problem: &Problem<'_, B>,
    operator: &mut Curvature<'_, B>,
) -> Result<Vec<Vec<f64>>> {
    let params = problem.params_from_gradient(operator);
    let solved = eigenpairs(operator, &params, &mut |p| {
        problem.report(Phase::LambdaMax, (p.products, p.value, p.residual));
    })
    .map_err(solver_error)?;
    let mut vectors: Vec<Vec<f64>> = solved.pairs.into_iter().map(|pair| pair.vector).collect();
    for vector in &mut vectors {
        if dot(vector, operator.gradient()) < 0.0 {
            vector.iter_mut().for_each(|x| *x = -*x);
        }
    }
    Ok(vectors)
}

/// The unit gradient, and the part of its product that is orthogonal to it.
fn along_gradient<B: Backend>(operator: &mut Curvature<'_, B>, count: usize) -> Result<Vec<Vec<f64>>> {
    let first = unit(operator.gradient().to_vec());
    if count < 2 {
        return Ok(vec![first]);
    }
    let mut second = vec![0.0; first.len()];
    let applied = operator.apply(&first, &mut second);
    applied.map_err(|error| solver_error(sharpness_curvature::Error::Operator(error)))?;
    let length = norm(&second);
    // Twice is enough (Kahan; Parlett 1980, section 6.9).
    for _ in 0..2 {
        let along = dot(&first, &second);
        second.iter_mut().zip(&first).for_each(|(s, f)| *s -= along * f);
    }
    let is_left = norm(&second) > f64::from(f32::EPSILON) * length;
    Ok(if is_left { vec![first, unit(second)] } else { vec![first] })
}

fn unit(mut vector: Vec<f64>) -> Vec<f64> {
    let length = norm(&vector);
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

/// A Gaussian direction, each of whose filters (the slices of a tensor along its first axis) has the norm of that filter of the
/// weights. Tensors with fewer than two axes, which are biases and the parameters of batch norm, stay as they are: their part is zero.
///
/// Follows `create_random_direction` with `norm='filter'` and `ignore='biasbn'` in the code of Li et al. (tomgoldstein/loss-landscape),
/// without the `1e-10` that it adds to the norm of the draw.
fn filter_normalized(table: &Table, weights: &[f64], (seed, stream): (u64, u64)) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(Purpose::Directions.seed(seed));
    random.set_stream(stream);
    let mut direction: Vec<f64> = vec![0.0; table.len()];
    for tensor in table.tensors().iter().filter(|tensor| tensor.shape.len() > 1 && !tensor.is_empty()) {
        let filter = tensor.len() / tensor.shape[0];
        let drawn = &mut direction[tensor.range()];
        drawn.fill_with(|| StandardNormal.sample(&mut random));
        for (drawn, weights) in drawn.chunks_mut(filter).zip(weights[tensor.range()].chunks(filter)) {
            let scale = norm(weights) / norm(drawn).max(f64::MIN_POSITIVE);
            drawn.iter_mut().for_each(|x| *x *= scale);
        }
    }
    direction
}
