//! The frame of the page that its script fills: runs, curves, details and comparison.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of the page.
pub(super) const STYLE: &str = include_str!("assets/page.css");

/// The modules of the script, each after those that it imports.
const MODULES: [(&str, &str); 8] = [
    ("format.js", include_str!("assets/format.js")),
    ("address.js", include_str!("assets/address.js")),
    ("query.js", include_str!("assets/query.js")),
    ("source.js", include_str!("assets/source.js")),
    ("chart.js", include_str!("assets/chart.js")),
    ("table.js", include_str!("assets/table.js")),
    ("detail.js", include_str!("assets/detail.js")),
    ("main.js", include_str!("assets/main.js")),
];

/// A file of the live page: its type and its content.
pub fn asset(name: &str) -> Option<(&'static str, &'static str)> {
    if name == "page.css" {
        return Some(("text/css; charset=utf-8", STYLE));
    }
    let found = MODULES.iter().find(|(module, _)| *module == name);
    found.map(|(_, text)| ("text/javascript; charset=utf-8", *text))
}

/// The modules as one script, for a page in one file: each is a function that returns what it exports. In a module, every import is a line
/// `import { a, b } from "./NAME";`, and every export a line that starts with `export` and declares one name.
pub(super) fn script() -> String {
    let mut script = "\"use strict\";\nconst modules = {};\n".to_owned();
    for (name, text) in MODULES {
        let mut exports = Vec::new();
        // Writing to a string cannot fail.
        let _ = writeln!(script, "modules[\"{name}\"] = (() => {{");
        for line in text.lines() {
            let import = line.strip_prefix("import ").and_then(|rest| rest.split_once(" from \"./"));
            let (line, export) = match (import, line.strip_prefix("export ")) {
                (Some((names, file)), _) => {
                    (format!("const {names} = modules[\"{}\"];", file.trim_end_matches("\";")), None)
                }
                (_, Some(declared)) => (declared.to_owned(), declared_name(declared)),
                _ => (line.to_owned(), None),
            };
            exports.extend(export);
            let _ = writeln!(script, "{line}");
        }
        let _ = writeln!(script, "return {{ {} }};\n}})();", exports.join(", "));
    }
    script
}

/// `f` of `async function f(x) {`, and of `const f = `.
fn declared_name(line: &str) -> Option<String> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("function ").or_else(|| line.strip_prefix("const "))?;
    Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '$').collect())
}

/// The page of a server: it loads everything else.
pub fn live_html() -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head("sharpness"))
                link rel="stylesheet" href="/assets/page.css";
                script type="module" src="/assets/main.js" { }
            }
            body {
                (skip_link())
                header.top {
                    h1 { "sharpness " span id="store" { } }
                    p id="live" role="status" { "connecting" }
                    (theme_button())
                }
                nav aria-label="Sections" {
                    a href="#runs" { "Runs" } a href="#findings" { "Findings" }
                    a href="#predictions" { "What predicts" } a href="#figures" { "Figures" }
                }
                p id="problem" role="alert" hidden { }
                (token_form())
                main id="main" {
                    (runs())
                    div id="conclusions" aria-busy="true" { p.faint { "Figures and verdicts are being computed." } }
                }
                noscript { p { "This page needs JavaScript. `sharpness runs list` prints the runs." } }
            }
        }
    };
    page.into_string()
}

/// What every page has in its head.
pub(super) fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        link rel="icon" href="data:,";
        title { (title) }
    }
}

pub(super) fn skip_link() -> Markup {
    html! { a.skip href="#main" { "Skip to the runs" } }
}

pub(super) fn theme_button() -> Markup {
    html! { button id="theme" type="button" aria-label="Theme: system" { "◐ system" } }
}

fn token_form() -> Markup {
    html! {
        form id="token-form" hidden {
            label for="token" { "This store is read with a token, which whoever started the server knows." }
            div.tools {
                input id="token" type="password" autocomplete="current-password" required;
                button type="submit" { "Open" }
            }
        }
    }
}

/// Runs as a table with filters, and their curves.
pub(super) fn runs() -> Markup {
    html! {
        section id="runs" aria-labelledby="runs-heading" {
            h2 id="runs-heading" { "Runs" }
            div id="states" role="group" aria-label="Show only runs in a state" { }
            (tools())
            p id="filter-problem" role="alert" hidden { }
            div.curves { (curves()) }
            (table_tools())
            div id="table-box" {
                table id="table" role="grid" aria-labelledby="runs-heading" aria-describedby="table-help" aria-multiselectable="true" { }
            }
            p.faint id="table-help" {
                kbd { "↑" } " " kbd { "↓" } " move, " kbd { "Space" } " selects, " kbd { "Enter" } " opens, " kbd { "Esc" } " closes. "
                "A row is a training; select some to draw only these, and two to compare them."
            }
            section id="detail" aria-labelledby="detail-heading" hidden { }
        }
    }
}

fn tools() -> Markup {
    html! {
        div.tools {
            label.grow { span { "Filter" }
                input id="filter" type="search" list="keys" autocomplete="off" spellcheck="false" aria-describedby="filter-help"
                    placeholder="vgg11 batch_size<100 test_accuracy>50%";
            }
            datalist id="keys" { }
            label { span { "Colour by" } select id="colour" { } }
            label { span { "Over" } select id="x" { option value="epoch" { "epochs" } option value="step" { "steps" } } }
            label { span { "Data" } select id="data" {
                option value="both" { "train and test" } option value="train" { "train" } option value="test" { "test" }
            } }
            fieldset.inline { legend { "Logarithmic" }
                label { input id="log-x" type="checkbox"; " x" }
                label { input id="log-loss" type="checkbox"; " loss" }
                label { input id="log-accuracy" type="checkbox"; " error" }
                label { input id="log-lambda" type="checkbox"; span { "λ" sub { "max" } } }
            }
        }
        p.hidden id="filter-help" {
            "Words select runs whose name, state or settings contain them; a setting or result with =, !=, < or > compares its value."
        }
    }
}

fn curves() -> Markup {
    html! {
        p.faint id="drawn" { }
        div id="charts" { }
        div id="legend" { }
    }
}

/// What acts on the table, above it.
fn table_tools() -> Markup {
    html! {
        div.tools.table-tools {
            p id="count" role="status" aria-live="polite" { }
            button id="compare" type="button" disabled { "Compare two" }
            button id="clear" type="button" disabled { "Clear selection" }
            label.line { span { "Sort" } select id="sort" { } }
            button id="direction" type="button" aria-label="Order" { "descending" }
            details id="columns" { summary { "Columns" } fieldset { legend { "Columns" } div id="column-boxes" { } } }
        }
    }
}

/// Data for the script. In strings alone, where JSON allows numeric escapes: nothing may end the element.
pub(super) fn data(id: &str, json: &str) -> Markup {
    let safe = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    html! { script id=(id) type="application/json" { (PreEscaped(safe)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element_that_holds_the_data() {
        let hostile = serde_json::json!({ "</script><script>alert(1)</script>": "<!--<script>&amp;" });
        let element = data("rows", &hostile.to_string()).into_string();
        let inner = element.strip_prefix(r#"<script id="rows" type="application/json">"#).unwrap();
        let inner = inner.strip_suffix("</script>").unwrap();
        assert!(!inner.contains(['<', '>', '&']), "{inner}");
        let read: serde_json::Value = serde_json::from_str(inner).unwrap();
        assert_eq!(read, hostile, "and the data are the same");
    }

    #[test]
    fn a_module_imports_what_an_earlier_one_exports() {
        let mut known = std::collections::BTreeMap::new();
        for (name, text) in MODULES {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let (names, file) = line["import ".len()..].split_once(" from \"./").expect(line);
                let exports: &Vec<String> = known.get(file.trim_end_matches("\";")).expect(line);
                for import in names.trim_matches(['{', '}', ' ']).split(", ") {
                    assert!(exports.iter().any(|export| export == import), "{name}: {import}");
                }
            }
            let exports = text.lines().filter_map(|line| line.strip_prefix("export "));
            known.insert(name, exports.map(|line| declared_name(line).expect(line)).collect());
        }
        assert!(
            !script().lines().any(|line| line.starts_with("import ") || line.starts_with("export ")),
            "one script"
        );
    }
}
