//! What things are called: rooms and matches. Players and sessions are named as in their tokens.

use std::fmt;
use std::str::FromStr;

pub use access::{PlayerId, SessionId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares an id that is a UUID and is mistaken for no other.
macro_rules! id {
    ($(#[$doc:meta])+ $name:ident) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

id! {
    /// A party or a lobby.
    RoomId
}

id! {
    /// A match: the request id of its allocation. In order of time (UUIDv7).
    MatchId
}

id! {
    /// A ticket: given once, and kept through every attempt to place it.
    TicketId
}
