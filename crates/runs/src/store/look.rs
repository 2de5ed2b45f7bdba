//! The lease of a run as other processes see it.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sharpness_network::files;

use super::holder::{DEFAULT_EXPIRY, Holder};
use crate::layout::RunLayout;
use crate::{Error, Result};

/// How much a clock of this machine may differ from that of the file server, for those who only look.
const CLOCK_ERROR: Duration = Duration::from_secs(60);
/// The names that NFS gives to removed files that are still open.
const REMOVED_ON_NFS: &str = ".nfs";

/// A lease as others see it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    /// Who holds it; `None` if the name is not that of a holder.
    pub(super) holder: Option<Holder>,
    /// Whether its holder lives, if a lock tells.
    pub(super) lives: Option<bool>,
    /// When it was last renewed, by the clock of the file server.
    renewed: SystemTime,
}

impl Found {
    /// The holder for a message, if known.
    pub(super) fn in_words(&self) -> Option<String> {
        self.holder.as_ref().map(ToString::to_string)
    }

    fn expiry(&self) -> Duration {
        self.holder.as_ref().map_or(DEFAULT_EXPIRY, |holder| holder.expiry)
    }

    /// Whether its holder is dead, or did not renew it in time; `now` is by the clock of the file server.
    pub(super) fn may_be_taken(&self, now: SystemTime) -> bool {
        match self.lives {
            Some(lives) => !lives,
            None => now.duration_since(self.renewed).is_ok_and(|age| age > self.expiry()),
        }
    }
}

/// The process that works on a run, as far as can be told without writing: if no lock tells, one that renewed its lease
/// recently by the clock of this machine.
pub(super) fn holder(layout: &RunLayout) -> Option<Option<Holder>> {
    let found = look(layout).ok().flatten()?;
    let is_alive = found.lives.unwrap_or_else(|| {
        let age = found.renewed.elapsed().unwrap_or_default();
        age <= found.expiry() + CLOCK_ERROR
    });
    is_alive.then_some(found.holder)
}

/// The lease of a run; `None` if it is free.
pub(super) fn look(layout: &RunLayout) -> Result<Option<Found>> {
    let dir = layout.lease();
    match read(&dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map_err(Error::io("read", &dir)),
    }
}

fn read(dir: &Path) -> io::Result<Option<Found>> {
    let kind = fs::symlink_metadata(dir)?.file_type();
    if !kind.is_dir() {
        let found = if kind.is_symlink() { "a symbolic link" } else { "a file" };
        let problem = format!("this is {found}, not a directory");
        return Err(io::Error::new(ErrorKind::NotADirectory, problem));
    }
    // First the name, then the time: of a name that was read, a later renewal changes the time.
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with(REMOVED_ON_NFS));
    let Some(name) = names.into_iter().min() else { return Ok(None) };
    let metadata = current(dir)?;
    let holder = Holder::parse(&name);
    let is_told = holder.as_ref().is_some_and(|holder| holder.is_told_by_lock(device(&metadata)));
    let lives = if is_told { lives(&dir.join(&name)) } else { None };
    Ok(Some(Found { name, holder, lives, renewed: metadata.modified()? }))
}

/// Whether a process holds the lock of a file.
fn lives(file: &Path) -> Option<bool> {
    let file = match files::open_to_read(file) {
        // It was renewed or released just now.
        Err(e) if e.kind() == ErrorKind::NotFound => return Some(true),
        file => file.ok()?,
    };
    // A shared lock, so that processes that look at the same time do not take each other for the holder.
    match file.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

/// The state of a directory on the file server. NFS asks the server only when a file is opened.
pub(super) fn current(dir: &Path) -> io::Result<Metadata> {
    if cfg!(unix) { File::open(dir)?.metadata() } else { fs::metadata(dir) }
}

#[cfg(unix)]
pub(super) fn device(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
pub(super) fn device(_: &Metadata) -> u64 {
    0
}
