//! A crowd that runs, turns and stands, for tests of what goes over the wire.

use simulation::entity::{EntityId, PlayerSlot};
use simulation::frame::{EntityFlags, EntityState, WorldFrame, quantize_ground};
use simulation::seeded::Random;

#[derive(Debug, Clone, Copy)]
struct Member {
    east: f32,
    north: f32,
    velocity: (f32, f32),
    yaw: i32,
    turning: i32,
    health: u8,
}

/// Players and props that move as in a match.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Vec<Member>,
    players: u16,
    dice: Random,
    frame: WorldFrame,
    spread: f32,
}

impl Crowd {
    /// A crowd within 80 m around the middle.
    pub(crate) fn new(players: u16, props: u16, seed: u64) -> Self {
        let mut dice = Random::new(seed);
        let spread = 40.0;
        let mut place = || (f32::from(dice.below(800)) - 400.0) / 10.0;
        let members = (0..players + props)
            .map(|_| Member {
                east: place(),
                north: place(),
                velocity: (0.0, 0.0),
                yaw: 0,
                turning: 0,
                health: 100,
            })
            .collect();
        Self {
            members,
            players,
            dice,
            frame: WorldFrame::default(),
            spread,
        }
    }

    /// The next tick: a player changes its mind every 40 ticks, and turns half of the time.
    pub(crate) fn step(&mut self) -> WorldFrame {
        self.frame.tick = self.frame.tick.next();
        self.frame.entities.clear();
        for (index, member) in (0_u16..).zip(&mut self.members) {
            let is_player = index < self.players;
            let dice = &mut self.dice;
            if is_player && dice.below(40) == 0 {
                let speed = [0.0, 4.5, 7.0][usize::from(dice.below(3))];
                let diagonal = speed * 0.707;
                member.velocity = [
                    (speed, 0.0),
                    (-speed, 0.0),
                    (0.0, speed),
                    (0.0, -speed),
                    (diagonal, diagonal),
                    (-diagonal, diagonal),
                    (diagonal, -diagonal),
                    (-diagonal, -diagonal),
                ][usize::from(dice.below(8))];
                member.turning = [-6, -2, 0, 0, 0, 3, 12, 0][usize::from(dice.below(8))];
            }
            if is_player && member.turning != 0 {
                member.yaw += member.turning + i32::from(dice.below(3)) - 1;
            }
            if is_player && dice.below(300) == 0 {
                member.health = u8::try_from(dice.below(101)).unwrap_or(0);
            }
            member.east += member.velocity.0 / 60.0;
            member.north += member.velocity.1 / 60.0;
            if member.east.abs() > self.spread {
                member.velocity.0 = -member.velocity.0;
            }
            if member.north.abs() > self.spread {
                member.velocity.1 = -member.velocity.1;
            }
            // Props come and go, a few at a time.
            if !is_player && self.frame.tick.0 / 128 % 8 == u32::from(index % 8) {
                continue;
            }
            self.frame.entities.push(EntityState {
                id: if is_player {
                    EntityId::player(PlayerSlot(index))
                } else {
                    EntityId::prop(index - self.players)
                },
                x: quantize_ground(member.east),
                z: quantize_ground(member.north),
                y: 0,
                yaw: u16::try_from(member.yaw.rem_euclid(1024)).unwrap_or(0),
                health: member.health,
                flags: EntityFlags::GROUNDED,
            });
        }
        self.frame.clone()
    }
}
