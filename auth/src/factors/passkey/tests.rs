//! Ceremonies with an authenticator that somebody else wrote.

use async_trait::async_trait;
use base64::Engine as _;
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData, WebauthnError};
use passkey::crypto::aws_lc_rs::AwsLcRsBackend;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use passkey::types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use serde_json::Value;

use super::*;

/// A person who touches and shows a finger whenever asked, or never a finger.
struct Person {
    verifies: bool,
}

#[async_trait]
impl UserValidationMethod for Person {
    type PasskeyItem = passkey::types::Passkey;

    async fn check_user<'hint>(
        &self,
        _: UiHint<'hint, Self::PasskeyItem>,
        presence: bool,
        _: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck {
            presence,
            verification: self.verifies,
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(self.verifies)
    }
}

/// What a page asks of an authenticator.
enum Ask {
    Create(CredentialCreationOptions),
    Get(CredentialRequestOptions),
}

/// An authenticator behind a browser.
fn phone(verifies: bool) -> impl AsyncFnMut(Url, Ask) -> Result<Value, WebauthnError> {
    let mut authenticator = Authenticator::new(
        Aaguid::new_empty(),
        None::<passkey::types::Passkey>,
        Person { verifies },
        AwsLcRsBackend,
    );
    authenticator.set_make_credentials_with_signature_counter(true);
    let mut browser = Client::new(authenticator);
    async move |origin, ask| {
        Ok(match ask {
            Ask::Create(options) => {
                let made = browser
                    .register(&origin, options, DefaultClientData)
                    .await?;
                to_json(serde_json::to_value(made).unwrap())
            }
            Ask::Get(options) => {
                let made = browser
                    .authenticate(&origin, options, DefaultClientData)
                    .await?;
                to_json(serde_json::to_value(made).unwrap())
            }
        })
    }
}

/// As `toJSON` of a browser writes it: bytes in base64url, which the authenticator's crate writes as
/// numbers.
fn to_json(value: Value) -> Value {
    match value {
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = serde_json::from_value(Value::Array(items)).unwrap();
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .encode(bytes)
                .into()
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, to_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// The type of [`phone`].
trait Phone: AsyncFnMut(Url, Ask) -> Result<Value, WebauthnError> {}
impl<Any: AsyncFnMut(Url, Ask) -> Result<Value, WebauthnError>> Phone for Any {}

const ANN: PlayerId = PlayerId(Uuid::from_u128(1));
const BOB: PlayerId = PlayerId(Uuid::from_u128(2));

fn origin() -> Url {
    "https://play.example.com".parse().unwrap()
}

fn passkeys() -> Passkeys {
    Passkeys::new("example.com", "Arena", &[origin()]).unwrap()
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn creation(begun: &Begun) -> Ask {
    Ask::Create(serde_json::from_value(begun.options.clone()).unwrap())
}

async fn create(phone: &mut impl Phone, begun: &Begun) -> Value {
    phone(origin(), creation(begun)).await.unwrap()
}

async fn get(phone: &mut impl Phone, begun: &Begun) -> Value {
    let ask = Ask::Get(serde_json::from_value(begun.options.clone()).unwrap());
    phone(origin(), ask).await.unwrap()
}

async fn registered(passkeys: &Passkeys, phone: &mut impl Phone, player: PlayerId) -> Passkey {
    let begun = passkeys.begin_registration(player, "ann", &[]).unwrap();
    let answer = create(phone, &begun).await;
    passkeys
        .finish_registration(player, &begun.state, &answer, "Phone", now())
        .unwrap()
}

fn is_refused<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Refused(_) | Error::State))
}

#[tokio::test]
async fn a_passkey_signs_in_without_a_name() {
    let (passkeys, mut phone) = (passkeys(), phone(true));
    let stored = registered(&passkeys, &mut phone, ANN).await;
    assert_eq!((stored.name.as_str(), stored.used), ("Phone", None));

    let begun = passkeys.begin_discoverable().unwrap();
    assert!(!begun.options.to_string().contains(&ANN.to_string()));
    let answer = get(&mut phone, &begun).await;
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

#[tokio::test]
async fn a_passkey_confirms_a_known_account() {
    let (passkeys, mut phone) = (passkeys(), phone(true));
    let stored = registered(&passkeys, &mut phone, ANN).await;
    let begun = passkeys
        .begin_known(ANN, std::slice::from_ref(&stored))
        .unwrap();
    let answer = get(&mut phone, &begun).await;
    assert_eq!(passkeys.claimed(&begun.state, &answer).unwrap().player, ANN);
    passkeys
        .finish(&begun.state, &answer, &[stored], now())
        .unwrap();
    assert!(is_refused(&passkeys.begin_known(ANN, &[])));
}

#[tokio::test]
async fn a_registration_belongs_to_its_account_page_and_ceremony() {
    let (passkeys, mut phone) = (passkeys(), phone(true));
    let begun = passkeys.begin_registration(ANN, "ann", &[]).unwrap();
    let answer = create(&mut phone, &begun).await;
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
    let elsewhere = "https://forum.example.com".parse().unwrap();
    let answer = phone(elsewhere, creation(&begun)).await.unwrap();
    assert!(is_refused(&passkeys.finish_registration(
        ANN,
        &begun.state,
        &answer,
        "x",
        now()
    )));
}

#[tokio::test]
async fn an_authenticator_is_told_of_its_passkeys_and_an_account_has_a_few() {
    let (passkeys, mut phone) = (passkeys(), phone(true));
    let stored = registered(&passkeys, &mut phone, ANN).await;
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

#[tokio::test]
async fn an_authenticator_that_verifies_nobody_is_not_enough() {
    let (passkeys, mut phone) = (passkeys(), phone(false));
    let begun = passkeys.begin_registration(ANN, "ann", &[]).unwrap();
    assert_eq!(
        begun.options["publicKey"]["authenticatorSelection"]["userVerification"],
        "required"
    );
    assert!(phone(origin(), creation(&begun)).await.is_err());
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
