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
//! | [`audit`] | the audit log and suspicious events |
//! | [`news`] | what every replica and verifier must hear |
//!
//! Start reading at [`login`].

pub mod account;
pub mod audit;
pub mod caller;
pub mod elsewhere;
pub mod factors;
pub mod login;
pub mod news;
pub mod reconnect;
pub mod recover;
pub mod register;
pub mod sessions;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::captcha::Captcha;
use crate::limits::Limits;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::passwords::Passwords;
use crate::providers::Providers;
use crate::secrets::Keyring;
use crate::signing::Signing;
use crate::store::Store;

use audit::AuditLog;
use sessions::SessionCache;

/// How the service behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `iss` of access tokens, and what DPoP proofs and passkeys are made for: the origin that
    /// clients reach the service by, without a slash at the end.
    pub issuer: String,
    /// How long an access token is good.
    pub access_lifetime: Duration,
    /// How long a refresh token is good.
    pub refresh_lifetime: Duration,
    /// How long a session lasts, however often it is refreshed.
    pub session_lifetime: Duration,
    /// How long a reconnection token is good.
    pub reconnection_lifetime: Duration,
    /// How long an honest retry of a refresh is answered.
    pub refresh_grace: Duration,
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
    /// Keys of purposes.
    pub keyring: Keyring,
    /// The keys of access tokens.
    pub signing: Signing,
    /// Hashing and rules of passwords.
    pub passwords: Passwords,
    /// How often what may be tried.
    pub limits: Limits,
    /// Mails and messages.
    pub notifier: Notifier,
    /// Whether a person calls.
    pub captcha: Arc<dyn Captcha>,
    /// Where else players sign in.
    pub providers: Providers,
    /// Numbers for operators.
    pub metrics: Metrics,
}

/// The service: cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    sessions: SessionCache,
    audit: AuditLog,
    news: news::Board,
}

impl Service {
    /// A service and its background work, which ends when the token is cancelled.
    pub fn new(parts: Parts) -> Self {
        let audit = AuditLog::new(Arc::clone(&parts.store), parts.metrics.clone());
        Self(Arc::new(Inner {
            sessions: SessionCache::default(),
            audit,
            news: news::Board::default(),
            parts,
        }))
    }

    fn parts(&self) -> &Parts {
        &self.0.parts
    }

    fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }

    /// The signing keys, for the key set that is published.
    pub fn signing(&self) -> &Signing {
        &self.0.parts.signing
    }

    /// Numbers for operators.
    pub fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }
}

/// The current time: read here, and handed on as a value.
fn now() -> Timestamp {
    runtime::clock::now()
}
