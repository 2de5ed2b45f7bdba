//! Figures: the paper's points, the runs' points, and files that hold both.

use std::path::Path;

use sharpness_runs::{Identity, Plan, RunStore};
use sharpness_study::figures::{Figure, Line};
use tempfile::tempdir;

fn paper(number: u32) -> Option<Plan> {
    let path = format!("{}/../../recipes/paper/fig{number}.toml", env!("CARGO_MANIFEST_DIR"));
    let path = Path::new(&path);
    path.is_file().then(|| Plan::read(path).unwrap())
}

#[test]
fn the_recipes_of_the_paper_have_its_grids() {
    // Runs as the paper states them: settings times seeds.
    for (number, runs) in [(1, 70), (2, 70), (3, 160), (4, 30), (6, 24), (7, 24), (8, 30), (9, 30), (10, 56)]
    {
        assert_eq!(paper(number).unwrap().runs.len(), runs, "runs of figure {number}");
    }
    for (number, runs) in [(11, 56), (12, 24), (13, 48), (14, 12), (15, 13)] {
        assert_eq!(paper(number).unwrap().runs.len(), runs, "runs of figure {number}");
    }
    let (first, second) = (paper(1).unwrap(), paper(2).unwrap());
    let ids = |plan: &Plan| plan.runs.iter().map(|run| run.identity.clone()).collect::<Vec<Identity>>();
    assert_eq!(ids(&first), ids(&second), "figure 2 shows the runs of figure 1");
    let sam = paper(6).unwrap();
    assert!(sam.runs[0].config.training.sam.is_none(), "ρ = 0 is plain SGD");
    assert!(ids(&first).contains(&sam.runs[0].identity), "and so a run of figure 1");
}

#[test]
fn every_figure_of_the_paper_shows_its_published_points() {
    let store = tempdir().unwrap();
    for number in 1..=15 {
        let figure = Figure::new(&paper(number).unwrap(), &RunStore::new(store.path())).unwrap();
        let published: Vec<_> = figure.lines.iter().filter(|line| line.is_published).collect();
        assert!(!published.is_empty(), "figure {number} has published lines");
        for line in published {
            assert!(!line.points.is_empty(), "figure {number}, {} has published points", line.name);
            assert!(
                line.points
                    .iter()
                    .all(|point| point.accuracy.is_none_or(|accuracy| (0.6..0.91).contains(&accuracy.mean))
                        && point.lambda_max.mean > 0.2),
                "figure {number}, {}: accuracies and λ_max of the paper: {:?}",
                line.name,
                line.points
            );
        }
    }
}

#[test]
fn a_figure_is_written_as_picture_table_and_caption() {
    let (store, out) = (tempdir().unwrap(), tempdir().unwrap());
    let figure = Figure::new(&paper(8).unwrap(), &RunStore::new(store.path())).unwrap();
    let files = figure.write(out.path(), "fig8").unwrap();
    assert_eq!(files.len(), 4, "SVG, PNG, CSV and the caption");
    let text = |ending: &str| std::fs::read_to_string(out.path().join(format!("fig8.{ending}"))).unwrap();
    let svg = text("svg");
    for part in ["Figure 8", "dropout probability p", "test accuracy", "λ_max", "η=0.01", "published"] {
        assert!(svg.contains(part), "the picture must show `{part}`");
    }
    let png = std::fs::read(&files[1]).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 20_000, "a picture of pixels");
    let csv = text("csv");
    assert_eq!(csv.lines().count(), 11, "names and ten published points:\n{csv}");
    assert!(csv.contains(",published,0.5,3,"), "a point at p = 0.5 of three runs:\n{csv}");
    assert!(text("txt").contains("0 of 30 runs"), "the caption says that nothing is done yet");
}

#[test]
fn a_recipe_without_a_figure_is_told_so() {
    let text = "fixed = { arch = \"mlp\", data.name = \"digits\" }\n";
    let plan = Plan::parse(Path::new("r.toml"), text).unwrap();
    let error = Figure::new(&plan, &RunStore::new("nowhere")).unwrap_err().to_string();
    assert!(error.contains("no [figure]"), "{error}");
}

#[test]
fn the_curves_of_figure_5_are_one_for_each_published_run() {
    let store = tempdir().unwrap();
    let figure = Figure::new(&paper(5).unwrap(), &RunStore::new(store.path())).unwrap();
    let curves = |name: &str| figure.lines.iter().filter(|line| line.name == name).count();
    assert_eq!(
        ["bs=100, η=0.005", "bs=200, η=0.01", "bs=500, η=0.025"].map(curves),
        [5, 5, 5],
        "five runs of each setting"
    );
    let places: Vec<usize> = figure.lines.iter().map(|line| line.place).collect();
    assert_eq!(places, [[0; 5], [1; 5], [2; 5]].concat(), "each setting has its colour");
    let increase = |line: &Line| line.points.windows(2).all(|pair| pair[0].x < pair[1].x);
    assert!(figure.lines.iter().all(increase), "steps increase within a run");
    let svg = figure.svg();
    assert!(svg.contains(">step<") || svg.contains("step"), "the abscissa is named");
    assert!(!svg.contains("test accuracy"), "there is one panel");
}
