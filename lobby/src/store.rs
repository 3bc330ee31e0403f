//! What must not be lost: matches with their results, ratings, chat, mutes and the audit log.
//!
//! PostgreSQL in production, SQLite for one process; one contract holds both
//! (`lobby/tests/store`). Acknowledged means written.
//!
//! Texts are kept as they are but for U+0000, which PostgreSQL cannot hold: both databases keep
//! U+FFFD in its place, as text in HTML does. Times are kept to the microsecond.

mod ending;
pub mod postgres;
mod rows;
pub mod sqlite;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{MatchId, PlayerId};
use crate::ratings::Rating;

/// A list has so many rows at most, whatever is asked for.
pub const MOST: usize = 1_000;

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer, or not in time: what the call did is unknown.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// It answered what it should not.
    #[error("the database answered with what makes no sense: {0}")]
    Defect(String),
}

impl From<storage::sql::Error> for Error {
    fn from(error: storage::sql::Error) -> Self {
        match error {
            storage::sql::Error::Unavailable(cause) => Self::Unavailable(cause),
            storage::sql::Error::Corrupt(cause) => Self::Defect(cause),
        }
    }
}

/// A player's rating in one queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rated {
    /// The rating.
    pub rating: Rating,
    /// How many matches made it.
    pub matches: u32,
}

/// Where a match is played.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// The namespace of the allocation.
    pub namespace: String,
    /// The game server's name.
    pub name: String,
    /// "203.0.113.7:7012": where players connect.
    pub endpoint: String,
}

/// A seat of a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// Who.
    pub player: PlayerId,
    /// The session that the player had when the match was made: `session_key` for game servers.
    pub session: access::SessionId,
    /// Which team, from 0.
    pub team: u16,
    /// 1 for the best; none without a result.
    pub rank: Option<u16>,
    /// Before and after the match; none without a result.
    pub ratings: Option<(f64, f64)>,
}

/// How a match stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchStatus {
    /// It has a server.
    Started,
    /// It is over, with a result.
    Ended,
    /// Its server is gone without a result.
    Lost,
}

/// A match.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Its id.
    pub id: MatchId,
    /// Of which queue.
    pub queue: String,
    /// Where.
    pub region: String,
    /// On which server.
    pub server: Server,
    /// Whether its result counts for ratings: those whom the matchmaker brought together did not
    /// choose each other.
    pub is_rated: bool,
    /// How it stands.
    pub status: MatchStatus,
    /// When it was committed.
    pub made_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// As the game server reported it.
    pub result: Option<Value>,
    /// In order of team, then as they were seated.
    pub seats: Vec<Seat>,
}

/// A match was committed, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is a fact now.
    Made,
    /// It was already.
    Known,
    /// These players are in another match, or seated twice; in order of id. Nothing was written.
    Busy(Vec<PlayerId>),
}

/// How a match ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// As reported; none when the server was lost.
    pub result: Option<Value>,
    /// The ranks of the teams, where they count for ratings.
    pub ranks: Option<Vec<usize>>,
    /// What players have before it who have no rating in the queue.
    pub newcomer: Rating,
}

impl Ending {
    /// How the match stands then.
    pub const fn status(&self) -> MatchStatus {
        match self.result {
            Some(_) => MatchStatus::Ended,
            None => MatchStatus::Lost,
        }
    }
}

/// The ratings of a match's teams after it, from those before it; newcomers have played no match.
/// `None` leaves them.
pub type Rate<'a> = dyn Fn(&[Vec<Rated>], &[usize]) -> Option<Vec<Vec<Rating>>> + Send + Sync + 'a;

/// A line of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Which channel.
    pub channel: String,
    /// Counts the channel's lines from 1.
    pub number: u64,
    /// Who wrote it.
    pub player: PlayerId,
    /// What; empty when it was deleted.
    pub text: String,
    /// When.
    pub sent_at: Timestamp,
    /// When it was changed last.
    pub edited_at: Option<Timestamp>,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

/// A line that somebody wants moderators to see, with what stood around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who reports it.
    pub by: PlayerId,
    /// Which channel.
    pub channel: String,
    /// Which line.
    pub number: u64,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The lines around it as they were then.
    pub evidence: Value,
}

/// A player who may not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Who.
    pub player: PlayerId,
    /// Until when.
    pub until: Timestamp,
    /// By which moderator; none when rules did it.
    pub by: Option<PlayerId>,
    /// Why.
    pub reason: String,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// When.
    pub at: Timestamp,
    /// Who did it; none when the lobby did.
    pub actor: Option<PlayerId>,
    /// To whom.
    pub subject: Option<PlayerId>,
    /// "mute", "unmute", "delete_chat", "report", "refuse_result", ...
    pub event: &'static str,
    /// More: an object without secrets.
    pub detail: Value,
}

/// The store.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Whether it answers.
    async fn ping(&self) -> Result<(), Error>;

    // ---- Ratings ----

    /// The ratings of players in a queue; those who have none are missing.
    async fn ratings(
        &self,
        queue: &str,
        players: &[PlayerId],
    ) -> Result<BTreeMap<PlayerId, Rated>, Error>;

    /// A player's ratings in all queues.
    async fn ratings_of(&self, player: PlayerId) -> Result<BTreeMap<String, Rated>, Error>;

    // ---- Matches ----

    /// Makes a match a fact. A player is in one match that has not ended at most.
    async fn commit(&self, made: &Match) -> Result<Committed, Error>;

    /// A match.
    async fn find(&self, id: MatchId) -> Result<Option<Match>, Error>;

    /// The match that a player is in.
    async fn open_match(&self, player: PlayerId) -> Result<Option<Match>, Error>;

    /// Those of these players who are in a match, in order of id.
    async fn busy(&self, players: &[PlayerId]) -> Result<Vec<PlayerId>, Error>;

    /// Matches that have not ended, in order of id from after `after` on, at most `limit` and
    /// [`MOST`].
    async fn open_matches(&self, after: Option<MatchId>, limit: usize)
    -> Result<Vec<Match>, Error>;

    /// A player's matches, newest first, from before `before` on, at most `limit` and [`MOST`].
    async fn matches_of(
        &self,
        player: PlayerId,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Vec<Match>, Error>;

    /// Ends a match and rates its players, once: in one transaction that holds the ratings. The
    /// match as it is then; none when it had ended before, or there is none.
    async fn end(
        &self,
        id: MatchId,
        ending: &Ending,
        rate: &Rate<'_>,
    ) -> Result<Option<Match>, Error>;

    // ---- Chat ----

    /// Adds a line, and gives it the channel's next number.
    async fn add_line(
        &self,
        channel: &str,
        player: PlayerId,
        text: &str,
        at: Timestamp,
    ) -> Result<ChatLine, Error>;

    /// A line.
    async fn line(&self, channel: &str, number: u64) -> Result<Option<ChatLine>, Error>;

    /// Lines before `before` (the newest when none), oldest first, at most `limit` and [`MOST`].
    async fn lines(
        &self,
        channel: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ChatLine>, Error>;

    /// Replaces the text of a line, or deletes it when there is none. The line as it is then; none
    /// when there is no such line, or it was deleted before.
    async fn change_line(
        &self,
        channel: &str,
        number: u64,
        text: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<ChatLine>, Error>;

    /// Forgets lines that were sent before `before`, at most `limit`; how many. Numbers go on.
    async fn forget_lines(&self, before: Timestamp, limit: usize) -> Result<usize, Error>;

    /// Notes a report, once for each line and reporter. False when there was one.
    async fn report(&self, report: &Report) -> Result<bool, Error>;

    /// Mutes a player from now on; the new mute replaces the old one. Ends it when `until` has
    /// passed.
    async fn mute(&self, mute: &Mute) -> Result<(), Error>;

    /// The mute that a player is under.
    async fn mute_of(&self, player: PlayerId, now: Timestamp) -> Result<Option<Mute>, Error>;

    // ---- Audit ----

    /// Adds a line to the audit log.
    async fn audit(&self, line: &AuditLine) -> Result<(), Error>;

    /// Forgets lines of the audit log that are older than `age`, at most `limit`; how many.
    async fn forget_audit(
        &self,
        now: Timestamp,
        age: Duration,
        limit: usize,
    ) -> Result<usize, Error>;
}
