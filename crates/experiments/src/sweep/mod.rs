//! Sweeps: many runs from one recipe, made in any order, on several machines, and never twice.
//!
//! | file | subject |
//! | --- | --- |
//! | `recipe.rs` | the file that says which runs to make |
//! | `keys.rs` | the settings that it may name |
//! | `expand.rs` | the runs |
//! | `execute.rs` | making them |
//! | `cost.rs` | how long they will take |
//! | `filter.rs` | choosing some of them |

mod cost;
mod execute;
mod expand;
mod filter;
mod keys;
mod recipe;

pub use cost::{Cost, Costs};
pub use execute::{RunEnd, Sweep, SweepObserver};
pub use expand::{Plan, PlannedBlock, PlannedRun};
pub use filter::Filter;
