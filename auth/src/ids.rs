//! Ids that never leave auth, beside those of tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use access::ids::{PlayerId, SessionId};

/// The refresh tokens that descend from one sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FamilyId(pub Uuid);

/// What a player signs in with: a mail address, a device, an account elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// A mail address with a password.
    Email,
    /// A device without a name.
    Device,
    /// A Google account, by its subject.
    Google,
    /// An Apple account, by its subject.
    Apple,
    /// Another OpenID provider's account, by `provider/subject`.
    Oidc,
    /// A Steam account, by its 64-bit id.
    Steam,
    /// An Xbox account, by its pairwise id.
    Xbox,
}

impl IdentityKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Email,
        Self::Device,
        Self::Google,
        Self::Apple,
        Self::Oidc,
        Self::Steam,
        Self::Xbox,
    ];

    /// As in tables, tokens and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Device => "device",
            Self::Google => "google",
            Self::Apple => "apple",
            Self::Oidc => "oidc",
            Self::Steam => "steam",
            Self::Xbox => "xbox",
        }
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// No kind of identity has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of identity {0:?}")]
pub struct UnknownKind(pub String);

impl FromStr for IdentityKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// An identity as tables know it: a keyed hash of kind and value, which is unique, can be looked
/// up, and tells nothing without the key ([`crate::crypto::blind`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityHash(pub [u8; 32]);
