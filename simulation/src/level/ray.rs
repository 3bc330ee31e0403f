//! Rays against the level.

use glam::{IVec2, UVec2, Vec2, Vec3, Vec3Swizzles};

use super::grid::{CELL, Grid};
use super::{Footprint, Solid};

/// A ray of bounded length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ray {
    /// Where it starts.
    pub origin: Vec3,
    /// Where it goes: a unit vector.
    pub direction: Vec3,
    /// How far it goes, in meters.
    pub length: f32,
}

impl Ray {
    /// The ray from one point to another, unless they are the same.
    pub fn between(from: Vec3, to: Vec3) -> Option<Self> {
        let length = (to - from).length();
        let direction = (to - from) / length;
        direction.is_finite().then_some(Self {
            origin: from,
            direction,
            length,
        })
    }

    /// The point at a distance.
    pub fn at(&self, distance: f32) -> Vec3 {
        self.origin + self.direction * distance
    }
}

/// What a ray met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struck {
    /// The ground at height 0.
    Ground,
    /// The solid of this index in [`super::Level::solids`].
    Solid(u16),
}

/// Where a ray met something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RayHit {
    /// How far from its origin, in meters; 0 if that is inside.
    pub distance: f32,
    /// What it met.
    pub struck: Struck,
}

/// Walks the cells under the ray from its origin on, until the nearest hit so far lies before the
/// next cell.
pub(super) fn cast(ray: &Ray, solids: &[Solid], grid: &Grid) -> Option<RayHit> {
    let mut best = ground(ray);
    let mut reach = best.map_or(ray.length, |hit| hit.distance);
    let direction = ray.direction.xz();
    let step = IVec2::new(sign(direction.x), sign(direction.y));
    let mut cell = grid.cell(ray.origin.xz());
    // How far along the ray the next border is, on each axis, and from one border to the next.
    let ahead = step.max(IVec2::ZERO).as_vec2() * CELL;
    let mut next = along(grid.corner(cell) + ahead - ray.origin.xz(), direction);
    let stride = along(Vec2::splat(CELL), direction.abs());
    loop {
        for index in grid.items(cell) {
            let hit = solids
                .get(usize::from(*index))
                .and_then(|solid| meet(ray, solid));
            if let Some(distance) = hit.filter(|distance| *distance < reach) {
                reach = distance;
                best = Some(RayHit {
                    distance,
                    struck: Struck::Solid(*index),
                });
            }
        }
        let leave = next.min_element();
        if leave >= reach {
            return best;
        }
        let (moved, border) = if next.x <= next.y {
            (
                cell.x
                    .checked_add_signed(step.x)
                    .map(|x| UVec2::new(x, cell.y)),
                Vec2::new(stride.x, 0.0),
            )
        } else {
            (
                cell.y
                    .checked_add_signed(step.y)
                    .map(|y| UVec2::new(cell.x, y)),
                Vec2::new(0.0, stride.y),
            )
        };
        match moved.filter(|cell| grid.contains(*cell)) {
            Some(entered) => cell = entered,
            None => return best,
        }
        next += border;
    }
}

fn sign(value: f32) -> i32 {
    i32::from(value > 0.0) - i32::from(value < 0.0)
}

/// How far along a direction each of two distances takes; infinite on an axis it does not follow.
fn along(distance: Vec2, direction: Vec2) -> Vec2 {
    let on = |distance: f32, direction: f32| {
        if direction == 0.0 {
            f32::INFINITY
        } else {
            distance / direction
        }
    };
    Vec2::new(on(distance.x, direction.x), on(distance.y, direction.y))
}

fn ground(ray: &Ray) -> Option<RayHit> {
    let distance = -ray.origin.y / ray.direction.y;
    (ray.direction.y < 0.0 && distance <= ray.length).then_some(RayHit {
        distance: distance.max(0.0),
        struck: Struck::Ground,
    })
}

/// Where a ray enters a solid: where it is between floor and top and over the footprint.
pub(super) fn meet(ray: &Ray, solid: &Solid) -> Option<f32> {
    let from = ray.origin.xz() - solid.center;
    let direction = ray.direction.xz();
    let upright = between(ray.origin.y, ray.direction.y, 0.0, solid.top)?;
    let flat = match solid.footprint {
        Footprint::Rectangle(half) => overlap(
            between(from.x, direction.x, -half.x, half.x)?,
            between(from.y, direction.y, -half.y, half.y)?,
        )?,
        Footprint::Circle(radius) => through_circle(from, direction, radius)?,
    };
    let (enter, leave) = overlap(upright, flat)?;
    (leave >= 0.0).then_some(enter.max(0.0))
}

/// From where to where along it a line is between two bounds on one axis.
fn between(from: f32, direction: f32, low: f32, high: f32) -> Option<(f32, f32)> {
    if direction == 0.0 {
        return (low <= from && from <= high).then_some((f32::NEG_INFINITY, f32::INFINITY));
    }
    let (first, second) = ((low - from) / direction, (high - from) / direction);
    Some((first.min(second), first.max(second)))
}

fn overlap(one: (f32, f32), other: (f32, f32)) -> Option<(f32, f32)> {
    let (enter, leave) = (one.0.max(other.0), one.1.min(other.1));
    (enter <= leave).then_some((enter, leave))
}

/// From where to where along it a line is within a circle around the origin.
fn through_circle(from: Vec2, direction: Vec2, radius: f32) -> Option<(f32, f32)> {
    let scale = direction.length_squared();
    let gap = from.length_squared() - radius * radius;
    if scale == 0.0 {
        return (gap <= 0.0).then_some((f32::NEG_INFINITY, f32::INFINITY));
    }
    let middle = -from.dot(direction) / scale;
    let inside = middle * middle - gap / scale;
    let half = libm::sqrtf(inside.max(0.0));
    (inside >= 0.0).then_some((middle - half, middle + half))
}
