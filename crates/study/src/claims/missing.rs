//! The missing runs of a finding, as a recipe.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::cell::Cell;
use super::groups::{Group, defaults};
use super::settings::{OPTIONAL, Regime, Settings};
use super::statistics::FEWEST_SEEDS;
use sharpness_training::{ColumnType, flags};

const BATCH_SIZE: &str = "training.batch_size";

/// The published settings that a group lacks.
pub(super) struct Missing<'a> {
    pub(super) group: &'a Group<'a>,
    /// The required settings of the group.
    pub(super) known: &'a [&'a Cell],
    pub(super) varies: &'a [String],
    pub(super) published: &'a [&'a Cell],
    /// The missing seeds of the known settings, if these settings are enough.
    pub(super) more_seeds: Option<usize>,
}

/// Values of the settings that vary.
type Point = Vec<Option<Value>>;

impl Missing<'_> {
    /// The recipe; none if every setting has its seeds.
    pub(super) fn recipe(&self) -> Option<String> {
        let mut by_seeds: BTreeMap<Vec<u64>, Vec<Point>> = BTreeMap::new();
        for (point, seeds) in self.points() {
            let points = by_seeds.entry(seeds).or_default();
            if !points.contains(&point) {
                points.push(point);
            }
        }
        if by_seeds.is_empty() {
            return None;
        }
        let mut text = String::from("[fixed]\n");
        for (key, value) in self.fixed() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key} = {}", toml_text(&key, &value));
        }
        for (seeds, points) in by_seeds {
            let _ = writeln!(text, "\n[[block]]\nseeds = {seeds:?}");
            let _ = writeln!(text, "zip = {{ {} }}", self.zip(&points));
        }
        Some(text)
    }

    /// The settings of all these runs that differ from the defaults.
    fn fixed(&self) -> Vec<(String, Value)> {
        let settings = &self.group.settings;
        let defaults = defaults(settings);
        let named = |key: &str| key == "data.name" || key == "model.arch";
        let is_fixed = |(key, value): &(&str, &Value)| {
            let differs = named(key) || defaults.get(key) != Some(value);
            differs && !OPTIONAL.contains(key) && *key != "training.sam.rho"
        };
        settings.iter().filter(is_fixed).map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    fn zip(&self, points: &[Point]) -> String {
        let column = |(place, key): (usize, &String)| {
            let values: Option<Vec<String>> =
                points.iter().map(|point| Some(toml_text(key, point[place].as_ref()?))).collect();
            Some(format!("{key} = [{}]", values?.join(", ")))
        };
        self.varies.iter().enumerate().filter_map(column).collect::<Vec<_>>().join(", ")
    }

    /// Every point with its missing seeds.
    fn points(&self) -> Vec<(Point, Vec<u64>)> {
        let mut missing: Vec<(Point, Vec<u64>)> = Vec::new();
        for cell in self.known {
            let known: Vec<u64> = cell.runs.iter().filter_map(|run| run.seed).collect();
            let wanted = (0..).filter(|seed| !known.contains(seed));
            let lacking = self.more_seeds.unwrap_or(0).max(FEWEST_SEEDS.saturating_sub(known.len()));
            let seeds: Vec<u64> = wanted.take(lacking).collect();
            if !seeds.is_empty() {
                missing.push((self.point(&cell.settings, None), seeds));
            }
        }
        if self.more_seeds.is_some() {
            return missing;
        }
        let seeds: Vec<u64> = (0..).take(FEWEST_SEEDS).collect();
        let known: Vec<Point> =
            self.group.cells.iter().map(|cell| self.point(&cell.settings, None)).collect();
        for cell in self.published {
            for batch in self.batches(cell) {
                let point = self.point(&cell.settings, batch);
                if !known.contains(&point) {
                    missing.push((point, seeds.clone()));
                }
            }
        }
        missing
    }

    fn point(&self, settings: &Settings, batch: Option<f64>) -> Point {
        let value = |key: &String| match batch {
            Some(batch) if key == BATCH_SIZE => Some(batch.into()),
            _ => settings.get(key).cloned(),
        };
        self.varies.iter().map(value).collect()
    }

    /// The batch sizes at which a published setting is looked for: those of the group in its regime, or the same share of the
    /// training set. `None` is its own.
    fn batches(&self, published: &Cell) -> Vec<Option<f64>> {
        if !self.varies.iter().any(|key| key == BATCH_SIZE) {
            return vec![None];
        }
        let regime = published.regime();
        let batch = |cell: &Cell| cell.settings.number(BATCH_SIZE);
        let same = self.group.cells.iter().filter(|cell| cell.regime() == regime);
        let mut known: Vec<f64> = same.filter_map(|cell| batch(cell)).collect();
        known.sort_by(f64::total_cmp);
        known.dedup();
        if !known.is_empty() {
            return known.into_iter().map(Some).collect();
        }
        let share = batch(published).unwrap_or(LARGE_BATCH) / published.train_examples;
        let scaled = (share * self.group.train_examples).round().max(1.0);
        // Rounding must not leave the regime.
        let fits = Regime::of(scaled, self.group.train_examples) == regime;
        if fits { vec![Some(scaled)] } else { Vec::new() }
    }
}

/// The batch size if the paper only says that it is large.
const LARGE_BATCH: f64 = 5000.0;

/// A value in the form of a recipe.
fn toml_text(key: &str, value: &Value) -> String {
    match (value, flags::keys().get(key)) {
        (Value::Number(number), Some(ColumnType::Integer)) => {
            format!("{:.0}", number.as_f64().unwrap_or(0.0))
        }
        (Value::Number(number), _) => format!("{:?}", number.as_f64().unwrap_or(0.0)),
        // Lists are text.
        (Value::String(text), _) if text.starts_with('[') => text.clone(),
        (value, _) => value.to_string(),
    }
}
