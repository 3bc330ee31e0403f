//! What every replica called and what came of it, in order: to be read after a failure.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Seconds;

/// Entries that are kept.
const KEPT: usize = 2_000;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Time since the journal was begun.
    pub at: Duration,
    /// Whose.
    pub who: String,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, what } = self;
        write!(formatter, "{:>9} {who}: {what}", Seconds(*at).to_string())
    }
}

/// The last things that happened. Clones share the same entries.
#[derive(Clone, Debug)]
pub struct Journal {
    begun: Instant,
    entries: Arc<Mutex<VecDeque<Entry>>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            entries: Arc::default(),
        }
    }
}

impl Journal {
    /// Adds a line.
    pub fn note(&self, who: &str, what: impl Into<String>) {
        let entry = Entry {
            at: self.begun.elapsed(),
            who: who.to_owned(),
            what: what.into(),
        };
        let mut entries = self.lock();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// The lines that are kept, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
