//! Where output goes, and what it looks like when nobody watches.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::process::Stdio;

use crate::program::{command, ended, run};
use crate::skip::skip;

#[test]
fn piped_output_has_no_colors() {
    for arguments in [&["info", "mlp"][..], &["data", "list"], &["--help"], &["train", "--arch", "nothing"]] {
        let ended = run(arguments);
        let printed = ended.out + &ended.err;
        assert!(!printed.contains('\u{1b}'), "{arguments:?} printed an escape sequence: {printed:?}");
    }
}

#[test]
fn colors_come_when_they_are_forced() {
    let mut program = command(&["info", "mlp"]);
    program.env("CLICOLOR_FORCE", "1");
    assert!(ended(program).out_with(0).contains('\u{1b}'), "so that the test above can fail");
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
        return skip("there is no /dev/full, which Linux has");
    };
    let mut program = command(&["info", "vgg11"]);
    program.stdout(Stdio::from(full));
    ended(program).refuses(1, &["standard output"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut program = command(&["completions", "zsh"]);
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((status.code(), err.as_str()), (Some(0), ""), "the program ends quietly");
}
