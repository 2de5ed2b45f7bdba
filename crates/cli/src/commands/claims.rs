//! `sharpness claims`: judges the findings of the paper, and how well each measure predicts generalization.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sharpness_runs::RunTable;
use sharpness_study::claims::{Cell, Cells, Claims, Finding, Run};
use sharpness_study::figures::PredictorsFigure;

use super::choice::Choice;
use super::claims_text;
use crate::exit::{EXIT_CODES, Exit};
use crate::output::{line, note, print, print_json};

/// Which runs are judged.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ClaimsCommand {
    #[command(flatten)]
    choice: Choice,

    /// Judge the runs of a table written by `runs export` (CSV or Parquet) instead of those of a store; repeatable
    #[arg(long = "table", value_name = "FILE", conflicts_with_all = ["store", "filters", "of_recipes"])]
    tables: Vec<PathBuf>,

    /// Judge the findings of a TOML file instead of the paper's
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,

    /// Judge only the paper's own numbers
    #[arg(long, conflicts_with_all = ["store", "filters", "of_recipes", "tables"])]
    published: bool,

    /// Also use trainings that missed their target and λ_max that did not converge
    #[arg(long)]
    with_unconverged: bool,

    /// Show every number behind each verdict, and the missing runs
    #[arg(long)]
    details: bool,

    /// Draw how well each measure predicts into this directory: predictors.svg and .png, with the numbers (CSV) and a caption
    #[arg(long, value_name = "DIR")]
    predictors_figure: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Judges all findings.
pub(super) fn run(command: &ClaimsCommand) -> Result<Exit> {
    let findings = command.findings.as_ref().map_or_else(Finding::paper, |path| Finding::read(path))?;
    let claims = Claims::new(&findings, command.cells()?.as_ref())?;
    let files = command.draw(&claims)?;
    if command.json {
        print_json(&claims)?;
    } else {
        let mut text = claims_text::text(&claims, command.details);
        for (place, file) in files.iter().enumerate() {
            if place == 0 {
                text.push('\n');
            }
            line(&mut text, if place == 0 { "figure" } else { "" }, &file.display().to_string());
        }
        print(&text)?;
    }
    Ok(Exit::Done)
}

impl ClaimsCommand {
    /// Draws the picture of predictors, if requested. Returns its files.
    fn draw(&self, claims: &Claims) -> Result<Vec<PathBuf>> {
        let Some(dir) = &self.predictors_figure else { return Ok(Vec::new()) };
        let Some(figure) = PredictorsFigure::new(&claims.predictions) else {
            note(
                "no predictor has a τ; --predictors-figure takes at least three settings that differ in hyperparameters",
            );
            return Ok(Vec::new());
        };
        Ok(figure.write(dir)?)
    }

    /// The runs to judge; none if only the published numbers are judged.
    fn cells(&self) -> Result<Option<Cells>> {
        if self.published {
            return Ok(None);
        }
        let mut runs = Vec::new();
        if self.tables.is_empty() {
            runs = Run::of_reports(&self.choice.reports()?)?;
        }
        for path in &self.tables {
            runs.extend(Run::of_table(&RunTable::read(path)?)?);
        }
        Ok(Some(Cell::of_runs(&runs, self.with_unconverged)))
    }
}
