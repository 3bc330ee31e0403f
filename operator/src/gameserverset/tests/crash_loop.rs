//! How fast servers of a failing build are replaced: simulated over an hour.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crds::state::State;
use expect_test::expect;

use crate::model::{Cluster, Event};

/// Runs a set for an hour. Servers get Ready after two seconds, and fail after the lifetime that is
/// asked for with the number of servers created before. Returns a line per burst of creations.
fn hour(replicas: i32, lifetime: impl Fn(usize) -> Option<Duration>) -> String {
    let step = Duration::from_millis(500);
    let mut cluster = Cluster::with_set(replicas);
    // When each server was created, and when it will fail.
    let mut fates: BTreeMap<String, (Duration, Option<Duration>)> = BTreeMap::new();
    let mut text = String::new();
    let mut burst: Option<(Duration, usize)> = None;
    for tick in 0..7200_u32 {
        let now = step * tick;
        cluster.happen_to_all(Event::Vanish);
        fates.retain(|name, _| cluster.servers.contains_key(name));
        for (name, (created, end)) in &fates {
            if end.is_some_and(|end| now >= end) {
                cluster.happen(name, Event::Fail);
            } else if now >= *created + Duration::from_secs(2) {
                cluster.happen(name, Event::Progress);
            }
        }
        let before = cluster.created;
        cluster.reconcile_set("set");
        let names: Vec<_> = cluster
            .servers
            .keys()
            .filter(|name| !fates.contains_key(*name))
            .collect();
        for (index, name) in (before..).zip(names) {
            fates.insert(
                name.clone(),
                (now, lifetime(index).map(|lifetime| now + lifetime)),
            );
        }
        if cluster.created > before {
            burst.get_or_insert((now, 0)).1 += cluster.created - before;
        } else if let Some((start, count)) = burst.take() {
            let failures = cluster
                .set("set")
                .status
                .backoff
                .as_ref()
                .map_or(0, |b| b.failures);
            let start = start.as_secs_f64();
            writeln!(
                text,
                "{start:>6.1} s: {count} created after {failures} failures"
            )
            .unwrap();
        }
        cluster.pass(step);
    }
    let running = cluster
        .servers_of("set")
        .filter(|server| server.state == State::Ready)
        .count();
    writeln!(
        text,
        "in an hour: {} created, {running} running",
        cluster.created
    )
    .unwrap();
    text
}

#[test]
fn a_build_that_fails_right_away_is_tried_ever_more_rarely() {
    let text = hour(10, |_| Some(Duration::from_secs(1)));
    expect![[r#"
           0.0 s: 10 created after 0 failures
           2.0 s: 10 created after 1 failures
           5.0 s: 10 created after 2 failures
          10.0 s: 10 created after 3 failures
          19.0 s: 10 created after 4 failures
          36.0 s: 10 created after 5 failures
          69.0 s: 10 created after 6 failures
         134.0 s: 10 created after 7 failures
         263.0 s: 10 created after 8 failures
         520.0 s: 10 created after 9 failures
         821.0 s: 10 created after 10 failures
        1122.0 s: 10 created after 11 failures
        1423.0 s: 10 created after 12 failures
        1724.0 s: 10 created after 13 failures
        2025.0 s: 10 created after 14 failures
        2326.0 s: 10 created after 15 failures
        2627.0 s: 10 created after 16 failures
        2928.0 s: 10 created after 17 failures
        3229.0 s: 10 created after 18 failures
        3530.0 s: 10 created after 19 failures
        in an hour: 200 created, 0 running
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_build_that_fails_after_ready_is_slowed_down_too() {
    let text = hour(4, |index| Some(Duration::from_secs(10 + index as u64 % 7)));
    expect![[r#"
           0.0 s: 4 created after 0 failures
          13.0 s: 4 created after 2 failures
          35.0 s: 4 created after 4 failures
          62.0 s: 4 created after 5 failures
         104.0 s: 4 created after 6 failures
         180.0 s: 4 created after 7 failures
         318.0 s: 4 created after 8 failures
         587.0 s: 4 created after 9 failures
         897.0 s: 4 created after 10 failures
        1207.0 s: 4 created after 11 failures
        1518.0 s: 4 created after 12 failures
        1828.0 s: 4 created after 13 failures
        2140.0 s: 4 created after 14 failures
        2450.0 s: 4 created after 15 failures
        2763.0 s: 4 created after 16 failures
        3073.0 s: 4 created after 17 failures
        3383.0 s: 4 created after 18 failures
        in an hour: 68 created, 0 running
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_build_that_is_repaired_comes_back_with_the_next_attempt() {
    // The first forty servers fail, then the cause is gone.
    let text = hour(10, |index| (index < 40).then_some(Duration::from_secs(1)));
    expect![[r#"
           0.0 s: 10 created after 0 failures
           2.0 s: 10 created after 1 failures
           5.0 s: 10 created after 2 failures
          10.0 s: 10 created after 3 failures
          19.0 s: 10 created after 4 failures
        in an hour: 50 created, 10 running
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_large_set_with_a_crash_now_and_then_stays_whole() {
    // Every tenth server fails after five to fifteen minutes.
    let text = hour(40, |index| {
        (index % 10 == 0).then(|| Duration::from_secs(300 + index as u64 * 37 % 600))
    });
    expect![[r#"
           0.0 s: 40 created after 0 failures
         300.0 s: 1 created after 0 failures
         440.0 s: 1 created after 0 failures
         670.0 s: 1 created after 0 failures
         810.0 s: 1 created after 0 failures
         880.0 s: 1 created after 0 failures
        in an hour: 45 created, 40 running
    "#]]
    .assert_eq(&text);
}
