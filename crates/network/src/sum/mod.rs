//! Sums over chunks of examples whose bits depend on the number of chunks alone, and not on the number of [ranks](crate::Ranks).
//!
//! The terms are dealt into at most 64 groups of consecutive ones. Within a group, they are added in order. The sums of four
//! consecutive groups are added in order, then those of four such sums, and so on. Each rank holds consecutive groups and adds up what
//! it can; each then receives a slice of what is left of all ranks, completes its sum, and sends it to all. So a sum costs the exchange
//! of a few vectors, however many terms it has. Up to five terms are added in their own order.

mod exchange;
mod numbers;
mod tree;
mod vectors;

pub use numbers::GroupSums;
pub use tree::Dealt;
pub use vectors::{NarrowSum, WideSum};
