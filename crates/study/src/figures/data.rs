//! Computes the points of a figure from runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use sharpness_runs::{
    FigureKind, FigureSpec, LEARNING_RATE, Plan, PlannedRun, PublishedLine, Report, RunStatus, RunStore,
};
use sharpness_training::measures::SubsetSize;
use sharpness_training::optimizers::EdgeOfStability;

use crate::claims::{Bars, Cell, Run, Summary, curves, published_cells, published_curves};
use crate::{Error, Result};

/// A figure to draw.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its title.
    pub title: String,
    /// How to draw it.
    pub spec: FigureSpec,
    /// The names of its rows of panels, in their order.
    pub panels: Vec<String>,
    /// All lines, or clouds of points.
    pub lines: Vec<Line>,
    /// The reports of all runs that are drawn.
    pub reports: Vec<Report>,
    /// λ_max on several numbers of examples, by the names of the trainings that have it.
    pub subset_sizes: BTreeMap<String, Vec<SubsetSize>>,
    /// The number of runs of the recipe.
    pub planned: usize,
    /// The edges of stability to draw: one for each optimizer of the planned runs. SAM has none.
    pub edges: Vec<EdgeOfStability>,
    /// The settings of a scatter plot.
    scattered: Vec<Cell>,
    /// Blocks of the recipe.
    planned_blocks: usize,
    /// For each run with an unreadable file, its name and why it is left out.
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
    /// The edge of stability, if all points have one learning rate and one optimizer.
    pub edge: Option<f64>,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FigurePoint {
    /// The setting along the abscissa.
    pub x: f64,
    /// Accuracy on the test set, from 0 to 1; none for points during a training.
    pub accuracy: Option<Statistic>,
    /// λ_max.
    pub lambda_max: Statistic,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// The mean.
    pub mean: f64,
    /// The standard deviation over runs, if there are several.
    pub deviation: Option<f64>,
    /// The number of runs.
    pub runs: usize,
}

impl Statistic {
    const fn one(value: f64) -> Self {
        Self { mean: value, deviation: None, runs: 1 }
    }

    /// The mean and the standard deviation of the test accuracy of a cell.
    fn accuracy(cell: &Cell) -> Option<Self> {
        let own = Summary::of(cell.runs.iter().map(|run| run.test_accuracy));
        own.or(cell.published.test_accuracy).map(Self::new)
    }

    /// The geometric mean of λ_max of a cell, and the standard deviation of its logarithm times this mean.
    fn lambda_max(cell: &Cell) -> Option<Self> {
        let values = cell.runs.iter().filter_map(|run| run.lambda_max);
        let of_logs = |logs: Summary| {
            let mean = logs.mean.exp();
            Summary { mean, deviation: logs.deviation.map(|deviation| deviation * mean), ..logs }
        };
        let own = Summary::of(values.filter(|value| *value > 0.0).map(f64::ln)).map(of_logs);
        own.or(cell.published.lambda_max).map(Self::new)
    }

    fn new(Summary { mean, deviation, runs }: Summary) -> Self {
        Self { mean, deviation, runs: runs.unwrap_or(1) }
    }
}

impl Figure {
    /// The figure of a plan, from its finished runs in a store.
    ///
    /// # Errors
    /// [`Error::Config`] if the recipe has no figure.
    pub fn new(plan: &Plan, store: &RunStore) -> Result<Self> {
        let mut figure = Self::of_runs(plan, |run| store.status(&run.config))?;
        let trainings: BTreeSet<String> =
            figure.reports.iter().map(|report| report.training_id.clone()).collect();
        for id in trainings {
            match store.subset_sizes(&id) {
                Ok(Some(sizes)) => _ = figure.subset_sizes.insert(id, sizes),
                Ok(None) => {}
                Err(error) => figure.damage(&id, &error.to_string()),
            }
        }
        Ok(figure)
    }

    /// The figure of a plan, from those of its runs that are among some reports.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_reports(plan: &Plan, reports: &[Report]) -> Result<Self> {
        let reports: BTreeMap<&str, &Report> =
            reports.iter().map(|report| (report.id.as_str(), report)).collect();
        Self::of_runs(plan, |run| {
            let report = reports.get(run.identity.run.as_str());
            report.map_or(RunStatus::Missing, |report| RunStatus::Done(Box::new((*report).clone())))
        })
    }

    fn of_runs(plan: &Plan, status: impl Fn(&PlannedRun) -> RunStatus) -> Result<Self> {
        let missing = || Error::Config {
            key: "the recipe".to_owned(),
            problem: "has no [figure], which says what to draw".to_owned(),
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
            scattered: Vec::new(),
            planned_blocks: plan.blocks.len(),
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
            for run in runs.filter(|run| seen.insert(&run.identity)) {
                match status(run) {
                    RunStatus::Done(report) => reports.push(*report),
                    RunStatus::Damaged(problem) => figure.damage(&run.identity.run, &problem),
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
        Ok(figure)
    }

    /// Notes what is left out, once even if several blocks share the run.
    fn damage(&mut self, id: &str, problem: &str) {
        let text = format!("{id} is left out: {problem}");
        if !self.damaged.contains(&text) {
            self.damaged.push(text);
        }
    }

    /// Whether a line is visible. A curve needs two points.
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
                let edge = training.edge_of_stability().map(|edge| edge.at(training.learning_rate));
                self.lines.push(own.with_curve(curve, edge));
            }
            if let Some(PublishedLine { figure, batch_size, .. }) = published {
                let curves = published_curves(figure, batch_size.unwrap_or(f64::NAN))?;
                self.lines.extend(curves.into_iter().map(|curve| paper.with_curve(curve, None)));
            }
            return Ok(());
        }
        let cells = Cell::of_runs(&Run::of_reports(reports)?, false).kept;
        if self.spec.kind == FigureKind::Scatter {
            self.lines.push(Line { points: cells.iter().flat_map(scattered).collect(), ..own.clone() });
            self.scattered.extend(cells);
        } else {
            self.add_curves(own, &cells);
        }
        if let Some(published) = published {
            let cells = published_line(published)?;
            let points = match self.spec.kind {
                FigureKind::Scatter => cells.iter().flat_map(scattered).collect(),
                _ => self.points(&cells.iter().collect::<Vec<_>>()),
            };
            self.lines.push(Line { points, ..paper.clone() });
        }
        Ok(())
    }

    /// One line for the runs of a block, or one for each setting that differs besides the abscissa and the seed.
    fn add_curves(&mut self, own: &Line, cells: &[Cell]) {
        for (number, (difference, cells)) in curves(cells, &self.spec.x).into_iter().enumerate() {
            let name =
                if difference.is_empty() { own.name.clone() } else { format!("{}, {difference}", own.name) };
            let place = if number == 0 { own.place } else { self.extra_place(own.panel) };
            self.lines.push(Line { name, place, points: self.points(&cells), ..own.clone() });
        }
        if cells.is_empty() {
            self.lines.push(own.clone());
        }
    }

    /// A colour that no block of a row has.
    fn extra_place(&self, panel: usize) -> usize {
        let known = self.lines.iter().filter(|line| line.panel == panel).map(|line| line.place);
        known.max().map_or(0, |place| place + 1).max(self.planned_blocks)
    }

    fn points(&self, cells: &[&Cell]) -> Vec<FigurePoint> {
        let mut points: Vec<FigurePoint> = cells.iter().filter_map(|cell| self.point(cell)).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        points
    }

    fn point(&self, cell: &Cell) -> Option<FigurePoint> {
        let x = cell.settings.number(&self.spec.x).unwrap_or(0.0);
        Some(FigurePoint { x, accuracy: Statistic::accuracy(cell), lambda_max: Statistic::lambda_max(cell)? })
    }

    /// The runs of the setting that has the fewest; none in a figure of curves.
    pub(super) fn fewest_runs(&self) -> Option<usize> {
        let own = self.lines.iter().filter(|line| !line.is_published).flat_map(|line| &line.points);
        let of_point = |point: &FigurePoint| Some(point.accuracy?.runs.min(point.lambda_max.runs));
        match self.spec.kind {
            // Each of its points is one run.
            FigureKind::Scatter => self.scattered.iter().map(|cell| cell.runs.len()).min(),
            _ => own.filter_map(of_point).min(),
        }
    }

    /// The pairs of settings with small and with large batches whose λ_max agree within a factor of 1.25: for each of both, the
    /// geometric mean of λ_max and the mean accuracy.
    pub fn equal_lambda_pairs(&self) -> Vec<[(f64, f64); 2]> {
        crate::claims::equal_lambda_pairs(&self.scattered)
    }
}

impl Line {
    /// This line with the points of one run's curve: steps and λ_max.
    fn with_curve(&self, curve: Vec<(f64, f64)>, edge: Option<f64>) -> Self {
        let point = |(x, value)| FigurePoint { x, accuracy: None, lambda_max: Statistic::one(value) };
        Self { points: curve.into_iter().map(point).collect(), edge, ..self.clone() }
    }
}

/// The distinct edges of stability of the runs of a plan, if the figure can show them.
fn edges(plan: &Plan, spec: &FigureSpec) -> Vec<EdgeOfStability> {
    let has_place = match spec.kind {
        FigureKind::Lines => spec.x == LEARNING_RATE,
        FigureKind::Scatter => false,
        FigureKind::Curves => true,
    };
    let mut edges: Vec<EdgeOfStability> = Vec::new();
    let trainings = plan.runs.iter().map(|run| &run.config.training);
    for edge in trainings
        .filter(|_| has_place && spec.edge_of_stability)
        .filter_map(|training| training.edge_of_stability())
    {
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }
    edges
}

/// A point for each run if runs are known one by one, otherwise one for their mean; its abscissa is λ_max.
fn scattered(cell: &Cell) -> Vec<FigurePoint> {
    let point = |accuracy: Statistic, lambda_max: Statistic| FigurePoint {
        x: lambda_max.mean,
        accuracy: Some(accuracy),
        lambda_max,
    };
    let run = |run: &crate::claims::Observation| Some((run.test_accuracy, run.lambda_max?));
    let runs: Vec<(f64, f64)> = cell.runs.iter().filter_map(run).collect();
    if runs.is_empty() {
        let mean = Statistic::accuracy(cell).zip(Statistic::lambda_max(cell));
        return mean.map(|(accuracy, lambda)| point(accuracy, lambda)).into_iter().collect();
    }
    runs.into_iter()
        .map(|(accuracy, lambda)| point(Statistic::one(accuracy), Statistic::one(lambda)))
        .collect()
}

/// The published cells of a line.
fn published_line(line: &PublishedLine) -> Result<Vec<Cell>> {
    let PublishedLine { figure, network, learning_rate, batch_size, ratio } = line;
    let is = |wanted: &Option<f64>, found: f64| {
        wanted.is_none_or(|wanted| (wanted - found).abs() <= 1e-6 * wanted.abs())
    };
    let mut cells = published_cells(&[figure], Bars::Deviations)?;
    cells.retain(|cell| {
        let number = |key: &str| cell.settings.number(key).unwrap_or(f64::INFINITY);
        let (rate, batch) = (number("training.learning_rate"), number("training.batch_size"));
        network.as_ref().is_none_or(|network| *network == cell.settings.text("model.arch"))
            && is(learning_rate, rate)
            && is(batch_size, batch)
            && is(ratio, batch / rate)
    });
    Ok(cells)
}
