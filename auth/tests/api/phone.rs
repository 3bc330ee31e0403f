//! An authenticator behind a browser, which somebody else wrote.

use async_trait::async_trait;
use base64::Engine as _;
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::aws_lc_rs::AwsLcRsBackend;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use serde_json::Value;
use url::Url;

use crate::world::ISSUER;

/// A person who touches and shows a finger whenever asked.
struct Person;

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
            verification: true,
        })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// What a page asks of an authenticator, as the service put it.
pub(crate) enum Ask<'options> {
    Create(&'options Value),
    Get(&'options Value),
}

/// An authenticator that holds one passkey.
pub(crate) fn phone() -> impl AsyncFnMut(Ask<'_>) -> Value {
    let mut authenticator = Authenticator::new(
        Aaguid::new_empty(),
        None::<passkey::types::Passkey>,
        Person,
        AwsLcRsBackend,
    );
    authenticator.set_make_credentials_with_signature_counter(true);
    let mut browser = Client::new(authenticator).allows_insecure_localhost(true);
    let origin: Url = ISSUER.parse().unwrap();
    async move |ask: Ask<'_>| match ask {
        Ask::Create(options) => {
            let options = serde_json::from_value(options.clone()).unwrap();
            let made = browser.register(&origin, options, DefaultClientData).await;
            to_json(serde_json::to_value(made.unwrap()).unwrap())
        }
        Ask::Get(options) => {
            let options = serde_json::from_value(options.clone()).unwrap();
            let made = browser.authenticate(&origin, options, DefaultClientData);
            to_json(serde_json::to_value(made.await.unwrap()).unwrap())
        }
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
