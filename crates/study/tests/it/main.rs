//! The integration tests of the crate, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]

mod claims;
mod edge_of_stability_study;
mod figures;
mod paper_recipes;
mod predictors;
mod through_training_study;
