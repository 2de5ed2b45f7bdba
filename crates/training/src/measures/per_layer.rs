//! The curvature of each layer: the largest eigenvalue and the trace of its diagonal block of the Hessian.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Eigenpairs, HutchinsonEstimate, Probes, ProbesParams, SymmetricOperator};
use sharpness_network::backend::Backend;
use sharpness_network::operators::Matrix;
use sharpness_network::{Network, Table};

use super::eigenvalue::Eigenvalue;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use super::target::{Form, Target};
use super::trace::{self, TraceOutcome};
use crate::columns::ColumnType;
use crate::number::{count, significant, with_error};
use crate::pattern::matches;
use crate::progress::Phase;
use crate::range::{self, within};
use crate::{Error, Result};

/// The curvature of each layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerLayer {
    /// The names of the layers; `*` stands for any text.
    pub layers: String,
    /// Whether each parameter tensor is measured by itself, rather than those of a module together.
    pub tensors: bool,
    /// The most probes of the traces, which all layers share; each takes one product.
    #[serde(deserialize_with = "within::<_, range::Probes>")]
    pub probes: usize,
}

impl Default for PerLayer {
    fn default() -> Self {
        Self { layers: "*".to_owned(), tensors: false, probes: 100 }
    }
}

/// The curvature of each layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerLayerOutcome {
    /// The layers, in the network's order.
    pub layers: Vec<LayerOutcome>,
    /// The largest of their `λ_max`: at most that of the whole Hessian.
    pub maximum: f64,
}

/// The diagonal block of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerOutcome {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub parameters: usize,
    /// The largest eigenvalue of its block.
    pub lambda_max: Eigenvalue,
    /// The trace of its block.
    pub trace: TraceOutcome,
}

/// A layer and its part of the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    name: String,
    ranges: Vec<Range<usize>>,
}

impl Layer {
    fn parameters(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }
}

impl PerLayer {
    /// The layers that it names, in the network's order.
    fn chosen(&self, parameters: &Table) -> Vec<Layer> {
        let mut layers: Vec<Layer> = Vec::new();
        for tensor in parameters.tensors().iter().filter(|tensor| !tensor.is_empty()) {
            let module = tensor.name.rsplit_once('.').map_or(tensor.name.as_str(), |(module, _)| module);
            let name = if self.tensors { &tensor.name } else { module };
            match layers.iter_mut().find(|layer| layer.name == name) {
                Some(layer) => layer.ranges.push(tensor.range()),
                None => layers.push(Layer { name: name.to_owned(), ranges: vec![tensor.range()] }),
            }
        }
        layers.retain(|layer| matches(&self.layers, &layer.name));
        layers
    }
}

impl Measure for PerLayer {
    const NAME: &'static str = "per_layer";
    const HELP: &'static str = "Find λ_max and the trace of each layer's diagonal block of the Hessian too, of the layers with these names [default of PATTERN: *]";
    const FLAG: Flag = Flag::Optional("PATTERN");
    const MAIN: Option<&'static str> = Some("layers");
    const DEFINITION: Definition = Definition {
        title: "Per layer",
        text: "The largest eigenvalue and the trace of the diagonal block M H M of each layer, with M the 0/1 mask of its parameters: the curvature if only this layer moves. A layer is a module with its weight and bias, or one tensor (`tensors = true`). No block's λ_max exceeds that of H, and the traces of all sum to tr H.",
        source: "the blocks of H; as `--per-layer` prints them",
        error: "for each eigenvalue the residual and an interval with its probability; for each trace the standard error over the probes",
        cost: "a solve per layer, and the probes of the trace, which all layers and `--trace` share",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[("maximum", "largest λ_max of a layer")];
    const COLUMNS: &'static [(&'static str, ColumnType)] =
        &[("layers", ColumnType::Text), ("maximum", ColumnType::Double)];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 10)];

    type Found = Vec<(Layer, Eigenpairs, HutchinsonEstimate)>;
    type Outcome = PerLayerOutcome;

    fn held_vectors(&self, _: usize) -> usize {
        // The eigenvectors of all blocks, and a vector and its product.
        3
    }

    fn share_probes<B: Backend>(&self, network: &Network<B>, probes: &mut ProbesParams) {
        probes.blocks = self.chosen(network.parameters()).into_iter().map(|layer| layer.ranges).collect();
    }

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found> {
        let layers = self.chosen(at.problem.network().parameters());
        if layers.is_empty() {
            let problem = "no layer has a name that `layers` matches";
            return Err(Error::MeasureSetting { name: "per_layer", problem });
        }
        let problem = at.problem;
        let mut report = |p: &HutchinsonEstimate| {
            problem.report(Phase::Measure(Self::NAME), (p.probes, p.value, p.standard_error));
        };
        let estimate = |probes: &mut Probes, operator: &mut dyn SymmetricOperator| {
            probes.block_traces(operator, trace::RTOL, self.probes, &mut report)
        };
        let count = |found: &Vec<HutchinsonEstimate>| found.first().map_or(0, |trace| trace.probes);
        let traces = at.probes.estimate(&mut at.operator, estimate, count).map_err(solver_error)?;
        let mut found = Vec::with_capacity(layers.len());
        for (layer, trace) in layers.into_iter().zip(traces) {
            let largest = target(&layer).largest(at, 1)?;
            found.push((layer, largest, trace));
        }
        Ok(found)
    }

    fn conclude<B: Backend>(&self, found: Self::Found, at: &Solution<'_, '_, B>) -> Result<PerLayerOutcome> {
        let mut layers = Vec::with_capacity(found.len());
        for (layer, largest, trace) in found {
            let lambda_max = target(&layer).checked(largest, at)?.remove(0);
            let (parameters, trace) = (layer.parameters(), TraceOutcome::from(&trace));
            layers.push(LayerOutcome { name: layer.name, parameters, lambda_max, trace });
        }
        let maximum = layers.iter().map(|layer| layer.lambda_max.value).fold(f64::NEG_INFINITY, f64::max);
        Ok(PerLayerOutcome { layers, maximum })
    }

    fn is_converged(outcome: &PerLayerOutcome) -> bool {
        outcome.layers.iter().all(|layer| layer.lambda_max.converged)
    }

    fn summary(outcome: &PerLayerOutcome) -> Vec<(&'static str, String)> {
        let width = outcome.layers.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0);
        let line = |layer: &LayerOutcome| {
            let LayerOutcome { name, parameters, lambda_max, trace } = layer;
            let eigenvalue = with_error(lambda_max.value, lambda_max.residual);
            let doubt = if lambda_max.converged { "" } else { " NOT CONVERGED" };
            let trace = with_error(trace.value, trace.standard_error);
            let parameters = count(*parameters);
            format!("{name:width$}  λ_max {eigenvalue}{doubt}, trace {trace}, {parameters} parameters")
        };
        let lines = outcome.layers.iter().enumerate();
        let mut lines: Vec<(&'static str, String)> =
            lines.map(|(i, layer)| (if i == 0 { "per layer" } else { "" }, line(layer))).collect();
        lines.push(("", format!("the largest λ_max of a layer is {}", significant(outcome.maximum, 5))));
        lines
    }
}

fn target(layer: &Layer) -> Target {
    Target { name: PerLayer::NAME, matrix: Matrix::Hessian, form: Form::Block(layer.ranges.clone()) }
}
