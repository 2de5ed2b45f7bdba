//! `sharpness claims`: judges the findings of the paper.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sharpness_runs::RunTable;
use sharpness_study::claims::{Cell, Cells, Claims, Finding, Run};

use super::claims_text;
use super::runs::Choice;
use crate::exit::{EXIT_CODES, Exit};
use crate::output::{print, print_json};

/// Which runs are judged.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ClaimsCommand {
    #[command(flatten)]
    choice: Choice,

    /// Judge the runs of a table written by `runs export` (CSV or Parquet) instead of those of a store; repeatable
    #[arg(long = "table", value_name = "FILE", conflicts_with_all = ["store", "filters"])]
    tables: Vec<PathBuf>,

    /// Judge the findings of a TOML file instead of the paper's
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,

    /// Judge only the paper's own numbers
    #[arg(long, conflicts_with_all = ["store", "filters", "tables"])]
    published: bool,

    /// Also use trainings that missed their target and λ_max that did not converge
    #[arg(long)]
    with_unconverged: bool,

    /// Show every number behind each verdict, and the missing runs
    #[arg(long)]
    details: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Judges all findings.
pub(super) fn run(command: &ClaimsCommand) -> Result<Exit> {
    let findings = command.findings.as_ref().map_or_else(Finding::paper, |path| Finding::read(path))?;
    let claims = Claims::new(&findings, command.cells()?.as_ref())?;
    if command.json {
        print_json(&claims)?;
    } else {
        print(&claims_text::text(&claims, command.details))?;
    }
    Ok(Exit::Done)
}

impl ClaimsCommand {
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
