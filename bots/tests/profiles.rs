//! Every profile in its short form, against the real server in the same thread and in virtual time.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and says where"
)]

#[expect(dead_code, reason = "the other suite uses the rest")]
mod world;

use std::time::Duration;

use bots::link::LinkConfig;
use bots::profile::{FLOOD, PROFILES, Profile, Rules, named};
use bots::report::{Report, ServerReport};
use client::session::Way;
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

/// What a bot does not see because it hangs itself is no fault of the server.
#[test]
fn gaps_count_where_the_server_is_late_and_not_where_the_bots_are() {
    let clean = &PROFILES[0];
    let pause = Duration::from_millis(200);
    let play = |hang: fn(&mut World, Duration)| {
        let mut world = World::new();
        world.join(clean, PLAYERS);
        world.run(Duration::from_secs(5), |_| {});
        hang(&mut world, pause);
        world.run(Duration::from_secs(3), |_| {});
        let report = Report::new(clean, &world.records(clean), None);
        assert!(report.gaps.unwrap().max_ms >= 190.0, "{report:?}");
        let is_told = report.broken.iter().any(|line| line.contains("above 50ms"));
        (report.wide_gaps, is_told)
    };
    assert_eq!(play(World::hang), (0, false));
    assert_eq!(play(World::stall), (PLAYERS as u64, true));
}

#[test]
fn ticks_that_were_given_up_break_a_rule_of_the_clean_network() {
    let server = ServerReport {
        debt_dropped: 2,
        ..ServerReport::default()
    };
    let broken = |name| Report::new(named(name).unwrap(), &[], Some(server)).broken;
    assert_eq!(broken("clean"), ["2 ticks were given up"]);
    assert_eq!(broken("hostile"), [""; 0]);
}

#[test]
fn more_than_a_bad_link_carries_is_told() {
    let profile = named("bad-wifi").unwrap();
    let (world, report) = play(profile);
    let mut records = world.records(profile);
    records[0].links[1].overflowed = 3;
    let seconds = records[1].played.as_secs();
    records[1].statistics.bytes_down = 450_000 / 8 * seconds;
    let found = Report::new(profile, &records, None).broken;
    assert_eq!(report.broken, [""; 0]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "bot 0: 3 packets more than the link carries");
    assert!(found[1].contains("more than 400000"), "{found:?}");
}

#[test]
fn what_a_bot_shows_other_than_the_server_meant_breaks_every_profile() {
    let (world, report) = play(&PROFILES[0]);
    assert_eq!(report.hash_mismatches, 0);
    // Each has a keyframe, and a hash in about every second.
    assert!(report.hashes >= 5 * PLAYERS as u64, "{report:?}");
    assert!(report.listed_hashes >= 4 * PLAYERS as u64, "{report:?}");
    let mut records = world.records(&PROFILES[0]);
    records[1].statistics.hash_mismatches = 1;
    records[2].statistics.hashes = 0;
    records[3].statistics.listed_hashes = 0;
    // On a bad network it takes more of them than were sent here.
    records[3].statistics.predictions.snapshots = 512;
    for profile in bots::profile::every() {
        let broken = Report::new(profile, &records, None).broken;
        let told = |what: &str| broken.iter().any(|line| line.contains(what));
        assert!(told("bot 1: 1 of "), "{broken:?}");
        assert!(told("bot 2: no hash of what it shows"), "{broken:?}");
        let unlisted = "bot 3: no hash of what it knew before";
        assert!(told(unlisted), "{broken:?}");
    }
    for (seconds, snapshots, is_told) in [(5, 100, true), (4, 512, true), (4, 511, false)] {
        records[3].played = Duration::from_secs(seconds);
        records[3].statistics.predictions.snapshots = snapshots;
        let broken = Report::new(&PROFILES[0], &records, None).broken;
        let found = broken.iter().any(|line| line.starts_with("bot 3"));
        assert_eq!(found, is_told, "{seconds} s, {snapshots} snapshots");
    }
}

#[test]
fn what_late_bots_break_is_told_apart() {
    let clean = &PROFILES[0];
    let (world, _) = play(clean);
    let mut records = world.records(clean);
    records[1].statistics.predictions.corrected = 3;
    records[1].statistics.predictions.starved = 9;
    let report = Report::new(clean, &records, None);
    assert_eq!((report.broken.len(), report.late.len()), (2, 0));
    records[1].lateness.record(Duration::from_millis(20));
    let report = Report::new(clean, &records, None);
    assert_eq!((report.broken.len(), report.late.len()), (0, 2));
    assert!(!report.passes());
    // A single time is no excuse for a server that is late, a hundredth of all times is.
    let server = ServerReport {
        debt_dropped: 2,
        ..ServerReport::default()
    };
    let given_up = ["2 ticks were given up".to_owned()];
    assert_eq!(Report::new(clean, &records, Some(server)).broken, given_up);
    let mut busy = world.records(clean);
    for _ in 0..busy[1].lateness.count() / 50 {
        busy[1].lateness.record(Duration::from_millis(20));
    }
    let report = Report::new(clean, &busy, Some(server));
    assert_eq!((report.broken.len(), report.late), (0, given_up.to_vec()));
    // Inputs of a bot in time are not late because another is.
    records[2].statistics.predictions.corrected = 1;
    let report = Report::new(clean, &records, None);
    assert!(
        report.broken[0].starts_with("bot 2: 1 mispredictions"),
        "{report:?}"
    );
}

/// Players in a full match get the largest snapshots.
#[test]
fn no_datagram_is_too_large_for_a_tunnel() {
    let clean = &PROFILES[0];
    let profile = Profile {
        name: "tunnel",
        link: LinkConfig {
            mtu: named("bad-wifi").unwrap().link.mtu,
            ..clean.link
        },
        ..*clean
    };
    assert!(profile.link.mtu < clean.link.mtu);
    let mut world = World::new();
    world.join(&profile, 16);
    world.run(Duration::from_secs(5), |_| {});
    let records = world.records(&profile);
    assert!(records.iter().all(|record| record.way == Way::Playing));
    let links = records.iter().flat_map(|record| record.links);
    assert_eq!(links.map(|link| link.lost).sum::<u64>(), 0);
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
    let mut world = World::new();
    // Most mispredict while their clocks settle, but some have luck.
    world.join(&profile, 16);
    world.run(profile.least_length(), |_| {});
    let report = Report::new(&profile, &world.records(&profile), None);
    let told = |what: &str| report.broken.iter().any(|line| line.contains(what));
    assert!(told("mispredictions"), "{:?}", report.broken);
    assert!(told("ticks without an input"), "{:?}", report.broken);
    assert!(!told("damaged"), "{:?}", report.broken);
}
