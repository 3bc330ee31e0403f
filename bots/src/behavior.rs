//! What a bot does, from a seed: it wanders about, chases whom it sees, and shoots.

use client::Joined;
use glam::{Vec2, Vec3, Vec3Swizzles};
use simulation::combat::{MUZZLE, RANGE};
use simulation::entity::EntityId;
use simulation::input::{Buttons, Input};
use simulation::level::Level;
use simulation::seeded::Random;
use simulation::snapshot::Decoder;
use simulation::tick::{TICK_RATE, Tick};

/// Shortest and longest time that a bot sticks to a decision, in ticks.
const DECISION: (u32, u32) = (TICK_RATE, 4 * TICK_RATE);

/// Ticks between two looks at the others.
const LOOK_INTERVAL: u32 = 6;

/// How near to its goal a bot has arrived, in meters.
const ARRIVED: f32 = 2.0;

/// How near a bot gets to whom it chases, in meters.
const NEAR: f32 = 8.0;

/// The most that a bot aims beside its target, in 65,536ths of a turn: three degrees.
const CLUMSINESS: u16 = 546;

/// A bot's will.
#[derive(Debug)]
pub struct Behavior {
    random: Random,
    /// Until when the decision holds.
    until: Tick,
    goal: Vec2,
    chases: bool,
    sprints: bool,
    /// Whom it sees and shoots at.
    target: Option<EntityId>,
    aim: u16,
}

impl Behavior {
    /// The behavior of a seed.
    pub const fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            until: Tick(0),
            goal: Vec2::ZERO,
            chases: false,
            sprints: false,
            target: None,
            aim: 0,
        }
    }

    /// What it wants in a tick.
    pub fn input(&mut self, tick: Tick, joined: &Joined, decoder: &Decoder) -> Input {
        let Some(own) = joined.own_position() else {
            return Input::default();
        };
        if tick >= self.until || own.xz().distance(self.goal) < ARRIVED {
            self.decide(tick, joined.level());
        }
        if tick.0.is_multiple_of(LOOK_INTERVAL) {
            self.target = Self::find_target(own, joined, decoder);
        }
        let enemy = self.target.and_then(|id| joined.pose(decoder, id));
        let toward = match enemy {
            Some(enemy) if self.chases => {
                let away = enemy.position.xz() - own.xz();
                self.aim = aim(away).wrapping_add(self.random.below(2 * CLUMSINESS));
                self.aim = self.aim.wrapping_sub(CLUMSINESS);
                if away.length() > NEAR {
                    away
                } else {
                    away.perp()
                }
            }
            Some(_) | None => {
                let away = self.goal - own.xz();
                self.aim = aim(away);
                away
            }
        };
        let (east, north) = stick(toward);
        let mut buttons = Buttons::default();
        if self.sprints {
            buttons = buttons.with(Buttons::SPRINT);
        }
        if self.chases && enemy.is_some() {
            buttons = buttons.with(Buttons::FIRE);
        }
        if self.random.below(200) == 0 {
            buttons = buttons.with(Buttons::JUMP);
        }
        Input {
            east,
            north,
            aim: self.aim,
            buttons,
            ..Input::default()
        }
    }

    fn decide(&mut self, now: Tick, level: &Level) {
        let span = u16::try_from(DECISION.1 - DECISION.0).unwrap_or(u16::MAX);
        self.until = now.after(DECISION.0 + u32::from(self.random.below(span)));
        let spawns = level.spawns();
        let count = u16::try_from(spawns.len()).unwrap_or(u16::MAX);
        let index = usize::from(self.random.below(count));
        self.goal = spawns.get(index).copied().unwrap_or_default();
        self.chases = self.random.below(4) > 0;
        self.sprints = self.random.below(2) > 0;
    }

    /// The nearest player who is up and not behind anything.
    fn find_target(own: Vec3, joined: &Joined, decoder: &Decoder) -> Option<EntityId> {
        let me = joined.welcome().slot;
        let up = decoder.entities().filter(|(state, _)| {
            state.health > 0 && state.id.as_player().is_some_and(|slot| Some(slot) != me)
        });
        let in_range = up.filter_map(|(state, _)| {
            let distance = state.position().distance(own);
            (distance < RANGE).then_some((state, distance))
        });
        let (nearest, _) = in_range.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let muzzle = own + Vec3::Y * MUZZLE;
        let chest = nearest.position() + Vec3::Y * MUZZLE;
        joined.level().sees(muzzle, chest).then_some(nearest.id)
    }
}

/// The direction of a way on the ground, in 65,536ths of a turn, counterclockwise from east.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a turn, and a whole one is none"
)]
pub fn aim(way: Vec2) -> u16 {
    let turns = way.to_angle() / std::f32::consts::TAU;
    (turns.rem_euclid(1.0) * 65_536.0) as u32 as u16
}

/// Full speed in a direction, as east and north of an input.
#[expect(clippy::cast_possible_truncation, reason = "from -127 to 127")]
fn stick(toward: Vec2) -> (i8, i8) {
    let unit = toward.normalize_or_zero() * 127.0;
    (unit.x as i8, unit.y as i8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_a_part_of_a_turn_from_east() {
        for (way, wanted) in [
            (Vec2::X, 0),
            (Vec2::Y, 16_384),
            (-Vec2::X, 32_768),
            (-Vec2::Y, 49_152),
        ] {
            assert!(aim(way).abs_diff(wanted) < 2, "{way}: {}", aim(way));
        }
        assert_eq!(stick(Vec2::new(0.0, -3.0)), (0, -127));
        assert_eq!(stick(Vec2::ZERO), (0, 0));
    }
}
