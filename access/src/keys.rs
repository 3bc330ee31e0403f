//! The keys that sign access tokens, as a set (RFC 7517, `/.well-known/jwks.json`).
//!
//! Only Ed25519 keys that are named by their thumbprint sign tokens. Other keys in a set are left
//! out and harm nothing: another service may share the document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::jwk::{Algorithm, Jwk, PublicKey};
use crate::strict;

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// The most keys that a document may list, ours or not.
pub const MAX_KEYS: usize = 64;

/// Why a document is no key set. Whoever has an older one keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than [`MAX_DOCUMENT`] or lists more than [`MAX_KEYS`].
    #[error("the key set is too large")]
    TooLarge,
    /// It is not JSON of the right shape, or names a member twice.
    #[error("the key set is malformed")]
    Malformed,
    /// None of its keys can sign tokens.
    #[error("the key set has no key that is used here")]
    Empty,
}

/// Keys by their names.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: BTreeMap<String, PublicKey>,
}

impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        // A name is a hash of its key.
        self.ids().eq(other.ids())
    }
}

impl Eq for KeySet {}

/// The document as it is written.
#[derive(Serialize)]
struct Written {
    keys: Vec<Jwk>,
}

/// The document as it is read: keys of other services may have any shape.
#[derive(Deserialize)]
struct Read {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a document.
    pub fn from_jwks(document: &str) -> Result<Self, Error> {
        if document.len() > MAX_DOCUMENT {
            return Err(Error::TooLarge);
        }
        let read: Read = strict::read(document.as_bytes()).ok_or(Error::Malformed)?;
        if read.keys.len() > MAX_KEYS {
            return Err(Error::TooLarge);
        }
        let set: Self = read
            .keys
            .into_iter()
            .filter_map(|key| PublicKey::from_jwk(&serde_json::from_value(key).ok()?).ok())
            .collect();
        if set.keys.is_empty() {
            return Err(Error::Empty);
        }
        Ok(set)
    }

    /// Writes the document.
    pub fn to_jwks(&self) -> String {
        let keys = self.keys.values().map(PublicKey::to_jwk).collect();
        // Strings are always written.
        serde_json::to_string(&Written { keys }).unwrap_or_default()
    }

    /// The key of that name.
    pub fn get(&self, id: &str) -> Option<&PublicKey> {
        self.keys.get(id)
    }

    /// The names, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }
}

impl FromIterator<PublicKey> for KeySet {
    /// Of the keys, those that can sign tokens.
    fn from_iter<Keys: IntoIterator<Item = PublicKey>>(keys: Keys) -> Self {
        let keys = keys
            .into_iter()
            .filter(|key| key.algorithm() == Algorithm::EdDsa)
            .map(|key| (key.thumbprint().to_owned(), key))
            .collect();
        Self { keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const NAME: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn set(keys: &str) -> Result<KeySet, Error> {
        KeySet::from_jwks(&format!(r#"{{"keys":[{keys}]}}"#))
    }

    #[test]
    fn a_set_is_written_as_it_is_read() {
        let keys = set(OURS).unwrap();
        assert_eq!(
            keys.to_jwks(),
            format!(
                r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"{NAME}","use":"sig","alg":"EdDSA"}}]}}"#
            )
        );
        let again = KeySet::from_jwks(&keys.to_jwks()).unwrap();
        assert_eq!(again, keys);
        assert!(again.get(NAME).is_some());
        assert_ne!(KeySet::default(), keys);
    }

    #[test]
    fn foreign_keys_are_left_out() {
        let foreign = [
            r#"{"kty":"RSA","n":"AA","e":"AQAB","kid":"r"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#,
            r#"{"kty":"new","x":{"deep":[1]}}"#,
            r#"{"kty":7}"#,
            r#""text""#,
            "null",
        ]
        .join(",");
        let keys = set(&format!("{foreign},{OURS}")).unwrap();
        assert_eq!(keys.ids().collect::<Vec<_>>(), [NAME]);
        assert_eq!(set(&foreign), Err(Error::Empty));
    }

    #[test]
    fn a_document_is_bounded_and_strict() {
        assert_eq!(set(""), Err(Error::Empty));
        assert_eq!(KeySet::from_jwks("{}"), Err(Error::Malformed));
        assert_eq!(KeySet::from_jwks("keys"), Err(Error::Malformed));
        let twice = format!(r#"{{"keys":[],"keys":[{OURS}]}}"#);
        assert_eq!(KeySet::from_jwks(&twice), Err(Error::Malformed));
        let many = vec![OURS; MAX_KEYS].join(",");
        assert!(set(&many).is_ok());
        assert_eq!(set(&format!("{many},{OURS}")), Err(Error::TooLarge));
        let long = format!("{}{}", " ".repeat(MAX_DOCUMENT), r#"{"keys":[]}"#);
        assert_eq!(KeySet::from_jwks(&long), Err(Error::TooLarge));
    }
}
