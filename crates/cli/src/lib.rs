//! The command line of `sharpness`: parses the arguments, runs one command and returns its exit code. The other crates do the work.
//!
//! The program `sharpness` and the Python package are a few lines around [`main`].

mod args;
mod commands;
mod exit;
mod given_weights;
mod importing;
mod interrupt;
mod measuring;
mod output;
mod points;
mod program;
mod ranks;
mod settings;
mod sweep_watch;
mod watch;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::panic::PanicHookInfo;

use clap::Parser as _;
use sharpness_kernels::Allocator;

use commands::Cli;
use exit::Exit;

pub use program::Host;

/// Runs the command line `arguments`, which begins with the name of the program, and returns its exit code.
///
/// The process must be for this alone: its handlers of signals and panics, its threads and the settings of its allocator are
/// changed for good, and it exits at once on an internal error or a second Ctrl-C. Call it before other threads compute.
pub fn main(arguments: impl IntoIterator<Item = OsString>, host: Host) -> u8 {
    Allocator::keep_little();
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|asked| asked == "0") {
        std::panic::set_hook(Box::new(report_bug));
    }
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    program::start(&arguments, host);
    (match Cli::try_parse_from(arguments) {
        Ok(cli) => run(cli),
        // The others were started with the same arguments.
        Err(message) if !ranks::is_first_started() => {
            if message.exit_code() == 0 {
                Exit::Done
            } else {
                Exit::Usage
            }
        }
        Err(message) => answer(&message),
    }) as u8
}

/// Runs a command, with the other processes that were started together if it shares its work.
fn run(cli: Cli) -> Exit {
    let _connection = match ranks::start(cli.sharing()) {
        Ok(connection) => connection,
        Err(error) => {
            if ranks::is_first_started() {
                output::error(&exit::message(&error));
            }
            return exit::of_error(&error);
        }
    };
    let done = commands::run(cli);
    let exit = done.unwrap_or_else(|error| {
        let exit = exit::of_error(&error);
        ranks::fail(&exit::message(&error), exit);
        exit
    });
    // Launchers kill the others when one ends with a code other than 0.
    ranks::wait();
    exit
}

/// Prints what the parser has to say: a help text, or what is wrong with the arguments.
fn answer(message: &clap::Error) -> Exit {
    if message.exit_code() != 0 {
        // The message quotes the arguments, which may contain control characters.
        let text = message.to_string();
        output::error(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
        return Exit::Usage;
    }
    match message.print() {
        // A closed pipe (`| head`) is not an error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let error = anyhow::Error::from(error).context("cannot write to standard output");
            output::error(&exit::message(&error));
            exit::of_error(&error)
        }
        _ => Exit::Done,
    }
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
