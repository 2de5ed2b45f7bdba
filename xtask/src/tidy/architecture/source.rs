//! The modules of a crate: what each one defines, imports and mentions. Items for tests are left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, Meta, UseTree, Visibility};

/// The content of files by their path from the repository's root.
pub(super) type Files = BTreeMap<String, String>;

/// The name of a crate in the table: that of its folder.
pub(super) fn crate_name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

/// One crate. The first module is its root.
pub(super) struct Crate {
    pub(super) modules: Vec<Module>,
}

#[derive(Default)]
pub(super) struct Module {
    /// Names from the root down; empty for the root itself.
    pub(super) path: Vec<String>,
    pub(super) file: String,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// Names of all items except modules, and whether they can be followed by `::`.
    pub(super) defined: BTreeMap<String, bool>,
    pub(super) imports: Vec<Import>,
    pub(super) mentions: Vec<Mention>,
}

/// One leaf of a `use` tree.
pub(super) struct Import {
    /// The name that it has here, or `None` for a glob.
    pub(super) alias: Option<String>,
    pub(super) mention: Mention,
    /// Whether other modules may take the name from here.
    pub(super) is_public: bool,
}

/// A path such as `crate::a::B`, in code, in a macro's arguments or in an attribute.
pub(super) struct Mention {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

impl Crate {
    /// Reads the crate whose manifest is in `folder`. Returns `None` if it has neither `src/lib.rs` nor
    /// `src/main.rs`.
    ///
    /// # Errors
    /// A file is missing or is not valid Rust.
    pub(super) fn read(folder: &str, files: &Files) -> Result<Option<Self>> {
        let roots = ["lib", "main"].map(|root| format!("{folder}/src/{root}.rs"));
        let Some(file) = roots.into_iter().find(|root| files.contains_key(root)) else { return Ok(None) };
        let mut read = Self { modules: vec![Module { file: file.clone(), ..Module::default() }] };
        read.read_file(0, files)?;
        Ok(Some(read))
    }

    fn read_file(&mut self, module: usize, files: &Files) -> Result<()> {
        let file = &self.modules[module].file;
        let parsed = syn::parse_file(&files[file]).with_context(|| format!("cannot parse {file}"))?;
        self.read_items(module, &parsed.items, files)
    }

    fn read_items(&mut self, module: usize, items: &[Item], files: &Files) -> Result<()> {
        let mut reader = Reader { module: &mut self.modules[module] };
        for item in items {
            if let Some((name, is_type)) = definition(item) {
                *reader.module.defined.entry(name.unraw().to_string()).or_default() |= is_type;
            }
            reader.visit_item(item);
        }
        for item in items {
            let Item::Mod(inner) = item else { continue };
            if is_for_tests(&inner.attrs) {
                continue;
            }
            let child = self.add_child(module, &inner.ident.unraw().to_string());
            if let Some((_, items)) = &inner.content {
                self.read_items(child, items, files)?;
            } else {
                self.modules[child].file = self.file_of(child, files)?;
                self.read_file(child, files)?;
            }
        }
        Ok(())
    }

    /// Adds a module that is in its parent's file until told otherwise.
    fn add_child(&mut self, parent: usize, name: &str) -> usize {
        let child = self.modules.len();
        let above = &mut self.modules[parent];
        above.children.insert(name.to_owned(), child);
        let path = above.path.iter().cloned().chain([name.to_owned()]).collect();
        let file = above.file.clone();
        self.modules.push(Module { path, file, parent: Some(parent), ..Module::default() });
        child
    }

    /// The file of a module that is declared by `mod name;`.
    fn file_of(&self, module: usize, files: &Files) -> Result<String> {
        let root = &self.modules[0].file;
        let source = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let stem = format!("{source}/{}", self.modules[module].path.join("/"));
        let candidates = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
        match candidates.into_iter().find(|file| files.contains_key(file)) {
            Some(file) => Ok(file),
            None => bail!("{} declares a module without a file: {stem}.rs", self.modules[module].file),
        }
    }
}

/// The name that an item defines in its module, and whether it is that of a type.
fn definition(item: &Item) -> Option<(&Ident, bool)> {
    match item {
        Item::Const(item) => Some((&item.ident, false)),
        Item::Enum(item) => Some((&item.ident, true)),
        Item::Fn(item) => Some((&item.sig.ident, false)),
        Item::Macro(item) => item.ident.as_ref().map(|name| (name, false)),
        Item::Static(item) => Some((&item.ident, false)),
        Item::Struct(item) => Some((&item.ident, true)),
        Item::Trait(item) => Some((&item.ident, true)),
        Item::TraitAlias(item) => Some((&item.ident, true)),
        Item::Type(item) => Some((&item.ident, true)),
        Item::Union(item) => Some((&item.ident, true)),
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether a `#[cfg(test)]` or a `#[cfg(all(test, …))]` is among the attributes.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    let requires_test = |list: &syn::MetaList| {
        let condition = list.tokens.to_string().replace(' ', "");
        let parts = condition.strip_prefix("all(").and_then(|all| all.strip_suffix(')'));
        parts.unwrap_or(&condition).split(',').any(|part| part == "test")
    };
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && requires_test(list),
        _ => false,
    })
}

/// Collects imports and mentions of one module.
struct Reader<'a> {
    module: &'a mut Module,
}

impl Reader<'_> {
    fn mention(&mut self, path: Vec<String>, line: usize) {
        self.module.mentions.push(Mention { path, line });
    }

    fn import(&mut self, prefix: &[String], tree: &UseTree, is_public: bool) {
        let (name, alias, span) = match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, &[path.ident.unraw().to_string()]].concat();
                return self.import(&prefix, &path.tree, is_public);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(prefix, tree, is_public));
            }
            UseTree::Glob(glob) => (None, None, glob.star_token.span),
            UseTree::Name(name) => (Some(&name.ident), Some(&name.ident), name.ident.span()),
            UseTree::Rename(rename) => (Some(&rename.ident), Some(&rename.rename), rename.ident.span()),
        };
        let name = name.map(|name| name.unraw().to_string());
        // `use a::{self}` imports `a`.
        let is_self = name.as_deref() == Some("self");
        let alias = alias.map(|alias| alias.unraw().to_string()).filter(|alias| alias != "self");
        let alias = if is_self { alias.or_else(|| prefix.last().cloned()) } else { alias };
        let path = prefix.iter().cloned().chain(name.filter(|_| !is_self)).collect();
        let mention = Mention { path, line: span.start().line };
        self.module.imports.push(Import { alias, mention, is_public });
    }

    /// Mentions in the arguments of a macro, which have no syntax tree: words joined by `::`, unless they
    /// follow a dot.
    fn tokens(&mut self, tokens: &TokenStream, shortest: usize) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons, mut is_field) = (0, 0, false);
        for token in tokens.clone() {
            let joins = colons == 2;
            let ends = match &token {
                TokenTree::Ident(_) => !joins,
                TokenTree::Punct(punct) => punct.as_char() != ':',
                _ => true,
            };
            if ends {
                self.finish(&mut path, line, shortest);
            }
            colons = if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':') {
                colons + 1
            } else {
                0
            };
            match &token {
                TokenTree::Ident(word) if !is_field => {
                    line = if path.is_empty() { word.span().start().line } else { line };
                    path.push(word.unraw().to_string());
                }
                TokenTree::Group(group) => self.tokens(&group.stream(), shortest),
                _ => {}
            }
            is_field = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        }
        self.finish(&mut path, line, shortest);
    }

    fn finish(&mut self, path: &mut Vec<String>, line: usize, shortest: usize) {
        let path = std::mem::take(path);
        if path.len() >= shortest {
            self.mention(path, line);
        }
    }

    /// Paths in strings, as serde takes them: `#[serde(with = "crate::a")]`.
    fn strings(&mut self, tokens: &TokenStream) {
        for token in tokens.clone() {
            match token {
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
                        self.mention(segments(&path), literal.span().start().line);
                    }
                }
                TokenTree::Group(group) => self.strings(&group.stream()),
                _ => {}
            }
        }
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect()
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(method) if is_for_tests(&method.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    /// Modules are read on their own.
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&[], &item.tree, !matches!(item.vis, Visibility::Inherited));
    }

    /// `pub(in path)` uses nothing of the path.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(1, |first| first.ident.span().start().line);
        self.mention(segments(path), line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.tokens(&call.tokens, 1);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(&list.tokens, 2);
            if list.path.is_ident("serde") {
                self.strings(&list.tokens);
            }
        }
    }
}
