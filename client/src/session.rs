//! A client that comes back by itself: the connections of one player in one match.
//!
//! A player whose server falls silent for a second presents the newest reconnection token over a
//! new socket, and keeps at it until the server's window for coming back is surely over. Whoever
//! owns the sockets opens another one whenever [`Session::socket`] changes.

use std::net::SocketAddr;
use std::time::Duration;

use netcode::client::{Reason, State};
use simulation::input::Input;
use simulation::message::{ToClient, ToServer};
use simulation::snapshot::Decoder;
use simulation::tick::Tick;

use crate::{Client, Event, Joined};

/// Silence after which a connection counts as lost.
pub const SILENCE: Duration = Duration::from_secs(1);

/// How long a player tries to come back: the server's window of 30 s, and some time for the last
/// attempt to be refused by the server itself.
pub const GIVE_UP: Duration = Duration::from_secs(33);

/// How far a player is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On the way in.
    Joining,
    /// In the match.
    Playing,
    /// On the way back, since this moment.
    Away(Duration),
    /// It is over.
    Over(End),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The player left.
    Left,
    /// The match has a result, and the server said goodbye.
    MatchEnded,
    /// The server let nobody in with this token.
    Refused,
    /// There was no answer for too long.
    GaveUp,
    /// The server let the player back in no more.
    Expired,
}

impl std::fmt::Display for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Joining => formatter.write_str("joining"),
            Self::Playing => formatter.write_str("playing"),
            Self::Away(_) => formatter.write_str("on the way back"),
            Self::Over(end) => write!(formatter, "over: {end}"),
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Left => "left",
            Self::MatchEnded => "the match has ended",
            Self::Refused => "refused",
            Self::GaveUp => "no answer",
            Self::Expired => "expired",
        })
    }
}

/// A client that comes back by itself.
#[derive(Debug)]
pub struct Session {
    client: Client,
    way: Way,
    socket: u32,
    started: Duration,
    /// Ways back that led into the match.
    returns: u64,
    has_result: bool,
    events: Vec<Event>,
}

impl Session {
    /// Wraps a client that was just made.
    pub const fn new(client: Client, now: Duration) -> Self {
        Self {
            client,
            way: Way::Joining,
            socket: 0,
            started: now,
            returns: 0,
            has_result: false,
            events: Vec::new(),
        }
    }

    /// The client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// How far the player is.
    pub const fn way(&self) -> Way {
        self.way
    }

    /// Which socket is to be used; each has another number.
    pub const fn socket(&self) -> u32 {
        self.socket
    }

    /// How often the player came back into the match.
    pub const fn returns(&self) -> u64 {
        self.returns
    }

    /// Goes on over another socket, as when a router gives the player another port.
    pub const fn change_socket(&mut self) {
        self.socket = self.socket.wrapping_add(1);
    }

    /// Takes one datagram, opening it where it lies.
    pub fn receive(&mut self, now: Duration, from: SocketAddr, packet: &mut [u8]) {
        self.client.receive(now, from, packet);
    }

    /// Lets time pass: `intent` is asked for the input of each tick that is due, and `transmit`
    /// gets the datagrams to send. To be called often: at least once per tick.
    pub fn advance(
        &mut self,
        now: Duration,
        intent: impl FnMut(Tick, &Joined, &Decoder) -> Input,
        transmit: impl FnMut(SocketAddr, &[u8]),
    ) {
        self.follow_events(now);
        self.find_way(now);
        self.client.advance(now, intent, transmit);
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Queues a message to the server.
    pub fn send(&mut self, message: &ToServer) {
        self.client.send(message);
    }

    /// Leaves for good, which frees the player's place; the next calls of [`Self::advance`] tell the
    /// server. End with [`Self::hang_up`] a moment later.
    pub fn leave(&mut self) {
        if !matches!(self.way, Way::Over(_)) {
            self.way = Way::Over(End::Left);
            self.client.send(&ToServer::Leave);
        }
    }

    /// Ends the connection; the next calls of [`Self::advance`] tell the server.
    pub fn hang_up(&mut self) {
        if !matches!(self.way, Way::Over(_)) {
            self.way = Way::Over(End::Left);
        }
        self.client.leave();
    }

    fn follow_events(&mut self, now: Duration) {
        for event in self.client.take_events() {
            match &event {
                Event::Message(ToClient::Welcome(_)) => {
                    self.returns += u64::from(matches!(self.way, Way::Away(_)));
                    if !matches!(self.way, Way::Over(_)) {
                        self.way = Way::Playing;
                    }
                }
                Event::Message(ToClient::MatchEnded(_)) => self.has_result = true,
                Event::Disconnected(reason) => self.disconnected(now, *reason),
                Event::Connected | Event::Message(_) | Event::Happened(..) => {}
            }
            self.events.push(event);
        }
    }

    fn disconnected(&mut self, now: Duration, reason: Reason) {
        let timed_out = matches!(
            reason,
            Reason::RequestTimedOut | Reason::ResponseTimedOut | Reason::TimedOut
        );
        match self.way {
            Way::Over(_) => {}
            Way::Playing if self.has_result => self.way = Way::Over(End::MatchEnded),
            Way::Playing => self.go_back(now),
            Way::Joining if timed_out => self.reconnect(now, End::Refused),
            Way::Joining => self.way = Way::Over(End::Refused),
            Way::Away(_) if timed_out => self.reconnect(now, End::GaveUp),
            Way::Away(_) => self.way = Way::Over(End::Expired),
        }
    }

    fn find_way(&mut self, now: Duration) {
        match self.way {
            Way::Playing if self.client.silence() >= SILENCE => self.go_back(now),
            Way::Joining if now >= self.started + GIVE_UP => self.give_up(),
            Way::Away(since) if now >= since + GIVE_UP => self.give_up(),
            Way::Joining | Way::Playing | Way::Away(_) | Way::Over(_) => {}
        }
    }

    fn give_up(&mut self) {
        self.way = Way::Over(End::GaveUp);
        self.client.leave();
    }

    fn go_back(&mut self, now: Duration) {
        self.way = Way::Away(now.saturating_sub(self.client.silence()));
        self.reconnect(now, End::Expired);
    }

    fn reconnect(&mut self, now: Duration, otherwise: End) {
        if self.client.has_way_back() {
            self.change_socket();
        }
        if self.client.reconnect(now).is_err() {
            self.way = Way::Over(otherwise);
        }
    }

    /// Whether the connection is there.
    pub fn is_connected(&self) -> bool {
        self.client.state() == State::Connected
    }
}
