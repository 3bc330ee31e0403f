//! A match with many players from its first tick.

use simulation::arena::{Arena, ArenaConfig};
use simulation::entity::PlayerSlot;

use crate::script::team;

/// A match in which the slots below `players` are taken, every third without a team.
pub(crate) fn full(config: &ArenaConfig, players: u16) -> Arena {
    let mut arena = Arena::new(config);
    for slot in 0..players {
        arena.add_player(PlayerSlot(slot), team(slot)).unwrap();
    }
    arena
}
