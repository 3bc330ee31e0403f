//! The tickets that could meet in one region, in the order of their ratings.

/// A ticket's place in the pool.
pub(super) type Slot = u32;

/// Tickets by rating. Changes are collected and settled once before each pass: a lane of a hundred
/// thousand is then gone through once, however many came and went.
#[derive(Debug, Default)]
pub(super) struct Lane {
    order: Vec<Member>,
    fresh: Vec<Member>,
    has_gone: bool,
}

/// A ticket in a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) rating: f64,
    pub(super) slot: Slot,
}

impl Member {
    fn precedes(&self, other: &Self) -> bool {
        self.compare(other).is_lt()
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let by_rating = self.rating.total_cmp(&other.rating);
        by_rating.then(self.slot.cmp(&other.slot))
    }
}

impl Lane {
    pub(super) fn insert(&mut self, member: Member) {
        self.fresh.push(member);
    }

    /// Says that a member is not in the pool any more.
    pub(super) fn forget(&mut self) {
        self.has_gone = true;
    }

    /// Brings the order up to date.
    pub(super) fn settle(&mut self, is_there: impl Fn(Slot) -> bool) {
        if self.has_gone {
            self.order.retain(|member| is_there(member.slot));
            self.fresh.retain(|member| is_there(member.slot));
            self.has_gone = false;
        }
        if self.fresh.is_empty() {
            return;
        }
        self.fresh.sort_unstable_by(Member::compare);
        let mut merged = Vec::with_capacity(self.order.len() + self.fresh.len());
        let mut fresh = self.fresh.drain(..).peekable();
        for member in self.order.drain(..) {
            while let Some(next) = fresh.next_if(|next| next.precedes(&member)) {
                merged.push(next);
            }
            merged.push(member);
        }
        merged.extend(fresh);
        self.order = merged;
    }

    /// In the order of ratings. Settled before.
    pub(super) fn members(&self) -> &[Member] {
        &self.order
    }

    /// Where a member is.
    pub(super) fn position(&self, member: &Member) -> Option<usize> {
        let found = self.order.binary_search_by(|other| other.compare(member));
        found.ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty() && self.fresh.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_sorting_would_make_of_it(
            steps in prop::collection::vec((-50..50_i32, 0..3_u8), 0..200),
        ) {
            let mut lane = Lane::default();
            let mut there: Vec<Member> = Vec::new();
            for (slot, (rating, what)) in (0..).zip(steps) {
                let member = Member { rating: f64::from(rating), slot };
                lane.insert(member);
                there.push(member);
                if what == 0 {
                    there.remove(there.len() / 2);
                    lane.forget();
                }
                if what == 1 {
                    lane.settle(|slot| there.iter().any(|member| member.slot == slot));
                    there.sort_by(Member::compare);
                    prop_assert_eq!(lane.members(), &there[..]);
                    for (position, member) in there.iter().enumerate() {
                        prop_assert_eq!(lane.position(member), Some(position));
                    }
                }
            }
        }
    }
}
