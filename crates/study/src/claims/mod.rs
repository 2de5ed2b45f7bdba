//! Whether the findings of the paper hold: each is a sentence, conditions on numbers, and a verdict with these numbers.
//!
//! | file | subject |
//! | --- | --- |
//! | `settings.rs` | the settings of a run by their names, and conditions on them |
//! | `cells.rs` | runs that differ in their seeds alone |
//! | `published.rs` | the paper's own numbers |
//! | `groups.rs` | cells that may be compared |
//! | `findings.rs`, `findings.toml` | the findings |
//! | `contrasts.rs` | the statistics by which they are judged |
//! | `statistics.rs` | estimates with intervals by Student's t over seeds |
//! | `judge.rs` | from numbers to a verdict |
//! | `missing.rs` | the runs that a verdict needs |
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
