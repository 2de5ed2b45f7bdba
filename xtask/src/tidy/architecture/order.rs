//! Circles and floors of a graph.

use std::collections::{BTreeMap, BTreeSet};

/// The nodes that each node uses.
pub(super) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The graph of these (user, used) pairs.
pub(super) fn graph<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Graph {
    let mut graph = Graph::new();
    for (user, used) in pairs {
        graph.entry(used.to_owned()).or_default();
        graph.entry(user.to_owned()).or_default().insert(used.to_owned());
    }
    graph
}

/// Sets of nodes that reach each other, largest possible, each of at least two nodes.
pub(super) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let mut groups = groups(graph);
    groups.retain(|group| group.len() > 1);
    groups
}

/// Nodes from the ground up: each floor uses only floors below it, except that a circle stands on one floor.
pub(super) fn floors(graph: &Graph) -> Vec<BTreeSet<String>> {
    let mut left = groups(graph);
    let mut placed = BTreeSet::new();
    let mut floors = Vec::new();
    while !left.is_empty() {
        let stands = |group: &BTreeSet<String>| {
            let used = group.iter().filter_map(|node| graph.get(node)).flatten();
            used.into_iter().all(|node| group.contains(node) || placed.contains(node))
        };
        let (floor, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(stands);
        let floor: BTreeSet<String> = floor.into_iter().flatten().collect();
        placed.extend(floor.iter().cloned());
        floors.push(floor);
        left = rest;
    }
    floors
}

/// The strongly connected components.
fn groups(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|node| (node, reachable(graph, node))).collect();
    let mut groups: Vec<BTreeSet<String>> = Vec::new();
    for node in graph.keys() {
        if !groups.iter().any(|group| group.contains(node)) {
            let back = reached[node].iter().filter(|other| reached[*other].contains(node));
            groups.push(back.map(|other| (*other).clone()).chain([node.clone()]).collect());
        }
    }
    groups
}

fn reachable<'a>(graph: &'a Graph, start: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = graph.get(start).into_iter().flatten().collect();
    while let Some(node) = open.pop() {
        if reached.insert(node) {
            open.extend(graph.get(node).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_circle_is_found_whole_and_apart_from_what_it_uses() {
        let graph = graph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "ground"), ("roof", "a")]);
        assert_eq!(circles(&graph), [set(&["a", "b", "c"])], "neither the ground nor the roof belongs to it");
    }

    #[test]
    fn a_floor_is_one_above_the_highest_that_it_uses() {
        let graph = graph([("roof", "wall"), ("roof", "ground"), ("wall", "ground"), ("shed", "ground")]);
        assert_eq!(
            floors(&graph),
            [set(&["ground"]), set(&["shed", "wall"]), set(&["roof"])],
            "from the ground up"
        );
    }

    #[test]
    fn a_circle_stands_on_one_floor() {
        let graph = graph([("a", "b"), ("b", "a"), ("b", "ground")]);
        assert_eq!(floors(&graph), [set(&["ground"]), set(&["a", "b"])], "above the ground");
    }
}
