//! UUIDs, which name players, matches and sessions: 16 bytes, and their text. Pure.

use std::fmt;

/// Sixteen bytes that are written in lower case with four hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

/// Characters of the text with its hyphens.
const LENGTH: usize = 36;

/// Where the hyphens are in the text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// Reads 36 characters with the hyphens in their places, or 32 digits without any; in letters
    /// of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let is_hyphen = |place: usize| text.len() == LENGTH && HYPHENS.contains(&place);
        let is_right = |(place, byte): (usize, &u8)| {
            if is_hyphen(place) {
                *byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        };
        let has_length = text.len() == LENGTH || text.len() == LENGTH - HYPHENS.len();
        if !has_length || !text.iter().enumerate().all(is_right) {
            return None;
        }
        let digits = text
            .iter()
            .filter_map(|byte| char::from(*byte).to_digit(16));
        let number = digits.fold(0, |number, digit| number << 4 | u128::from(digit));
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&place) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn both_forms_are_read_in_either_case_and_one_is_written() {
        let without = TEXT.replace('-', "");
        for text in [
            TEXT,
            &TEXT.to_uppercase(),
            &without,
            &without.to_uppercase(),
        ] {
            let uuid = Uuid::parse(text).unwrap();
            assert_eq!(uuid.0[..3], [0x00, 0x11, 0x22], "{text}");
            assert_eq!(uuid.to_string(), TEXT);
        }
        let high = Uuid([0xff; 16]);
        assert_eq!(Uuid::parse(&high.to_string()), Some(high));
    }

    #[test]
    fn nothing_else_is_a_uuid() {
        for text in [
            "",
            "-",
            "ada",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeeffa",
            "00112233-4455-6677-8899-aabbccddeefg",
            "001122334455-6677-8899-aabbccddeeff--",
            "0-0112233-4455-6677-8899aabbccddeeff",
            "-0112233-4455-6677-8899-aabbccddeeff",
            "00112233445566778899aabbccddeeff----",
            "0011223344556677-8899aabbccddeeff",
            "+0112233445566778899aabbccddeeff",
            "é112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert_eq!(Uuid::parse(text), None, "{text}");
        }
        let padded = format!("{}{TEXT}", "-".repeat(1 << 20));
        assert_eq!(Uuid::parse(&padded), None);
    }
}
