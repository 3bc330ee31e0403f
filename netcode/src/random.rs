//! Where random bytes come from. The cores never draw any that were not handed to them.

use thiserror::Error;

/// No random bytes are to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the random source failed")]
pub struct Error;

/// A source of unpredictable bytes.
///
/// Keys and nonces come from it: outside tests it must be cryptographically secure.
pub trait RandomSource {
    /// Fills `bytes` with random ones.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// The generator of the crypto library, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| Error)
    }
}

/// The next array of random bytes.
pub(crate) fn array<const LENGTH: usize>(
    random: &mut impl RandomSource,
) -> Result<[u8; LENGTH], Error> {
    let mut bytes = [0; LENGTH];
    random.fill(&mut bytes)?;
    Ok(bytes)
}
