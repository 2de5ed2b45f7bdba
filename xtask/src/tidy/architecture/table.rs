//! `xtask/architecture.toml`: which crates a crate may use, and the order of the modules inside it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Where the table is, from the repository's root.
pub(super) const PATH: &str = "xtask/architecture.toml";

/// All crates, each below those that use it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(rename = "crate")]
    pub(super) crates: Vec<Entry>,
}

/// What one crate may use.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The crate's folder.
    pub(super) name: String,
    /// Folders of the crates that it may depend on.
    pub(super) uses: Vec<String>,
    /// Its top-level modules from the ground up: each may use those before it. The root file is above them
    /// all, unless it is listed as `lib` or `main`.
    #[serde(default)]
    pub(super) modules: Vec<String>,
    /// Whether the crate does not exist yet.
    #[serde(default)]
    pub(super) planned: bool,
}

impl Table {
    /// # Errors
    /// The text is not TOML or not such a table, names a crate or a module twice, or lets a crate use one
    /// that is not listed before it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text).with_context(|| format!("invalid {PATH}"))?;
        let mut listed = BTreeSet::new();
        for Entry { name, uses, modules, .. } in &table.crates {
            for used in uses {
                ensure!(
                    listed.contains(used),
                    "{PATH}: `{name}` uses `{used}`, which is not listed before it"
                );
            }
            ensure!(listed.insert(name.clone()), "{PATH}: the crate `{name}` is listed twice");
            let mut seen = BTreeSet::new();
            for module in modules {
                ensure!(seen.insert(module), "{PATH}: `{name}` lists the module `{module}` twice");
            }
        }
        Ok(table)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.crates.iter().find(|entry| entry.name == name)
    }

    /// Whether a crate is listed before another, whose tests may then use it.
    pub(super) fn is_before(&self, name: &str, other: &str) -> bool {
        self.crates.iter().take_while(|entry| entry.name != other).any(|entry| entry.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", Table::parse(text).err().expect("the table is refused"))
    }

    #[test]
    fn a_crate_uses_only_crates_listed_before_it() {
        let text = "[[crate]]\nname = 'a'\nuses = ['b']\n[[crate]]\nname = 'b'\nuses = []\n";
        assert!(refusal(text).ends_with("`a` uses `b`, which is not listed before it"), "{}", refusal(text));
    }

    #[test]
    fn nothing_is_listed_twice() {
        let twice = "[[crate]]\nname = 'a'\nuses = []\n".repeat(2);
        assert!(refusal(&twice).ends_with("the crate `a` is listed twice"), "{}", refusal(&twice));
        let modules = "[[crate]]\nname = 'a'\nuses = []\nmodules = ['x', 'x']\n";
        assert!(refusal(modules).ends_with("`a` lists the module `x` twice"), "{}", refusal(modules));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = "[[crate]]\nname = 'a'\nuse = []\n";
        assert!(refusal(text).contains("unknown field `use`"), "{}", refusal(text));
    }
}
