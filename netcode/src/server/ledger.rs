//! Which tokens were used, so that none makes two connections.
//!
//! A token is known by the tag of its private part. A used one is remembered until it expires:
//! from then on its expiry refuses it. A wall clock that steps back would bring it to life again,
//! so the ledger keeps a *floor*: the latest expiry that it has forgotten. A token that does not
//! expire after the floor might have been used, and is refused.
//!
//! The same floor refuses tokens that are older than the process, when its key is older: a request
//! does not say when its token was made, but no token lives longer than the longest lifetime, so
//! one that expires later than start plus that lifetime was made after the start.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;

use crate::aead::TAG_BYTES;
use crate::hash::Seed;

/// The tag of a token's private part.
pub(super) type Tag = [u8; TAG_BYTES];

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// An address presents it and has not answered its challenge yet.
    Presented(SocketAddr),
    /// It made a connection.
    Spent,
}

pub(super) struct Ledger {
    uses: HashMap<Tag, Use, Seed>,
    /// Spent tokens, the one that expires first on top.
    spent: BinaryHeap<Reverse<(u64, Tag)>>,
    max_spent: usize,
    floor: u64,
}

impl Ledger {
    pub(super) fn new(max_spent: usize, max_presented: usize, floor: u64, seed: Seed) -> Self {
        Self {
            uses: HashMap::with_capacity_and_hasher(max_spent + max_presented, seed),
            spent: BinaryHeap::with_capacity(max_spent),
            max_spent,
            floor,
        }
    }

    /// Whether a token that expires then is surely neither forgotten nor older than the process.
    pub(super) fn knows_all_until(&self, expires: u64) -> bool {
        expires > self.floor
    }

    pub(super) fn find(&self, tag: &Tag) -> Option<Use> {
        self.uses.get(tag).copied()
    }

    pub(super) fn is_full(&self) -> bool {
        self.spent.len() >= self.max_spent
    }

    pub(super) fn present(&mut self, tag: Tag, from: SocketAddr) {
        self.uses.insert(tag, Use::Presented(from));
    }

    /// Forgets that a token was presented; a spent one stays spent.
    pub(super) fn withdraw(&mut self, tag: &Tag) {
        if let Some(Use::Presented(_)) = self.uses.get(tag) {
            self.uses.remove(tag);
        }
    }

    /// Marks a token as used, unless the ledger is full.
    pub(super) fn spend(&mut self, tag: Tag, expires: u64) -> bool {
        if self.is_full() {
            return false;
        }
        self.uses.insert(tag, Use::Spent);
        self.spent.push(Reverse((expires, tag)));
        true
    }

    /// Forgets what has expired.
    pub(super) fn forget(&mut self, unix_seconds: u64) {
        while let Some(Reverse((expires, tag))) = self.spent.peek() {
            if *expires > unix_seconds {
                break;
            }
            self.floor = self.floor.max(*expires);
            self.uses.remove(tag);
            self.spent.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Seeded;

    fn ledger(max_spent: usize, floor: u64) -> Ledger {
        Ledger::new(max_spent, 4, floor, Seed::new(&mut Seeded::new(1)).unwrap())
    }

    #[test]
    fn a_spent_token_is_known_until_it_expires_and_refused_for_ever() {
        let mut ledger = ledger(4, 0);
        assert!(ledger.spend([1; 16], 100));
        ledger.forget(99);
        assert_eq!(ledger.find(&[1; 16]), Some(Use::Spent));
        ledger.forget(100);
        assert_eq!(ledger.find(&[1; 16]), None);
        assert!(!ledger.knows_all_until(100));
        assert!(ledger.knows_all_until(101));
    }

    #[test]
    fn a_full_ledger_takes_no_more_until_something_expires() {
        let mut ledger = ledger(2, 0);
        assert!(ledger.spend([1; 16], 100));
        assert!(ledger.spend([2; 16], 50));
        assert!(!ledger.spend([3; 16], 200));
        ledger.forget(50);
        assert!(ledger.spend([3; 16], 200));
    }

    #[test]
    fn withdrawing_forgets_presented_tokens_alone() {
        let mut ledger = ledger(2, 0);
        let from = "127.0.0.1:9".parse().unwrap();
        ledger.present([1; 16], from);
        assert_eq!(ledger.find(&[1; 16]), Some(Use::Presented(from)));
        assert!(ledger.spend([1; 16], 9));
        ledger.withdraw(&[1; 16]);
        assert_eq!(ledger.find(&[1; 16]), Some(Use::Spent));
        ledger.present([2; 16], from);
        ledger.withdraw(&[2; 16]);
        assert_eq!(ledger.find(&[2; 16]), None);
    }
}
