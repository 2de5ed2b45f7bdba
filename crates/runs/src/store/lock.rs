//! The lock of a run: of several processes one works on it.

use std::fs::{File, TryLockError};
use std::time::Duration;

use sharpness_network::files;

use crate::atomic;
use crate::layout::RunLayout;
use crate::{Error, Result};

/// How often and how long a lock that another holds is waited for.
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
                // Somebody may only look whether the run is being made.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
        Err(Error::RunLocked { dir: layout.dir().to_owned() })
    })
}

/// Whether a process is making the run. Its lock ends with it, however it ends.
pub(super) fn is_locked(layout: &RunLayout) -> bool {
    // A shared lock, so that others who look at the same time do not take this process for one that is making the run.
    let file = files::open_to_read(&layout.lock());
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
