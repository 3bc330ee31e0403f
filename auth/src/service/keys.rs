//! What the service does with derived keys: blind hashes, sealed columns, MACs of tokens.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::crypto::{blind, column};
use crate::error::Failure;
use crate::ids::{IdentityHash, IdentityKind};
use crate::secrets::keyring::Purpose;
use crate::service::Service;

/// A column of sealed values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    table: &'static str,
    name: &'static str,
}

/// The mail address of an account; its rows are players.
pub(super) const EMAIL: Column = Column {
    table: "users",
    name: "email",
};

/// The secret of an authenticator; its rows are players.
pub(super) const TOTP: Column = Column {
    table: "users",
    name: "totp_secret",
};

/// What an identity is recognized by; its rows are hashes of identities.
pub(super) const LABEL: Column = Column {
    table: "user_identities",
    name: "label",
};

/// The id of a device; its rows are hashes of devices.
pub(super) const DEVICE: Column = Column {
    table: "devices",
    name: "device_id",
};

impl Service {
    /// By what an identity is found.
    pub(super) fn blind(&self, kind: IdentityKind, value: &str) -> IdentityHash {
        blind::identity(&self.parts().secrets.current().keys, kind, value)
    }

    /// Seals a value for its row.
    pub(super) fn seal(&self, of: Column, row: &[u8], plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let cell = of.cell(row);
        self.parts()
            .columns
            .seal(&cell, plain)
            .map_err(|error| Failure::defect("a value cannot be sealed", &error))
    }

    /// Opens a value of its row.
    pub(super) fn open(
        &self,
        of: Column,
        row: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let cell = of.cell(row);
        self.parts()
            .columns
            .open(&cell, sealed)
            .map_err(|error| Failure::defect("a sealed value cannot be opened", &error))
    }

    /// The key of a version for the MACs of a purpose.
    pub(super) fn mac_key(&self, purpose: Purpose, version: u32) -> Option<hmac::Key> {
        let secrets = self.parts().secrets.current();
        secrets
            .keys
            .key(purpose, version)
            .map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// The version that makes tokens now, and its key for the MACs of a purpose.
    pub(super) fn current_mac_key(&self, purpose: Purpose) -> (u32, hmac::Key) {
        let secrets = self.parts().secrets.current();
        let (version, key) = secrets.keys.current_key(purpose);
        (version, hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }
}

impl Column {
    pub(super) const fn cell(self, row: &[u8]) -> column::Cell<'_> {
        column::Cell {
            table: self.table,
            column: self.name,
            row,
        }
    }
}
