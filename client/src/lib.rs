//! What a player runs: from a connect token to a picture of the match.
//!
//! A [`Client`] owns no socket and no clock. The caller hands it datagrams and the time, gives it
//! an input for each tick, and sends what it wants to have sent. It keeps the connection and the
//! reliable channel, decodes snapshots, predicts its own player, and knows the way back after a
//! lost connection.
//!
//! ```text
//! datagrams ─▶ netcode ─▶ snapshots ─▶ decoder ─▶ others, a little in the past
//!                 │           └─▶ own state ─▶ prediction ─▶ own player, right now
//!                 └─▶ reliable channel ─▶ messages
//! ```
//!
//! [`session::Session`] wraps one that comes back by itself, and [`udp::Sockets`] carries the
//! datagrams. Start reading at [`Client`].

mod joined;
pub mod session;
mod statistics;
pub mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use netcode::client::{Output, Reason};
use netcode::packet::REQUEST_BYTES;
use netcode::{ConnectToken, MAX_PACKET_BYTES};
use simulation::channels::{Channels, Side};
use simulation::entity::PlayerSlot;
use simulation::input::Input;
use simulation::message::{self, Messages, ToClient, ToServer, Token};
use simulation::payload::{self, Kind, Probe};
use simulation::snapshot::event::WireEvent;
use simulation::snapshot::{self, DecodeError, Decoder};
use simulation::tick::Tick;

pub use joined::Joined;
pub use session::Session;
pub use statistics::Statistics;

/// Time between two looks at the reliable channel.
const CHANNEL_INTERVAL: Duration = Duration::from_millis(66);
/// Time between two measurements of the round trip.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The same before the first answer, which inputs wait for.
const FIRST_PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// Most events that wait for the caller; the oldest give way.
const MAX_EVENTS: usize = 1024;

/// Why a client could not be made, or cannot come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no connect token.
    #[error("the connect token cannot be read")]
    Token(#[from] netcode::token::Error),
    /// The token cannot be used.
    #[error("the connect token cannot be used")]
    Connect(#[from] netcode::client::Error),
    /// The server has given no reconnection token yet.
    #[error("there is no way back: the server gave no reconnection token")]
    NoWayBack,
}

/// What a client has to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The server took the token.
    Connected,
    /// A reliable message came. Welcomes and reconnection tokens are taken in as well.
    Message(ToClient),
    /// Something happened in the match.
    Happened(Tick, WireEvent),
    /// The connection is over. [`Client::reconnect`] may bring it back.
    Disconnected(Reason),
}

/// A player's end of a match.
#[derive(Debug)]
pub struct Client {
    name: String,
    connection: netcode::Client,
    channels: Channels,
    messages: Messages,
    decoder: Decoder,
    joined: Option<Joined>,
    way_back: Option<Token>,
    round_trip: Option<Duration>,
    events: Vec<Event>,
    statistics: Statistics,
    now: Duration,
    channels_due: Duration,
    probe_due: Duration,
    /// To be sent with the next packets.
    answer: Option<Probe>,
    /// Kept to be filled again.
    happened: Vec<(Tick, WireEvent)>,
    is_connected: bool,
    /// Set when the reliable channel broke: the connection ends.
    is_broken: bool,
}

impl Client {
    /// Starts to connect with a connect token in its standard form. `now` is the time since any
    /// fixed moment, by a clock that never steps.
    pub fn new(token: &[u8], name: String, now: Duration) -> Result<Self, Error> {
        let token = ConnectToken::read_standard(token)?;
        Ok(Self {
            name,
            connection: netcode::Client::new(token, now)?,
            channels: Channels::new(Side::Client, now),
            messages: Messages::default(),
            decoder: Decoder::default(),
            joined: None,
            way_back: None,
            round_trip: None,
            events: Vec::new(),
            statistics: Statistics::default(),
            now,
            channels_due: now,
            probe_due: now,
            answer: None,
            happened: Vec::new(),
            is_connected: false,
            is_broken: false,
        })
    }

    /// Starts to come back with the newest reconnection token, over a new socket: the old one may be
    /// what was lost. Without a new token it goes on with an attempt that timed out, over the same
    /// socket; see [`Self::has_way_back`].
    pub fn reconnect(&mut self, now: Duration) -> Result<(), Error> {
        if let Some(token) = self.way_back.take() {
            let token = ConnectToken::read_standard(&token.0)?;
            self.connection = netcode::Client::new(token, now)?;
            self.statistics.reconnects += 1;
        } else if !self.connection.retry(now) {
            return Err(Error::NoWayBack);
        }
        self.channels = Channels::new(Side::Client, now);
        self.statistics.add_hashes(self.decoder.hashes());
        self.decoder = Decoder::default();
        // What was known of the match before is told again.
        self.forget_match();
        self.is_connected = false;
        self.is_broken = false;
        self.now = now;
        (self.channels_due, self.probe_due) = (now, now);
        Ok(())
    }

    /// Whether [`Self::reconnect`] has a token that was not presented yet.
    pub const fn has_way_back(&self) -> bool {
        self.way_back.is_some()
    }

    /// Takes one datagram, opening it where it lies.
    pub fn receive(&mut self, now: Duration, from: SocketAddr, packet: &mut [u8]) {
        self.now = now;
        self.statistics.received(packet.len());
        match self.connection.receive(now, from, packet) {
            netcode::client::Event::Connected { .. } => {
                self.is_connected = true;
                self.tell(Event::Connected);
                let hello = ToServer::hello(self.name.clone());
                self.send(&hello);
            }
            netcode::client::Event::Payload { payload, .. } => {
                let payload: &[u8] = payload;
                self.take_payload(payload);
            }
            netcode::client::Event::Disconnected(reason) => self.end(reason),
            netcode::client::Event::Refused(_) => self.statistics.refused += 1,
            netcode::client::Event::Progress | netcode::client::Event::Alive => {}
        }
    }

    fn take_payload(&mut self, payload: &[u8]) {
        match payload::split(payload) {
            Some((Kind::Fast, rest)) => self.take_snapshot(rest),
            Some((Kind::Channels, rest)) => {
                self.is_broken |= self.channels.receive(self.now, rest).is_err();
                self.take_messages();
            }
            Some((Kind::Probe, rest)) => self.take_probe(rest),
            None => self.statistics.damaged += 1,
        }
    }

    fn take_snapshot(&mut self, rest: &[u8]) {
        self.happened.clear();
        match self.decoder.decode(rest, &mut self.happened) {
            Ok(header) => {
                for (tick, event) in &self.happened {
                    tell(&mut self.events, Event::Happened(*tick, *event));
                }
                if let Some(joined) = &mut self.joined {
                    self.statistics.overtaken += u64::from(header.tick < joined.newest().tick);
                    joined.observe(header, snapshot::is_keyframe(rest), self.round_trip);
                }
            }
            Err(DecodeError::Double | DecodeError::Old) => self.statistics.overtaken += 1,
            Err(DecodeError::MissingBaseline) => self.statistics.missing_baselines += 1,
            Err(DecodeError::Damaged(_)) => self.statistics.damaged += 1,
        }
    }

    /// Lets time pass: `intent` is asked for the input of each tick that is due, and `transmit`
    /// gets the datagrams to send. To be called often: at least once per tick.
    pub fn advance(
        &mut self,
        now: Duration,
        mut intent: impl FnMut(Tick, &Joined, &Decoder) -> Input,
        mut transmit: impl FnMut(SocketAddr, &[u8]),
    ) {
        self.now = now;
        let server = self.connection.server();
        let mut packet = [0; MAX_PACKET_BYTES];
        if self.is_connected {
            if let Some(joined) = &mut self.joined {
                let inputs = joined.advance(now, &self.decoder, &mut intent);
                if let Some(payload) = inputs
                    && let Ok(length) = self.connection.seal(payload.as_slice(), &mut packet)
                {
                    self.statistics.sent(length);
                    transmit(server, &packet[..length]);
                }
            }
            let question = (now >= self.probe_due).then(|| Probe {
                answer: false,
                stamp: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            });
            if question.is_some() {
                self.probe_due = now
                    + match self.round_trip {
                        None => FIRST_PROBE_INTERVAL,
                        Some(_) => PROBE_INTERVAL,
                    };
            }
            for probe in self.answer.take().into_iter().chain(question) {
                if let Ok(length) = self.connection.seal(&probe.encode(), &mut packet) {
                    self.statistics.sent(length);
                    transmit(server, &packet[..length]);
                }
            }
            if now >= self.channels_due {
                self.channels_due = now + CHANNEL_INTERVAL;
                let connection = &mut self.connection;
                let statistics = &mut self.statistics;
                let flushed = self.channels.flush(now, |payload| {
                    if let Ok(length) = connection.seal(payload, &mut packet) {
                        statistics.sent(length);
                        transmit(server, &packet[..length]);
                    }
                });
                self.is_broken |= flushed.is_err();
            }
        }
        if self.is_broken {
            self.connection.disconnect();
        }
        let mut buffer = [0; REQUEST_BYTES];
        while let Some(output) = self.connection.poll(now, &mut buffer) {
            match output {
                Output::Transmit { to, packet } => {
                    self.statistics.sent(packet.len());
                    transmit(to, packet);
                }
                Output::Disconnected(reason) => {
                    self.end(reason);
                    break;
                }
            }
        }
    }

    /// Queues a message to the server.
    pub fn send(&mut self, message: &ToServer) {
        match message::encode_to_server(message) {
            Ok(encoded) => self.is_broken |= self.channels.send(encoded).is_err(),
            Err(_) => self.statistics.damaged += 1,
        }
    }

    /// Leaves for good; the next calls of [`Self::advance`] tell the server.
    pub fn leave(&mut self) {
        self.connection.disconnect();
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The match, once the server has told of it.
    pub const fn joined(&self) -> Option<&Joined> {
        self.joined.as_ref()
    }

    /// What is known of others.
    pub const fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// This player's slot; none before the welcome, and for spectators.
    pub fn slot(&self) -> Option<PlayerSlot> {
        self.joined.as_ref()?.welcome().slot
    }

    /// How far the connection is.
    pub fn state(&self) -> netcode::client::State {
        self.connection.state()
    }

    /// Where the server is.
    pub fn server(&self) -> SocketAddr {
        self.connection.server()
    }

    /// How long nothing came from the server, as of the last call.
    pub fn silence(&self) -> Duration {
        self.connection.silence()
    }

    /// The last measured round trip.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What was counted, through all connections.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self.statistics;
        statistics.add_hashes(self.decoder.hashes());
        if let Some(joined) = &self.joined {
            statistics.add_predictions(joined.predictions());
        }
        statistics
    }

    fn take_messages(&mut self) {
        while let Some(bytes) = self.channels.take_message() {
            match self.messages.decode_to_client(&bytes) {
                Ok(message) => self.take_message(message),
                Err(_) => self.statistics.damaged += 1,
            }
        }
    }

    fn take_message(&mut self, message: ToClient) {
        match &message {
            ToClient::Welcome(welcome) => {
                self.way_back = Some(welcome.reconnection.clone());
                self.forget_match();
                self.joined = Some(Joined::new(welcome.clone(), self.now));
            }
            ToClient::Reconnection(token) => self.way_back = Some(token.clone()),
            _ => {}
        }
        self.tell(Event::Message(message));
    }

    fn take_probe(&mut self, rest: &[u8]) {
        let Some(probe) = Probe::decode(rest) else {
            self.statistics.damaged += 1;
            return;
        };
        if probe.answer {
            let sent = Duration::from_micros(probe.stamp);
            self.round_trip = Some(self.now.saturating_sub(sent));
        } else {
            self.answer = Some(Probe {
                answer: true,
                ..probe
            });
        }
    }

    fn end(&mut self, reason: Reason) {
        self.is_connected = false;
        self.forget_match();
        self.tell(Event::Disconnected(reason));
    }

    /// Forgets all of the match but what was counted.
    fn forget_match(&mut self) {
        if let Some(before) = self.joined.take() {
            self.statistics.add_predictions(before.predictions());
        }
    }

    fn tell(&mut self, event: Event) {
        tell(&mut self.events, event);
    }
}

fn tell(events: &mut Vec<Event>, event: Event) {
    if events.len() == MAX_EVENTS {
        events.remove(0);
    }
    events.push(event);
}
