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
//! | `prediction.rs` | λ_max as a predictor of generalization |

mod cell;
mod cells;
mod contrasts;
mod filter;
mod findings;
mod groups;
mod judge;
mod missing;
mod prediction;
mod published;
mod settings;
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
pub use contrasts::equal_lambda_pairs;
pub use findings::{Finding, Judged, Judgement};
pub(crate) use groups::curves;
pub use judge::{Bounds, Effect, Need, Verdict};
pub use prediction::{Prediction, SignError};
pub use published::{Bars, published_cells, published_curves};
pub use settings::{Regime, Settings};
pub use statistics::{Combination, Outcome};
pub use summary::Summary;
pub use verdicts::{Claims, JudgedFinding};
pub use words::{condition_text, effect_text, numbers_text, short, verdict_words};
