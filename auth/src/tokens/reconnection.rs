//! Reconnection tokens: 30 seconds in which a player whose connection broke comes back without
//! signing in. Pure.
//!
//! A token is `version ‖ key ‖ replica ‖ player ‖ id ‖ secret ‖ MAC` in base64url. A forged one is
//! refused by its MAC, before anything is looked up; one that is real is looked up by player and
//! id, and its secret compared with the hash that is all that was kept of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastbloom::BloomFilter;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::crypto;
use crate::ids::{PlayerId, SessionId};

/// How long a token is good.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// How long its record is kept: a token that was good until lately is told apart.
pub const RECORD_LIFETIME: Duration = Duration::from_mins(2);

/// The time that [`Issued`] forgets at once; a token outlives no more than one end of a window.
const WINDOW: SignedDuration = SignedDuration::from_secs(30);

const VERSION: u8 = 1;

/// Version, key, replica, player, id and secret.
const SIGNED: usize = 1 + 4 + 8 + 16 + 16 + SECRET;
const SECRET: usize = 16;
const MAC: usize = 32;

/// The bytes of a token, and its characters in base64url without padding.
const LENGTH: usize = SIGNED + MAC;
const CHARACTERS: usize = (LENGTH * 4).div_ceil(3);

/// What MACs of tokens are about, whatever else a key may be used for by mistake.
const CONTEXT: &[u8] = b"muster reconnection token\0";

/// The replica that issued a token, from its start to its end: random, and another one after a
/// restart, which knows nothing of what was issued before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica(pub u64);

/// The keys of the MACs: that of new tokens, and those whose tokens may still be out.
#[derive(Debug)]
pub struct Keys {
    current: u32,
    keys: BTreeMap<u32, hmac::Key>,
}

impl Keys {
    /// The current key by its version, and earlier ones.
    pub fn new<'key>(
        current: (u32, &'key [u8; 32]),
        earlier: impl IntoIterator<Item = (u32, &'key [u8; 32])>,
    ) -> Self {
        let keys = earlier.into_iter().chain([current]);
        Self {
            current: current.0,
            keys: keys
                .map(|(version, key)| (version, hmac::Key::new(hmac::HMAC_SHA256, key)))
                .collect(),
        }
    }

    fn sign(&self, version: u32, signed: &[u8]) -> Option<hmac::Tag> {
        let mut context = hmac::Context::with_key(self.keys.get(&version)?);
        context.update(CONTEXT);
        context.update(signed);
        Some(context.sign())
    }
}

/// A token whose MAC is right: one of ours made it, and nobody changed it.
#[derive(Clone)]
pub struct Token {
    /// The replica that issued it.
    pub replica: Replica,
    /// Whose it is.
    pub player: PlayerId,
    /// By what it is looked up: `Key::Reconnection(player, id)`.
    pub id: Uuid,
    secret: Zeroizing<[u8; SECRET]>,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Token")
            .field("replica", &self.replica)
            .field("player", &self.player)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// No token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reconnection token")]
pub struct Invalid;

impl Token {
    /// A new token, from 32 random bytes.
    pub fn new(replica: Replica, player: PlayerId, random: &Zeroizing<[u8; 32]>) -> Self {
        let mut id = [0; 16];
        let mut secret = Zeroizing::new([0; SECRET]);
        let (first, second) = random.split_at(16);
        id.copy_from_slice(first);
        secret.copy_from_slice(second);
        Self {
            replica,
            player,
            id: uuid::Builder::from_random_bytes(id).into_uuid(),
            secret,
        }
    }

    /// As the player gets it; nothing if the current key is none of the keys.
    pub fn seal(&self, keys: &Keys) -> Option<Zeroizing<String>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(VERSION);
        bytes.extend_from_slice(&keys.current.to_be_bytes());
        bytes.extend_from_slice(&self.replica.0.to_be_bytes());
        bytes.extend_from_slice(self.player.0.as_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.secret.as_slice());
        let mac = keys.sign(keys.current, &bytes)?;
        bytes.extend_from_slice(mac.as_ref());
        Some(Zeroizing::new(URL_SAFE_NO_PAD.encode(&bytes)))
    }

    /// Reads a token; believes nothing in it before its MAC is right, but which key made that.
    pub fn open(text: &str, keys: &Keys) -> Result<Self, Invalid> {
        if text.len() != CHARACTERS {
            return Err(Invalid);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| Invalid)?);
        let (signed, mac) = bytes.split_at_checked(SIGNED).ok_or(Invalid)?;
        let mut fields = Fields(signed);
        let version = fields.take::<1>()?;
        let key = u32::from_be_bytes(fields.take()?);
        let right = keys.sign(key, signed).ok_or(Invalid)?;
        if !crypto::equal(right.as_ref(), mac) || version != [VERSION] {
            return Err(Invalid);
        }
        Ok(Self {
            replica: Replica(u64::from_be_bytes(fields.take()?)),
            player: PlayerId(Uuid::from_bytes(fields.take()?)),
            id: Uuid::from_bytes(fields.take()?),
            secret: Zeroizing::new(fields.take()?),
        })
    }

    /// What is kept of it.
    pub fn record(&self, session: SessionId, game_server: String, now: Timestamp) -> Record {
        Record {
            player: self.player,
            session,
            game_server,
            secret_hash: self.secret_hash(),
            expires: now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX),
        }
    }

    fn secret_hash(&self) -> [u8; 32] {
        crypto::hash(self.secret.as_slice())
    }
}

/// What is left of a token's bytes.
struct Fields<'bytes>(&'bytes [u8]);

impl Fields<'_> {
    fn take<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Invalid> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Invalid)?;
        self.0 = rest;
        Ok(*field)
    }
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose.
    pub player: PlayerId,
    /// The session that it continues.
    pub session: SessionId,
    /// The game server that it leads back to.
    pub game_server: String,
    /// SHA-256 of the secret, which has 128 bits and so needs no salt.
    pub secret_hash: [u8; 32],
    /// Void from then on.
    pub expires: Timestamp,
}

/// Why a record does not let a token in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It belongs to another token.
    #[error("the token is not the one that was issued")]
    Different,
    /// The token's time is over.
    #[error("the token's time is over")]
    Expired,
}

impl Record {
    /// As it is put away.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// As it was put away.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Whether the token is the one that was issued, and still good.
    pub fn admits(&self, token: &Token, now: Timestamp) -> Result<(), Refusal> {
        if !crypto::equal(&self.secret_hash, &token.secret_hash()) || self.player != token.player {
            Err(Refusal::Different)
        } else if self.expires <= now {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }
}

/// What this replica issued lately, roughly: spares a look-up for most of what it did not issue,
/// and never refuses what it did, nor what another replica issued.
#[derive(Debug)]
pub struct Issued {
    replica: Replica,
    /// When the current window began.
    began: Timestamp,
    current: BloomFilter,
    /// The window before: what was noted in its last moment must be known for another [`LIFETIME`].
    previous: BloomFilter,
}

impl Issued {
    /// Takes memory for `expected` tokens in 30 seconds, twice; with more, it refuses less.
    pub fn new(replica: Replica, expected: usize, now: Timestamp) -> Self {
        let window = || BloomFilter::with_false_pos(0.001).expected_items(expected.max(1));
        Self {
            replica,
            began: now,
            current: window(),
            previous: window(),
        }
    }

    /// Notes a token that is issued now.
    pub fn note(&mut self, token: &Token, now: Timestamp) {
        let age = now.duration_since(self.began);
        if age >= WINDOW {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.clear();
            if age >= WINDOW * 2 {
                self.previous.clear();
            }
            self.began = now;
        }
        self.current.insert(token.id.as_bytes());
    }

    /// Whether it is worth a look-up: another replica issued it, or this one probably did.
    pub fn may_be(&self, token: &Token) -> bool {
        let id = token.id.as_bytes();
        token.replica != self.replica || self.current.contains(id) || self.previous.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPLICA: Replica = Replica(7);

    fn keys() -> Keys {
        Keys::new((2, &[2; 32]), [(1, &[1; 32])])
    }

    fn token(random: [u8; 32]) -> Token {
        Token::new(
            REPLICA,
            PlayerId(Uuid::from_u128(5)),
            &Zeroizing::new(random),
        )
    }

    fn numbered(number: u64) -> Token {
        let mut random = [0; 32];
        random.copy_from_slice(&crypto::hash(&number.to_be_bytes()));
        token(random)
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_record_admits_its_token_for_thirty_seconds() {
        let token = numbered(1);
        let session = SessionId(Uuid::from_u128(6));
        let record = token.record(session, "10.0.0.1:7777".to_owned(), at(0));
        let record = Record::decode(&record.encode().unwrap()).unwrap();
        assert_eq!(record.session, session);
        assert_eq!(record.game_server, "10.0.0.1:7777");
        assert_eq!(record.admits(&token, at(29_999)), Ok(()));
        assert_eq!(record.admits(&token, at(30_000)), Err(Refusal::Expired));
        // The same id with another secret, and the same secret of another player.
        let mut other = token.clone();
        other.secret[15] ^= 1;
        assert_eq!(record.admits(&other, at(0)), Err(Refusal::Different));
        assert_eq!(record.admits(&other, at(60_000)), Err(Refusal::Different));
        let mut other = token.clone();
        other.player = PlayerId(Uuid::from_u128(8));
        assert_eq!(record.admits(&other, at(0)), Err(Refusal::Different));
    }

    #[test]
    fn the_form_is_as_documented_and_the_secret_is_not_shown() {
        let token = token([0xab; 32]);
        let sealed = token.seal(&keys()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&*sealed).unwrap();
        assert_eq!(bytes.len(), 93);
        assert_eq!(bytes[..13], [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(bytes[13..29], *token.player.0.as_bytes());
        assert_eq!(bytes[29..45], *token.id.as_bytes());
        assert_eq!(bytes[45..61], [0xab; 16]);
        assert_eq!(token.id.get_version(), Some(uuid::Version::Random));
        let shown = format!("{token:?} {:?}", keys());
        assert!(!shown.contains("171, 171"), "{shown}");
    }

    #[test]
    fn keys_follow_each_other() {
        let token = numbered(1);
        let old = Keys::new((1, &[1; 32]), []);
        let sealed = token.seal(&old).unwrap();
        assert_eq!(Token::open(&sealed, &keys()).unwrap().id, token.id);
        let next = Keys::new((3, &[3; 32]), [(2, &[2; 32])]);
        assert_eq!(Token::open(&sealed, &next).unwrap_err(), Invalid);
        // The right version with another key.
        let forged = Keys::new((2, &[9; 32]), []);
        let sealed = token.seal(&forged).unwrap();
        assert_eq!(Token::open(&sealed, &keys()).unwrap_err(), Invalid);
    }

    #[test]
    fn another_version_is_refused_however_well_signed() {
        let keys = keys();
        let sealed = numbered(1).seal(&keys).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&*sealed).unwrap();
        bytes[0] = 2;
        let mac = keys.sign(2, &bytes[..SIGNED]).unwrap();
        bytes[SIGNED..].copy_from_slice(mac.as_ref());
        let sealed = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(Token::open(&sealed, &keys).unwrap_err(), Invalid);
    }

    #[test]
    fn what_was_not_issued_here_is_rarely_taken_for_it_and_never_if_issued_elsewhere() {
        let mut issued = Issued::new(REPLICA, 1000, at(0));
        for number in 0..1000 {
            issued.note(&numbered(number), at(0));
        }
        let unknown = (1000..11_000).map(numbered);
        let mistaken = unknown.filter(|token| issued.may_be(token)).count();
        assert!(mistaken < 50, "{mistaken} of 10,000");
        for number in 1000..2000 {
            let mut token = numbered(number);
            token.replica = Replica(8);
            assert!(issued.may_be(&token));
        }
    }

    #[test]
    fn what_is_long_over_is_forgotten_and_takes_no_memory() {
        let mut issued = Issued::new(REPLICA, 100, at(0));
        let size = issued.current.num_bits();
        for number in 0..20_000 {
            issued.note(&numbered(number), at(0));
        }
        issued.note(&numbered(20_000), at(30_000));
        assert!(issued.may_be(&numbered(0)));
        issued.note(&numbered(20_001), at(60_000));
        assert!(issued.may_be(&numbered(20_000)));
        let left = (0..20_000).filter(|number| issued.may_be(&numbered(*number)));
        assert!(left.count() < 200);
        issued.note(&numbered(20_002), at(3_600_000));
        assert!(!issued.may_be(&numbered(20_001)));
        assert_eq!(issued.current.num_bits(), size);
        assert_eq!(issued.previous.num_bits(), size);
    }

    proptest! {
        #[test]
        fn tokens_come_back_as_they_went(
            replica: u64,
            player: u128,
            random: [u8; 32],
        ) {
            let player = PlayerId(Uuid::from_u128(player));
            let token = Token::new(Replica(replica), player, &Zeroizing::new(random));
            let sealed = token.seal(&keys()).unwrap();
            prop_assert_eq!(sealed.len(), CHARACTERS);
            let opened = Token::open(&sealed, &keys()).unwrap();
            prop_assert_eq!(opened.replica, token.replica);
            prop_assert_eq!(opened.player, token.player);
            prop_assert_eq!(opened.id, token.id);
            prop_assert_eq!(&opened.secret, &token.secret);
        }

        #[test]
        fn any_change_is_refused(random: [u8; 32], index in 0..LENGTH, change in 1_u8..) {
            let sealed = token(random).seal(&keys()).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&*sealed).unwrap();
            bytes[index] ^= change;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(Token::open(&changed, &keys()).unwrap_err(), Invalid);
        }

        #[test]
        fn nonsense_is_refused(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), LENGTH)) {
            prop_assert!(Token::open(&text, &keys()).is_err());
            prop_assert!(Token::open(&URL_SAFE_NO_PAD.encode(bytes), &keys()).is_err());
        }

        #[test]
        fn what_was_issued_is_never_refused_within_its_time(
            steps in prop::collection::vec(0_i64..40_000, 1..100),
            expected in 1_usize..50,
        ) {
            let mut issued = Issued::new(REPLICA, expected, at(0));
            let mut now = 0;
            let mut out: Vec<(i64, Token)> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                now += step;
                let token = numbered(u64::try_from(number).unwrap());
                issued.note(&token, at(now));
                out.push((now, token));
                for (issued_at, token) in &out {
                    prop_assert!(now - issued_at >= 30_000 || issued.may_be(token));
                }
            }
        }
    }
}
