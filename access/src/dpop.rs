//! Proofs that a caller holds a key (DPoP, RFC 9449): a stolen token alone is of no use.
//!
//! The caller signs every call with a key of its own, and tokens are bound to that key. Pure: what
//! may be used once is returned ([`Proof::once`]), and the caller of this module sees to it.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use url::Url;

use crate::jwk::{Algorithm, Jwk, PublicKey};
use crate::jws::{self, base64url, sha256};
use crate::nonces::Nonces;
use crate::strict::{self, Present};

/// `typ` of a proof.
pub const TYPE: &str = "dpop+jwt";

/// The longest proof that is looked at, in bytes.
pub const MAX_PROOF: usize = 4096;

/// The longest `jti`, in bytes.
pub const MAX_ID: usize = 128;

/// How old a proof may be.
pub const AGE: SignedDuration = SignedDuration::from_mins(1);

/// How far the caller's clock may be from ours.
pub const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// For how long an id must be remembered so that its proof is good once: from the earliest to the
/// latest moment at which it is accepted.
pub const REMEMBER: std::time::Duration = std::time::Duration::from_mins(3);

/// The call that a proof must fit.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The method of HTTP: "POST".
    pub method: &'a str,
    /// Where the call went, as callers know it; query and fragment do not count.
    pub uri: &'a str,
    /// The access token that came with it; none where a token is asked for.
    pub access_token: Option<&'a str>,
    /// Demands a nonce of ours.
    pub nonces: Option<&'a Nonces>,
}

/// A proof that fits its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The key that was proved (RFC 7638).
    pub thumbprint: String,
    /// The proof's own id.
    pub jti: String,
    /// When it was made, by the caller's clock.
    pub iat: Timestamp,
}

impl Proof {
    /// What may happen only once within [`REMEMBER`].
    pub fn once(&self) -> [u8; 32] {
        // A thumbprint has no such byte.
        sha256(format!("{}\0{}", self.thumbprint, self.jti).as_bytes())
    }
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_PROOF`].
    #[error("the proof is too long")]
    TooLong,
    /// Not three parts of base64url with JSON of the right shape, or a member comes twice.
    #[error("the proof is malformed")]
    Malformed,
    /// Another type than a proof's.
    #[error("the proof is not of type dpop+jwt")]
    Type,
    /// Another algorithm than EdDSA and ES256, or not the key's.
    #[error("the proof's algorithm is not allowed")]
    Algorithm,
    /// The header demands an extension, and none is known.
    #[error("the proof demands an unknown extension")]
    Critical,
    /// The key is missing, private, or of another kind.
    #[error("the proof's key cannot be used")]
    Key,
    /// The key did not sign this.
    #[error("the proof's signature is wrong")]
    Signature,
    /// It is for another method.
    #[error("the proof is for another method")]
    Method,
    /// It is for another address.
    #[error("the proof is for another address")]
    Uri,
    /// It is too old, or from the future.
    #[error("the proof's time is not now")]
    Time,
    /// Its id is empty or longer than [`MAX_ID`].
    #[error("the proof's id is not allowed")]
    Id,
    /// It is for another token, or for none.
    #[error("the proof is for another token")]
    Token,
    /// It must carry the nonce of now: answer `use_dpop_nonce` with a fresh one.
    #[error("the proof needs a nonce of this server")]
    Nonce,
}

impl Refusal {
    /// For metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Type => "type",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Method => "method",
            Self::Uri => "uri",
            Self::Time => "time",
            Self::Id => "id",
            Self::Token => "token",
            Self::Nonce => "nonce",
        }
    }
}

/// What is read of a header.
#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    typ: String,
    alg: String,
    jwk: Option<Jwk>,
    #[serde(default)]
    crit: Present,
}

/// What is read of the claims.
#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// Checks that a proof was made for this call, now (RFC 9449, section 4.3).
pub fn verify(proof: &str, expected: &Expected<'_>, now: Timestamp) -> Result<Proof, Refusal> {
    if proof.len() > MAX_PROOF {
        return Err(Refusal::TooLong);
    }
    let parts = jws::split(proof).ok_or(Refusal::Malformed)?;
    let header: Header = strict::read(&parts.header).ok_or(Refusal::Malformed)?;
    if header.typ != TYPE {
        return Err(Refusal::Type);
    }
    let algorithm = Algorithm::from_name(&header.alg).ok_or(Refusal::Algorithm)?;
    if header.crit.0 {
        return Err(Refusal::Critical);
    }
    let mut jwk = header.jwk.ok_or(Refusal::Key)?;
    // A caller may call its key what it likes.
    jwk.kid = None;
    let key = PublicKey::from_jwk(&jwk).map_err(|_| Refusal::Key)?;
    if key.algorithm() != algorithm {
        return Err(Refusal::Algorithm);
    }
    if !key.is_signed(parts.message, &parts.signature) {
        return Err(Refusal::Signature);
    }
    let claims: Claims = strict::read(&parts.payload).ok_or(Refusal::Malformed)?;
    judge(&claims, expected, now)?;
    Ok(Proof {
        thumbprint: key.thumbprint().to_owned(),
        jti: claims.jti,
        iat: Timestamp::from_second(claims.iat).map_err(|_| Refusal::Time)?,
    })
}

/// Whether what is signed fits the call.
fn judge(claims: &Claims, expected: &Expected<'_>, now: Timestamp) -> Result<(), Refusal> {
    if claims.htm != expected.method {
        return Err(Refusal::Method);
    }
    if target(&claims.htu).is_none_or(|claimed| target(expected.uri) != Some(claimed)) {
        return Err(Refusal::Uri);
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
        return Err(Refusal::Id);
    }
    let token = expected
        .access_token
        .map(|token| base64url(sha256(token.as_bytes())));
    // Without a token there is nothing to fit: a proof may be used where its token is not read.
    if token.is_some() && claims.ath != token {
        return Err(Refusal::Token);
    }
    // Before the time: a caller whose clock is wrong must learn of the nonce all the same.
    if let Some(nonces) = expected.nonces
        && !claims
            .nonce
            .as_ref()
            .is_some_and(|nonce| nonces.accepts(now, nonce))
    {
        return Err(Refusal::Nonce);
    }
    let age = now.as_second().saturating_sub(claims.iat);
    if age < -SKEW.as_secs() || age >= (AGE + SKEW).as_secs() {
        return Err(Refusal::Time);
    }
    Ok(())
}

/// An address without what does not count: query, fragment, the default port, and the case of
/// scheme and host. None unless it is one of HTTP without a user.
fn target(uri: &str) -> Option<Url> {
    let mut url = Url::parse(uri).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !is_plain || !matches!(url.scheme(), "https" | "http" | "wss" | "ws") {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests;
