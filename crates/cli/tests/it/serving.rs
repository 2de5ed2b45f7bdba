//! `sharpness serve`: who may read, and what a browser shows.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sharpness_runs::Identity;
use sharpness_training::settings::RunConfig;
use tempfile::tempdir;

use crate::chromium::Tab;
use crate::program::{command, measurement_file, run, text};
use crate::skip::assert_skips_are_told;

const TOKEN: &str = "a-token-of-this-test";

const RECIPE: &str = r#"title = "Steps"
seeds = [0, 1]

[figure]
kind = "lines"

[fixed]
arch = "mlp"
data.name = "digits"
hidden = [16]
batch_size = 50
max_epochs = 40
examples = 50
rtol = 0.1

[grid]
learning_rate = [0.1, 0.2]
"#;

/// A server, which ends with the value.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(store: &Path, more: &[&str]) -> Self {
        let mut command = command(&["serve", "--store", text(store), "--bind", "127.0.0.1:0", "--json"]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
            printed.push_str(&line.unwrap());
            if printed.ends_with('}') {
                break;
            }
        }
        assert!(!printed.contains(TOKEN), "a token is not printed: {printed}");
        let printed: Value = serde_json::from_str(&printed).unwrap();
        Self { child, url: printed["url"].as_str().unwrap().to_owned() }
    }

    fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().trim_end_matches('/')
    }

    /// The status and the whole answer to a request with these lines.
    fn ask(&self, request: &str, headers: &[&str]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        let lines = [&[request, "Connection: close"], headers].concat().join("\r\n");
        stream.write_all(format!("{lines}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        (answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
    }

    /// The document at a path, once it satisfies `is_done`.
    fn wait(&self, path: &str, is_done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let (_, answer) = self.ask(&format!("GET {path} HTTP/1.1"), &["Host: localhost"]);
            let found: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            if is_done(&found) {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{path} becomes right: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A store with four finished runs, and its recipe.
fn store(dir: &Path) -> (PathBuf, PathBuf) {
    let (recipe, store) = (dir.join("steps.toml"), dir.join("store"));
    fs::write(&recipe, RECIPE).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store), "--jobs", "2"]).out_with(0);
    (recipe, store)
}

/// The directories of a store, sorted.
fn trainings(store: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn name(dir: &Path) -> &str {
    text(dir.file_name().unwrap().as_ref())
}

#[test]
fn only_the_page_and_those_with_the_token_read_a_store() {
    let dir = tempdir().unwrap();
    let (_, store) = store(dir.path());
    let server = Server::start(&store, &["--token", TOKEN, "--host", "node7"]);
    let with = format!("Authorization: Bearer {TOKEN}");
    let own = format!("Host: {}", server.host());
    let runs = "GET /api/runs HTTP/1.1";
    for (request, headers, status) in [
        (runs, vec![own.as_str(), &with], 200),
        (runs, vec!["Host: node7:1234", &with], 200),
        (runs, vec![&own], 401),
        (runs, vec![&own, "Authorization: Bearer a-token-of-this-tesT"], 401),
        (runs, vec!["Host: evil.example", &with], 421),
        (runs, vec![&own, &with, "Origin: http://evil.example"], 403),
        (runs, vec![&own, &with, "Sec-Fetch-Site: cross-site"], 403),
        ("POST /api/runs HTTP/1.1", vec![&own, &with, "Content-Length: 0"], 405),
        ("DELETE / HTTP/1.1", vec![&own, &with], 405),
        ("HEAD /api/runs HTTP/1.1", vec![&own, &with], 200),
        ("GET / HTTP/1.1", vec![&own], 200),
        ("GET /assets/main.js HTTP/1.1", vec![&own], 200),
        ("GET /assets/..%2fmain.js HTTP/1.1", vec![&own], 404),
        ("GET /api/detail?id=..%2f.. HTTP/1.1", vec![&own, &with], 404),
        ("GET /api/nothing HTTP/1.1", vec![&own, &with], 404),
        ("GET /api/curves HTTP/1.1", vec![&own, &with], 400),
    ] {
        let (found, answer) = server.ask(request, &headers);
        assert_eq!(found, status, "{request} with {headers:?}:\n{answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        assert!(!answer.contains(TOKEN), "an answer does not repeat the token:\n{answer}");
        assert!(
            !answer.to_lowercase().contains("access-control-allow"),
            "no other page may read it:\n{answer}"
        );
    }
    let (_, packed) = server.ask("GET /assets/main.js HTTP/1.1", &[&own, "Accept-Encoding: gzip, br"]);
    assert!(packed.contains("content-encoding: gzip"), "large answers are compressed:\n{packed}");
    let (_, outside) = server.ask("GET /api/curves?ids=..,%2fetc HTTP/1.1", &[&own, &with]);
    assert!(outside.ends_with("[]"), "only trainings of the store have curves:\n{outside}");
}

#[test]
fn a_server_that_others_reach_needs_a_token() {
    let dir = tempdir().unwrap();
    let serve = |more: &[&str]| run(&[&["serve", "--store", text(dir.path())], more].concat());
    serve(&["--bind", "0.0.0.0:0"]).refuses(2, &["SHARPNESS_TOKEN", "0.0.0.0"]);
    serve(&["--bind", "0.0.0.0:0", "--token", "short"]).refuses(2, &["at least 16 characters"]);
    serve(&["--bind", "nowhere"]).refuses(2, &["127.0.0.1:6420"]);
    let taken = Server::start(dir.path(), &[]);
    serve(&["--bind", taken.host()]).refuses(1, &["cannot listen on", "--bind 127.0.0.1:0"]);
    run(&["serve", "--store", text(&dir.path().join("none"))]).refuses(1, &["none"]);
}

#[test]
fn rows_follow_a_store_with_torn_damaged_and_missing_files() {
    let dir = tempdir().unwrap();
    let (recipe, store) = store(dir.path());
    let dirs = trainings(&store);
    // An unfinished run, whose last line is being written; damage; a run that has not started.
    fs::remove_file(dirs[0].join("result.json")).unwrap();
    let metrics = fs::read_to_string(dirs[0].join("metrics.jsonl")).unwrap();
    let lines: Vec<&str> = metrics.lines().collect();
    fs::write(dirs[0].join("metrics.jsonl"), format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..20]))
        .unwrap();
    fs::write(dirs[1].join("result.json"), "{").unwrap();
    fs::write(measurement_file(&dirs[2]), [0xff, 0xfe]).unwrap();
    fs::remove_dir_all(&dirs[3]).unwrap();
    let server = Server::start(&store, &[text(&recipe)]);
    let row = |rows: &Value, dir: &Path| -> Value {
        rows["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["id"] == name(dir))
            .cloned()
            .unwrap_or_default()
    };
    let rows = server.wait("/api/runs", |found| found["rows"].as_array().unwrap().len() == 4);
    let states: Vec<Value> = dirs.iter().map(|dir| row(&rows, dir)["state"].clone()).collect();
    assert_eq!(states, ["started", "damaged", "damaged", "to do"], "{rows}");
    assert_eq!(row(&rows, &dirs[0])["epochs"], 2, "two whole lines");
    assert!(row(&rows, &dirs[1])["reason"].as_str().unwrap().contains("result.json"), "{rows}");
    let curves = |dir: &Path| {
        server.wait(&format!("/api/curves?ids={}", name(dir)), |found| found.is_array())[0].clone()
    };
    assert_eq!(curves(&dirs[0])["epoch"], serde_json::json!([1, 2]));
    assert_eq!(curves(&dirs[0])["damage"], Value::Null, "a line that is being written is no damage");
    // A new epoch, then damage in the middle.
    let query = format!("/api/runs?instance={}&since={}", rows["instance"], rows["version"]);
    fs::write(dirs[0].join("metrics.jsonl"), format!("{}\n", lines[..3].join("\n"))).unwrap();
    let news = server.wait(&query, |found| !found["rows"].as_array().unwrap().is_empty());
    assert_eq!(news["rows"].as_array().unwrap().len(), 1, "only what has changed is sent: {news}");
    assert_eq!(row(&news, &dirs[0])["epochs"], 3);
    fs::write(dirs[0].join("metrics.jsonl"), format!("{}\nno line\n{}\n", lines[0], lines[1])).unwrap();
    assert!(curves(&dirs[0])["damage"].as_str().unwrap().contains("line 2 of metrics.jsonl"));
    // The store vanishes, and returns without one of its runs.
    let away = dir.path().join("away");
    fs::rename(&store, &away).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(
        server.wait("/api/runs", |_| true)["rows"].as_array().unwrap().len(),
        4,
        "what was read stays"
    );
    fs::remove_dir_all(away.join(name(&dirs[2]))).unwrap();
    fs::rename(&away, &store).unwrap();
    let again = server.wait("/api/runs", |found| row(found, &dirs[2])["state"] == "to do");
    assert_eq!(row(&again, &dirs[1])["state"], "damaged", "{again}");
}

/// The names of the controls that a screen reader must know, by their roles.
const CONTROLS: [(&str, &str); 9] = [
    ("combobox", "Filter"),
    ("combobox", "Sort"),
    ("button", "Order"),
    ("combobox", "Colour by"),
    ("combobox", "Over"),
    ("checkbox", "loss"),
    ("button", "Compare two"),
    ("grid", "Runs"),
    ("columnheader", "λ_max"),
];

#[test]
fn a_browser_shows_runs_curves_figures_and_verdicts() {
    let Some(mut tab) = Tab::start() else { return };
    let dir = tempdir().unwrap();
    let (recipe, store) = store(dir.path());
    let server = Server::start(&store, &[text(&recipe)]);
    let mut pictures = Vec::new();
    for (width, height) in [(390, 844), (1440, 900)] {
        for is_dark in [false, true] {
            tab.look(width, height, is_dark);
            tab.open(&server.url);
            tab.wait("document.querySelectorAll('#table tbody [data-id]').length === 4");
            tab.wait("document.querySelectorAll('#charts path.curve').length >= 8");
            tab.wait(
                "document.querySelector('#findings .verdict') && document.querySelector('#figures svg')",
            );
            let overflow =
                tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert!(overflow.as_i64().unwrap() <= 0, "nothing sticks out sideways at {width}");
            let colour = tab.value("getComputedStyle(document.body).backgroundColor");
            assert_eq!(colour == "rgb(255, 255, 255)", !is_dark, "dark if the system is: {colour}");
            pictures.push(tab.picture());
        }
    }
    assert!(pictures.iter().all(|picture| picture.len() > 20_000), "pictures show something");
    assert_ne!(pictures[0], pictures[1], "light and dark");
    assert_ne!(pictures[2], pictures[3], "light and dark");
    let known = tab.accessible();
    for (role, name) in CONTROLS {
        assert!(known.iter().any(|(r, n)| r == role && n.contains(name)), "a {role} ‘{name}’ in {known:?}");
    }
    let nameless = known.iter().filter(|(role, name)| {
        name.is_empty()
            && ["button", "checkbox", "combobox", "textbox", "link", "grid", "application", "image"]
                .contains(&role.as_str())
    });
    assert_eq!(nameless.count(), 0, "every control has a name: {known:?}");
    let tables = tab.value("[...document.querySelectorAll('#charts table')].map((t) => t.rows.length)");
    assert!(
        tables.as_array().unwrap().iter().any(|rows| rows.as_i64() > Some(4)),
        "charts are tables too: {tables}"
    );
    // The toggle wins over the system.
    tab.value("document.getElementById('theme').click()");
    assert_eq!(
        tab.value("getComputedStyle(document.body).backgroundColor"),
        "rgb(255, 255, 255)",
        "light on a dark system"
    );
    assert_eq!(tab.problems(), [""; 0], "nothing went wrong");
    let outside: Vec<String> = tab
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with(&server.url) && !url.starts_with("data:"))
        .collect();
    assert_eq!(outside, [""; 0], "nothing is loaded from elsewhere");
}

#[test]
fn the_keyboard_and_the_address_do_everything() {
    let Some(mut tab) = Tab::start() else { return };
    let dir = tempdir().unwrap();
    let (_, store) = store(dir.path());
    let server = Server::start(&store, &[]);
    tab.look(1440, 900, false);
    tab.open(&server.url);
    tab.wait("document.querySelectorAll('#table tbody [data-id]').length === 4");
    // Tab reaches every control, and the focus is visible on each.
    let mut reached = Vec::new();
    for _ in 0..60 {
        tab.press("Tab");
        let focus = "(() => { const at = document.activeElement; return at.id || at.tagName; })()";
        reached.push(tab.value(focus).as_str().unwrap().to_owned());
        if reached.last().is_some_and(|id| id == "table") {
            break;
        }
    }
    for id in ["theme", "filter", "sort", "direction", "colour", "x", "log-loss", "table"] {
        assert!(reached.iter().any(|found| found == id), "Tab reaches {id}: {reached:?}");
    }
    assert!(reached.contains(&"svg".to_owned()), "and the charts: {reached:?}");
    let outlined = "getComputedStyle(document.querySelector('#table .active > td')).boxShadow !== 'none'";
    assert_eq!(tab.value(outlined), true, "the active row is marked");
    // Select two rows, compare them, close.
    for key in ["Home", " ", "ArrowDown", " "] {
        tab.press(key);
    }
    tab.wait("document.querySelectorAll('#table [aria-selected=true]').length === 2");
    tab.wait("!document.getElementById('compare').disabled");
    tab.value("document.getElementById('compare').focus()");
    tab.press("Enter");
    tab.wait("document.querySelectorAll('#detail path.curve').length >= 4");
    let shown = tab.value("document.getElementById('detail').innerText").as_str().unwrap().to_owned();
    assert!(shown.contains("Two runs") && (shown.contains("η") || shown.contains("seed")), "{shown}");
    tab.press("Escape");
    tab.wait("document.getElementById('detail').hidden && document.activeElement.id === 'compare'");
    // Open a run from the table.
    tab.value("document.getElementById('table').focus()");
    tab.press("Enter");
    tab.wait("document.getElementById('detail').innerText.includes('Measurement')");
    tab.press("Escape");
    tab.wait("document.getElementById('detail').hidden && document.activeElement.id === 'table'");
    // A chart reads values aloud.
    tab.value("document.querySelector('#charts svg').focus()");
    tab.press("ArrowRight");
    tab.press("End");
    tab.wait("document.querySelector('#charts [role=status]').textContent.includes('epoch')");
    the_address_keeps_what_is_shown(&mut tab);
    assert_eq!(tab.problems(), [""; 0], "nothing went wrong");
}

fn the_address_keeps_what_is_shown(tab: &mut Tab) {
    tab.value("(() => { const f = document.getElementById('filter'); f.value = 'lr=0.1'; f.dispatchEvent(new Event('input')); })()");
    tab.wait("document.querySelectorAll('#table tbody [data-id]').length === 2 && location.search.includes('filter')");
    tab.value("document.getElementById('log-x').click(); document.querySelector('th[title=lambda_max] button').click()");
    let address = tab.value("location.href");
    tab.open("about:blank");
    tab.open(address.as_str().unwrap());
    tab.wait("document.querySelectorAll('#table tbody [data-id]').length === 2");
    // The scale, the order and the selection, as soon as the page has read the address.
    tab.wait("document.getElementById('log-x').checked");
    tab.wait("document.querySelector('th[title=lambda_max]').getAttribute('aria-sort') === 'descending'");
    // Which runs came first, and were selected, depends on when they ended; the filter may hide them.
    tab.wait("document.body.innerText.includes('2 selected runs')");
    tab.value("(() => { const f = document.getElementById('filter'); f.value = 'lrr=1'; f.dispatchEvent(new Event('input')); })()");
    tab.wait("document.getElementById('filter-problem').textContent.includes('lrr')");
}

#[test]
fn a_page_follows_a_run_without_a_reload() {
    let Some(mut tab) = Tab::start() else { return };
    let dir = tempdir().unwrap();
    let (_, store) = store(dir.path());
    let at = trainings(&store)[0].clone();
    fs::remove_file(at.join("result.json")).unwrap();
    let metrics = fs::read_to_string(at.join("metrics.jsonl")).unwrap();
    let lines: Vec<&str> = metrics.lines().collect();
    fs::write(at.join("metrics.jsonl"), format!("{}\n", lines[0])).unwrap();
    let server = Server::start(&store, &["--token", TOKEN]);
    tab.look(1440, 900, false);
    tab.open(&server.url);
    tab.wait("!document.getElementById('token-form').hidden");
    tab.value(&format!(
        "document.getElementById('token').value = '{TOKEN}'; document.querySelector('#token-form button').click(); window.stayed = true"
    ));
    let epochs = format!("document.querySelector('#row-{} [data-name=epochs]')?.textContent", name(&at));
    tab.wait(&format!("{epochs} === '1'"));
    tab.wait("document.getElementById('live').textContent === 'live'");
    fs::write(at.join("metrics.jsonl"), format!("{}\n", lines[..2].join("\n"))).unwrap();
    tab.wait(&format!("{epochs} === '2'"));
    fs::write(at.join("failure.json"), r#"{"r0": "out of memory <b>"}"#).unwrap();
    tab.wait("document.querySelector('.state.failed')?.title === 'out of memory <b>'");
    fs::rename(&store, dir.path().join("away")).unwrap();
    tab.wait("!document.getElementById('problem').hidden && document.querySelectorAll('#table tbody [data-id]').length === 4");
    fs::rename(dir.path().join("away"), &store).unwrap();
    tab.wait("document.getElementById('problem').hidden");
    assert_eq!(tab.value("window.stayed"), true, "without a reload");
    drop(server);
    tab.wait("document.getElementById('live').textContent.includes('disconnected')");
}

#[test]
fn a_browser_shows_ten_thousand_runs() {
    let Some(mut tab) = Tab::start() else { return };
    let dir = tempdir().unwrap();
    let (_, store) = store(dir.path());
    multiply(&trainings(&store)[0], &store, 10_000);
    let server = Server::start(&store, &[]);
    let start = Instant::now();
    tab.look(1440, 900, false);
    tab.open(&server.url);
    let all = "document.getElementById('count').textContent.startsWith('10,004 trainings')";
    tab.wait(all);
    let read = start.elapsed();
    let start = Instant::now();
    tab.open(&server.url);
    tab.wait(all);
    tab.wait("document.querySelectorAll('#table tbody [data-id]').length > 5");
    let loaded = start.elapsed();
    let drawn = tab.value("document.querySelectorAll('#table tbody [data-id]').length");
    assert!(drawn.as_i64().unwrap() < 100, "only rows in view are elements: {drawn}");
    tab.value("document.getElementById('table').focus()");
    tab.press("End");
    tab.wait("document.querySelector('#table .active')?.getAttribute('aria-rowindex') === '10005'");
    assert_eq!(tab.value("document.getElementById('table').getAttribute('aria-rowcount')"), "10005");
    tab.value("(() => { const f = document.getElementById('filter'); f.value = 'seed=9999'; f.dispatchEvent(new Event('input')); })()");
    tab.wait("document.querySelectorAll('#table tbody [data-id]').length === 1");
    assert_eq!(tab.problems(), [""; 0], "nothing went wrong");
    println!("the page of 10,004 trainings: read and shown after {read:?}, shown again after {loaded:?}");
}

/// Copies a finished training to others that differ from it in their seeds.
fn multiply(from: &Path, store: &Path, count: usize) {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let (mut result, mut measured) = (read(&from.join("result.json")), read(&measurement_file(from)));
    let settings = fs::read_to_string(from.join("config.toml")).unwrap();
    let metrics = fs::read(from.join("metrics.jsonl")).unwrap();
    let mut config: RunConfig = serde_json::from_value(measured["config"].clone()).unwrap();
    let old = settings.lines().find(|line| line.starts_with("seed = ")).unwrap().to_owned();
    for seed in 2..2 + count as u64 {
        config.seed = seed;
        let Identity { training, run } = Identity::of(&config).unwrap();
        for record in [&mut result, &mut measured] {
            record["config"]["seed"] = seed.into();
        }
        (result["id"], measured["training_id"]) = (training.as_str().into(), training.as_str().into());
        measured["id"] = run.as_str().into();
        let dir = store.join(&training);
        fs::create_dir_all(dir.join("measurements")).unwrap();
        fs::write(dir.join("config.toml"), settings.replacen(&old, &format!("seed = {seed}"), 1)).unwrap();
        fs::write(dir.join("result.json"), result.to_string()).unwrap();
        fs::write(dir.join("metrics.jsonl"), &metrics).unwrap();
        fs::write(dir.join(format!("measurements/{run}.json")), measured.to_string()).unwrap();
    }
}

#[test]
fn an_absent_browser_is_told() {
    assert_skips_are_told(&[
        "serving::a_browser_shows_runs_curves_figures_and_verdicts",
        "serving::the_keyboard_and_the_address_do_everything",
        "serving::a_page_follows_a_run_without_a_reload",
        "serving::a_browser_shows_ten_thousand_runs",
    ]);
}
