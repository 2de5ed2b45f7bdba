//! The batch script.

use std::path::Path;

use sharpness_runs::{Resources, Script};

/// A script with every option, for paths that a shell would misread. A change of the script is a change of this file.
const GOLDEN: &str = include_str!("job.sh");

#[test]
fn the_script_is_as_expected() {
    let resources = Resources {
        time: Some(9_000),
        memory: Some(8_192),
        cores: Some(4),
        partition: Some("main".to_owned()),
        account: Some("physics".to_owned()),
        qos: Some("long".to_owned()),
        sbatch: vec!["--constraint=avx512".to_owned()],
        before: vec!["module load gcc".to_owned()],
        running: Some(3),
        ..Resources::default()
    };
    let script = Script {
        name: "sharpness-00000000-0007-0",
        dir: Path::new("/data/it's \"mine\"/50 %/$HOME/launches/0007"),
        store: Path::new("/data/it's \"mine\"/50 %/$HOME"),
        flags: &["--data-dir".to_owned(), "/my data".to_owned()],
        program: "'/opt/my programs/sharpness'",
        tasks: 12,
        resources: &resources,
        memory: resources.memory,
    };
    assert_eq!(script.text(), GOLDEN, "the script");
}

#[test]
fn what_is_not_asked_for_is_left_to_the_cluster() {
    let resources = Resources::default();
    let script = Script {
        name: "name",
        dir: Path::new("/store/launches/0001"),
        store: Path::new("/store"),
        flags: &["--track".to_owned(), "mlflow=http://host:5000#my runs".to_owned()],
        program: "sharpness",
        tasks: 1,
        resources: &resources,
        memory: None,
    };
    let text = script.text();
    for part in ["--array=0-0\n", " --track 'mlflow=http://host:5000#my runs'\n", "#SBATCH --requeue\n"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for part in
        ["--time", "--mem", "--partition", "--account", "--qos", "--cpus-per-task", "--signal", "--data-dir"]
    {
        assert!(!text.contains(part), "no {part} in\n{text}");
    }
}
