//! The connected clients: slots, and the two maps that find them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::aead::PacketKey;
use crate::hash::Seed;
use crate::replay::ReplayWindow;
use crate::user_data::USER_DATA_BYTES;

/// A connection, as long as it lasts: a slot that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connection {
    slot: u32,
    generation: u32,
}

impl Connection {
    /// The client's place, below the server's number of clients.
    pub fn slot(self) -> u32 {
        self.slot
    }
}

/// The two keys of a session, as the server uses them.
pub(super) struct Keys {
    pub(super) seal: PacketKey,
    pub(super) open: PacketKey,
}

pub(super) struct Client {
    /// The client id in its token.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) keys: Keys,
    /// The number of the next packet to this client.
    pub(super) sequence: u64,
    pub(super) replay: ReplayWindow,
    pub(super) last_received: Duration,
    pub(super) last_sent: Duration,
    pub(super) timeout: Duration,
    /// Whether the client has shown that it knows it is connected.
    pub(super) is_confirmed: bool,
    /// When its token expires, by the wall clock.
    pub(super) expires: u64,
    pub(super) user_data: [u8; USER_DATA_BYTES],
}

#[derive(Default)]
struct Slot {
    generation: u32,
    client: Option<Box<Client>>,
}

pub(super) struct Clients {
    slots: Vec<Slot>,
    /// Free slots, the next one last.
    free: Vec<u32>,
    by_address: HashMap<SocketAddr, Connection, Seed>,
    by_id: HashMap<u64, Connection, Seed>,
}

impl Clients {
    pub(super) fn new(max_clients: u32, seed: Seed) -> Self {
        let slots: Vec<Slot> = (0..max_clients).map(|_| Slot::default()).collect();
        let room = slots.len();
        Self {
            slots,
            free: (0..max_clients).rev().collect(),
            by_address: HashMap::with_capacity_and_hasher(room, seed),
            by_id: HashMap::with_capacity_and_hasher(room, seed),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    pub(super) fn by_address(&self, address: &SocketAddr) -> Option<Connection> {
        self.by_address.get(address).copied()
    }

    pub(super) fn by_id(&self, client_id: u64) -> Option<Connection> {
        self.by_id.get(&client_id).copied()
    }

    pub(super) fn get(&self, connection: Connection) -> Option<&Client> {
        let slot = self.slots.get(place(connection.slot))?;
        let client = slot.client.as_deref()?;
        (slot.generation == connection.generation).then_some(client)
    }

    pub(super) fn get_mut(&mut self, connection: Connection) -> Option<&mut Client> {
        let slot = self.slots.get_mut(place(connection.slot))?;
        let client = slot.client.as_deref_mut()?;
        (slot.generation == connection.generation).then_some(client)
    }

    /// The connection in a slot; `None` when it is empty or past the last.
    pub(super) fn in_slot(&self, slot: usize) -> Option<Connection> {
        let found = self.slots.get(slot)?;
        found.client.as_ref()?;
        Some(Connection {
            slot: u32::try_from(slot).ok()?,
            generation: found.generation,
        })
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Takes the lowest free slot that was free longest; `None` when there is none.
    pub(super) fn insert(&mut self, client: Client) -> Option<Connection> {
        let free = self.free.pop()?;
        let slot = self.slots.get_mut(place(free))?;
        let connection = Connection {
            slot: free,
            generation: slot.generation,
        };
        self.by_address.insert(client.address, connection);
        self.by_id.insert(client.id, connection);
        slot.client = Some(Box::new(client));
        Some(connection)
    }

    pub(super) fn remove(&mut self, connection: Connection) -> Option<Box<Client>> {
        self.get(connection)?;
        let slot = self.slots.get_mut(place(connection.slot))?;
        let client = slot.client.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.by_address.remove(&client.address);
        self.by_id.remove(&client.id);
        self.free.push(connection.slot);
        Some(client)
    }
}

fn place(slot: u32) -> usize {
    // Beyond what this machine can address is beyond the last slot.
    usize::try_from(slot).unwrap_or(usize::MAX)
}
