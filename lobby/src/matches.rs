//! Matches from their server to their end: what results say, and who follows servers.

pub mod follow;
pub mod result;

mod known;

use std::time::Duration;

/// The set of matches that go on, and of whose players auth was not told where they play.
pub(crate) const UNASSIGNED: &str = "lobby:unassigned";

/// The set of matches that end, and whose players may not know it yet, nor auth.
pub(crate) const UNSETTLED: &str = "lobby:unsettled";

/// How long a match stays in these sets at most.
pub(crate) const KEEP: Duration = Duration::from_hours(24);
