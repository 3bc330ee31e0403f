//! Every profile in its short form, against the real server in the same thread and in virtual time.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and says where"
)]

mod world;

use std::time::Duration;

use bots::profile::{FLOOD, PROFILES, Profile, Rules, named};
use bots::report::Report;
use simulation::seeded::Random;
use world::World;

/// Bots per profile, and one more where a witness is needed.
const PLAYERS: usize = 4;

/// Plays a profile as long as it needs, and a little longer.
fn play(profile: &Profile) -> (World, Report) {
    let mut world = World::new();
    world.join(profile, PLAYERS);
    let join = Duration::from_secs(2);
    world.run(profile.least_length() + join, |_| {});
    let report = Report::new(profile, &world.records(profile), None);
    (world, report)
}

fn check(name: &str) -> World {
    let (world, report) = play(named(name).unwrap());
    assert_eq!(report.broken, [""; 0], "{report:#?}");
    assert!(report.snapshots > 200, "{report:#?}");
    assert_eq!(world.kicked(), 0);
    world
}

#[test]
fn clean() {
    check("clean");
}

#[test]
fn fiber() {
    check("fiber");
}

#[test]
fn fourth_generation() {
    check("4g");
}

#[test]
fn bad_wifi() {
    check("bad-wifi");
}

#[test]
fn hostile() {
    check("hostile");
}

#[test]
fn blackout_of_2_seconds() {
    check("blackout-2");
}

#[test]
fn blackout_of_10_seconds() {
    check("blackout-10");
}

#[test]
fn blackout_of_25_seconds() {
    check("blackout-25");
}

#[test]
fn blackout_of_31_seconds() {
    let world = check("blackout-31");
    // The witness alone is left: what the others had is free again.
    assert_eq!(world.sessions(), 1);
}

#[test]
fn rebind() {
    check("rebind");
}

#[test]
fn a_flood_disturbs_nobody() {
    let mut world = World::new();
    world.join(&FLOOD, PLAYERS);
    world.run(Duration::from_secs(3), |_| {});
    let mut random = Random::new(3);
    world.run(Duration::from_secs(3), |send| {
        for number in 0..40_u16 {
            let mut datagram = vec![0; usize::from(random.below(1_200)).max(1)];
            for byte in &mut datagram {
                *byte = random.bits() as u8;
            }
            if number % 10 == 0 {
                datagram.resize(1_078, 7);
                datagram[0] = 0;
                datagram[1..14].copy_from_slice(b"NETCODE 1.02\0");
                datagram[14..22].copy_from_slice(&0x1234_u64.to_le_bytes());
                datagram[22..30].copy_from_slice(&1_800_001_020_u64.to_le_bytes());
            }
            send(datagram);
        }
    });
    let report = Report::new(&FLOOD, &world.records(&FLOOD), None);
    assert_eq!(report.broken, [""; 0], "{report:#?}");
    assert_eq!((world.kicked(), report.mispredictions), (0, 0));
    assert!(world.refused() > 20_000, "{}", world.refused());
}

/// Everything that happened meanwhile arrives at once then, and must not be taken for the present.
#[test]
fn who_hung_plays_on_as_before() {
    for name in ["clean", "4g", "hostile"] {
        let profile = named(name).unwrap();
        let mut world = World::new();
        world.join(profile, PLAYERS);
        world.run(Duration::from_secs(5), |_| {});
        let starved =
            |world: &World| Report::new(profile, &world.records(profile), None).starved_ticks;
        let before = starved(&world);
        world.hang(Duration::from_millis(800));
        world.run(Duration::from_secs(5), |_| {});
        // 48 ticks pass in 800 ms.
        let most = PLAYERS as u64 * 48 + 20;
        let found = starved(&world) - before;
        assert!(found <= most, "{name}: {found}");
    }
}

#[test]
fn the_same_seeds_give_the_same_match() {
    let profile = named("hostile").unwrap();
    let run = || {
        let mut world = World::new();
        world.join(profile, 2);
        world.run(Duration::from_secs(6), |_| {});
        format!("{:?}", Report::new(profile, &world.records(profile), None))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_network_that_is_worse_than_its_rules_is_told() {
    let clean = &PROFILES[0];
    let profile = Profile {
        name: "liar",
        rules: Rules {
            starvation: Some(0.0),
            ..clean.rules
        },
        ..*named("hostile").unwrap()
    };
    let (_, report) = play(&profile);
    let told = |what: &str| report.broken.iter().any(|line| line.contains(what));
    assert!(told("mispredictions"), "{:?}", report.broken);
    assert!(told("ticks without an input"), "{:?}", report.broken);
    assert!(!told("damaged"), "{:?}", report.broken);
}
