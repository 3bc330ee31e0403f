//! Messages that must arrive: between joining and the result, on the reliable channels.
//!
//! A message is a byte for the version, a byte for flags, and then postcard; a long one is
//! compressed. Nothing here is trusted: lengths are bounded before anything is decoded, and what a
//! decoder allocates is bounded by what it was given.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::compression::{self, Compressor, Decompressor};
use crate::entity::PlayerSlot;
use crate::rules::{MatchResult, Phase, Rules, Standing, Team};
use crate::tick::Tick;

/// The version of everything that goes over the wire: messages, inputs and snapshots. One more
/// with every release in which any of them has changed.
pub const WIRE_VERSION: u8 = 1;

/// Most bytes of a message to the server.
pub const MAX_TO_SERVER: usize = 1024;
/// Most bytes of a message to a client, before it was compressed as well.
pub const MAX_TO_CLIENT: usize = 64 * 1024;
/// Most bytes of a player's name.
pub const MAX_NAME: usize = 32;
/// Most bytes of what a player says.
pub const MAX_CHAT: usize = 256;

/// Messages from this length on are compressed.
const LONG: usize = 512;
const COMPRESSED: u8 = 1;
/// Bytes before the message itself.
const HEAD: usize = 2;

/// What a server tells a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToClient {
    /// The first message: all that a client must know to take part.
    Welcome(Welcome),
    /// Everybody in the match. Replaces the one before.
    Roster(Vec<Member>),
    /// The match went on to another phase.
    Phase {
        /// Which.
        phase: Phase,
        /// Its first tick.
        since: Tick,
    },
    /// How everybody does. Replaces the one before.
    Score(Vec<Standing>),
    /// A new token to come back with. The one before stays good until the next, for who has not
    /// got this one; those before that are void.
    Reconnection(Token),
    /// The match is over.
    MatchEnded(MatchResult),
    /// Something for the player to read.
    Notice(String),
    /// What another player says.
    Chat {
        /// Who.
        from: PlayerSlot,
        /// What.
        text: String,
    },
}

/// All that a client must know to take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Its place in the match; none for spectators.
    pub slot: Option<PlayerSlot>,
    /// The tick in which it was welcomed.
    pub tick: Tick,
    /// Ticks per second.
    pub tick_rate: u32,
    /// The seed of the level.
    pub seed: u64,
    /// Most players of the match, which the size of the level depends on.
    pub capacity: u16,
    /// Most dynamic props.
    pub props: u16,
    /// How the match goes.
    pub rules: Rules,
    /// What to come back with when the connection is lost.
    pub reconnection: Token,
}

/// A connect token, as the game server gave it. Clients do not look into it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Token(pub Vec<u8>);

impl std::fmt::Debug for Token {
    /// Its length alone: whoever has a token can take the player's place.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Token({} bytes)", self.0.len())
    }
}

/// Someone in the match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The place in the match.
    pub slot: PlayerSlot,
    /// For which side.
    pub team: Option<Team>,
    /// The name to show; at most [`MAX_NAME`] bytes.
    pub name: String,
    /// Whether the connection is there.
    pub connected: bool,
}

/// What a client tells the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToServer {
    /// The first message.
    Hello {
        /// The name to show; at most [`MAX_NAME`] bytes.
        name: String,
        /// Whether this build can decompress keyframes and long messages.
        decompresses: bool,
    },
    /// Something for the others to read; at most [`MAX_CHAT`] bytes.
    Chat(String),
    /// The player leaves for good, and frees its place.
    Leave,
}

impl ToServer {
    /// The Hello of this build.
    pub const fn hello(name: String) -> Self {
        Self::Hello {
            name,
            decompresses: compression::AVAILABLE,
        }
    }
}

/// Why a message could not be encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than messages may be.
    #[error("the message is too long")]
    TooLong,
    /// It is of a version that this program does not speak.
    #[error("the message has version {0}, not {WIRE_VERSION}")]
    Version(u8),
    /// It is no message.
    #[error("the message is damaged")]
    Damaged,
}

/// Encodes messages to clients and decodes those to the server, or the other way around.
#[derive(Debug, Default)]
pub struct Messages {
    compressor: Compressor,
    decompressor: Decompressor,
}

impl Messages {
    /// Encodes a message to a client. A long one is compressed if the client can decompress.
    pub fn encode_to_client(
        &mut self,
        message: &ToClient,
        decompresses: bool,
    ) -> Result<Vec<u8>, Error> {
        let encoded = encode(message, MAX_TO_CLIENT)?;
        if !decompresses || encoded.len() < LONG {
            return Ok(encoded);
        }
        let mut compressed = vec![0; encoded.len()];
        let (head, body) = compressed.split_at_mut(HEAD);
        head.copy_from_slice(&[WIRE_VERSION, COMPRESSED]);
        match self.compressor.compress(&encoded[HEAD..], body) {
            Some(length) => {
                compressed.truncate(HEAD + length);
                Ok(compressed)
            }
            None => Ok(encoded),
        }
    }

    /// Decodes a message to a client.
    pub fn decode_to_client(&mut self, bytes: &[u8]) -> Result<ToClient, Error> {
        let (flags, body) = split(bytes, MAX_TO_CLIENT)?;
        match flags {
            0 => decode(body),
            COMPRESSED => {
                let mut room = vec![0; MAX_TO_CLIENT];
                let length = self.decompressor.decompress(body, &mut room);
                decode(&room[..length.ok_or(Error::Damaged)?])
            }
            _ => Err(Error::Damaged),
        }
    }
}

/// Encodes a message to the server.
pub fn encode_to_server(message: &ToServer) -> Result<Vec<u8>, Error> {
    encode(message, MAX_TO_SERVER)
}

/// Decodes a message to the server. Texts that are too long are refused.
pub fn decode_to_server(bytes: &[u8]) -> Result<ToServer, Error> {
    let (flags, body) = split(bytes, MAX_TO_SERVER)?;
    if flags != 0 {
        return Err(Error::Damaged);
    }
    let message = decode(body)?;
    let fits = match &message {
        ToServer::Hello { name, .. } => name.len() <= MAX_NAME,
        ToServer::Chat(text) => text.len() <= MAX_CHAT,
        ToServer::Leave => true,
    };
    if fits {
        Ok(message)
    } else {
        Err(Error::TooLong)
    }
}

fn encode(message: &impl Serialize, limit: usize) -> Result<Vec<u8>, Error> {
    let head = vec![WIRE_VERSION, 0];
    let encoded = postcard::to_extend(message, head).map_err(|_| Error::Damaged)?;
    if encoded.len() <= limit {
        Ok(encoded)
    } else {
        Err(Error::TooLong)
    }
}

fn split(bytes: &[u8], limit: usize) -> Result<(u8, &[u8]), Error> {
    match bytes {
        _ if bytes.len() > limit => Err(Error::TooLong),
        [WIRE_VERSION, flags, body @ ..] => Ok((*flags, body)),
        [version, _, ..] => Err(Error::Version(*version)),
        _ => Err(Error::Damaged),
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(Error::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::{EndReason, Winner};

    fn messages(text: &str, number: u32, bytes: &[u8]) -> Vec<ToClient> {
        let slot = PlayerSlot((number % 1024) as u16);
        let standing = Standing {
            slot,
            team: Some(Team(1)),
            score: 3,
            downs: 2,
            left: number.is_multiple_of(2),
        };
        vec![
            ToClient::Welcome(Welcome {
                slot: Some(slot),
                tick: Tick(number),
                tick_rate: 60,
                seed: u64::from(number) << 20,
                capacity: 64,
                props: 100,
                rules: Rules::default(),
                reconnection: Token(bytes.to_vec()),
            }),
            ToClient::Roster(vec![
                Member {
                    slot,
                    team: None,
                    name: text.to_owned(),
                    connected: true,
                };
                40
            ]),
            ToClient::Phase {
                phase: Phase::Countdown,
                since: Tick(number),
            },
            ToClient::Score(vec![standing; 64]),
            ToClient::Reconnection(Token(bytes.to_vec())),
            ToClient::MatchEnded(MatchResult {
                reason: EndReason::TimeLimit,
                winner: Winner::Player(slot),
                duration_ticks: number,
                standings: vec![standing; 2],
            }),
            ToClient::Notice(text.to_owned()),
            ToClient::Chat {
                from: slot,
                text: text.to_owned(),
            },
        ]
    }

    proptest! {
        #[test]
        fn messages_to_clients_come_back(
            text in ".{0,20}", number: u32, bytes in prop::collection::vec(any::<u8>(), 0..1200),
            decompresses: bool,
        ) {
            let mut ends = Messages::default();
            for message in messages(&text, number, &bytes) {
                let encoded = ends.encode_to_client(&message, decompresses).unwrap();
                prop_assert_eq!(ends.decode_to_client(&encoded).unwrap(), message);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600), compressed: bool,
        ) {
            let mut ends = Messages::default();
            let _ = (ends.decode_to_client(&bytes), decode_to_server(&bytes));
            if let [version, flags, ..] = &mut bytes[..] {
                (*version, *flags) = (WIRE_VERSION, u8::from(compressed));
            }
            let _ = (ends.decode_to_client(&bytes), decode_to_server(&bytes));
        }

        #[test]
        fn messages_to_the_server_come_back(text in ".{0,40}", decompresses: bool) {
            let hello = ToServer::Hello { name: text.clone(), decompresses };
            let chat = ToServer::Chat(text.clone());
            for (message, limit) in [(hello, MAX_NAME), (chat, MAX_CHAT), (ToServer::Leave, 99)] {
                let decoded = decode_to_server(&encode_to_server(&message).unwrap());
                if text.len() <= limit || message == ToServer::Leave {
                    prop_assert_eq!(decoded, Ok(message));
                } else {
                    prop_assert_eq!(decoded, Err(Error::TooLong));
                }
            }
        }
    }

    #[test]
    fn limits_and_versions_are_checked() {
        let mut ends = Messages::default();
        let long = ToClient::Notice("x".repeat(MAX_TO_CLIENT));
        assert_eq!(ends.encode_to_client(&long, true), Err(Error::TooLong));
        assert_eq!(decode_to_server(&[0; 2000]), Err(Error::TooLong));
        assert_eq!(decode_to_server(&[99, 0, 2]), Err(Error::Version(99)));
        assert_eq!(decode_to_server(&[WIRE_VERSION, 0, 2]), Ok(ToServer::Leave));
        assert_eq!(
            decode_to_server(&[WIRE_VERSION, 0, 2, 0]),
            Err(Error::Damaged)
        );
        assert_eq!(decode_to_server(&[WIRE_VERSION]), Err(Error::Damaged));
    }

    #[cfg(feature = "compression")]
    #[test]
    fn long_messages_are_compressed_for_those_who_can_read_them() {
        let mut ends = Messages::default();
        let notice = ToClient::Notice("the same ".repeat(1000));
        assert!(ends.encode_to_client(&notice, true).unwrap().len() < 100);
        assert!(ends.encode_to_client(&notice, false).unwrap().len() > 9000);
    }
}
