//! Verdicts, figures, runs and curves as a page of HTML: one file that needs no network, or a live one that a server fills.
//!
//! | file | subject |
//! | --- | --- |
//! | `findings.rs`, `predictions.rs`, `drawings.rs` | verdicts, what predicts generalization, and figures |
//! | `row.rs`, `board.rs`, `curve.rs` | the data of runs: a row each, all rows, curves and details |
//! | `view.rs`, `assets/` | the frame, the style and the script that show them |

mod board;
mod curve;
mod drawings;
mod findings;
mod predictions;
mod row;
mod view;

use std::path::PathBuf;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};
use sharpness_runs::{FigureKind, Plan, Report, RunStore};
use sharpness_training::number::plural;

use crate::Result;
use crate::claims::{Cell, Claims, Finding, Run};
use crate::figures::Figure;

pub use board::Board;
pub use curve::{Curve, Points, detail};
pub use drawings::{Drawing, PageFigure, figures};
pub use row::Row;
pub use view::{asset, live_html};

/// The numbers in the curves of a page in one file, at most; about 20 MB.
const MOST_NUMBERS: usize = 1 << 20;
/// Columns of an epoch.
const NUMBERS_OF_EPOCH: usize = 6;
/// The fewest and the most epochs of such a curve.
const EPOCHS: (usize, usize) = (16, 1000);
/// The most trainings whose details are in a page in one file.
const MOST_DETAILS: usize = 500;

/// The content of the page.
pub struct Page<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its figures.
    pub figures: &'a [PageFigure],
    /// The verdicts.
    pub claims: &'a Claims,
    /// The finished runs, which the verdicts are drawn from.
    pub runs: usize,
    /// The trainings.
    pub board: &'a Board,
    /// Where they are.
    pub store: &'a RunStore,
    /// Names and values: the machine that renders the page, versions.
    pub machine: &'a [(&'static str, String)],
    /// The command that wrote the page.
    pub command: &'a str,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta http-equiv="Content-Security-Policy"
                        content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                    (view::head(self.title))
                    style { (PreEscaped(view::STYLE)) }
                }
                body {
                    (view::skip_link())
                    (self.header())
                    main id="main" {
                        (findings::section(self.claims))
                        (view::runs())
                        (figures_section(self.figures))
                        (predictions::section(&self.claims.predictions))
                        (self.environment())
                    }
                    noscript { p { "The table of runs and their curves need JavaScript; the rest of this page does not." } }
                    (self.data())
                    script { (PreEscaped(view::script())) }
                }
            }
        };
        page.into_string()
    }

    fn header(&self) -> Markup {
        html! {
            header.top {
                h1 { (self.title) }
                (view::theme_button())
            }
            p.faint {
                (plural(self.runs, "run")) ". λ_max is the largest eigenvalue of the Hessian of the mean training loss, with dropout off; "
                "the findings are those of Kaur, Cohen and Lipton (2022), "
                em { "On the Maximum Hessian Eigenvalue and Generalization" } "."
            }
            nav aria-label="Sections" {
                a href="#findings" { "Findings" }
                a href="#runs" { "Runs" }
                @for figure in self.figures { a href={ "#" (figure.id) } { (short(&figure.figure.title)) } }
                a href="#predictions" { "What predicts" }
                a href="#rendering" { "This page" }
            }
        }
    }

    /// The rows, curves and details, for the script.
    fn data(&self) -> Markup {
        let ids: Vec<&String> = self.board.rows.keys().collect();
        let most = MOST_NUMBERS / NUMBERS_OF_EPOCH / ids.len().max(1);
        let curves = ids.iter().map(|id| Curve::read(self.store, id, most.clamp(EPOCHS.0, EPOCHS.1)));
        let curves: Vec<Curve> =
            curves.filter(|curve| !curve.epoch.is_empty() || curve.end.is_some()).collect();
        let detailed = if ids.len() > MOST_DETAILS { &[] } else { &ids[..] };
        let details: Vec<Value> = detailed.iter().map(|id| detail(self.store, id)).collect();
        html! {
            (view::data("rows", &self.board.json(|_| true).to_string()))
            (view::data("curves", &json!(curves).to_string()))
            (view::data("details", &json!(details).to_string()))
        }
    }

    fn environment(&self) -> Markup {
        html! {
            section id="rendering" {
                h2 { "This page" }
                p.faint { "The machine that rendered this page. `sharpness runs show` names those that executed a run." }
                div.scroll { table { tbody {
                    @for (name, value) in self.machine { tr { th { (name) } td { (value) } } }
                } } }
                p { "Command:" }
                pre { (self.command) }
            }
        }
    }
}

/// Verdicts and figures of a store as HTML, by the names of their sections. Recipes without a figure are left out, and so are runs that cannot be read.
///
/// # Errors
/// If the store or a recipe cannot be read.
pub fn conclusions(
    store: &RunStore,
    recipes: &[PathBuf],
    commands: &dyn Fn(&Drawing) -> String,
) -> Result<Value> {
    let mut reports: Vec<Report> = Vec::new();
    for id in store.trainings()? {
        reports.extend(store.reports(&id).into_iter().flatten());
    }
    let cells = Cell::of_runs(&Run::of_reports(&reports)?, false);
    let claims = Claims::new(&Finding::paper()?, Some(&cells))?;
    let mut drawn = Vec::new();
    for recipe in recipes {
        if Plan::read(recipe)?.figure.is_some() {
            drawn.push(recipe.clone());
        }
    }
    let figures = figures(store, &drawn, commands)?;
    Ok(json!({
        "findings": findings::section(&claims).into_string(),
        "figures": figures_section(&figures).into_string(),
        "predictions": predictions::section(&claims.predictions).into_string(),
    }))
}

/// `Figure 8` of `Figure 8: dropout with small batches`.
fn short(title: &str) -> &str {
    title.split_once(':').map_or(title, |(short, _)| short)
}

fn figures_section(figures: &[PageFigure]) -> Markup {
    html! {
        section id="figures" {
            h2 { "Figures" }
            @for figure in figures { (picture(figure)) }
            @if figures.is_empty() { p { "No run is in a figure." } }
        }
    }
}

fn picture(PageFigure { id, figure, commands }: &PageFigure) -> Markup {
    let class = if figure.spec.kind == FigureKind::Scatter { "picture narrow" } else { "picture" };
    let done = (figure.reports.len() < figure.planned)
        .then(|| format!("{} of {} runs are done.", figure.reports.len(), figure.planned));
    html! {
        figure id=(id) {
            div class=(class) role="img" aria-label=(figure.title) tabindex="0" { (PreEscaped(figure.svg())) }
            figcaption { (figure.caption()) @if let Some(done) = done { " " strong { (done) } } }
            details {
                summary { "Numbers and commands" }
                pre { (commands) }
                div.scroll { (points(figure)) }
            }
        }
    }
}

/// The points of a figure's runs. Curves have too many.
fn points(figure: &Figure) -> Markup {
    let own = figure.lines.iter().filter(|line| !line.is_published);
    let own: Vec<_> = if figure.spec.kind == FigureKind::Curves { Vec::new() } else { own.collect() };
    let number = sharpness_training::number::significant;
    html! {
        @if !own.is_empty() {
            table {
                thead { tr { th { "line" } th { "x" } th { "runs" } th { "test accuracy" } th { "λ_max" } } }
                tbody {
                    @for line in own { @for point in &line.points { tr {
                        td { (line.name) }
                        td.number { (number(point.x, 4)) }
                        td.number { (point.lambda_max.runs) }
                        td.number { (point.accuracy.map_or_else(String::new, statistic)) }
                        td.number { (statistic(point.lambda_max)) }
                    } } }
                }
            }
        }
    }
}

fn statistic(statistic: crate::figures::Statistic) -> String {
    let mean = sharpness_training::number::significant(statistic.mean, 4);
    statistic.deviation.map_or_else(
        || mean.clone(),
        |deviation| format!("{mean} ± {}", sharpness_training::number::significant(deviation, 2)),
    )
}
