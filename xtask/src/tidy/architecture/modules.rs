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
    let circles = order::circles(&graph(&arrows));
    let in_circle = |(user, used): &(String, String)| {
        circles.iter().any(|circle| circle.contains(user) && circle.contains(used))
    };
    let mut others = arrows.clone();
    others.retain(|pair, _| !in_circle(pair));

    let mut found = stale_entries(read, entry);
    found.extend(circles.iter().map(|circle| describe(circle, &arrows, "files")));
    found.extend(circles_of_modules(read, &others));
    found.extend(against_order(read, entry, &arrows));
    found
}

/// The top-level modules of a crate from the ground up, one floor per line, for the table. Marks circles.
pub(super) fn propose(read: &Crate) -> String {
    let root = name_of_root(read);
    let arrows = merged(&read.arrows(), |file| Some(top_level(read, file)));
    let mut graph = graph(&arrows);
    // An unused root is above all other modules, and the table does not list it.
    if !arrows.keys().any(|(_, used)| *used == root) {
        graph.remove(&root);
    }
    for name in read.modules[0].children.keys() {
        graph.entry(name.clone()).or_default();
    }
    let circles = order::circles(&graph);
    let mut text = "modules = [\n".to_owned();
    for floor in order::floors(&graph) {
        let names: Vec<String> = floor.iter().map(|name| format!("{name:?}")).collect();
        let _ = write!(text, "    {},", names.join(", "));
        for circle in circles.iter().filter(|circle| circle.is_subset(&floor)) {
            let _ = write!(text, " # circle: {}", circle.iter().cloned().collect::<Vec<_>>().join(", "));
        }
        text.push('\n');
    }
    text + "]"
}

fn graph(arrows: &Arrows) -> Graph {
    order::graph(arrows.keys().map(|(user, used)| (user.as_str(), used.as_str())))
}

/// The arrows between groups of files. Leaves out files without a group and arrows inside a group.
fn merged(arrows: &Arrows, group: impl Fn(&str) -> Option<String>) -> Arrows {
    let mut merged = Arrows::new();
    for ((user, used), names) in arrows {
        if let (Some(user), Some(used)) = (group(user), group(used))
            && user != used
        {
            merged.entry((user, used)).or_default().extend(names.clone());
        }
    }
    merged
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

/// Circles between modules with the same parent, though no files form one.
fn circles_of_modules(read: &Crate, arrows: &Arrows) -> Vec<Violation> {
    let mut found = Vec::new();
    for parent in &read.modules {
        let child_of = |file: &str| {
            let module = read.modules.iter().find(|module| module.file == file)?;
            module.path.strip_prefix(parent.path.as_slice())?.first().cloned()
        };
        let between = merged(arrows, child_of);
        for circle in order::circles(&graph(&between)) {
            found.push(Violation { path: parent.file.clone(), ..describe(&circle, &between, "modules") });
        }
    }
    found
}

/// A circle, with the names that tie it.
fn describe(circle: &BTreeSet<String>, arrows: &Arrows, what: &str) -> Violation {
    let mut message = format!("these {what} use each other in a circle:");
    for ((user, used), names) in arrows {
        if circle.contains(user) && circle.contains(used) {
            let _ = write!(message, "\n    {user} -> {used}: {}", list(names));
        }
    }
    Violation { path: circle.first().cloned().unwrap_or_default(), line: 1, message }
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
