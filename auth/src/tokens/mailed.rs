//! Mailed secrets: what proves that somebody reads the mail of an address.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::ids::PlayerId;

/// Bytes of a secret.
const SECRET: usize = 32;

/// A mailed secret, with the account that it is for: one text to follow or type in.
#[derive(Clone, Copy)]
pub struct Mailed {
    /// The account.
    pub player: PlayerId,
    secret: [u8; SECRET],
}

impl std::fmt::Debug for Mailed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Mailed")
            .field("player", &self.player)
            .finish_non_exhaustive()
    }
}

impl Mailed {
    /// A secret of random bytes.
    pub fn new(player: PlayerId, secret: [u8; SECRET]) -> Self {
        Self { player, secret }
    }

    /// The text of it.
    pub fn write(&self) -> String {
        let mut bytes = [0; 16 + SECRET];
        bytes[..16].copy_from_slice(self.player.0.as_bytes());
        bytes[16..].copy_from_slice(&self.secret);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text of that form.
    pub fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; 16 + SECRET];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(())?;
        let (player, secret) = bytes.split_at(16);
        Some(Self {
            player: PlayerId(Uuid::from_slice(player).ok()?),
            secret: secret.try_into().ok()?,
        })
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        crate::crypto::named_hash("mailed", &self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailed_secret_comes_back_and_nothing_else_does() {
        let mailed = Mailed::new(PlayerId(Uuid::from_u128(7)), [9; SECRET]);
        let read = Mailed::read(&mailed.write()).unwrap();
        assert_eq!((read.player, read.secret), (mailed.player, mailed.secret));
        let mut short = mailed.write();
        short.pop();
        assert!(Mailed::read(&short).is_none());
        assert!(Mailed::read("").is_none());
        assert!(Mailed::read(&format!("{}A", mailed.write())).is_none());
    }

    #[test]
    fn the_secret_is_not_shown() {
        let mailed = Mailed::new(PlayerId(Uuid::nil()), [201; SECRET]);
        assert!(!format!("{mailed:?}").contains("201"));
    }
}
