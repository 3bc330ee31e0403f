//! The proofs of the standard, and proofs that are nearly good.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// RFC 9449, section 4.1: a proof for a token request.
const FOR_TOKEN: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

/// RFC 9449, section 7.1: a proof with an access token.
const FOR_RESOURCE: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

/// The key of both (section 6.1).
const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

const NOW: i64 = 1_562_262_618;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn expected<'a>() -> Expected<'a> {
    Expected {
        method: "POST",
        uri: "https://server.example.com/token",
        access_token: None,
        nonces: None,
    }
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn header() -> Value {
    let x = base64url(pair().public_key().as_ref());
    json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}})
}

fn claims() -> Value {
    json!({"jti": "1", "htm": "POST", "htu": "https://server.example.com/token", "iat": NOW})
}

fn sign(header: &Value, claims: &Value) -> String {
    jws::encode(header, claims, |message| {
        Ok::<_, serde_json::Error>(pair().sign(message).as_ref().try_into().unwrap())
    })
    .unwrap()
}

fn refusal(header: &Value, claims: &Value, expected: &Expected<'_>) -> Option<Refusal> {
    verify(&sign(header, claims), expected, at(NOW)).err()
}

/// A value with another member.
fn with(value: &Value, member: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[member] = new;
    value
}

#[test]
fn the_proofs_of_the_standard_are_accepted() {
    let proof = verify(FOR_TOKEN, &expected(), at(1_562_262_616)).unwrap();
    assert_eq!(
        proof,
        Proof {
            thumbprint: THUMBPRINT.to_owned(),
            jti: "-BwC3ESc6acc2lTc".to_owned(),
            iat: at(1_562_262_616),
        }
    );
    let resource = Expected {
        method: "GET",
        uri: "https://resource.example.org/protectedresource",
        access_token: Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
        nonces: None,
    };
    let proof = verify(FOR_RESOURCE, &resource, at(NOW)).unwrap();
    assert_eq!(proof.thumbprint, THUMBPRINT);
    let other = Expected {
        access_token: Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV"),
        ..resource
    };
    assert_eq!(verify(FOR_RESOURCE, &other, at(NOW)), Err(Refusal::Token));
}

#[test]
fn a_header_that_is_not_a_proofs_is_refused() {
    let jwk = header()["jwk"].clone();
    for (member, value, expected_refusal) in [
        ("typ", json!("JWT"), Refusal::Type),
        ("typ", json!("at+jwt"), Refusal::Type),
        ("alg", json!("none"), Refusal::Algorithm),
        ("alg", json!("HS256"), Refusal::Algorithm),
        ("alg", json!("RS256"), Refusal::Algorithm),
        ("alg", json!("ES256"), Refusal::Algorithm),
        ("crit", json!(["b64"]), Refusal::Critical),
        ("jwk", json!(null), Refusal::Key),
        ("jwk", json!("key"), Refusal::Malformed),
        ("jwk", with(&jwk, "d", json!("AA")), Refusal::Key),
        ("jwk", with(&jwk, "kty", json!("oct")), Refusal::Key),
        (
            "jwk",
            json!({"kty": "RSA", "n": "AA", "e": "AQAB"}),
            Refusal::Key,
        ),
        (
            "jwk",
            with(&jwk, "x", json!(base64url([0; 32]))),
            Refusal::Key,
        ),
        (
            "jwk",
            with(&jwk, "x", json!(base64url([5; 31]))),
            Refusal::Key,
        ),
    ] {
        let header = with(&header(), member, value);
        let refused = refusal(&header, &claims(), &expected());
        assert_eq!(refused, Some(expected_refusal), "{header}");
    }
    let named = with(&header(), "jwk", with(&jwk, "kid", json!("my key")));
    assert_eq!(refusal(&named, &claims(), &expected()), None);
}

#[test]
fn claims_that_do_not_fit_the_call_are_refused() {
    for (member, value, expected_refusal) in [
        ("htm", json!("GET"), Some(Refusal::Method)),
        ("htm", json!("post"), Some(Refusal::Method)),
        ("jti", json!(""), Some(Refusal::Id)),
        ("jti", json!("j".repeat(128)), None),
        ("jti", json!("j".repeat(129)), Some(Refusal::Id)),
        ("jti", json!(1), Some(Refusal::Malformed)),
        ("iat", json!(NOW - 119), None),
        ("iat", json!(NOW - 120), Some(Refusal::Time)),
        ("iat", json!(NOW + 60), None),
        ("iat", json!(NOW + 61), Some(Refusal::Time)),
        ("iat", json!(i64::MIN), Some(Refusal::Time)),
        ("iat", json!(i64::MAX), Some(Refusal::Time)),
        ("iat", json!("now"), Some(Refusal::Malformed)),
        ("nonce", json!("unasked"), None),
        ("ath", json!("unasked"), None),
    ] {
        let claims = with(&claims(), member, value);
        let refused = refusal(&header(), &claims, &expected());
        assert_eq!(refused, expected_refusal, "{claims}");
    }
    let with_token = Expected {
        access_token: Some("token"),
        ..expected()
    };
    let refused = refusal(&header(), &claims(), &with_token);
    assert_eq!(refused, Some(Refusal::Token));
}

#[test]
fn addresses_are_compared_without_what_does_not_count() {
    for (uri, is_same) in [
        ("https://server.example.com/token", true),
        ("https://server.example.com:443/token", true),
        ("HTTPS://Server.Example.COM/token", true),
        ("https://server.example.com/token?query=1", true),
        ("https://server.example.com/token#fragment", true),
        ("https://server.example.com/other/../token", true),
        ("https://server.example.com/token/", false),
        ("https://server.example.com/Token", false),
        ("https://server.example.com:8443/token", false),
        ("http://server.example.com/token", false),
        ("https://server.example.com.evil.example/token", false),
        ("https://server.example.com@evil.example/token", false),
        ("https://user@server.example.com/token", false),
        ("https://:word@server.example.com/token", false),
        ("/token", false),
        ("", false),
        ("data:token", false),
    ] {
        let claims = with(&claims(), "htu", json!(uri));
        let refused = refusal(&header(), &claims, &expected());
        assert_eq!(refused, (!is_same).then_some(Refusal::Uri), "{uri}");
    }
    let call = Expected {
        uri: "https://SERVER.example.com/token?code=1",
        ..expected()
    };
    assert_eq!(refusal(&header(), &claims(), &call), None);
    // Two addresses that are both none are not the same.
    let nowhere = Expected {
        uri: "nowhere",
        ..expected()
    };
    let claims = with(&claims(), "htu", json!("nowhere"));
    assert_eq!(refusal(&header(), &claims, &nowhere), Some(Refusal::Uri));
}

#[test]
fn a_nonce_is_demanded_where_the_server_hands_them_out() {
    let nonces = Nonces::new(&[1; 32], None);
    let call = Expected {
        nonces: Some(&nonces),
        ..expected()
    };
    let with_nonce = |nonce: &str| with(&claims(), "nonce", json!(nonce));
    assert_eq!(refusal(&header(), &claims(), &call), Some(Refusal::Nonce));
    let old = with_nonce(&nonces.issue(at(NOW - 1000)));
    assert_eq!(refusal(&header(), &old, &call), Some(Refusal::Nonce));
    let fresh = with_nonce(&nonces.issue(at(NOW)));
    assert_eq!(refusal(&header(), &fresh, &call), None);
    // Whose clock is wrong learns of the nonce first.
    let early = with(&claims(), "iat", json!(0));
    assert_eq!(refusal(&header(), &early, &call), Some(Refusal::Nonce));
}

#[test]
fn size_is_bounded_and_members_are_unique() {
    let long = ".".repeat(MAX_PROOF + 1);
    assert_eq!(verify(&long, &expected(), at(NOW)), Err(Refusal::TooLong));
    let message = format!(
        "{}.{}",
        base64url(header().to_string()),
        base64url(format!(r#"{{"iat":0,{}"#, &claims().to_string()[1..]))
    );
    let signature = base64url(pair().sign(message.as_bytes()).as_ref());
    let twice = verify(&format!("{message}.{signature}"), &expected(), at(NOW));
    assert_eq!(twice, Err(Refusal::Malformed));
}

#[test]
fn an_id_is_good_once_for_its_key_alone() {
    let proof = |thumbprint: &str, jti: &str| Proof {
        thumbprint: thumbprint.to_owned(),
        jti: jti.to_owned(),
        iat: at(NOW),
    };
    let once = proof("a", "b").once();
    assert_eq!(
        once,
        Proof {
            iat: at(0),
            ..proof("a", "b")
        }
        .once()
    );
    assert_ne!(once, proof("b", "a").once());
    assert_ne!(once, proof("ab", "").once());
    let span = AGE + SKEW + SKEW;
    assert_eq!(SignedDuration::try_from(REMEMBER).unwrap(), span);
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(place: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = FOR_TOKEN.as_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok(bad) = String::from_utf8(bytes) {
            prop_assert!(verify(&bad, &expected(), at(NOW)).is_err(), "{bad}");
        }
    }

    #[test]
    fn any_text_is_refused(text in "[A-Za-z0-9_.-]{0,300}") {
        prop_assert!(verify(&text, &expected(), at(NOW)).is_err());
    }
}
