//! The index as the tasks of the process share it.
//!
//! The lock is held for one delta or one choice, never across an await.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::index::{Index, Key, Release};
use crate::object::Sighting;
use crate::select::{self, Choice, Draw, Missing, Wanted};

/// The index, and a signal for every change of it.
#[derive(Clone, Debug, Default)]
pub struct Servers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    index: Mutex<Index>,
    changed: Notify,
    synced: AtomicBool,
}

impl Servers {
    /// Looks at the index.
    pub fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.0.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the index.
    pub fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        let result = change(&mut self.0.index.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.changed.notify_waiters();
        result
    }

    /// The next change.
    pub fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Whether every watch has delivered its first list.
    pub fn is_synced(&self) -> bool {
        self.0.synced.load(Ordering::Acquire)
    }

    /// Every watch has delivered its first list.
    pub fn set_synced(&self) {
        self.0.synced.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    /// Takes in an object that was watched or listed.
    pub fn watched(&self, sighting: Sighting) {
        self.change(|index| match sighting {
            Sighting::Allocatable(key, observed) => index.apply(&key, observed),
            Sighting::Other(key, version) => index.remove(&key, version),
            Sighting::Unreadable(key) => unreadable(&key),
        });
    }

    /// Takes in the answer to a read.
    pub fn confirm(&self, sighting: Sighting) {
        self.change(|index| match sighting {
            Sighting::Allocatable(key, observed) => index.confirm(&key, observed),
            Sighting::Other(key, version) => index.remove(&key, version),
            Sighting::Unreadable(key) => unreadable(&key),
        });
    }

    /// Takes in the answer to a write.
    pub fn answered(&self, sighting: Sighting) {
        self.change(|index| match sighting {
            Sighting::Allocatable(key, observed) => index.update(&key, observed),
            Sighting::Other(key, version) => index.remove(&key, version),
            Sighting::Unreadable(key) => unreadable(&key),
        });
    }

    /// Chooses a server and reserves it, in one step.
    pub fn reserve(&self, wanted: &Wanted, draw: Draw) -> Result<Reservation, Missing> {
        let choice = {
            let mut index = self.0.index.lock().unwrap_or_else(PoisonError::into_inner);
            let choice = select::select(&index, wanted, draw)?;
            index.reserve(&choice.key);
            choice
        };
        Ok(Reservation {
            servers: self.clone(),
            choice: Some(choice),
        })
    }

    /// Reserves a server that was chosen elsewhere. It may be unknown here.
    pub fn reserve_known(&self, choice: Choice) -> Reservation {
        self.change(|index| index.reserve(&choice.key));
        Reservation {
            servers: self.clone(),
            choice: Some(choice),
        }
    }
}

fn unreadable(key: &Key) {
    tracing::error!(game_server = %key, "GameServer was left out: its resourceVersion is not a number");
}

/// A server that nobody else is given. Dropping it frees the server.
#[derive(Debug)]
pub struct Reservation {
    servers: Servers,
    choice: Option<Choice>,
}

impl Reservation {
    /// The reserved server.
    pub const fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// Ends the reservation with what is known now.
    pub fn finish(mut self, release: Release) {
        self.release(release);
    }

    fn release(&mut self, release: Release) {
        if let Some(Choice { key, version, .. }) = self.choice.take() {
            self.servers
                .change(|index| index.release(&key, version, release));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(Release::Free);
    }
}
