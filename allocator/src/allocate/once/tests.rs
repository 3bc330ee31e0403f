//! Request ids over the fake API: retries, races, crashes and late writes; one server, ever.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use super::*;
use crate::allocate::Bounds;
use crate::fake::harness::{BOUNDS, Core, any, fleet, until};
use crate::fake::{Fake, Fault, LEASES, SERVERS};
use crate::status;

const START: &str = "2026-01-01T00:00:00Z";

fn mark(request_id: &str) -> Mark {
    let of_match = json!({"matchId": "", "requestId": request_id, "players": []});
    Mark {
        request_id: request_id.to_owned(),
        of_match: of_match.to_string(),
    }
}

async fn ask(core: &Core, request_id: &str, time: Duration) -> Result<Had, Error> {
    let deadline = Instant::now() + time;
    let mark = mark(request_id);
    core.allocator.allocate_once(&any(), &mark, deadline).await
}

/// The name of the server, or the code of the error.
fn outcome(had: &Result<Had, Error>) -> String {
    match had {
        Ok(Had::Now(Allocated { server, .. }) | Had::Before(server)) => {
            server.metadata.name.clone().unwrap()
        }
        Err(error) => format!(
            "{:?}",
            status::of(error, tonic::Code::ResourceExhausted).code()
        ),
    }
}

async fn answer(core: &Core, request_id: &str) -> String {
    outcome(&ask(core, request_id, Duration::from_secs(15)).await)
}

/// Servers by the request id that they carry.
fn holders(fake: &Fake) -> BTreeMap<String, Vec<String>> {
    let mut holders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for server in fake.all(SERVERS) {
        if let Some(id) = server["metadata"]["labels"][crds::meta::REQUEST_LABEL].as_str() {
            let name = server["metadata"]["name"].as_str().unwrap().to_owned();
            holders.entry(id.to_owned()).or_default().push(name);
        }
    }
    holders
}

async fn replicas(fake: &Fake) -> [Core; 2] {
    [
        Core::start(fake, BOUNDS, 1).await,
        Core::start(fake, BOUNDS, 2).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_retry_gets_the_same_server_from_every_replica() {
    let fake = fleet(3);
    let [one, two] = replicas(&fake).await;
    assert_eq!(answer(&one, "r").await, "gs-00");
    assert_eq!(answer(&two, "r").await, "gs-00");
    // Known from the watch.
    until(&one.servers, |_| one.matches.find("default", "r").is_some()).await;
    assert_eq!(answer(&one, "r").await, "gs-00");
    assert_eq!(answer(&two, "other").await, "gs-01");
    assert_eq!(one.counter("muster_allocator_known_requests_total"), 1);
    let server = fake.get("gs-00");
    assert_eq!(server["metadata"]["labels"][crds::meta::REQUEST_LABEL], "r");
}

#[tokio::test(start_paused = true)]
async fn two_replicas_at_once_give_one_server() {
    let fake = fleet(3);
    let [one, two] = replicas(&fake).await;
    let asked = [&one, &two, &one, &two].map(|core| answer(core, "r"));
    let answers = futures::future::join_all(asked).await;
    assert_eq!(answers, ["gs-00"; 4]);
    assert_eq!(fake.allocated(), ["gs-00"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_server_is_found_again_when_nothing_is_left() {
    let fake = fleet(1);
    let [one, two] = replicas(&fake).await;
    // The answer is lost, and the watch of the other replica is behind.
    assert_eq!(answer(&one, "r").await, "gs-00");
    assert_eq!(answer(&two, "r").await, "gs-00");
    assert_eq!(answer(&two, "s").await, "ResourceExhausted");
    assert_eq!(fake.all(LEASES).len(), 1, "no capacity leaves no guard");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gave_up_gets_what_was_committed_for_it() {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let fake = fleet(3);
    let [one, two] = replicas(&fake).await;
    fake.faults([Fault::CommitThenSilence]);
    let impatient = ask(&one, "r", Duration::from_secs(1)).await;
    assert_eq!(outcome(&impatient), "DeadlineExceeded");
    assert_eq!(answer(&two, "r").await, "gs-00");
    one.allocator.drain().await;
    assert_eq!(fake.allocated(), ["gs-00"]);
}

/// As if the process had ended between its two writes.
async fn crashed(fake: &Fake, request_id: &str, server: &str, seconds: i64) {
    let guards = Guards::new(fake.client(), "muster-system", BOUNDS.commit);
    let claim = Claim {
        namespace: "default".to_owned(),
        request_id: request_id.to_owned(),
    };
    let version = fake.get(server)["metadata"]["resourceVersion"].clone();
    let intent = Intent {
        game_server: server.to_owned(),
        version: version.as_str().unwrap().parse().unwrap(),
    };
    let until = runtime::clock::now() + SignedDuration::from_secs(seconds);
    let guard = guards.create(&claim, "crashed", intent, until).await;
    assert!(guard.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_crashed_is_taken_over_with_its_own_server() {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let fake = fleet(3);
    let core = Core::start(&fake, BOUNDS, 1).await;
    crashed(&fake, "r", "gs-02", 10).await;
    let begin = Instant::now();
    let early = ask(&core, "r", Duration::from_secs(5)).await;
    assert_eq!(outcome(&early), "DeadlineExceeded");
    assert_eq!(answer(&core, "r").await, "gs-02");
    assert!(begin.elapsed() >= Duration::from_secs(10));
    assert_eq!(core.counter("muster_allocator_request_guards_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_call_whose_server_was_taken_gets_another_one() {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    crashed(&fake, "r", "gs-00", 1).await;
    assert_eq!(answer(&core, "other").await, "gs-00");
    assert_eq!(answer(&core, "r").await, "gs-01");
    crashed(&fake, "s", "gs-01", 1).await;
    fake.delete(SERVERS, "default", "gs-01");
    core.sees(0).await;
    assert_eq!(answer(&core, "s").await, "ResourceExhausted");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_without_a_change_does_not_free_another_calls_server() {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    crashed(&fake, "r", "gs-00", 1).await;
    fake.faults([Fault::Status(409)]);
    assert_eq!(answer(&core, "r").await, "Aborted");
    assert_eq!(fake.allocated(), Vec::<String>::new());
    assert_eq!(answer(&core, "r").await, "gs-00", "and no other");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_server_has_ended_gets_no_other_one() {
    let fake = fleet(2);
    let [one, two] = replicas(&fake).await;
    assert_eq!(answer(&one, "r").await, "gs-00");
    one.allocator.drain().await;
    fake.touch("gs-00", &json!({"status": {"state": "Shutdown"}}));
    assert_eq!(answer(&two, "r").await, "AlreadyExists");
    fake.delete(SERVERS, "default", "gs-00");
    assert_eq!(answer(&two, "r").await, "AlreadyExists");
    assert_eq!(fake.allocated(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_released_server_is_ready_or_ends_and_release_is_idempotent() {
    let fake = fleet(1);
    let [one, two] = replicas(&fake).await;
    let claim = |request_id: &str| Claim {
        namespace: "default".to_owned(),
        request_id: request_id.to_owned(),
    };
    two.allocator
        .release(&claim("unknown"), true)
        .await
        .unwrap();
    assert_eq!(answer(&one, "r").await, "gs-00");
    fake.faults([Fault::Status(409), Fault::CommitThenStatus(504)]);
    two.allocator.release(&claim("r"), true).await.unwrap();
    two.allocator.release(&claim("r"), true).await.unwrap();
    let server = fake.get("gs-00");
    assert_eq!(server["status"]["state"], "Ready");
    assert_eq!(holders(&fake), BTreeMap::new());
    assert!(server["metadata"]["annotations"][crds::meta::MATCH_ANNOTATION].is_null());
    one.sees(1).await;
    assert_eq!(answer(&one, "s").await, "gs-00");
    one.allocator.release(&claim("s"), false).await.unwrap();
    assert_eq!(fake.get("gs-00")["status"]["state"], "Shutdown");
    // The server of "s", whatever became of "r".
    one.allocator.release(&claim("r"), true).await.unwrap();
    assert_eq!(fake.get("gs-00")["status"]["state"], "Shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_release_does_not_overlook_a_server_on_its_way() {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    crashed(&fake, "r", "gs-00", 10).await;
    let claim = Claim {
        namespace: "default".to_owned(),
        request_id: "r".to_owned(),
    };
    let early = core.allocator.release(&claim, false).await;
    assert!(matches!(early, Err(Error::Claimed)), "{early:?}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    core.allocator.release(&claim, false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn agones_requests_cost_no_guard() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    assert_eq!(core.outcome().await, "gs-00");
    assert_eq!(fake.all(LEASES).len(), 0);
}

/// One call of a schedule.
#[derive(Clone, Debug)]
struct Call {
    replica: usize,
    request: usize,
    at: u64,
    time: u64,
    /// The caller goes away after this time.
    leaves: Option<u64>,
}

fn call() -> impl Strategy<Value = Call> {
    let leaves = prop::option::weighted(0.3, 0..8_000_u64);
    (
        0..3_usize,
        0..2_usize,
        0..40_000_u64,
        100..15_000_u64,
        leaves,
    )
        .prop_map(|(replica, request, at, time, leaves)| Call {
            replica,
            request,
            at,
            time,
            leaves,
        })
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => (0..3_000_u64).prop_map(Fault::CommitAfter),
        3 => (5_000..60_000_u64).prop_map(Fault::CommitAfter),
        2 => Just(Fault::CommitThenSilence),
        1 => Just(Fault::CommitThenStatus(504)),
        2 => Just(Fault::Silence),
        1 => Just(Fault::Status(409)),
        1 => Just(Fault::Status(500)),
        1 => Just(Fault::Status(429)),
    ]
}

/// Runs a schedule, and checks that no request id has, or had, two servers.
async fn run(calls: Vec<Call>, patches: Vec<Fault>, leases: Vec<Fault>, others: Vec<u64>) {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let fake = fleet(4);
    let bounds = Bounds {
        requests: 1_000,
        ..BOUNDS
    };
    let mut cores = Vec::new();
    for replica in 1..4 {
        cores.push(Rc::new(Core::start(&fake, bounds, replica).await));
    }
    fake.faults(patches);
    fake.lease_faults(leases);
    let mut answers = BTreeMap::<usize, BTreeSet<String>>::new();
    let mut running = JoinSet::new();
    for call in calls {
        let core = Rc::clone(&cores[call.replica]);
        running.spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(call.at)).await;
            let request_id = format!("r-{}", call.request);
            let asked = ask(&core, &request_id, Duration::from_millis(call.time));
            let patience = call.leaves.map_or(Duration::MAX, Duration::from_millis);
            let had = tokio::time::timeout(patience, asked).await;
            let server = had.ok().filter(Result::is_ok).map(|had| outcome(&had));
            (call.request, server)
        });
    }
    for at in others {
        let core = Rc::clone(&cores[0]);
        running.spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            drop(core.outcome().await);
            (usize::MAX, None)
        });
    }
    while let Some(ended) = running.join_next().await {
        let (request, server) = ended.unwrap();
        answers.entry(request).or_default().extend(server);
    }
    // Every late write has come by then.
    tokio::time::sleep(Duration::from_mins(5)).await;
    for (request, servers) in answers {
        assert!(servers.len() <= 1, "r-{request} was told of {servers:?}");
        let holders = holders(&fake);
        let held = holders.get(&format!("r-{request}"));
        let held: Vec<_> = held.into_iter().flatten().cloned().collect();
        assert!(held.len() <= 1, "r-{request} holds {held:?}");
        for told in &servers {
            assert_eq!(held, std::slice::from_ref(told), "r-{request}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_schedule_gives_a_request_two_servers(
        calls in prop::collection::vec(call(), 2..10),
        patches in prop::collection::vec(fault(), 0..8),
        leases in prop::collection::vec(fault(), 0..8),
        others in prop::collection::vec(0..40_000_u64, 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, run(calls, patches, leases, others));
    }
}
