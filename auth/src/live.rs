//! What must be quick and may be lost: cached sessions, rates, things that are good once, and news
//! for the other replicas.
//!
//! Valkey in production, memory in the embedded mode. Whoever calls decides what its loss means:
//! rates fall back to the process's own, sessions to the store, and what is good once is refused.

pub mod gcra;
mod hub;
pub mod memory;
pub mod valkey;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::{PlayerId, SessionId};

pub use storage::valkey::Error;

fn too_large() -> Error {
    Error(format!("a value of more than {VALUE_LIMIT} bytes"))
}

/// The largest value.
pub const VALUE_LIMIT: usize = 64 * 1024;

/// What a key is about. Keys of one player share a slot of a cluster: the player's id is their
/// hash tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A session that is live: `session:{<player>}:<session>`.
    Session(PlayerId, SessionId),
    /// How often sessions of a player were forgotten: `mark:{<player>}`.
    Mark(PlayerId),
    /// A reconnection token, by its id: `reconnection:{<player>}:<id>`.
    Reconnection(PlayerId, uuid::Uuid),
    /// Something that one client holds until its next step, by the hash of its handle:
    /// `step:{<hash>}`. Second steps of a login, sign-ins at a provider, passkey ceremonies.
    Step([u8; 32]),
    /// Something that may happen once: `once:{<hash>}`. Ids of DPoP proofs, connects, codes.
    Once([u8; 32]),
    /// The failures of one account from one place: `failures:{<hash>}`.
    Failures([u8; 32]),
    /// A rate: `rate:{<hash>}`.
    Rate([u8; 32]),
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, hash) = match self {
            Self::Session(player, session) => {
                return write!(formatter, "session:{{{player}}}:{session}");
            }
            Self::Mark(player) => return write!(formatter, "mark:{{{player}}}"),
            Self::Reconnection(player, id) => {
                return write!(formatter, "reconnection:{{{player}}}:{id}");
            }
            Self::Step(hash) => ("step", hash),
            Self::Once(hash) => ("once", hash),
            Self::Failures(hash) => ("failures", hash),
            Self::Rate(hash) => ("rate", hash),
        };
        write!(formatter, "{kind}:{{")?;
        for byte in hash {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str("}")
    }
}

/// At most `burst` at once, and then one in `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once; at least 1.
    pub burst: u32,
    /// The time in which one more may come.
    pub period: Duration,
}

/// The answer of a rate limit: the five numbers of redis-cell's `CL.THROTTLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// The attempt is over the limit and was not counted.
    pub limited: bool,
    /// The most that may come at once.
    pub limit: u32,
    /// How many more may come now.
    pub remaining: u32,
    /// When the next may come; zero unless limited.
    pub retry_after: Duration,
    /// When the limit is as if nothing had come.
    pub reset_after: Duration,
}

/// News that every replica must hear within a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// A session ended, or all of a player's.
    Revoked(Revocation),
    /// Rights or data of a player changed: `user_data_update`.
    PlayerChanged {
        /// Who.
        user_id: PlayerId,
        /// The new data: a JSON object.
        user_data: serde_json::Value,
        /// The new rights.
        roles: Vec<String>,
    },
    /// Signing keys changed; the store has them.
    KeysChanged,
    /// News may have been missed, whatever they were. It is told within a process alone.
    #[serde(skip)]
    Missed,
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its value, if it was put and neither forgotten nor lost.
    pub value: Option<Vec<u8>>,
    /// The mark of its player, which changes whenever sessions of the player are forgotten.
    pub mark: u64,
}

/// How long a mark is remembered: far longer than between a look at it and what is put by it.
const MARK: Duration = Duration::from_hours(1);

/// Access tokens that are void although their time is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its own id: news may come twice.
    pub id: uuid::Uuid,
    /// Whose.
    pub player: PlayerId,
    /// Which session; every one when absent.
    pub session: Option<SessionId>,
    /// Tokens issued up to then are void.
    pub at: jiff::Timestamp,
}

/// Receives news.
pub type NewsReceiver = tokio::sync::broadcast::Receiver<News>;

/// What is quick. Every call ends within the time limit of its implementation.
#[async_trait]
pub trait Live: fmt::Debug + Send + Sync {
    /// Remembers `value` for `lifetime`.
    async fn put(&self, key: &Key, value: &[u8], lifetime: Duration) -> Result<(), Error>;

    /// What is remembered.
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error>;

    /// What is remembered, for the last time: of any number of calls at once one gets it.
    async fn take(&self, key: &Key) -> Result<Option<Vec<u8>>, Error>;

    /// Forgets.
    async fn forget(&self, key: &Key) -> Result<(), Error>;

    /// Whether this is the first call for the key within `lifetime`.
    async fn once(&self, key: &Key, lifetime: Duration) -> Result<bool, Error>;

    /// Adds one to the count of a key, which is forgotten after `window` without one more; returns
    /// the new count.
    async fn count(&self, key: &Key, window: Duration) -> Result<u32, Error>;

    /// Takes one from the count of a key, if there is one; its window stays.
    async fn uncount(&self, key: &Key) -> Result<(), Error>;

    /// Counts one attempt against a rate.
    async fn throttle(&self, key: &Key, rate: Rate) -> Result<Throttle, Error>;

    /// A session (`Key::Session`), and by which mark it may be put when it is not there.
    async fn session(&self, player: PlayerId, session: SessionId) -> Result<Cached, Error>;

    /// Puts a session and notes it among its player's (`user:{<player>}:sessions`), unless sessions
    /// of the player were forgotten since `mark` was the player's: whoever read it elsewhere may
    /// have read what was changed since.
    async fn put_session(
        &self,
        player: PlayerId,
        session: SessionId,
        mark: u64,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), Error>;

    /// Forgets sessions of a player: those named, or all that are noted. None that was read before
    /// is put after.
    async fn forget_sessions(
        &self,
        player: PlayerId,
        sessions: Option<&[SessionId]>,
    ) -> Result<(), Error>;

    /// Tells every replica, this one included.
    async fn publish(&self, news: &News) -> Result<(), Error>;

    /// What is told from now on. After a connection broke, [`News::Missed`] comes when news are
    /// heard again.
    fn subscribe(&self) -> NewsReceiver;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_player_share_its_tag() {
        let id = uuid::Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);
        let names: Vec<String> = [
            Key::Session(PlayerId(id), SessionId(uuid::Uuid::nil())),
            Key::Mark(PlayerId(id)),
            Key::Reconnection(PlayerId(id), uuid::Uuid::nil()),
            Key::Step([0xab; 32]),
            Key::Once([1; 32]),
            Key::Failures([2; 32]),
            Key::Rate([3; 32]),
        ]
        .iter()
        .map(Key::to_string)
        .collect();
        expect_test::expect![[r#"
            [
                "session:{11112222-3333-4444-5555-666677778888}:00000000-0000-0000-0000-000000000000",
                "mark:{11112222-3333-4444-5555-666677778888}",
                "reconnection:{11112222-3333-4444-5555-666677778888}:00000000-0000-0000-0000-000000000000",
                "step:{abababababababababababababababababababababababababababababababab}",
                "once:{0101010101010101010101010101010101010101010101010101010101010101}",
                "failures:{0202020202020202020202020202020202020202020202020202020202020202}",
                "rate:{0303030303030303030303030303030303030303030303030303030303030303}",
            ]
        "#]]
        .assert_debug_eq(&names);
    }
}
