//! What a client shows after a snapshot, in 32 bits: the server's opinion and the client's own.
//!
//! Deltas build on what both ends are thought to have. Should that ever differ, every later state
//! is wrong without anything to see it by. So every keyframe, and every [`HASH_INTERVAL`]-th
//! snapshot of a client, ends with the server's hash of what the client has then, and the client
//! counts how often its own is another.
//!
//! The server cannot know which snapshots without an acknowledgment came through. So a hash covers
//! the player's own state, the entities of its snapshot, and of what the client knew before only
//! what it surely has: the snapshot lists every id that the client may know, and of which of them
//! the state is sure. Whom the client shows beyond the list it should have forgotten. A keyframe
//! builds on nothing and has no list: its hash covers the keyframe alone.

use super::OwnState;
use crate::frame::EntityState;
use crate::seeded::StateHash;
use crate::tick::Tick;

/// Every so many snapshots of a client have a hash; about one in a second.
pub const HASH_INTERVAL: u32 = 64;

/// Bytes of a hash, which are the last of its snapshot.
pub(super) const HASH_BYTES: usize = 4;

/// How often a client compared its hash with the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HashCounters {
    /// Hashes that were compared. One that came after a newer snapshot is not: the server did not
    /// mean it for what the client knows by then.
    pub compared: u64,
    /// Those of them that covered what the client knew before, and not their own snapshot alone.
    pub listed: u64,
    /// Those that were different: one of both ends is wrong about the other.
    pub different: u64,
}

/// Folds what a client shows, in the order of the calls.
#[derive(Debug)]
pub(super) struct ViewHash(StateHash);

impl ViewHash {
    /// The hash of a tick with the player's own state, as it is on the wire.
    pub(super) fn new(tick: Tick, own: Option<&OwnState>) -> Self {
        let mut hash = StateHash::default();
        hash.word(u64::from(tick.0));
        if let Some(own) = own {
            hash.vec3(own.movement.position);
            hash.vec3(own.movement.velocity);
            let small = u64::from(own.movement.grounded) << 8 | u64::from(own.health);
            hash.word(small << 32 | u64::from(u32::from_le_bytes(own.cooldowns)));
        }
        Self(hash)
    }

    /// Folds in an entity that the client knew before.
    pub(super) const fn known(&mut self, state: &EntityState) {
        self.fold(state, 0);
    }

    /// Folds in an entity of the snapshot.
    pub(super) const fn sent(&mut self, state: &EntityState) {
        self.fold(state, 1);
    }

    const fn fold(&mut self, state: &EntityState, kind: u64) {
        let place = (state.x as u64) << 32 | (state.z as u64) << 16 | state.y as u64;
        self.0.word((state.id.0 as u64) << 48 | place);
        let rest = (state.yaw as u64) << 16 | (state.health as u64) << 8 | state.flags.0 as u64;
        self.0.word(kind << 32 | rest);
    }

    /// The hash of all that was folded in, as the wire has it.
    pub(super) fn finish(&self) -> [u8; HASH_BYTES] {
        let [first, second, third, fourth, ..] = self.0.finish().to_le_bytes();
        [first, second, third, fourth]
    }
}
