//! The picture of predictors: measures of sharpness sorted by how well they predict, with trivial predictors between them.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::output::{png, table, write_all};
use crate::Result;
use crate::claims::{Over, Prediction, Target};

/// The width of a panel without its labels, and the heights of a predictor, of the axis of a panel, of its heading and of the title,
/// in pixels.
const PANEL: u32 = 330;
const ROW: u32 = 22;
const AXIS: u32 = 50;
const HEADING: u32 = 52;
const TITLE: u32 = 64;
/// The approximate width of a letter of a label, and the least and the largest width of labels.
const LETTER: usize = 7;
const LABELS: (usize, usize) = (90, 330);
const FONT: &str = "sans-serif";
/// The colours of measures and of trivial predictors (Okabe and Ito 2008).
const MEASURE: RGBColor = RGBColor(0, 114, 178);
const TRIVIAL: RGBColor = RGBColor(213, 94, 0);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A row of panels for each network and data set, and in it a panel for each target: Kendall's τ of every predictor with its
/// interval, the highest first.
#[derive(Clone, Debug)]
pub struct PredictorsFigure<'a> {
    groups: Vec<Vec<&'a Prediction>>,
}

impl<'a> PredictorsFigure<'a> {
    /// The picture of predictions; none if no predictor has a τ.
    pub fn new(predictions: &'a [Prediction]) -> Option<Self> {
        let groups = Prediction::by_group(predictions);
        (!groups.is_empty()).then_some(Self { groups })
    }

    /// Writes `predictors.svg`, `predictors.png`, `predictors.csv` with every number, and `predictors.txt`, the caption, into a
    /// directory. Returns their paths.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the directory cannot be written; [`crate::Error::Picture`] if the picture cannot be drawn.
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let svg = self.svg();
        let (png, csv) = (png(&svg)?, self.csv()?.into_bytes());
        let caption = format!("{}\n", self.caption()).into_bytes();
        let files = vec![(".svg", svg.into_bytes()), (".png", png), (".csv", csv), (".txt", caption)];
        write_all(dir, "predictors", files)
    }

    /// What it shows.
    pub fn caption(&self) -> String {
        let overs: Vec<Option<Over>> =
            self.groups.iter().flatten().map(|found| found.interval_over).collect();
        let over = |over: Over, text: &'static str| overs.contains(&Some(over)).then_some(text);
        let intervals: Vec<&str> = [
            over(Over::Seeds, "thick: over seeds, for these settings, by Student's t"),
            over(
                Over::Settings,
                "thin: over settings, of which these are a sample (Samara and Randles 1988)",
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        let intervals = match intervals.is_empty() {
            true => "No interval is known".to_owned(),
            false => format!("Bars are intervals of 95 % ({})", intervals.join("; ")),
        };
        format!(
            "How well each predictor ranks the settings of a grid by test error and by generalization gap: Kendall's τ, 1 if a larger \
             predictor always goes with a larger target, 0 for a coin. {intervals}. Open circles are trivial predictors, which take no \
             measurement of curvature; a minus means that larger predicts better."
        )
    }

    /// Every number in it, as comma-separated values.
    ///
    /// # Errors
    /// [`crate::Error::Picture`] if it cannot be written.
    pub fn csv(&self) -> Result<String> {
        let heads = [
            "network",
            "data",
            "target",
            "predictor",
            "label",
            "measured_with",
            "is_trivial",
            "settings",
            "seeds",
            "kendall_tau",
            "lower",
            "upper",
            "interval_over",
            "granulated_psi",
            "conditional_information",
            "given",
            "sign_error_max",
            "sign_error_percentile_90",
            "sign_error_mean",
            "environments",
            "worst",
        ];
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
        let row = |found: &&Prediction| -> Vec<String> {
            let (conditional, sign_error) =
                (found.conditional_information.as_ref(), found.sign_error.as_ref());
            vec![
                found.network.clone(),
                found.data.clone(),
                found.target.name().to_owned(),
                found.predictor.clone(),
                found.label.clone(),
                found.measured_with.clone().unwrap_or_default(),
                found.is_trivial.to_string(),
                found.settings.to_string(),
                found.seeds.map_or_else(String::new, |seeds| seeds.to_string()),
                number(found.kendall_tau),
                number(found.interval.map(|(lower, _)| lower)),
                number(found.interval.map(|(_, upper)| upper)),
                found.interval_over.map_or("", Over::name).to_owned(),
                number(found.granulated_psi),
                number(conditional.map(|conditional| conditional.value)),
                conditional.map_or_else(String::new, |conditional| conditional.given.join(" ")),
                number(sign_error.map(|error| error.max)),
                number(sign_error.map(|error| error.percentile_90)),
                number(sign_error.map(|error| error.mean)),
                found.sign_error.as_ref().map_or(0, |error| error.environments).to_string(),
                sign_error.map_or_else(String::new, |error| error.worst.join("; ")),
            ]
        };
        table(&heads, self.groups.iter().flatten().map(row).collect())
    }

    /// The picture as SVG.
    pub fn svg(&self) -> String {
        let heights: Vec<u32> = self.groups.iter().map(|group| HEADING + AXIS + ROW * rows(group)).collect();
        let size = (2 * (self.labels() + PANEL), TITLE + heights.iter().sum::<u32>());
        let mut svg = String::new();
        let drawn = {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            self.draw(&root, &heights)
        };
        // Writing to a string cannot fail.
        drop(drawn);
        svg
    }

    /// The width of labels.
    fn labels(&self) -> u32 {
        let letters =
            self.groups.iter().flatten().map(|found| found.label.chars().count()).max().unwrap_or(0);
        u32::try_from((24 + LETTER * letters).clamp(LABELS.0, LABELS.1)).unwrap_or(0)
    }

    fn draw(&self, root: &Area<'_>, heights: &[u32]) -> Drawn {
        root.fill(&WHITE)?;
        let (head, mut rest) = root.split_vertically(TITLE);
        let style = (FONT, 18).into_font().style(FontStyle::Bold).color(&BLACK);
        head.draw_text("What predicts generalization", &style, (14, 12))?;
        draw_legend(&head)?;
        for (group, height) in self.groups.iter().zip(heights) {
            let (area, below) = rest.split_vertically(*height);
            rest = below;
            let (heading, panels) = area.split_vertically(HEADING / 2);
            let name = group.first().map_or_else(String::new, |found| found.group());
            heading.draw_text(&name, &(FONT, 14).into_font().color(&BLACK), (14, 4))?;
            for (target, panel) in Target::ALL.into_iter().zip(panels.split_evenly((1, 2))) {
                let of_target = group.iter().filter(|found| found.target == target);
                self.draw_panel(&panel, target, &of_target.copied().collect::<Vec<_>>())?;
            }
        }
        root.present()
    }

    fn draw_panel(&self, area: &Area<'_>, target: Target, predictions: &[&Prediction]) -> Drawn {
        let caption = format!("predicting the {}", target.name());
        let (heading, area) = area.split_vertically(HEADING / 2);
        let label_width = self.labels().cast_signed();
        heading.draw_text(&caption, &(FONT, 15).into_font().color(&BLACK), (label_width, 4))?;
        if predictions.is_empty() {
            let style = (FONT, 13).into_font().color(&BLACK);
            return area.draw_text("not known for these runs", &style, (label_width, 10));
        }
        let rows = f64::from(u32::try_from(predictions.len()).unwrap_or(0));
        let height = ROW * u32::try_from(predictions.len()).unwrap_or(0) + AXIS;
        let (area, _) = area.split_vertically(height);
        let mut chart = ChartBuilder::on(&area)
            .margin_right(16)
            .x_label_area_size(AXIS - 6)
            .y_label_area_size(self.labels())
            .build_cartesian_2d(-1.05..1.05, -rows..0.0)?;
        chart
            .configure_mesh()
            .x_desc("Kendall's τ")
            .x_labels(5)
            .y_labels(0)
            .disable_y_mesh()
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .bold_line_style(BLACK.mix(0.12))
            .light_line_style(TRANSPARENT)
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, -rows), (0.0, 0.0)], BLACK.mix(0.5)))?;
        for (row, found) in (0_u32..).zip(predictions) {
            draw_row(&mut chart, &area, found, -f64::from(row) - 0.5)?;
        }
        Ok(())
    }
}

/// The predictors of the fullest panel of a group.
fn rows(group: &[&Prediction]) -> u32 {
    let count = |target| group.iter().filter(|found| found.target == target).count();
    u32::try_from(Target::ALL.into_iter().map(count).max().unwrap_or(0)).unwrap_or(0)
}

fn color(is_trivial: bool) -> RGBColor {
    if is_trivial { TRIVIAL } else { MEASURE }
}

/// A predictor: its label, its interval and its τ.
fn draw_row(chart: &mut Chart<'_, '_>, area: &Area<'_>, found: &Prediction, y: f64) -> Drawn {
    let Some(tau) = found.kendall_tau else { return Ok(()) };
    let color = color(found.is_trivial);
    if let Some((lower, upper)) = found.interval {
        let width = if found.interval_over == Some(Over::Seeds) { 3 } else { 1 };
        chart.draw_series([ErrorBar::new_horizontal(
            y,
            lower,
            tau,
            upper,
            color.mix(0.7).stroke_width(width),
            7,
        )])?;
    }
    let style = if found.is_trivial { color.stroke_width(2) } else { color.filled() };
    if found.is_trivial {
        chart.draw_series([Circle::new((tau, y), 4, WHITE.filled())])?;
    }
    chart.draw_series([Circle::new((tau, y), 4, style)])?;
    // Labels end at the axis.
    let (x, y) = chart.backend_coord(&(-1.05, y));
    let (left, top) = area.get_base_pixel();
    let style = (FONT, 13).into_font().color(&color).pos(Pos::new(HPos::Right, VPos::Center));
    area.draw_text(&found.label, &style, (x - left - 8, y - top))
}

fn draw_legend(area: &Area<'_>) -> Drawn {
    for (x, is_trivial, name) in [(14, false, "measure of sharpness"), (200, true, "trivial predictor")] {
        let color = color(is_trivial);
        let style = if is_trivial { color.stroke_width(2) } else { color.filled() };
        area.draw(&Circle::new((x + 8, 47), 4, style))?;
        area.draw_text(name, &(FONT, 13).into_font().color(&BLACK), (x + 22, 40))?;
    }
    Ok(())
}
