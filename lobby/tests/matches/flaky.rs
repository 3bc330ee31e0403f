//! A store that is away, or that does what it is told and then does not say so.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lobby::ids::{MatchId, PlayerId};
use lobby::store::{
    AuditLine, ChatLine, Committed, Ending, Error, Match, Mute, Rate, Rated, Report, Store,
};

/// How it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not at all.
    #[default]
    None,
    /// It does nothing.
    Away,
    /// It commits and ends matches, and its answer is lost.
    Mute,
}

#[derive(Debug)]
pub(crate) struct Flaky<Inner> {
    inner: Inner,
    fault: Mutex<Fault>,
    /// Calls that failed.
    failed: Mutex<usize>,
}

impl<Inner> Flaky<Inner> {
    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
        *self.failed.lock().unwrap() = 0;
    }

    pub(crate) fn failed(&self) -> usize {
        *self.failed.lock().unwrap()
    }

    fn check(&self, fails: impl FnOnce(Fault) -> bool) -> Result<(), Error> {
        if !fails(*self.fault.lock().unwrap()) {
            return Ok(());
        }
        *self.failed.lock().unwrap() += 1;
        Err(Error::Unavailable("it was told to fail".to_owned()))
    }
}

macro_rules! flaky_store {
    ($($name:ident($($argument:ident: $type:ty),*) -> $output:ty;)+) => {
        #[async_trait]
        impl<Inner: Store> Store for Flaky<Inner> {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$output, Error> {
                self.check(|fault| fault == Fault::Away)?;
                let answer = self.inner.$name($($argument),*).await;
                let writes = ["commit", "end"].contains(&stringify!($name));
                self.check(|fault| fault == Fault::Mute && writes)?;
                answer
            })+
        }
    };
}

flaky_store! {
    ping() -> ();
    ratings(queue: &str, players: &[PlayerId]) -> BTreeMap<PlayerId, Rated>;
    ratings_of(player: PlayerId) -> BTreeMap<String, Rated>;
    commit(made: &Match) -> Committed;
    find(id: MatchId) -> Option<Match>;
    open_match(player: PlayerId) -> Option<Match>;
    busy(players: &[PlayerId]) -> Vec<PlayerId>;
    open_matches(after: Option<MatchId>, limit: usize) -> Vec<Match>;
    matches_of(player: PlayerId, before: Option<MatchId>, limit: usize) -> Vec<Match>;
    end(id: MatchId, ending: &Ending, rate: &Rate<'_>) -> Option<Match>;
    add_line(channel: &str, player: PlayerId, text: &str, at: Timestamp) -> ChatLine;
    line(channel: &str, number: u64) -> Option<ChatLine>;
    lines(channel: &str, before: Option<u64>, limit: usize) -> Vec<ChatLine>;
    change_line(channel: &str, number: u64, text: Option<&str>, at: Timestamp) -> Option<ChatLine>;
    forget_lines(before: Timestamp, limit: usize) -> usize;
    report(report: &Report) -> bool;
    mute(mute: &Mute) -> ();
    mute_of(player: PlayerId, now: Timestamp) -> Option<Mute>;
    audit(line: &AuditLine) -> ();
    forget_audit(now: Timestamp, age: Duration, limit: usize) -> usize;
}
