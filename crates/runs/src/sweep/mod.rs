//! Sweeps: execute the runs of a recipe in any order, on several machines, and never one twice.
//!
//! | file | subject |
//! | --- | --- |
//! | `execute.rs` | executing the runs of a plan |
//! | `compare_examples.rs` | λ_max of its runs on several numbers of examples |
//! | `cost.rs` | how long they will take |
//! | `time_left.rs`, `similar.rs` | the time left |

mod compare_examples;
mod cost;
mod execute;
mod similar;
mod time_left;

pub use compare_examples::CompareExamples;
pub use cost::{Cost, Costs};
pub use execute::{RunEnd, Sweep, SweepObserver};
pub use time_left::{Spent, TimeLeft};
