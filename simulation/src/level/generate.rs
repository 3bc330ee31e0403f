//! What a level is made of. All lengths are multiples of 1/64 m.

use glam::Vec2;

use super::{AREA_PER_PLAYER, Footprint, Solid};
use crate::seeded::Random;

/// The side of a plot, in meters. A plot holds one thing, or nothing.
const PLOT: u16 = 8;
/// Nothing stands closer to the border of its plot than this, in 64ths of a meter, so that a
/// player (0.8 m wide) fits between any two things and nobody is ever wedged.
const MARGIN: u16 = 64;
/// 64ths of a meter on the side of a plot.
const PLOT_UNITS: u16 = PLOT * 64;
/// Fewest and most plots on a side.
const PLOTS: (u16, u16) = (6, 62);
/// Height and half of the thickness of a border wall, in meters.
const BORDER: (f32, f32) = (4.0, 0.5);

/// A level before it is indexed.
pub(super) struct Plan {
    pub(super) half: f32,
    pub(super) solids: Vec<Solid>,
    pub(super) spawns: Vec<Vec2>,
    pub(super) homes: Vec<Vec2>,
}

/// What stands in a level.
pub(super) fn plan(seed: u64, capacity: u16) -> Plan {
    let side = plots_on_a_side(capacity);
    let half = f32::from(side * PLOT) / 2.0;
    let mut plan = Plan {
        half,
        solids: border(half),
        spawns: Vec::new(),
        homes: Vec::new(),
    };
    let mut random = Random::new(seed);
    for row in 0..side {
        for column in 0..side {
            let corner = Vec2::new(f32::from(column * PLOT), f32::from(row * PLOT)) - half;
            let middle = corner + f32::from(PLOT) / 2.0;
            let in_a_corner = (row == 0 || row + 1 == side) && (column == 0 || column + 1 == side);
            match random.below(100) {
                // The corners are always free: there is somewhere to start.
                _ if in_a_corner => plan.spawns.push(middle),
                0..34 => plan.spawns.push(middle),
                34..46 => plan.solids.push(wall(&mut random, corner, Along::East)),
                46..58 => plan.solids.push(wall(&mut random, corner, Along::North)),
                58..72 => plan.solids.push(pillar(&mut random, corner)),
                72..90 => crates(&mut random, corner, &mut plan.solids),
                _ => plan.homes.push(middle),
            }
        }
    }
    if plan.homes.is_empty() {
        plan.homes.push(Vec2::ZERO);
    }
    plan
}

fn plots_on_a_side(capacity: u16) -> u16 {
    let area = u32::from(capacity) * AREA_PER_PLAYER;
    let (fewest, most) = PLOTS;
    (fewest..most)
        .find(|side| u32::from(side * PLOT).pow(2) >= area)
        .unwrap_or(most)
}

fn border(half: f32) -> Vec<Solid> {
    let (top, thick) = BORDER;
    let out = half + thick;
    let long = half + 2.0 * thick;
    [
        (Vec2::new(out, 0.0), Vec2::new(thick, long)),
        (Vec2::new(-out, 0.0), Vec2::new(thick, long)),
        (Vec2::new(0.0, out), Vec2::new(long, thick)),
        (Vec2::new(0.0, -out), Vec2::new(long, thick)),
    ]
    .map(|(center, extents)| Solid {
        center,
        footprint: Footprint::Rectangle(extents),
        top,
    })
    .to_vec()
}

#[derive(Clone, Copy)]
enum Along {
    East,
    North,
}

fn wall(random: &mut Random, corner: Vec2, along: Along) -> Solid {
    let length = 3 * 64 + random.below(3 * 64);
    let thickness = 32;
    let (width, depth) = match along {
        Along::East => (length, thickness),
        Along::North => (thickness, length),
    };
    rectangle(random, corner, (width, depth), 3 * 64)
}

fn pillar(random: &mut Random, corner: Vec2) -> Solid {
    let width = 52 + random.below(76);
    let solid = rectangle(random, corner, (width, width), 4 * 64);
    Solid {
        footprint: Footprint::Circle(solid.half_extents().x),
        ..solid
    }
}

/// A crate, or two side by side: a low one from which a player gets onto the high one.
fn crates(random: &mut Random, corner: Vec2, solids: &mut Vec<Solid>) {
    let side = 80 + random.below(80);
    let (low, high) = match random.below(3) {
        // A step, then a jump.
        0 => (20, 72),
        // Two jumps.
        1 => (56, 112),
        _ => {
            let top = 64 + random.below(16);
            solids.push(rectangle(random, corner, (side, side), top));
            return;
        }
    };
    let both = rectangle(random, corner, (2 * side, side), low);
    let half = f32::from(side) / 128.0;
    for (shift, top) in [(-half, low), (half, high)] {
        solids.push(Solid {
            center: both.center + Vec2::new(shift, 0.0),
            footprint: Footprint::Rectangle(Vec2::splat(half)),
            top: f32::from(top) / 64.0,
        });
    }
}

/// A box of a size in 64ths of a meter, somewhere in the plot.
fn rectangle(random: &mut Random, corner: Vec2, (width, depth): (u16, u16), top: u16) -> Solid {
    let mut place = |size: u16| MARGIN + random.below(PLOT_UNITS - 2 * MARGIN - size);
    let (west, south) = (place(width), place(depth));
    let half = Vec2::new(f32::from(width), f32::from(depth)) / 128.0;
    Solid {
        center: corner + Vec2::new(f32::from(west), f32::from(south)) / 64.0 + half,
        footprint: Footprint::Rectangle(half),
        top: f32::from(top) / 64.0,
    }
}
