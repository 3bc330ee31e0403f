//! Refresh tokens: which token of which family, under a MAC.
//!
//! A token holds no secret that could be stored: it is `family ‖ generation ‖ binding` with a MAC
//! by a key that only auth has. So a forgery is refused without a look-up, and a retry gets the
//! very same successor without its being stored anywhere. Whether a token is spent is the store's
//! to say ([`crate::store::Store::rotate`]).
//!
//! ```text
//! mrt1. base64url( key u32 ‖ player 16 ‖ family 16 ‖ generation u32 ‖ binding 32 ‖ mac 32 )
//! ```

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::ids::{FamilyId, PlayerId};

/// How a token of ours begins, so that people and scanners of secrets know it.
const PREFIX: &str = "mrt1.";

/// Bytes before the MAC.
const BODY: usize = 4 + 16 + 16 + 4 + 32;

/// Bytes of the MAC: the whole of SHA-256.
const MAC: usize = 32;

/// What a refresh token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// Whose.
    pub player: PlayerId,
    /// Of which family.
    pub family: FamilyId,
    /// Which of the family.
    pub generation: u32,
    /// The SHA-256 thumbprint of the key that must be proven with it; zeros for none.
    pub binding: [u8; 32],
}

/// The token is malformed or was not made by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token of this service")]
pub struct Forged;

impl RefreshToken {
    /// Writes the token under a key of the ring.
    pub fn write(&self, version: u32, key: &hmac::Key) -> String {
        let mut bytes = Vec::with_capacity(BODY + MAC);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(self.player.0.as_bytes());
        bytes.extend_from_slice(self.family.0.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.binding);
        let mac = hmac::sign(key, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        let mut text = String::with_capacity(PREFIX.len() + (BODY + MAC).div_ceil(3) * 4);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
        text
    }

    /// Reads a token whose MAC is right by the key that it names.
    pub fn read(text: &str, key: impl FnOnce(u32) -> Option<hmac::Key>) -> Result<Self, Forged> {
        let encoded = text.strip_prefix(PREFIX).ok_or(Forged)?;
        let mut bytes = [0; BODY + MAC];
        // One text for one token: lengths and padding bits are exact in this engine.
        let length = URL_SAFE_NO_PAD
            .decode_slice(encoded, &mut bytes)
            .map_err(|_| Forged)?;
        if length != bytes.len() {
            return Err(Forged);
        }
        let (body, mac) = bytes.split_at(BODY);
        let key = key(u32::from_be_bytes(array(body, 0)?)).ok_or(Forged)?;
        hmac::verify(&key, body, mac).map_err(|_| Forged)?;
        Ok(Self {
            player: PlayerId(Uuid::from_bytes(array(body, 4)?)),
            family: FamilyId(Uuid::from_bytes(array(body, 20)?)),
            generation: u32::from_be_bytes(array(body, 36)?),
            binding: array(body, 40)?,
        })
    }
}

fn array<const LENGTH: usize>(body: &[u8], start: usize) -> Result<[u8; LENGTH], Forged> {
    body.get(start..start + LENGTH)
        .and_then(|slice| slice.try_into().ok())
        .ok_or(Forged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn tokens() -> impl Strategy<Value = RefreshToken> {
        (
            any::<u128>(),
            any::<u128>(),
            any::<u32>(),
            any::<[u8; 32]>(),
        )
            .prop_map(|(player, family, generation, binding)| RefreshToken {
                player: PlayerId(Uuid::from_u128(player)),
                family: FamilyId(Uuid::from_u128(family)),
                generation,
                binding,
            })
    }

    proptest! {
        #[test]
        fn a_token_comes_back_as_it_was(token in tokens()) {
            let (one, two) = (key(1), key(2));
            let text = token.write(2, &two);
            let read = RefreshToken::read(&text, |id| match id {
                1 => Some(one),
                2 => Some(two.clone()),
                _ => None,
            });
            prop_assert_eq!(read, Ok(token));
        }

        #[test]
        fn a_token_with_any_character_changed_is_forged(
            token in tokens(),
            at in any::<prop::sample::Index>(),
            to in "[A-Za-z0-9_.=-]",
        ) {
            let key = key(1);
            let text = token.write(1, &key);
            let at = at.index(text.len());
            let mut other = text.clone();
            other.replace_range(at..=at, &to);
            prop_assume!(other != text);
            prop_assert_eq!(RefreshToken::read(&other, |_| Some(key)), Err(Forged));
        }

        #[test]
        fn whatever_is_sent_is_read_or_refused(text in ".{0,200}") {
            let key = key(1);
            prop_assert_eq!(RefreshToken::read(&text, |_| Some(key)), Err(Forged));
        }
    }

    #[test]
    fn a_token_of_an_unknown_key_or_another_key_is_forged() {
        let (ours, theirs) = (key(1), key(9));
        let token = RefreshToken {
            player: PlayerId(Uuid::from_u128(1)),
            family: FamilyId(Uuid::from_u128(2)),
            generation: 3,
            binding: [0; 32],
        };
        let text = token.write(1, &theirs);
        assert_eq!(RefreshToken::read(&text, |_| Some(ours)), Err(Forged));
        assert_eq!(RefreshToken::read(&text, |_| None), Err(Forged));
    }
}
