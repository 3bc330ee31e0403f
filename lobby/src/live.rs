//! What must be quick and may be lost: documents with versions, leases, the tickets of queues, and
//! news for sockets wherever they are.
//!
//! Valkey in production, memory in the embedded mode; one contract holds both
//! (`lobby/tests/live`). Every call ends within a time limit: what it did is unknown when it fails.

pub mod gcra;
pub mod memory;
pub mod valkey;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::ids::{MatchId, PlayerId, RoomId, TicketId};
use crate::matchmaking::Ticket;

/// The largest document or message.
pub const VALUE_LIMIT: usize = 64 * 1024;

/// The largest match that is proposed: it holds its tickets.
pub const PENDING_LIMIT: usize = 16 * VALUE_LIMIT;

/// The most members of a set.
pub const MEMBERS: usize = 100_000;

/// The most tickets that wait in a queue.
pub const TICKETS: usize = 200_000;

/// How many news of a queue are kept: older ones are dropped.
pub const NEWS_KEPT: usize = 100_000;

/// The most channels that a process hears.
pub const CHANNELS: usize = 500_000;

/// From how many on none is added about the presence of players: clients choose whom they follow, and
/// must not keep others from signing in, which takes a channel too.
pub const PRESENCES: usize = 300_000;

/// How many deliveries a receiver may lag behind before it misses some, which it is told by the
/// channel; a power of two, as the channel would round it up.
pub const LAG: usize = 8192;

/// How long the version of a document that was removed is remembered: far longer than between
/// somebody's look at it and what he does by it.
pub const REMEMBERED: Duration = Duration::from_mins(1);

/// Nothing is kept longer; a server refuses what is beyond its clock.
const KEEP_LIMIT: Duration = Duration::from_hours(10 * 365 * 24);

/// The live state does not answer, or not in time; or what it should keep is too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    pub(crate) fn full(what: &str) -> Self {
        Self(format!("{what} is full"))
    }

    fn check(value: &[u8], limit: usize) -> Result<(), Self> {
        if value.len() > limit {
            return Err(Self(format!("a value of more than {limit} bytes")));
        }
        Ok(())
    }
}

/// As it is kept: JSON, within the limit.
fn encode(value: &impl Serialize, limit: usize) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_vec(value).map_err(|error| Error(error.to_string()))?;
    Error::check(&text, limit)?;
    Ok(text)
}

/// What a document is about. Each is in a slot of its own of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The player's session: written only by the lobby that has the socket.
    Player(PlayerId),
    /// What the player's client said for matchmaking: latencies and attributes.
    Profile(PlayerId),
    /// How tickets of a queue wait, as its owner says.
    Queue(String),
    /// What the player waits for: which ticket, in which queue. A player has one at most.
    Seat(PlayerId),
    /// The player's party and lobby, which the rooms themselves confirm.
    Rooms(PlayerId),
    /// A party or a lobby.
    Room(RoomId),
    /// The room that a code leads to.
    Code(String),
    /// The first answer to a call with an idempotency key, by the hash of player and key.
    Answered([u8; 32]),
    /// A rate, by the hash of who and what.
    Rate([u8; 32]),
    /// What the player's refused messages have come to.
    Strikes(PlayerId),
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, hash) = match self {
            Self::Player(player) => return write!(formatter, "lobby:player:{{{player}}}"),
            Self::Profile(player) => return write!(formatter, "lobby:profile:{{{player}}}"),
            Self::Queue(name) => return write!(formatter, "lobby:waits:{{{name}}}"),
            Self::Seat(player) => return write!(formatter, "lobby:seat:{{{player}}}"),
            Self::Rooms(player) => return write!(formatter, "lobby:rooms:{{{player}}}"),
            Self::Room(room) => return write!(formatter, "lobby:room:{{{room}}}"),
            Self::Code(code) => return write!(formatter, "lobby:code:{{{code}}}"),
            Self::Strikes(player) => return write!(formatter, "lobby:strikes:{{{player}}}"),
            Self::Answered(hash) => ("answered", hash),
            Self::Rate(hash) => ("rate", hash),
        };
        write!(formatter, "lobby:{kind}:{{")?;
        for byte in hash {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str("}")
    }
}

/// A document and how often it was written. Versions begin at 1; those of one that was removed go on
/// where it is written again within [`REMEMBERED`], so that whoever read the former does not change
/// the latter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its content.
    pub value: Vec<u8>,
    /// Grows by one with each write.
    pub version: u64,
}

/// A guarded write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written, and has this version now.
    Version(u64),
    /// Somebody else was faster: it has this version, or there is none at 0.
    Conflict(u64),
}

/// The right to decide about something for a while. It grows whenever somebody takes the right who
/// did not have it the moment before, so that what a former holder does late is refused.
///
/// It is the time in milliseconds, or one more than the last where that is greater. So it grows also
/// when the live state has lost everything: a holder from before can never have the fence of one
/// after, as long as the clocks of nodes that replace each other differ by less than it takes to
/// replace them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// Where in a queue's news somebody is: opaque, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub String);

/// What happened in a queue.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum QueueNews {
    /// A ticket came, or came back.
    Entered(Ticket),
    /// A ticket's players do not want to play any more.
    Left(TicketId),
    /// A player answered the proposal of a match.
    Answered {
        /// Which match.
        id: MatchId,
        /// Who.
        player: PlayerId,
        /// Whether the player wants to play.
        accepts: bool,
    },
}

/// A match that was proposed and is not committed yet, as it is kept beside the tickets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The request id of its allocation.
    pub id: MatchId,
    /// Where.
    pub region: String,
    /// By team.
    pub teams: Vec<Vec<Ticket>>,
    /// Until when players may accept; none when nobody is asked.
    pub accept_until: Option<Timestamp>,
    /// Who has accepted.
    pub accepted: Vec<PlayerId>,
    /// When it was proposed.
    pub proposed_at: Timestamp,
}

/// Everything of a queue, for a new owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Tickets that wait, and are in no match.
    pub tickets: Vec<Ticket>,
    /// Matches that are not committed.
    pub pending: Vec<Pending>,
    /// News from here on are not in the above.
    pub cursor: Cursor,
}

/// A write by a queue's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// It was done.
    Done,
    /// Somebody else owns the queue by now.
    Fenced,
    /// These tickets do not wait any more; nothing was done.
    Missing(Vec<TicketId>),
}

/// What became of a ticket that its players take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It is gone.
    Gone,
    /// There was none.
    Unknown,
    /// It is in a match that was proposed: answer that instead.
    Proposed(MatchId),
}

/// Where news go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// The lobby that has this player's socket.
    Player(PlayerId),
    /// Whoever has sockets that joined this channel of the chat.
    Chat(String),
    /// Whoever follows the presence of this player.
    Presence(PlayerId),
}

impl Pending {
    /// Its tickets.
    pub fn tickets(&self) -> impl Iterator<Item = TicketId> {
        self.teams.iter().flatten().map(|ticket| ticket.id)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Player(player) => write!(formatter, "lobby:to:{{{player}}}"),
            Self::Chat(name) => write!(formatter, "lobby:chat:{{{name}}}"),
            Self::Presence(player) => write!(formatter, "lobby:presence:{{{player}}}"),
        }
    }
}

impl Channel {
    /// The channel of this name.
    fn parse(name: &str) -> Option<Self> {
        let (kind, rest) = name.strip_prefix("lobby:")?.split_once(":{")?;
        let about = rest.strip_suffix('}')?;
        match kind {
            "to" => about.parse().ok().map(Self::Player),
            "chat" => Some(Self::Chat(about.to_owned())),
            "presence" => about.parse().ok().map(Self::Presence),
            _ => None,
        }
    }
}

/// What came over a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A message.
    Message {
        /// Where it came.
        channel: Channel,
        /// What was published.
        bytes: std::sync::Arc<[u8]>,
    },
    /// Messages may have been missed: the connection was gone for a while.
    Missed,
}

/// The live state.
#[async_trait]
pub trait Live: fmt::Debug + Send + Sync {
    /// Whether it answers.
    async fn ping(&self) -> Result<(), Error>;

    // ---- Documents ----

    /// A document as it is.
    async fn read(&self, key: &Key) -> Result<Option<Document>, Error>;

    /// Writes a document if it still has this version (0: if there is none), and keeps it for
    /// `keep` from now.
    async fn write(
        &self,
        key: &Key,
        expected: u64,
        value: &[u8],
        keep: Duration,
    ) -> Result<Written, Error>;

    /// Removes a document if it still has this version. False when it has another, or is gone.
    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error>;

    /// Keeps documents for `keep` from now; those that are gone stay gone.
    async fn touch(&self, keys: &[Key], keep: Duration) -> Result<(), Error>;

    /// At most `burst` at once, and then one in `period`. How long to wait when there were more.
    async fn throttle(
        &self,
        key: &Key,
        burst: u32,
        period: Duration,
    ) -> Result<Option<Duration>, Error>;

    // ---- Sets whose members pass ----

    /// Puts a member into a set for `keep` from now, or takes it out when that is zero. A set has
    /// 100,000 members at most; more are refused.
    async fn mark(&self, set: &str, member: &str, keep: Duration) -> Result<(), Error>;

    /// At most `limit` members of a set, those that were marked last first.
    async fn marked(&self, set: &str, limit: usize) -> Result<Vec<String>, Error>;

    // ---- Leases ----

    /// Takes the lease of this name for `keep` from now, or renews it. None when somebody else has
    /// it. The fence stays while it is renewed in time, and grows else.
    async fn lease(&self, name: &str, holder: Uuid, keep: Duration)
    -> Result<Option<Fence>, Error>;

    /// Gives the lease back, if `holder` has it.
    async fn release(&self, name: &str, holder: Uuid) -> Result<(), Error>;

    // ---- Queues: all of one queue is in one slot ----

    /// The lease of a queue's owner; its fence guards [`propose`](Self::propose) and what follows.
    /// An owner that gets another fence than before was none for a while, and loads again.
    async fn own(&self, queue: &str, holder: Uuid, keep: Duration) -> Result<Option<Fence>, Error>;

    /// Gives the queue back.
    async fn disown(&self, queue: &str, holder: Uuid) -> Result<(), Error>;

    /// Puts a ticket into a queue and tells its owner. Nothing happens when the queue has it already,
    /// waiting or in a match.
    async fn enter(&self, queue: &str, ticket: &Ticket) -> Result<(), Error>;

    /// Takes a ticket that waits out, and tells the owner.
    async fn withdraw(&self, queue: &str, ticket: TicketId) -> Result<Withdrawn, Error>;

    /// Tells the owner what a player says to a proposal; nobody, if there is no such match.
    async fn answer(
        &self,
        queue: &str,
        id: MatchId,
        player: PlayerId,
        accepts: bool,
    ) -> Result<(), Error>;

    /// Everything, for a new owner.
    async fn load(&self, queue: &str) -> Result<Loaded, Error>;

    /// News after `cursor`, at most `limit` of them, waiting up to `patience` for the first. Moves
    /// the cursor. `None` when news after the cursor are no longer kept: load again.
    async fn news(
        &self,
        queue: &str,
        cursor: &mut Cursor,
        limit: usize,
        patience: Duration,
    ) -> Result<Option<Vec<QueueNews>>, Error>;

    /// Makes waiting tickets part of a match, all or none. Done too when there is that match
    /// already.
    async fn propose(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error>;

    /// Notes the match as it is by now: who has accepted. `Missing` (of nothing) when there is no
    /// such match.
    async fn amend(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error>;

    /// Ends a pending match: tickets in `back` wait again, as they were, and the owner hears of
    /// them as `Entered`; the others are forgotten. Done too when there is no such match.
    async fn settle(
        &self,
        queue: &str,
        fence: Fence,
        id: MatchId,
        back: &[TicketId],
    ) -> Result<Owned, Error>;

    // ---- News ----

    /// Hears a channel from now on.
    async fn subscribe(&self, channel: &Channel) -> Result<(), Error>;

    /// Hears it no more.
    async fn unsubscribe(&self, channel: &Channel) -> Result<(), Error>;

    /// Tells everybody who hears the channel, this process too. At most once: nobody may hear.
    async fn publish(&self, channel: &Channel, bytes: &[u8]) -> Result<(), Error>;

    /// What comes over the channels that this process hears. Who lags behind misses some.
    fn deliveries(&self) -> broadcast::Receiver<Delivery>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_channels_have_a_slot_of_their_own() {
        let id = Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);
        let names: Vec<String> = [
            Key::Player(PlayerId(id)),
            Key::Seat(PlayerId(id)),
            Key::Rooms(PlayerId(id)),
            Key::Room(RoomId(id)),
            Key::Code("ABCDEF".to_owned()),
            Key::Answered([0xab; 32]),
            Key::Rate([1; 32]),
        ]
        .iter()
        .map(Key::to_string)
        .collect();
        expect_test::expect![[r#"
            [
                "lobby:player:{11112222-3333-4444-5555-666677778888}",
                "lobby:seat:{11112222-3333-4444-5555-666677778888}",
                "lobby:rooms:{11112222-3333-4444-5555-666677778888}",
                "lobby:room:{11112222-3333-4444-5555-666677778888}",
                "lobby:code:{ABCDEF}",
                "lobby:answered:{abababababababababababababababababababababababababababababababab}",
                "lobby:rate:{0101010101010101010101010101010101010101010101010101010101010101}",
            ]
        "#]]
        .assert_debug_eq(&names);
    }

    #[test]
    fn channels_are_found_by_their_names() {
        let id = Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);
        let channels = [
            Channel::Player(PlayerId(id)),
            Channel::Chat("room:{}:".to_owned()),
            Channel::Presence(PlayerId(id)),
        ];
        for channel in channels {
            assert_eq!(Channel::parse(&channel.to_string()), Some(channel));
        }
        for name in [
            "lobby:to:{none}",
            "lobby:chat:{open",
            "lobby:other:{a}",
            "x",
        ] {
            assert_eq!(Channel::parse(name), None, "{name}");
        }
    }
}
