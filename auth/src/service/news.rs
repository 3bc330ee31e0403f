//! What every replica and verifier must hear: revocations, changed players, changed keys.
//!
//! News come by three ways: from calls to this replica at once, from other replicas by Valkey
//! within milliseconds, and from the store, which is asked twice a second and misses nothing.

use std::sync::Arc;
use std::time::Duration;

use access::verify::{Settings as Verification, Verifier};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::ids::{PlayerId, SessionId};
use crate::live::{News, Revocation};
use crate::service::{Service, now};

/// How often the store is asked for revocations: half of what a revocation may take.
const POLL: Duration = Duration::from_millis(500);

/// How far back it is asked: a revocation is visible when it is committed, a moment after its time.
const OVERLAP: Duration = Duration::from_secs(5);

/// How many news a slow follower may be behind before it must begin anew.
const BEHIND: usize = 4096;

/// What is known, and who is told.
#[derive(Debug)]
pub(super) struct Board {
    verifier: Arc<Verifier>,
    followers: broadcast::Sender<News>,
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
    pub(super) fn new(verification: Verification) -> Self {
        Self {
            verifier: Arc::new(Verifier::new(verification)),
            followers: broadcast::channel(BEHIND).0,
        }
    }

    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Whether a session was revoked lately.
    pub(super) fn is_revoked(&self, player: PlayerId, session: SessionId, now: Timestamp) -> bool {
        self.verifier.is_revoked(player, session, now)
    }
}

impl Service {
    /// What a verifier needs to begin with, and everything after.
    pub async fn follow(&self) -> Result<Following, crate::Failure> {
        // Subscribed first: what happens meanwhile comes twice rather than never.
        let news = self.0.news.followers.subscribe();
        let since = now() - self.settings().access_lifetime - OVERLAP;
        let revocations = self.parts().store.revocations_since(since).await?;
        Ok(Following {
            keys: self.parts().signing.published(),
            revocations,
            news,
        })
    }

    /// Takes news to heart and tells followers.
    pub(super) async fn hear(&self, news: &News) {
        match news {
            News::Revoked(revocation) => {
                let is_new = self.0.news.verifier.revoke(
                    revocation.id,
                    revocation.player,
                    revocation.session,
                    revocation.at,
                );
                self.0
                    .sessions
                    .forget(revocation.player, revocation.session)
                    .await;
                if !is_new {
                    return;
                }
            }
            News::PlayerChanged { user_id, .. } => self.0.sessions.forget(*user_id, None).await,
            News::KeysChanged => {
                if let Err(error) = self.parts().signing.reload(now()).await {
                    tracing::warn!(%error, "Signing keys cannot be read");
                }
                self.0.news.verifier.set_keys(self.parts().signing.key_set());
            }
        }
        // Nobody follows: nobody is told.
        let _ = self.0.news.followers.send(news.clone());
    }

    /// Listens until `stop`.
    pub(super) async fn listen(&self, stop: CancellationToken) {
        let mut news = self.parts().live.subscribe();
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // At first everything that still matters.
        let mut since = now() - self.settings().access_lifetime;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                heard = news.recv() => match heard {
                    Ok(heard) => self.hear(&heard).await,
                    // The store has what was missed.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => {
                        news = self.parts().live.subscribe();
                    }
                },
                _ = poll.tick() => {
                    let asked = now();
                    match self.parts().store.revocations_since(since - OVERLAP).await {
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
    }
}
