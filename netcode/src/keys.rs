//! Secret keys: master keys in versions, and the key of each server process derived from them.
//!
//! A master key never leaves the platform. The key of a server process is
//! `HKDF-SHA256(master key, server uid, boot id)`: whoever holds the master key can mint tokens for
//! any process, a process that leaks its own key harms itself alone, and a process that starts anew
//! has another boot id, hence another key, so that no key and nonce pair of its predecessor can
//! come back.

use std::fmt;

use aws_lc_rs::hkdf;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;

/// Binds derived keys to their purpose.
const SERVER_KEY_SALT: &[u8] = b"muster netcode server key 1";

/// Why bytes are not a key, or no key could be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Keys have one length.
    #[error("a key has {KEY_BYTES} bytes, not {0}")]
    Length(usize),
    /// A key may be written as 64 hexadecimal digits.
    #[error("the key has 64 characters that are not hexadecimal digits")]
    Digits,
    /// The key that insecure deployments of the protocol use; anybody can guess it.
    #[error("a key of zeros is no secret")]
    Zero,
    /// Without a key nothing can be minted.
    #[error("there is no master key")]
    NoMasterKey,
    /// A version names one key.
    #[error("version {0} names two master keys")]
    SameVersion(u32),
    /// The derivation failed inside the crypto library.
    #[error("the key derivation failed")]
    Derivation,
}

/// 32 secret bytes: erased when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// Takes `bytes` as a key; all zeros are refused.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Result<Self, Error> {
        let key = Self(Zeroizing::new(bytes));
        if bytes == [0; KEY_BYTES] {
            return Err(Error::Zero);
        }
        Ok(key)
    }

    /// Reads a key from a secret's bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        Self::new(bytes.try_into().map_err(|_| Error::Length(bytes.len()))?)
    }

    /// Reads a key from the content of a file: 32 bytes, or 64 hexadecimal digits, with white space
    /// around them or not.
    pub fn from_file(content: &[u8]) -> Result<Self, Error> {
        let text = content.trim_ascii();
        if text.len() != 2 * KEY_BYTES {
            return Self::from_slice(content);
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(Error::Digits);
            let value = 16 * digit(digits[0])? + digit(digits[1])?;
            *byte = u8::try_from(value).map_err(|_| Error::Digits)?;
        }
        Self::new(*bytes)
    }

    /// The secret itself, to hand it on over a trusted channel.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// A key of a session, as a token carries it.
    pub(crate) fn of_session(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(redacted)")
    }
}

/// A master key and the version that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKey {
    /// Grows with each rotation.
    pub version: u32,
    /// The secret.
    pub key: Key,
}

impl MasterKey {
    /// The key of one server process: of the server with this uid, started under this boot id.
    pub fn server_key(&self, server_uid: &str, boot_id: &str) -> Result<Key, Error> {
        // Lengths stand before the parts, so that no two pairs of names spell the same bytes.
        let uid_length = length(server_uid);
        let boot_length = length(boot_id);
        let context = [
            uid_length.as_slice(),
            server_uid.as_bytes(),
            boot_length.as_slice(),
            boot_id.as_bytes(),
        ];
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, SERVER_KEY_SALT)
            .extract(self.key.expose())
            .expand(&context, hkdf::HKDF_SHA256)
            .and_then(|output| output.fill(derived.as_mut_slice()))
            .map_err(|_| Error::Derivation)?;
        Key::new(*derived)
    }
}

fn length(text: &str) -> [u8; 8] {
    // A text is never longer than what 64 bits can count.
    u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes()
}

/// The master keys that are alive: the newest mints, the others still derive for older servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterKeys {
    /// Sorted by version.
    keys: Vec<MasterKey>,
}

impl MasterKeys {
    /// Takes at least one key, each with a version of its own, in any order.
    pub fn new(mut keys: Vec<MasterKey>) -> Result<Self, Error> {
        keys.sort_by_key(|master| master.version);
        if let Some(pair) = keys
            .windows(2)
            .find(|pair| pair[0].version == pair[1].version)
        {
            return Err(Error::SameVersion(pair[0].version));
        }
        if keys.is_empty() {
            return Err(Error::NoMasterKey);
        }
        Ok(Self { keys })
    }

    /// The key with the highest version.
    pub fn newest(&self) -> &MasterKey {
        // `new` refuses an empty list.
        &self.keys[self.keys.len() - 1]
    }

    /// The key of a version, if it is still alive.
    pub fn version(&self, version: u32) -> Option<&MasterKey> {
        let place = self
            .keys
            .binary_search_by_key(&version, |master| master.version)
            .ok()?;
        self.keys.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(version: u32) -> MasterKey {
        let seed = u8::try_from(version).unwrap();
        MasterKey {
            version,
            key: Key::new([seed; KEY_BYTES]).unwrap(),
        }
    }

    #[test]
    fn every_process_has_a_key_of_its_own() {
        let key = |version, uid, boot| master(version).server_key(uid, boot).unwrap();
        let keys = [
            key(1, "server", "boot"),
            key(2, "server", "boot"),
            key(1, "server2", "boot"),
            key(1, "server", "boot2"),
            // The same letters, cut elsewhere.
            key(1, "serverb", "oot"),
        ];
        for (place, left) in keys.iter().enumerate() {
            assert!(keys[place + 1..].iter().all(|right| left != right));
        }
        assert_eq!(keys[0], key(1, "server", "boot"));
    }

    /// Every server and allocator must agree on it, also across versions of Muster. The bytes were
    /// computed by another implementation of HKDF.
    #[test]
    fn the_derivation_stays_what_it_is() {
        let key = master(1).server_key("uid", "boot").unwrap();
        assert_eq!(key.expose()[..8], [32, 239, 53, 179, 87, 114, 94, 86]);
    }

    #[test]
    fn the_newest_mints_and_the_others_are_found() {
        let keys = MasterKeys::new(vec![master(3), master(1)]).unwrap();
        assert_eq!(keys.newest().version, 3);
        assert_eq!(keys.version(1), Some(&master(1)));
        assert_eq!(keys.version(2), None);
    }

    #[test]
    fn bad_keys_are_named() {
        assert_eq!(Key::from_slice(&[1; 31]), Err(Error::Length(31)));
        assert_eq!(Key::from_slice(&[0; 32]), Err(Error::Zero));
        assert_eq!(MasterKeys::new(Vec::new()), Err(Error::NoMasterKey));
        assert_eq!(
            MasterKeys::new(vec![master(2), master(1), master(2)]),
            Err(Error::SameVersion(2))
        );
    }

    #[test]
    fn a_key_is_read_from_a_file_in_either_form() {
        for content in [vec![0xab; 32], b"abABabab".repeat(8), b"ab".repeat(32)] {
            assert_eq!(Key::from_file(&content).unwrap().expose(), &[0xab; 32]);
        }
        let line = [b"ab".repeat(32), b"\n".to_vec()].concat();
        assert_eq!(Key::from_file(&line).unwrap().expose(), &[0xab; 32]);
        assert_eq!(Key::from_file(&b"xy".repeat(32)), Err(Error::Digits));
        assert_eq!(Key::from_file(b"short"), Err(Error::Length(5)));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let printed = format!("{:?}", MasterKeys::new(vec![master(77)]).unwrap());
        assert!(printed.contains("redacted"), "{printed}");
        assert!(!printed.contains("77, 77"), "{printed}");
    }
}
