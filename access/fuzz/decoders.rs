//! What each fuzz target does with its input. `tests/corpus.rs` runs the same functions.
//!
//! A signature cannot be guessed, so `token` and `proof` also sign what they are given: the first
//! line of the input is the header, the rest the payload.
#![expect(clippy::unwrap_used, reason = "a failed step is a finding")]
use access::claims::{Claims, LIFETIME, SKEW};
use access::dpop::{self, Expected};
use access::jwk::PublicKey;
use access::jws::base64url;
use access::nonces::Nonces;
use access::{KeySet, Verifier};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jiff::Timestamp;

type Decoder = fn(&[u8]);

/// The targets and what they do.
pub(crate) const DECODERS: [(&str, Decoder); 3] =
    [("token", token), ("proof", proof), ("keys", keys)];

/// Runs one target on one input.
pub(crate) fn run(target: &str, bytes: &[u8]) {
    let (_, decode) = DECODERS.iter().find(|(name, _)| *name == target).unwrap();
    decode(bytes);
}

/// The second in which everything happens.
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) const ISSUER: &str = "auth";
pub(crate) const AUDIENCE: &str = "game";
pub(crate) const METHOD: &str = "POST";
pub(crate) const ADDRESS: &str = "https://server.example.com/token";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// The same key for everybody: a corpus must mean the same tomorrow.
pub(crate) fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

pub(crate) fn public() -> PublicKey {
    PublicKey::ed25519(pair().public_key().as_ref()).unwrap()
}

pub(crate) fn nonces() -> Nonces {
    Nonces::new(&[8; 32], None)
}

/// Signs a header and a payload of any bytes.
pub(crate) fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = pair().sign(message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

/// The input as it is, and signed.
fn tokens(bytes: &[u8]) -> Vec<String> {
    let mut tokens = Vec::new();
    if let Ok(text) = str::from_utf8(bytes) {
        tokens.push(text.to_owned());
    }
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    if let (Some(header), Some(payload)) = (lines.next(), lines.next()) {
        tokens.push(sign(header, payload));
    }
    tokens
}

/// An access token at a verifier, twice: what is accepted is right, and a repeat is judged alike.
fn token(bytes: &[u8]) {
    let verifier = Verifier::new(ISSUER, AUDIENCE);
    verifier.set_keys([public()].into_iter().collect());
    for token in tokens(bytes) {
        let first = verifier.check(now(), &token);
        assert_eq!(verifier.check(now(), &token), first);
        if let Ok(claims) = first {
            is_right(&claims);
        }
    }
}

fn is_right(claims: &Claims) {
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap();
    assert_eq!(claims.iss, ISSUER);
    assert!(claims.aud.iter().any(|audience| audience == AUDIENCE));
    assert!(claims.exp - claims.iat <= seconds(LIFETIME));
    assert!(claims.iat <= NOW + seconds(SKEW));
    assert!(claims.exp > NOW - seconds(SKEW));
}

/// A proof for one call, with and without a token and nonces.
fn proof(bytes: &[u8]) {
    let nonces = nonces();
    let plain = Expected {
        method: METHOD,
        uri: ADDRESS,
        access_token: None,
        nonces: None,
    };
    for text in tokens(bytes) {
        let accepted = dpop::verify(&text, &plain, now());
        if let Ok(proof) = &accepted {
            assert!(!proof.jti.is_empty() && proof.jti.len() <= dpop::MAX_ID);
            assert!(proof.iat.as_second().abs_diff(NOW) <= dpop::REMEMBER.as_secs());
            assert_eq!(proof.thumbprint.len(), 43);
        }
        let strict = Expected {
            access_token: Some("token"),
            nonces: Some(&nonces),
            ..plain
        };
        // Whatever fits more fits less, and is the same proof.
        if let Ok(proof) = dpop::verify(&text, &strict, now()) {
            assert_eq!(accepted, Ok(proof));
        }
    }
}

/// A key set: what is read is written and read again alike.
fn keys(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(keys) = KeySet::from_jwks(text) {
        assert!(keys.ids().all(|id| id.len() == 43));
        assert_eq!(KeySet::from_jwks(&keys.to_jwks()), Ok(keys));
    }
}
