//! Sessions of players whose sockets are here, or were a moment ago, and what each of them hears.
//!
//! A session begins with Hello and outlives its socket by [`LINGER`], so that a client that comes
//! back in time misses nothing. A player has one: a newer one takes its place, here or at another
//! lobby ([`online`]). [`Sessions::hear`] lets a session hear a channel; [`deliver`] hands on what
//! comes over channels.

pub mod deliver;
pub mod keep;
pub mod notice;
pub mod online;
pub mod replay;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

use crate::ids::PlayerId;
use crate::live::{self, Channel, Live, PRESENCES};
use crate::service::Caller;

pub use self::session::{End, Next, ResumeToken, Session};

/// For how long a session waits for its client after the socket broke.
pub const LINGER: Duration = Duration::from_secs(30);

/// Locks by which changes of one channel happen one after another.
const TURNS: usize = 32;

/// Every session that has a socket here, or had one a moment ago.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Where channels are subscribed; nowhere in a process without sockets.
    live: Option<Arc<dyn Live>>,
    table: Mutex<Table>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

#[derive(Debug, Default)]
struct Table {
    players: HashMap<PlayerId, Entry>,
    channels: HashMap<Channel, Listeners>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    hears: BTreeSet<Channel>,
}

/// Who hears a channel.
#[derive(Debug, Default)]
struct Listeners {
    sessions: HashMap<Uuid, Arc<Session>>,
    is_subscribed: bool,
}

/// A socket that has a session now.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The session.
    pub session: Arc<Session>,
    /// Which of its sockets this is: an older one has lost it.
    pub socket: u64,
}

impl Sessions {
    /// None yet. Channels are subscribed at `live`.
    pub fn new(live: Arc<dyn Live>) -> Self {
        Self {
            shared: Arc::new(Shared {
                live: Some(live),
                ..Shared::default()
            }),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table().players.len()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let table = self.table();
        let entries = table.players.values();
        entries.map(|entry| Arc::clone(&entry.session)).collect()
    }

    /// The session of a player.
    pub fn of(&self, player: PlayerId) -> Option<Arc<Session>> {
        let table = self.table();
        let entry = table.players.get(&player)?;
        Some(Arc::clone(&entry.session))
    }

    /// Begins a session with a socket; the one that the player had here is over.
    pub async fn open(&self, caller: &Caller, token: &ResumeToken, now: Timestamp) -> Attached {
        let player = caller.player;
        let session = Arc::new(Session::new(caller.clone(), token, now));
        let replaced = {
            let mut table = self.table();
            let entry = Entry {
                session: Arc::clone(&session),
                hears: BTreeSet::new(),
            };
            let replaced = table.players.insert(player, entry);
            replaced.inspect(|entry| table.hears_no_more(entry))
        };
        if let Some(replaced) = replaced {
            replaced.session.end(End::Replaced);
            self.settle_all(&replaced.hears).await;
        }
        let socket = session.attach();
        Attached { session, socket }
    }

    /// Goes on with a session over a new socket, if it is there and has all that the client lacks.
    pub fn resume(&self, caller: &Caller, resume: &wire::Resume) -> Option<Attached> {
        let session = self.of(caller.player)?;
        let socket = session.resume(caller, resume)?;
        Some(Attached { session, socket })
    }

    /// Forgets a session and what it hears. Done when another has its place.
    pub async fn close(&self, session: &Session) {
        let player = session.caller().player;
        let closed = {
            let mut table = self.table();
            let is_here = table
                .players
                .get(&player)
                .is_some_and(|entry| entry.session.id() == session.id());
            let entry = is_here.then(|| table.players.remove(&player)).flatten();
            entry.inspect(|entry| table.hears_no_more(entry))
        };
        if let Some(closed) = closed {
            self.settle_all(&closed.hears).await;
        }
    }

    /// Lets the player's session hear a channel, to its end or to [`unhear`](Self::unhear). When
    /// this returns, what is published comes. Nothing happens for a player without a session here.
    pub async fn hear(&self, player: PlayerId, channel: Channel) -> Result<(), live::Error> {
        {
            let mut guard = self.table();
            let table = &mut *guard;
            let Some(entry) = table.players.get_mut(&player) else {
                return Ok(());
            };
            let is_new = !table.channels.contains_key(&channel);
            if let Channel::Presence(_) = channel
                && is_new
                && table.channels.len() >= PRESENCES
            {
                return Err(live::Error::full("the list of followed players"));
            }
            entry.hears.insert(channel.clone());
            let session = Arc::clone(&entry.session);
            let listeners = table.channels.entry(channel.clone()).or_default();
            listeners.sessions.insert(session.id(), session);
        }
        let settled = self.settle(&channel).await;
        if settled.is_err() {
            self.unhear(player, channel).await;
        }
        settled
    }

    /// What the player's session hears.
    pub fn hears(&self, player: PlayerId) -> BTreeSet<Channel> {
        let table = self.table();
        let entry = table.players.get(&player);
        entry.map(|entry| entry.hears.clone()).unwrap_or_default()
    }

    /// The player's session hears the channel no more.
    pub async fn unhear(&self, player: PlayerId, channel: Channel) {
        {
            let mut guard = self.table();
            let table = &mut *guard;
            let Some(entry) = table.players.get_mut(&player) else {
                return;
            };
            entry.hears.remove(&channel);
            let id = entry.session.id();
            if let Some(listeners) = table.channels.get_mut(&channel) {
                listeners.sessions.remove(&id);
            }
        }
        self.settle_all([&channel]).await;
    }

    /// What the player's session hears; nothing without one here.
    pub fn heard_by(&self, player: PlayerId) -> Vec<Channel> {
        let table = self.table();
        let Some(entry) = table.players.get(&player) else {
            return Vec::new();
        };
        entry.hears.iter().cloned().collect()
    }

    /// Who hears a channel.
    fn listeners(&self, channel: &Channel) -> Vec<Arc<Session>> {
        let table = self.table();
        let Some(listeners) = table.channels.get(channel) else {
            return Vec::new();
        };
        listeners.sessions.values().cloned().collect()
    }

    async fn settle_all<'a>(&self, channels: impl IntoIterator<Item = &'a Channel>) {
        for channel in channels {
            if let Err(error) = self.settle(channel).await {
                tracing::warn!(%error, %channel, "A channel could not be left");
            }
        }
    }

    /// Makes a channel subscribed or not, as somebody hears it or nobody.
    async fn settle(&self, channel: &Channel) -> Result<(), live::Error> {
        let Some(live) = &self.shared.live else {
            return Ok(());
        };
        let mut hasher = DefaultHasher::new();
        channel.hash(&mut hasher);
        let turn = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        // Whoever changes what is wanted comes here afterwards, so that the last one sees it all.
        let _turn = self.shared.turns[turn].lock().await;
        let (is_wanted, is_subscribed) = {
            let table = self.table();
            let Some(listeners) = table.channels.get(channel) else {
                return Ok(());
            };
            (!listeners.sessions.is_empty(), listeners.is_subscribed)
        };
        let done = match (is_wanted, is_subscribed) {
            (true, false) => live.subscribe(channel).await,
            (false, true) => live.unsubscribe(channel).await,
            _ => Ok(()),
        };
        let mut table = self.table();
        if let Some(listeners) = table.channels.get_mut(channel) {
            // What comes over a channel that could not be left finds no listener.
            listeners.is_subscribed = is_wanted && done.is_ok();
            if listeners.sessions.is_empty() && !listeners.is_subscribed {
                table.channels.remove(channel);
            }
        }
        done
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No step that panics leaves the table half changed.
        self.shared
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes a session that is not here any more out of all channels.
    fn hears_no_more(&mut self, entry: &Entry) {
        for channel in &entry.hears {
            if let Some(listeners) = self.channels.get_mut(channel) {
                listeners.sessions.remove(&entry.session.id());
            }
        }
    }
}
