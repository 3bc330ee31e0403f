//! Signing in with an account elsewhere: OpenID providers (Google, Apple, any other), Steam, Xbox.
//!
//! One trait for both kinds. A provider that redirects sends the player's browser away
//! ([`Provider::begin`]) and learns by a code who came back; one with tickets is given what the
//! game client got from the platform. Either way [`Provider::finish`] returns a [`Subject`], and
//! the pair of provider and subject is the identity: a mail address never is, because providers
//! hand addresses on.
//!
//! What a sign-in remembers between the two halves is in [`pending`]. Nothing here knows accounts,
//! and nothing here waits without a limit ([`http::Limits`]).

mod cache;
pub mod config;
pub mod http;
pub mod jwt;
pub mod oidc;
pub mod pending;
pub mod steam;
pub mod xbox;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use storage::Confidential;
use tokio::sync::watch;
use url::Url;

use crate::ids::IdentityKind;
use crate::{Code, Failure};

pub use config::{Config, Problem};

/// What the redirect carries to the provider.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// Comes back with the code: the handle of the pending sign-in.
    pub state: &'a str,
    /// Comes back inside the ID token.
    pub nonce: &'a str,
    /// The PKCE challenge (S256).
    pub challenge: &'a str,
}

/// What proves an account elsewhere.
#[derive(Clone, Debug)]
pub enum Credential {
    /// What a redirect came back with, and what was remembered for it.
    Code {
        /// The authorization code.
        code: Confidential,
        /// The nonce that the ID token must carry.
        nonce: Confidential,
        /// The PKCE verifier.
        verifier: Confidential,
        /// The parameter `iss` of the redirect back, where it had one (RFC 9207).
        issuer: Option<String>,
    },
    /// What a game client got from its platform.
    Ticket(Confidential),
}

/// An account elsewhere that was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The provider's name in the configuration.
    pub provider: String,
    /// What kind of identity it is.
    pub kind: IdentityKind,
    /// What the provider calls the account; never reused by it.
    pub subject: String,
    /// The mail address that the provider tells.
    pub email: Option<Email>,
}

impl Subject {
    /// The value of the identity, as it is hashed together with [`Subject::kind`].
    ///
    /// Providers of the kinds that may be configured more than once have their name in front
    /// (ASVS 6.8.1); a name has no slash, so that no two pairs have the same value.
    pub fn identity(&self) -> String {
        match self.kind {
            IdentityKind::Oidc => format!("{}/{}", self.provider, self.subject),
            IdentityKind::Email
            | IdentityKind::Device
            | IdentityKind::Google
            | IdentityKind::Apple
            | IdentityKind::Steam
            | IdentityKind::Xbox => self.subject.clone(),
        }
    }
}

/// A mail address as a provider tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// The address.
    pub address: String,
    /// The provider vouches that the account's owner reads its mail.
    pub verified: bool,
}

/// Why a provider did not tell who it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A code for a provider with tickets, or the other way round.
    #[error("provider {0} takes another kind of credential")]
    WrongCredential(String),
    /// The code or ticket is not good: forged, spent, expired or somebody else's.
    #[error("the credential is refused: {0}")]
    Refused(Refusal),
    /// The account elsewhere is good, but may not be used here.
    #[error("the account may not sign in: {0}")]
    Forbidden(Forbidden),
    /// The provider does not answer, not in time, or is out of order.
    #[error("the provider does not answer: {0}")]
    Unreachable(String),
    /// The provider answered what it must not.
    #[error("the provider's answer is wrong: {0}")]
    Answer(String),
    /// The provider refuses us: our client, secret or key is wrong.
    #[error("the provider refuses our configuration: {0}")]
    Configuration(String),
}

/// What is wrong with a credential. For logs: callers are told nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not have the form of one.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// The provider says so.
    #[error("the provider says {0:?}")]
    Provider(String),
    /// A token's signature or claims are not good.
    #[error("{0}")]
    Token(#[from] jwt::Refusal),
}

/// Why a good account elsewhere may not sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Steam's VAC banned it.
    #[error("it is banned by VAC")]
    VacBanned,
    /// The game's publisher banned it on Steam.
    #[error("the publisher banned it")]
    PublisherBanned,
    /// The game is borrowed from another account's library.
    #[error("it borrows the game")]
    Borrowed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::WrongCredential(_) => {
                Self::field("provider", "the provider takes another kind of credential")
            }
            Error::Refused(cause) => {
                tracing::info!(%cause, "A provider's credential was refused");
                Self::credentials()
            }
            Error::Forbidden(cause) => {
                tracing::info!(%cause, "A provider's account was refused");
                Self::new(Code::Forbidden, "this account may not sign in here")
            }
            Error::Unreachable(cause) => {
                tracing::warn!(cause, "An identity provider did not answer");
                Self {
                    retry_after: Some(Duration::from_secs(10)),
                    ..Self::new(
                        Code::ProviderFailed,
                        "the identity provider does not answer; try again later",
                    )
                }
            }
            Error::Answer(cause) => {
                tracing::warn!(cause, "An identity provider answered what it must not");
                Self::new(Code::ProviderFailed, "the identity provider failed")
            }
            Error::Configuration(cause) => {
                tracing::error!(cause, "An identity provider refused our configuration");
                Self::new(Code::ProviderFailed, "the identity provider failed")
            }
        }
    }
}

/// Somebody who knows players.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// What kind of identity it vouches for.
    fn kind(&self) -> IdentityKind;

    /// Where the player's browser goes; [`Error::WrongCredential`] from one with tickets.
    async fn begin(&self, begin: Begin<'_>) -> Result<Url, Error>;

    /// Who it is.
    async fn finish(&self, credential: &Credential) -> Result<Subject, Error>;
}

/// Providers by their names.
type ByName = BTreeMap<String, Arc<dyn Provider>>;

/// The configured providers, by name. Built anew when a secret of theirs changes: [`Self::replace`].
#[derive(Clone, Debug, Default)]
pub struct Providers {
    by_name: Arc<watch::Sender<Arc<ByName>>>,
    return_to: Vec<String>,
}

impl Providers {
    fn new(by_name: ByName, return_to: Vec<String>) -> Self {
        Self {
            by_name: Arc::new(watch::Sender::new(Arc::new(by_name))),
            return_to,
        }
    }

    /// The provider of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.by_name.borrow().get(name).cloned()
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.by_name.borrow().keys().cloned().collect()
    }

    /// Uses the providers of `other` from the next sign-in on, in every copy of these.
    pub fn replace(&self, other: &Self) {
        let by_name = Arc::clone(&other.by_name.borrow());
        self.by_name.send_replace(by_name);
    }

    /// Whether a browser may be sent there after the sign-in: an exact match, because a prefix
    /// would let an open redirect of the same host through.
    pub fn may_return(&self, to: &str) -> bool {
        self.return_to.iter().any(|allowed| allowed == to)
    }
}
