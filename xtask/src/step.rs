//! Steps of a check. Each is announced and timed, skipped if its tool is missing, and on failure prints the
//! command to repeat it.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// A command line.
#[derive(Debug)]
pub(crate) struct Invocation {
    program: String,
    arguments: Vec<String>,
    variable: Option<(&'static str, &'static str)>,
}

impl Invocation {
    /// Splits `line` at spaces; it must not contain quotes.
    pub(crate) fn new(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned);
        Self { program: words.next().unwrap_or_default(), arguments: words.collect(), variable: None }
    }

    /// Appends arguments verbatim.
    pub(crate) fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Sets one environment variable.
    pub(crate) fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variable = Some((name, value));
        self
    }

    /// The command, to run in `root`, for callers that handle its output themselves.
    pub(crate) fn command(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.variable).current_dir(root);
        command
    }

    /// Runs the command in `root` on this terminal.
    ///
    /// # Errors
    /// It cannot start, or exits with a status other than 0.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        let status =
            self.command(root).status().with_context(|| format!("cannot start `{}`", self.program))?;
        if !status.success() {
            bail!("`{self}` failed: {status}");
        }
        Ok(())
    }

    /// Whether the command exits with status 0. Discards its output, and gives up on a transfer that stalls
    /// for 20 s.
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
    /// Runs a check of this program. The command line repeats it.
    Check(fn(&Path) -> Result<()>, &'static str),
}

/// A program that a step needs and that may be missing from a Rust toolchain.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: &'static str,
    /// A command that succeeds if the tool is installed.
    pub(crate) probe: &'static str,
    /// How to install it, usually a command.
    pub(crate) install: &'static str,
}

/// What to do about a step whose tool is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Skip it and say so, as on a contributor's machine.
    Skips,
    /// Fail, as on the build machines.
    Fails,
}

/// One step of a check.
pub(crate) struct Step {
    /// A word or two for what it checks.
    pub(crate) name: &'static str,
    /// The tool it needs besides a Rust toolchain.
    pub(crate) needs: Option<Tool>,
    /// Whether it is skipped wherever that is missing, on the build machines too.
    pub(crate) is_optional: bool,
    /// What it does.
    pub(crate) action: Action,
}

impl Step {
    /// A step that needs only a Rust toolchain.
    pub(crate) fn new(name: &'static str, action: Action) -> Self {
        Self { name, needs: None, is_optional: false, action }
    }

    /// The same step, which also needs `tool`.
    pub(crate) fn with_tool(self, tool: Tool) -> Self {
        Self { needs: Some(tool), ..self }
    }

    /// The same step, which also needs `tool` and is skipped without it, on the build machines too.
    pub(crate) fn with_optional_tool(self, tool: Tool) -> Self {
        Self { needs: Some(tool), is_optional: true, ..self }
    }

    /// The command that repeats this step.
    fn repeat(&self) -> String {
        match &self.action {
            Action::Command(invocation) => invocation.to_string(),
            Action::Check(_, line) => (*line).to_owned(),
        }
    }

    /// Whether to run the step rather than skip it.
    ///
    /// # Errors
    /// Its tool is missing, and missing tools are failures.
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

    /// Runs the step on this terminal.
    fn run(&self, root: &Path) -> Result<()> {
        match &self.action {
            Action::Command(invocation) => invocation.run(root),
            Action::Check(check, _) => check(root),
        }
    }
}

/// Runs `steps` in order, then prints their times and the skipped steps.
///
/// # Errors
/// The first step that fails, with the command that repeats it.
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
        if let Err(error) = step.run(root) {
            bail!("{name} failed: {error:#}\n\nTo repeat this step, run\n\n    {repeat}\n");
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{place} {name}: passed in {seconds:.1} s");
        times.push((name, seconds));
    }
    match skipped.as_slice() {
        [] => println!("\nAll {} steps passed:", times.len()),
        skipped => {
            println!(
                "\n{} steps passed; skipped because a tool is missing: {}",
                times.len(),
                skipped.join(", ")
            )
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
    fn an_invocation_is_displayed_as_typed() {
        let invocation = Invocation::new("cargo doc --no-deps").with_variable("RUSTDOCFLAGS", "-D warnings");
        let invocation = invocation.with_arguments(&["--document-private-items"]);
        let typed = "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items";
        assert_eq!(invocation.to_string(), typed, "the line can be pasted into a shell");
    }

    fn unreachable_check(_: &Path) -> Result<()> {
        bail!("this check ran")
    }

    #[test]
    fn a_failing_step_prints_its_command_and_stops_the_list() {
        let steps = [
            Step::new("lookup", Action::Command(Invocation::new("cargo no-such-command"))),
            Step::new("later", Action::Check(unreachable_check, "later")),
        ];
        let message = format!("{:#}", run_all(Path::new("."), Missing::Fails, &steps).unwrap_err());
        assert!(
            message.contains("lookup failed") && message.contains("    cargo no-such-command"),
            "{message}"
        );
        assert!(!message.contains("this check ran"), "{message}");
    }

    #[test]
    fn a_step_with_a_missing_tool_is_skipped_or_fails() {
        let tool = |probe| Tool { name: "the tool", probe, install: "`cargo install the-tool`" };
        let root = Path::new(".");
        let step = |probe| {
            let check = Action::Check(unreachable_check, "cargo xtask check");
            [Step::new("check", check).with_tool(tool(probe))]
        };
        let absent = step("cargo no-such-command --version");
        assert!(run_all(root, Missing::Skips, &absent).is_ok(), "a missing tool is not a failure");
        let message = format!("{:#}", run_all(root, Missing::Fails, &absent).unwrap_err());
        assert_eq!(message, "check needs the tool; install it with `cargo install the-tool`");
        let check = Action::Check(unreachable_check, "cargo xtask check");
        let optional =
            [Step::new("check", check).with_optional_tool(tool("cargo no-such-command --version"))];
        assert!(run_all(root, Missing::Fails, &optional).is_ok(), "an optional tool may be missing anywhere");
        for missing in [Missing::Skips, Missing::Fails] {
            let message = format!("{:#}", run_all(root, missing, &step("cargo --version")).unwrap_err());
            assert!(message.contains("this check ran"), "a step with an installed tool runs: {message}");
        }
    }
}
