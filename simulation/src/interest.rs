//! What a client gets to see, and how often: near things each tick, far ones as it fits.
//!
//! What is not sent cannot be cheated with: nothing beyond the view radius leaves the server, but
//! for teammates and what else a match always shows.

use crate::frame::{EntityFlags, EntityState, GROUND_UNITS};

/// Cells are 2^11 units wide, which is 16 m: a view of 48 m touches seven rows of them.
const CELL_SHIFT: u32 = 11;
/// Cells along one side of the world.
const SIDE: usize = 1 << (16 - CELL_SHIFT);

/// What an entity that moves by itself weighs, against props.
const PLAYER_WEIGHT: f32 = 1.0;
const PROP_WEIGHT: f32 = 0.5;
/// What an entity weighs more in a tick in which it fires.
const FIRING_FACTOR: f32 = 4.0;
/// At this distance the weight has halved, in units.
const HALVING: f32 = 8.0 * GROUND_UNITS;
/// What it adds to an entity's priority that a snapshot with it was lost: as much as three ticks
/// of waiting close by.
pub const LOSS_PRIORITY: f32 = 3.0;

/// An entity in the [`Grid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placed {
    /// The index of the entity in its match.
    pub index: u16,
    /// Where it is, quantized.
    pub x: u16,
    /// Where it is, quantized.
    pub z: u16,
    /// What it weighs at no distance.
    weight: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Weight {
    #[default]
    Prop,
    Player,
    Firing,
}

impl Placed {
    /// An entity of a frame.
    pub fn new(index: u16, state: &EntityState) -> Self {
        let weight = if state.flags.contains(EntityFlags::FIRING) {
            Weight::Firing
        } else if state.id.as_player().is_some() {
            Weight::Player
        } else {
            Weight::Prop
        };
        Self {
            index,
            x: state.x,
            z: state.z,
            weight,
        }
    }

    /// The square of the distance to a point, in units.
    pub fn distance_squared(&self, center: (u16, u16)) -> u64 {
        let x = u64::from(self.x.abs_diff(center.0));
        let z = u64::from(self.z.abs_diff(center.1));
        x * x + z * z
    }

    /// What each tick of waiting adds to its priority, at a distance.
    pub fn urgency(&self, distance_squared: u64) -> f32 {
        let weight = match self.weight {
            Weight::Prop => PROP_WEIGHT,
            Weight::Player => PLAYER_WEIGHT,
            Weight::Firing => PLAYER_WEIGHT * FIRING_FACTOR,
        };
        #[expect(clippy::cast_precision_loss, reason = "a weight need not be exact")]
        let distance = (distance_squared as f32).sqrt();
        weight * HALVING / (HALVING + distance)
    }
}

/// The entities of one frame by where they are. Built once per tick, for all clients.
#[derive(Debug)]
pub struct Grid {
    /// Where each cell begins in `placed`, and the end of the last.
    starts: Vec<u16>,
    /// Row by row, so that neighbors in a row are one range.
    placed: Vec<Placed>,
}

impl Grid {
    /// An empty grid for at most this many entities.
    pub fn new(entities: usize) -> Self {
        Self {
            starts: vec![0; SIDE * SIDE + 1],
            placed: Vec::with_capacity(entities),
        }
    }

    /// Puts the entities of a frame in place of those before.
    pub fn rebuild(&mut self, entities: impl Iterator<Item = Placed> + Clone) {
        self.starts.fill(0);
        let mut count: u16 = 0;
        for placed in entities.clone() {
            self.starts[cell(placed) + 1] += 1;
            count += 1;
        }
        for index in 1..self.starts.len() {
            self.starts[index] += self.starts[index - 1];
        }
        self.placed.clear();
        self.placed.resize(usize::from(count), Placed::default());
        // Each start moves to the end of its cell, which is the start of the next ...
        for placed in entities {
            let place = &mut self.starts[cell(placed)];
            self.placed[usize::from(*place)] = placed;
            *place += 1;
        }
        // ... so all move back by one.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }

    /// All entities within a radius in units, with the squares of their distances.
    pub fn within(
        &self,
        center: (u16, u16),
        radius: u16,
    ) -> impl Iterator<Item = (Placed, u64)> + '_ {
        let cells = |middle: u16| {
            usize::from(middle.saturating_sub(radius) >> CELL_SHIFT)
                ..=usize::from(middle.saturating_add(radius) >> CELL_SHIFT)
        };
        let columns = cells(center.0);
        let limit = u64::from(radius) * u64::from(radius);
        cells(center.1).flat_map(move |row| {
            let first = usize::from(self.starts[row * SIDE + columns.start()]);
            let end = usize::from(self.starts[row * SIDE + columns.end() + 1]);
            self.placed[first..end].iter().filter_map(move |placed| {
                let distance = placed.distance_squared(center);
                (distance <= limit).then_some((*placed, distance))
            })
        })
    }
}

fn cell(placed: Placed) -> usize {
    usize::from(placed.z >> CELL_SHIFT) * SIDE + usize::from(placed.x >> CELL_SHIFT)
}

/// How often far entities are sent. A server that runs out of time goes down by one, and saves
/// work and bandwidth where it is seen least. The rate of the simulation never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Detail {
    /// Near and middle at 60 Hz, far at 30 Hz.
    #[default]
    Full,
    /// Near at 60 Hz, middle at 30 Hz, far at 20 Hz.
    Reduced,
    /// Near at 60 Hz, all others at 20 Hz.
    Minimal,
}

impl Detail {
    /// Ticks between two updates at a distance, which is a part of the view radius: near is the
    /// first third, far the last.
    pub const fn interval(self, distance_squared: u64, radius: u16) -> u32 {
        let limit = (radius as u64) * (radius as u64);
        let (middle, far) = match self {
            Self::Full => (1, 2),
            Self::Reduced => (2, 3),
            Self::Minimal => (3, 3),
        };
        if distance_squared * 9 <= limit {
            1
        } else if distance_squared * 9 <= limit * 4 {
            middle
        } else {
            far
        }
    }

    /// The next level with less.
    #[must_use]
    pub const fn less(self) -> Self {
        match self {
            Self::Full => Self::Reduced,
            Self::Reduced | Self::Minimal => Self::Minimal,
        }
    }

    /// The next level with more.
    #[must_use]
    pub const fn more(self) -> Self {
        match self {
            Self::Full | Self::Reduced => Self::Full,
            Self::Minimal => Self::Reduced,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_grid_finds_what_a_scan_finds(
            places in prop::collection::vec((any::<u16>(), any::<u16>()), 0..200),
            center: (u16, u16),
            radius: u16,
        ) {
            let all: Vec<_> = places
                .iter()
                .zip(0..)
                .map(|((x, z), index)| Placed { index, x: *x, z: *z, weight: Weight::Player })
                .collect();
            let mut grid = Grid::new(200);
            // The second time it must have forgotten the first.
            grid.rebuild(all.iter().rev().copied());
            grid.rebuild(all.iter().copied());
            let mut found: Vec<_> = grid.within(center, radius).map(|(placed, _)| placed.index).collect();
            found.sort_unstable();
            let limit = u64::from(radius) * u64::from(radius);
            let expected: Vec<_> = all
                .iter()
                .filter(|placed| placed.distance_squared(center) <= limit)
                .map(|placed| placed.index)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_near_or_fires_is_more_urgent() {
        let placed = |weight| Placed {
            weight,
            ..Placed::default()
        };
        let near = placed(Weight::Player).urgency(100);
        assert!(near > placed(Weight::Player).urgency(1_000_000));
        assert!(near > placed(Weight::Prop).urgency(100));
        assert!(near < placed(Weight::Firing).urgency(100));
    }

    #[test]
    fn less_detail_never_sends_more() {
        for distance in [0, 20, 50, 80, 100_u64] {
            let interval = |detail: Detail| detail.interval(distance * distance, 100);
            assert!(interval(Detail::Full) <= interval(Detail::Reduced));
            assert!(interval(Detail::Reduced) <= interval(Detail::Minimal));
        }
        assert_eq!(Detail::Minimal.interval(20 * 20, 100), 1);
        assert_eq!(Detail::Full.interval(90 * 90, 100), 2);
        assert_eq!(Detail::Reduced.interval(90 * 90, 100), 3);
    }
}
