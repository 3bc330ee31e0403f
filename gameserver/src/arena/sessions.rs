//! Sessions: who plays, through every connection that a player needs for it.
//!
//! A pure state machine over values. A session outlives its connection: when the connection falls
//! silent or ends, the player's entity stays in the game, and the player has [`Policy::window`] to
//! come back with a token of a later epoch, from any address. What a caller has to do about a
//! change is returned, never done here.
//!
//! ```text
//! join ─▶ Connected ─500 ms─▶ Silent ─2 s or goodbye─▶ Lost ─30 s after the last packet─▶ gone
//!             ▲                  │                        │
//!             └── a packet ──────┘      a later epoch ────┘ (also from Connected and Silent)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use netcode::UserData;
use netcode::user_data::SPECTATOR;
use simulation::entity::PlayerSlot;

use crate::arena::link::{End, Peer};
use crate::arena::reconnection::SecretHash;

/// A session: the same for every connection of a player in one match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// A player's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerId(pub [u8; 16]);

impl PlayerId {
    /// The id of a UUID as [`Self::to_uuid`] writes it, in either case.
    pub fn from_uuid(text: &str) -> Option<Self> {
        let bits = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
        let id = Self(bits.to_be_bytes());
        id.to_uuid().eq_ignore_ascii_case(text).then_some(id)
    }

    /// The id as the platform writes it: a UUID in lower case.
    pub fn to_uuid(self) -> String {
        let bits = u128::from_be_bytes(self.0);
        let part = |shift: u32, mask: u128| (bits >> shift) & mask;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 0xffff_ffff),
            part(80, 0xffff),
            part(64, 0xffff),
            part(48, 0xffff),
            part(0, 0xffff_ffff_ffff),
        )
    }
}

/// How patient the server is with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Silence after which a player's inputs count as none.
    pub silent_after: Duration,
    /// Silence after which a player counts as lost.
    pub lost_after: Duration,
    /// Time from the last packet, or from the goodbye, within which a player may come back.
    pub window: Duration,
    /// Time between two reconnection tokens for the same player.
    pub token_interval: Duration,
}

impl Default for Policy {
    /// 500 ms, 2 s, 30 s, 20 s.
    fn default() -> Self {
        Self {
            silent_after: Duration::from_millis(500),
            lost_after: Duration::from_secs(2),
            window: Duration::from_secs(30),
            token_interval: Duration::from_secs(20),
        }
    }
}

/// Time after which a token that could not be minted is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Whether a session's player is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Packets arrive.
    Connected,
    /// None did for a moment; the player does nothing meanwhile.
    Silent,
    /// The connection is lost, its time-out may be still to come; the entity stays.
    Lost,
}

/// A player in the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerSession {
    /// Which one.
    pub id: SessionId,
    /// Whose.
    pub player: PlayerId,
    /// The place: players have the numbers below the match's capacity, which are their slots in
    /// the game too, and spectators those above.
    pub seat: u16,
    /// The side, from 0.
    pub team: u8,
    /// Whether the player is there.
    pub state: State,
    /// Counts the connections. A token of the server's own carries the next number.
    pub epoch: u32,
    /// The connection, unless it has ended.
    pub peer: Option<Peer>,
    /// When the last packet came, or the connection said goodbye.
    pub last_heard: Duration,
    /// When the next reconnection token is due.
    pub token_due: Duration,
    /// What the secret of the newest reconnection token hashes to, and the one before it, whose
    /// successor may have been lost on the way.
    pub secrets: [Option<SecretHash>; 2],
}

impl PlayerSession {
    /// Whether one of the newest reconnection tokens has this secret.
    pub fn is_secret(&self, client_id: u64) -> bool {
        let mut secrets = self.secrets.iter().flatten();
        secrets.any(|hash| hash.matches(client_id))
    }
}

/// What the token of a new connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Unique for each token, and the secret of those that this server mints.
    pub client_id: u64,
    /// Who plays, and where.
    pub user_data: UserData,
}

/// Why a token does not lead into a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is for another match.
    WrongMatch,
    /// It is for a connection that was made already, or that a later one has replaced.
    OldEpoch,
    /// It is of this server's own kind, but none of the newest that its player was given.
    Void,
    /// Its session is over, or never was.
    Expired,
    /// Its session belongs to another player.
    Stranger,
    /// Every place is taken.
    Full,
    /// Nobody new may enter: the match is over, or takes no late players, or the server drains.
    Closed,
}

impl Refusal {
    /// Every reason, for metrics.
    pub const ALL: [Self; 7] = [
        Self::WrongMatch,
        Self::OldEpoch,
        Self::Void,
        Self::Expired,
        Self::Stranger,
        Self::Full,
        Self::Closed,
    ];

    /// The name of the reason, as a label of a metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongMatch => "wrong_match",
            Self::OldEpoch => "old_epoch",
            Self::Void => "void",
            Self::Expired => "expired",
            Self::Stranger => "stranger",
            Self::Full => "full",
            Self::Closed => "closed",
        }
    }
}

/// Whom the match lets in besides those who come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Players and spectators.
    Open,
    /// Nobody new.
    Closed,
}

/// Where a token led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A new player or spectator.
    Joined(SessionId),
    /// A player is back.
    Resumed {
        /// Which session.
        session: SessionId,
        /// The connection before, if it has not ended; it is the caller's to close.
        replaced: Option<Peer>,
        /// How long nothing came from the player.
        silence: Duration,
    },
}

/// What has become of a session with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Inputs count as none from now on.
    Silent(SessionId),
    /// The connection is lost; the entity stays.
    Lost(SessionId),
    /// A silent player sends again, over the same connection.
    Back(SessionId),
    /// The time is over: the entity goes, and its place is free.
    Expired(SessionId),
}

/// The sessions of one match.
#[derive(Clone, Debug)]
pub struct Sessions {
    policy: Policy,
    match_id: [u8; 16],
    capacity: u16,
    by_id: BTreeMap<SessionId, PlayerSession>,
    /// The session of each connection, by the connection's slot.
    by_peer: Vec<Option<SessionId>>,
    /// Who has each seat.
    by_seat: Vec<Option<SessionId>>,
    /// Who has not come yet and finds a place kept.
    awaited: BTreeSet<PlayerId>,
}

impl Sessions {
    /// No sessions yet, of a match for `capacity` players and as many `spectators`.
    pub fn new(policy: Policy, match_id: [u8; 16], capacity: u16, spectators: u16) -> Self {
        let seats = usize::from(capacity) + usize::from(spectators);
        Self {
            policy,
            match_id,
            capacity,
            by_id: BTreeMap::new(),
            by_peer: vec![None; seats],
            by_seat: vec![None; seats],
            awaited: BTreeSet::new(),
        }
    }

    /// Keeps a place for each of these players, until they come or nobody is
    /// [awaited](Self::await_nobody) any more.
    pub fn keep_places(&mut self, players: impl IntoIterator<Item = PlayerId>) {
        self.awaited.extend(players);
    }

    /// Gives the places of those who have not come to whoever does.
    pub fn await_nobody(&mut self) {
        self.awaited.clear();
    }

    /// The match that tokens must name.
    pub const fn match_id(&self) -> [u8; 16] {
        self.match_id
    }

    /// Lets a connection in, with what its token says.
    ///
    /// The token is authentic and used for the first time: the packet layer has seen to that. An
    /// epoch of 0 was minted by the platform, for a new player or for one who has lost every
    /// token; later ones were minted by this server and name the connection that they are for.
    pub fn admit(
        &mut self,
        now: Duration,
        peer: Peer,
        presented: &Presented,
        door: Door,
    ) -> Result<Admission, Refusal> {
        let token = &presented.user_data;
        if token.match_id != self.match_id {
            return Err(Refusal::WrongMatch);
        }
        let id = SessionId(token.session_id);
        if let Some(session) = self.by_id.get_mut(&id) {
            return Self::resume(&self.policy, session, now, peer, presented).inspect(|_| {
                enter(&mut self.by_peer, peer, id);
            });
        }
        if token.epoch > 0 {
            return Err(Refusal::Expired);
        }
        if door == Door::Closed {
            return Err(Refusal::Closed);
        }
        let player = PlayerId(token.player_id);
        let seat = self.free_seat(player, token.flags).ok_or(Refusal::Full)?;
        if seat < self.capacity {
            self.awaited.remove(&player);
        }
        if let Some(place) = self.by_seat.get_mut(usize::from(seat)) {
            *place = Some(id);
        }
        enter(&mut self.by_peer, peer, id);
        let session = PlayerSession {
            id,
            player,
            seat,
            team: token.team,
            state: State::Connected,
            epoch: 0,
            peer: Some(peer),
            last_heard: now,
            token_due: now,
            secrets: [None; 2],
        };
        self.by_id.insert(id, session);
        Ok(Admission::Joined(id))
    }

    fn resume(
        policy: &Policy,
        session: &mut PlayerSession,
        now: Duration,
        peer: Peer,
        presented: &Presented,
    ) -> Result<Admission, Refusal> {
        let token = &presented.user_data;
        if session.player != PlayerId(token.player_id) {
            return Err(Refusal::Stranger);
        }
        let silence = now.saturating_sub(session.last_heard);
        // Whoever asks in the moment between two calls of `elapse` gets no more time than others.
        if silence >= policy.window {
            return Err(Refusal::Expired);
        }
        let epoch = match token.epoch {
            0 => session.epoch.saturating_add(1),
            epoch if epoch <= session.epoch => return Err(Refusal::OldEpoch),
            _ if !session.is_secret(presented.client_id) => return Err(Refusal::Void),
            epoch => epoch,
        };
        session.epoch = epoch;
        session.state = State::Connected;
        session.last_heard = now;
        session.token_due = now;
        session.secrets = [None; 2];
        Ok(Admission::Resumed {
            session: session.id,
            replaced: session.peer.replace(peer),
            silence,
        })
    }

    /// A packet came over a connection. Returns the session, and whether it had been silent.
    pub fn heard(&mut self, now: Duration, peer: Peer) -> Option<(SessionId, bool)> {
        let session = self.of_mut(peer)?;
        session.last_heard = now;
        let was_away = session.state != State::Connected;
        session.state = State::Connected;
        Some((session.id, was_away))
    }

    /// A connection has ended. The session waits for another one, unless there is one already.
    pub fn disconnected(&mut self, now: Duration, peer: Peer, why: End) -> Option<Change> {
        let session = self.of_mut(peer)?;
        let id = session.id;
        session.peer = None;
        session.token_due = Duration::MAX;
        if why == End::Goodbye {
            session.last_heard = now;
        }
        let was_lost = session.state == State::Lost;
        session.state = State::Lost;
        leave(&mut self.by_peer, peer);
        (!was_lost).then_some(Change::Lost(id))
    }

    /// Ends a session at once: its player leaves for good, or is sent away.
    pub fn end(&mut self, id: SessionId) -> Option<PlayerSession> {
        let session = self.by_id.remove(&id)?;
        if let Some(peer) = session.peer {
            leave(&mut self.by_peer, peer);
        }
        if let Some(place) = self.by_seat.get_mut(usize::from(session.seat)) {
            *place = None;
        }
        Some(session)
    }

    /// The next change that time alone has brought; call it until there is none.
    ///
    /// An expired session is still there; [`Sessions::end`] takes it away.
    pub fn elapse(&mut self, now: Duration) -> Option<Change> {
        for session in self.by_id.values_mut() {
            let silence = now.saturating_sub(session.last_heard);
            if silence >= self.policy.window {
                return Some(Change::Expired(session.id));
            }
            if silence >= self.policy.lost_after && session.state != State::Lost {
                session.state = State::Lost;
                return Some(Change::Lost(session.id));
            }
            if silence >= self.policy.silent_after && session.state == State::Connected {
                session.state = State::Silent;
                return Some(Change::Silent(session.id));
            }
        }
        None
    }

    /// The next session that gets a reconnection token now. [`Sessions::remember`] makes it due
    /// again an interval later.
    pub fn next_token(&mut self, now: Duration) -> Option<SessionId> {
        let session = self
            .by_id
            .values_mut()
            .find(|session| session.peer.is_some() && session.token_due <= now)?;
        // Should minting fail, it is tried again, but not in every tick.
        session.token_due = now + RETRY;
        Some(session.id)
    }

    /// Keeps what the secret of a new reconnection token hashes to.
    pub fn remember(&mut self, now: Duration, id: SessionId, secret: SecretHash) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.secrets = [Some(secret), session.secrets[0]];
            session.token_due = now + self.policy.token_interval;
        }
    }

    /// A session.
    pub fn get(&self, id: SessionId) -> Option<&PlayerSession> {
        self.by_id.get(&id)
    }

    /// The session of a connection.
    pub fn of(&self, peer: Peer) -> Option<&PlayerSession> {
        let id = self.by_peer.get(peer.place())?.as_ref()?;
        let session = self.by_id.get(id)?;
        // A slot of the packet layer that is used again is another connection.
        (session.peer == Some(peer)).then_some(session)
    }

    fn of_mut(&mut self, peer: Peer) -> Option<&mut PlayerSession> {
        let id = self.by_peer.get(peer.place())?.as_ref()?;
        let session = self.by_id.get_mut(id)?;
        (session.peer == Some(peer)).then_some(session)
    }

    /// The slot in the game of a seat; none for spectators.
    pub const fn slot(&self, seat: u16) -> Option<PlayerSlot> {
        if seat < self.capacity {
            Some(PlayerSlot(seat))
        } else {
            None
        }
    }

    /// All sessions, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &PlayerSession> {
        self.by_id.values()
    }

    /// How many sessions there are, spectators included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many players have a place.
    pub fn players(&self) -> usize {
        let places = self.by_seat.iter().take(self.capacity.into());
        places.flatten().count()
    }

    /// How many places there are for players who were not expected.
    pub fn free_places(&self) -> usize {
        let taken = self.players() + self.awaited.len();
        usize::from(self.capacity).saturating_sub(taken)
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The lowest free seat for a player, or for a spectator. Who is not awaited gets no seat that
    /// is kept for somebody else.
    fn free_seat(&self, player: PlayerId, flags: u16) -> Option<u16> {
        let seats = u16::try_from(self.by_seat.len()).unwrap_or(u16::MAX);
        let mut range = if flags & SPECTATOR != 0 {
            self.capacity..seats
        } else if self.awaited.contains(&player) || self.free_places() > 0 {
            0..self.capacity
        } else {
            return None;
        };
        range.find(|seat| self.by_seat.get(usize::from(*seat)) == Some(&None))
    }
}

fn enter(by_peer: &mut Vec<Option<SessionId>>, peer: Peer, id: SessionId) {
    let place = peer.place();
    if place >= by_peer.len() {
        by_peer.resize(place + 1, None);
    }
    by_peer[place] = Some(id);
}

fn leave(by_peer: &mut [Option<SessionId>], peer: Peer) {
    if let Some(entry) = by_peer.get_mut(peer.place()) {
        *entry = None;
    }
}

#[cfg(test)]
mod tests;
