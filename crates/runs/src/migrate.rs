//! Converts settings of older versions.
//!
//! Schema 1 had one identity for training and measurement, SGD's settings among those of training, and λ_max through training among
//! those of measuring. Its files have no key `schema`.

use toml::{Table, Value};

/// The version of the format of a run's files.
pub(crate) const SCHEMA: i64 = 2;

/// The key of that version.
pub(crate) const SCHEMA_KEY: &str = "schema";

/// The keys of schema 1 that moved, and where.
const RENAMED: [(&str, &str, &[&str]); 4] = [
    ("training", "momentum", &["training", "optimizer", "momentum"]),
    ("training", "nesterov", &["training", "optimizer", "nesterov"]),
    ("training", "weight_decay", &["training", "optimizer", "weight_decay"]),
    ("measure", "through_training", &["training", "through_training"]),
];

/// Renames the old keys of `table`, so that users' files for older versions keep working.
pub(crate) fn renamed_keys(mut table: Table) -> Table {
    for (section, key, to) in RENAMED {
        let value = match table.get_mut(section) {
            Some(Value::Table(section)) => section.remove(key),
            _ => None,
        };
        if let Some(value) = value {
            insert(&mut table, to, value);
        }
    }
    table
}

/// The current name of a key of a recipe or a filter.
pub fn renamed_key(key: &str) -> String {
    let renamed = RENAMED.iter().find(|(section, old, _)| key.split_once('.') == Some((*section, *old)));
    renamed.map_or_else(|| key.to_owned(), |(_, _, to)| to.join("."))
}

/// The name of a current key in schema 1, if it differed.
pub(crate) fn old_key(key: &str) -> Option<String> {
    let renamed = RENAMED.iter().find(|(_, _, to)| to.join(".") == key);
    renamed.map(|(section, old, _)| format!("{section}.{old}"))
}

/// The settings of a run as its `config.toml` or `result.json` has them, and whether an older version wrote them.
pub(crate) fn stored_settings(mut table: Table) -> (Table, bool) {
    if table.remove(SCHEMA_KEY).is_some() {
        return (table, false);
    }
    let mut table = renamed_keys(table);
    // Before `data.seed` existed, the run's own seed drew the subset; before `bound_rtol` existed, there was no bound.
    let seed = table.get("seed").cloned();
    if let (Some(Value::Table(data)), Some(seed)) = (table.get_mut("data"), seed) {
        data.entry("seed").or_insert(seed);
    }
    if let Some(Value::Table(measure)) = table.get_mut("measure") {
        measure.entry("bound_rtol").or_insert_with(|| Value::String("off".to_owned()));
    }
    (table, true)
}

fn insert(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.entry(*last).or_insert(value);
        }
        [first, rest @ ..] => {
            let inner = table.entry(*first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_schema_1_are_read() {
        let text = "seed = 3\n[data]\nname = 'digits'\n[training]\nmomentum = 0.9\n[measure]\nthrough_training = 0.01\ntrace = 7\n";
        let (table, is_old) = stored_settings(text.parse().unwrap());
        assert!(is_old, "it has no schema");
        let expected: Table =
            "seed = 3\n[data]\nname = 'digits'\nseed = 3\n[training]\nthrough_training = 0.01\n\
            optimizer = { momentum = 0.9 }\n[measure]\nbound_rtol = 'off'\ntrace = 7\n"
                .parse()
                .unwrap();
        assert_eq!(table, expected, "each key is in its current place");
    }

    #[test]
    fn current_settings_are_unchanged() {
        let (table, is_old) =
            stored_settings("schema = 2\nseed = 3\n[measure]\nrtol = 0.1\n".parse().unwrap());
        assert!(!is_old, "it has the current schema");
        assert_eq!(table, "seed = 3\n[measure]\nrtol = 0.1\n".parse().unwrap(), "nothing is filled in");
    }
}
