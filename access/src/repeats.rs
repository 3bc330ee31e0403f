//! Tokens whose signature was good a moment ago: a repeat costs a hash.
//!
//! Remembers only what cannot change: the bytes of a token, its key and its claims. Time, keys and
//! revocations are checked on every call.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::Claims;

/// For how long a token is remembered.
pub(crate) const LIFETIME: SignedDuration = SignedDuration::from_secs(1);

/// A token that was verified.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    /// The name of its key.
    pub(crate) key: Arc<str>,
    /// What it says.
    pub(crate) claims: Arc<Claims>,
}

/// Two halves: one is filled, and when it is full or old the other is dropped for it.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// Of each half.
    most: usize,
    young: HashMap<[u8; 32], (Timestamp, Verified)>,
    old: HashMap<[u8; 32], (Timestamp, Verified)>,
    turned: Timestamp,
}

impl Repeats {
    /// Remembers at most `most` tokens.
    pub(crate) fn at_most(most: usize) -> Self {
        Self {
            most: most / 2,
            young: HashMap::new(),
            old: HashMap::new(),
            turned: Timestamp::MIN,
        }
    }

    /// A token that was verified within [`LIFETIME`], by its hash.
    pub(crate) fn get(&self, now: Timestamp, hash: &[u8; 32]) -> Option<Verified> {
        let (at, verified) = self.young.get(hash).or_else(|| self.old.get(hash))?;
        // A clock that was set back makes no token last longer.
        let age = now.duration_since(*at);
        (age >= SignedDuration::ZERO && age < LIFETIME).then(|| verified.clone())
    }

    /// Remembers a token.
    pub(crate) fn put(&mut self, now: Timestamp, hash: [u8; 32], verified: Verified) {
        if self.young.len() >= self.most || now.duration_since(self.turned).abs() >= LIFETIME {
            // The memory of the dropped half is used again.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.turned = now;
        }
        self.young.insert(hash, (now, verified));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{PlayerId, SessionId};

    fn verified() -> Verified {
        Verified {
            key: Arc::from("key"),
            claims: Arc::new(Claims {
                iss: String::new(),
                sub: PlayerId(Uuid::nil()),
                aud: Vec::new(),
                exp: 0,
                iat: 0,
                jti: Uuid::nil(),
                sid: SessionId(Uuid::nil()),
                cnf: None,
                roles: Vec::new(),
            }),
        }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_token_is_remembered_for_a_second() {
        let mut repeats = Repeats::at_most(8);
        repeats.put(at(0), [1; 32], verified());
        assert!(repeats.get(at(999), &[1; 32]).is_some());
        repeats.put(at(999), [2; 32], verified());
        assert!(repeats.get(at(1000), &[1; 32]).is_none());
        assert!(repeats.get(at(1000), &[2; 32]).is_some());
        assert!(repeats.get(at(998), &[2; 32]).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::at_most(8);
        for number in 0..100 {
            repeats.put(at(0), [number; 32], verified());
            assert!(repeats.young.len() + repeats.old.len() <= 8);
            assert!(repeats.get(at(0), &[number; 32]).is_some());
        }
    }
}
