//! The report as one page of HTML: figures, verdicts, tables, the machine and the commands. It needs no network and no script.

mod findings;
mod predictions;
mod runs;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sharpness_runs::{FigureKind, Report};
use sharpness_training::number::plural;

use crate::claims::Claims;
use crate::figures::Figure;

const STYLE: &str = include_str!("style.css");

/// The content of the page.
pub struct Page<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its figures.
    pub figures: &'a [PageFigure],
    /// The verdicts.
    pub claims: &'a Claims,
    /// The runs.
    pub reports: &'a [Report],
    /// Names and values: the machine that renders the page, versions.
    pub machine: &'a [(&'static str, String)],
    /// The command that wrote the page.
    pub command: &'a str,
}

/// A figure with the commands that reproduce it.
pub struct PageFigure {
    /// The anchor of the figure.
    pub id: String,
    /// The figure.
    pub figure: Figure,
    /// The commands that draw it again.
    pub commands: String,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (self.header())
                    main {
                        (findings::section(self.claims))
                        (predictions::section(&self.claims.predictions))
                        section id="figures" {
                            h2 { "Figures" }
                            @for figure in self.figures { (picture(figure)) }
                            @if self.figures.is_empty() { p { "No run is in a figure." } }
                        }
                        (runs::section(self.reports))
                        (self.environment())
                    }
                }
            }
        };
        page.into_string()
    }

    fn header(&self) -> Markup {
        let settings = plural(self.reports.len(), "run");
        html! {
            header {
                h1 { (self.title) }
                p.faint {
                    (settings) ". λ_max is the largest eigenvalue of the Hessian of the mean training loss, with dropout off; "
                    "the findings are those of Kaur, Cohen and Lipton (2022), "
                    em { "On the Maximum Hessian Eigenvalue and Generalization" } "."
                }
                nav {
                    a href="#findings" { "Findings" }
                    a href="#predictions" { "What predicts" }
                    @for figure in self.figures { a href={ "#" (figure.id) } { (short(&figure.figure.title)) } }
                    a href="#runs" { "Runs" }
                    a href="#rendering" { "This page" }
                }
            }
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

/// `Figure 8` of `Figure 8: dropout with small batches`.
fn short(title: &str) -> &str {
    title.split_once(':').map_or(title, |(short, _)| short)
}

fn picture(PageFigure { id, figure, commands }: &PageFigure) -> Markup {
    let class = if figure.spec.kind == FigureKind::Scatter { "picture narrow" } else { "picture" };
    html! {
        figure id=(id) {
            div class=(class) role="img" aria-label=(figure.title) { (PreEscaped(figure.svg())) }
            figcaption { (figure.caption()) }
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
