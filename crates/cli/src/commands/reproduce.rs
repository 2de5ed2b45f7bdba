//! `sharpness reproduce`: executes the runs of the paper's figures and draws them.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use sharpness_runs::{FIGURES, PaperFigure, Plan, Scale};
use sharpness_study::figures::Figure;

use super::figure::{DRAWING_BYTES, Drawn, ExamplesArg};
use super::sweep_args::SweepArgs;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{line, note, plural, print, print_json};

/// The scales, for the help text.
const SCALES: &str = "\
Scales:
  smoke    all fifteen in minutes: shows that everything works, not whether the findings hold
  laptop   minutes to hours for each on two cores: fewer examples, narrower networks, fewer settings and seeds
  desk     days for all on two cores: the smallest at which the paper's trends can show
  paper    the authors' own grid and data: hours (Figure 8) to weeks

Each scale of each figure is a recipe. Print it with --recipe, edit it, and run it with `sharpness sweep` and
`sharpness figure`.

Exit codes:
  0    all runs are done and the figures are drawn
  1    a run failed
  2    the command line or a recipe does not make sense
  130  stopped by Ctrl-C or a signal; all runs are saved";

/// Figures of the paper.
#[derive(Args, Debug)]
#[command(after_help = SCALES)]
pub(super) struct ReproduceCommand {
    /// The figures: fig1 to fig15, or all
    #[arg(required = true, value_name = "FIGURE")]
    figures: Vec<Figures>,

    /// How large the runs are
    #[arg(long, value_name = "SCALE", value_enum, default_value_t = ScaleName::Laptop)]
    scale: ScaleName,

    /// Write the pictures (SVG and PNG), their tables (CSV) and captions into this directory
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,

    #[command(flatten)]
    sweep: SweepArgs,

    #[command(flatten)]
    examples: ExamplesArg,

    /// Print the recipe of the figure and exit
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    recipe: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One figure by its number, or all.
#[derive(Clone, Copy, Debug)]
enum Figures {
    All,
    One(u8),
}

impl FromStr for Figures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let number = text.strip_prefix("fig").unwrap_or(text).parse();
        let number = number.ok().filter(|number| (1..=FIGURES).contains(number));
        number.map(Self::One).ok_or_else(|| {
            format!("there is no figure '{text}'; the figures are fig1 to fig{FIGURES}, and all")
        })
    }
}

/// A scale as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ScaleName {
    Smoke,
    Laptop,
    Desk,
    Paper,
}

impl ScaleName {
    pub(super) const fn scale(self) -> Scale {
        match self {
            Self::Smoke => Scale::Smoke,
            Self::Laptop => Scale::Laptop,
            Self::Desk => Scale::Desk,
            Self::Paper => Scale::Paper,
        }
    }
}

/// The JSON document of a figure at a scale.
#[derive(Serialize)]
struct Reproduced {
    scale: &'static str,
    #[serde(flatten)]
    drawn: Drawn,
}

/// Executes the runs and draws the figures.
pub(super) fn run(command: &ReproduceCommand) -> Result<Exit> {
    let figures = command.figures();
    if command.recipe {
        print(&figures.iter().map(|figure| figure.recipe()).collect::<Vec<_>>().join("\n"))?;
        return Ok(Exit::Done);
    }
    let interrupt = Interrupt::listen()?;
    command.sweep.start()?;
    let plans: Vec<(PaperFigure, Plan)> =
        figures.into_iter().map(|figure| Ok((figure, figure.plan()?))).collect::<Result<_>>()?;
    let scale = command.scale.scale().name();
    let title = format!("{} at {scale} scale", plural(plans.len(), "figure"));
    let all = Plan::together(&title, plans.iter().map(|(figure, plan)| (figure.to_string(), plan)));
    if command.sweep.dry_run {
        return command.sweep.show(&all, command.json);
    }
    let (store, locations) = (command.sweep.store(), command.sweep.locations());
    let budget = command.sweep.memory.budget();
    let place = (&locations, budget.less(DRAWING_BYTES));
    command.examples.check(&all, &store, place)?;
    let (counts, _) = command.sweep.make(&all, &interrupt)?;
    if !interrupt.is_raised() {
        command.examples.compare(&all, &store, place, &interrupt)?;
    }
    budget.left(DRAWING_BYTES)?;
    let mut drawn = Vec::new();
    for (figure, plan) in &plans {
        drawn.push(command.draw(*figure, plan)?);
    }
    if command.json {
        print_json(&drawn)?;
    } else {
        print(&text(&drawn))?;
    }
    if counts.is_incomplete() {
        note("some runs are missing; run the same command to resume");
    }
    Ok(counts.exit(interrupt.is_raised()))
}

impl ReproduceCommand {
    /// The requested figures, each once, in their order.
    fn figures(&self) -> Vec<PaperFigure> {
        let is_asked = |number: u8| {
            self.figures.iter().any(|asked| match asked {
                Figures::All => true,
                Figures::One(one) => *one == number,
            })
        };
        let scale = self.scale.scale();
        (1..=FIGURES).filter(|number| is_asked(*number)).filter_map(|n| PaperFigure::new(n, scale)).collect()
    }

    fn draw(&self, figure: PaperFigure, plan: &Plan) -> Result<Reproduced> {
        let drawn = Figure::new(plan, &self.sweep.store())?;
        drawn.damaged.iter().for_each(|damage| note(damage));
        let name = figure.to_string();
        if let Some(text) = drawn.nothing_drawn() {
            note(&format!("{name}: {text}."));
        }
        let files = drawn.write(&self.out, &name).with_context(|| format!("cannot draw {name}"))?;
        Ok(Reproduced { scale: self.scale.scale().name(), drawn: Drawn::new(&name, &drawn, &files) })
    }
}

fn text(all: &[Reproduced]) -> String {
    let mut text = String::new();
    for Reproduced { drawn, .. } in all {
        line(&mut text, &drawn.figure, &drawn.caption);
        for file in &drawn.files {
            line(&mut text, "", file);
        }
    }
    text
}
