//! Tokens that are void although their time is not over.
//!
//! A revocation is kept for as long as a token that it voids could live, and no longer: what is
//! kept is bounded by that time and by a number. Beyond the number the oldest go, and every token
//! that is as old as they are is refused: too many refusals, never too few.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::claims::{Claims, LIFETIME, SKEW};
use crate::{PlayerId, SessionId};

/// How many revocations are kept. Enough for 700 logouts a second.
pub const MOST: usize = 1 << 18;

/// One session, or every session of a player, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub player: PlayerId,
    /// Which session: every token of it is void. Every session of the player when absent.
    pub session: Option<SessionId>,
    /// Tokens of the player issued up to then are void, when no session is named. Tokens count
    /// whole seconds: one that was made later in the same second is void too.
    pub at: Timestamp,
}

/// What a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Target {
    Session(PlayerId, SessionId),
    Player(PlayerId),
}

/// The revocations that may still matter.
#[derive(Debug)]
pub struct Revocations {
    most: usize,
    at: HashMap<Target, Timestamp>,
    /// The same, oldest first.
    order: BTreeSet<(Timestamp, Target)>,
    /// Every token issued up to then is refused.
    floor: Timestamp,
}

impl Default for Revocations {
    fn default() -> Self {
        Self::at_most(MOST)
    }
}

impl Revocations {
    /// None yet, and never more than `most`.
    pub fn at_most(most: usize) -> Self {
        Self {
            most,
            at: HashMap::new(),
            order: BTreeSet::new(),
            floor: Timestamp::MIN,
        }
    }

    /// Notes a revocation; again is as once.
    pub fn insert(&mut self, now: Timestamp, revocation: Revocation) {
        // One from further ahead than clocks may be apart would stay for as long.
        let latest = now.checked_add(SKEW).unwrap_or(Timestamp::MAX);
        let at = revocation.at.min(latest);
        let target = match revocation.session {
            Some(session) => Target::Session(revocation.player, session),
            None => Target::Player(revocation.player),
        };
        self.prune(now);
        match self.at.get(&target) {
            Some(known) if *known >= at => return,
            Some(known) => {
                self.order.remove(&(*known, target));
            }
            None => {}
        }
        self.at.insert(target, at);
        self.order.insert((at, target));
        while self.at.len() > self.most {
            let Some((oldest, target)) = self.order.pop_first() else {
                return;
            };
            self.at.remove(&target);
            self.floor = self.floor.max(oldest);
        }
    }

    /// Forgets those that can void no token any more.
    fn prune(&mut self, now: Timestamp) {
        let span = SignedDuration::try_from(LIFETIME + SKEW).unwrap_or(SignedDuration::MAX);
        let Ok(before) = now.checked_sub(span) else {
            return;
        };
        while let Some((at, target)) = self.order.first().copied()
            && at < before
        {
            self.order.pop_first();
            self.at.remove(&target);
        }
    }

    /// Whether a token is void.
    pub fn voids(&self, claims: &Claims) -> bool {
        let is_up_to = |at: Timestamp| claims.iat <= at.as_second();
        is_up_to(self.floor)
            || self
                .at
                .contains_key(&Target::Session(claims.sub, claims.sid))
            || self
                .at
                .get(&Target::Player(claims.sub))
                .is_some_and(|at| is_up_to(*at))
    }

    /// Whether a session that began then has ended lately.
    pub fn ended(&self, player: PlayerId, session: SessionId, began: Timestamp) -> bool {
        began <= self.floor
            || self.at.contains_key(&Target::Session(player, session))
            || self
                .at
                .get(&Target::Player(player))
                .is_some_and(|at| began <= *at)
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn revocation(player: u128, session: Option<u128>, at: i64) -> Revocation {
        Revocation {
            player: PlayerId(Uuid::from_u128(player)),
            session: session.map(|session| SessionId(Uuid::from_u128(session))),
            at: second(at),
        }
    }

    fn claims(player: u128, session: u128, iat: i64) -> Claims {
        Claims {
            iss: String::new(),
            sub: PlayerId(Uuid::from_u128(player)),
            aud: Vec::new(),
            exp: iat + 300,
            iat,
            jti: Uuid::nil(),
            sid: SessionId(Uuid::from_u128(session)),
            cnf: None,
            roles: Vec::new(),
        }
    }

    #[test]
    fn a_session_is_void_wholly_and_a_player_up_to_a_time() {
        let mut revocations = Revocations::default();
        revocations.insert(second(1000), revocation(1, Some(1), 1000));
        revocations.insert(second(1000), revocation(2, None, 1000));
        revocations.insert(second(1000), revocation(2, None, 990));
        for (player, session, iat, is_void) in [
            (1, 1, 900, true),
            (1, 1, 1100, true),
            (1, 2, 900, false),
            (3, 1, 900, false),
            (2, 7, 900, true),
            (2, 7, 1000, true),
            (2, 7, 1001, false),
        ] {
            let voids = revocations.voids(&claims(player, session, iat));
            assert_eq!(voids, is_void, "{player} {session} {iat}");
        }
    }

    #[test]
    fn a_revocation_stays_while_a_token_that_it_voids_could_live() {
        let mut revocations = Revocations::default();
        revocations.insert(second(1000), revocation(1, Some(1), 1000));
        // Issued at 1000, good until 1300, accepted until 1360 by a clock that is behind.
        revocations.insert(second(1360), revocation(2, None, 1360));
        assert_eq!(revocations.len(), 2);
        revocations.insert(second(1361), revocation(2, None, 1361));
        assert_eq!(revocations.len(), 1);
        assert!(!revocations.voids(&claims(1, 1, 1000)));
        assert!(!revocations.is_empty());
    }

    #[test]
    fn too_many_revocations_refuse_more_and_never_less() {
        let mut revocations = Revocations::at_most(2);
        for (player, at) in [(1, 1000), (2, 1001), (3, 1002)] {
            revocations.insert(second(1002), revocation(player, Some(9), at));
        }
        assert_eq!(revocations.len(), 2);
        assert!(revocations.voids(&claims(1, 9, 1000)));
        assert!(revocations.voids(&claims(7, 7, 1000)));
        assert!(!revocations.voids(&claims(7, 7, 1001)));
        assert!(revocations.voids(&claims(3, 9, 1001)));
    }

    #[test]
    fn a_revocation_from_the_future_does_not_stay_for_ever() {
        let mut revocations = Revocations::default();
        revocations.insert(second(1000), revocation(1, None, 1_000_000));
        assert!(revocations.voids(&claims(1, 1, 1060)));
        assert!(!revocations.voids(&claims(1, 1, 1061)));
        revocations.insert(second(1421), revocation(2, None, 1421));
        assert_eq!(revocations.len(), 1);
    }
}
