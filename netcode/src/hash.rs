//! A fast hash with a secret seed, for tables whose keys strangers may choose.

use std::hash::{BuildHasher, Hasher};

use crate::random::{self, RandomSource};

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// A seed that makes hashers; without it nobody can aim at one bucket.
#[derive(Clone, Copy)]
pub(crate) struct Seed {
    first: u64,
    last: u64,
}

impl Seed {
    pub(crate) fn new(random: &mut impl RandomSource) -> Result<Self, random::Error> {
        Ok(Self {
            first: u64::from_le_bytes(random::array(random)?),
            last: u64::from_le_bytes(random::array(random)?) | 1,
        })
    }
}

impl BuildHasher for Seed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer {
            state: self.first,
            last: self.last,
        }
    }
}

/// Folds eight bytes at a time into its state by a wide multiplication.
pub(crate) struct Mixer {
    state: u64,
    last: u64,
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.state = fold(self.state ^ value, MULTIPLIER).wrapping_add(self.last);
    }

    fn finish(&self) -> u64 {
        fold(self.state, self.last)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of the product are what is wanted"
)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_spread_over_few_buckets() {
        let seed = Seed { first: 1, last: 3 };
        let mut buckets = [0_u32; 64];
        for value in 0..6400_u64 {
            let bucket = seed.hash_one(value.to_le_bytes()) % 64;
            buckets[usize::try_from(bucket).unwrap()] += 1;
        }
        assert!(
            buckets.iter().all(|count| (50..150).contains(count)),
            "{buckets:?}"
        );
    }

    #[test]
    fn seeds_change_the_hash() {
        let hashes = [1, 5, 9].map(|first| Seed { first, last: 7 }.hash_one(42_u64));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    }
}
