//! The world on the wire: what one client gets of one tick, in one datagram.
//!
//! A snapshot has a [`Header`] (with the player's own state in full precision, for prediction),
//! ids to forget, [`event`]s, and entities. Each entity is encoded against the newest state of it
//! that this client has acknowledged, or in full if there is none. That baseline is chosen per
//! entity, not per snapshot: what is sent seldom (far away, or crowded out by the byte budget) is
//! rarely in the newest acknowledged snapshot, and in full it would cost five times as much as in
//! a delta against an older baseline, whose age takes seven bits.
//!
//! What a client knows already and what has not changed since is not sent at all. So a decoder
//! keeps what it knows until it is told to forget it, or hears of it again.
//!
//! The server has one [`Encoder`] per match and one [`ClientView`] per client; a client has one
//! [`Decoder`]. Neither does I/O, and in the steady state neither allocates.
//!
//! ```text
//! u8 payload kind (0) | u8 flags | header | own state | forgotten ids | events | entities
//! keyframe:                        header | own state | fill to a byte | columns (may be zstd)
//! ```
//!
//! Every keyframe and every [`HASH_INTERVAL`]-th snapshot also says by a hash what the client shows
//! after it, as far as the server can know, and the client counts how often it does not. The hash of
//! a keyframe covers what is in the keyframe alone: the tick, the own state and its entities. The
//! others cover those of their snapshot too, and unless there is no room for the list of them, all
//! entities that the client surely knows from before; [`HashCounters`] tells them apart:
//!
//! ```text
//! flag 8: .. own state | known ids | forgotten ids | events | entities | fill to a byte | u32 hash
//! keyframe: .. own state | fill to a byte | columns (may be zstd) | u32 hash
//! ```

pub mod event;

mod cache;
mod decoder;
mod encoder;
mod frames;
mod hash;
mod header;
mod indexes;
mod keyframe;
mod view;

pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder, Recipient};
pub use frames::{Frames, Space};
pub use hash::{HASH_INTERVAL, HashCounters};
pub use header::{Ack, Acks, Header, MatchClock, OwnState};
pub use view::ClientView;

/// Snapshots that both ends remember. Nothing is encoded against an older one.
pub const REMEMBERED: u32 = 64;

/// Oldest baseline, in ticks. Below [`REMEMBERED`], so that a snapshot that overtakes this one
/// does not push the baseline out of the client's memory.
pub const OLDEST_BASELINE: u32 = 48;

/// Bytes of a snapshot that are aimed at, unless a match says otherwise.
pub const DEFAULT_BUDGET: usize = 900;

/// Most bytes of a snapshot, with the payload kind. With the headers of netcode, UDP and IPv6
/// around them, they still fit the smallest MTU of IPv6, which is 1,280.
pub const MAX_BUDGET: usize = 1150;

/// Most entities of one snapshot.
pub const MAX_ENTITIES: usize = 255;

/// Most ids that one snapshot makes the client forget; the others follow in the next.
pub const MAX_FORGOTTEN: usize = 31;

/// Ticks between two keyframes for a client that has not acknowledged anything yet.
pub const KEYFRAME_INTERVAL: u32 = 6;

/// Whether what follows the payload's kind is a keyframe, which tells everything anew: at a
/// client's start, and when the server finds nothing to build on any more.
pub fn is_keyframe(rest: &[u8]) -> bool {
    rest.first()
        .is_some_and(|flags| flags & encoder::KEYFRAME != 0)
}
