//! `sharpness claims`: whether the findings of the paper hold.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sharpness_experiments::claims::{Cell, Condition, FINDINGS, Judgement, Verdict, Wanted};

use super::runs::Choice;
use crate::exit::{EXIT_CODES, Exit};
use crate::output::{plural, print, print_json, significant};

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
struct Both {
    section: &'static str,
    sentence: &'static str,
    /// By the runs of the store; absent where they are not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Judgement>,
    published: Judgement,
}

/// Judges all findings.
pub(super) fn run(command: &ClaimsCommand) -> Result<Exit> {
    let cells = if command.published { None } else { Some(Cell::of_runs(&command.choice.runs()?.0)?) };
    let mut all = Vec::new();
    for finding in &FINDINGS {
        all.push(Both {
            section: finding.section,
            sentence: finding.sentence,
            runs: cells.as_ref().map(|cells| finding.judge(cells)),
            published: finding.judge_published()?,
        });
    }
    if command.json {
        print_json(&all)?;
    } else {
        print(&text(&all))?;
    }
    Ok(Exit::Done)
}

fn text(all: &[Both]) -> String {
    let bold = anstyle::Style::new().bold();
    let mut text = String::new();
    for Both { section, sentence, runs, published } in all {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{bold}{section}{bold:#}  {sentence}");
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

fn verdict_text(verdict: Verdict, conditions: &[Condition]) -> String {
    let (color, text) = match verdict {
        Verdict::Holds => (anstyle::AnsiColor::Green, "holds".to_owned()),
        Verdict::DoesNotHold => (anstyle::AnsiColor::Red, "does not hold".to_owned()),
        Verdict::NotEnoughRuns { .. } if conditions.is_empty() => {
            (anstyle::AnsiColor::Yellow, "not enough runs (none is about this)".to_owned())
        }
        Verdict::NotEnoughRuns { more } => {
            (anstyle::AnsiColor::Yellow, format!("not enough runs (need {more} more)"))
        }
    };
    let style = anstyle::Style::new().bold().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}

fn condition_text(condition: &Condition) -> String {
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
