//! `sharpness completions SHELL`.

use anyhow::{Context, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::exit::Exit;
use crate::output::print;

/// The shell to complete in.
#[derive(Args, Debug)]
#[command(after_help = "\
For bash:  sharpness completions bash > ~/.local/share/bash-completion/completions/sharpness
For zsh:   sharpness completions zsh > DIR/_sharpness, with DIR in $fpath
For fish:  sharpness completions fish > ~/.config/fish/completions/sharpness.fish")]
pub(super) struct CompletionsCommand {
    /// The shell
    shell: Shell,
}

/// Prints the script that teaches the shell our commands and flags.
pub(super) fn run(command: &CompletionsCommand) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "sharpness", &mut script);
    print(&String::from_utf8(script).context("the completions are no UTF-8")?)?;
    Ok(Exit::Done)
}
