//! What every replica and verifier must hear: revocations, changed players, changed keys.
//!
//! News come by three ways: from calls to this replica at once, from other replicas by Valkey
//! within milliseconds, and from the store, which is asked twice a second and misses nothing. None
//! of them waits for another.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use access::claims::{LIFETIME, SKEW};
use access::{KeySet, Verifier};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Failure;
use crate::live::{News, Revocation};
use crate::service::{AUDIENCE, Service, now};
use crate::store;

/// How often the store is asked for revocations: half of what a revocation may take.
const POLL: Duration = Duration::from_millis(500);

/// How far back it is asked: a revocation is visible when it is committed, a moment after its time.
const OVERLAP: Duration = Duration::from_secs(5);

/// How long before now a revocation may still void a token.
const MATTERS: Duration = LIFETIME.saturating_add(SKEW);

/// Between two readings of keys that tokens of unknown keys ask for.
const UNKNOWN_KEY: Duration = Duration::from_millis(50);

/// How long a token of an unknown key may wait for such a reading.
const UNKNOWN_KEY_LIMIT: Duration = Duration::from_secs(1);

/// How many revocations the store tells at once.
const PAGE: u32 = 1000;

/// How many news a slow follower may be behind before it must begin anew.
const BEHIND: usize = 4096;

/// How many revocations are remembered as told: more than are made while one may come again.
const REMEMBERED: usize = 65_536;

/// What is known, and who is told.
#[derive(Debug)]
pub(super) struct Board {
    verifier: Verifier,
    followers: broadcast::Sender<News>,
    seen: Mutex<Seen>,
    /// When the last reading of keys that a token asked for began.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

/// The revocations that were told: they come by more than one way.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Seen {
    /// Whether it comes for the first time.
    fn is_new(&mut self, id: Uuid) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// What a follower hears first, and how it hears the rest.
#[derive(Debug)]
pub struct Following {
    /// The key set as it is.
    pub keys: String,
    /// Revocations that still matter.
    pub revocations: Vec<Revocation>,
    /// Everything after that. A receiver that lags must begin anew.
    pub news: broadcast::Receiver<News>,
}

impl Board {
    /// Knows these keys, and no news yet.
    pub(super) fn new(issuer: &str, keys: KeySet) -> Self {
        let verifier = Verifier::new(issuer, AUDIENCE);
        verifier.set_keys(keys);
        Self {
            verifier,
            followers: broadcast::channel(BEHIND).0,
            seen: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }
    }

    pub(super) const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    fn is_new(&self, id: Uuid) -> bool {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_new(id)
    }
}

impl Service {
    /// What is told from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.0.news.followers.subscribe()
    }

    /// What a verifier needs to begin with, and everything after.
    pub async fn follow(&self) -> Result<Following, Failure> {
        // Subscribed first: what happens meanwhile comes twice rather than never.
        let news = self.news();
        let revocations = self.revocations_since(now() - MATTERS).await?;
        Ok(Following {
            keys: self.jwks(),
            revocations,
            news,
        })
    }

    /// Learns of every revocation that still matters: before the first token is validated, because
    /// Valkey may hold a session that has ended.
    pub async fn catch_up(&self) -> Result<(), store::Error> {
        for revocation in self.revocations_since(now() - MATTERS).await? {
            self.hear(&News::Revoked(revocation)).await;
        }
        Ok(())
    }

    /// Every revocation since then, however many: the store tells so many at once.
    async fn revocations_since(&self, since: Timestamp) -> Result<Vec<Revocation>, store::Error> {
        let (mut from, mut after) = (since, Uuid::nil());
        let mut all = Vec::new();
        loop {
            let store = &self.parts().store;
            let page = store.revocations_since(from, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(all);
            };
            (from, after) = (last.at, last.id);
            all.extend(page);
        }
    }

    /// Reads keys because a token names one that is unknown: another replica may have made it a
    /// moment ago. Whoever asks meanwhile waits for the same reading, and strangers who make up
    /// names cause few.
    pub(super) async fn learn_keys(&self) {
        let came = Instant::now();
        let learn = async {
            let mut asked = self.0.news.asked.lock().await;
            if let Some(last) = *asked {
                if last >= came {
                    return;
                }
                tokio::time::sleep_until(last + UNKNOWN_KEY).await;
            }
            *asked = Some(Instant::now());
            let signing = &self.parts().signing;
            if let Err(error) = signing.refresh(now()).await {
                tracing::debug!(%error, "Signing keys cannot be read");
                return;
            }
            let keys = signing.published().borrow().clone();
            self.0.news.verifier.set_keys(keys);
        };
        // Then the token is refused: whoever knows no better must.
        let _ = tokio::time::timeout(UNKNOWN_KEY_LIMIT, learn).await;
    }

    /// Takes news to heart and tells followers.
    pub(super) async fn hear(&self, news: &News) {
        match news {
            News::Revoked(revocation) => {
                if !self.0.news.is_new(revocation.id) {
                    return;
                }
                self.0.news.verifier.revoke(
                    now(),
                    access::Revocation {
                        player: revocation.player,
                        session: revocation.session,
                        at: revocation.at,
                    },
                );
                self.0
                    .sessions
                    .forget(revocation.player, revocation.session)
                    .await;
            }
            News::PlayerChanged { user_id, .. } => self.0.sessions.forget(*user_id, None).await,
            // Revocations and keys are in the store, which is asked anyway; what this process has
            // cached of players is gone within a second.
            News::Missed => {}
            // Told when they have been read: see `follow_keys`.
            News::KeysChanged => return,
        }
        // Nobody follows: nobody is told.
        let _ = self.0.news.followers.send(news.clone());
    }

    /// Takes signing keys as they are read, and tells followers.
    pub(super) async fn follow_keys(&self, stop: CancellationToken) {
        let mut published = self.parts().signing.published();
        loop {
            let keys = published.borrow_and_update().clone();
            self.0.news.verifier.set_keys(keys);
            // Nobody follows: nobody is told.
            let _ = self.0.news.followers.send(News::KeysChanged);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = published.changed() => if changed.is_err() {
                    return;
                }
            }
        }
    }

    /// Listens until `stop`.
    pub(super) async fn listen(&self, stop: CancellationToken) {
        // A database that is slow must not hold up what Valkey tells.
        let both = async { tokio::join!(self.hear_others(), self.ask_store()) };
        stop.run_until_cancelled(both).await;
    }

    /// Hears other replicas.
    async fn hear_others(&self) {
        let mut news = self.parts().live.subscribe();
        loop {
            match news.recv().await {
                Ok(heard) => self.hear(&heard).await,
                Err(broadcast::error::RecvError::Lagged(_)) => self.hear(&News::Missed).await,
                // It lives as long as the service.
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Asks the store for revocations.
    async fn ask_store(&self) {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // At first everything that still matters.
        let mut since = now() - MATTERS;
        loop {
            poll.tick().await;
            let asked = now();
            match self.revocations_since(since - OVERLAP).await {
                Ok(revocations) => {
                    for revocation in revocations {
                        self.hear(&News::Revoked(revocation)).await;
                    }
                    since = asked;
                }
                Err(error) => tracing::warn!(%error, "Revocations cannot be read"),
            }
        }
    }
}
