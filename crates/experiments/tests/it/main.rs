//! The integration tests of the crate, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod data_cifar10;
mod data_digits;
mod data_fetch;
mod data_files;
mod data_idx;
mod data_locate;
mod data_official;
mod data_server;
mod data_subset;
mod measures;
mod measures_between_iterates;
mod measures_problem;
