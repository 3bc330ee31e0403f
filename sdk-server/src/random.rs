//! A little randomness from the standard library: for jitter and a test's UID, never for secrets.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Returns a random number.
pub(crate) fn number() -> u64 {
    // Every `RandomState` has new keys, seeded by the system.
    RandomState::new().build_hasher().finish()
}

/// Returns a random share in 0..=1.
pub(crate) fn share() -> f64 {
    f64::from(u16::try_from(number() % 1001).unwrap_or(0)) / 1000.0
}
