//! The integration tests of the crate, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod batch_norm_chunk;
mod certified;
mod config_validation;
mod data_seed;
mod edge_of_stability;
#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    reason = "it serves the tests of two crates, and its numbers are small"
)]
#[path = "../../../network/tests/it/fixture.rs"]
mod fixture;
mod flags;
mod landscape;
mod landscape_paths;
mod measures;
mod measures_adaptive;
mod measures_ascent;
mod measures_between_iterates;
mod measures_dense;
mod measures_moving;
mod measures_noise;
mod measures_page;
mod measures_problem;
mod measures_subsets;
mod moved_weights;
mod overlay;
mod ranges;
mod ranks;
mod settings_page;
#[path = "../../../network/tests/it/thread_ranks.rs"]
mod thread_ranks;
mod through_training;
mod training;
mod training_golden;
mod training_runs;
