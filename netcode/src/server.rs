//! The server's side: who may connect, who is connected, and what goes to and from them.
//!
//! The caller owns the socket, the buffers and the clocks. It hands every datagram to
//! [`Server::receive`], which opens it in place, and calls [`Server::poll`] once per tick until it
//! has nothing more to say. Neither blocks, logs or panics, whatever arrives; packets of connected
//! clients neither allocate.

mod clients;
mod handshake;
mod ledger;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

pub use self::clients::Connection;
use self::clients::{Client, Clients};
use self::handshake::Pending;
#[cfg(test)]
pub(crate) use self::handshake::seal_challenge;
use self::ledger::Ledger;
use crate::aead::PacketKey;
use crate::counters::{Counters, Refusal};
use crate::hash::Seed;
use crate::keys::Key;
use crate::packet::{Header, Kind, MAX_PAYLOAD_BYTES, Sealer};
use crate::random::{self, RandomSource};
use crate::rate::{Bucket, Prefixes, Rate};
use crate::time::Now;
use crate::user_data::USER_DATA_BYTES;

/// How often a client hears from us at least.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(100);

/// How often a goodbye is repeated; any one of them ends the connection.
pub(crate) const GOODBYES: u8 = 10;

/// Connections that a new one may take the place of: its client's, and its address's.
const MAX_REPLACED: usize = 2;

/// How long the server's key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Made for this process: no token under it is older, and none is presented elsewhere.
    Process,
    /// Older than this process, or shared with others. Tokens are refused that may have been used
    /// before the process began, which are all that expire within the longest lifetime from then.
    /// Issuers must give every token exactly that lifetime, or it is refused longer than needed,
    /// and may list the addresses of one server alone.
    Shared,
}

/// How a server works. Start from [`ServerConfig::new`].
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Names the game, its build and its messages.
    pub protocol_id: u64,
    /// Opens the tokens.
    pub key: Key,
    /// Opens those that the first one does not: while issuers change from one to the other. Forged
    /// tokens are tried with both.
    pub other_key: Option<Key>,
    /// How long the key lives.
    pub key_scope: KeyScope,
    /// Where clients find this server. Every address in a token must be one of these. Empty, which
    /// a key of one process allows: whatever that key sealed is for this server.
    pub addresses: Vec<SocketAddr>,
    /// Clients at the same time.
    pub max_clients: u32,
    /// Handshakes at the same time.
    pub max_pending: usize,
    /// Used tokens to remember; they are kept until they expire.
    pub max_spent_tokens: usize,
    /// Tokens that live longer are refused: they would have to be remembered longer.
    pub longest_lifetime: Duration,
    /// How long a client may take to answer its challenge.
    pub handshake_timeout: Duration,
    /// No client may be silent for longer, whatever its token says.
    pub longest_timeout: Duration,
    /// Requests from one network (IPv4 /24, IPv6 /48).
    pub prefix_rate: Rate,
    /// Requests whose tokens are opened, from everywhere.
    pub total_rate: Rate,
}

impl ServerConfig {
    /// A server with a key of its own and bounds for a match of some dozens of players.
    pub fn new(protocol_id: u64, key: Key) -> Self {
        Self {
            protocol_id,
            key,
            other_key: None,
            key_scope: KeyScope::Process,
            addresses: Vec::new(),
            max_clients: 64,
            max_pending: 256,
            max_spent_tokens: 16_384,
            longest_lifetime: Duration::from_mins(5),
            handshake_timeout: Duration::from_secs(5),
            longest_timeout: Duration::from_secs(30),
            prefix_rate: Rate {
                per_second: 250,
                burst: 500,
            },
            total_rate: Rate {
                per_second: 10_000,
                burst: 2_000,
            },
        }
    }
}

/// Why a server could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A key that others share says nothing about who a token is for.
    #[error("a shared key needs the server's addresses")]
    NoAddresses,
    /// No randomness for the challenge key.
    #[error(transparent)]
    Random(#[from] random::Error),
    /// The crypto library refused the key.
    #[error("the challenge key cannot be used")]
    Key,
}

/// Why a payload was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The connection has ended, or is not made yet.
    #[error("there is no such connection")]
    NotConnected,
    /// Payloads have 1 to [`MAX_PAYLOAD_BYTES`] bytes.
    #[error("a payload has 1 to {MAX_PAYLOAD_BYTES} bytes, not {0}")]
    Length(usize),
    /// The buffer is shorter than the packet, or every number was used.
    #[error("the packet does not fit its buffer")]
    Buffer,
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'packet> {
    /// Nothing that changes anything.
    Refused(Refusal),
    /// These bytes go back to where the datagram came from.
    Reply(&'packet [u8]),
    /// A client completed its handshake.
    Connected {
        /// The new connection.
        connection: Connection,
        /// From the client's token.
        client_id: u64,
        /// Goes back to where the datagram came from.
        reply: &'packet [u8],
    },
    /// A client is still there.
    Alive(Connection),
    /// A client sent a datagram of the game.
    Payload {
        /// Who sent it.
        connection: Connection,
        /// The packet's number; later packets have higher ones.
        sequence: u64,
        /// The datagram, opened where it lay.
        payload: &'packet mut [u8],
    },
    /// A client said goodbye.
    Disconnected {
        /// The connection that ended.
        connection: Connection,
        /// From the client's token.
        client_id: u64,
    },
}

/// What the server has to say without being asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'buffer> {
    /// A packet to send.
    Transmit {
        /// Where it goes.
        to: SocketAddr,
        /// Its bytes.
        packet: &'buffer [u8],
    },
    /// A connection ended.
    Disconnected {
        /// The connection that ended.
        connection: Connection,
        /// From the client's token.
        client_id: u64,
        /// Why.
        reason: LossReason,
    },
}

/// Why a connection ended that neither side closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// Nothing came from the client for the time that its token sets.
    TimedOut,
    /// The same client, or another at its address, connected with a newer token.
    Replaced,
}

/// A connection that ended and that the caller does not know of yet.
struct Loss {
    connection: Connection,
    client_id: u64,
    reason: LossReason,
}

/// A client that is told a few times more that it is disconnected.
struct Goodbye {
    address: SocketAddr,
    key: PacketKey,
    sequence: u64,
    left: u8,
}

/// Where a round of [`Server::poll`] goes on.
#[derive(Default, PartialEq, Eq)]
struct Round {
    goodbye: usize,
    slot: usize,
}

impl Round {
    fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

/// The server's side of the protocol.
pub struct Server {
    config: ServerConfig,
    sealer: Sealer,
    now: Now,
    is_accepting: bool,
    clients: Clients,
    pending: HashMap<SocketAddr, Box<Pending>, Seed>,
    ledger: Ledger,
    prefixes: Prefixes,
    total: Bucket,
    challenge_key: PacketKey,
    challenge_sequence: u64,
    /// Numbers what is sealed for clients without a connection, see [`Server::new`].
    global_sequence: u64,
    goodbyes: VecDeque<Goodbye>,
    losses: VecDeque<Loss>,
    round: Round,
    counters: Counters,
}

impl Server {
    /// A server without clients.
    ///
    /// `random` gives the challenge key and the seeds of the tables. It also places the start of
    /// the numbers of challenges and denials, above 2^63: packets of connections count from 0, so
    /// that the two never meet, and two processes that share a key do not start alike.
    pub fn new(
        config: ServerConfig,
        now: Now,
        random: &mut impl RandomSource,
    ) -> Result<Self, Error> {
        let floor = match config.key_scope {
            KeyScope::Process => 0,
            KeyScope::Shared if config.addresses.is_empty() => return Err(Error::NoAddresses),
            KeyScope::Shared => now
                .unix_seconds
                .saturating_add(config.longest_lifetime.as_secs()),
        };
        let seed = Seed::new(random)?;
        let challenge_key = Key::of_session(random::array(random)?);
        let offset = u64::from_le_bytes(random::array(random)?);
        let room = usize::try_from(config.max_clients).unwrap_or(usize::MAX);
        Ok(Self {
            sealer: Sealer::new(config.protocol_id),
            now,
            is_accepting: true,
            clients: Clients::new(config.max_clients, seed),
            pending: HashMap::with_capacity_and_hasher(config.max_pending, seed),
            ledger: Ledger::new(config.max_spent_tokens, config.max_pending, floor, seed),
            prefixes: Prefixes::new(seed),
            total: Bucket::default(),
            challenge_key: PacketKey::new(&challenge_key).map_err(|_| Error::Key)?,
            challenge_sequence: 0,
            // Half of the upper half remains to count through.
            global_sequence: 1 << 63 | offset >> 2,
            goodbyes: VecDeque::with_capacity(room),
            losses: VecDeque::with_capacity(room.saturating_add(MAX_REPLACED)),
            round: Round::default(),
            counters: Counters::default(),
            config,
        })
    }

    /// Takes one datagram, opening it where it lies.
    ///
    /// Answers are written over it, and go back to `from`.
    pub fn receive<'packet>(
        &mut self,
        now: Now,
        from: SocketAddr,
        packet: &'packet mut [u8],
    ) -> Event<'packet> {
        self.now.advance(now);
        self.dispatch(from, packet).unwrap_or_else(|refusal| {
            self.counters.refused.add(refusal);
            Event::Refused(refusal)
        })
    }

    fn dispatch<'packet>(
        &mut self,
        from: SocketAddr,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        if packet.first() == Some(&(Kind::Request as u8)) {
            return self.receive_request(from, packet);
        }
        let header = Header::read(packet)?;
        match header.kind {
            Kind::Response => self.receive_response(from, &header, packet),
            Kind::KeepAlive | Kind::Payload | Kind::Disconnect => {
                self.receive_sealed(from, &header, packet)
            }
            Kind::Request | Kind::Denied | Kind::Challenge => Err(Refusal::Prefix),
        }
    }

    /// A packet of a connection.
    fn receive_sealed<'packet>(
        &mut self,
        from: SocketAddr,
        header: &Header,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let connection = self
            .clients
            .by_address(&from)
            .ok_or(Refusal::UnknownAddress)?;
        let client = self
            .clients
            .get_mut(connection)
            .ok_or(Refusal::UnknownAddress)?;
        if !client.replay.is_new(header.sequence) {
            return Err(Refusal::Replayed);
        }
        let body = self
            .sealer
            .open(&client.keys.open, header, packet)
            .map_err(|_| Refusal::Forged)?;
        client.replay.mark(header.sequence);
        client.last_received = self.now.monotonic;
        client.is_confirmed = true;
        match header.kind {
            Kind::Payload => {
                self.counters.opened += 1;
                Ok(Event::Payload {
                    connection,
                    sequence: header.sequence,
                    payload: body,
                })
            }
            Kind::Disconnect => {
                let client_id = client.id;
                self.clients.remove(connection);
                self.counters.left += 1;
                Ok(Event::Disconnected {
                    connection,
                    client_id,
                })
            }
            _ => Ok(Event::Alive(connection)),
        }
    }

    /// Seals `payload` for a client into the front of `packet`; answers the packet's length.
    pub fn seal(
        &mut self,
        connection: Connection,
        payload: &[u8],
        packet: &mut [u8],
    ) -> Result<usize, SealError> {
        if !(1..=MAX_PAYLOAD_BYTES).contains(&payload.len()) {
            return Err(SealError::Length(payload.len()));
        }
        let client = self
            .clients
            .get_mut(connection)
            .ok_or(SealError::NotConnected)?;
        let length = seal_for(&self.sealer, client, Kind::Payload, payload, packet)
            .ok_or(SealError::Buffer)?;
        // A client that does not know yet that it is connected needs keep-alives beside payloads.
        if client.is_confirmed {
            client.last_sent = self.now.monotonic;
        }
        self.counters.sealed += 1;
        Ok(length)
    }

    /// What is due: goodbyes, ended connections, time-outs and keep-alives.
    ///
    /// Call it once per tick until it answers `None`, which ends the round. Goodbyes go out once
    /// per round, so that one lost burst does not lose them all. `buffer` takes 64 bytes or more.
    pub fn poll<'buffer>(
        &mut self,
        now: Now,
        buffer: &'buffer mut [u8],
    ) -> Option<Output<'buffer>> {
        self.now.advance(now);
        if self.round.is_new() {
            self.lapse();
            self.ledger.forget(self.now.unix_seconds);
        }
        if let Some((to, length)) = self.next_goodbye(buffer) {
            let packet = buffer.get(..length)?;
            return Some(Output::Transmit { to, packet });
        }
        if let Some(loss) = self.losses.pop_front() {
            return Some(loss.output());
        }
        while self.round.slot < self.clients.slots() {
            let slot = self.round.slot;
            self.round.slot += 1;
            let Some(connection) = self.clients.in_slot(slot) else {
                continue;
            };
            if let Some(loss) = self.time_out(connection) {
                return Some(loss.output());
            }
            if let Some((to, length)) = self.keep_alive(connection, buffer) {
                let packet = buffer.get(..length)?;
                return Some(Output::Transmit { to, packet });
            }
        }
        self.round = Round::default();
        None
    }

    fn next_goodbye(&mut self, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        // All start with the same count, so those that are through stand in front.
        while self.round.goodbye == 0 && self.goodbyes.front().is_some_and(|first| first.left == 0)
        {
            self.goodbyes.pop_front();
        }
        let goodbye = self.goodbyes.get_mut(self.round.goodbye)?;
        self.round.goodbye += 1;
        let length = self.sealer.seal(
            &goodbye.key,
            Kind::Disconnect,
            goodbye.sequence,
            &[],
            buffer,
        )?;
        goodbye.sequence += 1;
        goodbye.left = goodbye.left.saturating_sub(1);
        Some((goodbye.address, length))
    }

    fn time_out(&mut self, connection: Connection) -> Option<Loss> {
        let client = self.clients.get(connection)?;
        if client.last_received + client.timeout >= self.now.monotonic {
            return None;
        }
        let client = self.clients.remove(connection)?;
        self.counters.timed_out += 1;
        Some(Loss {
            connection,
            client_id: client.id,
            reason: LossReason::TimedOut,
        })
    }

    fn keep_alive(
        &mut self,
        connection: Connection,
        buffer: &mut [u8],
    ) -> Option<(SocketAddr, usize)> {
        let max_clients = self.config.max_clients;
        let client = self.clients.get_mut(connection)?;
        if self.now.monotonic < client.last_sent + KEEP_ALIVE_INTERVAL {
            return None;
        }
        let body = keep_alive_body(connection, max_clients);
        let length = seal_for(&self.sealer, client, Kind::KeepAlive, &body, buffer)?;
        client.last_sent = self.now.monotonic;
        self.counters.kept_alive += 1;
        Some((client.address, length))
    }

    /// Ends a connection. The client is told by the next rounds of [`Server::poll`]; the caller,
    /// who knows, gets no event. Answers whether there was such a connection.
    pub fn disconnect(&mut self, connection: Connection) -> bool {
        let Some(client) = self.clients.remove(connection) else {
            return false;
        };
        self.counters.kicked += 1;
        self.say_goodbye(*client);
        true
    }

    /// Ends every connection, as [`Server::disconnect`] does.
    pub fn disconnect_all(&mut self) {
        for slot in 0..self.clients.slots() {
            if let Some(connection) = self.clients.in_slot(slot) {
                self.disconnect(connection);
            }
        }
    }

    fn say_goodbye(&mut self, client: Client) {
        if self.goodbyes.len() >= self.clients.slots() {
            self.goodbyes.pop_front();
            self.counters.goodbyes_cut += 1;
        }
        self.goodbyes.push_back(Goodbye {
            address: client.address,
            key: client.keys.seal,
            sequence: client.sequence,
            left: GOODBYES,
        });
    }

    /// Whether new clients are taken; those that come are told when they are not.
    pub fn set_accepting(&mut self, is_accepting: bool) {
        self.is_accepting = is_accepting;
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.clients.len()
    }

    /// How many handshakes are going on.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The connection of a client id.
    pub fn find(&self, client_id: u64) -> Option<Connection> {
        self.clients.by_id(client_id)
    }

    /// The client id of a connection.
    pub fn client_id(&self, connection: Connection) -> Option<u64> {
        Some(self.clients.get(connection)?.id)
    }

    /// Where a client's packets come from and go to.
    pub fn address(&self, connection: Connection) -> Option<SocketAddr> {
        Some(self.clients.get(connection)?.address)
    }

    /// What the client's token carries for the game.
    pub fn user_data(&self, connection: Connection) -> Option<&[u8; USER_DATA_BYTES]> {
        Some(&self.clients.get(connection)?.user_data)
    }

    /// How long nothing came from a client.
    pub fn silence(&self, connection: Connection) -> Option<Duration> {
        let client = self.clients.get(connection)?;
        Some(self.now.monotonic.saturating_sub(client.last_received))
    }

    /// What the server did and refused since it began.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Brings the counters of numbers to their ends, which no test can wait for.
#[cfg(test)]
impl Server {
    pub(crate) fn exhaust_global_sequence(&mut self) {
        self.global_sequence = u64::MAX - 1;
    }

    pub(crate) fn exhaust_sequence(&mut self, connection: Connection) {
        if let Some(client) = self.clients.get_mut(connection) {
            client.sequence = u64::MAX - 1;
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("config", &self.config)
            .field("connected", &self.connected())
            .field("pending", &self.pending())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Loss {
    fn output<'buffer>(self) -> Output<'buffer> {
        Output::Disconnected {
            connection: self.connection,
            client_id: self.client_id,
            reason: self.reason,
        }
    }
}

/// Seals with the client's next number, which is used up even if it fails after that.
fn seal_for(
    sealer: &Sealer,
    client: &mut Client,
    kind: Kind,
    body: &[u8],
    packet: &mut [u8],
) -> Option<usize> {
    let sequence = client.sequence;
    client.sequence = sequence.checked_add(1)?;
    sealer.seal(&client.keys.seal, kind, sequence, body, packet)
}

fn keep_alive_body(connection: Connection, max_clients: u32) -> [u8; 8] {
    let mut body = [0; 8];
    body[..4].copy_from_slice(&connection.slot().to_le_bytes());
    body[4..].copy_from_slice(&max_clients.to_le_bytes());
    body
}
