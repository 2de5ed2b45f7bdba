//! The program as a user sees it: output, exit codes, files.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod bad_input;
mod benchmark;
mod chromium;
mod claims;
mod faults;
#[cfg(unix)]
mod hostile_files;
mod identities;
mod information;
mod json;
mod landscape;
mod launching;
mod limits;
mod measured_files;
mod measuring;
mod old_store;
mod output;
mod private_slurm;
mod program;
mod progress;
mod racing;
mod report;
mod reproducing;
mod rescale;
mod results;
mod resuming;
mod serving;
#[path = "../../../data/tests/it/skip.rs"]
mod skip;
mod slurm;
mod sweeping;
mod terminal;
mod trackers;
mod training;
mod two_mounts;
mod values;
