//! Made-up crates, each with one fault.

use super::*;

/// A crate `a` with these modules in the table and these files in `src`.
fn violations(modules: &str, sources: &[(&str, &str)]) -> Vec<String> {
    let table = format!("[[crate]]\nname = 'a'\nuses = []\nmodules = [{modules}]\n");
    let fixed =
        [("xtask/architecture.toml".to_owned(), table), ("crates/a/Cargo.toml".to_owned(), String::new())];
    let sources =
        sources.iter().map(|(file, content)| (format!("crates/a/src/{file}"), (*content).to_owned()));
    let files = fixed.into_iter().chain(sources).collect();
    check(&files).unwrap().iter().map(ToString::to_string).collect()
}

const LIB: (&str, &str) = ("lib.rs", "mod low; mod high;");

#[test]
fn a_module_may_use_modules_below_it() {
    let sources = [LIB, ("low.rs", "pub(crate) struct X;"), ("high.rs", "use crate::low::X; fn f(_: X) {}")];
    assert_eq!(violations("'low', 'high'", &sources), [""; 0], "the order of the table");
}

#[test]
fn an_arrow_against_the_order_is_found_however_it_is_written() {
    let uses = [
        "use crate::high::X;",
        "use super::high::X;",
        "use crate::{high::{X as Y}};",
        "use crate::high; fn f(_: high::X) {}",
        "fn f() { use super::high::X; }",
        "fn f() -> crate::high::X { todo() }",
        "fn f() { let _ = crate::high::X::new(); }",
        "use crate::high::*; fn f(_: X) {}",
        "fn f() { println!(\"{}\", crate::high::X); }",
        "#[serde(with = \"crate::high::X\")] struct S;",
        "mod inner { use super::super::high::X; }",
        "impl crate::high::X {}",
        "use crate::X;",
        "pub(crate) use crate::high::X;",
    ];
    for text in uses {
        let lib = ("lib.rs", "mod low; mod high; pub use high::X;");
        let found = violations("'low', 'high'", &[lib, ("low.rs", text), ("high.rs", "pub struct X;")]);
        let message =
            "crates/a/src/low.rs:1: `low` may not use `high`, which is above it in xtask/architecture.toml: ";
        assert!(
            found.len() == 1 && found[0].starts_with(message) && found[0].contains('X'),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn tests_other_crates_and_local_names_draw_no_arrow() {
    let uses = [
        "#[cfg(test)] mod tests { use crate::high::X; }",
        "#[cfg(test)] use crate::high::X;",
        "#[cfg(all(test, unix))] fn f(_: crate::high::X) {}",
        "use other::high::X;",
        "fn f(x: S) { x.high.X; println!(\"{}\", x.high); let high = 1; let _ = high; }",
        "pub(in crate::high) fn f() {}",
        "use crate::high;",
    ];
    for text in uses {
        let sources = [LIB, ("low.rs", text), ("high.rs", "pub struct X;")];
        assert_eq!(violations("'low', 'high'", &sources), [""; 0], "{text}");
    }
}

#[test]
fn a_circle_is_named_with_the_names_that_tie_it_even_through_the_root() {
    let sources = [
        ("lib.rs", "mod low; mod high; pub use low::Low; pub use high::{High, other};"),
        ("low.rs", "use crate::{High, other}; pub struct Low;"),
        ("high.rs", "pub struct High(crate::Low); pub fn other() {}"),
    ];
    let found = violations("'low', 'high'", &sources);
    let expected = "crates/a/src/high.rs:1: these files use each other in a circle:\n    \
        crates/a/src/high.rs -> crates/a/src/low.rs: Low\n    crates/a/src/low.rs -> crates/a/src/high.rs: High, other";
    assert_eq!(found[0], expected, "both arrows and their names");
    assert!(found[1].contains("`low` may not use `high`"), "the arrow to remove: {}", found[1]);
}

#[test]
fn a_face_does_not_use_what_it_re_exports() {
    let lib = ("lib.rs", "mod a;");
    let child = ("a/child.rs", "use super::Shape; pub struct X(Shape);");
    let face = ("a/mod.rs", "mod child; pub use child::X; pub struct Shape;");
    assert_eq!(violations("'a'", &[lib, face, child]), [""; 0], "a re-export alone");
    let user = ("a/mod.rs", "mod child; pub use child::X; pub struct Shape; fn f(_: X) {}");
    let found = violations("'a'", &[lib, user, child]);
    assert_eq!(found.len(), 1, "a function that takes what is re-exported: {found:?}");
    assert!(found[0].contains("a/child.rs -> crates/a/src/a/mod.rs: Shape"), "{}", found[0]);
}

#[test]
fn a_function_that_bears_the_name_of_its_module_is_found() {
    let sources = [
        ("lib.rs", "mod dense; mod user; pub use dense::dense;"),
        ("dense.rs", "use crate::user::go; pub fn dense() { go() }"),
        ("user.rs", "use crate::dense; pub fn go() { dense() }"),
    ];
    let found = violations("'dense', 'user'", &sources);
    assert!(found[0].contains("user.rs -> crates/a/src/dense.rs: dense"), "{found:?}");
}

#[test]
fn modules_may_not_form_a_circle_though_their_files_form_none() {
    let sources = [
        ("lib.rs", "mod all;"),
        ("all/mod.rs", "mod a; mod b;"),
        ("all/a/mod.rs", "mod top; mod ground;"),
        ("all/a/top.rs", "use crate::all::b::B;"),
        ("all/a/ground.rs", "pub struct Ground;"),
        ("all/b.rs", "use super::a::ground::Ground; pub struct B(Ground);"),
    ];
    let expected = "crates/a/src/all/mod.rs:1: these modules use each other in a circle:\n    a -> b: B\n    b -> a: Ground";
    assert_eq!(violations("'all'", &sources), [expected], "folders are tied, not files");
}

#[test]
fn the_root_is_above_its_modules_unless_it_is_listed() {
    let sources = [("lib.rs", "mod low; pub struct Shared;"), ("low.rs", "use crate::Shared;")];
    let found = violations("'low'", &sources);
    assert_eq!(found.len(), 1, "the root is not listed: {found:?}");
    assert!(found[0].contains("`low` may not use `lib`"), "{}", found[0]);
    assert_eq!(violations("'lib', 'low'", &sources), [""; 0], "the root is on the ground");
}

#[test]
fn the_table_names_every_module_and_no_other() {
    let sources = [LIB, ("low.rs", ""), ("high.rs", "")];
    let missing = "crates/a/src/high.rs:1: the module `high` of `a` is missing from xtask/architecture.toml";
    assert_eq!(violations("'low'", &sources), [missing], "a module that is missing");
    let gone = "xtask/architecture.toml:1: `a` has no module `attic`";
    assert_eq!(violations("'low', 'high', 'attic'", &sources), [gone], "a module that is gone");
}

#[test]
fn the_table_names_every_crate_and_no_other_unless_it_is_planned() {
    let check = |entry: &str| -> Vec<String> {
        let table = format!("[[crate]]\nname = 'a'\nuses = []\n{entry}");
        let files =
            Files::from([(table::PATH.to_owned(), table), ("crates/a/Cargo.toml".to_owned(), String::new())]);
        super::check(&files).unwrap().iter().map(ToString::to_string).collect()
    };
    let gone = "[[crate]]\nname = 'b'\nuses = ['a']\n";
    assert_eq!(check(gone), ["xtask/architecture.toml:1: there is no crate `b`"], "a crate that is gone");
    assert_eq!(check(&format!("{gone}planned = true\n")), [""; 0], "a crate to come");
    assert_eq!(
        check("planned = true\n"),
        ["xtask/architecture.toml:1: the crate `a` exists: remove `planned`"],
        "it has come"
    );
}

#[test]
fn the_proposed_order_is_the_floors_of_todays_arrows() {
    let sources = [
        ("lib.rs", "mod roof; mod wall; mod a; mod b; pub struct Ground;"),
        ("roof.rs", "use crate::wall::Wall;"),
        ("wall.rs", "use crate::Ground; pub struct Wall;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ];
    let files = sources.iter().map(|(file, content)| (format!("crates/a/src/{file}"), (*content).to_owned()));
    let files: Files = files.chain([("crates/a/Cargo.toml".to_owned(), String::new())]).collect();
    let expected =
        "# a\nmodules = [\n    \"a\", \"b\", \"lib\", # circle: a, b\n    \"wall\",\n    \"roof\",\n]\n";
    assert_eq!(propose(&files, &["a"]).unwrap(), expected, "from the ground up, circles marked");
    assert_eq!(propose(&files, &["b"]).unwrap(), "", "only the crates that are named");
}
