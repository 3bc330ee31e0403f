//! What is secret at rest: sealed columns, keyed hashes by which sealed values are found, hashes of
//! secrets that only ever come back from outside.
//!
//! Everything here is a pure function of a key, except [`random`] and the shell of [`mod@column`] that
//! draws nonces by it.

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use storage::Confidential;

use crate::secrets::keyring::Key;

pub mod blind;
pub mod column;

/// The SHA-256 of a secret, for tables and caches: the secret itself stays with its owner.
///
/// For secrets of many random bits alone; what people choose goes through a KDF.
pub fn hash(secret: &[u8]) -> [u8; 32] {
    access::jws::sha256(secret)
}

/// The SHA-256 of something that a key or a column is named after; two names never meet.
pub fn named_hash(name: &str, value: &[u8]) -> [u8; 32] {
    // Names hold no zero.
    hash(&[name.as_bytes(), b"\0", value].concat())
}

/// A handle by which whoever has it goes on with what was begun: 256 random bits.
pub fn handle() -> Confidential {
    Confidential::new(URL_SAFE_NO_PAD.encode(random::<32>()))
}

/// Whether two values are the same, in a time that tells nothing of where they differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// HMAC-SHA256 over `message`.
pub fn mac(key: &Key, message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
    let mut tag = [0; 32];
    tag.copy_from_slice(hmac::sign(&key, message).as_ref());
    tag
}

/// Random bytes that nobody can guess.
#[expect(
    clippy::expect_used,
    reason = "the library ends the process itself when the system has no randomness"
)]
pub fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).expect("the library has a generator");
    bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    #[test]
    fn a_hash_is_sha_256() {
        // FIPS 180-4, the example of one block.
        assert_eq!(
            hex(&hash(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_mac_is_hmac_sha_256() {
        // RFC 4231, test case 1, whose key of 20 bytes is padded with zeros as HMAC does itself.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(
            hex(&mac(&Key::new(key), b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn equal_is_equality() {
        assert!(equal(b"", b""));
        assert!(equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"abd"));
        assert!(!equal(b"abc", b"abcd"));
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<32>(), random::<32>());
    }
}
