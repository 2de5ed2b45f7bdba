//! Whether the files and modules of one crate use each other in the order of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::arrows::Arrows;
use super::order::{self, Graph};
use super::source::Crate;
use super::table::{self, Entry};
use crate::tidy::violation::Violation;

/// Circles between files, circles between modules, and arrows against the table's order.
pub(super) fn check(read: &Crate, entry: &Entry) -> Vec<Violation> {
    let arrows = read.arrows();
    let mut found = stale_entries(read, entry);
    let circles =
        order::circles(&order::graph(arrows.keys().map(|(user, used)| (user.as_str(), used.as_str()))));
    found.extend(
        circles.iter().map(|circle| describe(circle, &arrows, "these files use each other in a circle")),
    );
    let is_inside = |(user, used): &(String, String)| {
        circles.iter().any(|circle| circle.contains(user) && circle.contains(used))
    };
    let straight: Arrows = arrows
        .iter()
        .filter(|(pair, _)| !is_inside(pair))
        .map(|(pair, names)| (pair.clone(), names.clone()))
        .collect();
    found.extend(circles_of_modules(read, &straight));
    found.extend(against_order(read, entry, &arrows));
    found
}

/// The top-level modules of a crate from the ground up, one floor a line, as the table wants them. A floor
/// with a circle is marked.
pub(super) fn propose(read: &Crate) -> String {
    let arrows = read.arrows();
    let root = name_of_root(read);
    let between: BTreeSet<(String, String)> =
        arrows.keys().map(|(user, used)| (top_level(read, user), top_level(read, used))).collect();
    let is_root_used = between.iter().any(|(user, used)| *used == root && *user != root);
    let mut graph: Graph =
        read.modules[0].children.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
    for (user, used) in between {
        if user != used && (user != root || is_root_used) {
            graph.entry(user).or_default().insert(used.clone());
            graph.entry(used).or_default();
        }
    }
    let circles = order::circles(&graph);
    let mut text = "modules = [\n".to_owned();
    for floor in order::floors(&graph) {
        let names: Vec<String> = floor.iter().map(|name| format!("{name:?}")).collect();
        let tied: Vec<&BTreeSet<String>> = circles.iter().filter(|circle| circle.is_subset(&floor)).collect();
        let _ = write!(text, "    {},", names.join(", "));
        for circle in tied {
            let _ = write!(text, " # circle: {}", circle.iter().cloned().collect::<Vec<_>>().join(", "));
        }
        text.push('\n');
    }
    text + "]"
}

/// Modules that the table lacks, and those that it lists though they do not exist.
fn stale_entries(read: &Crate, entry: &Entry) -> Vec<Violation> {
    let root = name_of_root(read);
    let at = |path: &str, message: String| Violation { path: path.to_owned(), line: 1, message };
    let children = &read.modules[0].children;
    let missing = children.iter().filter(|(name, _)| !entry.modules.contains(name));
    let missing = missing.map(|(name, module)| {
        at(
            &read.modules[*module].file,
            format!("the module `{name}` of `{}` is missing from {}", entry.name, table::PATH),
        )
    });
    let gone = entry.modules.iter().filter(|name| !children.contains_key(*name) && **name != root);
    let gone = gone.map(|name| at(table::PATH, format!("`{}` has no module `{name}`", entry.name)));
    missing.chain(gone).collect()
}

fn against_order(read: &Crate, entry: &Entry, arrows: &Arrows) -> Vec<Violation> {
    let place = |module: &str| entry.modules.iter().position(|listed| listed == module);
    let root = name_of_root(read);
    let mut found = Vec::new();
    for ((user, used), names) in arrows {
        let (from, to) = (top_level(read, user), top_level(read, used));
        // An unlisted root is above everything; other unlisted modules are reported as such.
        let is_allowed = match (place(&from), place(&to)) {
            (Some(from), Some(to)) => to <= from,
            (Some(_), None) => to != root,
            (None, _) => true,
        };
        if !is_allowed {
            let message =
                format!("`{from}` may not use `{to}`, which is above it in {}: {}", table::PATH, list(names));
            found.push(Violation { path: user.clone(), line: first_line(names), message });
        }
    }
    found
}

/// Circles between the modules of one module, though no files tie them one to one.
fn circles_of_modules(read: &Crate, arrows: &Arrows) -> Vec<Violation> {
    let mut found = Vec::new();
    for parent in read.modules.iter().filter(|parent| parent.children.len() > 1) {
        let child_of = |file: &str| {
            let module = read.modules.iter().find(|module| module.file == file)?;
            let below = module.path.strip_prefix(parent.path.as_slice())?;
            below.first().cloned()
        };
        let between: Arrows = arrows
            .iter()
            .filter_map(|((user, used), names)| {
                let pair = (child_of(user)?, child_of(used)?);
                (pair.0 != pair.1).then(|| (pair, names.clone()))
            })
            .fold(Arrows::new(), |mut all, (pair, names)| {
                all.entry(pair).or_default().extend(names);
                all
            });
        let circles =
            order::circles(&order::graph(between.keys().map(|(user, used)| (user.as_str(), used.as_str()))));
        found.extend(circles.iter().map(|circle| {
            let violation = describe(circle, &between, "these modules use each other in a circle");
            Violation { path: parent.file.clone(), line: 1, ..violation }
        }));
    }
    found
}

/// A circle, with the names that tie it.
fn describe(circle: &BTreeSet<String>, arrows: &Arrows, what: &str) -> Violation {
    let inside = arrows.iter().filter(|((user, used), _)| circle.contains(user) && circle.contains(used));
    let mut message = format!("{what}:");
    let mut line = 1;
    for (index, ((user, used), names)) in inside.enumerate() {
        let _ = write!(message, "\n    {user} -> {used}: {}", list(names));
        line = if index == 0 { first_line(names) } else { line };
    }
    Violation { path: circle.first().cloned().unwrap_or_default(), line, message }
}

fn list(names: &BTreeMap<String, usize>) -> String {
    names.keys().cloned().collect::<Vec<_>>().join(", ")
}

fn first_line(names: &BTreeMap<String, usize>) -> usize {
    names.values().copied().min().unwrap_or(1)
}

/// The top-level module that a file belongs to; `lib` or `main` for the root.
fn top_level(read: &Crate, file: &str) -> String {
    let module = read.modules.iter().find(|module| module.file == file);
    module.and_then(|module| module.path.first().cloned()).unwrap_or_else(|| name_of_root(read))
}

fn name_of_root(read: &Crate) -> String {
    let file = &read.modules[0].file;
    if file.ends_with("/main.rs") { "main".to_owned() } else { "lib".to_owned() }
}
