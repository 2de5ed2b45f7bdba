//! Figures of runs, with the paper's own points beside them.
//!
//! | file | subject |
//! | --- | --- |
//! | `data.rs` | the points |
//! | `axis.rs`, `draw.rs` | the picture |
//! | `caption.rs` | what it shows, in sentences |
//! | `predictors.rs` | the picture of predictors |
//! | `output.rs` | picture, tables and caption as files |
//! | `landscape.rs`, `interpolation.rs` | the loss around weights, and between two of them |
//! | `measured.rs`, `bars.rs` | one measurement, and one training |
//! | `view.rs` | the numbers that are shown |
//! | `view_files.rs`, `view.js`, `view.css` | their pictures, and a page for the mouse and the keyboard |
//! | `lines.rs`, `map.rs`, `contours.rs` | over one coordinate, and over two |

mod axis;
mod bars;
mod caption;
mod contours;
mod data;
mod draw;
mod interpolation;
mod landscape;
mod lines;
mod map;
mod measured;
mod output;
mod predictors;
mod view;
mod view_files;

pub use data::{Figure, FigurePoint, Line, Statistic};
pub use interpolation::{NamedPath, interpolation_table, interpolation_view};
pub use landscape::{landscape_notes, landscape_table, landscape_view};
pub use measured::{write_measured, write_through_training};
pub use predictors::PredictorsFigure;
pub use view::{Content, Lines, Map, Panel, Series, View};
