//! Which names the next children of a parent get. Pure; called by the planners of sets and fleets.
//!
//! Never gives a name that an observed child has. A plan that is repeated on the same observation
//! repeats its names, so that a repeated create finds its own object.

use std::collections::BTreeSet;

use crds::names::{ORDINALS, child_name, child_ordinal};

/// The running numbers of one parent's children.
#[derive(Clone, Debug)]
pub(crate) struct Ordinals<'a> {
    parent: &'a str,
    parent_uid: &'a str,
    taken: BTreeSet<u32>,
    next: u32,
}

impl<'a> Ordinals<'a> {
    /// Reads the numbers of the observed children.
    ///
    /// `remembered` is [`Self::next`] of an earlier plan. It keeps the names of children that are
    /// gone from being given again, and is absent after a restart.
    pub(crate) fn new<'n>(
        parent: &'a str,
        parent_uid: &'a str,
        children: impl IntoIterator<Item = &'n str>,
        remembered: Option<u32>,
    ) -> Self {
        let taken: BTreeSet<u32> = children
            .into_iter()
            .filter_map(|name| child_ordinal(parent, parent_uid, name))
            .collect();
        let next = taken.iter().fold(remembered, |next, ordinal| {
            let candidate = (ordinal + 1) % ORDINALS;
            Some(
                next.filter(|next| !is_after(candidate, *next))
                    .unwrap_or(candidate),
            )
        });
        Self {
            parent,
            parent_uid,
            taken,
            next: next.unwrap_or(0) % ORDINALS,
        }
    }

    /// The number after those of all children seen so far, for the next plan to start from.
    ///
    /// The names that this plan gives are not counted: only an observed child takes its name.
    pub(crate) const fn next(&self) -> u32 {
        self.next
    }

    /// The first `count` free names.
    pub(crate) fn names(&self, count: usize) -> Vec<String> {
        // Numbers wrap around, so one of them may belong to a child that lives long.
        (0..ORDINALS)
            .map(|step| (self.next + step) % ORDINALS)
            .filter(|ordinal| !self.taken.contains(ordinal))
            .take(count)
            .map(|ordinal| child_name(self.parent, self.parent_uid, ordinal))
            .collect()
    }
}

/// Whether a number comes after another on the circle of numbers.
const fn is_after(later: u32, earlier: u32) -> bool {
    let distance = (later + ORDINALS - earlier) % ORDINALS;
    distance != 0 && distance < ORDINALS / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(ordinal: u32) -> String {
        child_name("set", "uid", ordinal)
    }

    fn ordinals(taken: &[u32], remembered: Option<u32>) -> Ordinals<'static> {
        let names: Vec<_> = taken.iter().map(|ordinal| name(*ordinal)).collect();
        Ordinals::new("set", "uid", names.iter().map(String::as_str), remembered)
    }

    #[test]
    fn names_go_on_after_the_last_child() {
        assert_eq!(ordinals(&[], None).names(2), [name(0), name(1)]);
        assert_eq!(ordinals(&[4, 2], None).names(2), [name(5), name(6)]);
        assert_eq!(ordinals(&[4, 2], Some(9)).names(1), [name(9)]);
        assert_eq!(ordinals(&[4, 2], Some(3)).next(), 5);
    }

    #[test]
    fn names_wrap_around_and_skip_children_that_live_long() {
        assert_eq!(ordinals(&[ORDINALS - 1], None).names(1), [name(0)]);
        assert_eq!(ordinals(&[ORDINALS - 1, 0], None).names(1), [name(1)]);
        assert_eq!(
            ordinals(&[0, 1], Some(ORDINALS - 1)).names(2),
            [name(2), name(3)]
        );
        assert_eq!(
            ordinals(&[7, 9_000_000], Some(6)).names(2),
            [name(8), name(9)]
        );
    }

    #[test]
    fn foreign_names_are_ignored() {
        let ordinals = Ordinals::new("set", "uid", ["by-hand", "set-aeiou"], None);
        assert_eq!(ordinals.names(1), [name(0)]);
    }
}
