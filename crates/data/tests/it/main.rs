//! The integration tests of the crate, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod cifar10;
mod cifar10_python;
mod digits;
mod fetch;
mod files;
mod idx;
mod locate;
mod official;
mod published;
mod server;
mod skip;
mod subset;
