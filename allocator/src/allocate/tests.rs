//! Allocations over the fake API: races, faults, callers that go away.

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::expect;
use runtime::admin::Admin;
use serde_json::json;
use tokio::task::JoinSet;

use super::*;
use crate::cache::{self, Follow};
use crate::fake::harness::{BOUNDS, Core, any, deadline, fleet, name, once, request};
use crate::fake::{Fault, NODES, SERVERS};
use crate::matches::Matches;

#[tokio::test(start_paused = true)]
async fn one_write_makes_an_allocation() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let request = request(json!({
        "namespace": "default",
        "gameServerSelectors": [{"matchLabels": {"muster.dev/fleet": "f"}}],
        "metadata": {"labels": {"mode": "ctf"}, "annotations": {"map": "garden"}},
    }));
    let allocated = core.allocator.allocate(request, deadline()).await.unwrap();
    assert_eq!(allocated.tries, 1);
    assert_eq!(fake.patches(), 1);
    let mut stored = fake.get("gs-00");
    let annotations = stored["metadata"]["annotations"].as_object_mut().unwrap();
    let time = annotations.remove("muster.dev/last-allocated").unwrap();
    let _: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    expect![[r#"
        {
          "metadata": {
            "annotations": {
              "map": "garden",
              "muster.dev/allocation-id": "00000000000000000000000000000001-0"
            },
            "labels": {
              "mode": "ctf",
              "muster.dev/fleet": "f"
            },
            "name": "gs-00",
            "namespace": "default",
            "resourceVersion": "3"
          },
          "spec": {
            "template": {}
          },
          "status": {
            "address": "203.0.113.7",
            "addresses": [
              {
                "address": "10.0.0.7",
                "type": "InternalIP"
              }
            ],
            "nodeName": "n",
            "ports": [
              {
                "name": "default",
                "port": 7012
              }
            ],
            "state": "Allocated"
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&stored).unwrap());
    assert_eq!(allocated.server.status.unwrap().ports[0].port, 7012);
}

#[tokio::test(start_paused = true)]
async fn without_capacity_nothing_is_written() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    assert_eq!(core.outcome().await, "gs-00");
    let exhausted = "ResourceExhausted: there is no available GameServer to allocate in namespace";
    assert_eq!(core.outcome().await, format!("{exhausted} \"default\""));
    let elsewhere = core
        .allocator
        .allocate(request(json!({})), deadline())
        .await;
    assert_eq!(name(elsewhere), format!("{exhausted} \"\""));
    assert_eq!(fake.patches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_run_again_at_once() {
    let fake = fleet(3);
    let core = Core::start(&fake, BOUNDS, 1).await;
    // Not yielded to the watch yet: the index is behind.
    fake.touch("gs-00", &json!({"status": {"state": "Shutdown"}}));
    let allocated = core.allocate().await.unwrap();
    assert_ne!(allocated.server.metadata.name.as_deref(), Some("gs-00"));
    assert_eq!(fake.allocated().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_alone_does_not_lose_the_last_server() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::Status(409)]);
    // The watch says nothing, since nothing changed but the version that the API server had.
    fake.touch(
        "gs-00",
        &json!({"metadata": {"labels": {"muster.dev/sdk-seen": "yes"}}}),
    );
    assert_eq!(core.outcome().await, "gs-00");
    assert_eq!(
        fake.get("gs-00")["metadata"]["labels"]["muster.dev/sdk-seen"],
        "yes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_though_nothing_has_changed_does_not_lose_the_server() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    // An admission webhook may answer so.
    fake.faults([Fault::Status(409)]);
    assert_eq!(core.outcome().await, "gs-00");
}

#[tokio::test(start_paused = true)]
async fn endless_conflicts_end_in_contention() {
    let fake = fleet(40);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::Status(409); 100]);
    assert_eq!(
        core.outcome().await,
        "Aborted: too much contention: 16 chosen GameServers were taken or changed by others, retry"
    );
    assert_eq!(fake.patches(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_dropped() {
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::Status(404), Fault::Status(410)]);
    assert!(
        core.outcome().await.starts_with("ResourceExhausted"),
        "both are gone"
    );
    fake.ready("gs-new", "n", &[]);
    core.sees(1).await;
    assert_eq!(core.outcome().await, "gs-new");
}

/// Whatever happens to the first call, exactly one server is allocated, and it is the one that was
/// chosen first.
#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_gives_no_second_server() {
    let table: [(&str, &[Fault], usize); 8] = [
        ("committed, time-out", &[Fault::CommitThenSilence], 1),
        ("committed, 504", &[Fault::CommitThenStatus(504)], 1),
        ("committed, 500", &[Fault::CommitThenStatus(500)], 1),
        ("not committed, time-out", &[Fault::Silence], 2),
        ("not committed, 503", &[Fault::Status(503)], 2),
        ("throttled", &[Fault::Status(429), Fault::Status(429)], 3),
        ("committed late", &[Fault::CommitLate], 2),
        (
            "late again and again",
            &[Fault::CommitLate, Fault::CommitThenSilence],
            2,
        ),
    ];
    for (case, faults, patches) in table {
        let fake = fleet(3);
        let core = Core::start(&fake, BOUNDS, 1).await;
        fake.faults(faults.iter().copied());
        assert_eq!(core.outcome().await, "gs-00", "{case}");
        assert_eq!(fake.allocated(), ["gs-00"], "{case}");
        assert_eq!(fake.patches(), patches, "{case}");
        assert_eq!(core.outcome().await, "gs-01", "{case}: the next one");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_else_may_win_while_our_write_is_in_doubt() {
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::Silence]);
    let racing = core.allocate();
    let (result, ()) = tokio::join!(racing, async {
        fake.patches_arrive(1).await;
        let theirs = json!({"muster.dev/allocation-id": "theirs"});
        let patch = json!({"metadata": {"annotations": theirs}, "status": {"state": "Allocated"}});
        fake.touch("gs-00", &patch);
    });
    assert_eq!(name(result), "gs-01");
    assert_eq!(fake.allocated(), ["gs-00", "gs-01"]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_told_and_work_resumes() {
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.set_away(true);
    let unavailable = "Unavailable: the API server was not available, retry later; \
        a GameServer may have been allocated";
    assert_eq!(core.outcome().await, unavailable);
    assert_eq!(core.outcome().await, unavailable);
    fake.set_away(false);
    assert_eq!(core.outcome().await, "gs-00");
    assert_eq!(core.counter("muster_allocator_commits_total"), 3);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_api_server_are_not_repeated() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::Status(422), Fault::Status(403)]);
    expect!["InvalidArgument: the API server refused to allocate default/gs-00: fault"]
        .assert_eq(&core.outcome().await);
    expect![
        "Internal: the API server does not let the allocator write GameServers; its log tells more"
    ]
    .assert_eq(&core.outcome().await);
    assert_eq!(fake.patches(), 2);
    assert_eq!(core.outcome().await, "gs-00", "the server is free again");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_request_holds() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::CommitThenSilence]);
    let soon = Instant::now() + Duration::from_secs(1);
    let result = core.allocator.allocate(any(), soon).await;
    expect![
        "DeadlineExceeded: the request took too long; a GameServer may have been allocated for it"
    ]
    .assert_eq(&name(result));
    core.allocator.drain().await;
    assert_eq!(fake.allocated(), ["gs-00"]);
    assert_eq!(
        core.counter("muster_allocator_abandoned_allocations_total"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_is_finished_for_a_caller_that_is_gone() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let gate = fake.hold_patches();
    let gone = core.allocate();
    tokio::select! {
        _ = gone => panic!("the write is held"),
        () = fake.patches_arrive(1) => {}
    }
    gate.add_permits(1);
    core.allocator.drain().await;
    assert_eq!(fake.allocated(), ["gs-00"]);
    assert_eq!(
        core.counter("muster_allocator_abandoned_allocations_total"),
        1
    );
    assert!(
        core.outcome().await.starts_with("ResourceExhausted"),
        "it stays Allocated"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_gone_begins_nothing_more() {
    let fake = fleet(2);
    let core = Core::start(
        &fake,
        Bounds {
            commits: 1,
            ..BOUNDS
        },
        1,
    )
    .await;
    let gate = fake.hold_patches();
    let first = core.allocate();
    let waits = core.allocate();
    let writes = tokio::select! {
        biased;
        _ = async { tokio::join!(first, waits) } => panic!("the write is held"),
        () = fake.patches_arrive(1) => fake.patches(),
    };
    // Both are dropped here: one wrote, one waited for its place.
    gate.add_permits(10);
    core.allocator.drain().await;
    assert_eq!((writes, fake.patches()), (1, 1));
    assert_eq!(core.outcome().await, "gs-01");
    // Throttled and given up: it is not tried again for nobody.
    fake.ready("gs-02", "n", &[]);
    core.sees(1).await;
    fake.faults([Fault::Status(429)]);
    let gate = fake.hold_patches();
    tokio::select! {
        _ = core.allocate() => panic!("the write is held"),
        () = fake.patches_arrive(3) => {}
    }
    gate.add_permits(10);
    core.allocator.drain().await;
    assert_eq!(fake.patches(), 3);
    assert_eq!(core.outcome().await, "gs-02", "the reservation is released");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_awaited_before_capacity_is_denied() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let gate = fake.hold_patches();
    fake.faults([Fault::Status(403)]);
    let second = async {
        fake.patches_arrive(1).await;
        tokio::join!(core.outcome(), async { gate.add_permits(2) }).0
    };
    let (first, second) = tokio::join!(core.outcome(), second);
    assert!(first.starts_with("Internal"), "{first}");
    assert_eq!(second, "gs-00");
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_are_served_are_refused() {
    let fake = fleet(3);
    let core = Core::start(
        &fake,
        Bounds {
            requests: 1,
            ..BOUNDS
        },
        1,
    )
    .await;
    let gate = fake.hold_patches();
    let second = async {
        fake.patches_arrive(1).await;
        let outcome = core.outcome().await;
        gate.add_permits(1);
        outcome
    };
    let (first, second) = tokio::join!(core.outcome(), second);
    assert_eq!(first, "gs-00");
    expect!["Unavailable: too many allocation requests at once: at most 1 are served, retry later"]
        .assert_eq(&second);
}

#[tokio::test(start_paused = true)]
async fn allocated_servers_can_be_given_again() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    assert_eq!(core.outcome().await, "gs-00");
    let again = || {
        request(json!({
            "namespace": "default",
            "gameServerSelectors": [{"gameServerState": "ALLOCATED"}],
        }))
    };
    let results = tokio::join!(
        core.allocator.allocate(again(), deadline()),
        core.allocator.allocate(again(), deadline()),
        core.allocator.allocate(again(), deadline()),
    );
    for result in [results.0, results.1, results.2] {
        assert_eq!(name(result), "gs-00", "each waits for its turn");
    }
    assert_eq!(fake.patches(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_used_takes_its_servers_out() {
    let fake = fleet(1);
    fake.node("m", true, false);
    fake.ready("other", "m", &[]);
    let core = Core::start(&fake, BOUNDS, 1).await;
    core.sees(2).await;
    fake.node("n", true, true);
    core.sees(1).await;
    fake.node("n", false, false);
    fake.node("m", false, false);
    core.sees(0).await;
    fake.node("n", true, false);
    core.sees(1).await;
    fake.delete(NODES, "", "n");
    core.sees(0).await;
    fake.node("m", true, false);
    core.sees(1).await;
    fake.delete(SERVERS, "default", "other");
    core.sees(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_behind_lists_again() {
    let fake = fleet(3);
    let core = Core::start(&fake, BOUNDS, 1).await;
    core.sees(3).await;
    fake.set_away(true);
    fake.delete(SERVERS, "default", "gs-01");
    fake.ready("gs-09", "n", &[]);
    fake.ready("gs-10", "n", &[]);
    fake.compact();
    fake.set_away(false);
    core.sees(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_crd_is_awaited_and_told() {
    let fake = fleet(1);
    fake.set_crd(false);
    let (admin, servers) = (Admin::default(), Servers::default());
    let metrics = Metrics::register(admin.registry(), servers.clone()).unwrap();
    let matches = Matches::default();
    let once = once(&fake, BOUNDS, &matches);
    let allocator = Allocator::new(
        servers.clone(),
        fake.client(),
        BOUNDS,
        metrics.clone(),
        once,
        1,
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(cache::follow(Follow {
        client: fake.client(),
        namespaces: vec!["default".to_owned()],
        servers: servers.clone(),
        matches,
        admin: admin.clone(),
        metrics,
    }));
    let gates = || admin.closed();
    let is_told = || gates().iter().any(|(gate, _)| *gate == cache::CRDS);
    while !is_told() {
        tokio::task::yield_now().await;
    }
    let missing = (
        cache::CRDS,
        "CustomResourceDefinition gameservers.muster.dev is missing".to_owned(),
    );
    assert!(gates().contains(&missing), "{:?}", gates());
    let early = allocator.allocate(any(), deadline()).await;
    expect!["Unavailable: the allocator is starting: it does not know the game servers yet"]
        .assert_eq(&name(early));
    fake.set_away(true);
    let told = |part: &'static str| {
        move || {
            admin
                .closed()
                .iter()
                .any(|(_, reason)| reason.contains(part))
        }
    };
    let away = told("connection refused");
    tokio::time::timeout(Duration::from_mins(1), async {
        while !away() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        fake.set_away(false);
        fake.set_crd(true);
        while !servers.is_synced() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(name(allocator.allocate(any(), deadline()).await), "gs-00");
}

/// Three replicas, ten callers, as many requests as servers: every server once, no errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_give_every_server_once() {
    for round in 0..5 {
        let fake = fleet(50);
        let mut cores = Vec::new();
        for replica in 0..3 {
            cores.push(Arc::new(
                Core::start(&fake, BOUNDS, round * 10 + replica).await,
            ));
        }
        let mut callers = JoinSet::new();
        for caller in 0..10 {
            let cores = cores.clone();
            callers.spawn(async move {
                let mut names = Vec::new();
                for call in 0..5 {
                    let core = &cores[(caller + call) % cores.len()];
                    names.push(core.outcome().await);
                }
                names
            });
        }
        let names = callers.join_all().await.concat();
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), 50, "{names:?}");
        assert_eq!(fake.allocated().len(), 50);
        assert!(
            names.iter().all(|name| name.starts_with("gs-")),
            "{names:?}"
        );
    }
}
