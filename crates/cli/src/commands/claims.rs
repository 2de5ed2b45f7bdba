//! `sharpness claims`: whether the findings of the paper hold.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_experiments::claims::{
    Bars, Cell, Cells, Finding, Judgement, LeftOut, Prediction, Run, Verdict,
};
use sharpness_experiments::store::RunTable;

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

    /// Judge the runs of a table that `runs export` wrote, as CSV or Parquet, instead of a store's; may be given several times
    #[arg(long = "table", value_name = "FILE", conflicts_with_all = ["store", "filters"])]
    tables: Vec<PathBuf>,

    /// Judge the findings in a TOML file instead of the paper's
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,

    /// Judge the paper's own numbers alone
    #[arg(long, conflicts_with_all = ["store", "filters", "tables"])]
    published: bool,

    /// Use trainings that missed their target and λ_max that did not converge too
    #[arg(long)]
    with_unconverged: bool,

    /// Show every number behind each verdict, and the runs that are missing
    #[arg(long)]
    details: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A finding by runs and by the paper's numbers.
#[derive(Serialize)]
pub(crate) struct Judged {
    pub(crate) section: String,
    pub(crate) sentence: String,
    /// By each group of runs that differ in nothing but what the finding compares.
    pub(crate) runs: Vec<Judgement>,
    /// By the published numbers, their bars taken as standard deviations; absent if the paper has none.
    pub(crate) published: Option<Judgement>,
    /// The verdict if the published bars are standard errors.
    pub(crate) published_if_standard_errors: Option<Verdict>,
    /// The runs of the paper as a recipe, if no run is about the finding.
    pub(crate) missing: Option<String>,
}

/// All that is said.
#[derive(Serialize)]
pub(crate) struct Claims {
    pub(crate) findings: Vec<Judged>,
    /// λ_max as a predictor of the test error, by the runs that are judged.
    pub(crate) predictions: Vec<Prediction>,
    /// Runs that count nowhere.
    pub(crate) left_out: LeftOut,
    /// Whether runs were judged, or the published numbers alone.
    #[serde(skip)]
    pub(crate) has_runs: bool,
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
    /// The runs that are judged; none if the published numbers are judged alone.
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

impl Claims {
    /// Every finding by runs, if there are any, and by the published numbers.
    pub(crate) fn new(findings: &[Finding], cells: Option<&Cells>) -> Result<Self> {
        let judge = |finding: &Finding| -> Result<Judged> {
            let runs = cells.map_or_else(|| Ok(Vec::new()), |cells| finding.judge(cells))?;
            let missing = if runs.is_empty() && cells.is_some() { finding.recipe()? } else { None };
            let errors = finding.judge_published(Bars::StandardErrors)?;
            Ok(Judged {
                section: finding.section.clone(),
                sentence: finding.sentence.clone(),
                runs,
                published: finding.judge_published(Bars::Deviations)?,
                published_if_standard_errors: errors.map(|judgement| judgement.verdict),
                missing,
            })
        };
        let predictions = match cells {
            Some(cells) => Prediction::of_cells(&cells.kept),
            None => Prediction::published()?,
        };
        Ok(Self {
            findings: findings.iter().map(judge).collect::<Result<_>>()?,
            predictions,
            left_out: cells.map_or_else(LeftOut::default, Cells::left_out),
            has_runs: cells.is_some(),
        })
    }
}
