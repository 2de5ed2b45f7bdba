//! Judges the findings of the paper: each is a sentence, conditions on statistics, and a verdict.
//!
//! | file | subject |
//! | --- | --- |
//! | `settings.rs`, `filter.rs` | the settings of a run by their names, and conditions on them |
//! | `cell.rs`, `cells.rs` | runs that differ only in their seeds |
//! | `published.rs` | the paper's own numbers |
//! | `groups.rs` | comparable cells |
//! | `findings.rs`, `findings.toml` | the findings |
//! | `contrasts.rs` | their statistics |
//! | `statistics.rs` | estimates with intervals by Student's t over seeds |
//! | `judge.rs`, `verdicts.rs`, `words.rs` | verdicts, and their text |
//! | `missing.rs` | the missing runs of a verdict |
//! | `numbers.rs` | further numbers of runs |
//! | `predictors.rs` | what may predict how a network generalizes, and what it is to predict |
//! | `prediction.rs`, `kendall.rs`, `sign_error.rs`, `conditional_information.rs` | how well each predicts |
//! | `prediction_words.rs` | their text |

mod cell;
mod cells;
mod conditional_information;
mod contrasts;
mod filter;
mod findings;
mod groups;
mod judge;
mod kendall;
mod missing;
mod numbers;
mod prediction;
mod prediction_words;
mod predictors;
mod published;
mod settings;
mod sign_error;
#[cfg(test)]
#[cfg(feature = "simulation")]
mod simulation;
mod statistics;
mod summary;
mod text;
mod verdicts;
mod words;

pub use cell::{Cell, Observation, Published};
pub use cells::{Cells, LeftOut, Run};
pub use conditional_information::ConditionalInformation;
pub use contrasts::equal_lambda_pairs;
pub use findings::{Finding, Judged, Judgement};
pub(crate) use groups::curves;
pub use judge::{Bounds, Effect, Need, Verdict};
pub use numbers::{Number, Reading};
pub use prediction::{NoTau, Over, Prediction};
pub use prediction_words::{PREDICTION_MEANING, without_tau_text};
pub use predictors::Target;
pub use published::{Bars, published_cells, published_curves};
pub use settings::{Regime, Settings};
pub use sign_error::SignError;
pub use statistics::{Combination, Outcome};
pub use summary::Summary;
pub use verdicts::{Claims, JudgedFinding};
pub use words::{condition_text, effect_text, numbers_text, short, verdict_words};
