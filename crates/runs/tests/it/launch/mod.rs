//! Launches, with what Slurm's programs answered on a real cluster.
#![cfg(unix)]

mod attempts;
mod recipes;
mod recorded;
mod script;
mod status;
mod submission;
