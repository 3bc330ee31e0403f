//! Tokens that a provider signed: its keys, and the checks that an ID token and an Xbox token have
//! in common.
//!
//! The algorithm is chosen by us and the key, never by the token: what is not on the list is
//! refused before a signature is computed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longer tokens are refused before they are decoded.
const LONGEST: usize = 16 * 1024;

/// A provider has that many keys at most; further ones are not looked at.
const MOST_KEYS: usize = 64;

/// By how much a provider's clock may differ from ours.
pub(super) const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The algorithms that we verify. Symmetric ones and `none` are not among them.
pub(super) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a token of three parts, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// It is encrypted (JWE): no decryption key can be configured.
    #[error(
        "the token is encrypted, which is not supported; configure the relying party for signed tokens"
    )]
    Encrypted,
    /// Its header asks for an algorithm, type or extension that we do not accept.
    #[error("the token's header is not acceptable")]
    Header,
    /// The provider has no such key.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing or of another type.
    #[error("the token's claims are malformed")]
    Claims,
    /// Somebody else made it.
    #[error("the token's issuer is another")]
    Issuer,
    /// It was made for somebody else.
    #[error("the token's audience is another")]
    Audience,
    /// Its time is over.
    #[error("the token is expired")]
    Expired,
    /// It is from the future, or too old to be the answer to what we asked.
    #[error("the token's time of issue is not plausible")]
    IssuedAt,
    /// It belongs to another sign-in.
    #[error("the token's nonce is another")]
    Nonce,
    /// It belongs to another access token.
    #[error("the token's at_hash is another")]
    AccessToken,
    /// It does not name the account.
    #[error("the token's subject is missing or malformed")]
    Subject,
    /// It is for another user of the same console.
    #[error("the token's user hash is another")]
    UserHash,
}

/// A provider's public keys.
#[derive(Clone, Debug)]
pub(super) struct Keys(Vec<Jwk>);

/// A key set as it is on the wire: a key that we do not understand does not spoil the others.
#[derive(Deserialize)]
pub(super) struct WireKeys {
    keys: Vec<serde_json::Value>,
}

impl From<WireKeys> for Keys {
    fn from(wire: WireKeys) -> Self {
        let keys = wire.keys.into_iter().take(MOST_KEYS);
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Self(
            keys.filter(|key| ALGORITHMS.iter().any(|algorithm| suits(key, *algorithm)))
                .collect(),
        )
    }
}

/// Whether a key is one for signatures of that algorithm.
fn suits(key: &Jwk, algorithm: Algorithm) -> bool {
    let of_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let for_it = key
        .common
        .key_algorithm
        .is_none_or(|its| its == KeyAlgorithm::from(algorithm));
    let for_signatures = key
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|its| *its == PublicKeyUse::Signature);
    of_kind && for_it && for_signatures
}

impl Keys {
    /// The key of a token. Without an id in the token there must be no choice.
    fn find(&self, header: &Header) -> Option<&Jwk> {
        let mut fitting = self.0.iter().filter(|key| {
            suits(key, header.algorithm)
                && (header.key.is_none() || key.common.key_id == header.key)
        });
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    /// Whether the key of a token is among them.
    pub(super) fn has(&self, header: &Header) -> bool {
        self.find(header).is_some()
    }

    /// The claims of a token whose signature is good. The claims themselves are not judged.
    pub(super) fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
        header: &Header,
    ) -> Result<T, Refusal> {
        let key = self.find(header).ok_or(Refusal::UnknownKey)?;
        let key = DecodingKey::from_jwk(key).map_err(|_error| Refusal::UnknownKey)?;
        let mut validation = Validation::new(header.algorithm);
        // Ours to check, against the time that we are given.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &key, &validation)
            .map(|data| data.claims)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::Json(_) => Refusal::Claims,
                jsonwebtoken::errors::ErrorKind::InvalidToken
                | jsonwebtoken::errors::ErrorKind::Base64(_)
                | jsonwebtoken::errors::ErrorKind::Utf8(_) => Refusal::Malformed,
                _ => Refusal::Signature,
            })
    }
}

/// What a token says of itself before anything of it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    key: Option<String>,
}

#[derive(Deserialize)]
struct WireHeader {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// Extensions that must be understood; we understand none.
    crit: Option<serde_json::Value>,
}

impl Header {
    /// Parses the header; `allowed` are the algorithms that the provider signs with.
    pub(super) fn parse(token: &str, allowed: &[Algorithm]) -> Result<Self, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::Malformed);
        }
        let mut parts = token.split('.');
        let first = parts.next().unwrap_or_default();
        match parts.count() {
            2 => {}
            4 => return Err(Refusal::Encrypted),
            _ => return Err(Refusal::Malformed),
        }
        let json = URL_SAFE_NO_PAD
            .decode(first)
            .map_err(|_error| Refusal::Malformed)?;
        let header: WireHeader =
            serde_json::from_slice(&json).map_err(|_error| Refusal::Malformed)?;
        let algorithm = allowed
            .iter()
            .find(|algorithm| KeyAlgorithm::from(**algorithm).to_string() == header.alg)
            .ok_or(Refusal::Header)?;
        // Another type is another kind of token that the same keys sign: an access token.
        let is_jwt = header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        if header.crit.is_some() || !is_jwt {
            return Err(Refusal::Header);
        }
        Ok(Self {
            algorithm: *algorithm,
            key: header.kid,
        })
    }
}

/// One or more audiences.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl Audience {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Seconds since 1970; some providers write a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Seconds(f64);

impl Seconds {
    /// The time; none if there is no such time.
    pub(super) fn time(self) -> Option<Timestamp> {
        SignedDuration::try_from_secs_f64(self.0)
            .ok()
            .and_then(|since| Timestamp::from_duration(since).ok())
    }
}

/// Checks that a token's time is not over and, where it is told, has come.
pub(super) fn check_times(
    now: Timestamp,
    expires: Seconds,
    not_before: Option<Seconds>,
) -> Result<(), Refusal> {
    let expires = expires.time().ok_or(Refusal::Claims)?;
    if now >= expires.checked_add(SKEW).unwrap_or(Timestamp::MAX) {
        return Err(Refusal::Expired);
    }
    if let Some(not_before) = not_before {
        let from = not_before.time().ok_or(Refusal::Claims)?;
        if now.checked_add(SKEW).unwrap_or(Timestamp::MAX) < from {
            return Err(Refusal::IssuedAt);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: &serde_json::Value) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header.to_string()))
    }

    #[test]
    fn headers_that_we_do_not_accept_are_refused() {
        let all = ALGORITHMS.as_slice();
        let good = Header {
            algorithm: Algorithm::RS256,
            key: Some("one".into()),
        };
        for (header, allowed, expected) in [
            (json!({"alg": "RS256", "kid": "one"}), all, Ok(good.clone())),
            (
                json!({"alg": "RS256", "kid": "one", "typ": "jwt"}),
                all,
                Ok(good),
            ),
            (
                json!({"alg": "RS256", "typ": "at+jwt"}),
                all,
                Err(Refusal::Header),
            ),
            (
                json!({"alg": "RS256", "crit": ["b64"], "b64": false}),
                all,
                Err(Refusal::Header),
            ),
            (json!({"alg": "none"}), all, Err(Refusal::Header)),
            (json!({"alg": "HS256"}), all, Err(Refusal::Header)),
            (json!({"alg": "rs256"}), all, Err(Refusal::Header)),
            (
                json!({"alg": "ES256"}),
                &[Algorithm::RS256],
                Err(Refusal::Header),
            ),
            (json!({"kid": "one"}), all, Err(Refusal::Malformed)),
            (json!([]), all, Err(Refusal::Malformed)),
        ] {
            assert_eq!(
                Header::parse(&token(&header), allowed),
                expected,
                "{header}"
            );
        }
        for (text, expected) in [
            ("", Refusal::Malformed),
            ("a.b", Refusal::Malformed),
            ("a.b.c.d", Refusal::Malformed),
            ("a.b.c.d.e", Refusal::Encrypted),
            ("!.b.c", Refusal::Malformed),
        ] {
            assert_eq!(Header::parse(text, all), Err(expected), "{text}");
        }
        let long = format!("{}.{}.a", URL_SAFE_NO_PAD.encode("{}"), "a".repeat(LONGEST));
        assert_eq!(Header::parse(&long, all), Err(Refusal::Malformed));
    }

    #[test]
    fn keys_that_do_not_suit_are_left_out() {
        let wire = json!({"keys": [
            {"kty": "RSA", "kid": "one", "n": "AQAB", "e": "AQAB", "use": "sig"},
            {"kty": "RSA", "kid": "for encryption", "n": "AQAB", "e": "AQAB", "use": "enc"},
            {"kty": "RSA", "kid": "of another algorithm", "n": "AQAB", "e": "AQAB", "alg": "PS512"},
            {"kty": "oct", "kid": "symmetric", "k": "AQAB"},
            {"kty": "EC", "kid": "unknown curve", "crv": "secp256k1", "x": "AQAB", "y": "AQAB"},
            {"kty": "EC", "kid": "other curve", "crv": "P-384", "x": "AQAB", "y": "AQAB"},
            {"kty": "OKP", "kid": "three", "crv": "Ed25519", "x": "AQAB"},
            {"kid": 7},
            "nonsense",
        ]});
        let keys = Keys::from(serde_json::from_value::<WireKeys>(wire).unwrap());
        let ids: Vec<_> = keys.0.iter().map(|key| key.common.key_id.clone()).collect();
        assert_eq!(ids, [Some("one".into()), Some("three".into())]);
        let header = |algorithm, key: Option<&str>| Header {
            algorithm,
            key: key.map(str::to_owned),
        };
        assert!(keys.has(&header(Algorithm::RS256, Some("one"))));
        assert!(keys.has(&header(Algorithm::RS256, None)));
        assert!(!keys.has(&header(Algorithm::EdDSA, Some("one"))));
        let twice = Keys([keys.0.clone(), keys.0].concat());
        assert!(
            !twice.has(&header(Algorithm::RS256, None)),
            "there is a choice"
        );
    }

    #[test]
    fn times_are_checked_with_the_skew() {
        let now = Timestamp::from_second(10_000).unwrap();
        for (expires, not_before, expected) in [
            (10_000.0, None, Ok(())),
            (9_940.5, None, Ok(())),
            (9_940.0, None, Err(Refusal::Expired)),
            (f64::NAN, None, Err(Refusal::Claims)),
            (1e300, None, Err(Refusal::Claims)),
            (20_000.0, Some(10_060.0), Ok(())),
            (20_000.0, Some(10_061.0), Err(Refusal::IssuedAt)),
        ] {
            let checked = check_times(now, Seconds(expires), not_before.map(Seconds));
            assert_eq!(checked, expected, "{expires} {not_before:?}");
        }
    }
}
