//! The client's side: from a token to a connection, and the packets of that connection.
//!
//! As on the server, the caller owns socket, buffers and clock.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::aead::PacketKey;
use crate::bytes::Reader;
use crate::counters::{Refusal, Refused};
use crate::packet::{CHALLENGE_BYTES, Header, Kind, MAX_PAYLOAD_BYTES, Request, Sealer};
use crate::replay::ReplayWindow;
use crate::server::{GOODBYES, KEEP_ALIVE_INTERVAL, SealError};
use crate::token::ConnectToken;

/// Why no client could be made of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The token lists no server.
    #[error("the token lists no server")]
    NoServer,
    /// The crypto library refused the token's keys.
    #[error("the keys of the token cannot be used")]
    Keys,
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Presents its token.
    Requesting,
    /// Answers the server's challenge.
    Responding,
    /// May send and receive payloads.
    Connected,
    /// The end; another connection needs another token.
    Disconnected(Reason),
}

/// Why a client is not connected any more, or could not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By [`Client::disconnect`].
    Left,
    /// The server said goodbye.
    ByServer,
    /// The last server had no place.
    Denied,
    /// The token expired before any server took it.
    TokenExpired,
    /// The last server did not challenge.
    RequestTimedOut,
    /// The last server did not take the response.
    ResponseTimedOut,
    /// Nothing came from the server for the time that the token sets.
    TimedOut,
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'packet> {
    /// Nothing that changes anything.
    Refused(Refusal),
    /// The handshake went on; [`Client::poll`] has the next packet.
    Progress,
    /// The handshake is complete.
    Connected {
        /// The client's place on the server.
        slot: u32,
        /// Places on the server.
        max_clients: u32,
    },
    /// The server is still there.
    Alive,
    /// The server sent a datagram of the game.
    Payload {
        /// The packet's number; later packets have higher ones.
        sequence: u64,
        /// The datagram, opened where it lay.
        payload: &'packet mut [u8],
    },
    /// The connection, or the attempt, is over.
    Disconnected(Reason),
}

/// What a client has to say without being asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'buffer> {
    /// A packet to send.
    Transmit {
        /// Where it goes.
        to: SocketAddr,
        /// Its bytes.
        packet: &'buffer [u8],
    },
    /// The connection, or the attempt, is over. Said once.
    Disconnected(Reason),
}

/// The client's side of the protocol, for one token.
pub struct Client {
    token: ConnectToken,
    /// The place in the token's list of the server that is being tried.
    server: usize,
    address: SocketAddr,
    sealer: Sealer,
    seal: PacketKey,
    open: PacketKey,
    state: State,
    /// Whether the end was told to the caller.
    is_end_told: bool,
    sequence: u64,
    replay: ReplayWindow,
    challenge: [u8; 8 + CHALLENGE_BYTES],
    now: Duration,
    started: Duration,
    last_received: Duration,
    last_sent: Option<Duration>,
    goodbyes_left: u8,
    refused: Refused,
}

impl Client {
    /// Starts to connect with `token`, which is used up by it.
    ///
    /// `now` is the time since any fixed moment, by a clock that never steps.
    pub fn new(token: ConnectToken, now: Duration) -> Result<Self, Error> {
        Ok(Self {
            server: 0,
            address: *token.servers.first().ok_or(Error::NoServer)?,
            sealer: Sealer::new(token.protocol_id),
            seal: PacketKey::new(&token.client_to_server).map_err(|_| Error::Keys)?,
            open: PacketKey::new(&token.server_to_client).map_err(|_| Error::Keys)?,
            state: State::Requesting,
            is_end_told: false,
            sequence: 0,
            replay: ReplayWindow::default(),
            challenge: [0; 8 + CHALLENGE_BYTES],
            now,
            started: now,
            last_received: now,
            last_sent: None,
            goodbyes_left: 0,
            refused: Refused::default(),
            token,
        })
    }

    /// Takes one datagram, opening it where it lies.
    pub fn receive<'packet>(
        &mut self,
        now: Duration,
        from: SocketAddr,
        packet: &'packet mut [u8],
    ) -> Event<'packet> {
        self.now = self.now.max(now);
        self.open(from, packet).unwrap_or_else(|refusal| {
            self.refused.add(refusal);
            Event::Refused(refusal)
        })
    }

    fn open<'packet>(
        &mut self,
        from: SocketAddr,
        packet: &'packet mut [u8],
    ) -> Result<Event<'packet>, Refusal> {
        let header = Header::read(packet)?;
        if from != self.address {
            return Err(Refusal::UnknownAddress);
        }
        let is_expected = match header.kind {
            Kind::Denied => matches!(self.state, State::Requesting | State::Responding),
            Kind::Challenge => self.state == State::Requesting,
            Kind::KeepAlive => matches!(self.state, State::Responding | State::Connected),
            Kind::Payload | Kind::Disconnect => self.state == State::Connected,
            Kind::Request | Kind::Response => false,
        };
        if !is_expected {
            return Err(Refusal::State);
        }
        // Challenges and denials are numbered apart from the packets of a connection.
        let is_numbered = !matches!(header.kind, Kind::Denied | Kind::Challenge);
        if is_numbered && !self.replay.is_new(header.sequence) {
            return Err(Refusal::Replayed);
        }
        let body = self
            .sealer
            .open(&self.open, &header, packet)
            .map_err(|_| Refusal::Forged)?;
        if is_numbered {
            self.replay.mark(header.sequence);
        }
        self.last_received = self.now;
        match header.kind {
            Kind::Payload => Ok(Event::Payload {
                sequence: header.sequence,
                payload: body,
            }),
            Kind::KeepAlive if self.state == State::Connected => Ok(Event::Alive),
            Kind::KeepAlive => {
                let mut reader = Reader::new(body);
                let slot = reader.u32().ok_or(Refusal::Length)?;
                let max_clients = reader.u32().ok_or(Refusal::Length)?;
                self.state = State::Connected;
                // Whatever comes next confirms that we know.
                self.last_sent = None;
                Ok(Event::Connected { slot, max_clients })
            }
            Kind::Challenge => {
                self.challenge.copy_from_slice(body);
                self.state = State::Responding;
                self.last_sent = None;
                Ok(Event::Progress)
            }
            Kind::Denied => Ok(self.fail(Reason::Denied).map_or(Event::Progress, |reason| {
                self.is_end_told = true;
                Event::Disconnected(reason)
            })),
            Kind::Request | Kind::Response | Kind::Disconnect => {
                self.state = State::Disconnected(Reason::ByServer);
                self.is_end_told = true;
                Ok(Event::Disconnected(Reason::ByServer))
            }
        }
    }

    /// Seals `payload` for the server into the front of `packet`; answers the packet's length.
    pub fn seal(&mut self, payload: &[u8], packet: &mut [u8]) -> Result<usize, SealError> {
        if !(1..=MAX_PAYLOAD_BYTES).contains(&payload.len()) {
            return Err(SealError::Length(payload.len()));
        }
        if self.state != State::Connected {
            return Err(SealError::NotConnected);
        }
        self.write(Kind::Payload, payload, packet)
            .ok_or(SealError::Buffer)
    }

    /// What is due: the packet of the handshake, a keep-alive, goodbyes, or the end.
    ///
    /// Call it once per tick until it answers `None`. `buffer` takes a request:
    /// [`REQUEST_BYTES`](crate::packet::REQUEST_BYTES) or more.
    pub fn poll<'buffer>(
        &mut self,
        now: Duration,
        buffer: &'buffer mut [u8],
    ) -> Option<Output<'buffer>> {
        self.now = self.now.max(now);
        self.check_times();
        if let State::Disconnected(reason) = self.state {
            if self.goodbyes_left > 0 {
                self.goodbyes_left -= 1;
                let length = self.write(Kind::Disconnect, &[], buffer)?;
                return self.transmit(buffer, length);
            }
            let is_news = !std::mem::replace(&mut self.is_end_told, true);
            return is_news.then_some(Output::Disconnected(reason));
        }
        let is_due = self
            .last_sent
            .is_none_or(|sent| self.now >= sent + KEEP_ALIVE_INTERVAL);
        if !is_due {
            return None;
        }
        let length = match self.state {
            State::Requesting => {
                self.last_sent = Some(self.now);
                Request::write(&self.token, buffer)?
            }
            State::Responding => {
                let challenge = self.challenge;
                self.write(Kind::Response, &challenge, buffer)?
            }
            State::Connected | State::Disconnected(_) => {
                self.write(Kind::KeepAlive, &[0; 8], buffer)?
            }
        };
        self.transmit(buffer, length)
    }

    fn transmit<'buffer>(&self, buffer: &'buffer [u8], length: usize) -> Option<Output<'buffer>> {
        Some(Output::Transmit {
            to: self.address,
            packet: buffer.get(..length)?,
        })
    }

    /// Seals with the next number, which is used up even if it fails after that.
    fn write(&mut self, kind: Kind, body: &[u8], packet: &mut [u8]) -> Option<usize> {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1)?;
        self.last_sent = Some(self.now);
        self.sealer.seal(&self.seal, kind, sequence, body, packet)
    }

    fn check_times(&mut self) {
        let is_silent = u64::try_from(self.token.timeout_seconds)
            .ok()
            .filter(|seconds| *seconds > 0)
            .is_some_and(|seconds| self.silence() > Duration::from_secs(seconds));
        // By intervals alone: the client's wall clock may be wrong.
        let lifetime = Duration::from_secs(self.token.expires - self.token.created);
        // A token may claim to live for longer than any clock runs.
        let is_expired = self.now >= self.started.saturating_add(lifetime);
        match self.state {
            State::Connected if is_silent => self.state = State::Disconnected(Reason::TimedOut),
            State::Requesting | State::Responding if is_expired => {
                self.state = State::Disconnected(Reason::TokenExpired);
            }
            State::Requesting if is_silent => {
                self.fail(Reason::RequestTimedOut);
            }
            State::Responding if is_silent => {
                self.fail(Reason::ResponseTimedOut);
            }
            State::Requesting | State::Responding | State::Connected | State::Disconnected(_) => {}
        }
    }

    /// Goes on with the token's next server; answers the reason if there is none.
    fn fail(&mut self, reason: Reason) -> Option<Reason> {
        let Some(next) = self.token.servers.get(self.server + 1) else {
            self.state = State::Disconnected(reason);
            return Some(reason);
        };
        self.server += 1;
        self.address = *next;
        self.state = State::Requesting;
        self.last_received = self.now;
        self.last_sent = None;
        self.replay = ReplayWindow::default();
        None
    }

    /// Presents the token again after an attempt that timed out: the network may have been gone
    /// for a while. Answers whether it can; a connection that was made once needs another token.
    ///
    /// Numbers go on where they were, so that no nonce is used twice. The server remembers for some
    /// seconds which address presented the token, so the socket should be the same.
    pub fn retry(&mut self, now: Duration) -> bool {
        self.now = self.now.max(now);
        let timed_out = [Reason::RequestTimedOut, Reason::ResponseTimedOut];
        let State::Disconnected(reason) = self.state else {
            return false;
        };
        let Some(first) = self.token.servers.first() else {
            return false;
        };
        if !timed_out.contains(&reason) {
            return false;
        }
        (self.server, self.address) = (0, *first);
        self.state = State::Requesting;
        self.is_end_told = false;
        self.last_received = self.now;
        self.last_sent = None;
        self.replay = ReplayWindow::default();
        true
    }

    /// Leaves. The next calls of [`Client::poll`] tell the server, several times.
    pub fn disconnect(&mut self) {
        if self.state == State::Connected {
            self.goodbyes_left = GOODBYES;
        }
        if !matches!(self.state, State::Disconnected(_)) {
            self.state = State::Disconnected(Reason::Left);
        }
    }

    /// How far the client has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// The server that is being tried, or that the client is connected to.
    pub fn server(&self) -> SocketAddr {
        self.address
    }

    /// How long nothing came from the server.
    pub fn silence(&self) -> Duration {
        self.now.saturating_sub(self.last_received)
    }

    /// What the client refused since it began.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("address", &self.address)
            .field("state", &self.state)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}
