//! What an access token says: a JWT after RFC 9068, signed with Ed25519.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{PlayerId, SessionId};

/// `typ` of the header (RFC 9068, section 2.1).
pub const TYPE: &str = "at+jwt";

/// How long a token is good for, at most. Verifiers forget revocations by it, so they refuse
/// tokens that claim more.
pub const LIFETIME: Duration = Duration::from_mins(5);

/// How far the clocks of two machines may be apart.
pub const SKEW: Duration = Duration::from_mins(1);

/// The claims of an access token. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The auth service that made it.
    pub iss: String,
    /// The player.
    pub sub: PlayerId,
    /// The services that may accept it.
    pub aud: Vec<String>,
    /// Void from then on.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// Its own id.
    pub jti: Uuid,
    /// The session that it belongs to; its end voids the token.
    pub sid: SessionId,
    /// The key that the bearer must prove to hold; none for a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// What the player may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// The key of a sender-constrained token (RFC 9449, section 6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The key's SHA-256 thumbprint (RFC 7638), in base64url.
    pub jkt: String,
}
