//! The one place that reads the wall clock. Decisions take the time as a value.

use jiff::Timestamp;

/// Returns the current time.
pub fn now() -> Timestamp {
    Timestamp::now()
}
