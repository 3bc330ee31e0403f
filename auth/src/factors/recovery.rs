//! Recovery codes: ten of them, for the day on which the phone is lost. Each is good once.
//!
//! They are shown when they are made and never again: tables have their hashes.

use zeroize::Zeroizing;

use super::base32;
use crate::ids::PlayerId;

/// How many codes there are.
pub const CODES: usize = 10;

/// Random bytes of a code: 80 bits.
pub const CODE_BYTES: usize = 10;

/// The codes of these random bytes, as their owner sees them: `ABCD-EFGH-IJKL-MNOP`.
pub fn codes(random: &[[u8; CODE_BYTES]; CODES]) -> Vec<Zeroizing<String>> {
    random
        .iter()
        .map(|bytes| {
            let text = Zeroizing::new(base32::encode(bytes));
            let mut shown = Zeroizing::new(String::with_capacity(text.len() + 3));
            for (at, letter) in text.chars().enumerate() {
                if at > 0 && at % 4 == 0 {
                    shown.push('-');
                }
                shown.push(letter);
            }
            shown
        })
        .collect()
}

/// The hash of a code as somebody types it; none when it cannot be one.
pub fn hash(player: PlayerId, code: &str) -> Option<[u8; 32]> {
    if code.len() > 64 {
        return None;
    }
    let bytes = Zeroizing::new(base32::decode(code)?);
    let bytes: &[u8; CODE_BYTES] = bytes.as_slice().try_into().ok()?;
    let mut message = Zeroizing::new(b"recovery code\0".to_vec());
    // One attempt at a hash is good for one account alone.
    message.extend_from_slice(player.0.as_bytes());
    message.extend_from_slice(bytes);
    Some(crate::crypto::hash(&message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    const ANN: PlayerId = PlayerId(Uuid::from_u128(1));

    #[test]
    fn codes_are_found_however_they_are_typed() {
        let random = std::array::from_fn(|_| crate::crypto::random());
        let codes = codes(&random);
        assert_eq!(codes.len(), CODES);
        let hashes: BTreeSet<_> = codes.iter().map(|code| hash(ANN, code).unwrap()).collect();
        assert_eq!(hashes.len(), CODES);
        for code in &codes {
            assert_eq!(code.len(), 19);
            let expected = hash(ANN, code);
            assert_eq!(hash(ANN, &code.to_lowercase()), expected);
            assert_eq!(hash(ANN, &code.replace('-', " ")), expected);
            assert_eq!(hash(ANN, &code.replace('-', "")), expected);
            assert_ne!(hash(PlayerId(Uuid::from_u128(2)), code), expected);
        }
    }

    #[test]
    fn what_cannot_be_a_code_has_no_hash() {
        for code in ["", "ABCD-EFGH-IJKL", "ABCD-EFGH-IJKL-MNO1", "287082"] {
            assert_eq!(hash(ANN, code), None, "{code}");
        }
        assert_eq!(hash(ANN, &"-".repeat(100)), None);
        assert_eq!(hash(ANN, "ABCD-EFGH-IJKL-MNOP-QRST"), None);
    }
}
