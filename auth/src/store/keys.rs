//! Keys that the store holds, and what is sealed by others.

use std::fmt;

use jiff::Timestamp;

use crate::ids::{IdentityHash, PlayerId};

/// A key that signs access tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its RFC 7638 thumbprint.
    pub id: String,
    /// The public half, 32 bytes.
    pub public: Vec<u8>,
    /// The private half (PKCS 8), sealed.
    pub private: Vec<u8>,
    /// Known to verifiers since then.
    pub published: Timestamp,
    /// Signs from then on.
    pub activates: Timestamp,
    /// Stolen or lost: nothing that it signed is good.
    pub revoked: Option<Timestamp>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("id", &self.id)
            .field("published", &self.published)
            .field("activates", &self.activates)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

/// A key that what is stored hangs on, by what it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedKey {
    /// The name of the secret.
    pub name: String,
    /// Tells nothing of the key.
    pub fingerprint: [u8; 32],
}

/// A column of sealed values, with the row's id where it is not the player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedColumn {
    /// The mail address of an account.
    Email,
    /// The secret of an authenticator.
    Totp,
    /// What an identity is recognized by.
    Label(IdentityHash),
    /// That of a device, which is its id.
    DeviceLabel(IdentityHash),
    /// The id of a device.
    Device(IdentityHash),
}

/// A sealed value ([`crate::crypto::column`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    /// Of which column.
    pub column: SealedColumn,
    /// Whose.
    pub player: PlayerId,
    /// As it is.
    pub value: Vec<u8>,
}
