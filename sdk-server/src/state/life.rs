//! The life of the game's process that is about to begin: its boot id, and the keys that the hub
//! derives for it.
//!
//! The keys stay here only until the game has them, and are erased then.

use proto::muster::hub::v1::{ConnectKey, ConnectKeys, KeyRequest};

use crate::state::Ticket;

/// 16 random bytes that name a life.
pub(crate) type BootId = [u8; 16];

/// A life whose keys the game waits for.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) boot_id: BootId,
    /// Who waits.
    pub(super) ticket: Ticket,
    /// None until the hub has answered; the first one mints.
    pub(super) keys: Vec<ConnectKey>,
    /// Whether the hub was asked on the connection that is open now.
    asked: bool,
}

impl Life {
    pub(super) fn new(boot_id: BootId, ticket: Ticket) -> Self {
        Self {
            boot_id,
            ticket,
            keys: Vec::new(),
            asked: false,
        }
    }

    /// Returns what to ask the hub, once per connection.
    pub(super) fn ask(&mut self) -> Option<KeyRequest> {
        if self.asked || !self.keys.is_empty() {
            return None;
        }
        self.asked = true;
        Some(KeyRequest {
            boot_id: self.boot_id.to_vec(),
        })
    }

    /// The connection is gone, and an answer with it.
    pub(super) fn disconnected(&mut self) {
        self.asked = false;
    }

    /// Takes the hub's answer; returns the version that mints. None: it is not for this life, or
    /// this life has its keys.
    pub(super) fn answer(&mut self, answer: ConnectKeys) -> Option<u32> {
        if answer.boot_id != self.boot_id || !self.keys.is_empty() {
            return None;
        }
        let version = answer.keys.first()?.version;
        self.keys = answer.keys;
        Some(version)
    }
}
