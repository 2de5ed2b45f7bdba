//! Sweeps: many runs from one recipe, made in any order, on several machines, and never twice.
//!
//! | file | subject |
//! | --- | --- |
//! | `execute.rs` | making the runs of a plan |
//! | `compare_examples.rs` | λ_max of its runs on several numbers of examples |
//! | `cost.rs` | how long they will take |
//! | `time_left.rs`, `similar.rs` | how long they will still take |

mod compare_examples;
mod cost;
mod execute;
mod similar;
mod time_left;

pub use compare_examples::CompareExamples;
pub use cost::{Cost, Costs};
pub use execute::{RunEnd, Sweep, SweepObserver};
pub use time_left::{Spent, TimeLeft};
