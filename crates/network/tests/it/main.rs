//! Tests of the network crate.
#![expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "sizes in tests are small")]

mod fixture;
mod golden;
mod models;
mod weights;
