//! Expands a recipe to its runs.

use std::collections::BTreeSet;
use std::path::Path;

use sharpness_training::flags::insert;
use sharpness_training::settings::RunConfig;
use toml::{Table, Value};

use super::figure::{FigureSpec, PublishedLine};
use super::recipe::{Block, Ratio, Recipe, Setting};
use super::resources::Resources;
use crate::identity::Identity;
use crate::{Error, Result};

/// The largest relative error of a derived whole number.
const ROUNDING: f64 = 1e-9;
/// A recipe with more runs than this is a mistake.
const MOST_RUNS: usize = 100_000;

/// All runs of a recipe, block by block.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the recipe is about.
    pub title: String,
    /// How to draw them.
    pub figure: Option<FigureSpec>,
    /// What a scheduler grants each run.
    pub resources: Resources,
    /// The blocks, in their order.
    pub blocks: Vec<PlannedBlock>,
    /// The runs of each block, without repetition in a block. Blocks may share runs: see [`Self::distinct`].
    pub runs: Vec<PlannedRun>,
}

/// Runs that belong together: a line of a figure.
#[derive(Clone, Debug)]
pub struct PlannedBlock {
    /// Its name.
    pub name: String,
    /// The row of panels of a figure that shows it.
    pub panel: String,
    /// The published points that belong to it.
    pub published: Option<PublishedLine>,
}

/// A run of a recipe.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The names of the run and of its training.
    pub identity: Identity,
    /// What the run depends on.
    pub config: RunConfig,
    /// The block that it belongs to.
    pub block: String,
    /// What distinguishes it from the block's other runs: full keys, and values as written.
    pub settings: Vec<(String, String)>,
}

impl PlannedRun {
    /// The settings on one line, with short keys.
    pub fn label(&self) -> String {
        let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let settings = self.settings.iter().map(|(key, value)| format!("{}={value}", last(key)));
        settings.collect::<Vec<_>>().join(" ")
    }
}

impl Plan {
    /// Reads a recipe and resolves its runs.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::File`] with the line of invalid TOML, an unknown key (with
    /// the nearest one), a value of the wrong type or out of its range, or settings that contradict each other.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&Recipe::read(path)?)
    }

    /// As [`Self::read`], for the content `text` of the file `path`.
    ///
    /// # Errors
    /// As there.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::of(&Recipe::parse(path, text)?)
    }

    /// The runs of several plans, by the names of these plans.
    pub fn together<'p>(title: &str, plans: impl IntoIterator<Item = (String, &'p Self)>) -> Self {
        let mut all = Self {
            title: title.to_owned(),
            figure: None,
            resources: Resources::default(),
            blocks: Vec::new(),
            runs: Vec::new(),
        };
        for (name, plan) in plans {
            let named = |block: &str| format!("{name} {block}");
            all.blocks.extend(
                plan.blocks.iter().map(|block| PlannedBlock { name: named(&block.name), ..block.clone() }),
            );
            all.runs
                .extend(plan.runs.iter().map(|run| PlannedRun { block: named(&run.block), ..run.clone() }));
        }
        all
    }

    /// The runs without repetition, each as its first block describes it.
    pub fn distinct(&self) -> impl Iterator<Item = &PlannedRun> {
        let mut seen = BTreeSet::new();
        self.runs.iter().filter(move |run| seen.insert(&run.identity))
    }

    fn of(recipe: &Recipe) -> Result<Self> {
        let mut runs = Vec::new();
        for block in &recipe.blocks {
            let counts = block.axes.iter().map(|axis| axis.points.len());
            let ratios = block.ratios.iter().map(|ratio| ratio.values.len());
            let count = counts.chain(ratios).fold(1_usize, usize::saturating_mul);
            if runs.len().saturating_add(count) > MOST_RUNS {
                let problem = format!("the recipe has more than {MOST_RUNS} runs");
                return Err(Error::File { file: recipe.file.clone(), line: block.line, problem });
            }
            // The same value twice, or written differently, is one run.
            let mut seen = BTreeSet::new();
            for index in 0..count {
                let run = Expansion { recipe, block }.run(index)?;
                if seen.insert(run.identity.clone()) {
                    runs.push(run);
                }
            }
        }
        let block = |Block { name, panel, published, .. }: &Block| PlannedBlock {
            name: name.clone(),
            panel: panel.clone(),
            published: published.clone(),
        };
        let blocks = recipe.blocks.iter().map(block).collect();
        let Recipe { title, figure, resources, .. } = recipe.clone();
        Ok(Self { title, figure, resources, blocks, runs })
    }
}

/// The expansion of one block.
struct Expansion<'a> {
    recipe: &'a Recipe,
    block: &'a Block,
}

impl Expansion<'_> {
    fn error(&self, line: usize, problem: impl Into<String>) -> Error {
        Error::File { file: self.recipe.file.clone(), line, problem: problem.into() }
    }

    /// The `index`th combination of the block; the last axis changes fastest.
    fn run(&self, mut index: usize) -> Result<PlannedRun> {
        let Block { fixed, axes, ratios, .. } = self.block;
        let mut varied: Vec<Setting> = Vec::new();
        for axis in axes.iter().rev() {
            let point = &axis.points[index % axis.points.len()];
            index /= axis.points.len();
            varied.splice(0..0, point.iter().cloned());
        }
        for ratio in ratios.iter().rev() {
            let value = ratio.values[index % ratio.values.len()];
            index /= ratio.values.len();
            let given: Vec<&Setting> = fixed.iter().chain(&varied).collect();
            let derived = self.derived(ratio, value, &given)?;
            varied.push(derived);
        }
        let settings: Vec<&Setting> = fixed.iter().chain(&varied).collect();
        let config = self.config(&settings)?;
        let shown = |setting: &Setting| (setting.key.clone(), shown(&setting.value));
        let settings = varied.iter().map(shown).collect();
        Ok(PlannedRun { identity: Identity::of(&config)?, config, block: self.block.name.clone(), settings })
    }

    /// The setting that is derived from a ratio and the other setting.
    fn derived(&self, ratio: &Ratio, value: f64, given: &[&Setting]) -> Result<Setting> {
        let Ratio { above, below, line, .. } = ratio;
        let number = |key: &String| -> Result<Option<f64>> {
            let Some(setting) = given.iter().find(|setting| setting.key == *key) else { return Ok(None) };
            let value = &setting.value;
            let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
            let problem =
                || self.error(setting.line, format!("{key} must be a number, since a ratio uses it"));
            number.map(Some).ok_or_else(problem)
        };
        let (key, derived) = match (number(above)?, number(below)?) {
            (Some(above), None) => (below, above / value),
            (None, Some(below)) => (above, value * below),
            (Some(_), Some(_)) => {
                let problem = format!(
                    "{above} and {below} are both given, so their ratio cannot be derived; remove one"
                );
                return Err(self.error(*line, problem));
            }
            (None, None) => {
                let problem = format!("one of {above} and {below} must be given, to derive the other");
                return Err(self.error(*line, problem));
            }
        };
        let value = if self.recipe.keys.is_whole(key) {
            let whole = derived.round();
            if (derived - whole).abs() > ROUNDING * whole.abs() {
                return Err(
                    self.error(*line, format!("{key} would be {derived}, which is not a whole number"))
                );
            }
            #[expect(clippy::cast_possible_truncation, reason = "larger numbers are out of every range")]
            Value::Integer(whole as i64)
        } else {
            Value::Float(rounded(derived))
        };
        Ok(Setting { key: key.clone(), value, line: *line })
    }

    fn config(&self, settings: &[&Setting]) -> Result<RunConfig> {
        let mut table = Table::new();
        for setting in settings {
            insert(&mut table, &setting.key, setting.value.clone());
        }
        for key in ["model.arch", "data.name"] {
            if !has(settings, key) {
                return Err(self.error(
                    self.block.line,
                    format!("the runs of '{}' lack {key}; add it to [fixed]", self.block.name),
                ));
            }
        }
        let line = |key: &str| {
            // The key of a table stands for those of its settings, and vice versa.
            let is_of = |setting: &&&Setting| key.starts_with(&setting.key) || setting.key.starts_with(key);
            let exact = settings.iter().find(|setting| setting.key == key);
            let setting = exact.or_else(|| settings.iter().find(is_of));
            setting.map_or(self.block.line, |setting| setting.line)
        };
        let mut config = RunConfig::of_table(table)
            .map_err(|(key, problem)| self.error(line(&key), format!("{key}: {problem}")))?;
        let examples = config.data.name.train_examples();
        let available = config.data.trained_examples();
        let training = &mut config.training;
        // A radius of 0 is plain SGD, and shares its runs.
        training.sam = training.sam.take().filter(|sam| sam.rho.total_cmp(&0.0).is_ne());
        training.micro_batch_size = training.micro_batch_size.min(training.batch_size);
        if !has(settings, "measure.examples") {
            config.measure.examples = config.measure.examples.min(available);
        } else if config.measure.examples > available {
            let problem = format!(
                "measure.examples must be at most {available}, the number of training examples, got {}",
                config.measure.examples
            );
            return Err(self.error(line("measure.examples"), problem));
        }
        match config.validate(examples) {
            Err(sharpness_training::Error::Config { key, problem }) => {
                Err(self.error(line(&key), format!("{key} {problem}")))
            }
            checked => Ok(checked.map(|()| config)?),
        }
    }
}

fn has(settings: &[&Setting], key: &str) -> bool {
    settings.iter().any(|setting| setting.key == key)
}

/// The shortest decimal number within rounding of `value`, so that a derived 0.01 is the same run as a written one.
fn rounded(value: f64) -> f64 {
    (1..=17)
        .filter_map(|digits| format!("{value:.digits$e}").parse().ok())
        .find(|short: &f64| (short - value).abs() <= 2.0 * f64::EPSILON * value.abs())
        .unwrap_or(value)
}

/// A value without quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
