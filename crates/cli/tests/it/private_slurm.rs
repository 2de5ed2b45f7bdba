//! A private Slurm of one node, started by `.ci/slurm`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::{Ended, command};

/// What a machine needs, for the message of a test that skips.
pub(crate) const MISSING: &str = "Slurm is missing; on Debian, run `.ci/slurm install` as root";

/// Longer than anything takes on a machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(150);

/// A Slurm that stops when it is dropped.
pub(crate) struct PrivateSlurm {
    dir: TempDir,
    conf: PathBuf,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/slurm")
}

impl PrivateSlurm {
    /// Starts one; `None` if its programs are not installed.
    pub(crate) fn start() -> Option<Self> {
        for program in ["slurmctld", "slurmd", "sbatch", "munged"] {
            Command::new(program).arg("-V").output().ok()?;
        }
        let dir = tempfile::tempdir().unwrap();
        let started = Command::new(script()).arg("start").arg(dir.path()).output().unwrap();
        assert!(started.status.success(), "Slurm starts:\n{}", String::from_utf8_lossy(&started.stderr));
        let conf = dir.path().canonicalize().unwrap().join("slurm.conf");
        Some(Self { dir, conf })
    }

    /// A program, with this Slurm as the machine's.
    pub(crate) fn with(&self, mut command: Command) -> Command {
        command.env("SLURM_CONF", &self.conf);
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        crate::program::ended(self.with(command(arguments)))
    }

    /// Runs a program of Slurm's, and returns what it prints.
    #[track_caller]
    pub(crate) fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments);
        let Output { status, stdout, stderr } = self.with(command).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(status.success(), "{program} {arguments:?}: {}", text(&stderr));
        text(&stdout)
    }

    /// Waits until `is_so`.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            if start.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.dir.path().join("slurmctld.log")).unwrap_or_default();
                panic!("{what}; the queue:\n{}\n{log}", self.ask("squeue", &["--array", "--states=all"]));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PrivateSlurm {
    fn drop(&mut self) {
        // A test that failed has said so already.
        let _ = Command::new(script()).arg("stop").arg(self.dir.path()).status();
    }
}
