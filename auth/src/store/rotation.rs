//! What becomes of a refresh token that comes back: decided here, done by each database.
//!
//! A family knows the one generation that is good. Every smaller one is spent, and one that is
//! spent comes back for one of two reasons: its client has not heard the answer, or it was stolen.

use jiff::{SignedDuration, Timestamp};

use crate::store::Rotate;

/// A family of refresh tokens as a store has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// The one token that is good.
    pub(super) generation: u32,
    /// When the token before it was spent.
    pub(super) spent_at: Option<Timestamp>,
    /// By whom.
    pub(super) spent_by: Option<[u8; 32]>,
    /// Neither ended nor lapsed, and its account is active.
    pub(super) is_live: bool,
}

impl Rotate {
    /// When the next token lapses, unless its session expires before that.
    pub(super) fn lapses(&self) -> Timestamp {
        self.now.checked_add(self.idle).unwrap_or(Timestamp::MAX)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Spend it.
    Next,
    /// Answer as the first time.
    Again,
    /// End the family and its session.
    Reused,
    /// Nothing.
    Refused,
}

/// Decides.
pub(super) fn judge(family: &Family, rotate: &Rotate) -> Verdict {
    // A token beyond the family's is one that a database brought back from a backup has forgotten:
    // nobody's theft, and good for nothing.
    if !family.is_live || rotate.generation > family.generation {
        Verdict::Refused
    } else if rotate.generation == family.generation {
        Verdict::Next
    } else if is_retry(family, rotate) {
        Verdict::Again
    } else {
        Verdict::Reused
    }
}

fn is_retry(family: &Family, rotate: &Rotate) -> bool {
    let grace = SignedDuration::try_from(rotate.grace).unwrap_or(SignedDuration::ZERO);
    // The clocks of replicas differ a little, so that a retry may seem to come before the first.
    rotate.generation.checked_add(1) == Some(family.generation)
        && rotate.client.is_some()
        && rotate.client == family.spent_by
        && family
            .spent_at
            .is_some_and(|spent| rotate.now.duration_since(spent) <= grace)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::ids::{FamilyId, PlayerId};
    use crate::store::Audit;

    const SPENT: Timestamp = Timestamp::constant(1_000, 0);
    const CLIENT: [u8; 32] = [1; 32];

    fn family() -> Family {
        Family {
            generation: 5,
            spent_at: Some(SPENT),
            spent_by: Some(CLIENT),
            is_live: true,
        }
    }

    fn rotate(generation: u32, client: Option<[u8; 32]>, after: i64) -> Rotate {
        Rotate {
            player: PlayerId(Uuid::nil()),
            family: FamilyId(Uuid::nil()),
            generation,
            client,
            now: SPENT + SignedDuration::from_millis(after),
            grace: Duration::from_secs(10),
            idle: Duration::from_hours(24),
            reuse: Audit {
                id: Uuid::nil(),
                player: PlayerId(Uuid::nil()),
                at: SPENT,
                event: "refresh_reuse".to_owned(),
                outcome: "suspicious".to_owned(),
                ip: String::new(),
                detail: serde_json::json!({}),
            },
        }
    }

    #[test]
    fn tokens_meet_their_fate() {
        for (generation, client, after, verdict) in [
            (5, Some(CLIENT), 1, Verdict::Next),
            (5, None, 99_999, Verdict::Next),
            (4, Some(CLIENT), 0, Verdict::Again),
            (4, Some(CLIENT), -200, Verdict::Again),
            (4, Some(CLIENT), 10_000, Verdict::Again),
            (4, Some(CLIENT), 10_001, Verdict::Reused),
            (4, Some([2; 32]), 0, Verdict::Reused),
            (4, None, 0, Verdict::Reused),
            (3, Some(CLIENT), 0, Verdict::Reused),
            (0, Some(CLIENT), 0, Verdict::Reused),
            (6, Some(CLIENT), 0, Verdict::Refused),
            (u32::MAX, Some(CLIENT), 0, Verdict::Refused),
        ] {
            let rotate = rotate(generation, client, after);
            assert_eq!(judge(&family(), &rotate), verdict, "{rotate:?}");
        }
    }

    #[test]
    fn a_client_that_cannot_be_recognized_has_no_retry() {
        let family = Family {
            spent_by: None,
            ..family()
        };
        assert_eq!(judge(&family, &rotate(4, None, 0)), Verdict::Reused);
    }

    #[test]
    fn nothing_of_an_ended_family_is_good_or_a_theft() {
        let family = Family {
            is_live: false,
            ..family()
        };
        for generation in [0, 4, 5, 6] {
            let rotate = rotate(generation, Some(CLIENT), 0);
            assert_eq!(judge(&family, &rotate), Verdict::Refused, "{generation}");
        }
    }
}
