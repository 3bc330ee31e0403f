//! Follows the servers of matches: how each match ends becomes a fact in the store, its players hear
//! of it, and auth learns that they play nowhere.
//!
//! One lobby follows, by a lease; were there two for a moment, the store ends a match once. It goes
//! by state and not by events: each sweep compares the matches that go on in the store with what the
//! watch has told (`Known`), so that whatever failed or was missed is done by the next one. What
//! comes after the store's word is done by marks in the live state, which stay until it is done.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use proto::muster::lobby::v1 as wire;
use runtime::backoff::Backoff;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::event::Event;

use super::result::{self, Outcome, Refusal};
use super::{KEEP, UNASSIGNED, UNSETTLED};
use crate::accounts;
use crate::error::Failure;
use crate::ids::{MatchId, PlayerId};
use crate::matches::known::{Known, Verdict};
use crate::ratings::{Rating, System};
use crate::servers::{Change, Error};
use crate::service::Service;
use crate::service::matches::to_wire;
use crate::store::{self, AuditLine, Ending, Match, MatchStatus, Rated, Seat};

/// The lease of who follows.
const LEASE: &str = "lobby:follow";

/// Matches of one page of the store.
const PAGE: usize = 200;

/// Marks that are worked off at once, and how many of them side by side.
const MARKS: usize = 256;
const TOGETHER: usize = 8;

/// Times of a follower.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long the lease is held without being renewed. It is renewed three times as often.
    pub lease: Duration,
    /// How long a watch may take until it has told everything.
    pub sync: Duration,
    /// How long to wait before a watch is opened again.
    pub backoff: Backoff,
    /// Time between two sweeps.
    pub sweep: Duration,
    /// The same after something failed, for sweeps and for marks.
    pub retry: Duration,
    /// How old a match must be to be lost because no watch tells of it: allocators may be behind.
    pub grace: SignedDuration,
    /// How long a server that ends may still report a result.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            sync: Duration::from_secs(30),
            backoff: Backoff {
                base: Duration::from_millis(200),
                cap: Duration::from_secs(5),
            },
            sweep: Duration::from_secs(30),
            retry: Duration::from_secs(5),
            grace: SignedDuration::from_mins(1),
            patience: Duration::from_secs(15),
        }
    }
}

/// Follows, whenever the lease is free, until it is told to stop.
pub async fn run(service: Service, stop: CancellationToken) {
    run_with(service, Settings::default(), stop).await;
}

/// [`run`] with other times.
pub async fn run_with(service: Service, settings: Settings, stop: CancellationToken) {
    let follower = Follower {
        service,
        settings,
        ended: Notify::new(),
        told: Mutex::default(),
    };
    stop.run_until_cancelled(follower.lead()).await;
    let parts = follower.service.parts();
    if let Err(error) = parts.live.release(LEASE, parts.replica).await {
        tracing::debug!(%error, "The lease of the matches was not given back");
    }
}

#[derive(Debug)]
struct Follower {
    service: Service,
    settings: Settings,
    /// A match has ended: there are marks.
    ended: Notify,
    /// Matches with marks whose players we tell, or have told, of the end.
    told: Mutex<BTreeSet<MatchId>>,
}

impl Follower {
    /// Follows while the lease is held, again and again.
    async fn lead(&self) {
        loop {
            if let Some(until) = self.lease().await {
                tracing::info!("Following matches");
                tokio::select! {
                    () = self.hold(until) => tracing::warn!("Another lobby follows matches"),
                    () = self.work() => {}
                }
            }
            tokio::time::sleep(self.settings.lease / 3).await;
        }
    }

    /// Takes or renews the lease. Until when it is held; none when it is not.
    async fn lease(&self) -> Option<Instant> {
        let parts = self.service.parts();
        let until = Instant::now() + self.settings.lease;
        let lease = parts.live.lease(LEASE, parts.replica, self.settings.lease);
        match lease.await {
            Ok(fence) => fence.map(|_| until),
            Err(error) => {
                tracing::warn!(%error, "The lease of the matches cannot be had");
                None
            }
        }
    }

    /// Renews the lease until it is lost, or could not be renewed in time.
    async fn hold(&self, mut until: Instant) {
        loop {
            tokio::time::sleep(self.settings.lease / 3).await;
            match tokio::time::timeout_at(until, self.lease()).await {
                Ok(Some(renewed)) => until = renewed,
                // The live state may be away for a moment.
                Ok(None) if Instant::now() + self.settings.lease / 3 < until => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Follows every namespace of the queues, and those of matches of queues that are no more.
    async fn work(&self) {
        self.told().clear();
        let queues = self.service.parts().queues.values();
        let mut namespaces: BTreeSet<String> = queues
            .map(|queue| queue.servers.namespace.clone())
            .collect();
        match self.namespaces_of_matches().await {
            Ok(others) => namespaces.extend(others),
            Err(error) => tracing::warn!(%error, "The matches that go on are unknown"),
        }
        let watches = namespaces.iter().map(|name| self.follow(name));
        futures::join!(futures::future::join_all(watches), self.settle());
    }

    async fn namespaces_of_matches(&self) -> Result<BTreeSet<String>, store::Error> {
        let mut namespaces = BTreeSet::new();
        let mut after = None;
        loop {
            let page = self.service.parts().store.open_matches(after, PAGE).await?;
            let names = page.iter().map(|open| open.server.namespace.clone());
            namespaces.extend(names);
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                Some(_) | None => return Ok(namespaces),
            }
        }
    }

    /// Opens one watch after another.
    async fn follow(&self, namespace: &str) {
        let mut attempt = 0;
        loop {
            let mut is_synced = false;
            let error = self.watch(namespace, &mut is_synced).await;
            if is_synced {
                attempt = 0;
            }
            let delay = self.settings.backoff.delay(attempt, fastrand::f64());
            attempt = attempt.saturating_add(1);
            tracing::warn!(%error, namespace, ?delay, "A watch of game servers ended");
            tokio::time::sleep(delay).await;
        }
    }

    /// Follows one watch to its end.
    async fn watch(&self, namespace: &str, is_synced: &mut bool) -> Error {
        let mut changes = match self.service.parts().servers.watch(namespace).await {
            Ok(changes) => changes,
            Err(error) => return error,
        };
        let mut known = Known::new(self.settings.grace, self.settings.patience);
        let late = Instant::now() + self.settings.sync;
        let mut sweep_at = late;
        loop {
            let change = tokio::select! {
                change = changes.next() => change,
                () = tokio::time::sleep_until(sweep_at) => {
                    if !*is_synced {
                        return Error::Unavailable("it did not tell everything in time".to_owned());
                    }
                    sweep_at = self.next_sweep(self.sweep(namespace, &mut known).await);
                    continue;
                }
            };
            match change {
                Some(Ok(Change::Allocation {
                    id,
                    has_ended,
                    result,
                })) => {
                    let is_done = self.note(&mut known, id, has_ended, &result).await;
                    if *is_synced && !is_done {
                        sweep_at = sweep_at.min(self.next_sweep(false));
                    }
                }
                Some(Ok(Change::Synced)) => {
                    *is_synced = true;
                    sweep_at = Instant::now();
                }
                Some(Err(error)) => return error,
                None => return Error::Unavailable("the watch was closed".to_owned()),
            }
        }
    }

    fn next_sweep(&self, is_clean: bool) -> Instant {
        let settings = &self.settings;
        Instant::now()
            + if is_clean {
                settings.sweep
            } else {
                settings.retry
            }
    }

    /// Takes in what a watch tells. False when a sweep has to look at it.
    async fn note(&self, known: &mut Known, id: MatchId, has_ended: bool, result: &str) -> bool {
        if !has_ended {
            known.plays(id);
            return true;
        }
        known.ended(id, result, Instant::now());
        if result.is_empty() {
            return false;
        }
        match self.service.parts().store.find(id).await {
            Ok(Some(found)) if found.status == MatchStatus::Started => {
                self.end(&found, result).await.is_ok()
            }
            Ok(Some(_)) => true,
            // Perhaps of somebody else; perhaps its lobby is about to write it.
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "A match that has ended was not found");
                false
            }
        }
    }

    /// Ends every match of the namespace whose server has ended. False when that must be repeated
    /// soon.
    async fn sweep(&self, namespace: &str, known: &mut Known) -> bool {
        let mut is_clean = true;
        let mut after = None;
        loop {
            let page = self.service.parts().store.open_matches(after, PAGE).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "The matches that go on are unknown");
                    return false;
                }
            };
            let own = page
                .iter()
                .filter(|open| open.server.namespace == namespace);
            for open in own {
                let now = (runtime::clock::now(), Instant::now());
                match known.verdict(open, now) {
                    Verdict::Plays => {}
                    Verdict::Soon => is_clean = false,
                    Verdict::Ended(result) => is_clean &= self.end(open, &result).await.is_ok(),
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                Some(_) | None => break,
            }
        }
        if is_clean {
            known.forget(Instant::now());
        }
        is_clean
    }

    /// Ends a match with what its server has reported: nothing when it was lost.
    async fn end(&self, open: &Match, reported: &str) -> Result<(), Failure> {
        let parts = self.service.parts();
        let now = runtime::clock::now();
        let outcome = match result::read(&open.seats, reported) {
            _ if reported.is_empty() => None,
            Ok(outcome) => Some(outcome),
            Err(refusal) => {
                tracing::warn!(%refusal, server = open.server.name, "A result was refused");
                parts.store.audit(&refused(open, &refusal, now)).await?;
                None
            }
        };
        let (result, ranks) = match outcome {
            Some(Outcome { result, ranks }) => (Some(result), ranks),
            None => (None, None),
        };
        let queue = parts.queues.get(&open.queue);
        let system = queue.map(|queue| queue.ratings).unwrap_or_default();
        let ending = Ending {
            at: now,
            result,
            // Of a queue that is gone nobody knows how it rated.
            ranks: ranks.filter(|_| queue.is_some()),
            newcomer: system.newcomer(),
        };
        // Before it is a fact: if we end in between, whoever follows next tells it.
        let member = open.id.to_string();
        parts.live.mark(UNSETTLED, &member, KEEP).await?;
        let rate = |teams: &[Vec<Rated>], ranks: &[usize]| {
            open.is_rated.then(|| rate(system, teams, ranks)).flatten()
        };
        self.told().insert(open.id);
        let ended = parts.store.end(open.id, &ending, &rate).await;
        if let Ok(Some(ended)) = &ended {
            tracing::info!(id = %ended.id, status = ?ended.status, "A match ended");
            self.tell(ended).await;
        } else {
            // It may have ended all the same: then the mark says so.
            self.told().remove(&open.id);
        }
        self.ended.notify_one();
        ended?;
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<MatchId>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, ended: &Match) {
        let event = Event::MatchChanged(wire::MatchChanged {
            r#match: Some(to_wire(ended)),
        });
        let players: Vec<PlayerId> = ended.seats.iter().map(|seat| seat.player).collect();
        self.service.tell(players, &event).await;
    }

    /// The match of a mark.
    async fn marked_match(&self, member: &str) -> Result<Option<Match>, Failure> {
        match member.parse() {
            Ok(id) => Ok(self.service.parts().store.find(id).await?),
            Err(_) => Ok(None),
        }
    }

    /// Works off the marks: now, whenever a match has ended, and from time to time.
    async fn settle(&self) {
        loop {
            let is_clean = self.settle_marked().await;
            let pause = tokio::time::sleep(self.settings.retry);
            tokio::select! {
                () = self.ended.notified(), if is_clean => {}
                () = pause => {}
            }
        }
    }

    /// Works off the marks once. False when some remain.
    async fn settle_marked(&self) -> bool {
        let live = &self.service.parts().live;
        let mut is_clean = true;
        for set in [UNASSIGNED, UNSETTLED] {
            let marked = match live.marked(set, MARKS).await {
                Ok(marked) => marked,
                Err(error) => {
                    tracing::warn!(%error, "What auth was not told is unknown");
                    return false;
                }
            };
            let settled = marked
                .into_iter()
                .map(|member| self.settle_one(set, member));
            let settled = futures::stream::iter(settled);
            let settled: Vec<bool> = settled.buffer_unordered(TOGETHER).collect().await;
            is_clean &= !settled.contains(&false);
        }
        is_clean
    }

    /// Works off one mark. False when it remains.
    async fn settle_one(&self, set: &str, member: String) -> bool {
        // The failure is in the log.
        let settled = self.try_settle(set, &member).await;
        settled.unwrap_or(false)
    }

    /// Tells who was not told of a marked match, and takes the mark away. False when that must be
    /// repeated.
    async fn try_settle(&self, set: &str, member: &str) -> Result<bool, Failure> {
        let found = self.marked_match(member).await?;
        if let Some(found) = &found {
            let goes_on = found.status == MatchStatus::Started;
            if set == UNSETTLED {
                if goes_on {
                    // It was marked a moment ago, and is about to be ended.
                    return Ok(true);
                }
                // The follower before us may have died before it could.
                if self.told().insert(found.id) {
                    self.tell(found).await;
                }
            }
            if goes_on != (set == UNSETTLED) && !self.tell_auth(found, goes_on).await? {
                return Ok(false);
            }
        }
        let live = &self.service.parts().live;
        live.mark(set, member, Duration::ZERO).await?;
        if let Some(found) = found
            && set == UNSETTLED
        {
            self.told().remove(&found.id);
        }
        Ok(true)
    }

    /// Tells auth where the players of a match play: on its server while it goes on, and nowhere
    /// after it, unless they are in another one by now. False when that must be repeated.
    async fn tell_auth(&self, found: &Match, goes_on: bool) -> Result<bool, Failure> {
        let parts = self.service.parts();
        let players: Vec<PlayerId> = found.seats.iter().map(|seat| seat.player).collect();
        let busy = if goes_on {
            Vec::new()
        } else {
            parts.store.busy(&players).await?
        };
        let seats = found.seats.iter();
        let told = seats
            .filter(|seat| !busy.contains(&seat.player))
            .map(|seat| self.tell_auth_of(seat, found, goes_on));
        let told = futures::future::join_all(told).await;
        Ok(!told.contains(&false))
    }

    async fn tell_auth_of(&self, seat: &Seat, found: &Match, goes_on: bool) -> bool {
        let accounts = &self.service.parts().accounts;
        let (player, session) = (seat.player, seat.session);
        let told = if goes_on {
            let assign = accounts.assign(player, session, &found.server.endpoint);
            assign.await
        } else {
            accounts.disconnected(player, session).await
        };
        match told {
            // The session has ended: there is nobody to tell of.
            Ok(()) | Err(accounts::Error::Refused(_)) => true,
            Err(error @ accounts::Error::Unavailable(_)) => {
                tracing::warn!(%error, "Auth was not told where a player plays");
                false
            }
        }
    }
}

/// Ratings after a match; none when they stay as they are.
fn rate(system: System, teams: &[Vec<Rated>], ranks: &[usize]) -> Option<Vec<Vec<Rating>>> {
    let ratings = |team: &Vec<Rated>| team.iter().map(|rated| rated.rating).collect();
    let before: Vec<Vec<Rating>> = teams.iter().map(ratings).collect();
    system
        .rate(&before, ranks)
        .inspect_err(|error| tracing::warn!(%error, "A match was not rated"))
        .ok()
}

/// That a server's report was not believed.
fn refused(open: &Match, refusal: &Refusal, now: Timestamp) -> AuditLine {
    let detail: Value = json!({
        "match": open.id,
        "queue": open.queue,
        "namespace": open.server.namespace,
        "gameServer": open.server.name,
        "reason": refusal.to_string(),
    });
    AuditLine {
        at: now,
        actor: None,
        subject: None,
        event: "refuse_result",
        detail,
    }
}
