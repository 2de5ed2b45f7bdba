//! The program as a user sees it: output, exit codes, files.

mod bad_input;
mod information;
mod measuring;
mod output;
mod program;
mod resuming;
mod training;
