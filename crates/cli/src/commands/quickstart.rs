//! `sharpness` without a command: trains and measures on the embedded data, in a few seconds.

use std::fmt::Write as _;

use anyhow::Result;
use sharpness_data::{Dataset, DatasetName, Locations, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{RunOptions, complete_run};
use sharpness_training::Budget;
use sharpness_training::settings::RunConfig;

use super::report_text::report_text;
use crate::args::start_threads;
use crate::exit::{self, Exit};
use crate::interrupt::Interrupt;
use crate::output::{note, print};
use crate::program::Suggestion;
use crate::settings::{fit_examples, fit_micro_batch};
use crate::watch::Watch;

/// Trains a small network on the digits, measures it, and suggests what to try next.
pub(super) fn run() -> Result<Exit> {
    note(
        "training a small network on the embedded digits until it fits 99 % of them, then measuring its sharpness",
    );
    start_threads(None)?;
    let dataset = Dataset::load(DatasetName::Digits, &Locations::default())?;
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    // The settings that fit the digits fastest; the tight tolerance costs a few products.
    config.training.learning_rate = 0.1;
    config.training.batch_size = 32;
    fit_micro_batch(&mut config.training, false)?;
    config.measure.rtol = 1e-6;
    fit_examples(&mut config.measure, dataset.train().len(), false, None)?;
    let interrupt = Interrupt::listen()?;
    let data = Standardized::new(dataset, config.data.standardize);
    let mut watch = Watch::new(&interrupt, &config);
    let options =
        RunOptions { budget: Budget::default().less(config.data.name.bytes()), ..RunOptions::default() };
    let completion = complete_run(&config, &data, &options, true, &mut watch)?;
    drop(watch);
    let Some(report) = completion.report() else {
        note("stopped");
        return Ok(Exit::Interrupted);
    };
    let next = [
        ("a larger step", "train --arch mlp --dataset digits --batch-size 32 --lr 0.5"),
        (
            "sharpness-aware minimization",
            "train --arch mlp --dataset digits --batch-size 32 --lr 0.1 --sam-rho 0.1",
        ),
        ("a run that is kept", "train --arch cnn-bn --dataset digits --out runs/first"),
        ("other data sets", "data list"),
        ("all choices", "train --help"),
    ];
    let mut text = report_text(&report);
    text.push_str("\nTry next:\n");
    for (what, arguments) in next {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {what:<30}{}", Suggestion::new(arguments));
    }
    print(&text)?;
    Ok(exit::of_report(&report))
}
