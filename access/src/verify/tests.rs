//! What is accepted, and everything else.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::claims::Confirmation;
use crate::jwk::PublicKey;
use crate::jws::base64url;
use crate::{PlayerId, SessionId};

const NOW: i64 = 1_700_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> PublicKey {
    PublicKey::ed25519(pair(seed).public_key().as_ref()).unwrap()
}

fn claims() -> Claims {
    Claims {
        iss: "https://auth.example.com".to_owned(),
        sub: PlayerId(Uuid::from_u128(1)),
        aud: vec!["game".to_owned(), "lobby".to_owned()],
        exp: NOW + 300,
        iat: NOW,
        jti: Uuid::from_u128(3),
        sid: SessionId(Uuid::from_u128(2)),
        cnf: None,
        roles: vec!["player".to_owned()],
    }
}

fn verifier() -> Verifier {
    let verifier = Verifier::new("https://auth.example.com", "game");
    verifier.set_keys([public(1), public(2)].into_iter().collect());
    verifier
}

/// Signs any text as header and payload.
fn sign_text(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = pair(1).sign(message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

fn header() -> serde_json::Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": public(1).thumbprint()})
}

fn token(claims: &Claims) -> String {
    sign_text(
        &header().to_string(),
        &serde_json::to_string(claims).unwrap(),
    )
}

fn refusal(token: &str) -> Option<Refusal> {
    verifier().check(at(NOW), token).err()
}

#[test]
fn a_good_token_is_accepted_twice() {
    let verifier = verifier();
    let token = token(&claims());
    for _ in 0..2 {
        let accepted = verifier.verify(at(NOW), &token, None).unwrap();
        assert_eq!(*accepted, claims());
    }
}

#[test]
fn the_published_library_accepts_our_tokens_and_we_its() {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["game"]);
    validation.set_issuer(&["https://auth.example.com"]);
    let mut current = claims();
    current.iat = runtime::clock::now().as_second();
    current.exp = current.iat + 300;
    let key = DecodingKey::from_ed_der(pair(1).public_key().as_ref());
    let read = jsonwebtoken::decode::<Claims>(token(&current), &key, &validation).unwrap();
    assert_eq!(read.claims, current);

    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(public(1).thumbprint().to_owned());
    let private = pair(1).to_pkcs8v1().unwrap();
    let key = EncodingKey::from_ed_der(private.as_ref());
    let theirs = jsonwebtoken::encode(&header, &current, &key).unwrap();
    let accepted = verifier().check(at(current.iat), &theirs).unwrap();
    assert_eq!(*accepted, current);
}

#[test]
fn a_header_that_is_not_ours_is_refused() {
    let payload = serde_json::to_string(&claims()).unwrap();
    let with = |name: &str, value: serde_json::Value| {
        let mut header = header();
        header[name] = value;
        refusal(&sign_text(&header.to_string(), &payload))
    };
    for (name, value, expected) in [
        ("alg", json!("none"), Refusal::Algorithm),
        ("alg", json!("None"), Refusal::Algorithm),
        ("alg", json!("HS256"), Refusal::Algorithm),
        ("alg", json!("ES256"), Refusal::Algorithm),
        ("alg", json!("eddsa"), Refusal::Algorithm),
        ("alg", json!(["EdDSA"]), Refusal::Malformed),
        ("typ", json!("JWT"), Refusal::Type),
        ("typ", json!("dpop+jwt"), Refusal::Type),
        ("typ", json!(""), Refusal::Type),
        ("kid", json!("other"), Refusal::UnknownKey),
        ("kid", json!(public(3).thumbprint()), Refusal::UnknownKey),
        ("kid", json!(public(2).thumbprint()), Refusal::Signature),
        ("crit", json!(["exp"]), Refusal::Critical),
        ("crit", json!([]), Refusal::Critical),
        ("crit", json!(null), Refusal::Critical),
    ] {
        assert_eq!(with(name, value.clone()), Some(expected), "{name} {value}");
    }
    // What we do not know and nobody calls critical is left alone; keys in a header are not used.
    assert_eq!(with("jku", json!("https://evil.example.com")), None);
    assert_eq!(with("jwk", json!({"kty": "oct", "k": "AA"})), None);
}

#[test]
fn a_mac_with_the_public_key_is_no_signature() {
    let mut header = header();
    header["alg"] = json!("HS256");
    let payload = serde_json::to_string(&claims()).unwrap();
    let message = format!("{}.{}", base64url(header.to_string()), base64url(payload));
    let key =
        aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, pair(1).public_key().as_ref());
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    let of_32_bytes = format!("{message}.{}", base64url(tag.as_ref()));
    assert_eq!(refusal(&of_32_bytes), Some(Refusal::Malformed));
    let of_64_bytes = format!("{message}.{}", base64url([tag.as_ref(); 2].concat()));
    assert_eq!(refusal(&of_64_bytes), Some(Refusal::Algorithm));
    let unsigned = format!("{message}.");
    assert_eq!(refusal(&unsigned), Some(Refusal::Malformed));
}

/// What is changed in good claims, and what becomes of them.
type Case<'a> = (&'static str, &'a dyn Fn(&mut Claims), Option<Refusal>);

#[test]
fn claims_that_are_not_right_are_refused() {
    let with = |change: &dyn Fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        refusal(&token(&claims))
    };
    let cases: [Case<'_>; 14] = [
        (
            "issuer",
            &|claims| claims.iss.push('/'),
            Some(Refusal::Issuer),
        ),
        (
            "audience",
            &|claims| claims.aud = vec!["chat".to_owned()],
            Some(Refusal::Audience),
        ),
        (
            "no audience",
            &|claims| claims.aud.clear(),
            Some(Refusal::Audience),
        ),
        ("longest", &|claims| claims.exp = NOW + 300, None),
        (
            "too long",
            &|claims| claims.exp = NOW + 301,
            Some(Refusal::Lifetime),
        ),
        (
            "endless",
            &|claims| claims.exp = i64::MAX,
            Some(Refusal::Lifetime),
        ),
        (
            "overflow",
            &|claims| (claims.iat, claims.exp) = (i64::MIN, i64::MAX),
            Some(Refusal::Lifetime),
        ),
        (
            "no time",
            &|claims| claims.exp = NOW,
            Some(Refusal::Lifetime),
        ),
        (
            "backwards",
            &|claims| claims.exp = NOW - 1,
            Some(Refusal::Lifetime),
        ),
        (
            "just expired",
            &|claims| (claims.iat, claims.exp) = (NOW - 300, NOW - 59),
            None,
        ),
        (
            "expired",
            &|claims| (claims.iat, claims.exp) = (NOW - 300, NOW - 60),
            Some(Refusal::Expired),
        ),
        (
            "clock ahead",
            &|claims| (claims.iat, claims.exp) = (NOW + 60, NOW + 90),
            None,
        ),
        (
            "future",
            &|claims| (claims.iat, claims.exp) = (NOW + 61, NOW + 90),
            Some(Refusal::NotYet),
        ),
        (
            "far future",
            &|claims| (claims.iat, claims.exp) = (i64::MAX - 1, i64::MAX),
            Some(Refusal::NotYet),
        ),
    ];
    for (name, change, expected) in cases {
        assert_eq!(with(change), expected, "{name}");
    }
}

#[test]
fn a_payload_that_is_not_ours_is_refused() {
    let header = header().to_string();
    let good = serde_json::to_string(&claims()).unwrap();
    let twice = |member: &str| format!("{}, {member}}}", &good[..good.len() - 1]);
    for payload in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        token(&claims()),
        good.replace("1700000300", "1e300"),
        good.replace("1700000300", "99999999999999999999"),
        good.replace("1700000300", r#""1700000300""#),
        good.replace("1700000300", "1700000300.5"),
        good.replace(r#""exp":1700000300,"#, ""),
        good.replace(r#"["game","lobby"]"#, r#""game""#),
        twice(r#""exp": 1700000300"#),
        twice(r#""more": {"a": 1, "a": 2}"#),
    ] {
        let token = sign_text(&header, &payload);
        assert_eq!(refusal(&token), Some(Refusal::Malformed), "{payload}");
    }
    assert_eq!(refusal(&sign_text(&header, &twice(r#""more": 1"#))), None);
    let twice = format!(r#"{{"alg":"none",{}"#, &header[1..]);
    assert_eq!(refusal(&sign_text(&twice, &good)), Some(Refusal::Malformed));
}

#[test]
fn size_is_bounded_before_anything_is_decoded() {
    assert_eq!(refusal(&".".repeat(MAX_TOKEN + 1)), Some(Refusal::TooLong));
    assert_eq!(refusal(&".".repeat(MAX_TOKEN)), Some(Refusal::Malformed));
    let mut long = claims();
    long.roles = vec!["r".repeat(2000)];
    assert!(token(&long).len() < MAX_TOKEN);
    assert_eq!(refusal(&token(&long)), None);
}

#[test]
fn a_bound_token_needs_a_proof_of_its_key() {
    let proof = |thumbprint: &str| Proof {
        thumbprint: thumbprint.to_owned(),
        jti: "1".to_owned(),
        iat: at(NOW),
    };
    let mut bound = claims();
    bound.cnf = Some(Confirmation {
        jkt: "mine".to_owned(),
    });
    let (bearer, bound) = (token(&claims()), token(&bound));
    let verifier = verifier();
    let verify =
        |token: &str, proof: Option<Proof>| verifier.verify(at(NOW), token, proof.as_ref()).err();
    assert_eq!(verify(&bound, Some(proof("mine"))), None);
    assert_eq!(verify(&bound, None), Some(Refusal::ProofMissing));
    assert_eq!(
        verify(&bound, Some(proof("other"))),
        Some(Refusal::ProofMismatch)
    );
    assert_eq!(
        verify(&bearer, Some(proof("mine"))),
        Some(Refusal::ProofMismatch)
    );
    assert_eq!(verify(&bearer, None), None);
    // Somebody else looks after the proof.
    assert!(verifier.check(at(NOW), &bound).is_ok());
}

#[test]
fn a_repeat_costs_no_signature_and_what_is_refused_is_not_remembered() {
    let verifier = verifier();
    let remembered = |token: &str, now: i64| {
        let hash = sha256(token.as_bytes());
        verifier.repeats().get(at(now), &hash)
    };
    let good = token(&claims());
    verifier.check(at(NOW), &good).unwrap();
    let known = remembered(&good, NOW).unwrap();
    assert!(remembered(&good, NOW + 1).is_none());
    let bad = format!("{good}A");
    verifier.check(at(NOW), &bad).unwrap_err();
    assert!(remembered(&bad, NOW).is_none());
    let mut late = claims();
    (late.iat, late.exp) = (NOW - 400, NOW - 100);
    verifier.check(at(NOW), &token(&late)).unwrap_err();
    assert!(remembered(&token(&late), NOW).is_none());
    // What is remembered is not opened again: these bytes could not be.
    verifier.repeats().put(at(NOW), sha256(b"bytes"), known);
    assert_eq!(*verifier.check(at(NOW), "bytes").unwrap(), claims());
    let forgotten = verifier.check(at(NOW + 1), "bytes");
    assert_eq!(forgotten, Err(Refusal::Malformed));
}

#[test]
fn a_repeat_is_judged_like_the_first_time() {
    let verifier = verifier();
    let token = token(&claims());
    verifier.check(at(NOW), &token).unwrap();
    let other = verifier.check_for(at(NOW), &token, Some("chat"));
    assert_eq!(other.err(), Some(Refusal::Audience));
    assert!(verifier.check_for(at(NOW), &token, Some("lobby")).is_ok());
    assert!(verifier.check_for(at(NOW), &token, None).is_ok());
    // A revocation counts at once, not after a second.
    verifier.revoke(
        at(NOW),
        Revocation {
            player: claims().sub,
            session: Some(claims().sid),
            at: at(NOW),
        },
    );
    assert_eq!(verifier.revocations(), 1);
    assert_eq!(
        verifier.check(at(NOW), &token).err(),
        Some(Refusal::Revoked)
    );
}

#[test]
fn a_key_that_is_gone_counts_at_once() {
    let verifier = verifier();
    let token = token(&claims());
    verifier.check(at(NOW), &token).unwrap();
    verifier.set_keys([public(2)].into_iter().collect());
    assert_eq!(verifier.keys(), [public(2)].into_iter().collect());
    assert_eq!(
        verifier.check(at(NOW), &token).err(),
        Some(Refusal::UnknownKey)
    );
}

#[test]
fn a_player_is_void_up_to_a_time() {
    let verifier = verifier();
    verifier.revoke(
        at(NOW),
        Revocation {
            player: claims().sub,
            session: None,
            at: at(NOW),
        },
    );
    assert_eq!(
        verifier.check(at(NOW), &token(&claims())).err(),
        Some(Refusal::Revoked)
    );
    let mut later = claims();
    later.iat += 1;
    assert!(verifier.check(at(NOW), &token(&later)).is_ok());
}

#[tokio::test]
async fn an_unknown_key_is_told_of() {
    let verifier = Verifier::new("https://auth.example.com", "game");
    let refused = verifier.check(at(NOW), &token(&claims()));
    assert_eq!(refused.err(), Some(Refusal::UnknownKey));
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), verifier.unknown_key());
    assert!(told.await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_flipped_bit_is_refused(place: prop::sample::Index, bit in 0..8_u32) {
        let good = token(&claims());
        let mut bytes = good.clone().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        // What is not text never gets here.
        if let Ok(bad) = String::from_utf8(bytes) {
            prop_assert!(refusal(&bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_decoded_part_is_refused(
        part in 0..3_usize,
        place: prop::sample::Index,
        bit in 0..8_u32,
    ) {
        let good = token(&claims());
        let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
        let mut bytes = jws::decode(&parts[part]).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        parts[part] = base64url(bytes);
        prop_assert!(refusal(&parts.join(".")).is_some());
    }

    #[test]
    fn any_text_is_refused(text in "[A-Za-z0-9_.-]{0,300}") {
        prop_assert!(refusal(&text).is_some());
    }

    #[test]
    fn whatever_is_claimed_and_signed_is_accepted_only_in_its_time(
        iat in -1000..1000_i64,
        lifetime in -10..1000_i64,
    ) {
        let mut claims = claims();
        claims.iat = NOW + iat;
        claims.exp = claims.iat + lifetime;
        let is_good = (1..=300).contains(&lifetime) && iat <= 60 && iat + lifetime > -60;
        prop_assert_eq!(refusal(&token(&claims)).is_none(), is_good);
    }
}
