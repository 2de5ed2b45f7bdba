//! Optimizers: all arithmetic on the device, host work only to load images.
//!
//! | file | subject |
//! | --- | --- |
//! | `rule.rs`, `fused.rs` | what an optimizer is, and those that are one kernel |
//! | `config.rs` | the optimizers that a run can name |
//! | `sgd.rs`, `adam.rs` | one optimizer each: its settings and its update |
//! | `sam.rs` | the perturbed point at which SAM takes its gradient |
//! | `schedule.rs` | the learning rate from epoch to epoch |
//! | `edge_of_stability.rs` | the curvature above which gradient descent diverges |

mod adam;
mod config;
mod edge_of_stability;
mod fused;
mod rule;
mod sam;
mod schedule;
mod sgd;

pub use adam::AdamConfig;
pub use config::OptimizerConfig;
pub use edge_of_stability::EdgeOfStability;
pub(crate) use fused::Fused;
pub use rule::{Preconditioner, Rule, Settings};
pub(crate) use sam::Sam;
pub use sam::{BnStats, SamConfig};
pub use schedule::{Constant, Cosine, Schedule, ScheduleConfig, Step};
pub use sgd::SgdConfig;
