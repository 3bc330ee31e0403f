//! Who is there, by the game's word.

use std::collections::BTreeSet;

use proto::Uuid;

/// Most players of one server.
const MOST: usize = 4096;

/// The players of the match.
#[derive(Debug, Default)]
pub(super) struct Players {
    present: BTreeSet<Uuid>,
    /// Somebody has joined since the match began: the allocation is claimed.
    claimed: bool,
}

/// What a player's coming or going changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// Nothing: it was said before.
    Nothing,
    /// The number of players.
    Count(u32),
    /// The number, and that the match has begun.
    Claim(u32),
}

impl Players {
    /// A player has joined; none if there is no room for one more.
    pub(super) fn joined(&mut self, player_id: Uuid) -> Option<Changed> {
        if self.present.contains(&player_id) {
            return Some(Changed::Nothing);
        }
        if self.present.len() >= MOST {
            return None;
        }
        self.present.insert(player_id);
        let was_claimed = std::mem::replace(&mut self.claimed, true);
        Some(if was_claimed {
            Changed::Count(self.count())
        } else {
            Changed::Claim(self.count())
        })
    }

    /// A player has left.
    pub(super) fn left(&mut self, player_id: Uuid) -> Changed {
        if self.present.remove(&player_id) {
            Changed::Count(self.count())
        } else {
            Changed::Nothing
        }
    }

    /// The match is over, and nobody is of it any more.
    pub(super) fn match_over(&mut self) -> Changed {
        let had_begun = std::mem::take(&mut self.claimed);
        self.present.clear();
        if had_begun {
            Changed::Count(0)
        } else {
            Changed::Nothing
        }
    }

    fn count(&self) -> u32 {
        // `MOST` fits.
        u32::try_from(self.present.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: Uuid = Uuid([1; 16]);
    const BOB: Uuid = Uuid([2; 16]);

    #[test]
    fn the_first_player_claims_and_saying_it_twice_changes_nothing() {
        let mut players = Players::default();
        assert_eq!(players.match_over(), Changed::Nothing);
        assert_eq!(players.joined(ADA), Some(Changed::Claim(1)));
        assert_eq!(players.joined(ADA), Some(Changed::Nothing));
        assert_eq!(players.joined(BOB), Some(Changed::Count(2)));
        assert_eq!(players.left(ADA), Changed::Count(1));
        assert_eq!(players.left(ADA), Changed::Nothing);
        assert_eq!(players.left(BOB), Changed::Count(0));
        assert_eq!(players.joined(ADA), Some(Changed::Count(1)));
        assert_eq!(players.match_over(), Changed::Count(0));
        assert_eq!(players.joined(ADA), Some(Changed::Claim(1)));
    }

    #[test]
    fn the_players_are_bounded() {
        let mut players = Players::default();
        for number in 0..MOST as u128 {
            assert!(players.joined(Uuid(number.to_be_bytes())).is_some());
        }
        assert_eq!(players.joined(Uuid([0xff; 16])), None);
        let seventh = Uuid(7_u128.to_be_bytes());
        assert_eq!(players.joined(seventh), Some(Changed::Nothing));
    }
}
