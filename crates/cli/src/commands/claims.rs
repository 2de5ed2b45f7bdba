//! `sharpness claims`: whether the findings of the paper hold.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_experiments::claims::{
    Cell, Condition, FINDINGS, Finding, Judgement, Prediction, SignError, Verdict, Wanted,
};

use super::runs::Choice;
use crate::exit::{EXIT_CODES, Exit};
use crate::output::{Align, Style, Table, plural, print, print_json, significant, styled};

/// Which runs are judged.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct ClaimsCommand {
    #[command(flatten)]
    choice: Choice,

    /// Judge the paper's own numbers alone
    #[arg(long, conflicts_with_all = ["store", "filters"])]
    published: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A finding by both.
#[derive(Serialize)]
pub(crate) struct Both {
    pub(crate) section: &'static str,
    pub(crate) sentence: &'static str,
    /// By the runs of the store; absent where they are not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runs: Option<Judgement>,
    pub(crate) published: Judgement,
}

/// All that is said.
#[derive(Serialize)]
struct Claims {
    findings: Vec<Both>,
    /// λ_max as a predictor of the test error, by the runs that are judged.
    predictions: Vec<Prediction>,
}

/// Judges all findings.
pub(super) fn run(command: &ClaimsCommand) -> Result<Exit> {
    let cells = if command.published { None } else { Some(Cell::of_runs(&command.choice.reports()?)?) };
    let all = judged(cells.as_deref())?;
    let predictions = match &cells {
        Some(cells) => Prediction::of_cells(cells),
        None => Prediction::published()?,
    };
    if command.json {
        print_json(&Claims { findings: all, predictions })?;
    } else {
        print(&format!("{}{}", text(&all), predictions_text(&predictions)))?;
    }
    Ok(Exit::Done)
}

/// Every finding by the cells of runs, where they are asked for, and by the published ones.
pub(super) fn judged(cells: Option<&[Cell]>) -> Result<Vec<Both>> {
    let judge = |finding: &Finding| {
        Ok(Both {
            section: finding.section,
            sentence: finding.sentence,
            runs: cells.map(|cells| finding.judge(cells)),
            published: finding.judge_published()?,
        })
    };
    FINDINGS.iter().map(judge).collect()
}

fn text(all: &[Both]) -> String {
    let mut text = String::new();
    for Both { section, sentence, runs, published } in all {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {sentence}", styled(Style::Bold, section));
        for (who, judgement) in [("these runs", runs.as_ref()), ("published", Some(published))] {
            let Some(Judgement { verdict, data, conditions, .. }) = judgement else { continue };
            let data = data.as_ref().map_or_else(String::new, |data| format!(" ({data})"));
            let _ = writeln!(text, "  {who:<11}{}{data}", verdict_text(*verdict, conditions));
            for condition in conditions {
                let _ = writeln!(text, "    {}", condition_text(condition));
            }
        }
    }
    let _ = writeln!(
        text,
        "\nSlopes and differences with intervals of 95 % by bootstrap over seeds; more runs are of each setting."
    );
    text
}

fn predictions_text(predictions: &[Prediction]) -> String {
    if predictions.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("λ_max as a predictor of test error", Align::Left),
        ("settings", Align::Right),
        ("τ", Align::Right),
        ("95 %", Align::Left),
        ("Ψ", Align::Right),
        ("along each hyperparameter", Align::Left),
        ("sign-error: worst, 90 %, mean", Align::Left),
    ]);
    for found in predictions {
        let round = |value: f64| format!("{value:.2}");
        let interval = found
            .interval
            .map_or_else(String::new, |(lower, upper)| format!("[{}, {}]", round(lower), round(upper)));
        let along: Vec<String> =
            found.along.iter().map(|(axis, psi)| format!("{axis} {}", round(*psi))).collect();
        let errors = found.sign_error.map_or_else(
            || format!("none of {} pairs is known well enough", found.environments),
            |SignError { max, percentile_90, mean, environments }| {
                let [max, most, mean] = [max, percentile_90, mean].map(round);
                format!("{max}, {most}, {mean} ({environments} of {} pairs)", found.environments)
            },
        );
        table.push([
            format!("{} on {}", found.network, found.data),
            found.settings.to_string(),
            round(found.kendall_tau),
            interval,
            found.granulated_psi.map_or_else(String::new, round),
            along.join(", "),
            errors,
        ]);
    }
    let meaning = "τ and Ψ: 1 if a smaller λ_max always goes with a smaller test error, 0 for a coin (Jiang et al. 2020); \
                   sign-error: 0 and 0.5 (Dziugaite et al. 2020).";
    format!("\n{}\n{meaning}\n", table.render())
}

fn verdict_text(verdict: Verdict, conditions: &[Condition]) -> String {
    let style = match verdict {
        Verdict::Holds => Style::Green,
        Verdict::DoesNotHold => Style::Red,
        Verdict::NotEnoughRuns { .. } => Style::Yellow,
    };
    styled(style, &verdict_words(verdict, conditions))
}

/// A verdict in words.
pub(crate) fn verdict_words(verdict: Verdict, conditions: &[Condition]) -> String {
    match verdict {
        Verdict::Holds => "holds".to_owned(),
        Verdict::DoesNotHold => "does not hold".to_owned(),
        Verdict::NotEnoughRuns { .. } if conditions.is_empty() => {
            "not enough runs (none is about this)".to_owned()
        }
        Verdict::NotEnoughRuns { more } => format!("not enough runs (need {more} more)"),
    }
}

/// A condition with its number, in one line.
pub(crate) fn condition_text(condition: &Condition) -> String {
    let Condition { name, wanted, value, interval, settings, runs, verdict } = condition;
    let wanted = match wanted {
        Wanted::Above(bound) => format!("above {}", bound_text(*bound)),
        Wanted::Below(bound) => format!("below {}", bound_text(*bound)),
        Wanted::Between(lower, upper) => format!("between {} and {}", bound_text(*lower), bound_text(*upper)),
    };
    let found = match (value, interval) {
        (Some(value), Some((lower, upper))) => {
            let [value, lower, upper] = [*value, *lower, *upper].map(|number| significant(number, 3));
            format!("{value} [{lower}, {upper}], must be {wanted}")
        }
        _ => format!("unknown, must be {wanted}"),
    };
    let mark = match verdict {
        Verdict::Holds => "✓",
        Verdict::DoesNotHold => "✗",
        Verdict::NotEnoughRuns { .. } => "?",
    };
    let (settings, runs) = (plural(*settings, "setting"), plural(*runs, "run"));
    format!("{mark} {name}: {found}  ({settings}, {runs} each or more)")
}

fn bound_text(bound: f64) -> String {
    if bound == 0.0 { "0".to_owned() } else { significant(bound, 3) }
}
