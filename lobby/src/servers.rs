//! Game servers for matches: the allocation API as the lobby uses it.

pub mod grpc;
pub mod none;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::ids::{MatchId, PlayerId};
use crate::store::Server;

/// A server is wanted for a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The request id: the same match gets the same server, however often it is asked for.
    pub id: MatchId,
    /// The namespace of the servers.
    pub namespace: String,
    /// Tried in order: labels that a server must have.
    pub selectors: Vec<std::collections::BTreeMap<String, String>>,
    /// Who plays.
    pub players: Vec<Player>,
    /// Labels and annotations for the server: queue and region.
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// A player of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Who.
    pub id: PlayerId,
    /// Which team, from 0.
    pub team: u16,
    /// The player's trace, as `traceparent`; empty without one.
    pub trace_context: String,
}

/// A right to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose.
    pub player: PlayerId,
    /// A connect token of netcode 1.02.
    pub connect_token: Vec<u8>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("player", &self.player)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A server that a match has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Which one.
    pub server: Server,
    /// One for each player, in order; empty for servers that take none.
    pub tokens: Vec<Token>,
}

/// There is no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// None is free that fits.
    #[error("no server is free")]
    NoServer,
    /// The match has none, or it is over.
    #[error("there is no such allocation")]
    Unknown,
    /// The allocator refuses the request: it will not help to repeat it.
    #[error("the allocator refuses: {0}")]
    Refused(String),
    /// The allocator does not answer; what it did is unknown.
    #[error("the allocator does not answer: {0}")]
    Unavailable(String),
}

/// What became of a match's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there and plays, or has ended with this result (JSON; empty without one).
    Allocation {
        /// The match.
        id: MatchId,
        /// Whether it has ended.
        has_ended: bool,
        /// As the game server reported it; empty without a result.
        result: String,
    },
    /// Every allocation that there is has been told: matches that were not, have ended.
    Synced,
}

/// The allocator.
#[async_trait]
pub trait Servers: fmt::Debug + Send + Sync {
    /// Gives a server to a match.
    async fn allocate(&self, wanted: &Wanted) -> Result<Allocated, Error>;

    /// New tokens for players of a match.
    async fn mint(
        &self,
        namespace: &str,
        id: MatchId,
        players: &[Player],
    ) -> Result<Vec<Token>, Error>;

    /// Gives a server back. Done when there is none.
    async fn release(&self, namespace: &str, id: MatchId) -> Result<(), Error>;

    /// Follows the allocations of a namespace until the stream ends; requests of others are left
    /// out.
    async fn watch(
        &self,
        namespace: &str,
    ) -> Result<BoxStream<'static, Result<Change, Error>>, Error>;

    /// How long a token is good for.
    fn token_lifetime(&self) -> Duration;
}
