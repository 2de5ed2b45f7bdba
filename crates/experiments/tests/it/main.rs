//! The integration tests of the crate, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod batch_norm_chunk;
mod certified;
mod claims;
mod config_identity;
mod config_validation;
mod data_cifar10;
mod data_cifar10_python;
mod data_digits;
mod data_fetch;
mod data_files;
mod data_idx;
mod data_locate;
mod data_official;
mod data_published;
mod data_seed;
mod data_server;
mod data_subset;
mod edge_of_stability;
mod export;
mod figures;
#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    reason = "it serves the tests of two crates, and its numbers are small"
)]
#[path = "../../../network/tests/it/fixture.rs"]
mod fixture;
mod measures;
mod measures_between_iterates;
mod measures_problem;
mod measures_subsets;
mod paper_recipes;
mod resume;
mod skip;
mod store;
mod sweep_execute;
mod sweep_recipe;
mod through_training;
mod time_left;
mod training;
mod training_golden;
mod training_runs;
