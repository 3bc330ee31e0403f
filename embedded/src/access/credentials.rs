//! The secrets of an instance: tokens of its fixed users, and the key that signs the tokens of
//! service accounts. Made once; who keeps them across restarts is the caller's choice.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::Error;
use super::user::User;

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one place that needs it: a kubeconfig, or a file that only its owner
    /// reads.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text is this one. Takes the same time whatever the texts have in common.
    fn is(&self, text: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), text.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// A user with a token of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the user.
    pub name: String,
    /// Groups of the user, such as `system:masters`.
    pub groups: Vec<String>,
    /// Bearer token: 256 random bits.
    pub token: Secret,
}

/// The secrets of an instance. Serialize them into a file that only its owner may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    identities: Vec<Identity>,
    /// PKCS#8 in base64.
    signing_key: Secret,
}

impl Credentials {
    /// New ones, without users.
    pub fn generate() -> Result<Self, Error> {
        let key =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| Error::Random)?;
        let document = key.to_pkcs8v1().map_err(|_| Error::Random)?;
        Ok(Self {
            identities: Vec::new(),
            signing_key: Secret(STANDARD.encode(document.as_ref())),
        })
    }

    /// The user of a name, made at the first call. A later call changes the groups, and keeps
    /// the token.
    pub fn identity(&mut self, name: &str, groups: &[&str]) -> Result<Identity, Error> {
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        if let Some(known) = self.identities.iter_mut().find(|known| known.name == name) {
            known.groups = groups;
            return Ok(known.clone());
        }
        let mut bytes = [0; TOKEN_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Error::Random)?;
        let identity = Identity {
            name: name.to_owned(),
            groups,
            token: Secret(URL_SAFE_NO_PAD.encode(bytes)),
        };
        self.identities.push(identity.clone());
        Ok(identity)
    }

    /// The users.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Whose token it is. Every token is compared, so that the time tells nothing.
    pub(super) fn find(&self, token: &str) -> Option<User> {
        let mut found = None;
        for identity in &self.identities {
            if identity.token.is(token) {
                found = Some(identity);
            }
        }
        found.map(|identity| {
            let groups: Vec<&str> = identity.groups.iter().map(String::as_str).collect();
            User::authenticated(&identity.name, &groups)
        })
    }

    /// The signing key as PKCS#8 and the public key as a point (both DER free of armor), and as
    /// SubjectPublicKeyInfo.
    pub(super) fn key(&self) -> Result<Key, Error> {
        let private = STANDARD
            .decode(self.signing_key.expose())
            .map_err(|_| Error::Key)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private)
            .map_err(|_| Error::Key)?;
        let info = pair.public_key().as_der().map_err(|_| Error::Key)?;
        Ok(Key {
            public: pair.public_key().as_ref().to_vec(),
            info: info.as_ref().to_vec(),
            private,
        })
    }
}

/// A key pair in the forms that its users need.
pub(super) struct Key {
    /// PKCS#8.
    pub(super) private: Vec<u8>,
    /// Uncompressed point: 4, x, y.
    pub(super) public: Vec<u8>,
    /// SubjectPublicKeyInfo in DER.
    pub(super) info: Vec<u8>,
}
