//! The program `sharpness`: parses the command line, runs one command and exits with its code. The libraries do the
//! work.

mod args;
mod commands;
mod exit;
mod given_weights;
mod importing;
mod interrupt;
mod measuring;
mod output;
mod program;
mod settings;
mod sweep_watch;
mod watch;

use std::io::ErrorKind;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use sharpness_kernels::Allocator;

use commands::Cli;
use exit::Exit;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    Allocator::keep_little();
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|asked| asked == "0") {
        std::panic::set_hook(Box::new(report_bug));
    }
    let exit = match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(message) if message.exit_code() == 0 => match message.print() {
            // A closed pipe (`| head`) is not an error.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(Exit::Done),
        },
        Err(message) => {
            // The message quotes the arguments, which may contain control characters.
            let text = message.to_string();
            output::error(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
            return Exit::Usage.into();
        }
    };
    exit.unwrap_or_else(|error| {
        output::error(&exit::message(&error));
        exit::of_error(&error)
    })
    .into()
}

/// Reports a panic on one line instead of a backtrace, and exits. Checkpoints stay as they are.
fn report_bug(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("a panic").replace('\n', " ");
    if what.starts_with("failed to allocate an alternative stack") {
        // The standard library panics in a new thread that cannot get memory; several threads may do so at once.
        static TOLD: std::sync::Once = std::sync::Once::new();
        TOLD.call_once(|| {
            output::error(&format!(
                "cannot start the threads: {what}; ask for fewer with --threads or --jobs"
            ));
            std::process::exit(Exit::Failed as i32);
        });
    }
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    output::error(&format!(
        "internal error: {what}{place}; please report it with the output of the same command under RUST_BACKTRACE=1"
    ));
    std::process::exit(Exit::Bug as i32);
}

#[cfg(test)]
mod tests {
    use super::report_bug;

    /// Set when this test runs itself.
    const VARIABLE: &str = "SHARPNESS_TEST_PANICS";

    #[test]
    fn a_bug_ends_the_program_with_one_line() {
        if std::env::var_os(VARIABLE).is_some() {
            std::panic::set_hook(Box::new(report_bug));
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("two\nlines"));
            });
        }
        let mut program = std::process::Command::new(std::env::current_exe().unwrap());
        program.args(["a_bug_ends_the_program_with_one_line", "--nocapture"]).env(VARIABLE, "");
        let output = program.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(101), "{err}");
        assert!(err.starts_with("error: internal error: two lines at ") && err.lines().count() == 1, "{err}");
    }
}
