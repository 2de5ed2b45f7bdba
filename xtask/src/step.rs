//! Steps that are announced, timed and, when they fail, say which command repeats them.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// A command line: what to run and how to show it.
#[derive(Debug)]
pub(crate) struct Invocation {
    program: String,
    arguments: Vec<String>,
    variable: Option<(&'static str, &'static str)>,
}

impl Invocation {
    /// `line` is split at spaces; it holds no quotes.
    pub(crate) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned);
        Self { program: words.next().unwrap_or_default(), arguments: words.collect(), variable: None }
    }

    /// Adds words, as they are.
    pub(crate) fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sets one environment variable.
    pub(crate) fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variable = Some((name, value));
        self
    }

    /// The command to run in `root`, for callers that handle its output themselves.
    pub(crate) fn command(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.variable).current_dir(root);
        command
    }

    /// Runs it in `root` with this program's terminal; a status other than 0 is an error.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        let status =
            self.command(root).status().with_context(|| format!("cannot start `{}`", self.program))?;
        if !status.success() {
            bail!("`{self}` ended with {status}");
        }
        Ok(())
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = self.variable {
            write!(formatter, "{name}='{value}' ")?;
        }
        formatter.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {argument}"))
    }
}

/// What a step does.
pub(crate) enum Action {
    /// Runs a command.
    Command(Invocation),
    /// Runs a check of this program, which the given command line repeats.
    Check(fn(&Path) -> Result<()>, &'static str),
}

/// One step of a list.
pub(crate) struct Step {
    /// What the step looks at, in a word or two.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) action: Action,
}

/// Runs `steps` in turn and stops at the first that fails, with the command that repeats it. Ends with a table of times.
pub(crate) fn run_all(root: &Path, steps: &[Step]) -> Result<()> {
    let mut times = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let repeat = match &step.action {
            Action::Command(invocation) => invocation.to_string(),
            Action::Check(_, line) => (*line).to_owned(),
        };
        println!("\n[{}/{}] {}: {repeat}", index + 1, steps.len(), step.name);
        let start = Instant::now();
        let outcome = match &step.action {
            Action::Command(invocation) => invocation.run(root),
            Action::Check(check, _) => check(root),
        };
        if let Err(error) = outcome {
            bail!("{} failed: {error:#}\nRepeat this step with\n\n    {repeat}\n", step.name);
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("[{}/{}] {}: passed in {seconds:.1} s", index + 1, steps.len(), step.name);
        times.push((step.name, seconds));
    }
    println!("\nAll {} steps passed:", steps.len());
    for (name, seconds) in times {
        println!("{seconds:8.1} s  {name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_shown_as_one_would_type_it() {
        let invocation = Invocation::new("cargo doc --no-deps").with_variable("RUSTDOCFLAGS", "-D warnings");
        let invocation = invocation.with_arguments(&["--document-private-items"]);
        let typed = "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items";
        assert_eq!(invocation.to_string(), typed, "the line can be pasted into a shell");
    }

    #[test]
    fn a_failing_step_names_its_command_and_ends_the_list() {
        fn unreachable_check(_: &Path) -> Result<()> {
            bail!("ran after a failure")
        }
        let steps = [
            Step { name: "lookup", action: Action::Command(Invocation::new("git no-such-command")) },
            Step { name: "later", action: Action::Check(unreachable_check, "later") },
        ];
        let message = format!("{:#}", run_all(Path::new("."), &steps).unwrap_err());
        assert!(
            message.contains("lookup failed") && message.contains("    git no-such-command"),
            "{message}"
        );
        assert!(!message.contains("ran after"), "{message}");
    }
}
