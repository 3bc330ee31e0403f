use proptest::prelude::*;

use super::*;

fn input(east: i8, north: i8, buttons: Buttons) -> Input {
    Input {
        east,
        north,
        buttons,
        ..Input::default()
    }
}

/// How deep someone stands in something that is too high to stand on.
fn depth(level: &Level, state: &MoveState) -> f32 {
    let place = state.position.xz();
    level
        .solids()
        .iter()
        .filter(|solid| solid.top > state.position.y + STEP)
        .map(|solid| match solid.offset(place) {
            Some(offset) => RADIUS - offset.length(),
            None => RADIUS,
        })
        .fold(0.0, f32::max)
}

fn solid(level: &Level, wanted: impl Fn(&Solid) -> bool) -> Solid {
    *level
        .solids()
        .iter()
        .skip(4)
        .find(|solid| wanted(solid))
        .unwrap()
}

/// Walks toward a solid from the south until nothing changes.
fn walk_into(level: &Level, solid: &Solid, buttons: Buttons, ticks: usize) -> MoveState {
    let south = solid.center.y - solid.half_extents().y - 0.9;
    let mut state = MoveState::standing(Vec2::new(solid.center.x, south));
    for _ in 0..ticks {
        state = step(level, &state, &input(0, 127, buttons));
    }
    state
}

#[test]
fn a_walker_reaches_full_speed_and_no_more() {
    let level = Level::generate(1, 64);
    let mut state = MoveState::standing(level.spawns()[0]);
    for _ in 0..6 {
        state = step(&level, &state, &input(127, 127, Buttons::default()));
    }
    assert!((state.velocity.length() - WALK_SPEED).abs() < 1e-3);
}

#[test]
fn a_wall_stops_and_a_step_does_not() {
    let level = Level::generate(1, 250);
    let wall = solid(&level, |solid| (2.9..3.1).contains(&solid.top));
    let state = walk_into(&level, &wall, Buttons::default(), 60);
    assert!((state.position.z + RADIUS - (wall.center.y - wall.half_extents().y)).abs() < 1e-3);
    let low = solid(&level, |solid| solid.top < STEP);
    let state = walk_into(&level, &low, Buttons::default(), 20);
    assert_eq!((state.position.y, state.grounded), (low.top, true));
}

#[test]
fn a_jump_gets_onto_a_crate_that_a_walk_does_not() {
    let level = Level::generate(1, 250);
    let crate_ = solid(&level, |solid| {
        (1.0..1.25).contains(&solid.top) && solid.half_extents().x > 0.6
    });
    let state = walk_into(&level, &crate_, Buttons::default(), 30);
    assert!(state.position.y < 1e-3);
    let highest = (0..45)
        .map(|ticks| walk_into(&level, &crate_, Buttons::JUMP, ticks))
        .find(|state| state.grounded && state.position.y > 0.0);
    assert_eq!(highest.map(|state| state.position.y), Some(crate_.top));
}

#[test]
fn a_wall_is_slid_along() {
    let level = Level::generate(1, 64);
    let wall = level.solids()[0];
    let mut state = MoveState::standing(Vec2::new(level.half() - 0.5, 0.0));
    for _ in 0..60 {
        state = step(&level, &state, &input(127, 127, Buttons::SPRINT));
    }
    assert!(state.position.x <= wall.center.x - wall.half_extents().x - RADIUS + 1e-3);
    assert!(state.position.z > 3.0, "{state:?}");
}

#[test]
fn an_intent_out_of_range_is_no_faster() {
    let level = Level::generate(1, 64);
    let start = MoveState::standing(level.spawns()[0]);
    let step = |east| step(&level, &start, &input(east, 0, Buttons::default()));
    assert_eq!(step(-128), step(-127));
}

fn inputs() -> impl Strategy<Value = Vec<(Input, usize)>> {
    let input = (any::<i8>(), any::<i8>(), 0..8_u8)
        .prop_map(|(east, north, buttons)| input(east, north, Buttons(buttons)));
    prop::collection::vec((input, 1..40_usize), 1..40)
}

proptest! {
    #[test]
    fn nobody_leaves_the_level_or_enters_a_wall(
        seed in 0..8_u64,
        start in any::<prop::sample::Index>(),
        inputs in inputs(),
    ) {
        let level = Level::generate(seed, 64);
        let mut state = MoveState::standing(*start.get(level.spawns()));
        for (input, times) in inputs {
            for _ in 0..times {
                let next = step(&level, &state, &input);
                prop_assert!(next.position.is_finite() && next.velocity.is_finite());
                prop_assert!(next.velocity.xz().length() <= SPRINT_SPEED + 1e-3);
                prop_assert!(next.velocity.y.abs() <= FALL_SPEED);
                let moved = (next.position - state.position).xz().length();
                prop_assert!(moved < RADIUS, "{moved} m in one tick");
                prop_assert!((0.0..5.0).contains(&next.position.y));
                let limit = level.half() - RADIUS;
                prop_assert!(next.position.x.abs() <= limit && next.position.z.abs() <= limit);
                prop_assert!(depth(&level, &next) < 2.0 * RIM, "{state:?} {next:?}");
                prop_assert_eq!(next, step(&level, &state, &input));
                state = next;
            }
        }
    }
}
