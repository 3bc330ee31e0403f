//! Players who play by a script: they wander, jump, and shoot at whoever is nearest.

use glam::Vec3Swizzles;
use simulation::arena::{Arena, ArenaConfig, Inputs, Player};
use simulation::input::{Buttons, Input};
use simulation::rules::{Rules, Team};
use simulation::seeded::Random;

/// What every script shares: one source of all its decisions.
pub(crate) struct Script {
    random: Random,
    inputs: Inputs,
    ways: Vec<(i8, i8)>,
}

impl Script {
    /// The script of a match.
    pub(crate) fn new(seed: u64, capacity: u16) -> Self {
        Self {
            random: Random::new(seed),
            inputs: Inputs::new(capacity),
            ways: vec![(0, 0); usize::from(capacity)],
        }
    }

    /// What all players do in the coming tick.
    pub(crate) fn inputs(&mut self, arena: &Arena) -> &Inputs {
        self.inputs.clear();
        for player in arena.players() {
            let way = &mut self.ways[usize::from(player.slot.0)];
            if self.random.below(30) == 0 {
                let [east, north, ..] = self.random.bits().to_le_bytes();
                *way = (east.cast_signed(), north.cast_signed());
            }
            let mut buttons = Buttons::SPRINT;
            if self.random.below(60) == 0 {
                buttons = buttons.with(Buttons::JUMP);
            }
            let aim = nearest(arena, player).unwrap_or(player.aim);
            if self.random.below(4) != 0 {
                buttons = buttons.with(Buttons::FIRE);
            }
            let input = Input {
                east: way.0,
                north: way.1,
                aim: aim.wrapping_add(self.random.below(400)).wrapping_sub(200),
                buttons,
                view: arena.tick().before(3),
                view_fraction: 100,
            };
            // One input in fifty is lost on the way.
            let arrived = self.random.below(50) != 0;
            self.inputs.set(player.slot, arrived.then_some(input));
        }
        &self.inputs
    }
}

/// The aim at the nearest other player who is up and in range.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "turned into a turn between 0 and 1"
)]
fn nearest(arena: &Arena, player: &Player) -> Option<u16> {
    let place = player.motion.position.xz();
    let (_, away) = arena
        .players()
        .filter(|other| other.slot != player.slot && other.is_up())
        .map(|other| other.motion.position.xz() - place)
        .map(|away| (away.length_squared(), away))
        .filter(|(distance, _)| *distance < 900.0)
        .min_by(|one, other| one.0.total_cmp(&other.0))?;
    let turn = libm::atan2f(away.y, away.x) / std::f32::consts::TAU;
    Some(((turn + 1.0) * 65_536.0) as u32 as u16)
}

/// A match that starts at once and does not end by itself.
pub(crate) fn config(seed: u64, capacity: u16, props: u16) -> ArenaConfig {
    ArenaConfig {
        seed,
        capacity,
        props,
        rules: Rules {
            min_players: 1,
            countdown_ticks: 10,
            time_limit_ticks: u32::MAX,
            score_limit: u16::MAX,
            ..Rules::default()
        },
    }
}

/// The team of a slot.
pub(crate) fn team(slot: u16) -> Option<Team> {
    [None, Some(Team(0)), Some(Team(1))][usize::from(slot % 3)]
}
