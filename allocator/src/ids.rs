//! UUIDs of the API, and those that are made from names. Pure.

use aws_lc_rs::digest;
use proto::Uuid;

/// Characters of a UUID with its hyphens.
const LENGTH: usize = 36;

/// Reads the usual form alone, in letters of either case: the API takes no other.
pub fn parse(text: &str) -> Option<Uuid> {
    Uuid::parse(text).filter(|_| text.len() == LENGTH)
}

/// The UUID of a name that has several parts: always the same for the same `purpose` and parts,
/// another one for others. Version 8 of RFC 9562, by SHA-256.
pub fn named(purpose: &str, parts: &[&[u8]]) -> Uuid {
    let digest = hash(purpose, parts);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid(bytes)
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
        let uuid = parse(&text.to_uppercase()).unwrap();
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
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_have_uuids_of_their_own() {
        let uuid = named("session", &[b"a", b"bc"]);
        assert_eq!(uuid, named("session", &[b"a", b"bc"]));
        assert_ne!(uuid, named("session", &[b"ab", b"c"]));
        assert_ne!(uuid, named("match", &[b"a", b"bc"]));
        assert_eq!((uuid.0[6] >> 4, uuid.0[8] >> 6), (8, 2));
        assert_eq!(parse(&uuid.to_string()), Some(uuid));
    }
}
