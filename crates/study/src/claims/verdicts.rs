//! Judges all findings, by runs and by the paper's numbers.

use serde::Serialize;

use super::cells::{Cells, LeftOut};
use super::findings::{Finding, Judgement};
use super::judge::Verdict;
use super::prediction::Prediction;
use super::published::Bars;
use crate::Result;

/// A finding by runs and by the paper's numbers.
#[derive(Debug, Serialize)]
pub struct JudgedFinding {
    /// The section of the paper.
    pub section: String,
    /// The finding in a sentence.
    pub sentence: String,
    /// The figures of the paper that show it, such as `13a`.
    pub figures: Vec<String>,
    /// By each group of runs that differ only in the settings that the finding compares.
    pub runs: Vec<Judgement>,
    /// By the published numbers, their bars taken as standard deviations; none if the paper has none.
    pub published: Option<Judgement>,
    /// The verdict if the published bars are standard errors.
    pub published_if_standard_errors: Option<Verdict>,
    /// The runs of the paper as a recipe, if no run is about the finding.
    pub missing: Option<String>,
}

/// All verdicts.
#[derive(Debug, Serialize)]
pub struct Claims {
    /// The findings, in the order of the paper.
    pub findings: Vec<JudgedFinding>,
    /// How well λ_max, the other measures and trivial predictors predict how the judged runs generalize.
    pub predictions: Vec<Prediction>,
    /// Runs that are not used.
    pub left_out: LeftOut,
    /// Whether runs were judged, or only the published numbers.
    #[serde(skip)]
    pub has_runs: bool,
}

impl Claims {
    /// Every finding by runs, if there are any, and by the published numbers.
    ///
    /// # Errors
    /// As [`Finding::judge`].
    pub fn new(findings: &[Finding], cells: Option<&Cells>) -> Result<Self> {
        let judge = |finding: &Finding| -> Result<JudgedFinding> {
            let runs = cells.map_or_else(|| Ok(Vec::new()), |cells| finding.judge(cells))?;
            let missing = if runs.is_empty() && cells.is_some() { finding.recipe()? } else { None };
            let errors = finding.judge_published(Bars::StandardErrors)?;
            Ok(JudgedFinding {
                section: finding.section.clone(),
                sentence: finding.sentence.clone(),
                figures: finding.figures.clone(),
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
