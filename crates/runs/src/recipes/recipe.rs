//! Recipes: files that list runs.
//!
//! ```toml
//! title = "Larger steps with small and large batches"
//! seeds = [0, 1, 2]
//!
//! [fixed]                          # any settings of a run's config.toml, by their short or full names
//! arch = "vgg11"
//! data.name = "cifar10"
//!
//! [[block]]                        # blocks have settings of their own in addition to those above
//! name = "bs=100"
//! fixed = { batch_size = 100 }
//! grid = { learning_rate = [0.01, 0.05, 0.1] }         # every combination
//!
//! [[block]] name = "same ratio" zip = { learning_rate = [0.005, 0.01], batch_size = [100, 200] }     # the first
//! values together, then the second ones
//!
//! [[block]]
//! name = "same ratio, derived"
//! grid = { learning_rate = [0.005, 0.01] }
//! derive = { "batch_size / learning_rate" = 20000 }    # derives the one that is not given
//!
//! [launch]                         # what a scheduler grants each run; see `resources.rs`
//! time = "2:00:00"
//! ```

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::figure::{FigureSpec, PublishedLine};
use super::keys::Keys;
use super::resources::Resources;
use crate::characters::is_unprintable;
use crate::config_file::{ConfigFile, line_of, read_text};
use crate::{Error, Result};

/// A parsed recipe.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) file: PathBuf,
    pub(super) title: String,
    pub(super) figure: Option<FigureSpec>,
    pub(super) resources: Resources,
    pub(super) keys: Keys,
    /// The blocks, each with the settings of the whole recipe.
    pub(super) blocks: Vec<Block>,
}

/// Runs that belong together: a line of a figure.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) name: String,
    /// The row of panels in which a figure shows it.
    pub(super) panel: String,
    pub(super) published: Option<PublishedLine>,
    pub(super) line: usize,
    pub(super) fixed: Vec<Setting>,
    pub(super) axes: Vec<Axis>,
    pub(super) ratios: Vec<Ratio>,
}

/// A setting and its line.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

/// Settings that change together: one list for each point.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) points: Vec<Vec<Setting>>,
}

/// `above / below` is one of `values`.
#[derive(Clone, Debug)]
pub(super) struct Ratio {
    pub(super) above: String,
    pub(super) below: String,
    pub(super) values: Vec<f64>,
    pub(super) line: usize,
}

/// The keys of a recipe that are not settings.
const TOP: [&str; 9] = ["title", "seeds", "fixed", "grid", "zip", "derive", "block", "figure", "launch"];
const IN_BLOCK: [&str; 8] = ["name", "seeds", "fixed", "grid", "zip", "derive", "panel", "published"];

impl Recipe {
    /// Reads a recipe.
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path)?)
    }

    /// The recipe at `path`, which holds `text`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        // Names the line of invalid TOML.
        let values = ConfigFile::parse_raw(path, text.to_owned())?.into_table();
        let Ok(spans) = DeTable::parse(text) else { return Ok(Self::empty(path)) };
        let parser = Parser { path, text, keys: Keys::new() };
        parser.recipe(Place { values: &values, spans: spans.get_ref(), line: 1 })
    }

    fn empty(path: &Path) -> Self {
        let (file, title, blocks) = (path.to_owned(), String::new(), Vec::new());
        Self { file, title, figure: None, resources: Resources::default(), keys: Keys::new(), blocks }
    }
}

/// A table of the file: its values, and their places.
#[derive(Clone, Copy)]
struct Place<'a> {
    values: &'a Table,
    spans: &'a DeTable<'a>,
    line: usize,
}

struct Parser<'a> {
    path: &'a Path,
    text: &'a str,
    keys: Keys,
}

impl Parser<'_> {
    fn error(&self, line: usize, problem: impl Into<String>) -> Error {
        Error::File { file: self.path.to_owned(), line, problem: problem.into() }
    }

    fn line(&self, place: Place<'_>, key: &str) -> usize {
        place.spans.get_key_value(key).map_or(place.line, |(name, _)| line_of(self.text, &name.span()))
    }

    fn recipe(self, top: Place<'_>) -> Result<Recipe> {
        self.check_keys(top, &TOP)?;
        let title = self.text_of(top, "title")?.unwrap_or_else(|| {
            let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
            stem.replace(is_unprintable, "\u{fffd}")
        });
        let common = self.block(top)?;
        let mut blocks = Vec::new();
        for (index, place) in self.tables(top, "block")?.into_iter().enumerate() {
            self.check_keys(place, &IN_BLOCK)?;
            let mut block = self.block(place)?;
            block.panel = self.text_of(place, "panel")?.unwrap_or_default();
            block.published = self.part(place, "published")?;
            block.name = self.text_of(place, "name")?.unwrap_or_else(|| format!("block {}", index + 1));
            blocks.push(block.on_top_of(&common).map_err(|(line, problem)| self.error(line, problem))?);
        }
        if blocks.is_empty() {
            blocks.push(Block { name: title.clone(), ..common });
        }
        for block in &mut blocks {
            self.check_block(block)?;
            // Seeds change fastest, so that every setting has a run early.
            block.axes.sort_by_key(|axis| axis.keys().any(|key| key == "seed"));
        }
        let (figure, resources) = (self.figure(top)?, self.resources(top)?);
        Ok(Recipe { file: self.path.to_owned(), title, figure, resources, keys: self.keys, blocks })
    }

    /// What a scheduler grants each run.
    fn resources(&self, top: Place<'_>) -> Result<Resources> {
        let mut resources = Resources::default();
        let Some(place) = self.table(top, "launch")? else { return Ok(resources) };
        self.check_keys(place, &Resources::KEYS)?;
        for (key, value) in place.values {
            let set = resources.set(key, value);
            set.map_err(|problem| self.error(self.line(place, key), format!("launch.{key} {problem}")))?;
        }
        match resources.contradiction() {
            None => Ok(resources),
            Some((key, problem)) => Err(self.error(self.line(place, key), format!("launch.{key} {problem}"))),
        }
    }

    /// A table of the file.
    fn table<'p>(&self, place: Place<'p>, key: &str) -> Result<Option<Place<'p>>> {
        let line = self.line(place, key);
        match (place.values.get(key), place.spans.get(key).map(|value| value.get_ref())) {
            (None, _) => Ok(None),
            (Some(Value::Table(values)), Some(DeValue::Table(spans))) => {
                Ok(Some(Place { values, spans, line }))
            }
            _ => Err(self.error(line, format!("{key} must be a table"))),
        }
    }

    /// The figure, with the whole key of its abscissa.
    fn figure(&self, top: Place<'_>) -> Result<Option<FigureSpec>> {
        let Some(mut figure) = self.part::<FigureSpec>(top, "figure")? else { return Ok(None) };
        let error = |problem| self.error(self.line(top, "figure"), format!("figure: x: {problem}"));
        figure.x = self.keys.resolve(&figure.x).map_err(error)?;
        if self.keys.is_number(&figure.x) {
            Ok(Some(figure))
        } else {
            Err(error(format!("'{}' is not a number; lines run along numbers", figure.x)))
        }
    }

    fn check_keys(&self, place: Place<'_>, known: &[&str]) -> Result<()> {
        match place.values.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let nearest = known
                    .iter()
                    .copied()
                    .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
                let nearest = nearest.unwrap_or_default();
                let problem = match self.keys.resolve(key) {
                    Ok(_) => format!("'{key}' is a setting of runs; move it to [fixed]"),
                    Err(_) => {
                        format!(
                            "a recipe has no '{key}'; did you mean '{nearest}'? There are {}",
                            known.join(", ")
                        )
                    }
                };
                Err(self.error(self.line(place, key), problem))
            }
        }
    }

    fn text_of(&self, place: Place<'_>, key: &str) -> Result<Option<String>> {
        match place.values.get(key) {
            None => Ok(None),
            Some(value @ Value::String(text)) => {
                self.check_text(place, key, value).map(|()| Some(text.clone()))
            }
            Some(_) => Err(self.error(self.line(place, key), format!("{key} must be a string"))),
        }
    }

    /// Rejects characters that a picture or a terminal cannot show, before any run starts.
    fn check_text(&self, place: Place<'_>, key: &str, value: &Value) -> Result<()> {
        match value {
            Value::String(text) => match text.chars().find(|c| is_unprintable(*c)) {
                None => Ok(()),
                Some(c) => {
                    let problem =
                        format!("{key} contains the character U+{:04X}, which cannot be shown", u32::from(c));
                    Err(self.error(self.line(place, key), format!("{problem}; remove it")))
                }
            },
            Value::Table(table) => table.values().try_for_each(|value| self.check_text(place, key, value)),
            Value::Array(values) => values.iter().try_for_each(|value| self.check_text(place, key, value)),
            _ => Ok(()),
        }
    }

    /// A table that is read as a whole.
    fn part<T: DeserializeOwned>(&self, place: Place<'_>, key: &str) -> Result<Option<T>> {
        let Some(value) = place.values.get(key) else { return Ok(None) };
        self.check_text(place, key, value)?;
        let part = value.clone().try_into();
        part.map(Some).map_err(|error: toml::de::Error| {
            self.error(self.line(place, key), format!("{key}: {}", error.message()))
        })
    }

    /// The tables of a list of tables.
    fn tables<'p>(&self, place: Place<'p>, key: &str) -> Result<Vec<Place<'p>>> {
        let (values, spans) = match (place.values.get(key), place.spans.get(key).map(|value| value.get_ref()))
        {
            (None, _) => return Ok(Vec::new()),
            (Some(Value::Array(values)), Some(DeValue::Array(spans))) => (values, spans),
            _ => return Err(self.error(self.line(place, key), format!("write [[{key}]] for each {key}"))),
        };
        let pairs = values.iter().zip(spans.iter());
        pairs
            .map(|(value, span)| {
                let line = line_of(self.text, &span.span());
                match (value, span.get_ref()) {
                    (Value::Table(values), DeValue::Table(spans)) => Ok(Place { values, spans, line }),
                    _ => Err(self.error(line, format!("write [[{key}]] for each {key}"))),
                }
            })
            .collect()
    }

    /// The settings of a table of settings, whose keys may be nested.
    fn settings(&self, place: Place<'_>, key: &str) -> Result<Vec<Setting>> {
        let line = self.line(place, key);
        match (place.values.get(key), place.spans.get(key).map(|value| value.get_ref())) {
            (None, _) => Ok(Vec::new()),
            (Some(Value::Table(values)), Some(DeValue::Table(spans))) => {
                let mut settings = Vec::new();
                self.collect("", Place { values, spans, line }, &mut settings)?;
                Ok(settings)
            }
            _ => Err(self.error(line, format!("{key} must be a table of settings"))),
        }
    }

    fn collect(&self, prefix: &str, place: Place<'_>, settings: &mut Vec<Setting>) -> Result<()> {
        for (name, value) in place.values {
            let given = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let line = self.line(place, name);
            match (value, place.spans.get(name.as_str()).map(|value| value.get_ref())) {
                (Value::Table(values), Some(DeValue::Table(spans))) => {
                    self.collect(&given, Place { values, spans, line }, settings)?;
                }
                _ => {
                    let key = self.keys.resolve(&given).map_err(|problem| self.error(line, problem))?;
                    settings.push(Setting { key, value: value.clone(), line });
                }
            }
        }
        Ok(())
    }

    /// The settings of a block, or of the whole recipe.
    fn block(&self, place: Place<'_>) -> Result<Block> {
        let mut block = Block { line: place.line, fixed: self.settings(place, "fixed")?, ..Block::default() };
        for setting in self.settings(place, "grid")? {
            let values = self.list(&setting)?;
            let point = |value: &Value| vec![Setting { value: value.clone(), ..setting.clone() }];
            block.axes.push(Axis { points: values.iter().map(point).collect() });
        }
        block.axes.extend(self.zip(&self.settings(place, "zip")?)?);
        block.axes.extend(self.seeds(place)?);
        block.ratios = self.ratios(place)?;
        Ok(block)
    }

    fn list<'s>(&self, setting: &'s Setting) -> Result<&'s [Value]> {
        let Setting { key, value, line } = setting;
        match value.as_array() {
            Some(values) if !values.is_empty() => Ok(values),
            _ => Err(self.error(
                *line,
                format!("{key} must be a list of values, such as [1, 2]; one value belongs in fixed"),
            )),
        }
    }

    fn zip(&self, settings: &[Setting]) -> Result<Option<Axis>> {
        let Some(first) = settings.first() else { return Ok(None) };
        let count = self.list(first)?.len();
        for setting in settings {
            let found = self.list(setting)?.len();
            if found != count {
                let problem = format!(
                    "the lists of a zip must have the same length, but {} has {count} values and {} has {found}",
                    first.key, setting.key
                );
                return Err(self.error(setting.line, problem));
            }
        }
        let point = |index: usize| {
            let of = |setting: &Setting| {
                let value = setting.value.as_array().and_then(|values| values.get(index)).cloned();
                value.map(|value| Setting { value, ..setting.clone() })
            };
            settings.iter().filter_map(of).collect()
        };
        Ok(Some(Axis { points: (0..count).map(point).collect() }))
    }

    fn seeds(&self, place: Place<'_>) -> Result<Option<Axis>> {
        let Some(value) = place.values.get("seeds") else { return Ok(None) };
        let line = self.line(place, "seeds");
        let seeds = value.as_array().filter(|seeds| !seeds.is_empty() && seeds.iter().all(Value::is_integer));
        let seeds = seeds
            .ok_or_else(|| self.error(line, "seeds must be a list of whole numbers, such as [0, 1, 2]"))?;
        let point = |value: &Value| vec![Setting { key: "seed".to_owned(), value: value.clone(), line }];
        Ok(Some(Axis { points: seeds.iter().map(point).collect() }))
    }

    fn ratios(&self, place: Place<'_>) -> Result<Vec<Ratio>> {
        let line = self.line(place, "derive");
        let (values, spans) =
            match (place.values.get("derive"), place.spans.get("derive").map(|value| value.get_ref())) {
                (None, _) => return Ok(Vec::new()),
                (Some(Value::Table(values)), Some(DeValue::Table(spans))) => (values, spans),
                _ => {
                    return Err(self.error(
                        line,
                        "derive must be a table, such as { \"batch_size / learning_rate\" = 20000 }",
                    ));
                }
            };
        let place = Place { values, spans, line };
        values.iter().map(|(text, value)| self.ratio(text, value, self.line(place, text))).collect()
    }

    fn ratio(&self, text: &str, value: &Value, line: usize) -> Result<Ratio> {
        let (above, below) = text.split_once('/').ok_or_else(|| {
            self.error(line, format!("'{text}' is not a ratio of two settings; an example is \"batch_size / learning_rate\" = 20000"))
        })?;
        let key = |name: &str| self.keys.resolve(name.trim()).map_err(|problem| self.error(line, problem));
        let (above, below) = (key(above)?, key(below)?);
        let number =
            |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        let values = match value {
            Value::Array(values) => values.iter().map(number).collect::<Option<Vec<f64>>>(),
            value => number(value).map(|value| vec![value]),
        };
        match values.filter(|values| {
            !values.is_empty() && values.iter().all(|value| value.is_finite() && *value > 0.0)
        }) {
            Some(values) => Ok(Ratio { above, below, values, line }),
            None => {
                Err(self
                    .error(line, format!("the ratio '{text}' must be a number above 0, or a list of them")))
            }
        }
    }

    /// Rejects a setting that a block gives twice.
    fn check_block(&self, block: &Block) -> Result<()> {
        let axes = block.axes.iter().filter_map(|axis| axis.points.first());
        let mut seen: Vec<&Setting> = Vec::new();
        for setting in block.fixed.iter().chain(axes.flatten()) {
            if let Some(other) = seen.iter().find(|other| other.key == setting.key) {
                let problem =
                    format!("{} is given twice, also in line {}; keep one of them", setting.key, other.line);
                return Err(self.error(setting.line, problem));
            }
            seen.push(setting);
        }
        Ok(())
    }
}

impl Block {
    /// This block, with missing settings from `common`.
    ///
    /// # Errors
    /// The line and the problem if it gives only some of the settings that `common` varies together.
    fn on_top_of(mut self, common: &Self) -> std::result::Result<Self, (usize, String)> {
        let axes = self.axes.iter().flat_map(Axis::keys);
        let own: Vec<String> = self.fixed.iter().map(|setting| &setting.key).chain(axes).cloned().collect();
        let fixed = common.fixed.iter().filter(|setting| !own.contains(&setting.key)).cloned();
        self.fixed = fixed.chain(self.fixed).collect();
        for axis in &common.axes {
            let (mine, others): (Vec<&String>, Vec<&String>) = axis.keys().partition(|key| own.contains(key));
            match (mine.first(), others.first()) {
                (None, _) => self.axes.push(axis.clone()),
                (Some(mine), Some(other)) => {
                    let problem = format!(
                        "the block gives {mine}, which the recipe zips with {other}; give both or neither"
                    );
                    return Err((self.line, problem));
                }
                (Some(_), None) => {}
            }
        }
        self.ratios.extend(common.ratios.iter().cloned());
        Ok(self)
    }
}

impl Axis {
    /// The settings that change.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.points.iter().take(1).flatten().map(|setting| &setting.key)
    }
}
