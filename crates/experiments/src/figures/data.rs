//! From runs to the points of a figure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{FigureAxis, FigureKind, FigureSpec, PublishedLine};
use crate::Result;
use crate::claims::{Cell, Samples, published_cells, published_curves};
use crate::measures::SubsetSize;
use crate::optimizers::EdgeOfStability;
use crate::store::{RunStatus, RunStore};
use crate::sweep::Plan;
use crate::{Error, Report};

/// A figure to draw.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is about.
    pub title: String,
    /// How it is drawn.
    pub spec: FigureSpec,
    /// The names of its rows of panels, in their order.
    pub panels: Vec<String>,
    /// All lines, or clouds of points.
    pub lines: Vec<Line>,
    /// The reports of all runs that are drawn.
    pub reports: Vec<Report>,
    /// λ_max on several numbers of examples, by the names of the runs for which it is known.
    pub subset_sizes: BTreeMap<String, Vec<SubsetSize>>,
    /// How many runs the recipe asks for.
    pub planned: usize,
    /// The edges of stability that are drawn: one for each optimizer of the planned runs. SAM has none.
    pub edges: Vec<EdgeOfStability>,
    /// For each run of which a file cannot be read, its name and why it is left out.
    pub damaged: Vec<String>,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The block.
    pub name: String,
    /// Its row of panels.
    pub panel: usize,
    /// Its place among the lines of its row, which is its colour.
    pub place: usize,
    /// Whether these are the paper's points.
    pub is_published: bool,
    /// The points, in the order of their abscissas.
    pub points: Vec<FigurePoint>,
    /// The edge of stability, where all points have one learning rate and one optimizer.
    pub edge: Option<f64>,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FigurePoint {
    /// The setting along the abscissa.
    pub x: f64,
    /// Accuracy on the test set, from 0 to 1; none within a training.
    pub accuracy: Option<Statistic>,
    /// λ_max.
    pub lambda_max: Statistic,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// The mean.
    pub mean: f64,
    /// The standard deviation over runs, where there are several.
    pub deviation: Option<f64>,
    /// The number of runs.
    pub runs: usize,
}

impl Statistic {
    const fn one(value: f64) -> Self {
        Self { mean: value, deviation: None, runs: 1 }
    }

    fn new(samples: &Samples) -> Self {
        match samples {
            Samples::Summary { mean, deviation, runs } => {
                Self { mean: *mean, deviation: *deviation, runs: *runs }
            }
            Samples::Runs(values) => {
                let count = values.len() as f64;
                let mean = values.iter().sum::<f64>() / count;
                let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
                Self { mean, deviation, runs: values.len() }
            }
        }
    }
}

impl Figure {
    /// The figure of a plan, from those of its runs that are done.
    ///
    /// # Errors
    /// [`Error::Config`] if the recipe has no figure.
    pub fn new(plan: &Plan, store: &RunStore) -> Result<Self> {
        let missing = || Error::Config {
            key: "the recipe".to_owned(),
            problem: "has no [figure], so that it is not known what to draw".to_owned(),
        };
        let spec = plan.figure.clone().ok_or_else(missing)?;
        let edges = edges(plan, &spec);
        let mut figure = Self {
            title: plan.title.clone(),
            planned: plan.distinct().count(),
            spec,
            panels: Vec::new(),
            lines: Vec::new(),
            reports: Vec::new(),
            subset_sizes: BTreeMap::new(),
            edges,
            damaged: Vec::new(),
        };
        for (index, block) in plan.blocks.iter().enumerate() {
            let panel = figure.panels.iter().position(|panel| *panel == block.panel).unwrap_or_else(|| {
                figure.panels.push(block.panel.clone());
                figure.panels.len() - 1
            });
            let earlier = plan.blocks[..index].iter().filter(|earlier| earlier.panel == block.panel);
            let place = earlier.count();
            let (mut reports, mut seen) = (Vec::new(), BTreeSet::new());
            let runs = plan.runs.iter().filter(|run| run.block == block.name);
            // Two blocks of one name may share runs.
            for run in runs.filter(|run| seen.insert(&run.id)) {
                match store.status(&run.id) {
                    RunStatus::Done(report) => reports.push(*report),
                    RunStatus::Damaged(problem) => figure.damage(&run.id, &problem),
                    _ => {}
                }
            }
            let new = |is_published| Line {
                name: block.name.clone(),
                panel,
                place,
                is_published,
                points: Vec::new(),
                edge: None,
            };
            figure.add_lines(&new(false), &new(true), &reports, block.published.as_ref())?;
            let known: BTreeSet<String> = figure.reports.iter().map(|report| report.id.clone()).collect();
            figure.reports.extend(reports.into_iter().filter(|report| !known.contains(&report.id)));
        }
        let ids: Vec<String> = figure.reports.iter().map(|report| report.id.clone()).collect();
        for id in ids {
            match store.subset_sizes(&id) {
                Ok(Some(sizes)) => _ = figure.subset_sizes.insert(id, sizes),
                Ok(None) => {}
                Err(error) => figure.damage(&id, &error.to_string()),
            }
        }
        Ok(figure)
    }

    /// Notes what is left out, once where several blocks share the run.
    fn damage(&mut self, id: &str, problem: &str) {
        let text = format!("{id} is left out: {problem}");
        if !self.damaged.contains(&text) {
            self.damaged.push(text);
        }
    }

    /// Whether anything of a line can be seen. A curve needs two points.
    pub(super) fn shows(&self, line: &Line) -> bool {
        line.points.len() > usize::from(self.spec.kind == FigureKind::Curves)
    }

    /// Adds the lines of a block: those of its runs, and the published ones.
    fn add_lines(
        &mut self,
        own: &Line,
        paper: &Line,
        reports: &[Report],
        published: Option<&PublishedLine>,
    ) -> Result<()> {
        if self.spec.kind == FigureKind::Curves {
            for report in reports {
                let found = report.training.lambda_max.iter();
                let curve = found.map(|found| (f64::from(found.step), found.value)).collect();
                let training = &report.config.training;
                let edge = EdgeOfStability::of(training).map(|edge| edge.at(training.learning_rate));
                self.lines.push(own.with_curve(curve, edge));
            }
            if let Some(PublishedLine { figure, batch_size, .. }) = published {
                let curves = published_curves(figure, batch_size.unwrap_or(f64::NAN))?;
                self.lines.extend(curves.into_iter().map(|curve| paper.with_curve(curve, None)));
            }
            return Ok(());
        }
        self.lines.push(Line { points: self.points(&Cell::of_runs(reports)?), ..own.clone() });
        if let Some(published) = published {
            self.lines.push(Line { points: self.points(&published_line(published)?), ..paper.clone() });
        }
        Ok(())
    }

    fn points(&self, cells: &[Cell]) -> Vec<FigurePoint> {
        let mut points: Vec<FigurePoint> = match self.spec.kind {
            FigureKind::Scatter => cells.iter().flat_map(scattered).collect(),
            _ => cells.iter().map(|cell| self.point(cell)).collect(),
        };
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        points
    }

    fn point(&self, cell: &Cell) -> FigurePoint {
        let x = match self.spec.x {
            FigureAxis::LearningRate => cell.learning_rate,
            FigureAxis::Rho => cell.rho,
            FigureAxis::Dropout => cell.dropout,
        };
        let (accuracy, lambda_max) = (Statistic::new(&cell.test_accuracy), Statistic::new(&cell.lambda_max));
        FigurePoint { x, accuracy: Some(accuracy), lambda_max }
    }
}

impl Line {
    /// This line with the points of one run's curve: steps and λ_max.
    fn with_curve(&self, curve: Vec<(f64, f64)>, edge: Option<f64>) -> Self {
        let point = |(x, value)| FigurePoint { x, accuracy: None, lambda_max: Statistic::one(value) };
        Self { points: curve.into_iter().map(point).collect(), edge, ..self.clone() }
    }
}

/// The edges of stability of the runs of a plan, each once, where the figure can show them.
fn edges(plan: &Plan, spec: &FigureSpec) -> Vec<EdgeOfStability> {
    let has_place = match spec.kind {
        FigureKind::Lines => spec.x == FigureAxis::LearningRate,
        FigureKind::Scatter => false,
        FigureKind::Curves => true,
    };
    let mut edges: Vec<EdgeOfStability> = Vec::new();
    let trainings = plan.runs.iter().map(|run| &run.config.training);
    for edge in trainings.filter(|_| has_place && spec.edge_of_stability).filter_map(EdgeOfStability::of) {
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }
    edges
}

/// A point for each run where runs are known one by one, otherwise one for their mean; its abscissa is λ_max.
fn scattered(cell: &Cell) -> Vec<FigurePoint> {
    let one = Statistic::one;
    let point = |accuracy: Statistic, lambda_max: Statistic| FigurePoint {
        x: lambda_max.mean,
        accuracy: Some(accuracy),
        lambda_max,
    };
    match (&cell.test_accuracy, &cell.lambda_max) {
        (Samples::Runs(accuracies), Samples::Runs(lambdas)) => {
            let runs = accuracies.iter().zip(lambdas);
            runs.map(|(accuracy, lambda)| point(one(*accuracy), one(*lambda))).collect()
        }
        (accuracy, lambda) => vec![point(Statistic::new(accuracy), Statistic::new(lambda))],
    }
}

/// The published cells of a line.
fn published_line(line: &PublishedLine) -> Result<Vec<Cell>> {
    let PublishedLine { figure, network, learning_rate, batch_size, ratio } = line;
    let is = |wanted: &Option<f64>, found: f64| {
        wanted.is_none_or(|wanted| (wanted - found).abs() <= 1e-6 * wanted.abs())
    };
    let mut cells = published_cells(&[figure])?;
    cells.retain(|cell| {
        network.as_ref().is_none_or(|network| *network == cell.network)
            && is(learning_rate, cell.learning_rate)
            && is(batch_size, cell.batch_size)
            && is(ratio, cell.batch_size / cell.learning_rate)
    });
    Ok(cells)
}
