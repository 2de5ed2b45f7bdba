//! Foreign texts reach a terminal spelled out: nothing in a file, in its name or on the command line moves the cursor, clears the
//! screen, sets the title or turns the text around.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::program::{Ended, command, ended, measurement_file, run, text};

/// Sets the title, clears the screen, hides what follows, begins a sequence in one character, and turns the text around.
const EVIL: &str = "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}[8m\u{9b}31m\u{202e}";
/// The same in a string of TOML or JSON.
const SPELLED: &str = r"\u001b]0;pwned\u0007\u001b[2J\u001b[8m\u009b31m\u202e";
/// The codes of our own styles.
const OWN: [&str; 5] = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

const RECIPE: &str = "seeds = [0]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], max_epochs = 2, \
                      examples = 50, rtol = 0.1 }\nfigure = { kind = \"lines\" }\n";

/// Runs the program as on a terminal with colors.
fn on_a_terminal(arguments: &[&str]) -> Ended {
    let mut program = command(arguments);
    program.env("CLICOLOR_FORCE", "1");
    ended(program)
}

/// Asserts that the foreign text was printed, and that nothing in it acts on a terminal.
#[track_caller]
fn assert_spelled(what: &str, ended: &Ended) {
    let printed = OWN.iter().fold(format!("{}{}", ended.out, ended.err), |text, code| text.replace(code, ""));
    let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!printed.contains(acts), "{what}: {printed:?} acts on a terminal");
    let is_told = ["]0;pwned", "U+001B", "9b}31m"].iter().any(|part| printed.contains(part));
    assert!(is_told, "{what}: the text itself is told:\n{printed}");
}

/// A store with one run.
fn store(dir: &Path) -> (String, String) {
    fs::write(dir.join("recipe.toml"), RECIPE).unwrap();
    let store = text(&dir.join("store")).to_owned();
    run(&["sweep", text(&dir.join("recipe.toml")), "--store", &store]).out_with(0);
    let id = fs::read_dir(&store).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    (store, id)
}

#[test]
fn recipes_and_configurations_do_not_act_on_a_terminal() {
    let dir = tempdir().unwrap();
    let file = dir.path().join(format!("{EVIL}.toml"));
    for (what, content) in [
        ("a title", format!("title = \"{SPELLED}\"\n{RECIPE}")),
        ("the name of a block", format!("{RECIPE}[[block]]\nname = \"{SPELLED}\"\n")),
        ("a panel", format!("{RECIPE}[[block]]\npanel = \"{SPELLED}\"\n")),
        ("a key", format!("\"{SPELLED}\" = 1\n{RECIPE}")),
        ("a setting", format!("[fixed]\n\"{SPELLED}\" = 1\n")),
        ("a value", format!("[fixed]\narch = \"{SPELLED}\"\ndata.name = \"digits\"\n")),
        ("a ratio", format!("derive = {{ \"{SPELLED}\" = 1 }}\n{RECIPE}")),
        ("the kind of a figure", format!("fixed.arch = \"mlp\"\nfigure = {{ kind = \"{SPELLED}\" }}\n")),
        ("a recipe's file name", "=".to_owned()),
        ("a title from a file name", RECIPE.to_owned()),
    ] {
        fs::write(&file, content).unwrap();
        let shown = on_a_terminal(&["sweep", text(&file), "--dry-run"]);
        // A title from a file name is no place to spell anything out: a picture has it too.
        if what == "a title from a file name" {
            assert!(!shown.out.contains("\u{1b}]"), "{what}: {:?}", shown.out);
        } else {
            assert_spelled(what, &shown);
        }
    }
    for (what, content) in [
        (
            "a configuration's key",
            format!("\"{SPELLED}\" = 1\nmodel.arch = \"mlp\"\ndata.name = \"digits\"\n"),
        ),
        ("a configuration's value", format!("model.arch = \"{SPELLED}\"\ndata.name = \"digits\"\n")),
        ("a configuration's file name", "=".to_owned()),
    ] {
        fs::write(&file, content).unwrap();
        assert_spelled(what, &on_a_terminal(&["train", "--config", text(&file)]));
    }
    fs::remove_file(&file).unwrap();
    assert_spelled("a recipe that is not there", &on_a_terminal(&["sweep", text(&file)]));
}

#[test]
fn weights_do_not_act_on_a_terminal() {
    let dir = tempdir().unwrap();
    let file = dir.path().join(format!("{EVIL}.safetensors"));
    let network =
        ["measure", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--weights", text(&file)];
    assert_spelled("weights that are not there", &on_a_terminal(&network));
    fs::write(&file, "these are no weights").unwrap();
    assert_spelled("weights that are none", &on_a_terminal(&network));
    let header =
        format!("{{\"{SPELLED}.weight\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}}}");
    let bytes = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &[0; 4]].concat();
    fs::write(&file, bytes).unwrap();
    assert_spelled("the name of a tensor", &on_a_terminal(&network));
    assert_spelled("the same by order", &on_a_terminal(&[&network[..], &["--match", "order"]].concat()));
}

#[test]
fn stores_do_not_act_on_a_terminal() {
    let dir = tempdir().unwrap();
    let (store, id) = store(dir.path());
    let run_dir = Path::new(&store).join(&id);
    let result = run_dir.join("result.json");
    let measurement = measurement_file(&run_dir);
    let measured = fs::read_to_string(&measurement).unwrap();
    let honest = fs::read_to_string(&result).unwrap();
    let list = ["runs", "list", "--store", &store];
    let show = ["runs", "show", &id, "--store", &store];

    fs::write(&result, honest.replace(&format!("\"{id}\""), &format!("\"{SPELLED}\""))).unwrap();
    for arguments in
        [&list[..], &["runs", "export", "--store", &store], &["runs", "export", "--json", "--store", &store]]
    {
        assert_spelled("the name in a result", &on_a_terminal(arguments));
    }
    fs::write(&result, &honest).unwrap();
    let precision = "\"precision\": \"f32\",\n    \"parameters\"";
    assert!(measured.contains(precision), "the measurement has its precision:\n{measured}");
    let spelled = measured.replace(precision, &precision.replace("f32", SPELLED));
    fs::write(&measurement, spelled).unwrap();
    assert_spelled("the precision of a measurement", &on_a_terminal(&show));
    fs::write(&measurement, measured.replace("\"subset\": \"every\"", &format!("\"subset\": \"{SPELLED}\"")))
        .unwrap();
    assert_spelled("what is wrong with a measurement", &on_a_terminal(&show));
    fs::write(&measurement, &measured).unwrap();
    let start = format!(
        "[{{\"version\": \"{SPELLED}\", \"commit\": \"{SPELLED}\", \"command\": [\"{SPELLED}\"], \
        \"host\": \"{SPELLED}\", \"processor\": \"{SPELLED}\", \"instruction_set\": \"{SPELLED}\", \"threads\": 1, \
        \"backend\": \"{SPELLED}\", \"time\": 0}}]"
    );
    fs::write(run_dir.join("provenance.json"), start).unwrap();
    assert_spelled("what made a run", &on_a_terminal(&show));
    fs::write(&result, honest.replace("\"arch\": \"mlp\"", &format!("\"arch\": \"{SPELLED}\""))).unwrap();
    assert_spelled("what is wrong with a result", &on_a_terminal(&show));

    fs::remove_file(&result).unwrap();
    let run_id = measurement.file_stem().unwrap().to_str().unwrap();
    fs::write(run_dir.join("failure.json"), format!("{{\"{run_id}\": \"{SPELLED}\"}}")).unwrap();
    let recipe = dir.path().join("recipe.toml");
    assert_spelled("a stored error, listed", &on_a_terminal(&list));
    assert_spelled("a stored error, told", &on_a_terminal(&["sweep", text(&recipe), "--store", &store]));
    fs::rename(&run_dir, Path::new(&store).join(EVIL)).unwrap();
    assert_spelled("the name of a run's directory", &on_a_terminal(&list));
    assert_spelled("a run that is not there", &on_a_terminal(&["runs", "show", EVIL, "--store", &store]));
    assert_spelled("a store that is not there", &on_a_terminal(&["runs", "list", "--store", EVIL]));
    assert_spelled(
        "a filter",
        &on_a_terminal(&["runs", "list", "--where", &format!("{EVIL}=1"), "--store", &store]),
    );
}

#[test]
fn directories_do_not_act_on_a_terminal() {
    let dir = tempdir().unwrap();
    let (store, _) = store(dir.path());
    let (recipe, evil) = (dir.path().join("recipe.toml"), dir.path().join(EVIL));
    let figures = text(&evil);
    let small = [
        "train",
        "--arch",
        "mlp",
        "--dataset",
        "digits",
        "--hidden",
        "4",
        "--max-epochs",
        "1",
        "--examples",
        "20",
    ];
    let out = evil.join("run");
    let page = evil.join("page.html");
    for (what, arguments) in [
        ("where figures are", vec!["figure", text(&recipe), "--store", &store, "--out", figures]),
        ("where a page is", vec!["report", "--store", &store, "--out", text(&page)]),
        ("where a run is kept", [&small[..], &["--out", text(&out)]].concat()),
        ("where a sweep is kept", vec!["sweep", text(&recipe), "--store", figures]),
        ("a run that is there", [&small[..], &["--out", text(&out)]].concat()),
        ("where data are sought", vec!["data", "list", "--data-dir", figures]),
        ("an address", vec!["data", "fetch", "mnist", "--base-url", EVIL, "--cache-dir", figures]),
    ] {
        assert_spelled(what, &on_a_terminal(&arguments));
    }
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join(EVIL), "").unwrap();
    assert_spelled("a file in the way", &on_a_terminal(&[&small[..], &["--out", text(&other)]].concat()));
}

#[test]
fn arguments_do_not_act_on_a_terminal() {
    for arguments in [
        &[EVIL][..],
        &["train", EVIL],
        &["train", "--arch", EVIL],
        &["train", "--hidden", EVIL],
        &["train", "--lr", EVIL],
        &["measure", "--examples", EVIL],
        &["train", "--memory", EVIL],
        &["reproduce", EVIL],
        &["data", "fetch", EVIL],
        &["completions", EVIL],
    ] {
        let mut program = command(arguments);
        program.env("CLICOLOR_FORCE", "1");
        assert_spelled(&format!("{arguments:?}"), &ended(program));
    }
    let mut program = command(&["train", "--arch", "mlp", "--dataset", "digits"]);
    program.env("CLICOLOR_FORCE", "1").env("SHARPNESS_ISA", EVIL);
    assert_spelled("a variable of the environment", &ended(program));
}
