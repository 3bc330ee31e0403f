//! What a call means: the one place that joins store, live state, keys and limits. HTTP, WebSocket
//! and gRPC only translate to and from it.
//!
//! | module | what |
//! |---|---|
//! | [`caller`] | who calls, from where, with which proof |
//! | [`register`] | making accounts |
//! | [`login`] | password, device, second step |
//! | [`elsewhere`] | signing in at a provider |
//! | [`sessions`] | tokens of a session: opening, refreshing, ending, listing |
//! | [`validate`] | whether a token or session is good |
//! | [`reconnect`] | coming back to a game server |
//! | [`recover`] | mailed secrets: verify an address, reset a password |
//! | [`factors`] | authenticator codes and passkeys |
//! | [`account`] | what players do with their own account |
//! | [`identities`] | more than one way into an account |
//! | [`confirm`] | what a token alone must not do |
//! | [`audit`] | the audit log and suspicious events |
//! | [`news`] | what every replica and verifier must hear |
//!
//! Start reading at [`login`].

pub mod account;
pub mod audit;
pub mod caller;
pub mod confirm;
mod counts;
pub mod elsewhere;
pub mod factors;
pub mod identities;
mod keys;
pub mod login;
pub mod news;
mod purge;
pub mod reconnect;
pub mod recover;
pub mod register;
pub mod sessions;
pub mod validate;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::captcha::Captcha;
use crate::crypto::column::Columns;
use crate::error::Failure;
use crate::factors::passkey::Passkeys;
use crate::limits::{Limits, What, Who};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::notify::Mail;
use crate::notify::outbox::Outbox;
use crate::notify::texts::Texts;
use crate::passwords::Passwords;
use crate::providers::Providers;
use crate::secrets::Secrets;
use crate::signing::Signing;
use crate::store::Store;
use crate::tokens::access::Issuer;
use crate::tokens::reconnection::{Issued, Replica};

use audit::AuditLog;
use caller::Caller;
use recover::Mails;
use sessions::SessionCache;

/// How many reconnection tokens one replica is expected to issue in 30 s: one for every player of
/// a hundred full servers.
const RECONNECTIONS: usize = 10_000;

/// The audience of auth itself: a token for it is good for its owner's own account, and for nothing
/// else.
pub const AUDIENCE: &str = "auth";

/// How the service behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `iss` of access tokens, and what DPoP proofs and passkeys are made for: the origin that
    /// clients reach the service by, without a slash at the end.
    pub issuer: String,
    /// How long a refresh token is good.
    pub refresh_lifetime: Duration,
    /// How long a session lasts, however often it is refreshed.
    pub session_lifetime: Duration,
    /// How long an honest retry of a refresh is answered.
    pub refresh_grace: Duration,
    /// How long after they were made guests and unverified accounts are removed that nobody came
    /// back to; never when absent.
    pub abandoned: Option<jiff::SignedDuration>,
    /// Whether an account can be used before its owner proved to read its mail. Where it can, the
    /// answer to a registration tells whether the address was taken.
    pub verification: Verification,
    /// The kinds of clients; the first is the default. Never empty.
    pub classes: Vec<ClientClass>,
}

/// Whether a mail address must be verified before its account is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Nobody learns whether an address is registered.
    Required,
    /// For development and closed networks.
    Optional,
}

/// A kind of client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientClass {
    /// Its name.
    pub name: String,
    /// Whether its tokens must be bound to a key.
    pub dpop: DpopPolicy,
    /// The services that its tokens may be for; the first is the default. Never empty.
    pub audiences: Vec<String>,
}

/// Whether tokens must be bound to a key of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpopPolicy {
    /// They are bound when the client sends a proof.
    Optional,
    /// A call without a proof is refused.
    Required,
}

/// Everything that the service works with.
#[derive(Debug)]
pub struct Parts {
    /// How it behaves.
    pub settings: Settings,
    /// What must not be lost.
    pub store: Arc<dyn Store>,
    /// What must be quick.
    pub live: Arc<dyn Live>,
    /// Keys of purposes, and what is known to others by a secret.
    pub secrets: Arc<Secrets>,
    /// Sealed columns.
    pub columns: Columns,
    /// The keys of access tokens.
    pub signing: Arc<Signing>,
    /// Hashing and rules of passwords.
    pub passwords: Passwords,
    /// How often what may be tried.
    pub limits: Limits,
    /// Mails on their way.
    pub outbox: Outbox<Mail>,
    /// What mails say.
    pub texts: Texts,
    /// Whether a person calls.
    pub captcha: Arc<dyn Captcha>,
    /// Where else players sign in.
    pub providers: Providers,
    /// Signing in by passkeys; none where the issuer has no domain.
    pub passkeys: Option<Passkeys>,
    /// Numbers for operators.
    pub metrics: Metrics,
}

/// The service: cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    issuer: Issuer,
    sessions: SessionCache,
    audit: AuditLog,
    mails: Mails,
    news: news::Board,
    replica: Replica,
    issued: Mutex<Issued>,
    /// What changes accounts now.
    changes: TaskTracker,
}

impl Service {
    /// A service of these parts; [`Service::run`] does its background work.
    pub fn new(parts: Parts) -> Self {
        let replica = Replica(u64::from_be_bytes(crate::crypto::random()));
        Self(Arc::new(Inner {
            issuer: Issuer::new(parts.settings.issuer.clone(), Arc::clone(&parts.signing)),
            sessions: SessionCache::default(),
            audit: AuditLog::new(Arc::clone(&parts.store), parts.metrics.clone()),
            mails: Mails::new(parts.metrics.clone()),
            news: news::Board::new(
                &parts.settings.issuer,
                parts.signing.published().borrow().clone(),
            ),
            replica,
            issued: Mutex::new(Issued::new(replica, RECONNECTIONS, now())),
            changes: TaskTracker::new(),
            parts,
        }))
    }

    /// Listens to other replicas, keeps signing keys and secrets current, writes the audit log,
    /// mails and clears up, until `stop`; then what still waits is written.
    pub async fn run(&self, stop: CancellationToken) {
        let parts = self.parts();
        // Changes whose callers hung up may still be under way, and leave lines and mails behind.
        let all_changed = CancellationToken::new();
        let last_changes = async {
            stop.cancelled().await;
            self.0.changes.close();
            self.0.changes.wait().await;
            all_changed.cancel();
        };
        tokio::join!(
            self.listen(stop.clone()),
            self.follow_keys(stop.clone()),
            self.purge(stop.clone()),
            self.purge_accounts(stop.clone()),
            last_changes,
            self.mail(all_changed.clone()),
            self.0.audit.run(all_changed.clone()),
            parts.secrets.follow(stop.clone()),
            parts.signing.run(parts.live.subscribe(), stop.clone()),
        );
    }

    /// Changes an account to the end, even when the caller hangs up: the call's own future is
    /// dropped then, which could be after the change and before anybody is told of it.
    async fn change<Output: Send + 'static>(
        &self,
        work: impl Future<Output = Result<Output, Failure>> + Send + 'static,
    ) -> Result<Output, Failure> {
        let changed = self.0.changes.spawn(work.in_current_span()).await;
        changed.map_err(|error| Failure::defect("a change of an account ended early", &error))?
    }

    fn parts(&self) -> &Parts {
        &self.0.parts
    }

    fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }

    /// The public keys of access tokens, as JSON (RFC 7517).
    pub fn jwks(&self) -> String {
        self.parts().signing.published().borrow().to_jwks()
    }

    /// For how many seconds verifiers may keep them: a new key is published longer than that before
    /// it signs.
    pub fn jwks_max_age(&self) -> i64 {
        self.parts().signing.cache_max_age().as_secs()
    }

    /// Numbers for operators.
    pub fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    /// Counts an attempt against a rate.
    async fn limit(&self, what: What, who: Who) -> Result<(), Failure> {
        let parts = self.parts();
        parts.limits.check(parts.live.as_ref(), what, who).await
    }

    /// Asks whether a person calls, where that is asked.
    async fn captcha(&self, caller: &Caller) -> Result<(), Failure> {
        let answer = caller.captcha.as_deref();
        self.parts().captcha.check(answer, caller.address).await
    }
}

/// The current time: read here, and handed on as a value.
fn now() -> Timestamp {
    runtime::clock::now()
}
