//! The program `sharpness`: it reads the command line, runs one command and ends with its exit code. The work is done in
//! `sharpness-experiments`.

mod args;
mod commands;
mod exit;
mod importing;
mod interrupt;
mod measuring;
mod output;
mod page;
mod program;
mod settings;
mod sweep_watch;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use commands::Cli;
use exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            if message.exit_code() == 0 {
                return if message.print().is_ok() { Exit::Done } else { Exit::Failed }.into();
            }
            // It quotes what was typed, or what the shell made of it.
            let text = message.to_string();
            output::error(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
            return Exit::Usage.into();
        }
    };
    let exit = commands::run(cli).unwrap_or_else(|error| {
        output::error(&exit::message(&error));
        exit::of_error(&error)
    });
    exit.into()
}
