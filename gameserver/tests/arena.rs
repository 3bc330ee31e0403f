//! The arena server over real sockets on loopback: players join with tokens, play, lose their
//! connection and come back; and nothing that others send disturbs them.
//!
//! Time is a value: every tick is driven by the test, so nothing here sleeps.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod arena {
    pub(crate) mod harness;
}

use std::time::Duration;

use arena::harness::{Setup, World};
use gameserver::arena::host::{Order, Report};
use gameserver::arena::life::{AfterMatch, Stage};
use simulation::message::ToClient;
use simulation::rules::Phase;

#[test]
fn eight_players_join_and_play_without_a_misprediction() {
    let mut world = World::new(Setup::default());
    for player in 0..8 {
        world.join(player);
    }
    world.run_ticks(600);
    for player in 0..8 {
        let client = world.client(player);
        assert!(client.is_connected(), "player {player}");
        assert!(
            client.snapshots > 500,
            "player {player}: {}",
            client.snapshots
        );
        assert_eq!(client.undecodable, 0, "player {player}");
        assert!(client.seen > 0, "player {player} saw nobody");
        assert_eq!(client.mispredicted, 0, "player {player}");
    }
    let phase = world.game().arena().course().phase();
    assert_eq!(phase, Phase::Playing);
    let joined = world
        .reports()
        .iter()
        .filter(|report| matches!(report, Report::Joined(_)))
        .count();
    assert_eq!(joined, 8);
}

#[test]
fn a_player_comes_back_over_another_socket() {
    let mut world = World::new(Setup::default());
    for player in 0..3 {
        world.join(player);
    }
    world.run_ticks(120);
    let slot = world.client(1).slot();
    world.drop_socket(1);
    // The last input is repeated for a moment; then the player stands there.
    world.run_ticks(60);
    let place = world.place(1);
    world.run_ticks(140);
    assert_eq!(world.place(1), place, "a lost player does not move");
    world.reconnect(1);
    let ticks = world.ticks_until(1, |client| client.snapshots > 0 && client.is_welcome());
    assert!(ticks <= 6, "{ticks} ticks");
    assert_eq!(world.client(1).slot(), slot);
    world.run_ticks(120);
    assert_eq!(world.client(1).undecodable, 0);
    assert_eq!(world.client(1).mispredicted, 0);
    assert_eq!(world.game().sessions().len(), 3);
}

#[test]
fn the_window_is_thirty_seconds_from_the_last_packet() {
    for (seconds, is_back) in [(29, true), (31, false)] {
        let mut world = World::new(Setup::default());
        world.join(0);
        world.join(1);
        world.run_ticks(60);
        world.drop_socket(1);
        world.run_ticks(seconds * 60);
        world.reconnect(1);
        world.run_ticks(30);
        assert_eq!(world.client(1).snapshots > 0, is_back, "after {seconds} s");
        let left = world
            .reports()
            .iter()
            .filter(|report| matches!(report, Report::Left(_)))
            .count();
        assert_eq!(left, usize::from(!is_back), "after {seconds} s");
        assert_eq!(world.game().sessions().len(), if is_back { 2 } else { 1 });
    }
}

#[test]
fn a_token_leads_in_once() {
    let mut world = World::new(Setup::default());
    world.join(0);
    world.join(1);
    world.run_ticks(60);
    let token = world.client(1).reconnection();
    world.reconnect(1);
    world.run_ticks(30);
    assert!(world.client(1).snapshots > 0);
    // Somebody who has seen the token presents it again, from elsewhere.
    world.present(7, &token);
    world.run_ticks(60);
    assert!(!world.client(7).is_connected());
    assert!(world.client(1).is_connected());
}

#[test]
fn garbage_and_forgery_disturb_nobody() {
    let mut world = World::new(Setup::default());
    for player in 0..4 {
        world.join(player);
    }
    world.run_ticks(60);
    for _ in 0..120 {
        world.flood(100);
        world.run_ticks(1);
    }
    for player in 0..4 {
        let client = world.client(player);
        assert!(client.is_connected());
        assert_eq!((client.undecodable, client.mispredicted), (0, 0));
    }
    // The kernel drops what is not even like a packet; what is, and the forged requests, come through.
    assert!(world.refused() > 8_000, "{}", world.refused());
    assert!(world.refused() < 9_000, "{}", world.refused());
}

#[test]
fn who_sends_garbage_in_a_sealed_packet_is_sent_away_alone() {
    let mut world = World::new(Setup::default());
    for player in 0..3 {
        world.join(player);
    }
    world.run_ticks(60);
    for _ in 0..40 {
        world.client_mut(2).send_garbage();
        world.run_ticks(1);
    }
    world.run_ticks(30);
    assert!(!world.client(2).is_connected());
    assert!(world.client(0).is_connected() && world.client(1).is_connected());
    assert_eq!(world.game().sessions().len(), 2);
}

#[test]
fn a_match_ends_is_reported_once_and_the_server_takes_another() {
    let mut world = World::new(Setup {
        after: AfterMatch::Ready,
        time_limit: 2,
        ..Setup::default()
    });
    world.join(0);
    world.join(1);
    // Three seconds of countdown, two of play.
    world.run_ticks(5 * 60 + 30);
    let ended = |report: &&Report| matches!(report, Report::Ended { .. });
    assert_eq!(world.reports().iter().filter(ended).count(), 1);
    let told = |message: &ToClient| matches!(message, ToClient::MatchEnded(_));
    assert!(world.client(0).messages.iter().any(told));
    world.order(Order::Reported);
    world.run_ticks(6 * 60);
    assert_eq!(world.stage(), Stage::Idle);
    assert!(!world.client(0).is_connected());
    // An old token does not bring the old match back; a new match takes new players.
    world.reconnect(0);
    world.run_ticks(60);
    assert!(!world.client(0).is_connected());
    world.next_match();
    world.join(0);
    world.run_ticks(60);
    assert!(world.client(0).is_connected());
    assert_eq!(world.reports().iter().filter(ended).count(), 1);
}

#[test]
fn a_drain_lets_the_match_end_and_then_the_server() {
    let mut world = World::new(Setup {
        time_limit: 2,
        ..Setup::default()
    });
    world.join(0);
    world.join(1);
    world.run_ticks(60);
    world.order(Order::Drain);
    world.run_ticks(30);
    world.join(2);
    world.run_ticks(60);
    assert!(!world.client(2).is_connected(), "nobody new enters");
    assert!(world.client(0).is_connected());
    world.run_ticks(4 * 60);
    assert!(matches!(world.stage(), Stage::Over { .. }));
    world.order(Order::Reported);
    world.run_ticks(6 * 60);
    assert_eq!(world.stage(), Stage::Gone);
}

#[test]
fn a_drain_ends_a_match_that_takes_too_long() {
    let mut world = World::new(Setup {
        drain_timeout: Duration::from_secs(5),
        ..Setup::default()
    });
    world.join(0);
    world.join(1);
    world.run_ticks(300);
    world.order(Order::Drain);
    world.run_ticks(5 * 60 - 10);
    assert_eq!(world.stage(), Stage::Hosting);
    world.run_ticks(60);
    assert!(matches!(world.stage(), Stage::Over { .. }));
    let notice = |message: &ToClient| matches!(message, ToClient::Notice(_));
    assert!(world.client(0).messages.iter().any(notice));
    // The platform never answers; the server ends all the same.
    world.run_ticks(6 * 60);
    assert_eq!(world.stage(), Stage::Gone);
}

/// A match that the platform assigned is over, and its player still looks at the result; the server
/// is to be Ready after it.
fn over_and_looked_at() -> World {
    let mut world = World::new(Setup {
        after: AfterMatch::Ready,
        time_limit: 1,
        is_assigned: true,
        ..Setup::default()
    });
    world.assign(&[0]);
    world.join(0);
    world.run_ticks(4 * 60 + 30);
    assert!(matches!(world.stage(), Stage::Over { .. }));
    world
}

#[test]
fn an_assignment_that_comes_while_the_last_match_is_looked_at_is_not_lost() {
    let mut world = over_and_looked_at();
    world.order(Order::Reported);
    world.run_ticks(1);
    // Its player is faster than the assignment.
    world.next_match();
    world.join(1);
    world.run_ticks(10);
    world.assign(&[1]);
    world.run_ticks(30);
    assert_eq!(world.stage(), Stage::Hosting);
    assert!(world.client(1).snapshots > 0);
    assert!(!world.client(0).is_connected());
}

#[test]
fn a_player_waits_for_an_assignment_that_is_on_its_way() {
    let mut world = World::new(Setup {
        is_assigned: true,
        ..Setup::default()
    });
    world.join(0);
    world.run_ticks(30);
    assert_eq!(world.stage(), Stage::Idle);
    world.assign(&[0, 1, 2]);
    world.run_ticks(30);
    assert_eq!(world.stage(), Stage::Hosting);
    assert!(world.client(0).snapshots > 0);
    assert_eq!(world.game().arena().config().rules.min_players, 3);
}

#[test]
fn a_token_that_was_left_over_begins_no_match_where_the_platform_assigns_them() {
    let mut world = World::new(Setup {
        is_assigned: true,
        ..Setup::default()
    });
    world.join(0);
    world.run_ticks(60);
    assert!(world.client(0).is_connected(), "it still waits");
    world.run_ticks(120);
    assert_eq!(world.stage(), Stage::Idle);
    assert!(!world.client(0).is_connected());
    world.next_match();
    world.assign(&[1]);
    world.join(1);
    world.run_ticks(30);
    assert!(world.client(1).snapshots > 0);
}

#[test]
fn another_assignment_takes_the_current_match_away() {
    let mut world = World::new(Setup {
        after: AfterMatch::Ready,
        is_assigned: true,
        ..Setup::default()
    });
    world.assign(&[0]);
    world.join(0);
    world.run_ticks(60);
    world.next_match();
    world.assign(&[1]);
    world.run_ticks(1);
    world.join(1);
    world.run_ticks(90);
    assert_eq!(world.stage(), Stage::Hosting);
    assert!(!world.client(0).is_connected());
    assert!(world.client(1).snapshots > 0);
    let ended = |report: &Report| matches!(report, Report::Ended { .. });
    assert!(
        !world.reports().iter().any(ended),
        "nobody wants its result"
    );
}

#[test]
fn an_assignment_that_is_withdrawn_before_its_match_begins_begins_none() {
    let mut world = over_and_looked_at();
    world.next_match();
    world.assign(&[1]);
    world.order(Order::Withdrawn);
    world.order(Order::Reported);
    world.run_ticks(60);
    assert_eq!(world.stage(), Stage::Idle);
}

/// Ticks after which the place of a lost player is free.
const GONE: u32 = 31 * 60;

/// What the platform was told of free places, in order.
fn openings(world: &World) -> Vec<bool> {
    let openings = world.reports().iter().filter_map(|report| match report {
        Report::Open(is_open) => Some(*is_open),
        _ => None,
    });
    openings.collect()
}

#[test]
fn a_match_tells_when_it_has_places_and_when_it_has_none() {
    let mut world = World::new(Setup {
        players: 3,
        time_limit: 60,
        after: AfterMatch::Ready,
        is_assigned: true,
        ..Setup::default()
    });
    world.run_ticks(10);
    assert_eq!(openings(&world), [false; 0]);
    // Two are expected: until they are there, one place is free, and then still.
    world.assign(&[0, 1]);
    world.run_ticks(60);
    assert_eq!(openings(&world), [true]);
    world.join(0);
    world.join(1);
    world.run_ticks(60);
    assert_eq!(openings(&world), [true]);
    world.join(2);
    world.run_ticks(60);
    assert_eq!(openings(&world), [true, false]);
    // Who is lost keeps the place for a way back; who is gone does not.
    world.drop_socket(2);
    world.run_ticks(60);
    assert_eq!(openings(&world), [true, false]);
    world.run_ticks(GONE);
    assert_eq!(openings(&world), [true, false, true]);
    world.run_ticks(33 * 60);
    assert!(matches!(world.stage(), Stage::Over { .. }));
    assert_eq!(openings(&world), [true, false, true, false]);
    let order = world.reports().iter().rev();
    let mut order = order.filter(|report| !matches!(report, Report::Left(_)));
    assert!(matches!(order.next(), Some(Report::Ended { .. })));
    assert_eq!(order.next(), Some(&Report::Open(false)));
}

#[test]
fn a_match_for_whom_it_expects_is_not_open_until_somebody_leaves_it() {
    let mut world = World::new(Setup {
        players: 2,
        is_assigned: true,
        ..Setup::default()
    });
    world.assign(&[0, 1]);
    world.run_ticks(10);
    world.join(0);
    world.run_ticks(60);
    world.join(1);
    // The countdown is over after three seconds.
    world.run_ticks(4 * 60);
    assert_eq!(openings(&world), [false; 0]);
    world.drop_socket(1);
    world.run_ticks(GONE);
    assert_eq!(openings(&world), [true]);
}

#[test]
fn whoever_was_assigned_finds_a_place_whoever_comes_first() {
    let mut world = World::new(Setup {
        players: 3,
        is_assigned: true,
        ..Setup::default()
    });
    world.assign(&[0, 1]);
    world.run_ticks(10);
    // One place is for anybody, and the other two are not, however early who wants them.
    world.join(5);
    world.run_ticks(30);
    world.join(6);
    world.run_ticks(30);
    assert!(world.client(5).snapshots > 0);
    assert!(!world.client(6).is_connected());
    assert_eq!(openings(&world), [true, false]);
    world.join(0);
    // Three seconds of countdown, and most of those in which who is late may still come.
    world.run_ticks(30 * 60);
    assert_eq!(world.game().arena().course().phase(), Phase::Playing);
    world.join(6);
    world.run_ticks(30);
    assert!(!world.client(6).is_connected());
    world.join(1);
    world.run_ticks(30);
    assert!(world.client(1).snapshots > 0);
    assert_eq!(openings(&world), [true, false]);
}

#[test]
fn the_place_of_who_does_not_come_is_kept_until_the_match_has_been_played_for_a_while() {
    let mut world = World::new(Setup {
        players: 2,
        is_assigned: true,
        ..Setup::default()
    });
    world.assign(&[0, 1]);
    world.join(0);
    // As long as it waits for its players, the countdown, and as long as who is lost may come back.
    world.run_ticks(63 * 60);
    assert_eq!(openings(&world), [false; 0]);
    world.run_ticks(30);
    assert_eq!(openings(&world), [true]);
    world.join(6);
    world.run_ticks(30);
    assert!(world.client(6).snapshots > 0);
    world.join(1);
    world.run_ticks(30);
    assert!(!world.client(1).is_connected());
}

#[test]
fn a_match_is_closed_before_its_end_is_told_however_it_ends() {
    let open_world = |time_limit, drain_timeout| {
        let mut world = World::new(Setup {
            time_limit,
            drain_timeout: Duration::from_secs(drain_timeout),
            ..Setup::default()
        });
        world.join(0);
        world.join(1);
        world.run_ticks(30);
        assert_eq!(openings(&world), [true]);
        world
    };
    let mut over = open_world(1, 60);
    let mut drained = open_world(300, 0);
    drained.order(Order::Drain);
    for world in [&mut over, &mut drained] {
        world.run_ticks(5 * 60);
        let told = world.reports().iter().filter_map(|report| match report {
            Report::Open(is_open) => Some(*is_open),
            Report::Ended { .. } => Some(true),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [true, false, true]);
    }
}

#[test]
fn who_said_ready_and_ends_says_so() {
    for (after, is_said) in [(AfterMatch::Ready, true), (AfterMatch::Shutdown, false)] {
        let mut world = World::new(Setup {
            after,
            time_limit: 1,
            ..Setup::default()
        });
        world.join(0);
        world.join(1);
        world.run_ticks(4 * 60 + 30);
        assert!(matches!(world.stage(), Stage::Over { .. }));
        world.order(Order::Drain);
        world.order(Order::Reported);
        world.run_ticks(6 * 60);
        assert_eq!(world.stage(), Stage::Gone);
        let leaving = world
            .reports()
            .iter()
            .filter(|report| **report == Report::Leaving);
        assert_eq!(leaving.count(), usize::from(is_said), "{after:?}");
    }
}

#[test]
fn a_client_that_floods_loses_its_own_packets() {
    let mut world = World::new(Setup::default());
    for player in 0..3 {
        world.join(player);
    }
    world.run_ticks(60);
    assert_eq!(world.excess(), 0);
    for _ in 0..10 {
        world.client_mut(2).flood(100);
        world.run_ticks(1);
    }
    assert!(world.excess() > 500, "{}", world.excess());
    let before = world.client(0).snapshots;
    world.run_ticks(60);
    assert!(world.client(0).snapshots >= before + 59);
    assert_eq!(world.client(0).mispredicted, 0);
}

/// Joining, leaving and reliable messages allocate, and the physics of props does; nothing else:
/// not inputs, not snapshots, not the metrics.
#[test]
fn a_steady_tick_allocates_nothing() {
    let mut world = World::new(Setup {
        props: 0,
        ..Setup::default()
    });
    for player in 0..8 {
        world.join(player);
    }
    // Beyond the countdown, and beyond the first roster and its acknowledgments.
    world.run_ticks(400);
    let counts = world.count_allocations(300);
    assert_eq!(counts, [0; 300]);
}
