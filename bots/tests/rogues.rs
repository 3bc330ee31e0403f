//! Players who are a trouble: whoever floods the server over a good connection, or does
//! not listen to it, hurts nobody else. Against the real server, in virtual time.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

#[expect(dead_code, reason = "the other suite uses the rest")]
mod world;

use std::time::Duration;

use bots::profile::PROFILES;
use bots::report::Report;
use world::World;
use world::rogue::{Habit, Rogue};

const PLAYERS: usize = 4;

/// How long the rogue is there.
const LENGTH: Duration = Duration::from_secs(10);

/// Lets a rogue into a match of others on a clean network, all of whose rules must be kept.
fn disturb(habit: Habit) -> World {
    let clean = &PROFILES[0];
    let mut world = World::new();
    world.join(clean, PLAYERS);
    world.run(Duration::from_secs(3), |_| {});
    world.let_in(habit);
    world.run(Duration::from_secs(1), |_| {});
    world.run(LENGTH, |_| {});
    let report = Report::new(clean, &world.records(clean), None);
    assert_eq!(report.broken, [""; 0], "{report:#?}");
    assert_eq!(report.playing, PLAYERS);
    world
}

#[test]
fn who_floods_over_a_good_connection_is_sent_away_alone() {
    let world = disturb(Habit::Flood);
    assert_eq!(world.kicked(), 1);
    assert!(!world.rogue().is_some_and(Rogue::is_connected));
    assert_eq!(world.sessions(), PLAYERS);
}

#[test]
fn who_does_not_listen_costs_no_more_than_another_player() {
    let world = disturb(Habit::Deaf);
    let seconds = LENGTH.as_secs() + 1;
    let rate = 8 * world.rogue().unwrap().heard_bytes() / seconds;
    assert!(rate > 0 && rate < 400_000, "{rate}");
    assert_eq!((world.kicked(), world.sessions()), (0, PLAYERS + 1));
}
