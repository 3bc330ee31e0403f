//! What lobbies tell each other over channels: an event for clients, or that a session is over.

use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

/// The end of a session: a message whose field no event has, so that an event needs no envelope.
#[derive(Clone, PartialEq, prost::Message)]
struct Superseded {
    #[prost(bytes = "vec", tag = "1000")]
    session: Vec<u8>,
}

/// Over a channel.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a notice is taken apart where it is read, and never kept"
)]
pub enum Notice {
    /// For the clients of every session that hears the channel.
    Event(wire::Event),
    /// A newer session of the same player has taken the place of this one.
    Superseded {
        /// The session that is over, as lobbies name sessions among themselves.
        session: Uuid,
    },
}

/// What came is no notice: a lobby of another version may have sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message of a channel makes no sense")]
pub struct Malformed;

impl Notice {
    /// As it is published.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Event(event) => event.encode_to_vec(),
            Self::Superseded { session } => Superseded {
                session: session.as_bytes().to_vec(),
            }
            .encode_to_vec(),
        }
    }

    /// Reads what was published.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let event = wire::Event::decode(bytes).map_err(|_| Malformed)?;
        if event.event.is_some() {
            return Ok(Self::Event(event));
        }
        let superseded = Superseded::decode(bytes).map_err(|_| Malformed)?;
        Uuid::from_slice(&superseded.session)
            .map(|session| Self::Superseded { session })
            .map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read_as_they_were_written() {
        let moving = wire::Moving {
            url: "wss://lobby.example.com".to_owned(),
            within: None,
        };
        for notice in [
            Notice::Event(wire::Event {
                event: Some(wire::event::Event::Moving(moving)),
            }),
            Notice::Superseded {
                session: Uuid::from_u128(7),
            },
        ] {
            assert_eq!(Notice::decode(&notice.encode()), Ok(notice));
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for bytes in [&[][..], &[0], &[0xff], &[0x08, 1], &[0xc2, 0x3e, 1, 7]] {
            assert_eq!(Notice::decode(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
