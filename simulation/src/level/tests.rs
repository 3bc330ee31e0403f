use glam::Vec3;
use proptest::prelude::*;

use super::*;
use crate::mover::RADIUS;

/// The ray against everything, without the grid.
fn brute_force(level: &Level, ray: &Ray) -> Option<f32> {
    let ground = (ray.direction.y < 0.0).then(|| -ray.origin.y / ray.direction.y);
    level
        .solids()
        .iter()
        .filter_map(|solid| ray::meet(ray, solid))
        .chain(ground)
        .filter(|distance| *distance <= ray.length)
        .min_by(f32::total_cmp)
}

#[test]
fn the_same_seed_gives_the_same_level_and_another_seed_another() {
    let level = Level::generate(7, 64);
    assert_eq!(level.hash(), Level::generate(7, 64).hash());
    assert_ne!(level.hash(), Level::generate(8, 64).hash());
    assert_ne!(level.hash(), Level::generate(7, 200).hash());
}

#[test]
fn the_level_of_a_known_seed_never_changes() {
    // If this is meant to change, recorded matches cannot be played back any more.
    assert_eq!(Level::generate(1, 64).hash(), 7_689_148_008_973_978_225);
}

#[test]
fn about_48_players_are_in_view_in_a_full_match() {
    for capacity in [250_u16, 500, 1_000] {
        let side = 2.0 * Level::generate(3, capacity).half();
        let in_view =
            std::f32::consts::PI * VIEW_RADIUS * VIEW_RADIUS * f32::from(capacity) / (side * side);
        assert!((44.0..=50.0).contains(&in_view), "{in_view} of {capacity}");
    }
}

#[test]
fn everything_lies_within_what_a_frame_can_say() {
    let level = Level::generate(5, crate::entity::MAX_PLAYERS);
    assert!(level.half() < 256.0);
    assert!(level.solids().iter().all(|solid| solid.top < 16.0));
}

#[test]
fn starts_and_homes_are_free_and_nobody_is_wedged() {
    for seed in 0..20 {
        let level = Level::generate(seed, 64);
        assert!(!level.spawns().is_empty() && !level.homes().is_empty());
        for point in level.spawns().iter().chain(level.homes()) {
            assert!(
                level
                    .solids()
                    .iter()
                    .all(|solid| !solid.overlaps(*point, 2.0))
            );
        }
    }
}

#[test]
fn a_ray_meets_tops_sides_and_ground() {
    let level = Level::generate(1, 64);
    let down = Ray {
        origin: Vec3::new(level.spawns()[0].x, 5.0, level.spawns()[0].y),
        direction: Vec3::NEG_Y,
        length: 10.0,
    };
    let hit = level.cast(&down).unwrap();
    assert_eq!((hit.distance, hit.struck), (5.0, Struck::Ground));
    let solid = level.solids()[6];
    let above = Ray {
        origin: Vec3::new(solid.center.x, 6.0, solid.center.y),
        ..down
    };
    assert_eq!(level.cast(&above).unwrap().struck, Struck::Solid(6));
    assert_eq!(
        level.cast(&Ray {
            length: 0.5,
            ..above
        }),
        None
    );
}

proptest! {
    #[test]
    fn a_ray_over_the_grid_meets_what_it_meets_without(
        seed in 0..4_u64,
        origin in (-60.0..60.0_f32, 0.0..5.0_f32, -60.0..60.0_f32),
        to in (-60.0..60.0_f32, 0.0..5.0_f32, -60.0..60.0_f32),
        axis in 0..4_u8,
    ) {
        let level = Level::generate(seed, 64);
        let origin = Vec3::from(origin);
        let mut to = Vec3::from(to);
        // Rays along an axis are where a walk over a grid goes wrong.
        match axis {
            0 => to.x = origin.x,
            1 => to.z = origin.z,
            _ => {}
        }
        let Some(ray) = Ray::between(origin, to) else { return Ok(()) };
        let walked = level.cast(&ray).map(|hit| hit.distance);
        prop_assert_eq!(walked, brute_force(&level, &ray));
    }

    #[test]
    fn whoever_is_near_a_solid_finds_it(seed in 0..4_u64, x in -60.0..60.0_f32, y in -60.0..60.0_f32) {
        let level = Level::generate(seed, 64);
        let point = Vec2::new(x, y);
        for solid in level.solids().iter().filter(|solid| solid.overlaps(point, RADIUS)) {
            prop_assert!(level.near(point, RADIUS).any(|near| near == solid));
        }
    }
}
