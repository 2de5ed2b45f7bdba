//! Damaged files of a run, which are set aside and never deleted.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::atomic;
use crate::layout::RunLayout;
use crate::{Error, Result};

/// A damaged file that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it was.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// Where it is kept, unless it was missing.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, problem, kept } = self;
        let kept =
            kept.as_ref().map_or_else(String::new, |kept| format!("it is kept as {} and ", kept.display()));
        write!(f, "{} was damaged: {problem}; {kept}recreated", file.display())
    }
}

/// Renames a damaged file, if it exists.
pub(crate) fn set_aside(file: PathBuf, problem: String) -> Result<Damage> {
    let kept = RunLayout::set_aside(&file);
    let kept = match fs::rename(&file, &kept) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        renamed => renamed.map(|()| Some(kept)).map_err(Error::io("rename", &file))?,
    };
    atomic::sync_directory_of(&file)?;
    Ok(Damage { file, problem, kept })
}
