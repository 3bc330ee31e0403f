//! What sets do, as tables; their laws and their pace under crash loops are in the files below.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crds::gameserver::Scheduling;
use crds::gameserverset::{AllocationOverflow, Backoff};
use crds::names::child_ordinal;
use crds::state::State;
use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};

use super::plan::{Action, Desired, Observed, Plan, Policy, Server, carries, plan};
use super::status::status;
use crate::model::START;

mod backoff;
mod crash_loop;
mod laws;

/// A moment, in seconds after the start.
fn at(seconds: i64) -> Timestamp {
    START
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

fn desired(replicas: i32) -> Desired {
    Desired {
        name: "set".to_owned(),
        uid: "uid-set".to_owned(),
        generation: Some(1),
        replicas,
        ..Desired::default()
    }
}

/// A server that was created at the start and is on a node of its own.
fn server(name: &str, state: State) -> Server {
    Server {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        resource_version: "1".to_owned(),
        state,
        node: format!("node-{name}"),
        created: START,
        ended_at: None,
        being_deleted: false,
        has_overflow: false,
    }
}

fn failed(name: &str, created: i64, ended: i64) -> Server {
    Server {
        created: at(created),
        ended_at: Some(at(ended)),
        ..server(name, State::Unhealthy)
    }
}

fn observed(servers: Vec<Server>) -> Observed {
    Observed {
        servers,
        ..Observed::default()
    }
}

fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for action in &plan.actions {
        match action {
            Action::CreateGameServer { name, why } => {
                let ordinal = child_ordinal("set", "uid-set", name).unwrap();
                writeln!(text, "create number {ordinal}: {why}")
            }
            Action::PutOverflow { name, why, .. } => writeln!(text, "mark {name}: {why}"),
            Action::DeleteGameServer { name, why, .. } => writeln!(text, "delete {name}: {why}"),
        }
        .unwrap();
    }
    if let Some(requeue) = plan.requeue {
        writeln!(text, "look again in {requeue:?}").unwrap();
    }
    if let Some(Backoff {
        failures,
        last_failure_time,
    }) = &plan.backoff
    {
        let since = last_failure_time.duration_since(START).as_secs();
        writeln!(text, "{failures} failures in a row, the last at {since} s").unwrap();
    }
    text
}

fn check(now: i64, desired: &Desired, observed: &Observed, expected: &Expect) {
    expected.assert_eq(&show(&plan(at(now), &Policy::default(), desired, observed)));
}

#[test]
fn missing_servers_are_created_after_the_last_number() {
    check(
        0,
        &desired(3),
        &observed(vec![server("by-hand", State::Ready)]),
        &expect![[r#"
            create number 0: fewer servers than replicas
            create number 1: fewer servers than replicas
        "#]],
    );
    let observed = Observed {
        next_ordinal: Some(7),
        ..Observed::default()
    };
    check(
        0,
        &desired(2),
        &observed,
        &expect![[r#"
        create number 7: fewer servers than replicas
        create number 8: fewer servers than replicas
    "#]],
    );
}

#[test]
fn held_servers_count_first_and_survive_every_scale_down() {
    let servers = vec![
        server("match", State::Allocated),
        server("other-match", State::Allocated),
        server("set-aside", State::Reserved),
        server("idle", State::Ready),
        server("starting", State::Scheduled),
    ];
    check(0, &desired(5), &observed(servers.clone()), &expect![[r""]]);
    check(
        0,
        &desired(4),
        &observed(servers.clone()),
        &expect![[r#"
        delete starting: more servers than replicas
    "#]],
    );
    check(
        0,
        &desired(0),
        &observed(servers),
        &expect![[r#"
        delete starting: more servers than replicas
        delete idle: more servers than replicas
    "#]],
    );
}

#[test]
fn packed_scale_down_empties_the_least_used_node() {
    let on = |node: &str, server: Server| Server {
        node: node.to_owned(),
        ..server
    };
    let servers = vec![
        on("full", server("full-1", State::Ready)),
        on("full", server("full-2", State::Ready)),
        on("full", server("full-starting", State::Scheduled)),
        on("lone", server("lone", State::Ready)),
        on("", server("homeless", State::Creating)),
    ];
    let node_load = BTreeMap::from([("full".to_owned(), 2), ("lone".to_owned(), 1)]);
    let observed = Observed {
        servers,
        node_load,
        ..Observed::default()
    };
    check(
        0,
        &desired(1),
        &observed,
        &expect![[r#"
        delete homeless: more servers than replicas
        delete full-starting: more servers than replicas
        delete lone: more servers than replicas
        delete full-1: more servers than replicas
    "#]],
    );
}

#[test]
fn distributed_scale_down_removes_the_newest_that_nobody_can_use_first() {
    let servers = vec![
        Server {
            created: at(10),
            ..server("old", State::Ready)
        },
        Server {
            created: at(30),
            ..server("new", State::Ready)
        },
        Server {
            created: at(20),
            ..server("starting", State::Scheduled)
        },
    ];
    let desired = Desired {
        scheduling: Scheduling::Distributed,
        ..desired(1)
    };
    check(
        40,
        &desired,
        &observed(servers),
        &expect![[r#"
        delete starting: more servers than replicas
        delete new: more servers than replicas
    "#]],
    );
}

#[test]
fn ended_servers_of_others_are_left_alone_and_replaced() {
    let going = Server {
        being_deleted: true,
        ..server("going", State::Ready)
    };
    let servers = vec![server("ended", State::Shutdown), going];
    check(
        0,
        &desired(2),
        &observed(servers),
        &expect![[r#"
        create number 0: fewer servers than replicas
        create number 1: fewer servers than replicas
    "#]],
    );
}

#[test]
fn a_set_that_goes_does_nothing() {
    let desired = Desired {
        being_deleted: true,
        ..desired(2)
    };
    check(
        100,
        &desired,
        &observed(vec![failed("failed", 0, 10)]),
        &expect![[r#"
            1 failures in a row, the last at 10 s
        "#]],
    );
    check(
        100,
        &Desired {
            replicas: 0,
            ..desired
        },
        &observed(vec![server("a", State::Ready)]),
        &expect![[r""]],
    );
}

#[test]
fn batches_are_bounded_and_go_on_at_once() {
    let policy = Policy {
        max_creations: 2,
        max_deletions: 2,
        max_pending: 3,
        ..Policy::default()
    };
    let check = |replicas, servers, expected: Expect| {
        expected.assert_eq(&show(&plan(
            at(100),
            &policy,
            &desired(replicas),
            &observed(servers),
        )));
    };
    check(
        5,
        vec![],
        expect![[r#"
        create number 0: fewer servers than replicas
        create number 1: fewer servers than replicas
        look again in 0ns
    "#]],
    );
    let pending = |count| (0..count).map(|index| server(&format!("p{index}"), State::Creating));
    check(
        5,
        pending(2).collect(),
        expect![[r#"
        create number 0: fewer servers than replicas
    "#]],
    );
    check(5, pending(3).collect(), expect![[r""]]);
    let mut servers: Vec<_> = pending(2).collect();
    servers.push(failed("failed", 0, 10));
    check(
        0,
        servers,
        expect![[r#"
        delete failed: failed, and was kept long enough to be looked at
        delete p0: more servers than replicas
        look again in 0ns
        1 failures in a row, the last at 10 s
    "#]],
    );
}

#[test]
fn allocated_servers_beyond_replicas_are_marked_and_stay_marked() {
    let overflow = AllocationOverflow {
        labels: BTreeMap::from([("over".to_owned(), "true".to_owned())]),
        annotations: BTreeMap::new(),
    };
    let desired = |replicas| Desired {
        overflow: Some(overflow.clone()),
        ..desired(replicas)
    };
    let mut servers: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| server(name, State::Allocated))
        .collect();
    check(
        0,
        &desired(1),
        &observed(servers.clone()),
        &expect![[r#"
        mark a: more servers are Allocated than replicas
        mark b: more servers are Allocated than replicas
    "#]],
    );
    servers[2].has_overflow = true;
    check(
        0,
        &desired(1),
        &observed(servers.clone()),
        &expect![[r#"
        mark a: more servers are Allocated than replicas
    "#]],
    );
    check(0, &desired(3), &observed(servers.clone()), &expect![[r""]]);
    let nothing = Desired {
        overflow: Some(AllocationOverflow::default()),
        ..desired(0)
    };
    check(0, &nothing, &observed(servers), &expect![[r""]]);

    let labels = BTreeMap::from([
        ("over".to_owned(), "true".to_owned()),
        ("own".to_owned(), "value".to_owned()),
    ]);
    assert!(carries(&overflow, &labels, &BTreeMap::new()));
    assert!(!carries(&overflow, &BTreeMap::new(), &labels));
}

#[test]
fn status_counts_every_server_once() {
    let mut servers: Vec<_> = State::ALL
        .iter()
        .map(|state| server(state.as_str(), *state))
        .collect();
    servers.push(Server {
        being_deleted: true,
        ..server("going", State::Allocated)
    });
    let observed = observed(servers);
    let desired = desired(3);
    let plan = Plan {
        actions: Vec::new(),
        requeue: Some(Duration::ZERO),
        backoff: Some(Backoff {
            failures: 2,
            last_failure_time: START,
        }),
        next_ordinal: 0,
    };
    let status = status(&desired, &observed, &plan);
    expect![[r#"
        {
          "observedGeneration": 1,
          "replicas": 8,
          "readyReplicas": 1,
          "reservedReplicas": 1,
          "allocatedReplicas": 1,
          "shutdownReplicas": 4,
          "backoff": {
            "failures": 2,
            "lastFailureTime": "2026-01-01T00:00:00Z"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&status).unwrap());
    assert_eq!(
        observed.servers.len(),
        usize::try_from(status.replicas + status.shutdown_replicas).unwrap()
    );
}
