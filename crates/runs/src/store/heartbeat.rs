//! The thread that renews the leases of this process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{Error, Result};

/// Renews a lease; `false` if there is none to renew any more.
type Renew = Box<dyn FnMut() -> bool + Send>;

/// What to renew, and whether the thread runs.
struct Heart {
    leases: Vec<Renew>,
    beats: bool,
}

static HEART: Mutex<Heart> = Mutex::new(Heart { leases: Vec::new(), beats: false });

/// Calls `renew` again and again until it returns `false`, with the `period` of the first call.
///
/// # Errors
/// [`Error::Threads`] if the thread cannot be started.
pub(super) fn keep(period: Duration, renew: Renew) -> Result<()> {
    let mut heart = HEART.lock().unwrap_or_else(PoisonError::into_inner);
    if !heart.beats {
        let thread = std::thread::Builder::new().name("leases".to_owned());
        thread.spawn(move || beat(period)).map_err(|error| Error::Threads(error.to_string()))?;
        heart.beats = true;
    }
    heart.leases.push(renew);
    Ok(())
}

fn beat(period: Duration) {
    let heart = || HEART.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        std::thread::sleep(period);
        // A file system that hangs here must not keep others from starting runs.
        let mut leases = std::mem::take(&mut heart().leases);
        leases.retain_mut(|renew| renew());
        heart().leases.append(&mut leases);
    }
}
