//! Findings as data: their runs, and the conditions under which they hold.

use std::path::Path;

use serde::Deserialize;
use serde::Serialize;
use sharpness_runs::renamed_key;

use super::cell::Cell;
use super::cells::{Cells, LeftOut};
use super::contrasts::{Statistic, split};
use super::filter::{Filter, is_setting};
use super::groups::{Group, groups};
use super::judge::{Bounds, Effect, Need, Verdict, all, together};
use super::missing::Missing;
use super::published::{Bars, published_cells};
use super::settings::Settings;
use super::statistics::{FEWEST_SEEDS, Outcome};
use crate::{Error, Result};

/// The findings of the paper, in its order.
const PAPER: &str = include_str!("findings.toml");

/// A sentence, its runs, and the conditions under which it holds. `docs/findings.md` documents the format.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The section of the paper, such as `3.1 (i)`.
    pub section: String,
    /// The finding in one sentence.
    pub sentence: String,
    /// The figures of the paper that show it.
    #[serde(default)]
    pub figures: Vec<String>,
    /// The runs that it is about: those that match any of these filters.
    pub(super) runs: Vec<Filter>,
    /// Settings that may differ among the compared runs. All others are equal.
    #[serde(default)]
    pub(super) varies: Vec<String>,
    /// All of these must hold.
    #[serde(rename = "condition")]
    pub(super) conditions: Vec<Condition>,
}

/// A statistic and its bounds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    /// The settings that it uses.
    #[serde(default, rename = "where")]
    pub(super) runs: Filter,
    /// There is one number for each combination of these.
    #[serde(default)]
    pub(super) each: Vec<String>,
    /// The outcome of each run.
    pub(super) y: Outcome,
    pub(super) statistic: Statistic,
    above: Option<f64>,
    below: Option<f64>,
    /// Between minus this and this; for λ_max, between the inverse of this factor and this.
    margin: Option<f64>,
    /// How many of the numbers must lie within the bounds.
    #[serde(default)]
    pub(super) need: Need,
}

/// A file of findings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    finding: Vec<Finding>,
}

/// A condition with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The statistic.
    pub name: String,
    /// The runs that it uses, such as `small batches, η ≥ 0.05`; empty for all.
    pub runs: String,
    /// The outcome of each run.
    pub outcome: Outcome,
    /// The unit after the numbers, such as `per tenfold η`.
    pub unit: String,
    /// Their bounds.
    pub bounds: Bounds,
    /// How many of them must be within the bounds.
    pub need: Need,
    /// The numbers.
    pub effects: Vec<Effect>,
    /// Settings left out because they have fewer than three seeds.
    pub settings_left_out: usize,
    /// Whether it holds.
    pub verdict: Verdict,
}

/// A finding judged by runs that differ only in the settings that it compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The data set, and the settings that differ from the defaults.
    pub runs: String,
    /// Their common settings.
    pub settings: Settings,
    /// The verdict: the finding holds if all conditions do.
    pub verdict: Verdict,
    /// The conditions.
    pub conditions: Vec<Judged>,
    /// Runs of these settings that are not used because they did not converge.
    pub left_out: LeftOut,
    /// A recipe of the missing runs, if the finding cannot be judged without them.
    pub missing: Option<String>,
}

impl Finding {
    /// The findings of the paper, in its order.
    ///
    /// # Errors
    /// [`Error::File`] if the table in the program is damaged.
    pub fn paper() -> Result<Vec<Self>> {
        Self::parse(Path::new("findings.toml"), PAPER)
    }

    /// The findings in a file.
    ///
    /// # Errors
    /// [`Error::File`] with the line, if it is not such a file; [`Error::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        Self::parse(path, &sharpness_runs::read_text(path)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Vec<Self>> {
        let wrong = |line: usize, problem: String| Error::File { file: path.to_owned(), line, problem };
        let found: Findings = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            wrong(line, error.message().to_owned())
        })?;
        for finding in &found.finding {
            finding.check().map_err(|problem| {
                let line = text.lines().position(|line| line.contains(finding.section.as_str()));
                wrong(line.map_or(1, |line| line + 1), format!("finding {}: {problem}", finding.section))
            })?;
        }
        Ok(found.finding)
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.runs.is_empty() || self.conditions.is_empty() {
            return Err("needs runs that it is about and a [[finding.condition]]".to_owned());
        }
        let of_runs = self.runs.iter().flat_map(Filter::keys).chain(self.varies.iter().map(String::as_str));
        let of_conditions = self.conditions.iter().flat_map(|condition| {
            let each = condition.each.iter().map(String::as_str);
            condition.statistic.keys().into_iter().chain(condition.runs.keys()).chain(each)
        });
        if let Some(key) = of_runs.chain(of_conditions).find(|key| !is_setting(key)) {
            let today = renamed_key(key);
            let right = if is_setting(&today) {
                format!("it is {today} now")
            } else {
                "names are those of config.toml, such as training.learning_rate".to_owned()
            };
            return Err(format!("there is no setting {key:?}; {right}"));
        }
        match self.conditions.iter().find(|condition| condition.bounds().is_none()) {
            Some(_) => {
                Err("a condition needs above, below or a margin (of λ_max: a factor above 1)".to_owned())
            }
            None => Ok(()),
        }
    }

    /// Judges the finding by every group of its runs.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn judge(&self, Cells { kept, unconverged }: &Cells) -> Result<Vec<Judgement>> {
        let (merged, merged_out);
        let (cells, left_out) = if self.uses_lambda_max() {
            (&kept[..], &unconverged[..])
        } else {
            (merged, merged_out) = (Cell::by_training(kept), Cell::by_training(unconverged));
            (&merged[..], &merged_out[..])
        };
        let is_about = |cell: &&Cell| self.runs.iter().any(|filter| filter.allows(cell));
        let about: Vec<&Cell> = cells.iter().filter(is_about).collect();
        let out: Vec<&Cell> = left_out.iter().filter(is_about).collect();
        let judge = |group: &Group<'_>| {
            let judgement = self.judge_group(group, &out);
            let missing = self.missing(group, &judgement.conditions)?;
            Ok(Judgement { missing, ..judgement })
        };
        groups(&about, &self.varies).iter().map(judge).collect()
    }

    /// Whether measurements matter. Otherwise each training counts once, however often it was measured.
    pub(super) fn uses_lambda_max(&self) -> bool {
        self.conditions.iter().any(|condition| condition.uses_lambda_max())
    }

    /// The judgement without the recipe of the missing runs.
    pub(super) fn judge_group(&self, group: &Group<'_>, left_out: &[&Cell]) -> Judgement {
        let conditions: Vec<Judged> = self.conditions.iter().map(|c| c.judge(&group.cells)).collect();
        let of_group = left_out.iter().filter(|cell| group.includes(cell));
        let trainings = of_group.map(|cell| cell.runs.len()).sum();
        let runs = group.cells.iter().flat_map(|cell| &cell.runs);
        Judgement {
            runs: group.name.clone(),
            settings: group.settings.clone(),
            verdict: all(&conditions.iter().map(|condition| condition.verdict).collect::<Vec<_>>()),
            conditions,
            left_out: LeftOut { trainings, lambda_max: runs.filter(|run| run.lambda_max.is_none()).count() },
            missing: None,
        }
    }

    /// Judges the finding by the paper's own numbers.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn judge_published(&self, bars: Bars) -> Result<Option<Judgement>> {
        let figures: Vec<&str> = self.figures.iter().map(String::as_str).collect();
        let judged =
            self.judge(&Cells { kept: published_cells(&figures, bars)?, unconverged: Vec::new() })?;
        // All published runs share their protocol.
        Ok(judged.into_iter().next())
    }

    /// The published settings and the seeds that a group lacks for its open conditions, as a recipe.
    fn missing(&self, group: &Group<'_>, judged: &[Judged]) -> Result<Option<String>> {
        let is_open = |judged: &Judged| matches!(judged.verdict, Verdict::NotEnoughRuns { .. });
        let open: Vec<&Condition> = self
            .conditions
            .iter()
            .zip(judged)
            .filter(|(_, judged)| is_open(judged))
            .map(|(c, _)| c)
            .collect();
        if open.is_empty() {
            return Ok(None);
        }
        let published = self.published()?;
        let is_used = |cell: &&Cell| open.iter().any(|condition| condition.uses(cell));
        let wanted: Vec<&Cell> = published.iter().filter(is_used).collect();
        let known: Vec<&Cell> = group.cells.iter().copied().filter(is_used).collect();
        let more_seeds = match all(&judged.iter().map(|judged| judged.verdict).collect::<Vec<_>>()) {
            Verdict::NotEnoughRuns { more_seeds } => more_seeds,
            _ => None,
        };
        let (varies, published) = (&self.varies[..], &wanted[..]);
        Ok(Missing { group, known: &known, varies, published, more_seeds }.recipe())
    }

    /// The recipe of all published settings, for a store without runs of the finding.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn recipe(&self) -> Result<Option<String>> {
        let published = self.published()?;
        let Some(first) = published.first() else { return Ok(None) };
        let settings = first.settings.without(|key| self.varies.iter().any(|varied| varied == key));
        let group = Group::empty(settings, first.train_examples);
        let about: Vec<&Cell> = published.iter().collect();
        let (known, varies, published) = (&[][..], &self.varies[..], &about[..]);
        Ok(Missing { group: &group, known, varies, published, more_seeds: None }.recipe())
    }

    /// The published settings that the finding is about.
    fn published(&self) -> Result<Vec<Cell>> {
        let figures: Vec<&str> = self.figures.iter().map(String::as_str).collect();
        let mut cells = published_cells(&figures, Bars::Deviations)?;
        cells.retain(|cell| self.runs.iter().any(|filter| filter.allows(cell)));
        Ok(cells)
    }
}

impl Condition {
    /// Whether the condition depends on a setting.
    fn uses(&self, cell: &Cell) -> bool {
        self.runs.allows(cell) && self.statistic.uses(cell)
    }

    fn uses_lambda_max(&self) -> bool {
        self.y.is_log() || matches!(self.statistic, Statistic::MatchedPairs(_))
    }

    pub(super) fn bounds(&self) -> Option<Bounds> {
        let is_log = self.y.is_log();
        match (self.above, self.below, self.margin) {
            (None, None, Some(margin)) if is_log => {
                (margin > 1.0).then(|| Bounds { lower: 1.0 / margin, upper: margin })
            }
            (None, None, Some(margin)) => (margin > 0.0).then_some(Bounds { lower: -margin, upper: margin }),
            (None, None, None) | (_, _, Some(_)) => None,
            (above, below, None) => {
                let lowest = if is_log { 0.0 } else { f64::NEG_INFINITY };
                let bounds = Bounds { lower: above.unwrap_or(lowest), upper: below.unwrap_or(f64::INFINITY) };
                (bounds.lower < bounds.upper && bounds.lower >= lowest).then_some(bounds)
            }
        }
    }

    fn judge(&self, cells: &[&Cell]) -> Judged {
        // Checked when the finding was read.
        let bounds = self.bounds().unwrap_or(Bounds { lower: f64::NEG_INFINITY, upper: f64::INFINITY });
        let cells: Vec<&Cell> = cells.iter().filter(|cell| self.runs.allows(cell)).copied().collect();
        let known = cells.iter().filter(|cell| self.y.mean(cell).is_some()).copied().collect::<Vec<_>>();
        let ready: Vec<&Cell> =
            known.iter().filter(|cell| self.y.seeds(cell) >= FEWEST_SEEDS).copied().collect();
        let mut effects = self.effects(&ready, bounds);
        let mut settings_left_out = cells.len() - ready.len();
        if effects.is_empty() {
            // Show the values even though they decide nothing yet.
            effects = self.effects(&known, bounds);
            settings_left_out = cells.len() - known.len();
        }
        Judged {
            name: self.name(),
            runs: self.runs.text(),
            outcome: self.y,
            unit: self.statistic.unit(),
            bounds,
            need: self.need,
            verdict: together(&effects, self.need),
            effects,
            settings_left_out,
        }
    }

    fn effects(&self, cells: &[&Cell], bounds: Bounds) -> Vec<Effect> {
        let mut contrasts = Vec::new();
        for (place, group) in split(cells, &self.each) {
            for mut contrast in self.statistic.contrasts(&group, self.y) {
                let places = [place.as_str(), contrast.place.as_str()];
                contrast.place =
                    places.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(", ");
                contrasts.push(contrast);
            }
        }
        let count = contrasts.len();
        contrasts.iter().filter_map(|c| Effect::new(c, self.y, (bounds, self.need, count))).collect()
    }

    fn name(&self) -> String {
        let kind = match &self.statistic {
            Statistic::Slope(_) | Statistic::Contrast(_) | Statistic::RatioToEdge(_) => "",
            Statistic::Equivalence(_) => ", any two settings",
            Statistic::SlopeChange(_) => ", change of the slope",
            Statistic::MatchedPairs(_) => " at equal λ_max",
        };
        format!("{}{kind}", self.y.name())
    }
}

impl Judgement {
    /// The deciding number: the one that is least certain to be within its bounds, or that refutes the finding.
    pub fn deciding(&self) -> Option<(&Judged, &Effect)> {
        let rank = |verdict: Verdict| match verdict {
            Verdict::DoesNotHold => 0,
            Verdict::NotEnoughRuns { .. } => 1,
            Verdict::Holds => 2,
        };
        let effects = self.conditions.iter().flat_map(|c| c.effects.iter().map(move |effect| (c, effect)));
        // If one is enough, the clearest decides.
        let order = |(condition, effect): &(&Judged, &Effect)| match condition.need {
            Need::Any => (rank(condition.verdict), 0, -effect.clearance),
            Need::All | Need::Most => (rank(condition.verdict), rank(effect.verdict), effect.clearance),
        };
        effects.min_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(std::cmp::Ordering::Equal))
    }
}
