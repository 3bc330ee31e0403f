//! The hub: the other end of every SDK server's stream.
//!
//! Every replica serves it. A change that an SDK server asks for becomes one guarded write of the
//! game server; every change of the object goes down the stream.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::ports::Holder;

mod auth;
mod boot_id;
pub(crate) mod ca;
mod certificates;
mod change;
mod commit;
mod direct;
mod keys;
mod master_keys;
mod serve;
mod session;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use certificates::{Certificates, manage as manage_ca};
pub(crate) use keys::{Keys, follow as follow_keys, manage as manage_keys};
pub(crate) use serve::serve;

pub use direct::{Hub, Session};

/// Who waits for changes of which game server.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<Holder, watch::Sender<()>>>);

impl Sessions {
    /// Tells the sessions of a server that its object changed.
    pub(crate) fn notify(&self, server: &Holder) {
        if let Some(sender) = self.lock().get(server) {
            sender.send_replace(());
        }
    }

    /// Waits for changes of a server; ends with [`Sessions::close`].
    fn open(&self, server: &Holder) -> watch::Receiver<()> {
        self.lock().entry(server.clone()).or_default().subscribe()
    }

    /// Forgets a server for which nobody waits any more.
    fn close(&self, server: &Holder) {
        let mut sessions = self.lock();
        if sessions
            .get(server)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            sessions.remove(server);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Holder, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
