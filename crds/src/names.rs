//! Names of managed children: `<parent>-<suffix>`.
//!
//! The suffix is a function of the parent's uid and a running number, so that a repeated plan
//! repeats its names and a repeated create finds its own object instead of making a second one.
//! The number can be read back from the name, which lets a planner continue after a restart
//! without any other record.

/// Characters of a suffix: Kubernetes' own choice, without vowels, so that no words appear.
const ALPHABET: [u8; 27] = *b"bcdfghjklmnpqrstvwxz2456789";

/// Characters per suffix.
const LENGTH: usize = 5;

/// Number of different suffixes.
pub const ORDINALS: u32 = 27_u32.pow(5);

/// A number that shares no factor with [`ORDINALS`] = 3^15, and spreads neighbors apart.
const MULTIPLIER: u64 = 8_413_451;

/// Returns the name of child number `ordinal` of `parent`.
pub fn child_name(parent: &str, parent_uid: &str, ordinal: u32) -> String {
    format!("{parent}-{}", suffix(parent_uid, ordinal))
}

/// Returns the number of the child called `name`, or none if `parent` did not name it.
pub fn child_ordinal(parent: &str, parent_uid: &str, name: &str) -> Option<u32> {
    let suffix = name.strip_prefix(parent)?.strip_prefix('-')?;
    let code = decode(suffix)?;
    let modulus = u64::from(ORDINALS);
    let shifted = (u64::from(code) + modulus - offset(parent_uid)) % modulus;
    u32::try_from(shifted * inverse(MULTIPLIER, modulus) % modulus).ok()
}

fn suffix(parent_uid: &str, ordinal: u32) -> String {
    let modulus = u64::from(ORDINALS);
    let mut code = (u64::from(ordinal) % modulus * MULTIPLIER + offset(parent_uid)) % modulus;
    let mut characters = [0_u8; LENGTH];
    for character in characters.iter_mut().rev() {
        let digit = (code % 27) as usize;
        *character = ALPHABET[digit];
        code /= 27;
    }
    characters.iter().map(|byte| char::from(*byte)).collect()
}

fn decode(suffix: &str) -> Option<u32> {
    if suffix.len() != LENGTH {
        return None;
    }
    suffix.bytes().try_fold(0_u32, |code, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        Some(code * 27 + u32::try_from(digit).ok()?)
    })
}

/// A hash of the uid (FNV-1a), so that children of different parents have different suffixes.
fn offset(uid: &str) -> u64 {
    hash(uid.as_bytes()) % u64::from(ORDINALS)
}

/// A stable hash (FNV-1a, 64 bits), for names and revisions. Not for anything secret.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The inverse of `value` modulo `modulus`, by Euler: ORDINALS = 3^15, so phi = 2 * 3^14.
fn inverse(value: u64, modulus: u64) -> u64 {
    let mut exponent = 2 * 3_u64.pow(14) - 1;
    let (mut base, mut result) = (value % modulus, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_can_be_read_back(ordinal in 0..ORDINALS, uid in "[a-f0-9-]{36}") {
            let name = child_name("fleet-x", &uid, ordinal);
            prop_assert_eq!(child_ordinal("fleet-x", &uid, &name), Some(ordinal));
        }

        #[test]
        fn neighbors_differ(ordinal in 0..ORDINALS - 1, uid in "[a-f0-9-]{36}") {
            prop_assert_ne!(suffix(&uid, ordinal), suffix(&uid, ordinal + 1));
        }
    }

    #[test]
    fn foreign_names_have_no_number() {
        assert_eq!(child_ordinal("fleet-x", "u", "fleet-y-bcdfg"), None);
        assert_eq!(child_ordinal("fleet-x", "u", "fleet-x-aeiou"), None);
        assert_eq!(child_ordinal("fleet-x", "u", "fleet-x-bcdfgh"), None);
    }
}
