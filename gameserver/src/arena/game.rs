//! One match: its sessions, its arena, and what goes to and from its clients.
//!
//! A [`Match`] is a value without threads, sockets or clocks. It is handed what the packet layer
//! opened, stepped once per tick, and hands out payloads. In a steady tick it does not allocate:
//! joining, leaving and reliable messages do.
//!
//! Nothing of it is shared, so a process can own any number of matches, and each goes as it would
//! alone. What is not there is a host of several: [`crate::arena::host`] has one match at a time,
//! and nobody looks into a token for which of them it is.

mod client;
mod outgoing;

use std::collections::BTreeMap;
use std::time::Duration;

use netcode::{Now, RandomSource, UserData};
use simulation::arena::{Arena, ArenaConfig, Command, Event, Inputs};
use simulation::entity::{EntityId, PlayerSlot};
use simulation::frame::WorldFrame;
use simulation::inputs::{Arrival, InputPacket};
use simulation::interest::Detail;
use simulation::message::{self, Messages, ToClient, ToServer};
use simulation::payload::{self, Kind, Probe};
use simulation::rules::{MatchResult, Phase, Standing, Team};
use simulation::snapshot::event::{EncodedEvent, WireEvent};
use simulation::snapshot::{Encoder, Space};
use simulation::tick::{TICK_RATE, Tick};

use self::client::{Client, Offence};
use crate::arena::link::{End, Inbound, Outbox, Peer};
use crate::arena::reconnection::Minter;
use crate::arena::sessions::{
    Admission, Change, Door, PlayerId, PlayerSession, Policy, Presented, Refusal, SessionId,
    Sessions,
};

/// Inputs out of range after which a player is sent away, within a second: clients of ours send
/// none.
const MOST_OUT_OF_RANGE: u32 = 60;

/// Suspicion that is worth a line in the log.
const SUSPICIOUS: u32 = 100;

/// Most accounts that have left and are kept for the result.
const MOST_DEPARTED: usize = 4_096;

/// What a match is made of.
#[derive(Clone, Copy, Debug)]
pub struct MatchConfig {
    /// The game.
    pub arena: ArenaConfig,
    /// Most spectators at the same time.
    pub spectators: u16,
    /// Sides; with none everybody plays alone.
    pub teams: u8,
    /// How patient it is with connections.
    pub policy: Policy,
    /// Bytes of a snapshot that are aimed at.
    pub budget: usize,
}

/// Something that concerns others than the players.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A player has a session. That a spectator has one is no news.
    Joined(PlayerId),
    /// A player is back, after this time without a packet.
    Resumed(Duration),
    /// A player's session is over, and its place free.
    Left(PlayerId),
    /// A spectator's is.
    SpectatorLeft,
    /// A connection was not let in.
    Refused(Refusal),
    /// A client was sent away for what it sent.
    Kicked(PlayerId),
    /// The match is in its last phase, and has a result.
    Ended,
}

/// A match and everybody in it.
#[derive(Debug)]
pub struct Match<Random> {
    config: MatchConfig,
    sessions: Sessions,
    door: Door,
    arena: Arena,
    inputs: Inputs,
    frame: WorldFrame,
    encoder: Encoder,
    /// By seat.
    clients: Vec<Option<Box<Client>>>,
    /// The seat of each connection, by its place.
    seats: Vec<Option<(Peer, u16)>>,
    messages: Messages,
    minter: Minter<Random>,
    /// What happened in a tick, and to whom.
    events: Vec<(EncodedEvent, [PlayerSlot; 2])>,
    /// The entities of each team.
    teams: Vec<Vec<EntityId>>,
    detail: Detail,
    /// Connections to end.
    closing: Vec<Peer>,
    /// Connections whose reliable channel has failed.
    broken: Vec<Peer>,
    news: Vec<News>,
    /// Who left before the end, with what it had reached in all.
    departed: BTreeMap<PlayerId, Standing>,
    payload: Box<[u8; 1200]>,
    is_roster_due: bool,
    is_score_due: bool,
}

impl<Random: RandomSource> Match<Random> {
    /// A match before its first tick, which takes tokens for `id`.
    pub fn new(id: [u8; 16], config: MatchConfig, minter: Minter<Random>) -> Self {
        let arena = Arena::new(&config.arena);
        let ArenaConfig {
            capacity, props, ..
        } = *arena.config();
        let space = Space::new(capacity, props);
        let seats = usize::from(capacity) + usize::from(config.spectators);
        Self {
            sessions: Sessions::new(config.policy, id, capacity, config.spectators),
            door: Door::Open,
            inputs: Inputs::new(capacity),
            frame: WorldFrame {
                tick: Tick(0),
                entities: Vec::with_capacity(space.len()),
            },
            encoder: Encoder::new(space),
            clients: (0..seats).map(|_| None).collect(),
            seats: vec![None; seats],
            messages: Messages::default(),
            minter,
            events: Vec::with_capacity(4 * usize::from(capacity) + 1),
            teams: (0..config.teams)
                .map(|_| Vec::with_capacity(usize::from(capacity)))
                .collect(),
            detail: Detail::Full,
            closing: Vec::with_capacity(seats),
            broken: Vec::new(),
            news: Vec::with_capacity(seats),
            departed: BTreeMap::new(),
            payload: Box::new([0; 1200]),
            is_roster_due: false,
            is_score_due: false,
            arena,
            config,
        }
    }

    /// Keeps a place for each of these players, for as long as they may be on their way: until the
    /// countdown is over, and then as long as a player who is lost has to come back.
    pub fn expect(&mut self, players: impl IntoIterator<Item = PlayerId>) {
        self.sessions.keep_places(players);
    }

    /// The match that it is.
    pub const fn id(&self) -> [u8; 16] {
        self.sessions.match_id()
    }

    /// The tick that is executed next.
    pub const fn next_tick(&self) -> Tick {
        self.arena.tick().next()
    }

    /// The game itself.
    pub const fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Who is in it.
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What everybody could see at the end of the last tick.
    pub const fn frame(&self) -> &WorldFrame {
        &self.frame
    }

    /// The result, once there is one.
    pub const fn result(&self) -> Option<&MatchResult> {
        self.arena.result()
    }

    /// Lets nobody new in from now on; who was in may come back.
    pub const fn close_door(&mut self) {
        self.door = Door::Closed;
    }

    /// How often far entities are sent from now on.
    pub const fn set_detail(&mut self, detail: Detail) {
        self.detail = detail;
    }

    /// What has happened since this was last asked.
    pub fn drain_news(&mut self) -> impl Iterator<Item = News> + '_ {
        self.news.drain(..)
    }

    /// How every account did so far: who is in it, with what was reached before leaving and coming
    /// again, and who left.
    pub fn standings(&self) -> Vec<(PlayerId, Standing)> {
        let mut standings = self.departed.clone();
        for session in self.sessions.iter() {
            let player = self.sessions.slot(session.seat);
            if let Some(player) = player.and_then(|slot| self.arena.player(slot)) {
                merge(&mut standings, session.player, player.standing());
            }
        }
        standings.into_iter().collect()
    }

    /// How many connections are let in.
    pub fn connected(&self) -> usize {
        self.seats.iter().flatten().count()
    }

    /// Takes in what the packet layer opened. `arrival` says how it relates to the next tick.
    pub fn receive(&mut self, now: Now, arrival: Arrival, inbound: Inbound<'_>) {
        match inbound {
            Inbound::Connected(peer, presented) => self.admit(now, peer, &presented),
            Inbound::Alive(peer) => {
                self.hear(now, peer);
                if let Some(client) = self.client(peer)
                    && !client.allow()
                    && client.offend(Offence::Excess)
                {
                    self.kick(peer);
                }
            }
            Inbound::Payload(peer, payload) => {
                self.hear(now, peer);
                self.take_payload(now, arrival, peer, payload);
            }
            Inbound::Disconnected(peer, end) => self.lose(now, peer, end),
        }
    }

    /// A connection has ended, whoever ended it; its session waits for another one.
    fn lose(&mut self, now: Now, peer: Peer, end: End) {
        if let Some(change) = self.sessions.disconnected(now.monotonic, peer, end) {
            self.apply(change);
        }
        if let Some(client) = self.client(peer) {
            client.peer = None;
        }
        self.forget_peer(peer);
    }

    /// Whether new players are let in.
    fn door(&self) -> Door {
        match self.arena.course().phase() {
            Phase::Ended(_) => Door::Closed,
            Phase::Playing if !self.config.arena.rules.late_join => Door::Closed,
            Phase::WaitingForPlayers | Phase::Countdown | Phase::Playing => self.door,
        }
    }

    /// Whether there is a place for a player whom nobody expects.
    pub fn is_open(&self) -> bool {
        self.door() == Door::Open && self.sessions.free_places() > 0
    }

    /// Whether it has been played for so long that who has not come will not come any more.
    fn is_too_late(&self) -> bool {
        let course = self.arena.course();
        let ticks = self.arena.tick().0.saturating_sub(course.since().0);
        let played = Duration::from_secs(ticks.into()) / TICK_RATE;
        course.phase() == Phase::Playing && played >= self.config.policy.window
    }

    fn admit(&mut self, now: Now, peer: Peer, presented: &Presented) {
        let door = self.door();
        match self.sessions.admit(now.monotonic, peer, presented, door) {
            Ok(Admission::Joined(session)) => self.join(now, session),
            Ok(Admission::Resumed {
                session,
                replaced,
                silence,
            }) => {
                if let Some(old) = replaced {
                    self.forget_peer(old);
                    self.closing.push(old);
                }
                self.resume(now, session);
                self.news.push(News::Resumed(silence));
            }
            Err(refusal) => {
                self.closing.push(peer);
                self.news.push(News::Refused(refusal));
            }
        }
    }

    fn join(&mut self, now: Now, id: SessionId) {
        let Some((session, peer)) = self.session(id) else {
            return;
        };
        let (seat, player, team) = (session.seat, session.player, session.team);
        if let Some(slot) = self.sessions.slot(seat) {
            let team = team.checked_rem(self.config.teams).map(Team);
            // A slot whose session ended is empty in the arena too.
            if let Err(error) = self.arena.add_player(slot, team) {
                tracing::error!(%error, "Player was not added");
            }
            self.news.push(News::Joined(player));
        }
        let ArenaConfig {
            capacity, props, ..
        } = *self.arena.config();
        let space = Space::new(capacity, props);
        let client = Client::new(id, peer, seat, space, now.monotonic);
        if let Some(place) = self.clients.get_mut(usize::from(seat)) {
            *place = Some(Box::new(client));
        }
        self.enter_peer(peer, seat);
        self.is_roster_due = true;
        self.welcome(now, seat);
    }

    fn resume(&mut self, now: Now, id: SessionId) {
        let Some((session, peer)) = self.session(id) else {
            return;
        };
        let seat = session.seat;
        if let Some(client) = self.in_seat(seat) {
            client.reconnect(peer, now.monotonic);
        }
        self.enter_peer(peer, seat);
        self.set_lost(seat, false);
        self.welcome(now, seat);
    }

    fn hear(&mut self, now: Now, peer: Peer) {
        if let Some((id, true)) = self.sessions.heard(now.monotonic, peer) {
            self.apply(Change::Back(id));
        }
    }

    /// Does what a change of a session means for the game.
    fn apply(&mut self, change: Change) {
        let seat = |id| self.sessions.get(id).map(|session| session.seat);
        match change {
            // The buffer of inputs has run dry by then.
            Change::Silent(_) => {}
            Change::Lost(id) => {
                if let Some(seat) = seat(id) {
                    self.set_lost(seat, true);
                }
            }
            Change::Back(id) => {
                if let Some(seat) = seat(id) {
                    self.set_lost(seat, false);
                }
            }
            Change::Expired(id) => self.end_session(id),
        }
    }

    fn set_lost(&mut self, seat: u16, lost: bool) {
        if let Some(slot) = self.sessions.slot(seat) {
            self.command(Command::Lost { slot, lost });
        }
        self.is_roster_due = true;
    }

    fn command(&mut self, command: Command) {
        if let Err(error) = self.arena.apply(command) {
            tracing::error!(%error, ?command, "Command to the arena was refused");
        }
    }

    /// Ends a session and frees everything that it held.
    fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.end(id) else {
            return;
        };
        if let Some(peer) = session.peer {
            self.forget_peer(peer);
            self.closing.push(peer);
        }
        if let Some(client) = self.clients.get_mut(usize::from(session.seat)) {
            *client = None;
        }
        if let Some(slot) = self.sessions.slot(session.seat) {
            // Ever more accounts must not fill the memory.
            let has_room =
                self.departed.len() < MOST_DEPARTED || self.departed.contains_key(&session.player);
            if let Some(player) = self.arena.player(slot).filter(|_| has_room) {
                let left = true;
                let standing = player.standing();
                let standing = Standing { left, ..standing };
                merge(&mut self.departed, session.player, standing);
            }
            self.command(Command::Leave { slot });
            self.news.push(News::Left(session.player));
        } else {
            self.news.push(News::SpectatorLeft);
        }
        self.is_roster_due = true;
    }

    fn take_payload(&mut self, now: Now, arrival: Arrival, peer: Peer, bytes: &[u8]) {
        let Some(client) = self.client(peer) else {
            return;
        };
        let offence = match payload::split(bytes) {
            None => Some(Offence::Malformed),
            Some((Kind::Fast, rest)) => match InputPacket::decode(rest) {
                Err(_) => Some(Offence::Malformed),
                Ok(packet) if !client.inputs.receive(&packet, arrival) => Some(Offence::Excess),
                Ok(packet) => {
                    if let Some(ack) = packet.ack {
                        client.acknowledge(ack);
                    }
                    None
                }
            },
            Some(_) if !client.allow() => Some(Offence::Excess),
            Some((Kind::Probe, rest)) => self.take_probe(now, peer, rest),
            Some((Kind::Channels, rest)) => {
                if client.channels.receive(now.monotonic, rest).is_ok() {
                    self.take_messages(now, peer)
                } else {
                    self.kick(peer);
                    None
                }
            }
        };
        if offence.is_some_and(|offence| {
            self.client(peer)
                .is_some_and(|client| client.offend(offence))
        }) {
            self.kick(peer);
        }
    }

    fn take_probe(&mut self, now: Now, peer: Peer, rest: &[u8]) -> Option<Offence> {
        let Some(probe) = Probe::decode(rest) else {
            return Some(Offence::Malformed);
        };
        if !probe.answer {
            let answer = true;
            self.client(peer)?.echo = Some(Probe { answer, ..probe });
            return None;
        }
        let seat = self.seat(peer)?;
        let ticks = self.in_seat(seat)?.answered(now.monotonic, probe);
        if let (Some(slot), Some(ticks)) = (self.sessions.slot(seat), ticks) {
            self.command(Command::Rewind { slot, ticks });
        }
        None
    }

    fn take_messages(&mut self, now: Now, peer: Peer) -> Option<Offence> {
        while let Some(bytes) = self.client(peer)?.channels.take_message() {
            let Ok(message) = message::decode_to_server(&bytes) else {
                return Some(Offence::Malformed);
            };
            match message {
                ToServer::Hello { name, decompresses } => {
                    let client = self.client(peer)?;
                    client.name = name;
                    client.decompresses = decompresses;
                    self.is_roster_due = true;
                }
                ToServer::Chat(text) => {
                    let seat = self.seat(peer)?;
                    let may = self.client(peer)?.may_chat();
                    if let Some(from) = self.sessions.slot(seat).filter(|_| may) {
                        self.broadcast(&ToClient::Chat { from, text });
                    }
                }
                ToServer::Leave => {
                    let id = self.client(peer)?.session;
                    tracing::debug!(seconds = now.monotonic.as_secs(), "Player leaves");
                    self.end_session(id);
                    return None;
                }
            }
        }
        None
    }

    /// Sends a client away for good.
    fn kick(&mut self, peer: Peer) {
        let Some(id) = self.client(peer).map(|client| client.session) else {
            return;
        };
        if let Some(session) = self.sessions.get(id) {
            self.news.push(News::Kicked(session.player));
        }
        self.end_session(id);
    }

    /// Executes the next tick, with the inputs that have come for it.
    pub fn step(&mut self, now: Now) {
        while let Some(change) = self.sessions.elapse(now.monotonic) {
            self.apply(change);
        }
        if self.is_too_late() {
            self.sessions.await_nobody();
        }
        let tick = self.next_tick();
        self.inputs.clear();
        for (seat, client) in (0..).zip(&mut self.clients) {
            let Some(client) = client else {
                continue;
            };
            client.pass(tick);
            if let Some(slot) = self.sessions.slot(seat) {
                self.inputs.set(slot, Some(client.inputs.take(tick)));
            }
        }
        self.arena.step(&self.inputs);
        self.arena.frame(&mut self.frame);
        self.encoder.publish(&self.frame);
        self.collect_events(tick);
        if tick.0.is_multiple_of(60) {
            self.look_for_cheats();
        }
    }

    fn collect_events(&mut self, tick: Tick) {
        self.events.clear();
        let mut phase = None;
        for event in self.arena.events() {
            match event {
                Event::Phase(next) => phase = Some(*next),
                Event::Down { .. } => self.is_score_due = true,
                Event::Shot { .. } | Event::Hit { .. } | Event::Spawned { .. } => {}
            }
            let Some(event) = WireEvent::from_arena(event) else {
                continue;
            };
            let encoded = EncodedEvent::new(tick, &event);
            self.events.push((encoded, event.parties().into()));
        }
        // Client by client, because what one of them knows is fetched from memory only once then.
        for (seat, client) in (0..).zip(&mut self.clients) {
            let Some(client) = client.as_deref_mut().filter(|client| client.peer.is_some()) else {
                continue;
            };
            let own = PlayerSlot(seat);
            for (encoded, parties) in &self.events {
                let knows = |party: &PlayerSlot| {
                    *party == own || client.view.knows(EntityId::player(*party))
                };
                if parties.iter().any(knows) {
                    client.view.push_event(*encoded);
                }
            }
        }
        if let Some(phase) = phase {
            self.tell_phase(phase, tick);
        }
    }

    fn tell_phase(&mut self, phase: Phase, since: Tick) {
        self.broadcast(&ToClient::Phase { phase, since });
        if let (Phase::Ended(_), Some(result)) = (phase, self.arena.result().cloned()) {
            self.broadcast(&ToClient::MatchEnded(result));
            self.news.push(News::Ended);
        }
    }

    /// Sends away who claims what no client of ours claims, and logs who aims too well. Who is lost
    /// is sent away after coming back.
    fn look_for_cheats(&mut self) {
        let mut kicked = Vec::new();
        for player in self.arena.players() {
            let suspicion = &player.suspicion;
            if suspicion.out_of_range >= MOST_OUT_OF_RANGE {
                let client = self.clients.get(usize::from(player.slot.0));
                kicked.extend(client.and_then(|client| client.as_ref()?.peer));
            } else if suspicion.score >= SUSPICIOUS {
                tracing::debug!(slot = player.slot.0, ?suspicion, "Player is suspicious");
            }
        }
        for peer in kicked {
            self.kick(peer);
        }
    }

    /// Ends every session and connection.
    pub fn disband(&mut self, outbox: &mut impl Outbox) {
        let ids: Vec<_> = self.sessions.iter().map(|session| session.id).collect();
        for id in ids {
            self.end_session(id);
        }
        for peer in self.closing.drain(..) {
            outbox.disconnect(peer);
        }
    }

    /// Ends the match as it stands: nobody new, and everybody is told; [`Match::disband`] is to
    /// follow.
    pub fn abort(&mut self) {
        self.close_door();
        self.broadcast(&ToClient::Notice("The server ends now.".to_owned()));
    }

    fn session(&self, id: SessionId) -> Option<(&PlayerSession, Peer)> {
        let session = self.sessions.get(id)?;
        Some((session, session.peer?))
    }

    fn seat(&self, peer: Peer) -> Option<u16> {
        let (current, seat) = (*self.seats.get(peer.place())?)?;
        (current == peer).then_some(seat)
    }

    fn client(&mut self, peer: Peer) -> Option<&mut Client> {
        let seat = self.seat(peer)?;
        self.in_seat(seat)
    }

    fn in_seat(&mut self, seat: u16) -> Option<&mut Client> {
        self.clients.get_mut(usize::from(seat))?.as_deref_mut()
    }

    fn enter_peer(&mut self, peer: Peer, seat: u16) {
        let place = peer.place();
        if place >= self.seats.len() {
            self.seats.resize(place + 1, None);
        }
        if let Some(entry) = self.seats.get_mut(place) {
            *entry = Some((peer, seat));
        }
    }

    fn forget_peer(&mut self, peer: Peer) {
        if self.seat(peer).is_some()
            && let Some(entry) = self.seats.get_mut(peer.place())
        {
            *entry = None;
        }
    }

    /// What the next token of a session says.
    fn next_user_data(&self, session: &PlayerSession) -> UserData {
        UserData {
            match_id: self.sessions.match_id(),
            session_id: session.id.0,
            player_id: session.player.0,
            epoch: session.epoch.saturating_add(1),
            team: session.team,
            ..UserData::default()
        }
    }
}

/// Adds a standing to what its account has. An account has one: it is where it is now, with all
/// that it has reached.
fn merge(standings: &mut BTreeMap<PlayerId, Standing>, player: PlayerId, mut standing: Standing) {
    if let Some(before) = standings.get(&player) {
        standing.add(before);
    }
    standings.insert(player, standing);
}

#[cfg(test)]
pub(crate) mod tests;
