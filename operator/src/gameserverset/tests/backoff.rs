//! What sets make of failed servers, as tables.

use crds::gameserverset::Backoff;
use crds::state::State;
use expect_test::expect;

use super::{at, check, desired, failed, observed, server};
use crate::gameserverset::plan::{Observed, Server};

#[test]
fn one_crash_is_replaced_within_a_second_and_its_evidence_kept_for_thirty() {
    let servers = |crashed| {
        observed(vec![
            failed("crashed", 0, crashed),
            server("a", State::Ready),
            server("b", State::Allocated),
        ])
    };
    check(
        60,
        &desired(3),
        &servers(60),
        &expect![[r#"
        look again in 1s
        1 failures in a row, the last at 60 s
    "#]],
    );
    check(
        61,
        &desired(3),
        &servers(60),
        &expect![[r#"
        create number 0: fewer servers than replicas
        look again in 29s
        1 failures in a row, the last at 60 s
    "#]],
    );
    check(
        90,
        &desired(2),
        &servers(60),
        &expect![[r#"
        delete crashed: failed, and was kept long enough to be looked at
        1 failures in a row, the last at 60 s
    "#]],
    );
    // A server that had run for long tells nothing about its build.
    check(
        3600,
        &desired(3),
        &servers(3600),
        &expect![[r#"
        create number 0: fewer servers than replicas
        look again in 30s
    "#]],
    );
}

#[test]
fn a_lost_node_counts_once() {
    let lost = (0..6).map(|index| failed(&format!("lost-{index}"), 0, 50 + 2 * index));
    let mut servers: Vec<_> = lost.collect();
    servers.push(server("elsewhere", State::Ready));
    check(
        60,
        &desired(4),
        &observed(servers),
        &expect![[r#"
        create number 0: fewer servers than replicas
        create number 1: fewer servers than replicas
        create number 2: fewer servers than replicas
        look again in 20s
        1 failures in a row, the last at 50 s
    "#]],
    );
}

#[test]
fn a_failure_after_the_delay_doubles_it() {
    let backoff = |failures| {
        Some(Backoff {
            failures,
            last_failure_time: at(10),
        })
    };
    let observed = |servers, failures| Observed {
        backoff: backoff(failures),
        ..observed(servers)
    };
    // The second generation failed as well.
    check(
        15,
        &desired(1),
        &observed(vec![failed("second", 11, 15)], 1),
        &expect![[r#"
            look again in 2s
            2 failures in a row, the last at 15 s
        "#]],
    );
    // What is known already is not counted again, and the delay goes on.
    check(
        16,
        &desired(1),
        &observed(vec![failed("tenth", 9, 10)], 10),
        &expect![[r#"
            look again in 24s
            10 failures in a row, the last at 10 s
        "#]],
    );
    check(
        310,
        &desired(1),
        &observed(vec![], 10),
        &expect![[r#"
        create number 0: fewer servers than replicas
        10 failures in a row, the last at 10 s
    "#]],
    );
}

#[test]
fn old_evidence_starts_no_backoff() {
    check(
        200,
        &desired(1),
        &observed(vec![failed("long-gone", 0, 10)]),
        &expect![[r#"
            create number 0: fewer servers than replicas
            delete long-gone: failed, and was kept long enough to be looked at
        "#]],
    );
}

#[test]
fn a_server_that_lasts_ends_the_backoff() {
    let observed = |failures, state| Observed {
        servers: vec![Server {
            created: at(20),
            ..server("lasting", state)
        }],
        backoff: Some(Backoff {
            failures,
            last_failure_time: at(10),
        }),
        ..Observed::default()
    };
    check(
        139,
        &desired(1),
        &observed(3, State::Ready),
        &expect![[r#"
            look again in 1s
            3 failures in a row, the last at 10 s
        "#]],
    );
    check(
        140,
        &desired(1),
        &observed(3, State::Allocated),
        &expect![[r""]],
    );
    // One that never gets Ready proves nothing.
    check(
        140,
        &desired(1),
        &observed(3, State::Scheduled),
        &expect![[r#"
            3 failures in a row, the last at 10 s
        "#]],
    );
    // After many failures, as long as the delay.
    check(
        140,
        &desired(1),
        &observed(9, State::Ready),
        &expect![[r#"
            look again in 136s
            9 failures in a row, the last at 10 s
        "#]],
    );
}

#[test]
fn a_clock_that_is_ahead_postpones_nothing() {
    let ahead = Server {
        created: at(5),
        ..failed("ahead", 0, 900)
    };
    check(
        10,
        &desired(1),
        &observed(vec![ahead]),
        &expect![[r#"
        look again in 1s
        1 failures in a row, the last at 10 s
    "#]],
    );
    check(
        40,
        &desired(0),
        &observed(vec![failed("ahead", 0, 10)]),
        &expect![[r#"
            delete ahead: failed, and was kept long enough to be looked at
            1 failures in a row, the last at 10 s
        "#]],
    );
    // Without the annotation, the time of creation counts.
    let unknown = Server {
        ended_at: None,
        ..failed("unknown", 0, 0)
    };
    check(
        40,
        &desired(0),
        &observed(vec![unknown]),
        &expect![[r#"
        delete unknown: failed, and was kept long enough to be looked at
        1 failures in a row, the last at 0 s
    "#]],
    );
}
