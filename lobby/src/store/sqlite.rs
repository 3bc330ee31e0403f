//! SQLite: the embedded mode, without a server of databases.

mod audit;
mod chat;
mod matches;
mod ratings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqlitePool;

use super::rows;
use super::{
    AuditLine, ChatLine, Committed, Ending, Error, Match, Mute, Rate, Rated, Report, Store,
};
use crate::ids::{MatchId, PlayerId};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The store of the embedded mode.
pub struct Sqlite {
    pool: SqlitePool,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens a file, or makes it; its folder must exist.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let pool = storage::sqlite::open(path, &MIGRATIONS).await?;
        Ok(Self { pool })
    }

    /// One that is gone when it is dropped.
    pub async fn in_memory() -> Result<Self, Error> {
        let pool = storage::sqlite::in_memory(&MIGRATIONS).await?;
        Ok(Self { pool })
    }

    /// Closes the file when what is under way has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn answer<Output>(
    work: impl Future<Output = sqlx::Result<Output>> + Send,
) -> Result<Output, Error> {
    Ok(storage::sqlite::answer(work).await?)
}

#[async_trait]
impl Store for Sqlite {
    async fn ping(&self) -> Result<(), Error> {
        answer(async {
            sqlx::query("SELECT 1").fetch_one(&self.pool).await?;
            Ok(())
        })
        .await
    }

    async fn ratings(
        &self,
        queue: &str,
        players: &[PlayerId],
    ) -> Result<BTreeMap<PlayerId, Rated>, Error> {
        answer(async {
            let mut connection = self.pool.acquire().await?;
            ratings::of_players(&mut connection, queue, players).await
        })
        .await
    }

    async fn ratings_of(&self, player: PlayerId) -> Result<BTreeMap<String, Rated>, Error> {
        answer(ratings::of(&self.pool, player)).await
    }

    async fn commit(&self, made: &Match) -> Result<Committed, Error> {
        answer(matches::commit(&self.pool, made)).await
    }

    async fn find(&self, id: MatchId) -> Result<Option<Match>, Error> {
        answer(async {
            let mut connection = self.pool.acquire().await?;
            matches::find(&mut connection, id).await
        })
        .await
    }

    async fn open_match(&self, player: PlayerId) -> Result<Option<Match>, Error> {
        answer(matches::open_of(&self.pool, player)).await
    }

    async fn busy(&self, players: &[PlayerId]) -> Result<Vec<PlayerId>, Error> {
        answer(matches::busy(&self.pool, players)).await
    }

    async fn open_matches(
        &self,
        after: Option<MatchId>,
        limit: usize,
    ) -> Result<Vec<Match>, Error> {
        answer(matches::open(&self.pool, after, limit)).await
    }

    async fn matches_of(
        &self,
        player: PlayerId,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Vec<Match>, Error> {
        answer(matches::of(&self.pool, player, before, limit)).await
    }

    async fn end(
        &self,
        id: MatchId,
        ending: &Ending,
        rate: &Rate<'_>,
    ) -> Result<Option<Match>, Error> {
        answer(matches::end(&self.pool, id, ending, rate)).await
    }

    async fn add_line(
        &self,
        channel: &str,
        player: PlayerId,
        text: &str,
        at: Timestamp,
    ) -> Result<ChatLine, Error> {
        answer(chat::add(&self.pool, channel, player, text, at)).await
    }

    async fn line(&self, channel: &str, number: u64) -> Result<Option<ChatLine>, Error> {
        answer(chat::line(&self.pool, channel, number)).await
    }

    async fn lines(
        &self,
        channel: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ChatLine>, Error> {
        answer(chat::lines(&self.pool, channel, before, limit)).await
    }

    async fn change_line(
        &self,
        channel: &str,
        number: u64,
        text: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<ChatLine>, Error> {
        answer(chat::change(&self.pool, channel, number, text, at)).await
    }

    async fn forget_lines(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        answer(chat::forget(&self.pool, before, limit)).await
    }

    async fn report(&self, report: &Report) -> Result<bool, Error> {
        answer(chat::report(&self.pool, report)).await
    }

    async fn mute(&self, mute: &Mute) -> Result<(), Error> {
        answer(chat::mute(&self.pool, mute)).await
    }

    async fn mute_of(&self, player: PlayerId, now: Timestamp) -> Result<Option<Mute>, Error> {
        answer(chat::mute_of(&self.pool, player, now)).await
    }

    async fn audit(&self, line: &AuditLine) -> Result<(), Error> {
        answer(audit::add(&self.pool, line)).await
    }

    async fn forget_audit(
        &self,
        now: Timestamp,
        age: Duration,
        limit: usize,
    ) -> Result<usize, Error> {
        answer(audit::forget(&self.pool, rows::earlier(now, age), limit)).await
    }
}
