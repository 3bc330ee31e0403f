//! Request ids over the fake API: retries, races, crashes and late writes; one server, ever.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use super::*;
use crate::allocate::Bounds;
use crate::fake::harness::{self, BOUNDS, Core, any, fleet, until};
use crate::fake::{Fake, Fault, LEASES, SERVERS};
use crate::guard::Sweep;
use crate::servers::Servers;
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
async fn crashed(fake: &Fake, request_id: &str, server: &str, seconds: i64) -> Intent {
    let guards = Guards::new(fake.client(), "muster-system", BOUNDS.commit);
    let claim = claim(request_id);
    let version = fake.get(server)["metadata"]["resourceVersion"].clone();
    let intent = Intent {
        game_server: server.to_owned(),
        version: version.as_str().unwrap().parse().unwrap(),
    };
    let until = runtime::clock::now() + SignedDuration::from_secs(seconds);
    let guard = guards.create(&claim, "crashed", intent, until).await;
    guard.unwrap().unwrap().intent
}

fn claim(request_id: &str) -> Claim {
    Claim {
        namespace: "default".to_owned(),
        request_id: request_id.to_owned(),
    }
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
    let intent = crashed(&fake, "r", "gs-00", 10).await;
    let early = core.allocator.release(&claim("r"), false).await;
    assert!(matches!(early, Err(Error::Claimed)), "{early:?}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    fake.faults([Fault::Status(409), Fault::CommitThenStatus(504)]);
    core.allocator.release(&claim("r"), false).await.unwrap();
    // The write of the call that crashed comes at last, and too late.
    let choice = Choice {
        key: Key::new("default", &intent.game_server),
        version: intent.version,
        state: SelectorState::Ready,
    };
    let write = Write::of(&choice, &any(), Some(&mark("r")), "crashed".to_owned());
    let api = core.allocator.api("default");
    let late = commit::commit(&api, &write, &BOUNDS.commit, || true).await;
    assert!(matches!(late, Ok(Outcome::Lost)), "{late:?}");
    assert_eq!(fake.allocated(), Vec::<String>::new());
    core.allocator.release(&claim("r"), false).await.unwrap();
    assert_eq!(answer(&core, "r").await, "AlreadyExists");
    assert_eq!(answer(&core, "s").await, "gs-00", "it is free for others");
}

#[tokio::test(start_paused = true)]
async fn a_release_ends_a_server_that_came_after_the_callers_deadline() {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    for late in [2_500, 12_000] {
        let fake = fleet(1);
        let core = Core::start(&fake, BOUNDS, 1).await;
        fake.faults([Fault::CommitAfter(late)]);
        let impatient = ask(&core, "r", Duration::from_secs(1)).await;
        assert_eq!(outcome(&impatient), "DeadlineExceeded");
        tokio::time::sleep(Duration::from_secs(2)).await;
        core.allocator.release(&claim("r"), true).await.unwrap();
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(fake.allocated(), Vec::<String>::new(), "{late}");
        assert_eq!(answer(&core, "r").await, "AlreadyExists");
    }
}

#[tokio::test(start_paused = true)]
async fn a_released_request_gets_no_other_server_though_its_guard_was_left_open() {
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.lease_faults([Fault::CommitThenStatus(504), Fault::Status(403)]);
    assert_eq!(answer(&core, "r").await, "gs-00");
    core.allocator.release(&claim("r"), true).await.unwrap();
    assert_eq!(answer(&core, "r").await, "AlreadyExists");
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_leaves_no_guard_unless_it_may_have_been_made() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::Status(403)]);
    assert_eq!(answer(&core, "r").await, "Internal");
    assert_eq!(fake.all(LEASES).len(), 0);
    fake.faults([Fault::CommitLate, Fault::Status(403)]);
    assert_eq!(answer(&core, "r").await, "Internal");
    assert_eq!(fake.all(LEASES).len(), 1);
    assert_eq!(answer(&core, "r").await, "gs-00");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_left_leaves_no_guard_of_what_was_not_written() {
    for (fault, is_taken_over, left) in [
        (Fault::Status(429), false, 0),
        (Fault::Status(403), false, 0),
        (Fault::Status(409), false, 0),
        (Fault::Silence, false, 1),
        (Fault::Status(429), true, 1),
        (Fault::Status(409), true, 1),
    ] {
        let _clock = runtime::clock::virtual_time(START.parse().unwrap());
        let fake = fleet(1);
        let core = Core::start(&fake, BOUNDS, 1).await;
        if is_taken_over {
            crashed(&fake, "r", "gs-00", 1).await;
        }
        fake.faults([fault]);
        let gate = fake.hold_patches();
        tokio::select! {
            _ = answer(&core, "r") => panic!("the write is held"),
            () = fake.patches_arrive(1) => {}
        }
        gate.add_permits(8);
        core.allocator.drain().await;
        assert_eq!(fake.all(LEASES).len(), left, "{fault:?} {is_taken_over}");
    }
}

/// Any Allocated server.
fn again(metadata: &serde_json::Value) -> Request {
    harness::request(json!({
        "namespace": "default", "metadata": metadata,
        "gameServerSelectors": [{"gameServerState": "ALLOCATED"}],
    }))
}

#[tokio::test(start_paused = true)]
async fn a_match_keeps_its_server_when_that_is_given_again() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    assert_eq!(answer(&core, "r").await, "gs-00");
    let of_match = json!({"muster.dev/match-result": "1", "muster.dev/claim-time": "2",
        "muster.dev/player-count": "3"});
    fake.touch("gs-00", &json!({"metadata": {"annotations": of_match}}));
    let seen = fake.get("gs-00")["metadata"]["resourceVersion"].clone();
    let seen: u64 = seen.as_str().unwrap().parse().unwrap();
    let key = Key::new("default", "gs-00");
    let is_seen = |servers: &Servers| servers.read(|index| index.version(&key)) == Some(seen);
    until(&core.servers, is_seen).await;
    let before = fake.get("gs-00")["metadata"].clone();
    let metadata = json!({
        "labels": {"mode": "ctf", "muster.dev/request": "x"},
        "annotations": {"muster.dev/match": "x", "muster.dev/claim-time": "x"},
    });
    let deadline = Instant::now() + Duration::from_secs(5);
    let given = core.allocator.allocate(again(&metadata), deadline).await;
    assert_eq!(harness::name(given), "gs-00");
    let after = fake.get("gs-00")["metadata"].clone();
    assert_eq!(after["labels"]["mode"], "ctf");
    assert_eq!(after["labels"]["muster.dev/request"], "r");
    for key in ["match", "match-result", "claim-time", "player-count"] {
        let key = format!("muster.dev/{key}");
        assert_eq!(
            after["annotations"][&key], before["annotations"][&key],
            "{key}"
        );
    }
    assert_eq!(answer(&core, "r").await, "gs-00", "it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_given_the_server_of_another_one() {
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let mut request = again(&json!({}));
    request.wanted.has_request_id = true;
    let ask = async |id: &str| {
        let deadline = Instant::now() + Duration::from_secs(15);
        let mark = mark(id);
        outcome(
            &core
                .allocator
                .allocate_once(&request, &mark, deadline)
                .await,
        )
    };
    assert_eq!(answer(&core, "r").await, "gs-00");
    assert_eq!(ask("s").await, "ResourceExhausted");
    // Allocated for nobody whom we know.
    assert_eq!(core.outcome().await, "gs-01");
    assert_eq!(ask("s").await, "gs-01");
    assert_eq!(ask("t").await, "ResourceExhausted");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_given_again_while_its_write_was_in_doubt_is_still_the_requests() {
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    fake.faults([Fault::CommitThenSilence]);
    let given_again = async {
        fake.patches_arrive(1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let annotations = json!({"muster.dev/allocation-id": "of another request"});
        fake.touch("gs-00", &json!({"metadata": {"annotations": annotations}}));
    };
    let (had, ()) = tokio::join!(answer(&core, "r"), given_again);
    assert_eq!(had, "gs-00");
    assert_eq!(fake.allocated(), ["gs-00"]);
}

#[tokio::test(start_paused = true)]
async fn servers_in_matches_are_of_one_class() {
    let fake = fleet(8);
    let core = Core::start(&fake, BOUNDS, 1).await;
    for number in 0..8 {
        answer(&core, &format!("r-{number}")).await;
    }
    let none = crate::index::Labels::new();
    let classes = core
        .servers
        .read(|index| index.classes("default", &none).count());
    assert_eq!((fake.allocated().len(), classes), (8, 1));
}

#[tokio::test(start_paused = true)]
async fn agones_requests_cost_no_guard() {
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    assert_eq!(core.outcome().await, "gs-00");
    assert_eq!(fake.all(LEASES).len(), 0);
}

/// One event of a schedule.
#[derive(Clone, Debug)]
enum Event {
    Allocate {
        replica: usize,
        request: usize,
        time: u64,
        /// The caller goes away after this time.
        leaves: Option<u64>,
    },
    Release {
        replica: usize,
        request: usize,
        is_reused: bool,
    },
    /// A request without an id; maybe for an Allocated server.
    Other {
        is_again: bool,
    },
    /// A server ends, and maybe another one comes by its name.
    End {
        server: usize,
        is_replaced: bool,
    },
    Sweep,
}

fn event() -> impl Strategy<Value = (u64, Event)> {
    let leaves = prop::option::weighted(0.3, 0..8_000_u64);
    let allocate = (0..3_usize, 0..2_usize, 100..15_000_u64, leaves).prop_map(
        |(replica, request, time, leaves)| Event::Allocate {
            replica,
            request,
            time,
            leaves,
        },
    );
    let release =
        (0..3_usize, 0..2_usize, prop::bool::ANY).prop_map(|(replica, request, is_reused)| {
            Event::Release {
                replica,
                request,
                is_reused,
            }
        });
    let end = (0..4_usize, prop::bool::ANY).prop_map(|(server, is_replaced)| Event::End {
        server,
        is_replaced,
    });
    let event = prop_oneof![
        8 => allocate,
        4 => release,
        2 => prop::bool::ANY.prop_map(|is_again| Event::Other { is_again }),
        2 => end,
        1 => Just(Event::Sweep),
    ];
    (0..60_000_u64, event)
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

/// Replicas and what they were asked.
struct World {
    fake: Fake,
    cores: Vec<Core>,
    /// By request: when the last call for it ended, its write maybe being on its way.
    asked: [Cell<Option<Instant>>; 2],
    /// By request: when a release of it began that succeeded.
    released: [Cell<Option<Instant>>; 2],
}

impl World {
    /// The uid of the server that a caller was told of, with the number of the request.
    async fn run(&self, event: Event) -> Option<(usize, String)> {
        match event {
            Event::Allocate {
                replica,
                request,
                time,
                leaves,
            } => {
                let time = Duration::from_millis(time);
                let request_id = format!("r-{request}");
                let asked = ask(&self.cores[replica], &request_id, time);
                let patience = leaves.map_or(Duration::MAX, Duration::from_millis);
                let had = tokio::time::timeout(patience, asked).await;
                self.asked[request].set(Some(Instant::now()));
                match had {
                    Ok(Ok(Had::Now(Allocated { server, .. }) | Had::Before(server))) => {
                        Some((request, server.metadata.uid.unwrap()))
                    }
                    Ok(Err(_)) | Err(_) => None,
                }
            }
            Event::Release {
                replica,
                request,
                is_reused,
            } => {
                let claim = claim(&format!("r-{request}"));
                let release = self.cores[replica].allocator.release(&claim, is_reused);
                let begin = Instant::now();
                let released = tokio::time::timeout(Duration::from_secs(10), release).await;
                if let Ok(Ok(())) = released {
                    let known = self.released[request].get();
                    self.released[request].set(known.max(Some(begin)));
                }
                None
            }
            Event::Other { is_again } => {
                let wanted = if is_again { again(&json!({})) } else { any() };
                let deadline = Instant::now() + Duration::from_secs(15);
                drop(self.cores[0].allocator.allocate(wanted, deadline).await);
                None
            }
            Event::End {
                server,
                is_replaced,
            } => {
                self.end(&format!("gs-{server:02}"), is_replaced).await;
                None
            }
            Event::Sweep => {
                let core = &self.cores[0];
                let sweep = Sweep {
                    guards: core.allocator.0.once.guards.clone(),
                    namespaces: Vec::new(),
                    servers: core.servers.clone(),
                    matches: core.matches.clone(),
                    metrics: core.metrics.clone(),
                };
                sweep.once().await.unwrap();
                None
            }
        }
    }

    /// Ends a server as the game does, whose match lasts until its guard says that it was had: that
    /// a match may end before, while the process that would say so has ended, is the known gap.
    async fn end(&self, name: &str, is_replaced: bool) {
        let find = || {
            let servers = self.fake.all(SERVERS).into_iter();
            let mut named = servers.filter(|server| server["metadata"]["name"] == name);
            named.next()
        };
        let is_open = || {
            let request = find()?["metadata"]["labels"][crds::meta::REQUEST_LABEL].clone();
            let open = format!(r#""requestId":{request},"#);
            let guards = self.fake.all(LEASES).into_iter();
            let mut records = guards.map(|guard| {
                let record = &guard["metadata"]["annotations"]["muster.dev/request"];
                record.as_str().unwrap().to_owned()
            });
            records.find(|record| record.contains(&open) && record.contains(r#""isDone":false"#))
        };
        while is_open().is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if find().is_none() {
            return;
        }
        let shutdown = json!({"status": {"state": "Shutdown"}});
        self.fake.touch(name, &shutdown);
        tokio::time::sleep(Duration::from_millis(500)).await;
        if find().is_some() {
            self.fake.delete(SERVERS, "default", name);
        }
        if is_replaced {
            self.bring(name);
        }
    }

    fn bring(&self, name: &str) {
        self.fake.ready(name, "n", &[]);
        let uid = self.fake.get(name)["metadata"]["resourceVersion"].clone();
        self.fake.touch(name, &json!({"metadata": {"uid": uid}}));
    }

    /// The Allocated servers of a request, by uid.
    fn held(&self, request: usize) -> Vec<String> {
        let is_held = |server: &serde_json::Value| {
            let label = &server["metadata"]["labels"][crds::meta::REQUEST_LABEL];
            *label == format!("r-{request}") && server["status"]["state"] == "Allocated"
        };
        let servers = self.fake.all(SERVERS).into_iter().filter(is_held);
        let uid =
            |server: serde_json::Value| server["metadata"]["uid"].as_str().unwrap().to_owned();
        servers.map(uid).collect()
    }
}

/// Runs a schedule, and checks that no request id has, or ever had, two servers, and that a release
/// at the end is the end.
async fn run(events: Vec<(u64, Event)>, patches: Vec<Fault>, leases: Vec<Fault>) {
    let _clock = runtime::clock::virtual_time(START.parse().unwrap());
    let bounds = Bounds {
        requests: 1_000,
        ..BOUNDS
    };
    let mut world = World {
        fake: fleet(0),
        cores: Vec::new(),
        asked: Default::default(),
        released: Default::default(),
    };
    for number in 0..4 {
        world.bring(&format!("gs-{number:02}"));
    }
    for replica in 1..4 {
        let core = Core::start(&world.fake, bounds, replica).await;
        world.cores.push(core);
    }
    world.fake.faults(patches);
    world.fake.lease_faults(leases);
    let is_kept = |request: usize| {
        let frees = |(_, event): &(u64, Event)| match event {
            Event::Release { request: of, .. } => *of == request,
            Event::End { .. } => true,
            Event::Allocate { .. } | Event::Other { .. } | Event::Sweep => false,
        };
        !events.iter().any(frees)
    };
    let kept = [0, 1].map(is_kept);
    let world = Rc::new(world);
    let mut told = BTreeMap::<usize, BTreeSet<String>>::new();
    let mut running = JoinSet::new();
    for (at, event) in events {
        let world = Rc::clone(&world);
        running.spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            world.run(event).await
        });
    }
    // What waits for a guard that was left open waits for a sweep.
    let sweeps = Rc::clone(&world);
    let sweeps = async move {
        loop {
            tokio::time::sleep(Duration::from_mins(2)).await;
            sweeps.run(Event::Sweep).await;
        }
    };
    tokio::select! {
        () = sweeps => {}
        () = async {
            while let Some(ended) = running.join_next().await {
                if let Some((request, server)) = ended.unwrap() {
                    told.entry(request).or_default().insert(server);
                }
            }
        } => {}
    }
    // Every late write has come by then.
    world.fake.heal();
    tokio::time::sleep(Duration::from_mins(5)).await;
    for request in [0, 1] {
        let told: Vec<_> = told.remove(&request).into_iter().flatten().collect();
        let held = world.held(request);
        assert!(told.len() <= 1, "r-{request} was told of {told:?}");
        assert!(held.len() <= 1, "r-{request} holds {held:?}");
        if !told.is_empty() {
            assert!(
                held.is_empty() || held == told,
                "r-{request} holds {held:?}"
            );
            assert!(!kept[request] || held == told, "r-{request} lost {told:?}");
        }
        if world.released[request].get() > world.asked[request].get() {
            assert!(
                held.is_empty(),
                "r-{request} was released before {held:?} came"
            );
        }
        let claim = claim(&format!("r-{request}"));
        let release = world.cores[1].allocator.release(&claim, true);
        release.await.unwrap();
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(
        [0, 1].map(|request| world.held(request)),
        [Vec::<String>::new(), Vec::new()]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_schedule_gives_a_request_two_servers(
        events in prop::collection::vec(event(), 2..14),
        patches in prop::collection::vec(fault(), 0..8),
        leases in prop::collection::vec(fault(), 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, run(events, patches, leases));
    }
}
