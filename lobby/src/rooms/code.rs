//! Codes by which players join: short enough to be said aloud, too many to be guessed.

/// No 0 and O, no 1 and I.
const LETTERS: [char; 32] = [
    '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L',
    'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
];

/// Letters of a code.
const LENGTH: usize = 6;

/// A code of six of 32 letters: one of 2^30.
pub fn draw(random: [u8; LENGTH]) -> String {
    random
        .iter()
        .map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()])
        .collect()
}

/// A code as somebody types it: in any case, with blanks and dashes. None when it is none.
pub fn read(typed: &str) -> Option<String> {
    // Longer than any reasonable way to type it.
    if typed.len() > 4 * LENGTH {
        return None;
    }
    let letters = typed.chars().filter(|letter| !matches!(letter, ' ' | '-'));
    let code: String = letters.map(|letter| letter.to_ascii_uppercase()).collect();
    let is_code = code.chars().count() == LENGTH && code.chars().all(|c| LETTERS.contains(&c));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_typed_is_read_kindly_and_nothing_else_is_a_code() {
        for typed in ["ABC234", "abc234", "abc-234", " a b c 2 3 4 "] {
            assert_eq!(read(typed).as_deref(), Some("ABC234"), "{typed:?}");
        }
        for typed in [
            "", "ABC23", "ABC2345", "ABC230", "ABCI23", "ÄBC234", "lobby:*",
        ] {
            assert_eq!(read(typed), None, "{typed:?}");
        }
        assert_eq!(read(&"-".repeat(100)), None);
    }

    proptest! {
        #[test]
        fn every_drawn_code_can_be_typed(random in any::<[u8; LENGTH]>()) {
            let code = draw(random);
            prop_assert_eq!(read(&code.to_lowercase()), Some(code));
        }
    }
}
