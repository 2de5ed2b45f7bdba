//! The picture of series over one coordinate.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged as _;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::axis::Axis;
use super::draw::{COLORS, FONT};
use super::view::{Lines, Panel, Series, is_log};

/// The size of a panel, and the heights of the title and of a legend, in pixels.
const PANEL: (u32, u32) = (720, 300);
const TITLE: u32 = 40;
const LEGEND: u32 = 38;
/// The width of a letter of the legend, and of its marks.
const LETTER: i32 = 7;
const MARK: i32 = 48;
/// The height of a row of the legend, and where it starts.
const ROW: i32 = 18;
const LEFT: i32 = 72;
/// The dashes of predictions and the gaps between them.
const DASHES: (u32, u32) = (7, 5);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The picture as SVG.
pub(super) fn svg(title: &str, lines: &Lines) -> String {
    let panels = lines.panels.len().max(1);
    let height = TITLE + (PANEL.1 + LEGEND) * u32::try_from(panels).unwrap_or(1);
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, (PANEL.0, height)).into_drawing_area();
        draw(&root, title, lines)
    };
    // Writing to a string cannot fail.
    drop(drawn);
    svg
}

fn draw(root: &Area<'_>, title: &str, lines: &Lines) -> Drawn {
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(TITLE);
    let style = (FONT, 17).into_font().style(FontStyle::Bold).color(&BLACK);
    head.draw_text(title, &style, (14, 12))?;
    for (panel, area) in lines.panels.iter().zip(body.split_evenly((lines.panels.len().max(1), 1))) {
        let (legend, area) = area.split_vertically(LEGEND);
        draw_legend(&legend, panel)?;
        draw_panel(&area, lines, panel)?;
    }
    root.present()
}

/// The colour of each series; predictions have those of the series before them, in the order of both.
pub(super) fn colour(panel: &Panel, index: usize) -> RGBColor {
    let kind = panel.series[index].is_prediction;
    let place = panel.series[..index].iter().filter(|series| series.is_prediction == kind).count();
    COLORS[place % COLORS.len()]
}

fn draw_legend(area: &Area<'_>, panel: &Panel) -> Drawn {
    let (mut x, mut y) = (LEFT, 10);
    for (index, series) in panel.series.iter().enumerate() {
        let width = MARK + LETTER * i32::try_from(series.name.chars().count()).unwrap_or(0);
        if x > LEFT && x + width > PANEL.0.cast_signed() {
            (x, y) = (LEFT, y + ROW);
        }
        let (ends, style) = ([(x, y), (x + 26, y)], colour(panel, index).stroke_width(2));
        if series.is_prediction {
            area.draw(&DashedPathElement::new(ends, DASHES.0, DASHES.1, style))?;
        } else {
            area.draw(&PathElement::new(ends, style))?;
        }
        area.draw_text(&series.name, &(FONT, 13).into_font().color(&BLACK), (x + 32, y - 7))?;
        x += width;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, lines: &Lines, panel: &Panel) -> Drawn {
    let known = || panel.series.iter().filter(|series| !series.is_prediction);
    let values = || known().flat_map(|series| series.values.iter().flatten().copied());
    let x = Axis::around(lines.places.iter().copied(), false);
    let y = Axis::around(values(), panel.is_loss && is_log(values()));
    let range = y.range();
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(&lines.x)
        .y_desc(&panel.name)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (index, series) in panel.series.iter().enumerate() {
        let style = colour(panel, index).stroke_width(2);
        for piece in pieces(&lines.places, series, &range) {
            if series.is_prediction {
                chart.draw_series(DashedLineSeries::new(piece, DASHES.0, DASHES.1, style))?;
            } else if let [only] = piece[..] {
                chart.draw_series([Circle::new(only, 2, style.filled())])?;
            } else {
                chart.draw_series(LineSeries::new(piece, style))?;
            }
        }
    }
    Ok(())
}

/// The connected pieces of a series within `range`. A prediction is cut where it leaves it.
fn pieces(places: &[f64], series: &Series, range: &Range<f64>) -> Vec<Vec<(f64, f64)>> {
    let points: Vec<Option<(f64, f64)>> =
        places.iter().zip(&series.values).map(|(x, y)| Some((*x, (*y)?))).collect();
    if !series.is_prediction {
        let pieces = points.split(Option::is_none).filter(|piece| !piece.is_empty());
        return pieces.map(|piece| piece.iter().flatten().copied().collect()).collect();
    }
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in points.windows(2) {
        let (Some(from), Some(to)) = (pair[0], pair[1]) else { continue };
        let Some((from, to)) = clipped(from, to, range) else { continue };
        match pieces.last_mut().filter(|piece| piece.last() == Some(&from)) {
            Some(piece) => piece.push(to),
            None => pieces.push(vec![from, to]),
        }
    }
    pieces
}

/// The part of a segment whose ordinates are within `range`.
fn clipped(from: (f64, f64), to: (f64, f64), range: &Range<f64>) -> Option<((f64, f64), (f64, f64))> {
    let cut = |inside: (f64, f64), outside: (f64, f64)| {
        let bound = outside.1.clamp(range.start, range.end);
        if bound.total_cmp(&outside.1).is_eq() {
            return outside;
        }
        let share = (bound - inside.1) / (outside.1 - inside.1);
        (inside.0 + share * (outside.0 - inside.0), bound)
    };
    let is_beyond = |bound: fn(f64, f64) -> bool, end: f64| bound(from.1, end) && bound(to.1, end);
    let is_outside = is_beyond(|y, end| y < end, range.start) || is_beyond(|y, end| y > end, range.end);
    (!is_outside).then(|| (cut(to, from), cut(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_cut_and_gaps_stay_open() {
        let series = |is_prediction, values: [Option<f64>; 4]| Series {
            name: String::new(),
            is_prediction,
            values: values.to_vec(),
        };
        let places = [0.0, 1.0, 2.0, 3.0];
        let known = series(false, [Some(1.0), None, Some(5.0), Some(2.0)]);
        let expected = vec![vec![(0.0, 1.0)], vec![(2.0, 5.0), (3.0, 2.0)]];
        assert_eq!(pieces(&places, &known, &(0.0..1.0)), expected, "a gap, and nothing is cut");
        let predicted = series(true, [Some(3.0), Some(1.0), Some(1.0), Some(-1.0)]);
        let expected = vec![vec![(0.5, 2.0), (1.0, 1.0), (2.0, 1.0), (2.5, 0.0)]];
        assert_eq!(pieces(&places, &predicted, &(0.0..2.0)), expected, "cut at both bounds");
        let outside = series(true, [Some(3.0), Some(4.0), None, None]);
        assert!(pieces(&places, &outside, &(0.0..2.0)).is_empty(), "beyond");
    }
}
