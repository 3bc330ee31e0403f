//! UUIDs: read, written, and made from names. Pure.

use aws_lc_rs::digest;

/// Sixteen bytes that are written with four hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

/// Where the hyphens are in the text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Characters of the text.
const LENGTH: usize = 36;

impl Uuid {
    /// Reads the usual form, in letters of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != LENGTH || HYPHENS.iter().any(|place| text[*place] != b'-') {
            return None;
        }
        let mut digits = text
            .iter()
            .enumerate()
            .filter(|(place, _)| !HYPHENS.contains(place))
            .map(|(_, character)| char::from(*character).to_digit(16));
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        Some(Self(bytes))
    }

    /// The UUID of a name that has several parts: always the same for the same `purpose` and parts,
    /// another one for others. Version 8 of RFC 9562, by SHA-256.
    pub fn named(purpose: &str, parts: &[&[u8]]) -> Self {
        let digest = hash(purpose, parts);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl std::fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&place) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A hash of several texts in which each keeps to itself: its length goes before it.
pub fn hash(purpose: &str, parts: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [purpose.as_bytes()].iter().chain(parts) {
        context.update(&part.len().to_le_bytes());
        context.update(part);
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_form_is_read_and_written() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let uuid = Uuid::parse(&text.to_uppercase()).unwrap();
        assert_eq!(uuid.0[..3], [0x00, 0x11, 0x22]);
        assert_eq!(uuid.to_string(), text);
        for bad in [
            "",
            "00112233445566778899aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeeffa",
            "00112233-4455-6677-8899-aabbccddeefg",
            "001122334455-6677-8899-aabbccddeeff--",
            "+0112233-4455-6677-8899-aabbccddeeff",
            "é112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_have_uuids_of_their_own() {
        let uuid = Uuid::named("session", &[b"a", b"bc"]);
        assert_eq!(uuid, Uuid::named("session", &[b"a", b"bc"]));
        assert_ne!(uuid, Uuid::named("session", &[b"ab", b"c"]));
        assert_ne!(uuid, Uuid::named("match", &[b"a", b"bc"]));
        assert_eq!((uuid.0[6] >> 4, uuid.0[8] >> 6), (8, 2));
        assert_eq!(Uuid::parse(&uuid.to_string()), Some(uuid));
    }
}
