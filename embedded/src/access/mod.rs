//! Who may do what: bearer tokens, tokens of service accounts, reviews, and roles.
//!
//! Decides from the objects as they are at the moment: nothing is cached, so a deleted pod's
//! token and a removed binding end at once. Called by the server for each request that comes over
//! HTTP; code of this process that is not asked who it is needs none of this.
//!
//! As in a real cluster without extra flags, somebody without credentials is `system:anonymous`
//! and may read `/version` and the health paths; somebody with bad credentials is turned away.

mod account;
mod credentials;
mod escalation;
mod impersonate;
mod policy;
mod rbac;
mod review;
mod tokens;
mod user;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::kinds::Kind;
use crate::objects::Objects;
use crate::status::Status;
use crate::{Clock, Uids};

pub use self::credentials::{Credentials, Identity, Secret};
pub use self::impersonate::Impersonation;
pub use self::policy::plant;
pub use self::user::{ANONYMOUS, AUTHENTICATED, Attributes, MASTERS, UNAUTHENTICATED, User};

use self::rbac::Decision;
use self::tokens::{Flaw, Tokens};

/// Who signs tokens of service accounts, as in most clusters.
pub const ISSUER: &str = "https://kubernetes.default.svc";

/// Why credentials cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system gave no random numbers.
    #[error("no random numbers are to be had")]
    Random,
    /// The signing key is none.
    #[error("the signing key of service account tokens is damaged")]
    Key,
}

/// What [`Access`] works with.
#[derive(Clone)]
pub struct Settings {
    /// Who signs tokens, and their audience if none is asked for: usually [`ISSUER`].
    pub issuer: String,
    /// Tokens of fixed users, and the signing key.
    pub credentials: Credentials,
    /// The time.
    pub clock: Clock,
    /// Where the ids of tokens come from.
    pub uids: Uids,
}

/// Checks credentials and rights.
pub struct Access {
    credentials: Credentials,
    tokens: Tokens,
    clock: Clock,
    uids: Uids,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("credentials", &self.credentials)
            .field("issuer", &self.tokens.issuer())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("issuer", &self.issuer)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Checks with these credentials.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings {
            issuer,
            credentials,
            clock,
            uids,
        } = settings;
        Ok(Self {
            tokens: Tokens::new(&issuer, &credentials)?,
            credentials,
            clock,
            uids,
        })
    }

    /// Who sends a request with this `Authorization` header: somebody unknown without one.
    pub fn authenticate(
        &self,
        objects: &dyn Objects,
        authorization: Option<&str>,
    ) -> Result<User, Status> {
        let Some(token) = authorization.and_then(bearer) else {
            return Ok(User::anonymous());
        };
        let audiences = [self.tokens.issuer().to_owned()];
        match self.check(objects, token, &audiences) {
            Ok((user, _)) => Ok(user),
            Err(flaw) => {
                tracing::debug!(why = flaw.message(), "Refused a token");
                Err(Status::new(401, "Unauthorized", "Unauthorized"))
            }
        }
    }

    /// Whether a request is allowed; if not, the answer.
    pub fn authorize(&self, objects: &dyn Objects, attributes: &Attributes) -> Result<(), Status> {
        match rbac::decide(objects, attributes) {
            Decision::Allowed(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(attributes.refuse(&reason)),
        }
    }

    /// Refuses a write of a role or binding that grants what the caller does not hold.
    pub fn confirm_grant(
        &self,
        objects: &dyn Objects,
        caller: &User,
        target: (&Kind, &str),
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        escalation::confirm(objects, caller, target, new, old)
    }

    /// Who the caller asks to be, if it may.
    pub fn impersonate(
        &self,
        objects: &dyn Objects,
        caller: &User,
        wanted: &Impersonation,
    ) -> Result<User, Status> {
        impersonate::impersonate(objects, caller, wanted)
    }

    /// The answer to `POST` of a review; none if the resource is not one. `namespace` is that of
    /// the path, or empty.
    pub fn review(
        &self,
        objects: &dyn Objects,
        caller: &User,
        resource: (&str, &str),
        namespace: &str,
        body: &Value,
    ) -> Option<Result<Value, Status>> {
        review::review(self, objects, caller, resource, namespace, body)
    }

    /// The answer to `POST serviceaccounts/NAME/token`.
    pub fn request_token(
        &self,
        objects: &dyn Objects,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<Value, Status> {
        account::request(self, objects, namespace, name, body)
    }

    /// The document `/.well-known/openid-configuration`; the address is that of
    /// `/openid/v1/jwks`.
    pub fn openid_configuration(&self, keys_url: &str) -> Value {
        self.tokens.configuration(keys_url)
    }

    /// The document `/openid/v1/jwks`: the public part of the signing key.
    pub fn openid_keys(&self) -> Value {
        self.tokens.keys()
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Whose token it is, and for which of the audiences.
    fn check(
        &self,
        objects: &dyn Objects,
        token: &str,
        audiences: &[String],
    ) -> Result<(User, Vec<String>), Flaw> {
        if let Some(user) = self.credentials.find(token) {
            // Tokens of fixed users are for this server alone.
            let ours: Vec<String> = audiences
                .iter()
                .filter(|audience| *audience == self.tokens.issuer())
                .cloned()
                .collect();
            return if ours.is_empty() {
                Err(Flaw::Unknown)
            } else {
                Ok((user, ours))
            };
        }
        self.tokens.check(objects, self.now(), token, audiences)
    }
}

/// The token in an `Authorization` header; none if it is of another kind, or empty.
fn bearer(header: &str) -> Option<&str> {
    let mut parts = header.trim().splitn(3, ' ');
    let scheme = parts.next()?;
    let token = parts.next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A time as objects show it.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
