//! Steps that are announced, timed, skipped where their tool is missing and, when they fail, say which command repeats
//! them.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
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

    /// Whether it ends with status 0. Its output is dropped, and a transfer that stalls for 20 s is given up.
    pub(crate) fn succeeds(&self, root: &Path) -> bool {
        let mut command = self.command(root);
        command.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000").env("GIT_HTTP_LOW_SPEED_TIME", "20");
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
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

/// A program that a step needs and that does not come with every Rust toolchain.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    /// What it is called.
    pub(crate) name: &'static str,
    /// A command that succeeds if the tool is there.
    pub(crate) probe: &'static str,
    /// The command that installs it, or a few words that say how.
    pub(crate) install: &'static str,
}

/// Whether a step whose tool is missing is skipped or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// On a contributor's machine: skipped, with a line that says so.
    Skips,
    /// On the build machines.
    Fails,
}

/// One step of a list.
pub(crate) struct Step {
    /// What the step looks at, in a word or two.
    pub(crate) name: &'static str,
    /// What it needs besides a Rust toolchain.
    pub(crate) needs: Option<Tool>,
    /// Whether it is skipped wherever that is missing, on the build machines too.
    pub(crate) is_optional: bool,
    /// What it does.
    pub(crate) action: Action,
}

impl Step {
    /// A step that needs a Rust toolchain and nothing else.
    pub(crate) fn new(name: &'static str, action: Action) -> Self {
        Self { name, needs: None, is_optional: false, action }
    }

    /// The same step where it needs `tool`.
    pub(crate) fn with_tool(self, tool: Tool) -> Self {
        Self { needs: Some(tool), ..self }
    }

    /// The same step where it needs `tool` and may be left out without it.
    pub(crate) fn with_optional_tool(self, tool: Tool) -> Self {
        Self { needs: Some(tool), is_optional: true, ..self }
    }

    /// The command that repeats it.
    fn repeat(&self) -> String {
        match &self.action {
            Action::Command(invocation) => invocation.to_string(),
            Action::Check(_, line) => (*line).to_owned(),
        }
    }

    /// Whether to take the step: no if its tool is missing and may be.
    ///
    /// # Errors
    /// The tool is missing and must not be.
    fn is_due(&self, root: &Path, missing: Missing) -> Result<bool> {
        let Some(tool) = self.needs.filter(|tool| !Invocation::new(tool.probe).succeeds(root)) else {
            return Ok(true);
        };
        let Tool { name, install, .. } = tool;
        if missing == Missing::Fails && !self.is_optional {
            bail!("{} needs {name}; install it with {install}", self.name);
        }
        println!("skipped {}: {name} is missing; install it with {install}", self.name);
        Ok(false)
    }

    /// Takes the step with this program's terminal.
    fn take(&self, root: &Path) -> Result<()> {
        match &self.action {
            Action::Command(invocation) => invocation.run(root),
            Action::Check(check, _) => check(root),
        }
    }
}

/// Runs `steps` in turn and stops at the first that fails, with the command that repeats it. Ends with a table of times
/// and the steps that were skipped.
pub(crate) fn run_all(root: &Path, missing: Missing, steps: &[Step]) -> Result<()> {
    let mut times = Vec::new();
    let mut skipped = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let (place, name, repeat) = (format!("[{}/{}]", index + 1, steps.len()), step.name, step.repeat());
        println!("\n{place} {name}: {repeat}");
        if !step.is_due(root, missing)? {
            skipped.push(name);
            continue;
        }
        let start = Instant::now();
        if let Err(error) = step.take(root) {
            bail!("{name} failed: {error:#}\nRepeat this step with\n\n    {repeat}\n");
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{place} {name}: passed in {seconds:.1} s");
        times.push((name, seconds));
    }
    match skipped.as_slice() {
        [] => println!("\nAll {} steps passed:", times.len()),
        skipped => {
            println!("\n{} steps passed; skipped for want of a tool: {}", times.len(), skipped.join(", "))
        }
    }
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

    fn unreachable_check(_: &Path) -> Result<()> {
        bail!("ran after all")
    }

    #[test]
    fn a_failing_step_names_its_command_and_ends_the_list() {
        let steps = [
            Step::new("lookup", Action::Command(Invocation::new("cargo no-such-command"))),
            Step::new("later", Action::Check(unreachable_check, "later")),
        ];
        let message = format!("{:#}", run_all(Path::new("."), Missing::Fails, &steps).unwrap_err());
        assert!(
            message.contains("lookup failed") && message.contains("    cargo no-such-command"),
            "{message}"
        );
        assert!(!message.contains("ran after"), "{message}");
    }

    #[test]
    fn a_step_whose_tool_is_missing_is_skipped_or_fails_as_asked() {
        let tool = |probe| Tool { name: "the tool", probe, install: "`cargo install the-tool`" };
        let root = Path::new(".");
        let step = |probe| {
            let check = Action::Check(unreachable_check, "cargo xtask check");
            [Step::new("check", check).with_tool(tool(probe))]
        };
        let absent = step("cargo no-such-command --version");
        assert!(run_all(root, Missing::Skips, &absent).is_ok(), "a missing tool is no failure");
        let message = format!("{:#}", run_all(root, Missing::Fails, &absent).unwrap_err());
        assert_eq!(message, "check needs the tool; install it with `cargo install the-tool`");
        let check = Action::Check(unreachable_check, "cargo xtask check");
        let optional =
            [Step::new("check", check).with_optional_tool(tool("cargo no-such-command --version"))];
        assert!(run_all(root, Missing::Fails, &optional).is_ok(), "an optional tool may be missing anywhere");
        for missing in [Missing::Skips, Missing::Fails] {
            let message = format!("{:#}", run_all(root, missing, &step("cargo --version")).unwrap_err());
            assert!(message.contains("ran after all"), "a step whose tool is there is taken: {message}");
        }
    }
}
