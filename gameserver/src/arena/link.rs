//! What passes between the socket's side and the game's side of the server.
//!
//! With one thread it passes by calls, with two by bounded queues; neither side can tell. Payloads
//! are opened before they pass and sealed after it, so the game's side knows no keys.

use netcode::{Counters, Now};

use crate::arena::net::Traffic;
use crate::arena::sessions::Presented;

/// A connection, as long as it lasts: a place that is used again has another serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Its place, below the number of connections.
    pub place: u16,
    /// Counts the connections of the process.
    pub serial: u32,
}

impl Peer {
    /// Its place, as an index.
    pub fn place(self) -> usize {
        usize::from(self.place)
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client said so; the time to come back runs from now.
    Goodbye,
    /// Nothing came any more, or another connection took its place; the time runs from the last
    /// packet.
    Silence,
}

/// What the socket's side tells the game's side.
#[derive(Debug)]
pub enum Inbound<'payload> {
    /// A client has a connection, and its token says this.
    Connected(Peer, Box<Presented>),
    /// A datagram of the game.
    Payload(Peer, &'payload [u8]),
    /// A connection has ended.
    Disconnected(Peer, End),
    /// A client is there, without anything to say.
    Alive(Peer),
}

/// What the game's side tells the socket's side. Never blocks.
pub trait Outbox {
    /// Sends a datagram of the game. One for a connection that has ended is dropped.
    fn send(&mut self, peer: Peer, payload: &[u8]);

    /// Ends a connection; the client is told, and no event comes back.
    fn disconnect(&mut self, peer: Peer);
}

/// The socket's side, as the game's side sees it.
pub trait Link: Outbox {
    /// Hands over what has come since the last call. `is_tick` says that a tick follows, when what
    /// is due by time is done too.
    fn receive(&mut self, now: Now, is_tick: bool, game: &mut dyn FnMut(Inbound<'_>));

    /// What the socket's side did, for metrics: connections, datagrams, refusals.
    fn statistics(&self) -> Statistics;

    /// Takes no new connection and ends every one that there is, and tells the clients often enough
    /// that most will hear of it.
    fn say_goodbye(&mut self);
}

/// What the socket's side did since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Connections now.
    pub connected: usize,
    /// What went over the socket.
    pub traffic: Traffic,
    /// What the packet layer did and refused.
    pub counters: Counters,
}
