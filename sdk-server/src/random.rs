//! Randomness: a little from the standard library, for jitter and a test's UID; from the system for
//! what nobody may guess.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use tonic::Status;

/// Returns a random number.
pub(crate) fn number() -> u64 {
    // Every `RandomState` has new keys, seeded by the system.
    RandomState::new().build_hasher().finish()
}

/// Returns bytes that nobody can guess and that never come again.
pub(crate) fn secret<const LENGTH: usize>() -> Result<[u8; LENGTH], Status> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| Status::internal(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// Returns a random share in 0..=1.
pub(crate) fn share() -> f64 {
    f64::from(u16::try_from(number() % 1001).unwrap_or(0)) / 1000.0
}
