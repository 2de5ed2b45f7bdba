//! The batch script of a launch.

use std::fmt::Write as _;
use std::path::Path;

use crate::recipes::Resources;
use crate::shell::shell_word;

/// Everything on which a batch script depends. Paths are absolute and UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The name of the job.
    pub name: &'a str,
    /// The directory of the launch.
    pub dir: &'a Path,
    /// The store.
    pub store: &'a Path,
    /// Further flags of `sharpness sweep`.
    pub flags: &'a [String],
    /// How the program is called, as words for a shell.
    pub program: &'a str,
    /// The number of tasks of its first array.
    pub tasks: usize,
    /// What the recipe asks for.
    pub resources: &'a Resources,
    /// The memory of each task in MiB, which may be more than the recipe's.
    pub memory: Option<u64>,
}

impl Script<'_> {
    /// The text. The number of the first task of an array is its argument: 0 if unset.
    pub fn text(&self) -> String {
        let mut text = "#!/bin/bash\n".to_owned();
        let mut option = |option: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "#SBATCH {option}");
        };
        let Resources { time, cores, partition, account, qos, sbatch, before, notice, .. } = self.resources;
        let notice = time.and(Some(*notice).filter(|notice| *notice > 0));
        option(&format!("--job-name={}", self.name));
        option(&format!("--array={}", array(0..self.tasks, self.resources.running)));
        // Relative to the directory of the launch, from which it is submitted.
        option("--output=logs/%A_%a.log");
        option("--open-mode=append");
        option("--nodes=1");
        option("--ntasks=1");
        for (name, value) in [
            ("cpus-per-task", cores.map(|cores| cores.to_string())),
            ("mem", self.memory.map(|memory| format!("{memory}M"))),
            ("time", time.map(clock)),
            ("partition", partition.clone()),
            ("account", account.clone()),
            ("qos", qos.clone()),
            // To the batch script, which the program replaces.
            ("signal", notice.map(|notice| format!("B:USR1@{notice}"))),
        ] {
            if let Some(value) = value {
                option(&format!("--{name}={value}"));
            }
        }
        option("--requeue");
        sbatch.iter().for_each(|given| option(given));
        let before: String = before.iter().map(|line| format!("{line}\n")).collect();
        let (trap, ignore, early) = match notice {
            None => ("", "", ""),
            Some(_) => (
                "# Slurm's notice of the time limit may come before the program can hear it.\n\
                 trap 'early=--noticed' USR1\n",
                "trap '' USR1\n",
                " $early",
            ),
        };
        let _ = write!(
            text,
            "\n{trap}{before}cd {} || exit 1\n\
             runs=$(sed -n \"$((${{1:-0}} + SLURM_ARRAY_TASK_ID + 1))p\" tasks.txt)\n\
             # The signals of Slurm reach the program because it replaces this script.\n\
             {ignore}exec {}{early}\n",
            word(self.dir),
            self.command()
        );
        text
    }

    /// The command of a task.
    fn command(&self) -> String {
        let mut command = format!(
            "{} sweep recipe.toml --store {} --only \"$runs\" --in-launch {} \
             --as-task \"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\" --threads \"${{SLURM_CPUS_ON_NODE:-1}}\"",
            self.program,
            word(self.store),
            self.dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        );
        if self.memory.is_some() {
            command.push_str(" --memory \"${SLURM_MEM_PER_NODE}MiB\"");
        }
        for flag in self.flags {
            let _ = write!(command, " {}", shell_word(flag));
        }
        command
    }
}

/// A path as a word for the shell.
fn word(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

/// The value of `--array` for these tasks, of which at most `running` run at once.
pub(super) fn array(tasks: std::ops::Range<usize>, running: Option<u32>) -> String {
    let limit = running.map_or_else(String::new, |running| format!("%{running}"));
    format!("{}-{}{limit}", tasks.start, tasks.end.saturating_sub(1))
}

/// A time limit as hours, minutes and seconds.
fn clock(seconds: u32) -> String {
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
