//! Contour lines of numbers on a grid, by marching squares.

use std::collections::BTreeMap;

/// A polyline.
pub(super) type Polyline = Vec<(f64, f64)>;

/// Numbers on the grid of two axes; those along the first axis are adjacent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid<'a> {
    /// Both axes.
    pub(super) axes: [&'a [f64]; 2],
    /// The numbers; unset where they are not known.
    pub(super) values: &'a [Option<f64>],
}

impl Grid<'_> {
    /// The lines at `level`, linear between neighbours. Cells with an unknown corner have none.
    pub(super) fn contour(&self, level: f64) -> Vec<Polyline> {
        let mut graph = Graph::default();
        let [columns, rows] = self.axes.map(<[f64]>::len);
        for row in 0..rows.saturating_sub(1) {
            for column in 0..columns.saturating_sub(1) {
                self.add_cell(&mut graph, (column, row), level);
            }
        }
        graph.polylines()
    }

    fn add_cell(&self, graph: &mut Graph, (column, row): (usize, usize), level: f64) {
        // Counter-clockwise from the lower left.
        let corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)];
        let known = corners.map(|(column, row)| self.values[row * self.axes[0].len() + column]);
        let [Some(a), Some(b), Some(c), Some(d)] = known else { return };
        let values = [a, b, c, d];
        let is_crossed = |side: usize| (values[side] >= level) != (values[(side + 1) % 4] >= level);
        let sides: Vec<usize> = (0..4).filter(|side| is_crossed(*side)).collect();
        let crossing = |graph: &mut Graph, side: usize| {
            let (from, to) = (side, (side + 1) % 4);
            let share = (level - values[from]) / (values[to] - values[from]);
            let at = |axis: usize| {
                let place = |corner: usize| [corners[corner].0, corners[corner].1][axis];
                let (from, to) = (self.axes[axis][place(from)], self.axes[axis][place(to)]);
                from + share * (to - from)
            };
            let (low, high) = (corners[from].min(corners[to]), corners[from].max(corners[to]));
            graph.places.insert((low, high), (at(0), at(1)));
            (low, high)
        };
        match sides[..] {
            [first, second] => {
                let ends = (crossing(graph, first), crossing(graph, second));
                graph.join(ends);
            }
            [_, _, _, _] => {
                // A saddle: the middle decides which corners are connected.
                let is_joined = (0.25 * (a + b + c + d) >= level) == (a >= level);
                let pairs = if is_joined { [(0, 1), (2, 3)] } else { [(3, 0), (1, 2)] };
                for (first, second) in pairs {
                    let ends = (crossing(graph, first), crossing(graph, second));
                    graph.join(ends);
                }
            }
            _ => {}
        }
    }
}

/// An edge of the grid, by its ends.
type Edge = ((usize, usize), (usize, usize));

/// Crossings of edges, joined within cells. Each is in at most two cells.
#[derive(Default)]
struct Graph {
    places: BTreeMap<Edge, (f64, f64)>,
    neighbours: BTreeMap<Edge, Vec<Edge>>,
}

impl Graph {
    fn join(&mut self, (one, other): (Edge, Edge)) {
        self.neighbours.entry(one).or_default().push(other);
        self.neighbours.entry(other).or_default().push(one);
    }

    /// The joined crossings as polylines: those with ends first, then closed ones.
    fn polylines(mut self) -> Vec<Polyline> {
        let ends = self.neighbours.iter().filter(|(_, joined)| joined.len() == 1);
        let mut starts: Vec<Edge> = ends.map(|(edge, _)| *edge).collect();
        starts.extend(self.neighbours.keys());
        let mut lines = Vec::new();
        for start in starts {
            let mut line = vec![self.places[&start]];
            let mut here = start;
            while let Some(next) = self.neighbours.get_mut(&here).and_then(Vec::pop) {
                if let Some(back) = self.neighbours.get_mut(&next) {
                    back.retain(|edge| *edge != here);
                }
                line.push(self.places[&next]);
                here = next;
            }
            if line.len() > 1 {
                lines.push(line);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_one_closed_line_at_its_radius() {
        let axis: Vec<f64> = (-20..=20).map(|i| f64::from(i) / 10.0).collect();
        let values: Vec<Option<f64>> =
            axis.iter().flat_map(|y| axis.iter().map(move |x| Some((x * x + y * y).sqrt()))).collect();
        let lines = Grid { axes: [&axis, &axis], values: &values }.contour(1.33);
        assert_eq!(lines.len(), 1, "one line");
        assert!(lines[0].len() > 50 && lines[0].first() == lines[0].last(), "closed");
        for (x, y) in &lines[0] {
            assert!((x.hypot(*y) - 1.33).abs() < 2e-3, "({x}, {y})");
        }
    }

    #[test]
    fn unknown_corners_interrupt_a_line() {
        let axis = [0.0, 1.0, 2.0, 3.0];
        let mut values: Vec<Option<f64>> = axis.iter().flat_map(|_| axis.iter().map(|x| Some(*x))).collect();
        let whole = Grid { axes: [&axis, &axis], values: &values }.contour(1.5);
        assert_eq!(whole.len(), 1, "a straight line");
        assert!(whole[0].len() == 4 && whole[0].iter().all(|(x, _)| (x - 1.5).abs() < 1e-12), "{whole:?}");
        values[1] = None;
        let cut = Grid { axes: [&axis, &axis], values: &values }.contour(1.5);
        assert_eq!(cut[0].len(), 3, "the lowest cell is unknown: {cut:?}");
    }

    #[test]
    fn a_saddle_has_two_lines() {
        let axis = [-1.0, 1.0];
        let values = [Some(1.0), Some(-1.0), Some(-1.0), Some(1.0)];
        let lines = Grid { axes: [&axis, &axis], values: &values }.contour(0.1);
        assert_eq!(lines.len(), 2, "{lines:?}");
    }
}
