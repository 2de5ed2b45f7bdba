//! Recipes: files that list runs, and those of the paper's figures.
//!
//! | file | subject |
//! | --- | --- |
//! | `recipe.rs` | parsing the file |
//! | `keys.rs` | resolving its keys |
//! | `figure.rs` | its figure |
//! | `resources.rs` | what a scheduler grants its runs |
//! | `expand.rs` | expanding it to runs |
//! | `paper.rs` | the recipes of the paper's figures |

mod expand;
mod figure;
mod keys;
mod paper;
mod recipe;
mod resources;

pub use expand::{Plan, PlannedBlock, PlannedRun};
pub use figure::{FigureKind, FigureSpec, LEARNING_RATE, PublishedLine};
pub(crate) use keys::Keys;
pub use paper::{FIGURES, PaperFigure, Scale};
pub use resources::Resources;
