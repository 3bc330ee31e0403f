//! Replays the committed corpus of the fuzz targets, through the functions that they run.
//!
//! The seeds in it come from fixed inputs, listed here; `UPDATE_CORPUS=1` writes them. Whatever
//! fuzzing finds is added beside them under a name of its own.

#[path = "../fuzz/decoders.rs"]
mod decoders;

use std::fs;
use std::path::{Path, PathBuf};

use access::dpop::{self, Expected};
use access::jws::{base64url, sha256};
use access::verify::Refusal;
use access::{KeySet, Verifier};
use aws_lc_rs::signature::KeyPair as _;
use serde_json::{Value, json};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

struct Seed {
    target: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
}

/// A value with another member.
fn with(value: &Value, member: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[member] = new;
    value
}

/// Header and payload for the target to sign.
fn lines(header: &Value, payload: &Value) -> Vec<u8> {
    format!("{header}\n{payload}").into_bytes()
}

fn token_header() -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": decoders::public().thumbprint()})
}

fn token_claims() -> Value {
    let id = |number: u8| format!("00000000-0000-0000-0000-0000000000{number:02}");
    json!({
        "iss": decoders::ISSUER,
        "sub": id(1),
        "aud": [decoders::AUDIENCE],
        "exp": decoders::NOW + 300,
        "iat": decoders::NOW,
        "jti": id(3),
        "sid": id(2),
        "cnf": {"jkt": "thumbprint"},
        "roles": ["player"],
    })
}

fn proof_header() -> Value {
    let x = base64url(decoders::pair().public_key().as_ref());
    json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}})
}

fn proof_claims() -> Value {
    json!({
        "jti": "1",
        "htm": decoders::METHOD,
        "htu": decoders::ADDRESS,
        "iat": decoders::NOW,
        "ath": base64url(sha256(b"token")),
        "nonce": decoders::nonces().issue(decoders::now()),
    })
}

/// RFC 9449, section 4.1.
const STANDARD_PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

/// Good input of every kind, and some that is nearly good.
fn seeds() -> Vec<Seed> {
    let (header, claims) = (token_header(), token_claims());
    let (proof, made) = (proof_header(), proof_claims());
    let signed = |header: &Value, payload: &Value| {
        decoders::sign(
            header.to_string().as_bytes(),
            payload.to_string().as_bytes(),
        )
        .into_bytes()
    };
    let of_token = |member: &str, value: Value| lines(&with(&header, member, value), &claims);
    let claiming = |member: &str, value: Value| lines(&header, &with(&claims, member, value));
    let of_proof = |member: &str, value: Value| lines(&with(&proof, member, value), &made);
    let proving = |member: &str, value: Value| lines(&proof, &with(&made, member, value));
    let good_set = [decoders::public()]
        .into_iter()
        .collect::<KeySet>()
        .to_jwks();
    let twice = format!("{header}\n{{\"exp\":1,{}", &claims.to_string()[1..]);
    let list = [
        ("token", "good", lines(&header, &claims)),
        ("token", "signed", signed(&header, &claims)),
        (
            "token",
            "signed-short",
            signed(&header, &claims)[..300].to_vec(),
        ),
        ("token", "alg-none", of_token("alg", json!("none"))),
        ("token", "alg-hs256", of_token("alg", json!("HS256"))),
        ("token", "typ", of_token("typ", json!("JWT"))),
        ("token", "kid", of_token("kid", json!("other"))),
        ("token", "crit", of_token("crit", json!(["exp"]))),
        ("token", "exp-huge", claiming("exp", json!(u64::MAX))),
        ("token", "exp-float", claiming("exp", json!(1e300))),
        (
            "token",
            "aud-text",
            claiming("aud", json!(decoders::AUDIENCE)),
        ),
        (
            "token",
            "more",
            claiming("more", json!([{"deep": [null, true, -1, 1.5]}])),
        ),
        ("token", "nested", lines(&header, &json!("a.b.c"))),
        ("token", "exp-twice", twice.into_bytes()),
        ("proof", "good", lines(&proof, &made)),
        ("proof", "signed", signed(&proof, &made)),
        ("proof", "standard", STANDARD_PROOF.as_bytes().to_vec()),
        (
            "proof",
            "private",
            of_proof("jwk", with(&proof["jwk"], "d", json!("AA"))),
        ),
        (
            "proof",
            "small-order",
            of_proof("jwk", with(&proof["jwk"], "x", json!(base64url([0; 32])))),
        ),
        (
            "proof",
            "rsa",
            of_proof("jwk", json!({"kty": "RSA", "n": "AA", "e": "AQAB"})),
        ),
        (
            "proof",
            "htu-query",
            proving("htu", json!("HTTPS://Server.Example.com:443/./token?a#b")),
        ),
        (
            "proof",
            "htu-user",
            proving("htu", json!("https://a@server.example.com/token")),
        ),
        ("proof", "iat-min", proving("iat", json!(i64::MIN))),
        (
            "proof",
            "nonce-bad",
            proving("nonce", json!("AAAAAAAAAAAA")),
        ),
        ("keys", "good", good_set.clone().into_bytes()),
        (
            "keys",
            "foreign",
            good_set.replace("[{", r#"[{"kty":"RSA"},{"#).into_bytes(),
        ),
        (
            "keys",
            "twice",
            good_set
                .replace("{\"keys\"", "{\"keys\":[],\"keys\"")
                .into_bytes(),
        ),
        (
            "keys",
            "private",
            good_set
                .replace("\"kid\"", "\"d\":\"AA\",\"kid\"")
                .into_bytes(),
        ),
        ("keys", "empty", br#"{"keys":[]}"#.to_vec()),
        ("keys", "deep", "[".repeat(500).into_bytes()),
    ];
    list.into_iter()
        .map(|(target, name, bytes)| Seed {
            target,
            name,
            bytes,
        })
        .collect()
}

#[test]
fn the_seeds_in_the_corpus_are_as_they_are_made() {
    let is_update = std::env::var_os("UPDATE_CORPUS").is_some();
    for seed in seeds() {
        let path = folder(seed.target).join(seed.name);
        if is_update {
            fs::create_dir_all(folder(seed.target)).unwrap();
            fs::write(&path, &seed.bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap();
        assert!(kept == seed.bytes, "{} is stale", path.display());
    }
}

#[test]
fn the_good_seeds_are_good() {
    let verifier = Verifier::new(decoders::ISSUER, decoders::AUDIENCE);
    verifier.set_keys([decoders::public()].into_iter().collect());
    let token = fs::read_to_string(folder("token").join("signed")).unwrap();
    assert!(verifier.check(decoders::now(), &token).is_ok());
    let unbound = verifier.verify(decoders::now(), &token, None);
    assert_eq!(unbound, Err(Refusal::ProofMissing));
    let nonces = decoders::nonces();
    let call = Expected {
        method: decoders::METHOD,
        uri: decoders::ADDRESS,
        access_token: Some("token"),
        nonces: Some(&nonces),
    };
    let proof = fs::read_to_string(folder("proof").join("signed")).unwrap();
    assert!(dpop::verify(&proof, &call, decoders::now()).is_ok());
    let keys = fs::read_to_string(folder("keys").join("foreign")).unwrap();
    assert!(KeySet::from_jwks(&keys).is_ok());
}

#[test]
fn the_corpus_passes() {
    for (target, _) in decoders::DECODERS {
        let mut count = 0;
        for entry in fs::read_dir(folder(target)).unwrap() {
            decoders::run(target, &fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 4, "{target} has {count} inputs");
    }
}
