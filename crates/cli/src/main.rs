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
            let is_help = message.exit_code() == 0;
            let exit = if is_help { Exit::Done } else { Exit::Usage };
            return if message.print().is_ok() { exit } else { Exit::Failed }.into();
        }
    };
    let exit = commands::run(cli).unwrap_or_else(|error| {
        let red = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        output::note(&format!("{red}error:{red:#} {}", exit::message(&error)));
        exit::of_error(&error)
    });
    exit.into()
}
