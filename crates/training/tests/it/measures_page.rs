//! `docs/measures.md` defines every measure, from the measures' own declarations.

use std::fmt::Write as _;
use std::path::Path;

use sharpness_training::measures::{self, Definition, Flag, Measure};

/// If set, the page is written rather than compared.
const WRITE: &str = "SHARPNESS_WRITE_SETTINGS";

const INTRODUCTION: &str = "\
# Measures

<!-- Generated from the measures' declarations by `cargo xtask settings`. -->

What `sharpness train` and `sharpness measure` compute, for the mean loss L over the measured examples, with dropout off. H is its
Hessian, g its gradient, N the number of examples, η a learning rate. Batch norm uses the statistics of chunks, differentiated through,
or the running ones; the report says which. λ_max is always computed, every other measure on request: by its flag, or by its table
`[measure.NAME]` in a file of settings ([settings.md](settings.md)). Measures of one call share linearizations and random products, and the
report says what each took.

A number reported as `value ± error` carries a standard error over random draws, or the bound that the text names. The numbers listed as
*sharpness* are the predictors that `sharpness claims` compares.

## Largest eigenvalue

λ_max(H), counted with its sign, by Lanczos from the gradient, with full reorthogonalization. `--top-k` finds more.

| | |
| --- | --- |
| key | `lambda_max` |
| source | Kaur, Cohen, Lipton 2022 |
| error | the residual ‖Hu - θu‖ from products; `lower` and `upper` with their probabilities: θ is never above λ_max, and the solver's bound shows that nothing larger was missed. Engines in `f32` are checked by products in `f64` |
| cost | 8 to 15 products; a product costs about two gradients |
";

#[test]
fn the_page_of_measures_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/measures.md");
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let differing = page.lines().zip(committed.lines()).find(|(new, old)| new != old);
    assert!(
        committed == page,
        "docs/measures.md is out of date at {differing:?}; run `cargo xtask settings`"
    );
}

#[test]
fn every_measure_says_what_it_is_and_what_its_error_is() {
    struct Each;
    impl measures::Visitor for Each {
        fn visit<M: Measure>(&mut self) {
            let Definition { title, text, source, error, cost } = M::DEFINITION;
            for part in [title, text, source, error, cost] {
                assert!(!part.trim().is_empty() && !part.contains('\n'), "{}: {part:?}", M::NAME);
            }
            for (key, label) in M::SHARPNESS {
                let first = key.split('.').next().unwrap_or_default();
                let is_column = M::COLUMNS.iter().any(|(name, _)| name == key || *name == first);
                assert!(is_column && !label.is_empty(), "{}: `{key}` is no column", M::NAME);
            }
        }
    }
    measures::each(&mut Each);
}

fn page() -> String {
    struct Sections(String);
    impl measures::Visitor for Sections {
        fn visit<M: Measure>(&mut self) {
            self.0.push_str(&section::<M>());
        }
    }
    let mut sections = Sections(INTRODUCTION.to_owned());
    measures::each(&mut sections);
    sections.0
}

fn section<M: Measure>() -> String {
    let Definition { title, text, source, error, cost } = M::DEFINITION;
    let dashed = M::NAME.replace('_', "-");
    let flag = match M::FLAG {
        Flag::Switch => format!("--{dashed}"),
        Flag::Optional(value) => format!("--{dashed}[={value}]"),
        Flag::Required(value) => format!("--{dashed} {value}"),
    };
    let sharpness: Vec<String> =
        M::SHARPNESS.iter().map(|(key, label)| format!("`{}.{key}` ({label})", M::NAME)).collect();
    let mut section = format!("\n## {title}\n\n{text}\n\n| | |\n| --- | --- |\n");
    let rows = [
        ("flag", format!("`{flag}`")),
        ("key", format!("`{}`", M::NAME)),
        ("source", source.to_owned()),
        ("error", error.to_owned()),
        ("cost", cost.to_owned()),
        ("sharpness", sharpness.join(", ")),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(section, "| {name} | {} |", value.replace('|', "\\|"));
    }
    section
}
