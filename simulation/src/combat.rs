//! Shots: rays against where the others were at the moment that the shooter saw.
//!
//! The game is seen from above and an aim has no pitch. A shot therefore goes for the first player
//! or prop in its way that the muzzle sees, up or down as needed: whoever stands on a crate can be
//! shot from the ground, and whoever stands behind it cannot.

use glam::{Vec2, Vec3, Vec3Swizzles};

use crate::entity::PlayerSlot;
use crate::history::{Crossing, History, Moment};
use crate::level::{Level, Ray, VIEW_RADIUS};
use crate::mover::HEIGHT;

/// How far a shot reaches, in meters: as far as its player sees.
pub const RANGE: f32 = VIEW_RADIUS;
/// Ticks from one shot to the next: ten shots per second.
pub const FIRE_TICKS: u32 = 6;
/// Hit points of a player who just started.
pub const FULL_HEALTH: u8 = 100;
/// Hit points that a hit takes.
pub const DAMAGE: u8 = 20;
/// How high above the feet a shot starts, in meters.
pub const MUZZLE: f32 = 1.2;
/// How far from its middle a prop is hit, in meters.
pub const PROP_RADIUS: f32 = 0.5;

/// A shot aims at least this far from the ends of a body, in meters.
const BODY_MARGIN: f32 = 0.2;
/// How many targets behind cover a shot passes over before it counts as a miss.
const COVERED: usize = 4;

/// What a shot can meet.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What covers.
    pub level: &'a Level,
    /// Where the players were.
    pub history: &'a History,
    /// The middle of every prop, where it is now.
    pub props: &'a [Vec3],
}

/// A shot before it is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shot {
    /// The feet of the shooter.
    pub feet: Vec3,
    /// The direction of the aim, in 65,536ths of a turn.
    pub aim: u16,
    /// The moment that the shooter saw, already bounded.
    pub moment: Moment,
}

/// What a shot met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Met {
    /// A player.
    Player(Crossing),
    /// The prop of this index.
    Prop(u16),
    /// A wall, the ground, or nothing in its range.
    Nothing,
}

impl Scene<'_> {
    /// What a shot meets, and where it ends. `counts` tells which players can be hit at all.
    pub fn resolve(&self, shot: &Shot, counts: impl Fn(PlayerSlot) -> bool) -> (Met, Vec3) {
        let toward = direction(shot.aim);
        let ray = Ray {
            origin: shot.feet + Vec3::Y * MUZZLE,
            direction: Vec3::new(toward.x, 0.0, toward.y),
            length: RANGE,
        };
        let mut after = -1.0;
        for _ in 0..COVERED {
            let player = self
                .history
                .first_crossing(&ray, shot.moment, after, &counts);
            let before = player.map_or(RANGE, |crossing| crossing.distance);
            let (met, distance, low, high) = match (self.first_prop(&ray, after, before), player) {
                (Some((index, distance)), _) => {
                    let middle = self
                        .props
                        .get(usize::from(index))
                        .map_or(0.0, |prop| prop.y);
                    (Met::Prop(index), distance, middle, middle)
                }
                (None, Some(crossing)) => {
                    let feet = crossing.feet.y;
                    let high = feet + HEIGHT - BODY_MARGIN;
                    (
                        Met::Player(crossing),
                        crossing.distance,
                        feet + BODY_MARGIN,
                        high,
                    )
                }
                (None, None) => break,
            };
            let mut end = ray.at(distance);
            end.y = end.y.clamp(low, high);
            if self.level.sees(ray.origin, end) {
                return (met, end);
            }
            after = distance;
        }
        let end = self.level.cast(&ray).map_or(RANGE, |hit| hit.distance);
        (Met::Nothing, ray.at(end))
    }

    /// The nearest prop in the way of a level ray, between two distances, seen from above.
    fn first_prop(&self, ray: &Ray, after: f32, before: f32) -> Option<(u16, f32)> {
        let direction = ray.direction.xz();
        let mut best = None;
        let mut reach = before;
        for (index, prop) in (0..).zip(self.props) {
            let away = prop.xz() - ray.origin.xz();
            let distance = direction.dot(away);
            let miss = direction.perp_dot(away);
            if miss.abs() <= PROP_RADIUS && distance > after.max(0.0) && distance < reach {
                reach = distance;
                best = Some((index, distance));
            }
        }
        best
    }
}

/// The direction of an aim, as a unit vector on the ground.
pub fn direction(aim: u16) -> Vec2 {
    let angle = f32::from(aim) * (core::f32::consts::TAU / 65_536.0);
    Vec2::new(libm::cosf(angle), libm::sinf(angle))
}
