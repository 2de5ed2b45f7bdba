//! The subcommands, one file each: flags in, exit code out.

mod bench;
mod choice;
mod claims;
mod claims_text;
mod completions;
mod data;
mod figure;
mod info;
mod interpolate;
mod invariance;
mod landscape;
mod launch;
mod measure;
mod predictions_text;
mod quickstart;
mod report;
mod report_text;
mod reproduce;
mod rescale;
mod runs;
mod serve;
mod status;
mod status_word;
mod sweep;
mod sweep_args;
mod track;
mod train;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::exit::{EXIT_CODES, Exit};
use crate::ranks::Sharing;

/// Train networks and measure how sharp their minima are.
///
/// Without a command, train a small network on the embedded digits and measure it, in a few seconds.
#[derive(Parser, Debug)]
#[command(name = "sharpness", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Train a network until it fits, and measure its sharpness
    Train(train::TrainCommand),
    /// Measure the sharpness at existing weights, including PyTorch's
    Measure(measure::MeasureCommand),
    /// Rescale two layers: the same function and accuracy, another λ_max; which measures change
    Rescale(rescale::RescaleCommand),
    /// Draw the loss around weights, in one or two dimensions, with its quadratic prediction
    Landscape(landscape::LandscapeCommand),
    /// Draw the loss between the weights of two runs, on the segment or a trained curve
    Interpolate(interpolate::InterpolateCommand),
    /// Run a recipe, and resume interrupted runs
    Sweep(sweep::SweepCommand),
    /// Show which runs are queued, running, done or failed, and why
    Status(status::StatusCommand),
    /// Draw the figure of a recipe from its finished runs
    Figure(figure::FigureCommand),
    /// Reproduce figures of the paper: execute their runs and draw them
    Reproduce(reproduce::ReproduceCommand),
    /// Judge the findings of the paper by runs and by the paper's own numbers, and how well each measure predicts generalization
    Claims(claims::ClaimsCommand),
    /// Write one page of HTML with the figures, verdicts and tables of a store
    Report(report::ReportCommand),
    /// Serve a live page over a store: runs, curves, figures and verdicts as they fill
    Serve(serve::ServeCommand),
    /// List, filter, show, compare, export and track the runs of a store
    Runs(runs::RunsCommand),
    /// Time a training step, a Hessian-vector product and λ_max on this machine
    Bench(bench::BenchCommand),
    /// Find, download and check data sets
    Data(data::DataCommand),
    /// Show the layers, parameters and cost of an architecture
    Info(info::InfoCommand),
    /// Print shell completions
    Completions(completions::CompletionsCommand),
}

impl Cli {
    /// What the command does if several processes run it together.
    pub(crate) const fn sharing(&self) -> Sharing {
        match &self.command {
            Some(Command::Train(_) | Command::Measure(_) | Command::Bench(_)) => Sharing::Shared,
            None | Some(Command::Rescale(_) | Command::Landscape(_) | Command::Interpolate(_)) => {
                Sharing::Single
            }
            // Sweeps of one store share its runs. The others only read or print.
            Some(
                Command::Sweep(_)
                | Command::Reproduce(_)
                | Command::Status(_)
                | Command::Figure(_)
                | Command::Claims(_)
                | Command::Report(_)
                | Command::Serve(_)
                | Command::Runs(_)
                | Command::Data(_)
                | Command::Info(_)
                | Command::Completions(_),
            ) => Sharing::Separate,
        }
    }
}

/// Runs the given command.
///
/// # Errors
/// Those of the command; see [`crate::exit::of_error`] for their exit codes.
pub(crate) fn run(cli: Cli) -> Result<Exit> {
    match cli.command {
        None => quickstart::run(),
        Some(Command::Train(command)) => train::run(&command),
        Some(Command::Measure(command)) => measure::run(&command),
        Some(Command::Rescale(command)) => rescale::run(&command),
        Some(Command::Landscape(command)) => landscape::run(&command),
        Some(Command::Interpolate(command)) => interpolate::run(&command),
        Some(Command::Sweep(command)) => sweep::run(&command),
        Some(Command::Status(command)) => status::run(&command),
        Some(Command::Figure(command)) => figure::run(&command),
        Some(Command::Reproduce(command)) => reproduce::run(&command),
        Some(Command::Claims(command)) => claims::run(&command),
        Some(Command::Report(command)) => report::run(&command),
        Some(Command::Serve(command)) => serve::run(&command),
        Some(Command::Runs(command)) => runs::run(command),
        Some(Command::Bench(command)) => bench::run(&command),
        Some(Command::Data(command)) => data::run(command),
        Some(Command::Info(command)) => info::run(&command),
        Some(Command::Completions(command)) => completions::run(&command, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    /// The commands without subcommands of their own, by their whole names.
    fn leaves(name: &str, command: &clap::Command) -> Vec<(String, bool)> {
        let further =
            command.get_subcommands().map(|inner| leaves(&format!("{name} {}", inner.get_name()), inner));
        let further: Vec<_> = further.flatten().collect();
        let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        if further.is_empty() { vec![(name.to_owned(), has_json)] } else { further }
    }

    #[test]
    fn every_command_with_results_gives_them_to_programs() {
        let all = leaves("sharpness", &Cli::command());
        assert!(all.len() > 15, "the tree is walked: {all:?}");
        let without = all.iter().filter(|(_, has_json)| !has_json).map(|(name, _)| name.as_str());
        assert_eq!(without.collect::<Vec<_>>(), ["sharpness completions"], "a script has no numbers");
    }
}
