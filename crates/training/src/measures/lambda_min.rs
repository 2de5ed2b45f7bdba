//! λ_min, the smallest (most negative) eigenvalue of the Hessian.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Eigenpairs, Which, eigenpairs};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;

use super::double::check;
use super::eigenvalue::Eigenvalue;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use super::target::Target;
use crate::Result;
use crate::columns::ColumnType;
use crate::progress::Phase;

/// The smallest eigenvalue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaMin {}

impl Measure for LambdaMin {
    const NAME: &'static str = "lambda_min";
    const HELP: &'static str = "Compute the smallest eigenvalue too";
    const FLAG: Flag = Flag::Switch;
    const MAIN: Option<&'static str> = None;
    const DEFINITION: Definition = Definition {
        title: "Smallest eigenvalue",
        text: "λ_min(H), the most negative eigenvalue of the Hessian H of the mean loss.",
        source: "-",
        error: "the residual, and an interval with its probability, as for λ_max",
        cost: "a solve: 10 to 40 products",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[];
    const COLUMNS: &'static [(&'static str, ColumnType)] = Eigenvalue::COLUMNS;

    type Found = Eigenpairs;
    type Outcome = Eigenvalue;

    fn held_vectors(&self, _: usize) -> usize {
        1
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Eigenpairs> {
        let params = at.problem.params(Which::SmallestAlgebraic, 1);
        eigenpairs(&mut at.operator, &params, &mut |p| {
            at.problem.report(Phase::Measure(Self::NAME), (p.products, p.value, p.residual));
        })
        .map_err(solver_error)
    }

    fn conclude<B: Backend>(&self, found: Eigenpairs, at: &Solution<'_, '_, B>) -> Result<Eigenvalue> {
        let target = Target::whole(Self::NAME, Matrix::Hessian);
        let checked = check(at.problem, at.weights, &target, Which::SmallestAlgebraic, found)?;
        let settings = at.problem.subject().settings;
        Ok(Eigenvalue::all(&checked, Which::SmallestAlgebraic, settings).remove(0))
    }

    fn is_converged(outcome: &Eigenvalue) -> bool {
        outcome.converged
    }

    fn summary(outcome: &Eigenvalue) -> Vec<(&'static str, String)> {
        vec![("λ_min", outcome.value_text()), ("", outcome.bounds_text())]
    }
}
