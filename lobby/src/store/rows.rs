//! What both databases share: values as columns hold them.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::{ChatLine, MOST, Match, MatchStatus, Mute, Rated, Seat, Server};
use crate::ids::{MatchId, PlayerId, SessionId};
use crate::ratings::Rating;

/// What a column holds that was never written.
#[derive(Debug, thiserror::Error)]
enum Corruption {
    #[error("{0} microseconds since 1970 are no time")]
    Time(i64),
    #[error("the status {0:?}")]
    Status(String),
    #[error("the number {0}")]
    Number(i64),
    #[error("a rating before a match without one after it")]
    Rating,
}

impl From<Corruption> for sqlx::Error {
    fn from(corruption: Corruption) -> Self {
        Self::Decode(Box::new(corruption))
    }
}

/// What makes no sense to write: a defect of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// Nobody could ever find it.
    #[error("a match without players")]
    Match,
    /// New ratings.
    #[error("ratings that do not fit the match, or are no numbers")]
    Ratings,
}

impl From<Unfit> for sqlx::Error {
    fn from(unfit: Unfit) -> Self {
        Self::Decode(Box::new(unfit))
    }
}

/// A text as columns hold it: PostgreSQL has no U+0000.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A time as columns hold it.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A time as it will be read again.
pub(super) fn timestamp(micros: i64) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|_| Corruption::Time(micros).into())
}

fn optional(micros: Option<i64>) -> sqlx::Result<Option<Timestamp>> {
    micros.map(timestamp).transpose()
}

/// The time so long before, or the first that there is.
pub(super) fn earlier(now: Timestamp, age: Duration) -> Timestamp {
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

/// How many rows a list has at most.
pub(super) fn page(limit: usize) -> i64 {
    amount(limit.min(MOST))
}

/// How many rows are meant. No table has as many as do not fit.
pub(super) fn amount(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// How many rows were changed.
pub(super) fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// The number of a line as columns hold it. There is no line of the number that does not fit.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned<Number: TryFrom<i64>>(number: impl Into<i64>) -> sqlx::Result<Number> {
    let number = number.into();
    Number::try_from(number).map_err(|_| Corruption::Number(number).into())
}

/// As in tables.
pub(super) const fn status_name(status: MatchStatus) -> &'static str {
    match status {
        MatchStatus::Started => "started",
        MatchStatus::Ended => "ended",
        MatchStatus::Lost => "lost",
    }
}

/// A seat with its match.
#[derive(FromRow)]
pub(super) struct MatchRow {
    pub(super) match_id: Uuid,
    pub(super) queue: String,
    pub(super) region: String,
    pub(super) namespace: String,
    pub(super) server: String,
    pub(super) endpoint: String,
    pub(super) is_rated: bool,
    pub(super) status: String,
    pub(super) made_at: i64,
    pub(super) ended_at: Option<i64>,
    #[sqlx(json(nullable))]
    pub(super) result: Option<Value>,
    pub(super) player_id: Uuid,
    pub(super) session_id: Uuid,
    pub(super) team: i32,
    pub(super) rank: Option<i32>,
    pub(super) rating_before: Option<f64>,
    pub(super) rating_after: Option<f64>,
}

impl MatchRow {
    fn seat(&self) -> sqlx::Result<Seat> {
        Ok(Seat {
            player: PlayerId(self.player_id),
            session: SessionId(self.session_id),
            team: unsigned(self.team)?,
            rank: self.rank.map(unsigned).transpose()?,
            ratings: match (self.rating_before, self.rating_after) {
                (Some(before), Some(after)) => Some((before, after)),
                (None, None) => None,
                _ => return Err(Corruption::Rating.into()),
            },
        })
    }
}

/// The match of a seat; its list of seats begins with it.
impl TryFrom<MatchRow> for Match {
    type Error = sqlx::Error;

    fn try_from(row: MatchRow) -> sqlx::Result<Self> {
        Ok(Self {
            seats: vec![row.seat()?],
            id: MatchId(row.match_id),
            queue: row.queue,
            region: row.region,
            server: Server {
                namespace: row.namespace,
                name: row.server,
                endpoint: row.endpoint,
            },
            is_rated: row.is_rated,
            status: match row.status.as_str() {
                "started" => MatchStatus::Started,
                "ended" => MatchStatus::Ended,
                "lost" => MatchStatus::Lost,
                _ => return Err(Corruption::Status(row.status).into()),
            },
            made_at: timestamp(row.made_at)?,
            ended_at: optional(row.ended_at)?,
            result: row.result,
        })
    }
}

/// Matches from their seats: those of one match come one after another.
pub(super) fn matches(rows: Vec<MatchRow>) -> sqlx::Result<Vec<Match>> {
    let mut matches: Vec<Match> = Vec::new();
    for row in rows {
        match matches.last_mut() {
            Some(last) if last.id.0 == row.match_id => last.seats.push(row.seat()?),
            _ => matches.push(row.try_into()?),
        }
    }
    Ok(matches)
}

/// A row of `ratings`.
#[derive(FromRow)]
pub(super) struct RatingRow {
    pub(super) player_id: Uuid,
    pub(super) queue: String,
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) volatility: f64,
    pub(super) matches: i64,
}

impl RatingRow {
    /// The rating with whose it is.
    pub(super) fn of_player(self) -> sqlx::Result<(PlayerId, Rated)> {
        Ok((PlayerId(self.player_id), self.rated()?))
    }

    /// The rating with the queue that it is in.
    pub(super) fn in_queue(self) -> sqlx::Result<(String, Rated)> {
        let rated = self.rated()?;
        Ok((self.queue, rated))
    }

    fn rated(&self) -> sqlx::Result<Rated> {
        Ok(Rated {
            rating: Rating {
                mean: self.mean,
                deviation: self.deviation,
                volatility: self.volatility,
            },
            matches: unsigned(self.matches)?,
        })
    }
}

/// A row of `chat_lines`.
#[derive(FromRow)]
pub(super) struct LineRow {
    pub(super) channel: String,
    pub(super) number: i64,
    pub(super) player_id: Uuid,
    pub(super) text: String,
    pub(super) sent_at: i64,
    pub(super) edited_at: Option<i64>,
    pub(super) is_deleted: bool,
}

impl TryFrom<LineRow> for ChatLine {
    type Error = sqlx::Error;

    fn try_from(row: LineRow) -> sqlx::Result<Self> {
        Ok(Self {
            channel: row.channel,
            number: unsigned(row.number)?,
            player: PlayerId(row.player_id),
            text: row.text,
            sent_at: timestamp(row.sent_at)?,
            edited_at: optional(row.edited_at)?,
            is_deleted: row.is_deleted,
        })
    }
}

/// Lines that were read backwards, oldest first.
pub(super) fn oldest_first(rows: Vec<LineRow>) -> sqlx::Result<Vec<ChatLine>> {
    rows.into_iter().rev().map(ChatLine::try_from).collect()
}

/// A row of `mutes`.
#[derive(FromRow)]
pub(super) struct MuteRow {
    pub(super) player_id: Uuid,
    pub(super) muted_until: i64,
    pub(super) moderator_id: Option<Uuid>,
    pub(super) reason: String,
}

impl TryFrom<MuteRow> for Mute {
    type Error = sqlx::Error;

    fn try_from(row: MuteRow) -> sqlx::Result<Self> {
        Ok(Self {
            player: PlayerId(row.player_id),
            until: timestamp(row.muted_until)?,
            by: row.moderator_id.map(PlayerId),
            reason: row.reason,
        })
    }
}
