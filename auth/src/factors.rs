//! What proves who somebody is beside a password: codes of an authenticator, recovery codes,
//! passkeys.

pub mod base32;
pub mod passkey;
pub mod recovery;
pub mod totp;
