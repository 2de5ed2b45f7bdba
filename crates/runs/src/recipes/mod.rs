//! Recipes: files that say which runs to make, and those of the paper's figures.
//!
//! | file | subject |
//! | --- | --- |
//! | `recipe.rs` | the file as it is written |
//! | `keys.rs` | the settings that it may name |
//! | `figure.rs` | what it says of its figure |
//! | `expand.rs` | its runs |
//! | `paper.rs` | the recipes of the paper's figures |

mod expand;
mod figure;
mod keys;
mod paper;
mod recipe;

pub use expand::{Plan, PlannedBlock, PlannedRun};
pub use figure::{FigureKind, FigureSpec, LEARNING_RATE, PublishedLine};
pub(crate) use keys::Keys;
pub use paper::{FIGURES, PaperFigure, Scale};
