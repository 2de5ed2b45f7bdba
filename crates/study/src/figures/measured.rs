//! Pictures of one measurement and of one training: the spectral density, the layers, and λ_max through training.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use sharpness_runs::Report;
use sharpness_training::TrackedLambdaMax;
use sharpness_training::measures::{
    AdamSharpness, AdamSharpnessOutcome, Density, DensityOutcome, Estimate, Measure as _, Measurement,
    PerLayer, SharpnessNumber,
};

use super::bars::Bars;
use super::output::{png, table, write_all};
use super::view::{Content, Lines, Panel, Series, View};
use crate::Result;

/// Places of the density, and the widths of nodes as a share of the range.
const PLACES: usize = 801;
const WIDTH: f64 = 0.005;
/// Densities below this share of the largest are not drawn: the logarithmic scale would show nothing else.
const FLOOR: f64 = 1e-9;

/// Draws what a measurement found: `density` and `per_layer`, if they were measured, as pictures, pages and tables in a directory.
/// Returns their paths.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the directory cannot be written; [`Error::Picture`](crate::Error::Picture) if a picture cannot be
/// drawn.
pub fn write_measured(measured: &Measurement, title: &str, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    if let Some(outcome) = measured.outcome::<Density>() {
        let view = density_view(title, &outcome, measured.parameters);
        paths.extend(write_view(&view, dir, Density::NAME)?);
    }
    if let Some(outcome) = measured.outcome::<PerLayer>() {
        let names: Vec<String> = outcome.layers.iter().map(|layer| layer.name.clone()).collect();
        let numbers = |of: &dyn Fn(&sharpness_training::measures::LayerOutcome) -> (f64, f64)| {
            outcome.layers.iter().map(of).collect::<Vec<_>>()
        };
        let bars = Bars {
            title: format!("{title}: each layer's block of the Hessian"),
            names,
            panels: vec![
                ("λ_max".to_owned(), numbers(&|layer| (layer.lambda_max.value, layer.lambda_max.residual))),
                ("trace".to_owned(), numbers(&|layer| (layer.trace.value, layer.trace.standard_error))),
            ],
        };
        let svg = bars.svg();
        let (picture, rows) = (png(&svg)?, bars.csv()?.into_bytes());
        let files = vec![(".svg", svg.into_bytes()), (".png", picture), (".csv", rows)];
        paths.extend(write_all(dir, PerLayer::NAME, files)?);
    }
    Ok(paths)
}

/// Draws λ_max and the other measures through a training, with the edge of stability, as `through_training` in a directory. Returns the
/// paths; none if nothing was measured through it.
///
/// # Errors
/// As [`write_measured`].
pub fn write_through_training(report: &Report, title: &str, dir: &Path) -> Result<Vec<PathBuf>> {
    let tracked = &report.training.lambda_max;
    if tracked.is_empty() {
        return Ok(Vec::new());
    }
    write_view(&through_training_view(title, report), dir, "through_training")
}

fn write_view(view: &View, dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let Content::Lines(lines) = &view.content else { return Ok(Vec::new()) };
    let mut heads = vec![lines.x.clone()];
    let series =
        || lines.panels.iter().flat_map(|panel| panel.series.iter().map(move |series| (panel, series)));
    heads.extend(series().map(|(panel, series)| format!("{}: {}", panel.name, series.name)));
    let row = |(i, place): (usize, &f64)| {
        let values = series().map(|(_, series)| series.values[i].map_or_else(String::new, |x| x.to_string()));
        std::iter::once(place.to_string()).chain(values).collect()
    };
    let rows = lines.places.iter().enumerate().map(row).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let document = serde_json::to_string_pretty(view).map_err(|e| crate::Error::Picture(e.to_string()))?;
    view.write(dir, name, &table(&heads, rows)?, &format!("{document}\n"))
}

/// The density, with each node widened to a Gaussian, and a band of one standard error over the random vectors.
fn density_view(title: &str, outcome: &DensityOutcome, dim: usize) -> View {
    let [low, high] = outcome.range;
    let sigma = (WIDTH * (high - low)).max(f64::MIN_POSITIVE);
    let margin = 6.0 * sigma;
    let place = |i: usize| low - margin + (high - low + 2.0 * margin) * i as f64 / (PLACES - 1) as f64;
    let places: Vec<f64> = (0..PLACES).map(place).collect();
    let smoothed: Vec<Estimate> = places.iter().map(|place| outcome.smoothed(*place, sigma)).collect();
    let largest = smoothed.iter().map(|one| one.value).fold(0.0, f64::max);
    let series = |name: &str, is_prediction: bool, of: &dyn Fn(&Estimate) -> f64, least: f64| Series {
        name: name.to_owned(),
        is_prediction,
        values: smoothed.iter().map(of).map(|value| (value > least).then_some(value)).collect(),
    };
    let panel = |name: &str, is_loss: bool| {
        let least = if is_loss { FLOOR * largest } else { -1.0 };
        let series = vec![
            series("mean over random vectors", false, &|one| one.value, least),
            series("+ 1 standard error", true, &|one| one.value + one.standard_error, least),
            series("- 1 standard error", true, &|one| one.value - one.standard_error, least.max(0.0)),
        ];
        Panel { name: name.to_owned(), is_loss, series }
    };
    let panels = vec![panel("density, logarithmic", true), panel("density, linear", false)];
    let notes = vec![
        format!(
            "Stochastic Lanczos quadrature: {} random vectors, {} steps each, {dim} eigenvalues; each node is widened to a Gaussian of \
             standard deviation {sigma:.3e}. The share of a few eigenvalues has a large error, and heights follow the width.",
            outcome.probes.len(),
            outcome.steps
        ),
        format!("trace {} ± {}, from the same products", outcome.trace.value, outcome.trace.standard_error),
    ];
    let content = Content::Lines(Lines { x: "eigenvalue".to_owned(), places, panels });
    View { title: format!("{title}: density of the Hessian's eigenvalues"), notes, content }
}

/// λ_max with the edge of stability, the train loss, and every tracked number that measures sharpness, over steps.
fn through_training_view(title: &str, report: &Report) -> View {
    let (training, tracked) = (&report.config.training, &report.training.lambda_max);
    let places: Vec<f64> = tracked.iter().map(|one| f64::from(one.step)).collect();
    let line =
        |name: &str, values: Vec<Option<f64>>| Series { name: name.to_owned(), is_prediction: false, values };
    let of = |f: &dyn Fn(&TrackedLambdaMax) -> Option<f64>| -> Vec<Option<f64>> {
        tracked.iter().map(f).collect()
    };
    let constant = |name: String, value: f64| Series {
        name,
        is_prediction: true,
        values: vec![Some(value); tracked.len()],
    };
    let mut sharpness = vec![line("λ_max", of(&|one| Some(one.value)))];
    if let Some(edge) = training.edge_of_stability() {
        sharpness.push(constant(edge.formula(), edge.at(training.learning_rate)));
    }
    let mut panels = vec![Panel { name: "λ_max".to_owned(), is_loss: true, series: sharpness }];
    let plain = |name: &str, is_loss: bool, values: Vec<Option<f64>>| Panel {
        name: name.to_owned(),
        is_loss,
        series: vec![line(name, values)],
    };
    panels.push(plain("loss", true, of(&|one| one.loss)));
    panels.push(plain("gradient norm", true, of(&|one| one.gradient_norm)));
    panels.push(plain("overlap with the eigenvector before", false, of(&|one| one.overlap)));
    for number in SharpnessNumber::all() {
        let values = of(&|one| number.value(one.outcomes.get(number.measure)?));
        if values.iter().all(Option::is_none) {
            continue;
        }
        let mut panel = plain(&number.label(), true, values);
        if number.measure == AdamSharpness::NAME {
            let last = tracked.iter().rev().find_map(|one| one.outcomes.get(AdamSharpness::NAME));
            let edge = last.and_then(|outcome| AdamSharpnessOutcome::deserialize(outcome).ok());
            panel.series.extend(
                edge.map(|edge| constant("(2 + 2β₁)/((1 - β₁) η)".to_owned(), edge.edge_of_stability)),
            );
        }
        panels.push(panel);
    }
    panels.retain(|panel| panel.series[0].values.iter().any(Option::is_some));
    let notes = vec![format!(
        "λ_max on {} training examples, to a residual of {}, after as many steps of {} examples.",
        report.config.measure.examples,
        training.through_training.unwrap_or_default(),
        training.batch_size
    )];
    let content = Content::Lines(Lines { x: "steps".to_owned(), places, panels });
    View { title: format!("{title}: through training"), notes, content }
}
