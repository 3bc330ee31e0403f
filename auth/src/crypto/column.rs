//! Sealed columns: mail addresses, device ids, second factors, private halves of signing keys.
//!
//! A sealed value is
//!
//! ```text
//! version (1) ‖ master key's version (4, big endian) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! under AES-256-GCM-SIV (RFC 8452), which forgives a repeated nonce: random nonces need no count
//! of how many were drawn. Table, column and row are authenticated with it, so that a value that
//! somebody moves to another row does not open. Values sealed under an older master key stay
//! readable, and are sealed anew in the background ([`needs_reseal`]).

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::secrets::Secrets;
use crate::secrets::keyring::{Key, Keyring, Purpose};

/// The only version of the envelope.
const VERSION: u8 = 1;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;

/// Bytes of the envelope before the ciphertext.
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;

/// Why a value was not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no sealed value, was changed, or belongs to another row.
    #[error("the sealed value is damaged or belongs elsewhere")]
    Damaged,
    /// It was sealed by a master key that this process does not have: it was removed too early, or
    /// has not arrived here yet.
    #[error("master.v{0} is missing")]
    MissingKey(u32),
    /// The library refused to seal: the value is longer than 64 GiB.
    #[error("the value cannot be sealed")]
    Seal,
}

/// Which value it is: part of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'row> {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row: its id, the owner's for what belongs to a player.
    pub row: &'row [u8],
}

impl Cell<'_> {
    /// Names of tables and columns hold no zero, so that no two cells spell the same bytes.
    fn associated(&self) -> Vec<u8> {
        [
            self.table.as_bytes(),
            b"\0",
            self.column.as_bytes(),
            b"\0",
            self.row,
        ]
        .concat()
    }
}

/// Seals under the current master key.
pub fn seal(
    keyring: &Keyring,
    cell: &Cell<'_>,
    nonce: [u8; NONCE_BYTES],
    plain: &[u8],
) -> Result<Vec<u8>, Error> {
    let (version, key) = keyring.current_key(Purpose::Columns);
    let mut text = plain.to_vec();
    prepare(key)
        .ok_or(Error::Seal)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(cell.associated()),
            &mut text,
        )
        .map_err(|_| Error::Seal)?;
    let mut sealed = Vec::with_capacity(HEADER_BYTES + text.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&version.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.append(&mut text);
    Ok(sealed)
}

/// Opens what was sealed for this cell under any master key of the keyring.
pub fn open(
    keyring: &Keyring,
    cell: &Cell<'_>,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (version, nonce, text) = split(sealed).ok_or(Error::Damaged)?;
    let key = keyring
        .key(Purpose::Columns, version)
        .ok_or(Error::MissingKey(version))?;
    let mut text = Zeroizing::new(text.to_vec());
    let length = prepare(key)
        .ok_or(Error::Damaged)?
        .open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(cell.associated()),
            &mut text,
        )
        .map_err(|_| Error::Damaged)?
        .len();
    text.truncate(length);
    Ok(text)
}

/// Whether a value was sealed under a master key that is not the current one.
pub fn needs_reseal(keyring: &Keyring, sealed: &[u8]) -> bool {
    split(sealed).is_some_and(|(version, ..)| version != keyring.current())
}

fn split(sealed: &[u8]) -> Option<(u32, [u8; NONCE_BYTES], &[u8])> {
    let (header, text) = sealed.split_first_chunk::<HEADER_BYTES>()?;
    let (format, header) = header.split_first()?;
    let (version, nonce) = header.split_first_chunk()?;
    let nonce = nonce.try_into().ok()?;
    (*format == VERSION).then_some((u32::from_be_bytes(*version), nonce, text))
}

fn prepare(key: &Key) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, key.expose()).ok()?;
    Some(LessSafeKey::new(key))
}

/// The shell: the keyring as it is now, and random nonces.
#[derive(Clone, Debug)]
pub struct Columns {
    secrets: Arc<Secrets>,
}

impl Columns {
    /// Columns that follow the master keys.
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self { secrets }
    }

    /// Seals under the current master key.
    pub fn seal(&self, cell: &Cell<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce = crate::crypto::random();
        seal(&self.secrets.current().keys, cell, nonce, plain)
    }

    /// Opens what was sealed for this cell.
    pub fn open(&self, cell: &Cell<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        open(&self.secrets.current().keys, cell, sealed)
    }

    /// The value sealed anew, when its master key is no longer the current one.
    pub fn reseal(&self, cell: &Cell<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if !needs_reseal(&self.secrets.current().keys, sealed) {
            return Ok(None);
        }
        let plain = self.open(cell, sealed)?;
        self.seal(cell, &plain).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secrets::keyring::fixtures::{keyring, keyring_of};
    use crate::secrets::tests::scripted;

    const EMAIL: Cell<'static> = Cell {
        table: "users",
        column: "email",
        row: b"row 1",
    };

    #[test]
    fn the_cipher_is_that_of_rfc_8452() {
        // Appendix C.2: AES-256-GCM-SIV, eight bytes of plaintext.
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; NONCE_BYTES];
        nonce[0] = 3;
        let mut text = vec![1, 0, 0, 0, 0, 0, 0, 0];
        prepare(&Key::new(key))
            .unwrap()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
            .unwrap();
        assert_eq!(
            crate::crypto::tests::hex(&text),
            "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"
        );
    }

    #[test]
    fn an_envelope_is_stable() {
        // Written down once: a value in a table must open for ever.
        let sealed = seal(&keyring(&[1]), &EMAIL, [7; NONCE_BYTES], b"ann@example.com").unwrap();
        expect_test::expect!["010000000107070707070707070707070794d0cb4a969b593857f326bb41f6e39da48893f91080b93a757144eed4a140"].assert_eq(&crate::crypto::tests::hex(&sealed));
    }

    #[test]
    fn a_value_opens_in_its_own_cell_alone() {
        let keys = keyring(&[1]);
        let sealed = seal(&keys, &EMAIL, [7; NONCE_BYTES], b"ann@example.com").unwrap();
        assert_eq!(*open(&keys, &EMAIL, &sealed).unwrap(), b"ann@example.com");
        for cell in [
            Cell {
                row: b"row 2",
                ..EMAIL
            },
            Cell {
                column: "device",
                ..EMAIL
            },
            Cell {
                table: "devices",
                ..EMAIL
            },
        ] {
            assert_eq!(open(&keys, &cell, &sealed), Err(Error::Damaged), "{cell:?}");
        }
    }

    #[test]
    fn a_rotation_keeps_old_values_readable_and_asks_for_their_resealing() {
        let sealed = seal(&keyring(&[1]), &EMAIL, [7; NONCE_BYTES], b"ann").unwrap();
        let both = keyring(&[1, 2]);
        assert_eq!(*open(&both, &EMAIL, &sealed).unwrap(), b"ann");
        assert!(needs_reseal(&both, &sealed));
        let anew = seal(&both, &EMAIL, [8; NONCE_BYTES], b"ann").unwrap();
        assert!(!needs_reseal(&both, &anew));
        assert_eq!(
            open(&keyring(&[1]), &EMAIL, &anew),
            Err(Error::MissingKey(2))
        );
    }

    #[tokio::test]
    async fn the_shell_follows_the_keyring() {
        let (secrets, source) = scripted(keyring_of(&[1]));
        let columns = Columns::new(Arc::clone(&secrets));
        let first = columns.seal(&EMAIL, b"ann").unwrap();
        assert_ne!(
            first,
            columns.seal(&EMAIL, b"ann").unwrap(),
            "nonces are random"
        );
        assert_eq!(columns.reseal(&EMAIL, &first), Ok(None));
        source.set(keyring_of(&[1, 2]));
        secrets.look().await.unwrap();
        let anew = columns.reseal(&EMAIL, &first).unwrap().unwrap();
        assert_eq!(*columns.open(&EMAIL, &anew).unwrap(), b"ann");
        assert_eq!(columns.reseal(&EMAIL, &anew), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_any_flipped_bit_is_found(
            plain in proptest::collection::vec(any::<u8>(), 0..64),
            nonce: [u8; NONCE_BYTES],
            at: proptest::sample::Index,
            bit in 0_u8..8,
        ) {
            let keys = keyring(&[1, 2]);
            let mut sealed = seal(&keys, &EMAIL, nonce, &plain).unwrap();
            prop_assert_eq!(&*open(&keys, &EMAIL, &sealed).unwrap(), &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&keys, &EMAIL, &sealed).is_err());
            sealed.truncate(at);
            prop_assert!(open(&keys, &EMAIL, &sealed).is_err());
        }
    }
}
