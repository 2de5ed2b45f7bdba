//! The lock of a run, so that only one process works on it.

use std::fs::{File, TryLockError};
use std::time::Duration;

use sharpness_network::files;

use crate::atomic;
use crate::layout::RunLayout;
use crate::{Error, Result};

/// How often and how long to wait for a lock that another process holds.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Locks a run for this process.
///
/// # Errors
/// [`Error::RunLocked`] if another process holds the lock.
pub(super) fn lock(layout: &RunLayout) -> Result<File> {
    let path = layout.lock();
    atomic::open_locked(&path, |file| {
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                // Another process may be checking whether the run is locked.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
        Err(Error::RunLocked { dir: layout.dir().to_owned() })
    })
}

/// Whether a process is executing the run. The lock ends with the process, however it ends.
pub(super) fn is_locked(layout: &RunLayout) -> bool {
    // A shared lock, so that processes that check at the same time do not take each other for the owner.
    let file = files::open_to_read(&layout.lock());
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
