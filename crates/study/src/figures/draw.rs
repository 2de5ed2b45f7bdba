//! The picture of a figure.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged as _;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use sharpness_runs::{FigureKind, LEARNING_RATE};
use sharpness_training::optimizers::EdgeOfStability;

use super::axis::Axis;
use super::data::{Figure, FigurePoint, Line, Statistic};

/// Width and height of a panel, and the heights of the title and of a row of the legend, in pixels.
const PANEL: (u32, u32) = (460, 330);
const TITLE: u32 = 40;
const LEGEND_ROW: u32 = 22;
/// The approximate widths of a letter and of a mark of the legend.
const LETTER: usize = 8;
const MARK: usize = 34;
/// Colours that are distinguishable with any kind of colour blindness (Okabe and Ito 2008).
pub(super) const COLORS: [RGBColor; 7] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];
/// Dashes of edges of stability and the gaps between them, in pixels: one pair for each optimizer.
const DASHES: [(u32, u32); 4] = [(3, 4), (9, 4), (1, 3), (14, 6)];
/// Points of a line of the edge of stability.
const EDGE_POINTS: u32 = 32;
/// The opacity of published points.
const FAINT: f64 = 0.35;
pub(super) const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A number of a point.
type Number = fn(&FigurePoint) -> Option<Statistic>;

/// One panel: its lines, and which of their values it shows.
struct Panel<'a> {
    lines: Vec<&'a Line>,
    number: Number,
    x: (&'a str, bool),
    y: (&'static str, bool),
    /// The edges of stability to draw.
    edges: &'a [EdgeOfStability],
    /// The places to join: settings with small and with large batches of the same λ_max.
    pairs: Vec<[(f64, f64); 2]>,
    joined: bool,
    /// Whether every point is marked.
    marked: bool,
}

/// A mark of the legend.
#[derive(Clone, Copy)]
enum Mark {
    Line(RGBColor),
    Published,
    Edge((u32, u32)),
}

impl Figure {
    /// The picture as SVG.
    pub fn svg(&self) -> String {
        let columns = if self.spec.kind == FigureKind::Lines { 2 } else { 1 };
        let rows = self.panels.len().max(1);
        let width = if self.spec.kind == FigureKind::Curves { 2 * PANEL.0 } else { PANEL.0 * columns };
        let legend = self.legend(width as usize);
        let head = TITLE + LEGEND_ROW * u32::try_from(legend.len()).unwrap_or(1);
        let size = (width, head + PANEL.1 * u32::try_from(rows).unwrap_or(1));
        let mut svg = String::new();
        let drawn = {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            self.draw(&root, (head, &legend), (rows, columns as usize))
        };
        // Writing to a string cannot fail.
        drop(drawn);
        svg
    }

    /// The entries of the legend, row by row, in a picture of `width` pixels.
    fn legend(&self, width: usize) -> Vec<Vec<(Mark, String)>> {
        let mut entries: Vec<(Mark, String)> = Vec::new();
        for line in &self.lines {
            if !entries.iter().any(|(_, name)| *name == line.name) {
                entries.push((Mark::Line(COLORS[line.place % COLORS.len()]), line.name.clone()));
            }
        }
        if self.lines.iter().any(|line| line.is_published) {
            entries.push((Mark::Published, "published".to_owned()));
        }
        for (place, edge) in self.edges.iter().enumerate() {
            // Those of curves have the colours of the curves.
            let place = if self.spec.kind == FigureKind::Curves { 0 } else { place };
            entries.push((Mark::Edge(DASHES[place % DASHES.len()]), edge.formula()));
        }
        let mut rows: Vec<Vec<(Mark, String)>> = vec![Vec::new()];
        let mut used = 0;
        for (mark, name) in entries {
            let taken = entry_width(&name);
            if used > 0 && used + taken > width {
                rows.push(Vec::new());
                used = 0;
            }
            used += taken;
            if let Some(row) = rows.last_mut() {
                row.push((mark, name));
            }
        }
        rows
    }

    fn draw(
        &self,
        root: &Area<'_>,
        (height, legend): (u32, &[Vec<(Mark, String)>]),
        (rows, columns): (usize, usize),
    ) -> Drawn {
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(height);
        let style = (FONT, 18).into_font().style(FontStyle::Bold).color(&BLACK);
        head.draw_text(&self.title, &style, (14, 12))?;
        for (row, entries) in (0_i32..).zip(legend) {
            draw_legend(&head, entries, TITLE.cast_signed() + row * LEGEND_ROW.cast_signed())?;
        }
        let undrawn = self.nothing_drawn().and_then(|_| self.undrawn());
        for (index, area) in body.split_evenly((rows, columns)).iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let name = self.panels.get(row).map_or("", String::as_str);
            let panel = self.panel(row, column);
            match undrawn.as_ref().filter(|_| !panel.lines.iter().any(|line| self.shows(line))) {
                Some(undrawn) => draw_reason(area, undrawn)?,
                None => panel.draw(area, name)?,
            }
        }
        root.present()
    }

    fn panel(&self, row: usize, column: usize) -> Panel<'_> {
        // Published points are below those of the runs.
        let mut lines: Vec<&Line> = self.lines.iter().filter(|line| line.panel == row).collect();
        lines.sort_by_key(|line| !line.is_published);
        let lambda = ("λ_max", true);
        let accuracy = ("test accuracy", false);
        let x = match self.spec.kind {
            FigureKind::Scatter => lambda,
            FigureKind::Curves => ("step", false),
            FigureKind::Lines => self.abscissa(),
        };
        let (joined, marked) = (self.spec.kind != FigureKind::Scatter, self.spec.kind != FigureKind::Curves);
        let pairs = self.equal_lambda_pairs();
        if column == 0 && marked {
            let number: Number = |point| point.accuracy;
            Panel { lines, number, x, y: accuracy, edges: &[], pairs, joined, marked }
        } else {
            let number: Number = |point| Some(point.lambda_max);
            Panel { lines, number, x, y: lambda, edges: &self.edges, pairs: Vec::new(), joined, marked }
        }
    }

    /// The name of the setting along the abscissa, and whether its axis is logarithmic.
    fn abscissa(&self) -> (&str, bool) {
        match self.spec.x.as_str() {
            LEARNING_RATE => ("learning rate η", true),
            "training.sam.rho" => ("SAM radius ρ", false),
            "model.dropout" => ("dropout probability p", false),
            key => {
                let values = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.x);
                let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
                (key.rsplit('.').next().unwrap_or(key), low > 0.0 && high > LINEAR_RATIO * low)
            }
        }
    }
}

/// The largest ratio of two abscissas that a linear axis still tells apart.
const LINEAR_RATIO: f64 = 10.0;

fn entry_width(name: &str) -> usize {
    MARK + LETTER * name.chars().count()
}

/// One row of the legend.
fn draw_legend(area: &Area<'_>, entries: &[(Mark, String)], y: i32) -> Drawn {
    let mut x = 14;
    for (mark, name) in entries {
        let center = (x + 8, y + 7);
        match mark {
            Mark::Line(color) => area.draw(&Circle::new(center, 4, color.filled()))?,
            Mark::Published => area.draw(&Circle::new(center, 4, BLACK.mix(FAINT).stroke_width(1)))?,
            Mark::Edge((size, gap)) => {
                let ends = [(x, y + 7), (x + 18, y + 7)];
                area.draw(&DashedPathElement::new(ends, *size, *gap, BLACK.mix(0.7)))?;
            }
        }
        area.draw_text(name, &(FONT, 13).into_font().color(&BLACK), (x + 22, y))?;
        x += i32::try_from(entry_width(name)).unwrap_or(0);
    }
    Ok(())
}

/// Shows why a panel is empty.
fn draw_reason(area: &Area<'_>, undrawn: &str) -> Drawn {
    let style = (FONT, 14).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Center));
    let (width, height) = area.dim_in_pixel();
    let (x, y) = (width.cast_signed() / 2, height.cast_signed() / 2);
    for (text, y) in [("No run can be drawn:", y - 10), (undrawn, y + 10)] {
        area.draw_text(text, &style, (x, y))?;
    }
    Ok(())
}

/// The ends of an error bar.
fn ends(statistic: Statistic) -> (f64, f64) {
    let deviation = statistic.deviation.unwrap_or(0.0);
    (statistic.mean - deviation, statistic.mean + deviation)
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>, name: &str) -> Drawn {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let numbers = || points().filter_map(self.number);
        let x = Axis::around(points().map(|point| point.x), self.x.1);
        let y = Axis::around(numbers().flat_map(|number| <[f64; 2]>::from(ends(number))), self.y.1);
        let bounds = (x.range(), y.range());
        let mut builder = ChartBuilder::on(area);
        builder.margin(10).x_label_area_size(42).y_label_area_size(64);
        if !name.is_empty() {
            builder.caption(name, (FONT, 15));
        }
        let mut chart = builder.build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(self.x.0)
            .y_desc(self.y.0)
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 14))
            .bold_line_style(BLACK.mix(0.12))
            .light_line_style(TRANSPARENT)
            .draw()?;
        self.draw_edges(&mut chart, &bounds)?;
        for line in &self.lines {
            self.draw_line(&mut chart, line)?;
        }
        for pair in &self.pairs {
            chart.draw_series(LineSeries::new(*pair, BLACK.mix(0.6).stroke_width(1)))?;
        }
        Ok(())
    }

    /// The edges of stability over the learning rate, within the axes.
    fn draw_edges(&self, chart: &mut Chart<'_, '_>, (x, y): &(Range<f64>, Range<f64>)) -> Drawn {
        if !self.marked {
            return self.draw_edges_of_curves(chart, (x, y));
        }
        for (place, edge) in self.edges.iter().enumerate() {
            let (first, last) =
                (x.start.max(edge.learning_rate(y.end)), x.end.min(edge.learning_rate(y.start)));
            if first < last {
                let rate = |i: u32| first * (last / first).powf(f64::from(i) / f64::from(EDGE_POINTS));
                let points = (0..=EDGE_POINTS).map(rate).map(|rate| (rate, edge.at(rate)));
                let (size, gap) = DASHES[place % DASHES.len()];
                let style = BLACK.mix(0.7).stroke_width(1);
                chart.draw_series(DashedLineSeries::new(points, size, gap, style))?;
            }
        }
        Ok(())
    }

    /// The edge of stability of each curve.
    fn draw_edges_of_curves(&self, chart: &mut Chart<'_, '_>, (x, y): (&Range<f64>, &Range<f64>)) -> Drawn {
        for line in self.lines.iter().filter(|_| !self.edges.is_empty()) {
            if let Some(edge) = line.edge.filter(|edge| y.contains(edge)) {
                let color = COLORS[line.place % COLORS.len()].stroke_width(1);
                let ends = [(x.start, edge), (x.end, edge)];
                chart.draw_series(DashedLineSeries::new(ends, 3, 4, color))?;
            }
        }
        Ok(())
    }

    fn draw_line(&self, chart: &mut Chart<'_, '_>, line: &Line) -> Drawn {
        let opacity = if line.is_published { FAINT } else { 1.0 };
        let color = COLORS[line.place % COLORS.len()].mix(opacity);
        let number = self.number;
        let at = |point: &FigurePoint| Some((point.x, number(point)?.mean));
        if self.joined {
            let width = if line.is_published || !self.marked { 1 } else { 2 };
            let points = line.points.iter().filter_map(at);
            chart.draw_series(LineSeries::new(points, color.stroke_width(width)))?;
            let numbers = line.points.iter().filter_map(|point| Some((point, number(point)?)));
            let bars = numbers.filter(|(_, statistic)| statistic.deviation.is_some());
            chart.draw_series(bars.map(|(point, statistic)| {
                let (low, high) = ends(statistic);
                // The lower end of a bar may not be positive.
                let low = if self.y.1 { low.max(statistic.mean / 100.0) } else { low };
                ErrorBar::new_vertical(point.x, low, statistic.mean, high, color.stroke_width(1), 7)
            }))?;
        }
        if !self.marked {
            return Ok(());
        }
        let style = if line.is_published { color.stroke_width(1) } else { color.filled() };
        chart.draw_series(line.points.iter().filter_map(at).map(|place| Circle::new(place, 4, style)))?;
        Ok(())
    }
}
