//! How a player moves: from one state and one input to the next state, against the level alone.
//!
//! The server and every client run this same function, so a client's prediction is exact until
//! something happens that only the server knows (the player goes down, or starts again). For that
//! reason players do not block each other, and props do not block players: they are pushed.
//!
//! A player is hit as an upright capsule, but stands and collides as the upright cylinder around
//! it: a flat foot does not slide off an edge, and everything in a [`Level`] is upright too, so
//! that walls are a matter of two dimensions and heights of one. In one tick nobody moves as far
//! as their own radius, so nobody passes through a wall, and no sweep is needed.

use glam::{Vec2, Vec3, Vec3Swizzles};
use serde::{Deserialize, Serialize};

use crate::input::{Buttons, Input};
use crate::level::{Level, Solid};
use crate::tick::TICK_SECONDS;

/// Half the width of a player, in meters.
pub const RADIUS: f32 = 0.4;
/// How tall a player is, in meters.
pub const HEIGHT: f32 = 1.8;
/// Highest step that a player takes without a jump, in meters.
pub const STEP: f32 = 0.35;
/// Full speed of a walk, in meters per second.
pub const WALK_SPEED: f32 = 4.5;
/// Full speed of a run, in meters per second.
pub const SPRINT_SPEED: f32 = 7.0;
/// How fast a jump starts, in meters per second: it reaches 1.4 m.
pub const JUMP_SPEED: f32 = 7.5;
/// How fast a fall becomes, in meters per second squared: faster than on Earth, to feel right.
pub const GRAVITY: f32 = 20.0;
/// Fastest fall, in meters per second: a third of a meter per tick, which is below [`RADIUS`].
pub const FALL_SPEED: f32 = 20.0;

/// Change of speed on the ground and in the air, in meters per second squared.
const ACCELERATION: (f32, f32) = (60.0, 15.0);
/// An overlap with the edge of a solid that does not carry: what is left of one after rounding.
const RIM: f32 = 0.01;
/// Two passes settle a corner, a third one after it proves it; the fourth is for rounding.
const PASSES: usize = 4;

/// Where a player is, and how it moves.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct MoveState {
    /// The middle of the feet, in meters.
    pub position: Vec3,
    /// Meters per second.
    pub velocity: Vec3,
    /// Whether it stands on something.
    pub grounded: bool,
}

impl MoveState {
    /// Someone who stands still on the ground.
    pub const fn standing(at: Vec2) -> Self {
        Self {
            position: Vec3::new(at.x, 0.0, at.y),
            velocity: Vec3::ZERO,
            grounded: true,
        }
    }
}

/// Moves a player for one tick.
#[must_use]
pub fn step(level: &Level, state: &MoveState, input: &Input) -> MoveState {
    let jumps = state.grounded && input.buttons.contains(Buttons::JUMP);
    let feet = state.position.y;
    // What is higher than a step blocks the way; what is lower carries.
    let stride = if state.grounded { feet + STEP } else { feet };
    let mut flat = accelerate(state, input);
    let mut climb = if jumps {
        JUMP_SPEED
    } else if state.grounded {
        0.0
    } else {
        (state.velocity.y - GRAVITY * TICK_SECONDS).clamp(-FALL_SPEED, JUMP_SPEED)
    };

    let mut place = state.position.xz() + flat * TICK_SECONDS;
    for _ in 0..PASSES {
        let mut pushed = false;
        for solid in level.near(place, RADIUS) {
            if solid.top > stride {
                pushed |= push_out(solid, &mut place, &mut flat);
            }
        }
        if !pushed {
            break;
        }
    }
    let limit = Vec2::splat(level.half() - RADIUS);
    place = place.clamp(-limit, limit);

    let floor = level
        .near(place, RADIUS)
        .filter(|solid| solid.top <= stride && solid.overlaps(place, RADIUS - RIM))
        .fold(0.0_f32, |floor, solid| floor.max(solid.top));
    let mut height = feet + climb * TICK_SECONDS;
    let follows = state.grounded && !jumps && floor >= feet - STEP;
    let grounded = follows || (climb <= 0.0 && height <= floor);
    if grounded {
        height = floor;
        climb = 0.0;
    }
    MoveState {
        position: Vec3::new(place.x, height, place.y),
        velocity: Vec3::new(flat.x, climb, flat.y),
        grounded,
    }
}

/// The velocity on the ground after one tick of wanting to move.
fn accelerate(state: &MoveState, input: &Input) -> Vec2 {
    let speed = if input.buttons.contains(Buttons::SPRINT) {
        SPRINT_SPEED
    } else {
        WALK_SPEED
    };
    let (ground, air) = ACCELERATION;
    let most = if state.grounded { ground } else { air } * TICK_SECONDS;
    let velocity = state.velocity.xz();
    let change = wanted(input) * speed - velocity;
    (velocity + change.clamp_length_max(most)).clamp_length_max(SPRINT_SPEED)
}

/// The wanted direction, as a vector of at most unit length.
fn wanted(input: &Input) -> Vec2 {
    let part = |intent: i8| f32::from(intent.max(-127)) / 127.0;
    Vec2::new(part(input.east), part(input.north)).clamp_length_max(1.0)
}

/// Moves a place out of a solid and takes away the speed into it. Returns whether it had to.
fn push_out(solid: &Solid, place: &mut Vec2, velocity: &mut Vec2) -> bool {
    let (normal, depth) = match solid.offset(*place) {
        Some(offset) => {
            let distance = offset.length();
            (offset / distance, RADIUS - distance)
        }
        None => way_out(solid, *place),
    };
    if depth <= 0.0 {
        return false;
    }
    *place += normal * depth;
    let into = velocity.dot(normal).min(0.0);
    *velocity -= normal * into;
    true
}

/// The shortest way out for someone whose middle is inside, which only a wrong state can cause.
fn way_out(solid: &Solid, place: Vec2) -> (Vec2, f32) {
    let away = place - solid.center;
    let left = solid.half_extents() - away.abs();
    if left.x < left.y {
        (Vec2::new(1.0_f32.copysign(away.x), 0.0), left.x + RADIUS)
    } else {
        (Vec2::new(0.0, 1.0_f32.copysign(away.y)), left.y + RADIUS)
    }
}

#[cfg(test)]
mod tests;
