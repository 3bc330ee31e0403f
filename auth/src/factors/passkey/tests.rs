//! Ceremonies with an authenticator, as a browser leads them.

mod authenticator;

use base64::Engine as _;
use serde_json::Value;

use self::authenticator::Authenticator;
use super::*;

const ANN: PlayerId = PlayerId(Uuid::from_u128(1));
const BOB: PlayerId = PlayerId(Uuid::from_u128(2));

const ORIGIN: &str = "https://play.example.com";

fn passkeys() -> Passkeys {
    Passkeys::new("example.com", "Arena", &[ORIGIN.parse().unwrap()]).unwrap()
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// What the page of the game gets.
fn create(phone: &mut Authenticator, begun: &Begun) -> Value {
    phone.create(ORIGIN, &begun.options)
}

fn get(phone: &mut Authenticator, begun: &Begun) -> Value {
    phone.get(ORIGIN, &begun.options)
}

fn registered(passkeys: &Passkeys, phone: &mut Authenticator, player: PlayerId) -> Passkey {
    let begun = passkeys.begin_registration(player, "ann", &[]).unwrap();
    let answer = create(phone, &begun);
    passkeys
        .finish_registration(player, &begun.state, &answer, "Phone", now())
        .unwrap()
}

fn is_refused<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Refused(_) | Error::State))
}

#[test]
fn a_passkey_signs_in_without_a_name() {
    let (passkeys, mut phone) = (passkeys(), Authenticator::new(true));
    let stored = registered(&passkeys, &mut phone, ANN);
    assert_eq!((stored.name.as_str(), stored.used), ("Phone", None));

    let begun = passkeys.begin_discoverable().unwrap();
    assert!(!begun.options.to_string().contains(&ANN.to_string()));
    let answer = get(&mut phone, &begun);
    let claimed = passkeys.claimed(&begun.state, &answer).unwrap();
    assert_eq!(
        claimed,
        Claimed {
            player: ANN,
            credential: stored.credential.clone()
        }
    );
    let used = passkeys
        .finish(&begun.state, &answer, std::slice::from_ref(&stored), now())
        .unwrap();
    assert_eq!(used.used, Some(now()));
    assert_ne!(used.record, stored.record, "the counter went on");

    // The same answer again, to the record that was stored then: the counter stands still.
    assert!(is_refused(&passkeys.finish(
        &begun.state,
        &answer,
        std::slice::from_ref(&used),
        now()
    )));
    // To another challenge.
    let other = passkeys.begin_discoverable().unwrap();
    assert!(is_refused(&passkeys.finish(
        &other.state,
        &answer,
        std::slice::from_ref(&stored),
        now()
    )));
    // For an account that has no such passkey.
    assert!(is_refused(&passkeys.finish(
        &begun.state,
        &answer,
        &[],
        now()
    )));
    // With a signature that was changed.
    let mut forged = answer.clone();
    let signature = forged["response"]["signature"].as_str().unwrap().to_owned();
    let flipped = if signature.ends_with('A') { 'E' } else { 'A' };
    let at = signature.len() / 2;
    forged["response"]["signature"] =
        format!("{}{flipped}{}", &signature[..at], &signature[at + 1..]).into();
    if forged != answer {
        assert!(is_refused(&passkeys.finish(
            &begun.state,
            &forged,
            &[stored],
            now()
        )));
    }
}

#[test]
fn a_passkey_confirms_a_known_account() {
    let (passkeys, mut phone) = (passkeys(), Authenticator::new(true));
    let stored = registered(&passkeys, &mut phone, ANN);
    let begun = passkeys
        .begin_known(ANN, std::slice::from_ref(&stored))
        .unwrap();
    let answer = get(&mut phone, &begun);
    assert_eq!(passkeys.claimed(&begun.state, &answer).unwrap().player, ANN);
    passkeys
        .finish(&begun.state, &answer, &[stored], now())
        .unwrap();
    assert!(is_refused(&passkeys.begin_known(ANN, &[])));
}

#[test]
fn a_registration_belongs_to_its_account_page_and_ceremony() {
    let (passkeys, mut phone) = (passkeys(), Authenticator::new(true));
    let begun = passkeys.begin_registration(ANN, "ann", &[]).unwrap();
    let answer = create(&mut phone, &begun);
    let finish =
        |player, state: &[u8]| passkeys.finish_registration(player, state, &answer, "Phone", now());
    assert!(is_refused(&finish(BOB, &begun.state)));
    let other = passkeys.begin_registration(ANN, "ann", &[]).unwrap();
    assert!(is_refused(&finish(ANN, &other.state)));
    let login = passkeys.begin_discoverable().unwrap();
    assert!(is_refused(&finish(ANN, &login.state)));
    assert!(is_refused(&finish(ANN, b"spoiled")));
    assert!(is_refused(&passkeys.claimed(&begun.state, &answer)));
    finish(ANN, &begun.state).unwrap();

    // A page elsewhere under the domain is not ours.
    let begun = passkeys.begin_registration(ANN, "ann", &[]).unwrap();
    let answer = phone.create("https://forum.example.com", &begun.options);
    assert!(is_refused(&passkeys.finish_registration(
        ANN,
        &begun.state,
        &answer,
        "x",
        now()
    )));
}

#[test]
fn an_authenticator_is_told_of_its_passkeys_and_an_account_has_a_few() {
    let (passkeys, mut phone) = (passkeys(), Authenticator::new(true));
    let stored = registered(&passkeys, &mut phone, ANN);
    let begun = passkeys
        .begin_registration(ANN, "ann", std::slice::from_ref(&stored))
        .unwrap();
    let excluded = &begun.options["publicKey"]["excludeCredentials"];
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&stored.credential);
    assert_eq!(excluded[0]["id"], id);
    let many = vec![stored; MAX_PASSKEYS];
    assert!(matches!(
        passkeys.begin_registration(ANN, "ann", &many),
        Err(Error::TooMany)
    ));
}

#[test]
fn an_authenticator_that_verifies_nobody_is_not_enough() {
    let (passkeys, mut phone) = (passkeys(), Authenticator::new(false));
    let begun = passkeys.begin_registration(ANN, "ann", &[]).unwrap();
    assert_eq!(
        begun.options["publicKey"]["authenticatorSelection"]["userVerification"],
        "required"
    );
    let answer = create(&mut phone, &begun);
    assert!(is_refused(&passkeys.finish_registration(
        ANN,
        &begun.state,
        &answer,
        "Phone",
        now()
    )));
}

#[test]
fn a_relying_party_has_origins_under_its_domain() {
    for (domain, origins) in [
        ("example.com", vec![]),
        ("example.com", vec!["https://example.org".parse().unwrap()]),
        (
            "example.com",
            vec!["https://notexample.com".parse().unwrap()],
        ),
    ] {
        let error = Passkeys::new(domain, "Arena", &origins)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("use the relying party example.com: "),
            "{error}"
        );
    }
}
