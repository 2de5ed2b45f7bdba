//! Groups of comparable runs, which differ only in the settings that a finding varies.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::Cell;
use super::settings::{OPTIONAL, Settings};
use sharpness_training::settings::RunConfig;

/// Comparable cells.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    /// The data set, and the settings that differ from the defaults.
    pub(super) name: String,
    /// The common settings of the cells.
    pub(super) settings: Settings,
    /// The number of training examples.
    pub(super) train_examples: f64,
    pub(super) cells: Vec<&'a Cell>,
    pub(super) varies: Vec<String>,
}

/// The groups of cells that agree in all settings except some.
///
/// Runs without SAM have no settings of SAM, and networks without batch norm none of its measurement: they are in every group that
/// agrees with them otherwise.
pub(super) fn groups<'a>(cells: &[&'a Cell], varies: &[String]) -> Vec<Group<'a>> {
    let mut found: BTreeMap<String, Settings> = BTreeMap::new();
    for cell in cells {
        let common = common(cell, varies);
        found.insert(common.key(), common);
    }
    let all: Vec<Settings> = found.into_values().collect();
    let optional = |settings: &Settings| settings.iter().filter(|(key, _)| OPTIONAL.contains(key)).count();
    let is_part_of_another = |settings: &Settings| {
        all.iter().any(|other| optional(other) > optional(settings) && other.agrees_with(settings))
    };
    let kept: Vec<Settings> = all.iter().filter(|settings| !is_part_of_another(settings)).cloned().collect();
    let names = names(&kept);
    let group = |(settings, name): (Settings, String)| {
        let varies = varies.to_vec();
        let cells: Vec<&Cell> =
            cells.iter().filter(|cell| settings.agrees_with(&common(cell, &varies))).copied().collect();
        let train_examples = cells.first().map_or(f64::NAN, |cell| cell.train_examples);
        Group { name, settings, train_examples, cells, varies }
    };
    kept.into_iter().zip(names).map(group).collect()
}

fn common(cell: &Cell, varies: &[String]) -> Settings {
    cell.settings.without(|key| varies.iter().any(|varied| varied == key))
}

impl Group<'_> {
    /// A group without runs.
    pub(super) fn empty(settings: Settings, train_examples: f64) -> Self {
        Self { name: String::new(), settings, train_examples, cells: Vec::new(), varies: Vec::new() }
    }

    /// Whether a cell belongs to it.
    pub(super) fn includes(&self, cell: &Cell) -> bool {
        self.settings.agrees_with(&common(cell, &self.varies))
    }
}

const BETWEEN_ITERATES: &str = "measure.between_iterates";
/// Settings that a name mentions only if groups differ in them: when to stop, or parts of the protocol.
const UNSPOKEN: [&str; 4] = ["training.max_epochs", "measure.rtol", "measure.bound_rtol", "measure.examples"];

/// The name of each group: the data set, the settings that are not the default, and those that differ between groups.
fn names(groups: &[Settings]) -> Vec<String> {
    let differing = differing(groups);
    let of = |settings: &Settings| {
        let defaults = defaults(settings);
        let is_said = |key: &str| {
            let is_special = settings.get(key) != defaults.get(key) && !UNSPOKEN.contains(&key);
            is_special && key != "data.name" && key != "model.arch" && !OPTIONAL.contains(&key)
        };
        let special =
            settings.iter().map(|(key, _)| key).filter(|key| is_said(key) || differing.contains(key));
        let parts = special.filter(|key| *key != "data.name").map(|key| setting_text(settings, key));
        std::iter::once(settings.text("data.name")).chain(parts).collect::<Vec<_>>().join(", ")
    };
    groups.iter().map(of).collect()
}

/// The settings that differ between groups.
fn differing(groups: &[Settings]) -> BTreeSet<&str> {
    let keys = groups.iter().flat_map(Settings::iter).map(|(key, _)| key);
    keys.filter(|key| groups.iter().any(|other| other.get(key) != groups[0].get(key))).collect()
}

fn setting_text(settings: &Settings, key: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let measured = if key.starts_with("measure.") { "measured " } else { "" };
    format!("{measured}{name}={}", settings.text(key))
}

/// Cells that differ only in `x`, as the curves of a figure. The name of a curve lists what distinguishes it from the
/// others; a single curve has none. Measurements between iterates at some `x` and not at others are one curve.
pub(crate) fn curves<'a>(cells: &'a [Cell], x: &str) -> Vec<(String, Vec<&'a Cell>)> {
    let cells: Vec<&Cell> = cells.iter().collect();
    let together = groups(&cells, &[x.to_owned(), BETWEEN_ITERATES.to_owned()]);
    let is_twice = |group: &Group<'_>| {
        let mut values: Vec<String> = group.cells.iter().map(|cell| cell.settings.text(x)).collect();
        values.sort();
        values.windows(2).any(|pair| pair[0] == pair[1])
    };
    let found = if together.iter().any(is_twice) { groups(&cells, &[x.to_owned()]) } else { together };
    let settings: Vec<Settings> = found.iter().map(|group| group.settings.clone()).collect();
    let differing = differing(&settings);
    let name = |settings: &Settings| {
        let parts: Vec<String> = differing.iter().map(|key| setting_text(settings, key)).collect();
        parts.join(", ")
    };
    found.into_iter().map(|group| (name(&group.settings), group.cells)).collect()
}

/// The default settings of a run of the same network on the same data.
pub(super) fn defaults(settings: &Settings) -> Settings {
    let parsed = |key: &str| settings.get(key).cloned();
    // The defaults of a network that varies do not matter.
    let names = parsed("data.name").zip(parsed("model.arch").or_else(|| Some("mlp".into())));
    let config = names.and_then(|(data, arch)| {
        Some(RunConfig::new(serde_json::from_value(data).ok()?, serde_json::from_value(arch).ok()?))
    });
    config.and_then(|config| Settings::new(&config).ok()).unwrap_or_default()
}
