//! Which file of a crate uses which other one, and the names it takes from there.

use std::collections::BTreeMap;

use super::source::{Crate, Mention};

/// For each pair (user, used) of files, the names that the first takes from the second, with the line of the
/// first use.
pub(super) type Arrows = BTreeMap<(String, String), BTreeMap<String, usize>>;

/// What a name stands for.
#[derive(Clone, PartialEq, Eq)]
enum Target {
    Module(usize),
    /// An item with this name in this module. It also stands for its variants and associated items.
    Item(usize, String),
    /// Another crate's, a primitive type or a local variable.
    Foreign,
}

/// The imports through which a name has been followed, as (module, position).
type Trail = Vec<(usize, usize)>;

impl Crate {
    /// The arrows between the files of this crate. A name is followed through re-exports to the file that
    /// defines it. A module that re-exports what a module below it defines does not use it by that.
    pub(super) fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (index, module) in self.modules.iter().enumerate() {
            for (position, import) in module.imports.iter().enumerate() {
                for (used, name) in self.imported(index, position) {
                    self.add(&mut arrows, index, used, name, &import.mention);
                }
            }
            for mention in &module.mentions {
                for target in self.resolve(index, &mention.path, &Trail::new()) {
                    if let Target::Item(used, name) = target {
                        self.add(&mut arrows, index, used, name, mention);
                    }
                }
            }
        }
        arrows
    }

    /// The modules and the names that one import takes from them.
    fn imported(&self, user: usize, position: usize) -> Vec<(usize, String)> {
        let module = &self.modules[user];
        let import = &module.imports[position];
        let named = |target: Target| match target {
            Target::Item(used, name) => Some((used, name)),
            // A glob can bring in a trait for its methods alone.
            Target::Module(used) if import.alias.is_none() && !self.modules[used].defined.is_empty() => {
                Some((used, "*".to_owned()))
            }
            _ => None,
        };
        let is_face = |used: usize| import.is_public && self.modules[used].path.starts_with(&module.path);
        let targets = self.resolve(user, &import.mention.path, &vec![(user, position)]);
        let names = targets.into_iter().filter_map(named);
        names.filter(|&(used, _)| !is_face(used)).collect()
    }

    fn add(&self, arrows: &mut Arrows, user: usize, used: usize, name: String, mention: &Mention) {
        let (user, used) = (&self.modules[user].file, &self.modules[used].file);
        if user != used {
            let names = arrows.entry((user.clone(), used.clone())).or_default();
            let line = names.entry(name).or_insert(mention.line);
            *line = mention.line.min(*line);
        }
    }

    /// All that a path in `module` can stand for: a type, a function and a module may share their name.
    fn resolve(&self, module: usize, path: &[String], trail: &Trail) -> Vec<Target> {
        match path.first().map(String::as_str) {
            Some("crate") => self.members(0, &path[1..], trail),
            Some("self") => self.members(module, &path[1..], trail),
            Some("super") => {
                let Some(mut above) = self.modules[module].parent else { return vec![Target::Foreign] };
                let mut rest = &path[1..];
                while let (Some("super"), Some(next)) =
                    (rest.first().map(String::as_str), self.modules[above].parent)
                {
                    (above, rest) = (next, &rest[1..]);
                }
                self.members(above, rest, trail)
            }
            Some(first) => {
                let found = self.lookup(module, first, trail);
                if found.is_empty() { vec![Target::Foreign] } else { self.follow(found, &path[1..], trail) }
            }
            None => Vec::new(),
        }
    }

    /// What `path` stands for inside `module`.
    fn members(&self, module: usize, path: &[String], trail: &Trail) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return vec![Target::Module(module)] };
        match self.lookup(module, first, trail) {
            // Made by a macro of that module.
            found if found.is_empty() => vec![Target::Item(module, first.clone())],
            found => self.follow(found, rest, trail),
        }
    }

    /// What `rest` stands for inside of what was found for the name before it.
    fn follow(&self, found: Vec<Target>, rest: &[String], trail: &Trail) -> Vec<Target> {
        if rest.is_empty() {
            return found;
        }
        let inside = |target: Target| match target {
            Target::Module(module) => self.members(module, rest, trail),
            Target::Item(module, name) if self.modules[module].defined.get(&name) == Some(&false) => {
                Vec::new()
            }
            item_or_foreign => vec![item_or_foreign],
        };
        found.into_iter().flat_map(inside).collect()
    }

    /// What one name stands for in `module`: its own items and modules, then imports, then globs.
    fn lookup(&self, module: usize, name: &str, trail: &Trail) -> Vec<Target> {
        let scope = &self.modules[module];
        let mut found = Vec::new();
        if scope.defined.contains_key(name) {
            found.push(Target::Item(module, name.to_owned()));
        }
        found.extend(scope.children.get(name).map(|child| Target::Module(*child)));
        let imports = |is_glob: bool| {
            let untried = scope
                .imports
                .iter()
                .enumerate()
                .filter(|(position, _)| !trail.contains(&(module, *position)));
            untried.filter(move |(_, import)| import.alias.is_none() == is_glob)
        };
        for (position, import) in imports(false).filter(|(_, import)| import.alias.as_deref() == Some(name)) {
            let trail = [trail.as_slice(), &[(module, position)]].concat();
            found.extend(self.resolve(module, &import.mention.path, &trail));
        }
        if found.is_empty() {
            for (position, import) in imports(true) {
                let trail = [trail.as_slice(), &[(module, position)]].concat();
                for target in self.resolve(module, &import.mention.path, &trail) {
                    if let Target::Module(inner) = target {
                        found.extend(self.lookup(inner, name, &trail));
                    }
                }
            }
        }
        found.dedup();
        found
    }
}
