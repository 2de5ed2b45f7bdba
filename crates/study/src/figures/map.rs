//! The picture of losses over two coordinates.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::axis::{Axis, label};
use super::draw::FONT;
use super::view::{Map, range};

/// The size of the picture, the height of the title, and the width of the scale of colours, in pixels.
const SIZE: (u32, u32) = (640, 600);
const TITLE: u32 = 58;
const SCALE: u32 = 90;
const DASHES: (u32, u32) = (5, 4);
/// Steps of the scale of colours.
const STEPS: u32 = 64;

/// Stops of the colour map viridis (van der Walt and Smith 2015), evenly spaced from the smallest number to the largest.
const STOPS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [38, 130, 142],
    [31, 158, 137],
    [53, 183, 121],
    [109, 205, 89],
    [253, 231, 37],
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The stops of the colour map as JSON.
pub(super) fn stops() -> String {
    format!("{STOPS:?}")
}

/// The colour at `share` of the way from the smallest number to the largest.
fn colour(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 8")]
    let below = (place.floor() as usize).min(STOPS.len() - 2);
    let share = place - below as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 255")]
    let mixed = |i: usize| {
        let (from, to) = (f64::from(STOPS[below][i]), f64::from(STOPS[below + 1][i]));
        (from + share * (to - from)).round() as u8
    };
    RGBColor(mixed(0), mixed(1), mixed(2))
}

/// The picture as SVG.
pub(super) fn svg(title: &str, map: &Map) -> String {
    let mut svg = String::new();
    let drawn = {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&root, title, map)
    };
    // Writing to a string cannot fail.
    drop(drawn);
    svg
}

fn draw(root: &Area<'_>, title: &str, map: &Map) -> Drawn {
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(TITLE);
    let style = (FONT, 17).into_font().style(FontStyle::Bold).color(&BLACK);
    head.draw_text(title, &style, (14, 10))?;
    let text = (FONT, 13).into_font().color(&BLACK);
    for (x, name, is_dashed) in
        [(14, "contours of the loss", false), (190, "of its quadratic prediction", true)]
    {
        let ends = [(x, 44), (x + 26, 44)];
        if is_dashed {
            head.draw(&DashedPathElement::new(ends, DASHES.0, DASHES.1, BLACK.stroke_width(1)))?;
        } else {
            head.draw(&PathElement::new(ends, BLACK.stroke_width(1)))?;
        }
        head.draw_text(name, &text, (x + 32, 37))?;
    }
    let (plot, scale) = body.split_horizontally(SIZE.0 - SCALE);
    draw_plot(&plot, map)?;
    draw_scale(&scale, map)?;
    root.present()
}

/// Where a loss is between the smallest and the largest, on the scale of the map.
fn share(map: &Map, loss: f64) -> f64 {
    let (low, high) = range(map.loss.iter().flatten().copied());
    let scaled = |x: f64| if map.is_log { x.ln() } else { x };
    if low < high { (scaled(loss) - scaled(low)) / (scaled(high) - scaled(low)) } else { 0.0 }
}

/// The bounds of the cells around coordinates.
fn bounds(coordinates: &[f64], index: usize) -> (f64, f64) {
    let half = (coordinates[1] - coordinates[0]) / 2.0;
    (coordinates[index] - half, coordinates[index] + half)
}

fn draw_plot(area: &Area<'_>, map: &Map) -> Drawn {
    let [columns, rows] = map.axes.each_ref().map(Vec::len);
    let axis = |axis: usize| {
        let coordinates = &map.axes[axis];
        Axis::exactly(bounds(coordinates, 0).0, bounds(coordinates, coordinates.len() - 1).1, false)
    };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(axis(0), axis(1))?;
    for row in 0..rows {
        for column in 0..columns {
            // A loss that is not finite is a gap.
            let Some(loss) = map.loss[row * columns + column] else { continue };
            let ((left, right), (low, high)) = (bounds(&map.axes[0], column), bounds(&map.axes[1], row));
            let style = colour(share(map, loss)).filled();
            chart.draw_series([Rectangle::new([(left, low), (right, high)], style)])?;
        }
    }
    for contour in &map.contours {
        let is_dark = share(map, contour.level) < 0.6;
        let style = if is_dark { WHITE.stroke_width(1) } else { BLACK.stroke_width(1) };
        for line in &contour.loss {
            chart.draw_series(LineSeries::new(line.clone(), style))?;
        }
        for line in &contour.predicted {
            chart.draw_series(DashedLineSeries::new(line.clone(), DASHES.0, DASHES.1, style))?;
        }
    }
    chart.draw_series([Cross::new((0.0, 0.0), 5, WHITE.stroke_width(2))])?;
    let [x, y] = &map.names;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc(x)
        .y_desc(y)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    Ok(())
}

fn draw_scale(area: &Area<'_>, map: &Map) -> Drawn {
    let (low, high) = range(map.loss.iter().flatten().copied());
    if low >= high {
        return Ok(());
    }
    let axis = Axis::exactly(low, high, map.is_log);
    let mut chart = ChartBuilder::on(area)
        .margin_top(10)
        .margin_bottom(54)
        .margin_right(4)
        .y_label_area_size(62)
        .build_cartesian_2d(Axis::exactly(0.0, 1.0, false), axis)?;
    let step = |i: u32| {
        let share = f64::from(i) / f64::from(STEPS);
        if map.is_log { low * (high / low).powf(share) } else { low + share * (high - low) }
    };
    for i in 0..STEPS {
        let style = colour((f64::from(i) + 0.5) / f64::from(STEPS)).filled();
        chart.draw_series([Rectangle::new([(0.0, step(i)), (1.0, step(i + 1))], style)])?;
    }
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_x_axis()
        .y_label_formatter(&|value| label(*value))
        .y_desc("loss")
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .draw()?;
    Ok(())
}
