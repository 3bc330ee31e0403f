//! Sealing and opening: ChaCha20-Poly1305 for packets, XChaCha20-Poly1305 for tokens.
//!
//! The crypto library has no XChaCha20. It is ChaCha20 under a key that HChaCha20 derives from the
//! key and the first 16 bytes of the nonce; that one function comes from another crate, and the
//! rest runs in the library, whose code for vector units is chosen when the program runs.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use chacha20::{R20, hchacha};
use zeroize::Zeroizing;

use crate::keys::{KEY_BYTES, Key};

/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;

/// Bytes of the nonce of a token.
pub const TOKEN_NONCE_BYTES: usize = 24;

/// Something could not be sealed, or was not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// A key ready for use in one direction.
pub(crate) struct PacketKey {
    key: LessSafeKey,
    #[cfg(test)]
    secret: [u8; KEY_BYTES],
}

impl PacketKey {
    pub(crate) fn new(key: &Key) -> Result<Self, Failed> {
        Ok(Self {
            key: prepare(key.expose())?,
            #[cfg(test)]
            secret: *key.expose(),
        })
    }

    /// Seals all of `buffer` but its last [`TAG_BYTES`], which take the tag.
    pub(crate) fn seal(
        &self,
        sequence: u64,
        associated: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), Failed> {
        #[cfg(test)]
        recorder::record(self.secret, sequence);
        seal(&self.key, nonce(sequence), associated, buffer)
    }

    /// Opens `buffer`, which ends in its tag, in place; on failure its content is undefined.
    pub(crate) fn open<'buffer>(
        &self,
        sequence: u64,
        associated: &[u8],
        buffer: &'buffer mut [u8],
    ) -> Result<&'buffer mut [u8], Failed> {
        self.key
            .open_in_place(nonce(sequence), Aad::from(associated), buffer)
            .map_err(|_| Failed)
    }
}

/// Seals a token's private part: all of `buffer` but its last [`TAG_BYTES`].
pub(crate) fn seal_token(
    key: &Key,
    token_nonce: &[u8; TOKEN_NONCE_BYTES],
    associated: &[u8],
    buffer: &mut [u8],
) -> Result<(), Failed> {
    let (key, nonce) = extended(key, token_nonce)?;
    seal(&key, nonce, associated, buffer)
}

/// Opens a token's private part into `opened`, leaving what was sealed as it is.
pub(crate) fn open_token(
    key: &Key,
    token_nonce: &[u8; TOKEN_NONCE_BYTES],
    associated: &[u8],
    sealed: &[u8],
    opened: &mut [u8],
) -> Result<(), Failed> {
    let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Failed)?;
    let (key, nonce) = extended(key, token_nonce)?;
    key.open_separate_gather(nonce, Aad::from(associated), text, tag, opened)
        .map_err(|_| Failed)
}

fn prepare(key: &[u8]) -> Result<LessSafeKey, Failed> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| Failed)?;
    Ok(LessSafeKey::new(key))
}

fn seal(
    key: &LessSafeKey,
    nonce: Nonce,
    associated: &[u8],
    buffer: &mut [u8],
) -> Result<(), Failed> {
    let (text, tag) = buffer.split_last_chunk_mut::<TAG_BYTES>().ok_or(Failed)?;
    let made = key
        .seal_in_place_separate_tag(nonce, Aad::from(associated), text)
        .map_err(|_| Failed)?;
    tag.copy_from_slice(made.as_ref());
    Ok(())
}

/// The nonce of a packet: its number in the last eight of twelve bytes.
fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&sequence.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// The key and nonce of ChaCha20 that stand for a key and nonce of XChaCha20.
fn extended(
    key: &Key,
    token_nonce: &[u8; TOKEN_NONCE_BYTES],
) -> Result<(LessSafeKey, Nonce), Failed> {
    let mut head = [0; 16];
    head.copy_from_slice(&token_nonce[..16]);
    let mut tail = [0; 12];
    tail[4..].copy_from_slice(&token_nonce[16..]);
    let derived: [u8; KEY_BYTES] = hchacha::<R20>(key.expose().into(), &head.into()).into();
    let derived = Zeroizing::new(derived);
    Ok((
        prepare(derived.as_slice())?,
        Nonce::assume_unique_for_key(tail),
    ))
}

/// Remembers every key and nonce that sealed something in this thread.
#[cfg(test)]
pub(crate) mod recorder {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::KEY_BYTES;

    thread_local! {
        static SEALED: RefCell<HashMap<([u8; KEY_BYTES], u64), u32>> = RefCell::default();
    }

    pub(super) fn record(key: [u8; KEY_BYTES], sequence: u64) {
        SEALED.with_borrow_mut(|sealed| *sealed.entry((key, sequence)).or_default() += 1);
    }

    /// How many pairs sealed something, and which of them more than once.
    pub(crate) fn recorded() -> (usize, Vec<u64>) {
        SEALED.with_borrow(|sealed| {
            let repeated = sealed
                .iter()
                .filter(|(_, count)| **count > 1)
                .map(|((_, sequence), _)| *sequence)
                .collect();
            (sealed.len(), repeated)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-irtf-cfrg-xchacha, appendix A.3.1.
    #[test]
    fn tokens_are_sealed_with_xchacha20_poly1305() {
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
            for the future, sunscreen would be it.";
        let associated = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let key = Key::new(std::array::from_fn(|place| {
            0x80 + u8::try_from(place).unwrap()
        }))
        .unwrap();
        let nonce = std::array::from_fn(|place| 0x40 + u8::try_from(place).unwrap());
        let mut buffer = [text.as_slice(), &[0; TAG_BYTES]].concat();
        seal_token(&key, &nonce, &associated, &mut buffer).unwrap();
        assert_eq!(buffer[..4], [0xbd, 0x6d, 0x17, 0x9d]);
        assert_eq!(
            buffer[text.len()..],
            [
                0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a,
                0xcf, 0x49
            ]
        );
        let mut opened = vec![0; text.len()];
        open_token(&key, &nonce, &associated, &buffer, &mut opened).unwrap();
        assert_eq!(opened, text);
        buffer[0] ^= 1;
        assert_eq!(
            open_token(&key, &nonce, &associated, &buffer, &mut opened),
            Err(Failed)
        );
    }
}
