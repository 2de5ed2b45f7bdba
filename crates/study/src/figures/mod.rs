//! Figures of runs, with the paper's own points beside them.
//!
//! | file | subject |
//! | --- | --- |
//! | `data.rs` | the points |
//! | `axis.rs`, `draw.rs` | the picture |
//! | `caption.rs` | what it shows, in sentences |
//! | `output.rs` | picture, tables and caption as files |

mod axis;
mod caption;
mod data;
mod draw;
mod output;

pub use data::{Figure, FigurePoint, Line, Statistic};
