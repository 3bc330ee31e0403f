//! What a watch has told of the allocations of a namespace, and what follows from it for a match.
//! Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::ids::MatchId;
use crate::store::Match;

/// Allocations as they were told.
#[derive(Debug)]
pub(super) struct Known {
    told: BTreeMap<MatchId, Told>,
    grace: SignedDuration,
    patience: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Plays,
    Ended {
        /// Empty without one.
        result: String,
        since: Instant,
    },
}

/// How it stands with a match that goes on in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its server plays, or nobody can know yet.
    Plays,
    /// Its server ends, and may still report.
    Soon,
    /// It is over: with this report, or lost when that is empty.
    Ended(String),
}

impl Known {
    /// Nothing yet. A match that is not told of is lost when it is older than `grace`; a server that
    /// ends has `patience` to report.
    pub(super) fn new(grace: SignedDuration, patience: Duration) -> Self {
        Self {
            told: BTreeMap::new(),
            grace,
            patience,
        }
    }

    /// The server of a match plays.
    pub(super) fn plays(&mut self, id: MatchId) {
        self.told.insert(id, Told::Plays);
    }

    /// The server of a match has ended. A result is not forgotten when that is told again.
    pub(super) fn ended(&mut self, id: MatchId, result: &str, now: Instant) {
        let told = self.told.entry(id).or_insert(Told::Plays);
        match told {
            Told::Ended { result: known, .. } if result.is_empty() || !known.is_empty() => {}
            Told::Ended { result: known, .. } => result.clone_into(known),
            Told::Plays => {
                *told = Told::Ended {
                    result: result.to_owned(),
                    since: now,
                };
            }
        }
    }

    /// How it stands with a match, after everything has been told.
    pub(super) fn verdict(&self, open: &Match, now: (Timestamp, Instant)) -> Verdict {
        let (now, instant) = now;
        match self.told.get(&open.id) {
            Some(Told::Plays) => Verdict::Plays,
            Some(Told::Ended { result, since })
                if result.is_empty() && instant.duration_since(*since) < self.patience =>
            {
                Verdict::Soon
            }
            Some(Told::Ended { result, .. }) => Verdict::Ended(result.clone()),
            None if now.duration_since(open.made_at) < self.grace => Verdict::Plays,
            None => Verdict::Ended(String::new()),
        }
    }

    /// Forgets what has ended, was there long enough to be asked for, and is in no open match: call
    /// it after all of them were looked at and ended.
    pub(super) fn forget(&mut self, now: Instant) {
        let grace = self.grace.unsigned_abs().max(self.patience);
        self.told.retain(|_, told| match told {
            Told::Plays => true,
            Told::Ended { since, .. } => now.duration_since(*since) < grace,
        });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::{MatchStatus, Server};

    const GRACE: SignedDuration = SignedDuration::from_secs(60);
    const PATIENCE: Duration = Duration::from_secs(15);

    fn open(age: SignedDuration, now: Timestamp) -> Match {
        Match {
            id: MatchId(Uuid::from_u128(1)),
            queue: "duel".to_owned(),
            region: "eu".to_owned(),
            server: Server {
                namespace: "games".to_owned(),
                name: "arena-1".to_owned(),
                endpoint: "203.0.113.7:7012".to_owned(),
            },
            is_rated: true,
            status: MatchStatus::Started,
            made_at: now - age,
            ended_at: None,
            result: None,
            seats: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_match_ends_when_its_server_has_and_had_time_to_report() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let young = open(SignedDuration::from_secs(59), now);
        let old = open(GRACE, now);
        let begin = Instant::now();
        let at = |seconds| (now, begin + Duration::from_secs(seconds));
        let lost = Verdict::Ended(String::new());

        let mut known = Known::new(GRACE, PATIENCE);
        assert_eq!(known.verdict(&young, at(0)), Verdict::Plays);
        assert_eq!(known.verdict(&old, at(0)), lost);
        known.plays(old.id);
        assert_eq!(known.verdict(&old, at(1000)), Verdict::Plays);

        known.ended(old.id, "", begin);
        known.ended(old.id, "", begin + PATIENCE);
        assert_eq!(known.verdict(&old, at(14)), Verdict::Soon);
        assert_eq!(known.verdict(&old, at(15)), lost);
        known.ended(old.id, "{}", begin);
        known.ended(old.id, "", begin);
        known.ended(old.id, "[]", begin);
        assert_eq!(known.verdict(&old, at(0)), Verdict::Ended("{}".to_owned()));

        known.forget(at(59).1);
        assert_eq!(known.verdict(&old, at(59)), Verdict::Ended("{}".to_owned()));
        known.forget(at(60).1);
        assert_eq!(known.verdict(&old, at(60)), lost);
        known.plays(old.id);
        known.forget(at(1000).1);
        assert_eq!(known.verdict(&old, at(1000)), Verdict::Plays);
    }
}
