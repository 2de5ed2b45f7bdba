//! The program as a user sees it: output, exit codes, files.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what is wanted")]
#![expect(clippy::print_stdout, reason = "tests say what they skip")]

mod bad_input;
mod information;
mod measuring;
mod output;
mod program;
mod report;
mod reproducing;
mod resuming;
mod sweeping;
mod training;
