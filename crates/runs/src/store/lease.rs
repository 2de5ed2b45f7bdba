//! The lease of a run, so that only one process works on it, on one machine or on many that share a file system.
//!
//! `.lease/` holds one file, whose name is the [`Holder`]. Every change of it is a rename, which the file server makes at one
//! instant and which fails if its source is gone:
//!
//! - create: rename a directory `.lease-<token>/` with that file to `.lease/`, which fails if a lease is there;
//! - renew, as a thread does and as every write does: rename the file to the name with the next number of renewals;
//! - take over: rename the file of a dead holder to one's own, which fails if that holder renewed it or another was faster;
//! - release: remove the file, then the directory.
//!
//! A crash between two steps leaves an empty directory, which the next rename replaces, or one of those to be renamed, which
//! the next holder removes.
//!
//! **Fencing.** A holder that was stopped for longer than the expiry writes nothing after it wakes, whatever any clock says.
//! A file is replaced by a rename from a partial file that bears the token. The order is: write the partial file, renew the
//! lease, rename. The next holder first removes the partial files of others, after it took over and before it reads. So the
//! rename succeeds either before the next holder reads anything, or not at all. The metrics are appended to a file that each
//! holder creates in this way, so what an earlier one appends is in a file without a name.
//!
//! **Expiry.** Clocks only decide when to take over, and only that of the file server: the modification time of `.lease/`,
//! which every renewal sets, is compared with that of a directory that was just changed. If the holder is of this machine and
//! holds a `flock` of the file, the lock alone decides, at once.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sharpness_network::files;

use super::heartbeat;
use super::holder::{Holder, fresh_token};
use super::look::{Found, current, device, look};
use crate::atomic;
use crate::layout::RunLayout;
use crate::{Error, Result};

/// How often to try while other processes take, release or look at a lease, and how long to pause.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);
/// How many renewals are due before a lease expires.
const BEATS: u32 = 8;

/// The right of this process alone to write a run, until the value is dropped or the lease is lost.
#[derive(Debug)]
pub(super) struct Lease(Arc<Shared>);

/// What the heartbeat shares.
#[derive(Debug)]
struct Shared {
    layout: RunLayout,
    /// The open directory of the run.
    dir: Option<File>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    /// The file, with its lock.
    file: Option<File>,
    is_lost: bool,
}

impl Lease {
    /// Takes the lease of the run whose directory exists: a free one, or that of a dead holder.
    ///
    /// # Errors
    /// [`Error::RunLocked`] if another process holds it; [`Error::Io`] if the directory cannot be written;
    /// [`Error::Variable`]; [`Error::Threads`].
    pub(super) fn acquire(layout: &RunLayout) -> Result<Self> {
        let locked = |found: Option<Found>| Error::RunLocked {
            dir: layout.dir().to_owned(),
            holder: found.and_then(|found| found.in_words()),
        };
        for _ in 0..TRIES {
            let found = look(layout)?;
            if found.as_ref().is_some_and(|found| found.lives == Some(true)) {
                return Err(locked(found));
            }
            let device = device(&current(layout.dir()).map_err(Error::io("read", layout.dir()))?);
            let candidate = match Candidate::new(layout, Holder::this_process(device)?) {
                Err(Error::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && layout.dir().exists() =>
                {
                    // A new holder removed it.
                    continue;
                }
                candidate => candidate?,
            };
            let taken = match found {
                None => candidate.become_lease()?,
                Some(found) if found.may_be_taken(candidate.created) => candidate.take_over(&found)?,
                found => return Err(locked(found)),
            };
            if let Some(lease) = taken {
                lease.remove_leftovers()?;
                lease.keep()?;
                return Ok(lease);
            }
            std::thread::sleep(PAUSE);
        }
        Err(locked(look(layout)?))
    }

    /// A lease that was taken, unless it turns out that it was not.
    fn begin(layout: &RunLayout, holder: Holder, file: Option<File>) -> Result<Option<Self>> {
        let dir = File::open(layout.dir()).ok();
        let state = Mutex::new(State { holder, file, is_lost: false });
        let lease = Self(Arc::new(Shared { layout: layout.clone(), dir, state }));
        match lease.renew() {
            Err(Error::LeaseLost { .. } | Error::RunReplaced { .. }) => Ok(None),
            renewed => renewed.map(|()| Some(lease)),
        }
    }

    /// Renews the lease from time to time until it is dropped.
    fn keep(&self) -> Result<()> {
        let shared = Arc::downgrade(&self.0);
        let renew = move || {
            // A loss stays known to the lease; after any other error, the next renewal may succeed.
            shared.upgrade().map(|shared| shared.renew()).is_some()
        };
        heartbeat::keep(self.0.state().holder.expiry / BEATS, Box::new(renew))
    }

    /// Renews the lease. Call it directly before any change of the run that [`Self::replace`] does not make.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if another process took it over; [`Error::RunReplaced`] if the directory was deleted, and possibly
    /// recreated; [`Error::Io`] if the file system does not answer.
    pub(super) fn renew(&self) -> Result<()> {
        self.0.renew()
    }

    /// Whether the lease is known to be lost.
    pub(super) fn is_lost(&self) -> bool {
        self.0.state().is_lost
    }

    /// Replaces a file of the run at one instant, if the lease is still held then. Returns the new file, open for writing at
    /// its end.
    ///
    /// # Errors
    /// As [`Self::renew`]; [`Error::Io`] if the disk is full. The old content is then kept.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<File> {
        // Here too, so that a holder that lost it does not even write a partial file.
        self.renew()?;
        let partial = self.0.layout.partial_of_holder(path, &self.0.state().holder.token);
        match atomic::replace_through(&partial, path, content, || self.renew()) {
            Err(error @ Error::Io { .. }) => {
                self.renew()?;
                Err(error)
            }
            replaced => replaced,
        }
    }

    /// Removes what earlier holders and candidates left. Until then, an earlier holder may still replace a file.
    fn remove_leftovers(&self) -> Result<()> {
        let layout = &self.0.layout;
        for entry in fs::read_dir(layout.dir()).map_err(Error::io("read", layout.dir()))? {
            let path = entry.map_err(Error::io("read", layout.dir()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if RunLayout::is_lease_candidate(&name) {
                remove_directory(&path);
            } else if RunLayout::is_partial_of_holder(&name) {
                match fs::remove_file(&path) {
                    Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &path)(e)),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, holder: &Holder) -> PathBuf {
        self.layout.lease().join(holder.name())
    }

    /// As [`Lease::renew`].
    fn renew(&self) -> Result<()> {
        let mut state = self.state();
        // Twice, since the reply to an earlier rename may have been lost: the file then has the next name already.
        for _ in 0..2 {
            if state.is_lost {
                break;
            }
            let from = self.path(&state.holder);
            state.holder.renewals += 1;
            match fs::rename(&from, self.path(&state.holder)) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    state.holder.renewals -= 1;
                    return Err(Error::io("renew", &self.layout.lease())(e));
                }
                Ok(()) => return Ok(()),
            }
        }
        state.is_lost = true;
        drop(state);
        Err(self.loss())
    }

    /// Why the lease is lost.
    fn loss(&self) -> Error {
        let dir = self.layout.dir().to_owned();
        let is_there = self.dir.as_ref().is_none_or(|open| atomic::is_at(open, &dir).unwrap_or(true));
        if !is_there {
            return Error::RunReplaced { dir };
        }
        let found = look(&self.layout).ok().flatten();
        Error::LeaseLost { dir, holder: found.and_then(|found| found.in_words()) }
    }

    fn release(&self) {
        let mut state = self.state();
        if state.is_lost {
            return;
        }
        state.is_lost = true;
        // Close it first: NFS keeps a removed file that is open.
        state.file = None;
        // If this fails, the lease is taken over as that of a process that ended.
        if fs::remove_file(self.path(&state.holder)).is_ok() {
            let _ = fs::remove_dir(self.layout.lease());
        }
    }
}

/// A directory `.lease-<token>/` with the file of a lease, on its way to `.lease/`.
struct Candidate<'l> {
    layout: &'l RunLayout,
    holder: Holder,
    dir: PathBuf,
    file: Option<File>,
    /// When it was created, by the clock of the file server.
    created: SystemTime,
}

impl<'l> Candidate<'l> {
    fn new(layout: &'l RunLayout, mut holder: Holder) -> Result<Self> {
        let dir = layout.lease_candidate(&holder.token);
        fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        // From here on, dropping it removes what there is.
        let mut candidate =
            Self { layout, holder: holder.clone(), dir, file: None, created: SystemTime::UNIX_EPOCH };
        let unlocked = candidate.dir.join(holder.name());
        let options = &mut File::options();
        let file = files::open_to_write(options.read(true).write(true).create_new(true), &unlocked)
            .map_err(Error::io("create", &unlocked))?;
        // Windows moves no directory with an open file.
        if cfg!(unix) && file.try_lock().is_ok() {
            holder.has_lock = true;
            fs::rename(&unlocked, candidate.dir.join(holder.name()))
                .map_err(Error::io("rename", &unlocked))?;
            (candidate.file, candidate.holder) = (Some(file), holder);
        }
        let changed = current(&candidate.dir).and_then(|metadata| metadata.modified());
        candidate.created = changed.map_err(Error::io("read", &candidate.dir))?;
        Ok(candidate)
    }

    /// Becomes the lease, if there is none.
    fn become_lease(mut self) -> Result<Option<Lease>> {
        let lease = self.layout.lease();
        if let Err(error) = fs::rename(&self.dir, &lease) {
            use ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound, PermissionDenied};
            return match error.kind() {
                // Windows replaces no directory, not even an empty one.
                PermissionDenied if cfg!(windows) => {
                    let _ = fs::remove_dir(&lease);
                    Ok(None)
                }
                DirectoryNotEmpty | AlreadyExists => Ok(None),
                // The reply to a first try may have been lost.
                NotFound => Lease::begin(self.layout, self.holder.clone(), self.file.take()),
                _ => Err(Error::io("create", &lease)(error)),
            };
        }
        Lease::begin(self.layout, self.holder.clone(), self.file.take())
    }

    /// Takes a lease over, if nobody else is faster. The file is that of its dead holder, and so is the lock to be taken.
    fn take_over(self, found: &Found) -> Result<Option<Lease>> {
        let lease = self.layout.lease();
        let mut holder = Holder { has_lock: false, ..self.holder.clone() };
        let path = lease.join(holder.name());
        match fs::rename(lease.join(&found.name), &path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("take over", &lease)(e)),
            _ => {}
        }
        let file = files::open_to_write(File::options().read(true).write(true), &path).ok();
        let file = file.filter(|_| cfg!(unix)).filter(lock_patiently);
        if file.is_some() {
            // As the renewals do: it fails if the lease was lost meanwhile.
            let has_lock = Holder { has_lock: true, ..holder.clone() };
            if fs::rename(&path, lease.join(has_lock.name())).is_ok() {
                holder = has_lock;
            }
        }
        Lease::begin(self.layout, holder, file)
    }
}

impl Drop for Candidate<'_> {
    fn drop(&mut self) {
        remove_directory(&self.dir);
    }
}

/// Locks the file of a dead holder; others may be checking that it is dead.
fn lock_patiently(file: &File) -> bool {
    (0..TRIES).any(|_| match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::Error(_)) => false,
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(PAUSE);
            false
        }
    })
}

/// Removes a directory of files, as far as possible: whatever is left takes no effect.
fn remove_directory(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.for_each(|entry| {
        let _ = fs::remove_file(entry.path());
    });
    let _ = fs::remove_dir(dir);
}

/// Replaces a file of a run that every process may replace, at one instant.
///
/// # Errors
/// [`Error::Io`] if the disk is full or the directory cannot be written; the old content is then kept.
pub(super) fn replace_without_lease(layout: &RunLayout, path: &Path, content: &[u8]) -> Result<()> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let partial = layout.partial_of_holder(path, &fresh_token());
        match atomic::replace_through(&partial, path, content, || Ok(())) {
            // A process that took the lease removed it.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound && tries > 0 => {}
            replaced => return replaced.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::store::holder::DEFAULT_EXPIRY;

    fn run() -> (TempDir, RunLayout) {
        let dir = tempdir().unwrap();
        let layout = RunLayout::new(dir.path());
        (dir, layout)
    }

    /// Makes the lease that of another machine, which last renewed it `age` ago. Its holder here does not know.
    fn move_away(layout: &RunLayout, age: Duration) {
        let found = look(layout).unwrap().expect("there is a lease");
        let mut holder = found.holder.unwrap();
        (holder.boot, holder.renewals) = ("another".to_owned(), holder.renewals + 1_000_000);
        let lease = layout.lease();
        fs::rename(lease.join(found.name), lease.join(holder.name())).unwrap();
        let open = File::open(&lease).unwrap();
        open.set_modified(open.metadata().unwrap().modified().unwrap() - age).unwrap();
    }

    #[test]
    fn a_lease_that_was_taken_over_is_lost() {
        let (_dir, layout) = run();
        let first = Lease::acquire(&layout).unwrap();
        move_away(&layout, DEFAULT_EXPIRY + Duration::from_secs(1));
        let second = Lease::acquire(&layout).unwrap();
        let error = first.renew().unwrap_err();
        assert!(matches!(error, Error::LeaseLost { .. }) && first.is_lost(), "{error}");
        let told = format!("was taken over by another process (process {} on ", std::process::id());
        assert!(error.to_string().contains(&told), "{error}");
        drop(first);
        second.renew().unwrap();
        drop(second);
        assert!(!layout.lease().exists(), "it is released");
    }

    #[test]
    fn a_renewal_whose_reply_is_lost_is_made_again() {
        let (_dir, layout) = run();
        let lease = Lease::acquire(&layout).unwrap();
        for _ in 0..3 {
            let mut next = lease.0.state().holder.clone();
            let from = lease.0.path(&next);
            next.renewals += 1;
            fs::rename(from, lease.0.path(&next)).unwrap();
            lease.renew().unwrap();
        }
    }

    /// The order that the module documentation relies on.
    #[test]
    fn a_holder_that_is_stopped_between_its_renewal_and_its_rename_replaces_nothing() {
        let (dir, layout) = run();
        let path = dir.path().join("result.json");
        let first = Lease::acquire(&layout).unwrap();
        let partial = layout.partial_of_holder(&path, &first.0.state().holder.token);
        let mut second = None;
        let replaced = atomic::replace_through(&partial, &path, b"of the first", || {
            first.renew()?;
            move_away(&layout, DEFAULT_EXPIRY + Duration::from_secs(1));
            let lease = Lease::acquire(&layout)?;
            lease.replace(&path, b"of the second")?;
            second = Some(lease);
            Ok(())
        });
        assert!(replaced.is_err(), "its partial file is gone");
        assert!(
            matches!(first.replace(&path, b"of the first"), Err(Error::LeaseLost { .. })),
            "and its lease"
        );
        assert_eq!(fs::read(&path).unwrap(), b"of the second");
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left but the file");
    }

    #[test]
    fn files_that_an_earlier_holder_has_open_have_no_name() {
        let (dir, layout) = run();
        let path = dir.path().join("metrics.jsonl");
        let first = Lease::acquire(&layout).unwrap();
        let mut appended = first.replace(&path, b"1\n").unwrap();
        move_away(&layout, DEFAULT_EXPIRY + Duration::from_secs(1));
        let second = Lease::acquire(&layout).unwrap();
        let mut current = second.replace(&path, b"1\n").unwrap();
        appended.write_all(b"2 of the first\n").unwrap();
        current.write_all(b"2\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"1\n2\n");
    }

    #[test]
    fn only_the_clock_of_the_file_server_counts_and_only_after_the_expiry() {
        let (_dir, layout) = run();
        let first = Lease::acquire(&layout).unwrap();
        for (age, is_taken) in [(-7200, true), (0, true), (115, true), (125, false)] {
            let secs = Duration::from_secs(u64::try_from(age).unwrap_or_default());
            move_away(&layout, secs);
            if age < 0 {
                let open = File::open(layout.lease()).unwrap();
                let future = open.metadata().unwrap().modified().unwrap() + Duration::from_secs(7200);
                open.set_modified(future).unwrap();
            }
            let second = Lease::acquire(&layout);
            assert_eq!(matches!(second, Err(Error::RunLocked { .. })), is_taken, "{age} s: {second:?}");
        }
        drop(first);
    }
}
