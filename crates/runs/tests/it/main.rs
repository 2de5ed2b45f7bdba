//! The integration tests of the crate, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod batch_norm_chunk_runs;
mod config_identity;
mod damage;
mod data_seed_runs;
mod export;
mod last_step_runs;
mod launch;
mod leases;
mod old_store;
mod ranks;
mod resume;
mod small_runs;
mod store;
mod sweep_damage;
mod sweep_execute;
mod sweep_recipe;
mod sweeps;
#[path = "../../../network/tests/it/thread_ranks.rs"]
mod thread_ranks;
mod time_left;
mod two_identities;
