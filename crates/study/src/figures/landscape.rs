//! The loss around weights, as a view and a table.

use sharpness_training::landscape::{Directions, Landscape, LandscapePoint};
use sharpness_training::number::{count, percent, significant};

use super::output::table;
use super::view::{Content, Lines, Map, Panel, Series, View};
use crate::Result;

/// The view of a landscape of the network that `title` names.
pub fn landscape_view(title: &str, landscape: &Landscape) -> View {
    let points = &landscape.points;
    let loss = points.iter().map(|point| point.values.loss).collect();
    let accuracy = points.iter().map(|point| point.values.accuracy);
    let content = if let [x, y] = &landscape.axes[..] {
        let predicted = points.iter().map(|point| point.predicted).collect();
        let names = [x.name.clone(), y.name.clone()];
        let axes = [x.coordinates.clone(), y.coordinates.clone()];
        Content::Map(Map::new(names, axes, (loss, accuracy.collect(), predicted)))
    } else {
        let series =
            |name: &str, is_prediction, values| Series { name: name.to_owned(), is_prediction, values };
        let known = |point: &LandscapePoint| Some(point.predicted).filter(|value| value.is_finite());
        let predicted = points.iter().map(known).collect();
        let losses = vec![series("loss", false, loss), series("quadratic prediction", true, predicted)];
        let accuracies = vec![series("accuracy", false, accuracy.map(Some).collect())];
        Content::Lines(Lines {
            x: landscape.axes[0].name.clone(),
            places: landscape.axes[0].coordinates.clone(),
            panels: vec![
                Panel { name: "loss".to_owned(), is_loss: true, series: losses },
                Panel { name: "accuracy".to_owned(), is_loss: false, series: accuracies },
            ],
        })
    };
    View { title: title.to_owned(), notes: landscape_notes(landscape), content }
}

/// What a landscape shows, and whether its prediction holds, in sentences.
pub fn landscape_notes(landscape: &Landscape) -> Vec<String> {
    let mut notes = vec![measured(landscape), directions(landscape), deviation(landscape)];
    let gaps = landscape.points.iter().filter(|point| point.values.loss.is_none()).count();
    if gaps > 0 {
        notes.push(format!("At {gaps} of {} points the loss is not finite: gaps.", landscape.points.len()));
    }
    notes
}

fn measured(landscape: &Landscape) -> String {
    let examples = count(landscape.examples);
    let batch_norm = match (landscape.batch_norm.as_str(), landscape.batch_norm_chunk) {
        ("batch", Some(chunk)) => {
            format!("; batch norm uses the statistics of each chunk of {chunk} examples at that point")
        }
        ("running", _) => "; batch norm uses the running statistics of the weights at every point".to_owned(),
        _ => String::new(),
    };
    format!(
        "Mean loss and accuracy on {examples} training examples, dropout off, in {}{batch_norm}.",
        landscape.precision
    )
}

fn directions(landscape: &Landscape) -> String {
    let one = |i: usize| {
        let axis = &landscape.axes[i];
        let curvature = landscape.quadratic.curvatures[i][i] / axis.norm.powi(2);
        let [curvature, residual] = [significant(curvature, 5), significant(axis.residual, 2)];
        let [norm, slope] = [axis.norm, landscape.quadratic.slopes[i] / axis.norm].map(|x| significant(x, 4));
        match landscape.directions {
            Directions::Eigenvectors => format!("λ_{} = {curvature} with residual {residual}", i + 1),
            Directions::Gradient => format!("slope {slope} and curvature {curvature} per unit length"),
            Directions::Random => {
                format!("norm {norm}, slope {slope} and curvature {curvature} per unit length")
            }
        }
    };
    let each: Vec<String> = (0..landscape.axes.len()).map(one).collect();
    let how = match landscape.directions {
        Directions::Eigenvectors => "Along unit eigenvectors of the Hessian",
        Directions::Gradient => "Along the unit gradient g (and the part of Hg orthogonal to it)",
        Directions::Random => {
            "Along random directions with filter normalization (Li et al. 2018; zero for biases and batch norm)"
        }
    };
    format!("{how}: {}.", each.join("; "))
}

fn deviation(landscape: &Landscape) -> String {
    let deviation = &landscape.deviation;
    let (within, largest) = (significant(deviation.within, 3), significant(deviation.difference, 3));
    let relative = deviation.relative.map_or_else(
        || "too small a change to compare, given the rounding of the loss".to_owned(),
        |relative| format!("{} of the largest predicted change", percent(relative)),
    );
    let gaps = if deviation.not_finite > 0 { ", without the points whose loss is not finite" } else { "" };
    format!(
        "The prediction L + g·d + ½ dᵀHd (dashed) is off by at most {largest} within {within} of the weights: {relative}{gaps}."
    )
}

/// The points of a landscape as comma-separated values: coordinates `a` (and `b`), `loss` (empty if it is not finite), `accuracy` and `predicted`.
///
/// # Errors
/// [`Error::Picture`](crate::Error::Picture) if they cannot be written.
pub fn landscape_table(landscape: &Landscape) -> Result<String> {
    let axes = landscape.axes.len();
    let heads = [&["a", "b"][..axes.min(2)], &["loss", "accuracy", "predicted"]].concat();
    let row = |point: &LandscapePoint| {
        let mut row: Vec<String> = point.place.iter().map(ToString::to_string).collect();
        row.push(point.values.loss.map_or_else(String::new, |loss| loss.to_string()));
        row.extend([point.values.accuracy.to_string(), point.predicted.to_string()]);
        row
    };
    table(&heads, landscape.points.iter().map(row).collect())
}
