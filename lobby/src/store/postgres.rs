//! PostgreSQL.
//!
//! Queries are checked when they are compiled, against `lobby/.sqlx`, which `cargo xtask codegen`
//! refreshes.

mod audit;
mod chat;
mod matches;
mod ratings;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use sqlx::query;
use storage::postgres::{Config, Database, InvalidUrl, Url};

use super::rows;
use super::{
    AuditLine, ChatLine, Committed, Ending, Error, Match, Mute, Rate, Rated, Report, Store,
};
use crate::ids::{MatchId, PlayerId};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The store of production. Its replica answers what players played, a moment late; never what is
/// so now.
#[derive(Debug)]
pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// Connects when it is needed. Must be called inside a runtime.
    pub fn new(config: Config) -> Result<Self, InvalidUrl> {
        let database = Database::new("muster-lobby", config)?;
        Ok(Self { database })
    }

    /// Makes the tables or brings them up to date. Any number of replicas may do so at once, but
    /// not through a pooler: `direct` leads past it.
    pub async fn migrate(&self, direct: Option<&Url>) -> Result<(), Error> {
        Ok(self.database.migrate(&MIGRATIONS, direct).await?)
    }

    /// The database, for its addresses and its end.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    async fn call<'a, Output, Work>(
        &'a self,
        work: impl Fn(&'a PgPool) -> Work + Send + Sync,
    ) -> Result<Output, Error>
    where
        Work: Future<Output = sqlx::Result<Output>> + Send,
    {
        Ok(self.database.call(work).await?)
    }
}

#[async_trait]
impl Store for Postgres {
    async fn ping(&self) -> Result<(), Error> {
        self.call(|pool| async move {
            query!("SELECT 1 AS one").fetch_one(pool).await?;
            Ok(())
        })
        .await
    }

    async fn ratings(
        &self,
        queue: &str,
        players: &[PlayerId],
    ) -> Result<BTreeMap<PlayerId, Rated>, Error> {
        self.call(|pool| ratings::of_players(pool, queue, players))
            .await
    }

    async fn ratings_of(&self, player: PlayerId) -> Result<BTreeMap<String, Rated>, Error> {
        self.call(|pool| ratings::of(pool, player)).await
    }

    async fn commit(&self, made: &Match) -> Result<Committed, Error> {
        self.call(|pool| matches::commit(pool, made)).await
    }

    async fn find(&self, id: MatchId) -> Result<Option<Match>, Error> {
        self.call(|pool| matches::find(pool, id)).await
    }

    async fn open_match(&self, player: PlayerId) -> Result<Option<Match>, Error> {
        self.call(|pool| matches::open_of(pool, player)).await
    }

    async fn busy(&self, players: &[PlayerId]) -> Result<Vec<PlayerId>, Error> {
        self.call(|pool| matches::busy(pool, players)).await
    }

    async fn open_matches(
        &self,
        after: Option<MatchId>,
        limit: usize,
    ) -> Result<Vec<Match>, Error> {
        self.call(|pool| matches::open(pool, after, limit)).await
    }

    async fn matches_of(
        &self,
        player: PlayerId,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Vec<Match>, Error> {
        let history = self
            .database
            .read(|pool| matches::of(pool, player, before, limit));
        Ok(history.await?)
    }

    async fn end(
        &self,
        id: MatchId,
        ending: &Ending,
        rate: &Rate<'_>,
    ) -> Result<Option<Match>, Error> {
        self.call(|pool| matches::end(pool, id, ending, rate)).await
    }

    async fn add_line(
        &self,
        channel: &str,
        player: PlayerId,
        text: &str,
        at: Timestamp,
    ) -> Result<ChatLine, Error> {
        self.call(|pool| chat::add(pool, channel, player, text, at))
            .await
    }

    async fn line(&self, channel: &str, number: u64) -> Result<Option<ChatLine>, Error> {
        self.call(|pool| chat::line(pool, channel, number)).await
    }

    async fn lines(
        &self,
        channel: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ChatLine>, Error> {
        self.call(|pool| chat::lines(pool, channel, before, limit))
            .await
    }

    async fn change_line(
        &self,
        channel: &str,
        number: u64,
        text: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<ChatLine>, Error> {
        self.call(|pool| chat::change(pool, channel, number, text, at))
            .await
    }

    async fn forget_lines(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        self.call(|pool| chat::forget(pool, before, limit)).await
    }

    async fn report(&self, report: &Report) -> Result<bool, Error> {
        self.call(|pool| chat::report(pool, report)).await
    }

    async fn mute(&self, mute: &Mute) -> Result<(), Error> {
        self.call(|pool| chat::mute(pool, mute)).await
    }

    async fn mute_of(&self, player: PlayerId, now: Timestamp) -> Result<Option<Mute>, Error> {
        self.call(|pool| chat::mute_of(pool, player, now)).await
    }

    async fn audit(&self, line: &AuditLine) -> Result<(), Error> {
        self.call(|pool| audit::add(pool, line)).await
    }

    async fn forget_audit(
        &self,
        now: Timestamp,
        age: Duration,
        limit: usize,
    ) -> Result<usize, Error> {
        let before = rows::earlier(now, age);
        self.call(|pool| audit::forget(pool, before, limit)).await
    }
}
