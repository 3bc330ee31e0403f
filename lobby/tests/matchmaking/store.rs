//! Matches in memory, at once: a database in another thread would be outrun by virtual time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lobby::ids::{MatchId, PlayerId};
use lobby::store::{
    AuditLine, ChatLine, Committed, Ending, Error, Match, MatchStatus, Mute, Rate, Rated, Report,
    Store,
};

#[derive(Debug, Default)]
pub(crate) struct Matches {
    matches: Mutex<BTreeMap<MatchId, Match>>,
    pub(crate) ratings: Mutex<BTreeMap<PlayerId, Rated>>,
}

impl Matches {
    pub(crate) fn all(&self) -> MutexGuard<'_, BTreeMap<MatchId, Match>> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All matches end.
    pub(crate) fn end_all(&self) {
        for of in self.all().values_mut() {
            of.status = MatchStatus::Ended;
        }
    }
}

fn unused<T>() -> Result<T, Error> {
    Err(Error::Defect(
        "matchmaking does not ask for this".to_owned(),
    ))
}

#[async_trait]
impl Store for Matches {
    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn ratings(
        &self,
        _: &str,
        players: &[PlayerId],
    ) -> Result<BTreeMap<PlayerId, Rated>, Error> {
        let ratings = self.ratings.lock().unwrap();
        let known = players.iter().filter_map(|player| {
            let rated = ratings.get(player)?;
            Some((*player, *rated))
        });
        Ok(known.collect())
    }

    async fn commit(&self, made: &Match) -> Result<Committed, Error> {
        if self.all().contains_key(&made.id) {
            return Ok(Committed::Known);
        }
        let players: Vec<PlayerId> = made.seats.iter().map(|seat| seat.player).collect();
        let busy = self.busy(&players).await?;
        if !busy.is_empty() {
            return Ok(Committed::Busy(busy));
        }
        self.all().insert(made.id, made.clone());
        Ok(Committed::Made)
    }

    async fn find(&self, id: MatchId) -> Result<Option<Match>, Error> {
        Ok(self.all().get(&id).cloned())
    }

    async fn busy(&self, players: &[PlayerId]) -> Result<Vec<PlayerId>, Error> {
        let matches = self.all();
        let open = matches
            .values()
            .filter(|of| of.status == MatchStatus::Started);
        let seated: Vec<PlayerId> = open
            .flat_map(|of| &of.seats)
            .map(|seat| seat.player)
            .collect();
        let busy = players.iter().filter(|player| seated.contains(player));
        Ok(busy.copied().collect())
    }

    async fn ratings_of(&self, _: PlayerId) -> Result<BTreeMap<String, Rated>, Error> {
        unused()
    }

    async fn open_match(&self, _: PlayerId) -> Result<Option<Match>, Error> {
        unused()
    }

    async fn open_matches(&self, _: Option<MatchId>, _: usize) -> Result<Vec<Match>, Error> {
        unused()
    }

    async fn matches_of(
        &self,
        _: PlayerId,
        _: Option<MatchId>,
        _: usize,
    ) -> Result<Vec<Match>, Error> {
        unused()
    }

    async fn end(&self, _: MatchId, _: &Ending, _: &Rate<'_>) -> Result<Option<Match>, Error> {
        unused()
    }

    async fn add_line(
        &self,
        _: &str,
        _: PlayerId,
        _: &str,
        _: Timestamp,
    ) -> Result<ChatLine, Error> {
        unused()
    }

    async fn line(&self, _: &str, _: u64) -> Result<Option<ChatLine>, Error> {
        unused()
    }

    async fn lines(&self, _: &str, _: Option<u64>, _: usize) -> Result<Vec<ChatLine>, Error> {
        unused()
    }

    async fn change_line(
        &self,
        _: &str,
        _: u64,
        _: Option<&str>,
        _: Timestamp,
    ) -> Result<Option<ChatLine>, Error> {
        unused()
    }

    async fn forget_lines(&self, _: Timestamp, _: usize) -> Result<usize, Error> {
        unused()
    }

    async fn report(&self, _: &Report) -> Result<bool, Error> {
        unused()
    }

    async fn mute(&self, _: &Mute) -> Result<(), Error> {
        unused()
    }

    async fn mute_of(&self, _: PlayerId, _: Timestamp) -> Result<Option<Mute>, Error> {
        unused()
    }

    async fn audit(&self, _: &AuditLine) -> Result<(), Error> {
        unused()
    }

    async fn forget_audit(&self, _: Timestamp, _: Duration, _: usize) -> Result<usize, Error> {
        unused()
    }
}
