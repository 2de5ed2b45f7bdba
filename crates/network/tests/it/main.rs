//! Tests of the network crate.
#![expect(clippy::cast_possible_truncation, reason = "sizes in tests are small")]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod dense;
mod fixture;
mod golden;
mod operators;
mod tiny;
