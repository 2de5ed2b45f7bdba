//! The page of HTML, as a browser shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::tempdir;

use crate::chromium::{QUIET, browser};
use crate::program::{run, text};
use crate::skip::assert_skips_are_told;

const RECIPE: &str = r#"title = "Step <sizes> & more"
seeds = [0, 1]

[figure]
kind = "lines"

[fixed]
arch = "mlp"
data.name = "digits"
hidden = [16]
batch_size = 50
max_epochs = 60
examples = 50
rtol = 0.1

[grid]
learning_rate = [0.1, 0.2, 0.3]
"#;

/// Makes runs and their page.
fn page(dir: &Path) -> PathBuf {
    let (recipe, store, page) = (dir.join("steps.toml"), dir.join("store"), dir.join("report.html"));
    fs::write(&recipe, RECIPE).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&store), "--jobs", "2"]).out_with(0);
    let made = run(&["report", text(&recipe), "--store", text(&store), "--out", text(&page)]).out_with(0);
    assert!(made.contains("6 runs, 1 figure"), "what is in it is told:\n{made}");
    page
}

#[test]
fn a_page_is_whole_and_needs_no_network() {
    let dir = tempdir().unwrap();
    let html = fs::read_to_string(page(dir.path())).unwrap();
    for part in
        ["<svg", "Step &lt;sizes&gt; &amp; more", "not enough runs", "sweep", "prefers-color-scheme: dark"]
    {
        assert!(html.contains(part), "the page must contain `{part}`");
    }
    let links = ["src=", "@import", "url(", "https://"];
    assert!(links.iter().all(|link| !html.contains(link)), "nothing is loaded from elsewhere");
    assert!(html.contains("default-src 'none'"), "and the browser would refuse it");
    let namespace = "http://www.w3.org/2000/svg";
    assert_eq!(html.matches("http://").count(), html.matches(namespace).count(), "addresses are names alone");
    let place = |part: &str| html.find(part).unwrap();
    assert!(place("id=\"findings\"") < place("id=\"runs\""), "what is known comes first");
    let missing = run(&["report", "--store", text(dir.path()), "--out", "/nowhere/report.html"]);
    missing.refuses(1, &["/nowhere/report.html"]);
}

/// Shows the page in frames of a phone's and a desk's width, and writes down what a reader sees.
const PROBE: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body><script>
const widths = [375, 1200];
let left = widths.length;
for (const width of widths) {
  const frame = document.createElement('iframe');
  frame.width = width; frame.height = 900; frame.src = 'report.html';
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    const shown = element => element.getBoundingClientRect().height > 0;
    const seen = {
      width, overflow: root.scrollWidth - root.clientWidth,
      pictures: [...page.querySelectorAll('.picture svg')].filter(shown).length,
      headings: [...page.querySelectorAll('h2')].map(heading => heading.innerText).join('|'),
      verdicts: page.querySelectorAll('.verdict').length, lead: page.querySelector('.lead').innerText,
      runs: page.querySelectorAll('#table tbody [data-id]').length, curves: page.querySelectorAll('#charts path.curve').length,
      text: getComputedStyle(page.body).color, background: getComputedStyle(page.body).backgroundColor,
    };
    const line = document.createElement('pre');
    line.textContent = 'SEEN ' + JSON.stringify(seen) + ' END';
    document.body.append(line);
    if (--left === 0) document.body.append('DONE');
  };
  document.body.append(frame);
}
</script>"#;

/// What the probe saw, with further flags of the browser.
fn seen(browser: &str, dir: &Path, flags: &[&str]) -> Vec<serde_json::Value> {
    let profile = tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args(QUIET).args(["--allow-file-access-from-files", "--virtual-time-budget=10000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", text(profile.path()))).args(flags);
    let shown = command.arg(format!("file://{}", text(&dir.join("probe.html")))).output().unwrap();
    let dom = String::from_utf8_lossy(&shown.stdout).replace("&quot;", "\"");
    let found = dom.split("SEEN ").skip(1).filter_map(|rest| rest.split(" END").next());
    let found: Vec<_> = found.filter_map(|json| serde_json::from_str(json).ok()).collect();
    assert_eq!(found.len(), 2, "the browser shows the page at both widths:\n{dom}");
    found
}

#[test]
fn a_browser_shows_the_page_on_a_phone_and_a_desk_light_and_dark() {
    let Some(browser) = browser() else { return };
    let dir = tempdir().unwrap();
    page(dir.path());
    fs::write(dir.path().join("probe.html"), PROBE).unwrap();
    let light = seen(browser, dir.path(), &[]);
    for page in &light {
        assert!(page["overflow"].as_i64().unwrap() <= 0, "nothing sticks out sideways: {page}");
        assert_eq!(page["pictures"], 2, "the figure and the predictors are shown: {page}");
        let headings = page["headings"].as_str().unwrap();
        for heading in ["Findings", "Figures", "Runs", "This page"] {
            assert!(headings.contains(heading), "{heading} among {headings}");
        }
        assert_eq!(page["verdicts"], 56, "28 findings by these runs and by the published numbers: {page}");
        assert!(
            page["lead"].as_str().unwrap().contains("No finding can be judged"),
            "it opens with what is known: {page}"
        );
        assert_eq!(page["runs"], 6, "a row for each run: {page}");
        assert_eq!(page["curves"], 24, "loss and accuracy of each, in training and in test: {page}");
    }
    let dark = seen(browser, dir.path(), &["--blink-settings=preferredColorScheme=0"]);
    assert_ne!(light[0]["background"], dark[0]["background"], "the dark page is dark");
    assert_ne!(light[0]["text"], dark[0]["text"], "and its text is light");
}

#[test]
fn an_absent_browser_is_told() {
    assert_skips_are_told(&["report::a_browser_shows_the_page_on_a_phone_and_a_desk_light_and_dark"]);
}
