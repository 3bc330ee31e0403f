//! The static level: what stands on the ground and never moves.
//!
//! A level is generated from a seed and the capacity of the match, so that server and client need
//! to agree on two numbers only; [`Level::hash`] proves that they built the same one. Everything
//! in it stands on the flat ground at height 0 and has a flat top: a [`Footprint`] and a height
//! say all. That keeps the collisions of [`crate::mover`] in two dimensions.
//!
//! Its area grows with the capacity, so that the number of players in view does not.

mod generate;
mod grid;
mod ray;

use glam::{Vec2, Vec3};

use self::grid::Grid;
use crate::seeded::StateHash;

pub use self::ray::{Ray, RayHit, Struck};

/// How far a player sees, in meters.
pub const VIEW_RADIUS: f32 = 48.0;

/// Ground per player of capacity, in square meters. With [`VIEW_RADIUS`], a player far from the
/// border sees 48 others in a full match.
pub const AREA_PER_PLAYER: u32 = 150;

/// The outline of a solid on the ground, relative to its center.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Footprint {
    /// A rectangle along the axes, by its half extents in meters.
    Rectangle(Vec2),
    /// A circle, by its radius in meters.
    Circle(f32),
}

/// Something that stands on the ground. `x` and `y` of a [`Vec2`] are east and north, the `x` and
/// `z` of a [`Vec3`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solid {
    /// The middle of its footprint, in meters.
    pub center: Vec2,
    /// Its outline.
    pub footprint: Footprint,
    /// How high it is, in meters.
    pub top: f32,
}

impl Solid {
    /// Half of its extent along the axes.
    pub const fn half_extents(&self) -> Vec2 {
        match self.footprint {
            Footprint::Rectangle(half) => half,
            Footprint::Circle(radius) => Vec2::splat(radius),
        }
    }

    /// The way from the nearest point of its outline to `point`, if `point` is outside.
    pub fn offset(&self, point: Vec2) -> Option<Vec2> {
        let away = point - self.center;
        let offset = match self.footprint {
            Footprint::Rectangle(half) => away - away.clamp(-half, half),
            Footprint::Circle(radius) => {
                let distance = away.length();
                if distance <= radius {
                    return None;
                }
                away * ((distance - radius) / distance)
            }
        };
        (offset != Vec2::ZERO).then_some(offset)
    }

    /// Whether a circle around `point` reaches over its outline.
    pub fn overlaps(&self, point: Vec2, radius: f32) -> bool {
        self.offset(point)
            .is_none_or(|offset| offset.length_squared() < radius * radius)
    }
}

/// A generated level.
#[derive(Debug, Clone)]
pub struct Level {
    half: f32,
    solids: Vec<Solid>,
    spawns: Vec<Vec2>,
    homes: Vec<Vec2>,
    grid: Grid,
    hash: u64,
}

impl Level {
    /// The level of a seed for a match of `capacity` players.
    pub fn generate(seed: u64, capacity: u16) -> Self {
        let plan = generate::plan(seed, capacity);
        let mut hash = StateHash::default();
        hash.float(plan.half);
        for solid in &plan.solids {
            hash.vec2(solid.center);
            hash.vec2(solid.half_extents());
            hash.word(u64::from(matches!(solid.footprint, Footprint::Circle(_))));
            hash.float(solid.top);
        }
        for point in plan.spawns.iter().chain(&plan.homes) {
            hash.vec2(*point);
        }
        Self {
            half: plan.half,
            grid: Grid::new(plan.half, &plan.solids),
            solids: plan.solids,
            spawns: plan.spawns,
            homes: plan.homes,
            hash: hash.finish(),
        }
    }

    /// Half of the side of the square inside of the border walls, in meters. The middle is at 0.
    pub const fn half(&self) -> f32 {
        self.half
    }

    /// Everything that stands in it, the four border walls first.
    pub fn solids(&self) -> &[Solid] {
        &self.solids
    }

    /// Where players start: free ground. There is at least one.
    pub fn spawns(&self) -> &[Vec2] {
        &self.spawns
    }

    /// Where props start: free ground.
    pub fn homes(&self) -> &[Vec2] {
        &self.homes
    }

    /// What identifies the level: part of the configuration of a match and of a replay.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The solids that may reach into a square around `point`. One may come more than once.
    pub fn near(&self, point: Vec2, reach: f32) -> impl Iterator<Item = &Solid> {
        self.grid
            .around(point, reach)
            .filter_map(|index| self.solids.get(usize::from(index)))
    }

    /// The first solid, or the ground, that a ray meets.
    pub fn cast(&self, ray: &Ray) -> Option<RayHit> {
        ray::cast(ray, &self.solids, &self.grid)
    }

    /// Whether nothing stands between two points.
    pub fn sees(&self, from: Vec3, to: Vec3) -> bool {
        Ray::between(from, to).is_none_or(|ray| self.cast(&ray).is_none())
    }
}

#[cfg(test)]
mod tests;
