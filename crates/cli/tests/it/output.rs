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
    for arguments in
        [&["info", "vgg11"][..], &["help"], &["train", "--help"], &["--version"], &["data", "list"]]
    {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else {
            return skip("there is no /dev/full, which Linux has");
        };
        let mut program = command(arguments);
        program.stdout(Stdio::from(full));
        ended(program).refuses(1, &["standard output"]);
    }
}

/// The reader may go away before, while or after the program writes.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    for round in 0..200 {
        for arguments in [&["help"][..], &["train", "--help"], &["completions", "zsh"]] {
            let mut program = command(arguments);
            let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut out = child.stdout.take().unwrap();
            if round % 2 == 1 {
                out.read_exact(&mut [0]).unwrap();
            }
            drop(out);
            let status = child.wait().unwrap();
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            assert_eq!(
                (status.code(), err.as_str()),
                (Some(0), ""),
                "{arguments:?} ends quietly, round {round}"
            );
        }
    }
}
