//! Sets of the entities of a match, by their indexes: one bit for each.
//!
//! A set of five hundred fits into a cache line or two, where a field of each entity's record would
//! have to be fetched from as many lines as there are entities.

/// A set of indexes below a bound.
#[derive(Debug, Clone)]
pub(super) struct Indexes(Vec<u64>);

impl Indexes {
    /// An empty set, with room for the indexes below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Adds an index. Returns whether it is new.
    pub(super) fn insert(&mut self, index: u16) -> bool {
        let word = &mut self.0[usize::from(index) / 64];
        let before = *word;
        *word |= 1 << (index % 64);
        *word != before
    }

    pub(super) fn remove(&mut self, index: u16) {
        self.0[usize::from(index) / 64] &= !(1 << (index % 64));
    }

    pub(super) fn contains(&self, index: u16) -> bool {
        self.0[usize::from(index) / 64] >> (index % 64) & 1 == 1
    }

    /// All of them, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u16> + Clone {
        bits(self.0.iter().copied())
    }

    /// All that are not in another set of the same bound, in ascending order.
    pub(super) fn without(&self, other: &Self) -> impl Iterator<Item = u16> {
        bits(self.0.iter().zip(&other.0).map(|(own, other)| own & !other))
    }
}

fn bits(words: impl Iterator<Item = u64> + Clone) -> impl Iterator<Item = u16> + Clone {
    (0_u16..).zip(words).flat_map(|(word, mut left)| {
        std::iter::from_fn(move || {
            // 64 when none is left; below otherwise.
            #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
            let bit = left.trailing_zeros() as u16;
            left &= left.wrapping_sub(1);
            (bit < 64).then_some(word * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_that_it_should_be(
            steps in prop::collection::vec((0_u16..200, any::<bool>()), 0..300),
            others in prop::collection::btree_set(0_u16..200, 0..100),
        ) {
            let mut indexes = Indexes::new(200);
            let mut expected = BTreeSet::new();
            for (index, is_added) in steps {
                if is_added {
                    prop_assert_eq!(indexes.insert(index), expected.insert(index));
                } else {
                    indexes.remove(index);
                    expected.remove(&index);
                }
                prop_assert_eq!(indexes.contains(index), is_added);
            }
            prop_assert!(indexes.iter().eq(expected.iter().copied()));
            let mut other = Indexes::new(200);
            for index in &others {
                other.insert(*index);
            }
            prop_assert!(indexes.without(&other).eq(expected.difference(&others).copied()));
            indexes.clear();
            prop_assert_eq!(indexes.iter().next(), None);
        }
    }
}
