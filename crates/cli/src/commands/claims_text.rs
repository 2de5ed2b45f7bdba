//! The verdicts as text: a table, or every number.

use std::fmt::Write as _;

use sharpness_study::claims::{
    Claims, JudgedFinding, Judgement, LeftOut, Verdict, condition_text, effect_text, numbers_text, short,
    verdict_words,
};

use super::predictions_text;
use crate::output::{Align, Style, Table, escaped, plural, styled};

/// The explanation of the numbers, on every screen.
const MEANING: &str = "Effects with intervals of 95 % by Student's t over seeds: the one that decides, in points of accuracy or as a factor of λ_max.";
/// The explanation of the published numbers.
const BARS: &str =
    "The paper does not say what its bars are; they are taken as standard deviations over runs.";

/// The summary, or all details.
pub(super) fn text(claims: &Claims, details: bool) -> String {
    let verdicts = if details { all(claims) } else { table(claims) };
    let mut text = format!("{verdicts}\n{MEANING}\n{BARS}{}\n", if_standard_errors(&claims.findings));
    if let Some(left_out) = left_out_text(claims.left_out) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Left out: {left_out}; --with-unconverged uses them.");
    }
    if !details {
        text.push_str("--details shows every number, and the runs that are missing as a recipe.\n");
    }
    text + &predictions_text::text(&claims.predictions)
}

fn table(claims: &Claims) -> String {
    let mut table = Table::new([
        ("section", Align::Left),
        ("verdict", Align::Left),
        ("effect [95 %]", Align::Left),
        ("seeds", Align::Right),
        ("paper's numbers", Align::Left),
        ("finding", Align::Left),
    ]);
    let names: Vec<&str> =
        claims.findings.iter().flat_map(|finding| &finding.runs).map(|judged| judged.runs.as_str()).collect();
    let is_one = names.windows(2).all(|pair| pair[0] == pair[1]);
    let mut rows = 0;
    for finding in &claims.findings {
        let paper = finding.published.as_ref().map_or("", |judgement| short(judgement.verdict)).to_owned();
        let judged: Vec<&Judgement> =
            if claims.has_runs { finding.runs.iter().collect() } else { finding.published.iter().collect() };
        for judgement in judged.into_iter().filter(|judgement| has_numbers(judgement)) {
            let (effect, seeds) =
                judgement.deciding().map_or_else(Default::default, |(condition, effect)| {
                    (effect_text(condition, effect, true), effect.seeds.to_string())
                });
            let sentence = &finding.sentence;
            let sentence = if is_one { sentence.clone() } else { format!("{sentence} ({})", judgement.runs) };
            let verdict = verdict_words(judgement);
            rows += 1;
            table.push([finding.section.clone(), verdict, effect, seeds, paper.clone(), sentence]);
        }
    }
    let mut text = if rows == 0 { String::new() } else { table.render() };
    if let Some(name) = names.first().filter(|_| is_one) {
        let _ = writeln!(text, "Runs: {}.", escaped(name));
    }
    text + &without_numbers(claims)
}

/// Whether anything could be compared.
fn has_numbers(judgement: &Judgement) -> bool {
    judgement.conditions.iter().any(|condition| !condition.effects.is_empty())
}

/// The findings without a row, on a line or two.
fn without_numbers(claims: &Claims) -> String {
    let sections = |is_meant: &dyn Fn(&JudgedFinding) -> bool| -> Vec<&str> {
        let meant = claims.findings.iter().filter(|finding| is_meant(finding));
        meant.map(|finding| finding.section.as_str()).collect()
    };
    let none = sections(&|finding| finding.runs.is_empty());
    let some = sections(&|finding| !finding.runs.is_empty() && !finding.runs.iter().any(has_numbers));
    let mut text = String::new();
    for (what, sections) in [("No run is about", none), ("Not enough runs, nothing to compare", some)] {
        if claims.has_runs && !sections.is_empty() {
            let _ = writeln!(text, "{what}: {}.", escaped(&sections.join("; ")));
        }
    }
    text
}

/// The published verdicts that change if the bars are standard errors.
fn if_standard_errors(findings: &[JudgedFinding]) -> String {
    let change = |finding: &JudgedFinding| {
        let (verdict, other) = (finding.published.as_ref()?.verdict, finding.published_if_standard_errors?);
        let is_same = short(verdict) == short(other);
        (!is_same).then(|| format!("{} ({} instead of {})", finding.section, short(other), short(verdict)))
    };
    let changes: Vec<String> = findings.iter().filter_map(change).collect();
    if changes.is_empty() {
        return " If they are standard errors, no verdict changes.".to_owned();
    }
    format!(" If they are standard errors, these change: {}.", changes.join("; "))
}

fn left_out_text(LeftOut { trainings, lambda_max }: LeftOut) -> Option<String> {
    let mut parts = Vec::new();
    if trainings > 0 {
        parts.push(format!("{} that missed the target accuracy", plural(trainings, "training")));
    }
    if lambda_max > 0 {
        parts.push(format!("the λ_max of {}, missing or not converged", plural(lambda_max, "run")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn all(claims: &Claims) -> String {
    let mut text = String::new();
    for finding in &claims.findings {
        let section = styled(Style::Bold, &escaped(&finding.section));
        let _ = writeln!(text, "{section}  {}", escaped(&finding.sentence));
        for judgement in &finding.runs {
            judgement_text(&mut text, &judgement.runs, judgement);
        }
        if finding.runs.is_empty() && claims.has_runs {
            let _ = writeln!(text, "  these runs  none is about this");
            recipe_text(&mut text, finding.missing.as_deref());
        }
        if let Some(judgement) = &finding.published {
            judgement_text(&mut text, "the paper's numbers", judgement);
        }
    }
    text
}

fn judgement_text(text: &mut String, who: &str, judgement: &Judgement) {
    let style = match judgement.verdict {
        Verdict::Holds => Style::Green,
        Verdict::DoesNotHold => Style::Red,
        Verdict::NotEnoughRuns { .. } => Style::Yellow,
    };
    let _ = writeln!(text, "  {}: {}", escaped(who), styled(style, &verdict_words(judgement)));
    for condition in &judgement.conditions {
        let _ = writeln!(text, "    {}", condition_text(condition));
        for effect in &condition.effects {
            let _ = writeln!(text, "      {}", escaped(&numbers_text(condition, effect)));
        }
    }
    if let Some(left_out) = left_out_text(judgement.left_out).filter(|_| who != "the paper's numbers") {
        let _ = writeln!(text, "    left out: {left_out}");
    }
    if who != "the paper's numbers" {
        recipe_text(text, judgement.missing.as_deref());
    }
}

fn recipe_text(text: &mut String, recipe: Option<&str>) {
    let Some(recipe) = recipe else { return };
    let _ = writeln!(text, "    missing, as a recipe for `sharpness sweep`:");
    for line in recipe.lines() {
        let _ = writeln!(text, "      {}", escaped(line));
    }
}
