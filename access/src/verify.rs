//! Accepts or refuses an access token, without asking anybody.
//!
//! Says no unless everything is right: algorithm, type, key, signature, issuer, audience, time,
//! revocations and, for a token that is bound to a key, the proof that its bearer holds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::claims::{Claims, LIFETIME, SKEW, TYPE};
use crate::dpop::Proof;
use crate::ids::{PlayerId, SessionId};
use crate::jwk::Algorithm;
use crate::jws::{self, sha256};
use crate::keys::KeySet;
use crate::repeats::{Repeats, Verified};
use crate::revocations::{Revocation, Revocations};
use crate::strict::{self, Present};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 4096;

/// How many tokens are remembered for a second.
const REPEATS: usize = 16_384;

/// Why a token is refused. For logs and tests: a caller learns only that it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_TOKEN`].
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url with JSON of the right shape, or a member comes twice.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm than EdDSA.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// Another type than an access token's.
    #[error("the token is not an access token")]
    Type,
    /// The header demands an extension, and none is known.
    #[error("the token demands an unknown extension")]
    Critical,
    /// Nothing is known of its key, or no more.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The key did not sign this.
    #[error("the token's signature is wrong")]
    Signature,
    /// Somebody else made it.
    #[error("the token has another issuer")]
    Issuer,
    /// It is for other services.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is from the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// It claims to be good for longer than tokens are, or for no time.
    #[error("the token's lifetime is not allowed")]
    Lifetime,
    /// Its session has ended.
    #[error("the token is revoked")]
    Revoked,
    /// It is bound to a key, and its bearer proved none.
    #[error("the token needs a proof of its key")]
    ProofMissing,
    /// It is bound to another key than the one that was proved, or to none.
    #[error("the token is bound to another key")]
    ProofMismatch,
}

impl Refusal {
    /// For metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Critical => "critical",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Lifetime => "lifetime",
            Self::Revoked => "revoked",
            Self::ProofMissing => "proof_missing",
            Self::ProofMismatch => "proof_mismatch",
        }
    }
}

/// What is read of a header.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    crit: Present,
}

/// What a service knows of tokens. Shared: one keeps it current, many verify.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
    known: RwLock<Known>,
    repeats: Mutex<Repeats>,
    unknown_key: Notify,
}

/// What changes.
#[derive(Debug, Default)]
struct Known {
    keys: KeySet,
    revocations: Revocations,
}

impl Verifier {
    /// Accepts tokens of that issuer for that audience, as soon as it knows keys.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            known: RwLock::default(),
            repeats: Mutex::new(Repeats::at_most(REPEATS)),
            unknown_key: Notify::new(),
        }
    }

    /// Accepts a token and its bearer. The proof is that of this very call ([`crate::dpop`]).
    ///
    /// A token that is bound to a key needs a proof of it; with a proof, a token that is bound to
    /// none is refused.
    pub fn verify(
        &self,
        now: Timestamp,
        token: &str,
        proof: Option<&Proof>,
    ) -> Result<Arc<Claims>, Refusal> {
        let claims = self.check(now, token)?;
        match (&claims.cnf, proof) {
            (None, None) => Ok(claims),
            (Some(_), None) => Err(Refusal::ProofMissing),
            (Some(bound), Some(proof)) if bound.jkt == proof.thumbprint => Ok(claims),
            (_, Some(_)) => Err(Refusal::ProofMismatch),
        }
    }

    /// Accepts a token, whoever bears it: whether that one holds the key in `cnf` is for the
    /// caller to find out.
    pub fn check(&self, now: Timestamp, token: &str) -> Result<Arc<Claims>, Refusal> {
        self.check_for(now, token, Some(&self.audience))
    }

    /// As [`Self::check`], for another service than this one; for whomever it is without one.
    pub fn check_for(
        &self,
        now: Timestamp,
        token: &str,
        audience: Option<&str>,
    ) -> Result<Arc<Claims>, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::TooLong);
        }
        let hash = sha256(token.as_bytes());
        let repeat = self.repeats().get(now, &hash);
        let is_repeat = repeat.is_some();
        let verified = match repeat {
            Some(verified) => verified,
            None => self.open(token)?,
        };
        let known = self.read();
        // The key may have been revoked since.
        if known.keys.get(&verified.key).is_none() {
            return Err(Refusal::UnknownKey);
        }
        self.judge(now, &verified.claims, audience)?;
        if known.revocations.voids(&verified.claims) {
            return Err(Refusal::Revoked);
        }
        drop(known);
        let claims = Arc::clone(&verified.claims);
        if !is_repeat {
            self.repeats().put(now, hash, verified);
        }
        Ok(claims)
    }

    /// Checks the signature and reads what is signed.
    fn open(&self, token: &str) -> Result<Verified, Refusal> {
        let parts = jws::split(token).ok_or(Refusal::Malformed)?;
        let header: Header = strict::read(&parts.header).ok_or(Refusal::Malformed)?;
        if Algorithm::from_name(&header.alg) != Some(Algorithm::EdDsa) {
            return Err(Refusal::Algorithm);
        }
        if header.crit.0 {
            return Err(Refusal::Critical);
        }
        if header.typ != TYPE {
            return Err(Refusal::Type);
        }
        let key = self.read().keys.get(&header.kid).cloned();
        let Some(key) = key else {
            self.unknown_key.notify_one();
            return Err(Refusal::UnknownKey);
        };
        if !key.is_signed(parts.message, &parts.signature) {
            return Err(Refusal::Signature);
        }
        let claims = strict::read(&parts.payload).ok_or(Refusal::Malformed)?;
        Ok(Verified {
            key: header.kid.into(),
            claims: Arc::new(claims),
        })
    }

    /// Judges claims by what does not change but the time.
    fn judge(
        &self,
        now: Timestamp,
        claims: &Claims,
        audience: Option<&str>,
    ) -> Result<(), Refusal> {
        if claims.iss != self.issuer {
            return Err(Refusal::Issuer);
        }
        if audience.is_some_and(|wanted| !claims.aud.iter().any(|accepted| accepted == wanted)) {
            return Err(Refusal::Audience);
        }
        let seconds = |duration: std::time::Duration| duration.as_secs().cast_signed();
        let lifetime = claims
            .exp
            .checked_sub(claims.iat)
            .ok_or(Refusal::Lifetime)?;
        if !(1..=seconds(LIFETIME)).contains(&lifetime) {
            return Err(Refusal::Lifetime);
        }
        let now = now.as_second();
        if claims.iat > now.saturating_add(seconds(SKEW)) {
            return Err(Refusal::NotYet);
        }
        if claims.exp <= now.saturating_sub(seconds(SKEW)) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }

    /// Replaces the keys. A token of a key that is gone is refused from then on.
    pub fn set_keys(&self, keys: KeySet) {
        self.write().keys = keys;
    }

    /// The keys.
    pub fn keys(&self) -> KeySet {
        self.read().keys.clone()
    }

    /// Refuses tokens from then on.
    pub fn revoke(&self, now: Timestamp, revocation: Revocation) {
        self.write().revocations.insert(now, revocation);
    }

    /// Whether a session that began then was revoked lately.
    pub fn has_ended(&self, player: PlayerId, session: SessionId, began: Timestamp) -> bool {
        self.read().revocations.ended(player, session, began)
    }

    /// How many revocations are kept.
    pub fn revocations(&self) -> usize {
        self.read().revocations.len()
    }

    /// Waits for a token whose key is unknown: there may be keys to fetch. One that came before
    /// the call counts too.
    pub async fn unknown_key(&self) {
        self.unknown_key.notified().await;
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
