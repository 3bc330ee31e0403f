//! Who and what is in the arena.

use serde::{Deserialize, Serialize};

/// Most players in one match.
pub const MAX_PLAYERS: u16 = 1024;

/// A player's place in a match: below [`MAX_PLAYERS`], given again only after the session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlayerSlot(pub u16);

/// An entity on the wire: players have their slot, props the numbers from [`MAX_PLAYERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId(pub u16);

impl EntityId {
    /// The entity of a player.
    pub const fn player(slot: PlayerSlot) -> Self {
        Self(slot.0)
    }

    /// The `index`-th dynamic prop.
    pub const fn prop(index: u16) -> Self {
        Self(MAX_PLAYERS + index)
    }

    /// The player, if it is one.
    pub const fn as_player(self) -> Option<PlayerSlot> {
        if self.0 < MAX_PLAYERS {
            Some(PlayerSlot(self.0))
        } else {
            None
        }
    }
}
