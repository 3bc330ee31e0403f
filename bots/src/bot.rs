//! One bot: a client, a will of its own, and the bad network in between. Without sockets or a
//! clock.
//!
//! ```text
//! socket ─▶ link down ─▶ session (client) ─▶ record
//!                           ▲  │
//!                  behavior ┘  └─▶ link up ─▶ socket
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use client::session::Way;
use client::{Client, Error, Event, Session};
use simulation::tick::Tick;

use crate::behavior::Behavior;
use crate::link::{Link, LinkConfig};
use crate::profile::Profile;
use crate::record::{Record, Times, WIDE_GAP};

/// Inputs whose execution is waited for: some seconds of them. The oldest give way.
const WAITING: usize = 512;

/// What leaves a bot.
#[derive(Debug)]
pub struct Outgoing<'packet> {
    /// By which of the bot's sockets.
    pub socket: u32,
    /// Where to.
    pub to: SocketAddr,
    /// The datagram.
    pub packet: &'packet [u8],
}

/// A player that verifies what it gets.
#[derive(Debug)]
pub struct Bot {
    session: Session,
    behavior: Behavior,
    profile: Profile,
    up: Link,
    down: Link,
    /// When it was welcomed first.
    joined: Option<Duration>,
    newest: Tick,
    /// When the last snapshot came.
    heard: Option<Duration>,
    /// The inputs that were not executed yet as far as is known, and when they were due.
    waiting: VecDeque<(Tick, Duration)>,
    input_tick: Tick,
    /// Since when it tries to come back over another socket.
    reconnecting: Option<Duration>,
    /// When a fault of the network ended, until a snapshot comes.
    fault_ended: Option<Duration>,
    has_rebound: bool,
    had_blackout: bool,
    gaps: Times,
    wide_gaps: u64,
    latency: Times,
    reconnects: Times,
    lateness: Times,
    resumed: Option<Duration>,
    strangers: u64,
    last: Duration,
    /// What happened in the last step.
    news: Vec<Event>,
}

impl Bot {
    /// A bot with a connect token in its standard form. `seed` decides what it does and what its
    /// network does to it.
    pub fn new(token: &[u8], profile: &Profile, seed: u64, now: Duration) -> Result<Self, Error> {
        let client = Client::new(token, format!("bot-{}", seed % 10_000), now)?;
        let link = |config: LinkConfig, direction: u64| {
            Link::new(config, seed.wrapping_mul(4) + direction)
        };
        Ok(Self {
            session: Session::new(client, now),
            behavior: Behavior::new(seed.wrapping_mul(4)),
            profile: *profile,
            up: link(profile.link, 1),
            down: link(profile.link, 2),
            joined: None,
            newest: Tick(0),
            heard: None,
            waiting: VecDeque::with_capacity(WAITING),
            input_tick: Tick(0),
            reconnecting: None,
            fault_ended: None,
            has_rebound: false,
            had_blackout: false,
            gaps: Times::default(),
            wide_gaps: 0,
            latency: Times::default(),
            reconnects: Times::default(),
            lateness: Times::default(),
            resumed: None,
            strangers: 0,
            last: now,
            news: Vec::new(),
        })
    }

    /// Where its server is.
    pub fn server(&self) -> SocketAddr {
        self.session.client().server()
    }

    /// What its network is like.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The session, to look at it.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// How long after the end of its fault of the network the first snapshot came.
    pub const fn resumed(&self) -> Option<Duration> {
        self.resumed
    }

    /// What happened in the last step, for those who draw.
    pub fn news(&self) -> &[Event] {
        &self.news
    }

    /// Takes a datagram that came over the newest socket, and lets it pass the link.
    pub fn receive(&mut self, now: Duration, from: SocketAddr, packet: &[u8]) {
        if from == self.server() {
            let blackout = self.is_blackout(now);
            self.down.send(now, packet, blackout);
        } else {
            self.strangers += 1;
        }
    }

    /// Does what is to be done now. `intended` is when it should have been done: what a bot does
    /// late is its server's latency too, or a slow one would look better than it is.
    pub fn step(
        &mut self,
        now: Duration,
        intended: Duration,
        mut transmit: impl FnMut(Outgoing<'_>),
    ) {
        self.last = now;
        self.lateness.record(now.saturating_sub(intended));
        self.suffer(now);
        let server = self.server();
        while let Some(mut packet) = self.down.receive(now) {
            self.session.receive(now, server, &mut packet);
            self.look(now, intended);
        }
        let blackout = self.is_blackout(now);
        let behavior = &mut self.behavior;
        let before = self.session.socket();
        self.session.advance(
            now,
            |tick, joined, decoder| behavior.input(tick, joined, decoder),
            |_, packet| self.up.send(now, packet, blackout),
        );
        self.news = self.session.take_events();
        if self.session.socket() != before {
            self.reconnecting = Some(now);
        }
        if self.joined.is_none() && self.session.way() == Way::Playing {
            self.joined = Some(now);
        }
        self.expect_inputs(intended);
        let (socket, to) = (self.session.socket(), self.server());
        while let Some(packet) = self.up.receive(now) {
            transmit(Outgoing {
                socket,
                to,
                packet: &packet,
            });
        }
    }

    /// Leaves the match, and frees its place.
    pub fn leave(&mut self) {
        self.session.leave();
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        self.session.hang_up();
    }

    /// What it measured so far.
    pub fn record(&self) -> Record {
        Record {
            way: self.session.way(),
            played: self
                .joined
                .map_or(Duration::ZERO, |joined| self.last.saturating_sub(joined)),
            statistics: self.session.client().statistics(),
            links: [self.up.counters(), self.down.counters()],
            gaps: self.gaps.clone(),
            wide_gaps: self.wide_gaps,
            latency: self.latency.clone(),
            reconnects: self.reconnects.clone(),
            resumed: self.resumed,
            lateness: self.lateness.clone(),
            returns: self.session.returns(),
            strangers: self.strangers,
        }
    }

    fn blackout(&self) -> Option<Range<Duration>> {
        let (after, length) = self.profile.blackout?;
        let start = self.joined? + after;
        Some(start..start + length)
    }

    fn is_blackout(&self, now: Duration) -> bool {
        self.blackout().is_some_and(|times| times.contains(&now))
    }

    /// Lets the faults of the profile begin and end.
    fn suffer(&mut self, now: Duration) {
        let has_ended = self.blackout().filter(|times| now >= times.end);
        if let Some(times) = has_ended
            && !self.had_blackout
        {
            self.had_blackout = true;
            self.fault_ended = Some(times.end);
            // Nobody comes back while there is no network.
            self.reconnecting = self.reconnecting.map(|since| since.max(times.end));
        }
        let rebind = self
            .joined
            .zip(self.profile.rebind)
            .map(|(joined, after)| joined + after);
        if rebind.is_some_and(|at| now >= at) && !self.has_rebound {
            self.has_rebound = true;
            self.session.change_socket();
            // What is on its way goes to the old port.
            self.down.clear();
            self.fault_ended = Some(now);
        }
    }

    /// Looks at what the last datagram changed. `intended` is when it might have come here.
    fn look(&mut self, now: Duration, intended: Duration) {
        let Some(joined) = self.session.client().joined() else {
            return;
        };
        let header = joined.newest();
        if header.tick == self.newest || header.tick == Tick(0) {
            return;
        }
        self.newest = header.tick;
        if let Some(before) = self.heard.replace(now) {
            self.gaps.record(now.saturating_sub(before));
            if intended.saturating_sub(before) > WIDE_GAP {
                self.wide_gaps += 1;
            }
        }
        if let Some(since) = self.reconnecting.take() {
            self.reconnects.record(now.saturating_sub(since));
        }
        if let Some(since) = self.fault_ended.take() {
            self.resumed = Some(now.saturating_sub(since));
        }
        let Some(executed) = header.input else {
            return;
        };
        while let Some((tick, due)) = self.waiting.front().copied()
            && tick <= executed
        {
            self.waiting.pop_front();
            // What is older was executed in its place, or never.
            if tick == executed {
                self.latency.record(now.saturating_sub(due));
            }
        }
    }

    /// Remembers when the inputs were due that were made just now.
    fn expect_inputs(&mut self, intended: Duration) {
        let made = self
            .session
            .client()
            .joined()
            .and_then(client::Joined::input_tick);
        let Some(made) = made else {
            self.waiting.clear();
            self.input_tick = Tick(0);
            return;
        };
        if made != self.input_tick {
            self.input_tick = made;
            if self.waiting.len() == WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back((made, intended));
        }
    }
}
