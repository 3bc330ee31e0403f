//! What things are called: rooms and matches. Players and sessions are named as in their tokens.

use access::id;
pub use access::{PlayerId, SessionId};

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
