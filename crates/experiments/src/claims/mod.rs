//! Whether the findings of the paper hold: each is a sentence, conditions on numbers, and a verdict with these numbers.
//!
//! | file | subject |
//! | --- | --- |
//! | `cells.rs` | runs that differ in their seeds alone |
//! | `published.rs` | the paper's own numbers |
//! | `statistics.rs` | slopes, and confidence intervals by bootstrap over seeds |
//! | `findings.rs` | the findings |
//! | `judge.rs` | from conditions to a verdict |

mod cells;
mod findings;
mod judge;
mod prediction;
mod published;
mod statistics;

pub use cells::{Cell, Samples};
pub use findings::{FINDINGS, Finding};
pub use judge::{Condition, Judgement, Verdict, Wanted};
pub use prediction::{Prediction, SignError};
pub use published::{published_cells, published_curves};
