//! The settings of a command line without flags.

use clap::{Args, Command};

/// The settings of an empty command line. Parsing one takes as long as reading the files of a run: callers keep the result.
pub(super) fn defaults<T: Args>() -> T {
    let matches = T::augment_args(Command::new("defaults")).get_matches_from(["defaults"]);
    #[expect(
        clippy::expect_used,
        reason = "a default that its own parser rejects is a bug, which any test finds"
    )]
    T::from_arg_matches(&matches).expect("every setting has a default")
}
