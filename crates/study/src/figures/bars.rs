//! Horizontal bars with errors: numbers of named things side by side.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::draw::{COLORS, FONT};
use super::output::table;
use super::view::range;
use crate::Result;

/// The width of a panel, and the heights of a bar, of the title and of an axis, in pixels.
const PANEL: u32 = 360;
const ROW: u32 = 24;
const TITLE: u32 = 44;
const AXIS: u32 = 64;
/// The approximate width of a letter of a name.
const LETTER: usize = 8;

/// Numbers of named things: a panel for each kind of number.
#[derive(Clone, Debug)]
pub(super) struct Bars {
    pub(super) title: String,
    /// The things, from top to bottom.
    pub(super) names: Vec<String>,
    /// What the numbers of a panel are, and for each thing its value and error.
    pub(super) panels: Vec<(String, Vec<(f64, f64)>)>,
}

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Bars {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let [rows, panels] =
            [self.names.len(), self.panels.len()].map(|n| u32::try_from(n).unwrap_or(1).max(1));
        let size = (self.label_width() + PANEL * panels, TITLE + ROW * rows + AXIS);
        let mut svg = String::new();
        let drawn = {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            self.draw(&root)
        };
        // Writing to a string cannot fail.
        drop(drawn);
        svg
    }

    /// The numbers, as comma-separated values.
    ///
    /// # Errors
    /// [`Error::Picture`](crate::Error::Picture) if they cannot be written.
    pub(super) fn csv(&self) -> Result<String> {
        let mut heads = vec!["name".to_owned()];
        heads.extend(self.panels.iter().flat_map(|(name, _)| [name.clone(), format!("{name}_error")]));
        let row = |i: usize| {
            let numbers = self.panels.iter().flat_map(|(_, values)| [values[i].0, values[i].1]);
            std::iter::once(self.names[i].clone()).chain(numbers.map(|x| x.to_string())).collect()
        };
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        table(&heads, (0..self.names.len()).map(row).collect())
    }

    fn label_width(&self) -> u32 {
        let longest = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        u32::try_from((longest + 2) * LETTER).unwrap_or(0)
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        root.fill(&WHITE)?;
        let (head, body) = root.split_vertically(TITLE);
        let style = (FONT, 17).into_font().style(FontStyle::Bold).color(&BLACK);
        head.draw_text(&self.title, &style, (14, 12))?;
        let (labels, body) = body.split_horizontally(self.label_width());
        let style = TextStyle::from((FONT, 13).into_font()).pos(Pos::new(HPos::Right, VPos::Center));
        let edge = self.label_width().cast_signed() - 6;
        for (i, name) in (0_i32..).zip(&self.names) {
            let y = i * ROW.cast_signed() + ROW.cast_signed() / 2;
            labels.draw_text(name, &style, (edge, y))?;
        }
        let areas = body.split_evenly((1, self.panels.len().max(1)));
        for (((name, values), area), color) in self.panels.iter().zip(&areas).zip(COLORS) {
            draw_panel(area, name, values, color)?;
        }
        root.present()
    }
}

fn draw_panel(area: &Area<'_>, name: &str, values: &[(f64, f64)], color: RGBColor) -> Drawn {
    let ends = values.iter().flat_map(|(value, error)| [value - error, value + error, 0.0]);
    let (low, high) = range(ends.filter(|x| x.is_finite()));
    let (low, high) = if low < high { (low, high) } else { (0.0, 1.0) };
    let margin = 0.04 * (high - low);
    let mut chart = ChartBuilder::on(area)
        .margin_left(4)
        .margin_right(16)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(low - margin..high + margin, 0.0..values.len().max(1) as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(5)
        .x_desc(name)
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 14))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (i, (value, error)) in values.iter().enumerate().filter(|(_, (value, _))| value.is_finite()) {
        let top = (values.len() - i) as f64;
        let bar = Rectangle::new([(0.0, top - 0.8), (*value, top - 0.2)], color.mix(0.8).filled());
        chart.draw_series([bar])?;
        let ends = [(value - error, top - 0.5), (value + error, top - 0.5)];
        chart.draw_series([PathElement::new(ends, BLACK.stroke_width(2))])?;
    }
    Ok(())
}
