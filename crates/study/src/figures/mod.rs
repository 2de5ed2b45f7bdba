//! Figures of runs, with the paper's own points beside them.
//!
//! | file | subject |
//! | --- | --- |
//! | `data.rs` | the points |
//! | `axis.rs`, `draw.rs` | the picture |
//! | `caption.rs` | what it shows, in sentences |
//! | `predictors.rs` | the picture of predictors |
//! | `output.rs` | picture, tables and caption as files |

mod axis;
mod caption;
mod data;
mod draw;
mod output;
mod predictors;

pub use data::{Figure, FigurePoint, Line, Statistic};
pub use predictors::PredictorsFigure;
