//! Sweeps: many runs from one recipe, made in any order, on several machines, and never twice.
//!
//! | file | subject |
//! | --- | --- |
//! | `recipe.rs` | the file that says which runs to make |
//! | `keys.rs` | the settings that it may name |
//! | `expand.rs` | the runs |
//! | `execute.rs` | making them |
//! | `compare_examples.rs` | λ_max of its runs on several numbers of examples |
//! | `cost.rs` | how long they will take |
//! | `time_left.rs`, `similar.rs` | how long they will still take |
//! | `filter.rs` | choosing some of them |

mod compare_examples;
mod cost;
mod execute;
mod expand;
mod filter;
mod keys;
mod recipe;
mod similar;
mod time_left;

pub use compare_examples::CompareExamples;
pub use cost::{Cost, Costs};
pub use execute::{RunEnd, Sweep, SweepObserver};
pub use expand::{Plan, PlannedBlock, PlannedRun};
pub use filter::Filter;
pub use time_left::{Spent, TimeLeft};
