//! What is inside a sealed packet: the first byte says for whom the rest is.
//!
//! Inputs and snapshots have their own acknowledgments, and pass by the channels of reliable
//! messages. Encoders in this crate write whole payloads; decoders take what [`split`] returns.

/// For whom a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Inputs, to the server, or a snapshot, to a client: the fast path.
    Fast,
    /// Bytes of the reliable channels.
    Channels,
    /// A [`Probe`].
    Probe,
}

impl Kind {
    /// The first byte of such a payload.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Fast => 0,
            Self::Channels => 1,
            Self::Probe => 2,
        }
    }
}

/// Splits a payload into its kind and the rest; none if the kind is not known.
pub fn split(payload: &[u8]) -> Option<(Kind, &[u8])> {
    let (first, rest) = payload.split_first()?;
    let kind = match first {
        0 => Kind::Fast,
        1 => Kind::Channels,
        2 => Kind::Probe,
        _ => return None,
    };
    Some((kind, rest))
}

/// A question that the other end sends straight back, to measure the round trip. Either end may
/// ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Whether this is the answer.
    pub answer: bool,
    /// Whatever the one who asks wants to have back, such as the time.
    pub stamp: u64,
}

impl Probe {
    /// Bytes of the payload.
    pub const LENGTH: usize = 10;

    /// The whole payload.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let mut payload = [0; Self::LENGTH];
        payload[0] = Kind::Probe.byte();
        payload[1] = u8::from(self.answer);
        payload[2..].copy_from_slice(&self.stamp.to_le_bytes());
        payload
    }

    /// Reads what follows the kind.
    pub fn decode(rest: &[u8]) -> Option<Self> {
        let (answer, stamp) = rest.split_first()?;
        Some(Self {
            answer: match answer {
                0 => false,
                1 => true,
                _ => return None,
            },
            stamp: u64::from_le_bytes(stamp.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn probes_come_back(answer: bool, stamp: u64) {
            let probe = Probe { answer, stamp };
            let payload = probe.encode();
            let (kind, rest) = split(&payload).unwrap();
            prop_assert_eq!(kind, Kind::Probe);
            prop_assert_eq!(Probe::decode(rest), Some(probe));
        }

        #[test]
        fn any_bytes_are_split_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some((kind, rest)) = split(&bytes) {
                prop_assert_eq!(kind.byte(), bytes[0]);
                prop_assert_eq!(rest, &bytes[1..]);
                if let Some(probe) = Probe::decode(rest) {
                    prop_assert_eq!(&probe.encode()[1..], rest);
                }
            }
        }
    }
}
