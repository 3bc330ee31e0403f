//! Waits for conditions of other processes, always with a deadline.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Lets the processes that we wait for do something.
#[expect(
    clippy::disallowed_methods,
    reason = "a terminal tool without async tasks: polling other processes has nothing to block"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Polls `check` until it returns a value; `None` after `limit`.
///
/// An error of `check` ends the wait at once: use it for what cannot get better.
pub(crate) fn until<T>(
    limit: Duration,
    mut check: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let began = Instant::now();
    loop {
        if let Some(value) = check()? {
            return Ok(Some(value));
        }
        if began.elapsed() >= limit {
            return Ok(None);
        }
        pause(Duration::from_millis(150));
    }
}
