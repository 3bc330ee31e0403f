//! What lobbies tell each other over channels: an event for clients, or that a session is over.

use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

/// The first byte of an event.
const EVENT: u8 = 1;

/// The first byte of the end of a session.
const SUPERSEDED: u8 = 2;

/// Over a channel.
#[derive(Clone, Debug, PartialEq)]
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
            Self::Event(event) => {
                let mut bytes = vec![EVENT];
                bytes.append(&mut event.encode_to_vec());
                bytes
            }
            Self::Superseded { session } => [&[SUPERSEDED], session.as_bytes().as_slice()].concat(),
        }
    }

    /// Reads what was published.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes.split_first() {
            Some((&EVENT, event)) => wire::Event::decode(event)
                .map(Self::Event)
                .map_err(|_| Malformed),
            Some((&SUPERSEDED, session)) => Uuid::from_slice(session)
                .map(|session| Self::Superseded { session })
                .map_err(|_| Malformed),
            _ => Err(Malformed),
        }
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
        for bytes in [&[][..], &[0], &[3, 1], &[EVENT, 0xff], &[SUPERSEDED, 1]] {
            assert_eq!(Notice::decode(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
