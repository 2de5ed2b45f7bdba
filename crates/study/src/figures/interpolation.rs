//! Loss and accuracy between two weights, as a view and a table.

use sharpness_training::landscape::{PathPoint, Values};

use super::output::table;
use super::view::{Content, Lines, Panel, Series, View};
use crate::Result;

/// A path between two weights: its name, and its points.
#[derive(Clone, Copy, Debug)]
pub struct NamedPath<'a> {
    /// The name.
    pub name: &'a str,
    /// The points, in the order of their places.
    pub points: &'a [PathPoint],
}

/// The values of a point on one set of examples.
type Of = fn(&PathPoint) -> Values;

/// The view of paths between two weights. The first is the segment, at whose places the others may have points too.
pub fn interpolation_view(title: &str, notes: Vec<String>, paths: &[NamedPath<'_>]) -> View {
    let places: Vec<f64> =
        paths.first().map_or_else(Vec::new, |path| path.points.iter().map(|point| point.t).collect());
    let of_path = |path: &NamedPath<'_>, value: &dyn Fn(&PathPoint) -> Option<f64>| -> Vec<Option<f64>> {
        let at = |t: &f64| path.points.iter().find(|point| point.t.total_cmp(t).is_eq());
        places.iter().map(|t| value(at(t)?)).collect()
    };
    let sets: [(&str, Of); 2] = [("train", |point| point.train), ("test", |point| point.test)];
    let (mut losses, mut accuracies, mut chords) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        for (set, values) in sets {
            let name = format!("{set}, {}", path.name);
            let loss = of_path(path, &|point| values(point).loss);
            let accuracy = of_path(path, &|point| Some(values(point).accuracy));
            if chords.len() < sets.len() {
                let name = format!("{set}, chord");
                chords.push(Series { name, is_prediction: true, values: chord(&places, &loss) });
            }
            losses.push(Series { name: name.clone(), is_prediction: false, values: loss });
            accuracies.push(Series { name, is_prediction: false, values: accuracy });
        }
    }
    losses.append(&mut chords);
    let panels = vec![
        Panel { name: "loss".to_owned(), is_loss: true, series: losses },
        Panel { name: "accuracy".to_owned(), is_loss: false, series: accuracies },
    ];
    let x = "t, from the first weights (0) to the second (1)".to_owned();
    View { title: title.to_owned(), notes, content: Content::Lines(Lines { x, places, panels }) }
}

/// The straight line between the losses at 0 and 1, at the places between them.
fn chord(places: &[f64], losses: &[Option<f64>]) -> Vec<Option<f64>> {
    let at = |end: f64| losses[places.iter().position(|t| t.total_cmp(&end).is_eq())?];
    let (first, last) = (at(0.0), at(1.0));
    let value = |t: f64| Some(first? + t * (last? - first?));
    places.iter().map(|t| value(*t).filter(|_| (0.0..=1.0).contains(t))).collect()
}

/// The points of paths as comma-separated values; losses that are not finite are empty.
///
/// # Errors
/// [`Error::Picture`](crate::Error::Picture) if they cannot be written.
pub fn interpolation_table(paths: &[NamedPath<'_>]) -> Result<String> {
    let heads = ["path", "t", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let row = |name: &str, PathPoint { t, train, test }: &PathPoint| {
        let numbers = [Some(*t), train.loss, Some(train.accuracy), test.loss, Some(test.accuracy)];
        [vec![name.to_owned()], numbers.map(number).to_vec()].concat()
    };
    let rows = paths.iter().flat_map(|path| path.points.iter().map(|point| row(path.name, point)));
    table(&heads, rows.collect())
}
