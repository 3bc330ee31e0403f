//! Reconnection tokens: a player's way back that needs no backend.
//!
//! While a player is connected the server mints the next connect token for it, with the server's
//! own key, and sends it over the reliable channel. It names the session and the next epoch, and
//! its client id is a secret: drawn for this token, sealed inside it, and kept here as a hash
//! alone. So the newest tokens of a session count and no others, whoever could have minted them,
//! and nothing that the server remembers brings anybody back in a player's place.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use netcode::token::TOKEN_BYTES;
use netcode::{ConnectToken, Grant, Key, RandomSource, UserData, random, token};
use zeroize::Zeroizing;

/// How long a reconnection token may be presented. It must outlast the time to the next one (20 s)
/// and the time to come back (30 s), with ten seconds for clocks and handshakes.
pub const LIFETIME: Duration = Duration::from_mins(1);

/// Seconds without a packet after which either side gives up a connection.
pub const TIMEOUT_SECONDS: i32 = 5;

/// What the secret of a token hashes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of the secret of a token, which is its client id.
    pub fn of(client_id: u64) -> Self {
        let mut hash = [0; 32];
        // SHA-256 has 32 bytes.
        hash.copy_from_slice(digest(&SHA256, &client_id.to_le_bytes()).as_ref());
        Self(hash)
    }

    /// Whether it is the hash of this secret, in a time that does not tell how close it came.
    pub fn matches(&self, client_id: u64) -> bool {
        verify_slices_are_equal(&self.0, &Self::of(client_id).0).is_ok()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(redacted)")
    }
}

/// A reconnection token on its way to its player.
pub struct Minted {
    /// The connect token in the standard's form.
    pub token: Zeroizing<[u8; TOKEN_BYTES]>,
    /// What stays here.
    pub hash: SecretHash,
}

/// Why no token could be minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token could not be made or written.
    #[error("the reconnection token could not be made")]
    Token(#[from] token::Error),
    /// No randomness for the secret.
    #[error("the reconnection token has no secret")]
    Random(#[from] random::Error),
}

/// Mints reconnection tokens with the key of this process.
#[derive(Clone, Debug)]
pub struct Minter<Random> {
    /// Names the game, its build and its messages.
    pub protocol_id: u64,
    /// The newest key of this process.
    pub key: Key,
    /// Where clients find this server.
    pub addresses: Vec<SocketAddr>,
    /// How long each token may be presented.
    pub lifetime: Duration,
    /// Where keys, nonces and secrets come from.
    pub random: Random,
}

impl<Random: RandomSource> Minter<Random> {
    /// A token for the next connection of a session. `unix_seconds` is the wall clock.
    pub fn mint(&mut self, unix_seconds: u64, user_data: &UserData) -> Result<Minted, Error> {
        let mut client_id = [0; 8];
        self.random.fill(&mut client_id)?;
        let client_id = u64::from_le_bytes(client_id);
        let grant = Grant {
            protocol_id: self.protocol_id,
            client_id,
            created: unix_seconds,
            lifetime: self.lifetime,
            timeout_seconds: TIMEOUT_SECONDS,
            servers: &self.addresses,
            user_data: &user_data.encode(),
        };
        let token = ConnectToken::generate(&grant, &self.key, &mut self.random)?;
        Ok(Minted {
            token: token.write_standard()?,
            hash: SecretHash::of(client_id),
        })
    }
}

impl fmt::Debug for Minted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Minted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use netcode::{PrivateToken, SystemRandom};

    use super::*;

    #[test]
    fn a_minted_token_names_its_epoch_and_its_secret_is_known_by_its_hash_alone() {
        let key = Key::new([7; 32]).unwrap();
        let mut minter = Minter {
            protocol_id: 9,
            key: key.clone(),
            addresses: vec!["127.0.0.1:7777".parse().unwrap()],
            lifetime: LIFETIME,
            random: SystemRandom,
        };
        let user_data = UserData {
            epoch: 3,
            ..UserData::default()
        };
        let fresh = minter.mint(1_000, &user_data).unwrap();
        let token = ConnectToken::read_standard(fresh.token.as_slice()).unwrap();
        assert_eq!(token.expires, 1_060);
        let private =
            PrivateToken::open(&token.private, 9, token.expires, &token.nonce, &key).unwrap();
        assert_eq!(UserData::decode(&private.user_data), Ok(user_data));
        assert!(fresh.hash.matches(private.client_id));
        assert!(!fresh.hash.matches(private.client_id ^ 1));
        assert_eq!(format!("{:?}", fresh.hash), "SecretHash(redacted)");
    }
}
