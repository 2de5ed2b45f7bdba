//! The rules of every op, the networks made of them, and their weights.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "sizes in tests are small, and a test fails by panicking"
)]

mod adjoint;
mod cases;
mod dense;
mod fisher;
mod fixture;
mod fuse;
mod golden;
mod gradient;
mod gradient_tangent;
mod harness;
mod losses;
mod models;
mod operators;
mod precision;
mod ranks;
mod rescale;
mod small_network;
mod tangent;
mod tapes;
mod thread_ranks;
mod threads;
mod tiny;
mod weights;
mod weights_import;
