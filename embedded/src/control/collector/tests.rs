use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::drive::drive;
use super::super::memory::{Memory, kind, pass};
use super::super::recorder::Recorder;
use super::*;

/// A collector that runs beside the test.
fn run(memory: &Arc<Memory>) -> CancellationToken {
    let stop = CancellationToken::new();
    let recorder = Recorder::new(memory.clock(), "garbage-collector-controller");
    let collector = Box::new(Collector::new(recorder));
    tokio::spawn(drive(collector, memory.clone(), stop.clone()));
    stop
}

fn settle() -> impl Future<Output = ()> {
    pass(Duration::from_millis(5))
}

fn reference(owner: &Object, blocks: bool) -> Value {
    json!({
        "apiVersion": owner.value()["apiVersion"],
        "kind": owner.value()["kind"],
        "name": owner.meta("name"),
        "uid": owner.meta("uid"),
        "blockOwnerDeletion": blocks,
    })
}

fn owned(name: &str, owners: &[Value]) -> Value {
    json!({ "metadata": { "name": name, "ownerReferences": owners } })
}

fn named(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

#[tokio::test(start_paused = true)]
async fn dependents_follow_their_owner() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    let server = memory.make(
        "gameservers",
        "default",
        owned("server", &[reference(&fleet, true)]),
    );
    memory.make("pods", "default", owned("pod", &[reference(&server, true)]));
    settle().await;
    assert_eq!(memory.names("pods"), ["pod"]);
    memory.remove("fleets", "default", "fleet", Some(Propagation::Background));
    assert_eq!(memory.names("gameservers"), ["server"]);
    settle().await;
    assert!(memory.names("gameservers").is_empty());
    assert!(memory.names("pods").is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_owner_left_is_enough_and_the_other_reference_goes() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let one = memory.make("fleets", "default", named("one"));
    let two = memory.make("fleets", "default", named("two"));
    let both = [reference(&one, false), reference(&two, false)];
    memory.make("gameservers", "default", owned("server", &both));
    memory.remove("fleets", "default", "one", None);
    settle().await;
    let server = memory.read("gameservers", "default", "server").unwrap();
    assert_eq!(server["metadata"]["ownerReferences"], json!([both[1]]));
    memory.remove("fleets", "default", "two", None);
    settle().await;
    assert!(memory.names("gameservers").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_the_foreground_waits_for_those_that_block() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    let mut slow = owned("slow", &[reference(&fleet, true)]);
    slow["metadata"]["finalizers"] = json!(["test/slow"]);
    memory.make("gameservers", "default", slow);
    let mut loose = owned("loose", &[reference(&fleet, false)]);
    loose["metadata"]["finalizers"] = json!(["test/loose"]);
    memory.make("gameservers", "default", loose);
    memory.make(
        "gameservers",
        "default",
        owned("quick", &[reference(&fleet, true)]),
    );
    memory.remove("fleets", "default", "fleet", Some(Propagation::Foreground));
    settle().await;
    // All were told to go, one that blocks is still there.
    assert_eq!(memory.names("gameservers"), ["loose", "slow"]);
    let fleet = memory.read("fleets", "default", "fleet").unwrap();
    assert_eq!(
        fleet["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    memory.update("gameservers", "default", "slow", |object| {
        object["metadata"]["finalizers"] = json!([]);
    });
    settle().await;
    assert!(memory.names("fleets").is_empty());
    assert_eq!(memory.names("gameservers"), ["loose"]);
}

#[tokio::test(start_paused = true)]
async fn a_dependent_that_stops_blocking_lets_its_owner_go() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    let mut server = owned("server", &[reference(&fleet, true)]);
    server["metadata"]["finalizers"] = json!(["test/slow"]);
    memory.make("gameservers", "default", server);
    memory.remove("fleets", "default", "fleet", Some(Propagation::Foreground));
    settle().await;
    assert_eq!(memory.names("fleets"), ["fleet"]);
    memory.update("gameservers", "default", "server", |object| {
        object["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = false.into();
    });
    settle().await;
    assert!(memory.names("fleets").is_empty());
}

#[tokio::test(start_paused = true)]
async fn foreground_goes_down_through_dependents_with_dependents() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    let server = memory.make(
        "gameservers",
        "default",
        owned("server", &[reference(&fleet, true)]),
    );
    let mut pod = owned("pod", &[reference(&server, true)]);
    pod["metadata"]["finalizers"] = json!(["test/slow"]);
    memory.make("pods", "default", pod);
    memory.remove("fleets", "default", "fleet", Some(Propagation::Foreground));
    settle().await;
    let server = memory.read("gameservers", "default", "server").unwrap();
    assert_eq!(
        server["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
    assert_eq!(memory.names("fleets"), ["fleet"]);
    memory.update("pods", "default", "pod", |object| {
        object["metadata"]["finalizers"] = json!([]);
    });
    settle().await;
    assert!(memory.names("pods").is_empty());
    assert!(memory.names("gameservers").is_empty());
    assert!(memory.names("fleets").is_empty());
}

#[tokio::test(start_paused = true)]
async fn owners_of_each_other_both_go_in_the_foreground() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let one = memory.make("fleets", "default", named("one"));
    let two = memory.make("fleets", "default", owned("two", &[reference(&one, true)]));
    memory.update("fleets", "default", "one", |object| {
        object["metadata"]["ownerReferences"] = json!([reference(&two, true)]);
    });
    settle().await;
    assert_eq!(memory.names("fleets").len(), 2);
    memory.remove("fleets", "default", "one", Some(Propagation::Foreground));
    settle().await;
    assert!(memory.names("fleets").is_empty());
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_without_their_owner() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    let other = memory.make("fleets", "default", named("other"));
    let both = [reference(&fleet, true), reference(&other, true)];
    memory.make("gameservers", "default", owned("one", &both[..1]));
    memory.make("gameservers", "default", owned("two", &both));
    memory.remove("fleets", "default", "fleet", Some(Propagation::Orphan));
    settle().await;
    assert_eq!(memory.names("fleets"), ["other"]);
    let one = memory.read("gameservers", "default", "one").unwrap();
    assert_eq!(one["metadata"].get("ownerReferences"), None);
    let two = memory.read("gameservers", "default", "two").unwrap();
    assert_eq!(two["metadata"]["ownerReferences"], json!([both[1]]));
}

#[tokio::test(start_paused = true)]
async fn an_owner_of_another_name_kind_or_uid_is_not_there() {
    for (field, wrong) in [("name", "other"), ("kind", "ConfigMap"), ("uid", "uid-0")] {
        let memory = Memory::new();
        let _stop = run(&memory);
        let fleet = memory.make("fleets", "default", named("fleet"));
        let mut wrong_reference = reference(&fleet, false);
        wrong_reference[field] = wrong.into();
        if field == "kind" {
            wrong_reference["apiVersion"] = "v1".into();
        }
        memory.make(
            "gameservers",
            "default",
            owned("server", &[wrong_reference]),
        );
        settle().await;
        assert!(memory.names("gameservers").is_empty(), "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_another_namespace_is_not_there_and_that_is_told() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "there", named("fleet"));
    memory.make(
        "gameservers",
        "here",
        owned("server", &[reference(&fleet, false)]),
    );
    settle().await;
    assert!(memory.names("gameservers").is_empty());
    let events = memory.list(&memory.kind("events"), Some("here"));
    let [event] = events.as_slice() else {
        panic!("one event: {events:?}");
    };
    assert_eq!(event.value()["reason"], "OwnerRefInvalidNamespace");
    assert_eq!(
        event.value()["message"],
        format!(
            "ownerRef [muster.dev/v1/Fleet, namespace: here, name: fleet, uid: {}] does not exist \
             in namespace \"here\"",
            fleet.meta("uid")
        )
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_without_namespace_never_dies_of_an_owner_in_one() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    memory.make("nodes", "", owned("node", &[reference(&fleet, false)]));
    memory.remove("fleets", "default", "fleet", None);
    settle().await;
    assert_eq!(memory.names("nodes"), ["node"]);
}

#[tokio::test(start_paused = true)]
async fn owners_without_namespace_own_in_every_namespace() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let node = memory.make("nodes", "", named("node"));
    memory.make("pods", "default", owned("pod", &[reference(&node, false)]));
    settle().await;
    assert_eq!(memory.names("pods"), ["pod"]);
    memory.remove("nodes", "", "node", None);
    settle().await;
    assert!(memory.names("pods").is_empty());
}

#[tokio::test(start_paused = true)]
async fn owners_of_unknown_kinds_are_waited_for() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let unknown = json!({ "apiVersion": "x.dev/v1", "kind": "X", "name": "x", "uid": "x" });
    memory.make("gameservers", "default", owned("server", &[unknown]));
    settle().await;
    assert_eq!(memory.names("gameservers"), ["server"]);
    memory.add_kind(kind("x.dev", "X", "xs", true));
    pass(Duration::from_secs(61)).await;
    assert!(memory.names("gameservers").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_it_was_down_is_caught_up() {
    let memory = Memory::new();
    let gone = memory.make("fleets", "default", named("gone"));
    memory.make(
        "gameservers",
        "default",
        owned("orphan", &[reference(&gone, false)]),
    );
    memory.remove("fleets", "default", "gone", None);
    let waiting = memory.make("fleets", "default", named("waiting"));
    memory.make(
        "gameservers",
        "default",
        owned("blocks", &[reference(&waiting, true)]),
    );
    memory.remove(
        "fleets",
        "default",
        "waiting",
        Some(Propagation::Foreground),
    );
    let letting = memory.make("fleets", "default", named("letting"));
    memory.make(
        "gameservers",
        "default",
        owned("stays", &[reference(&letting, true)]),
    );
    memory.remove("fleets", "default", "letting", Some(Propagation::Orphan));
    let _stop = run(&memory);
    settle().await;
    assert_eq!(memory.names("gameservers"), ["stays"]);
    assert!(memory.names("fleets").is_empty());
}

#[tokio::test(start_paused = true)]
async fn failed_writes_and_lost_queues_delay_and_lose_nothing() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let fleet = memory.make("fleets", "default", named("fleet"));
    memory.make(
        "gameservers",
        "default",
        owned("server", &[reference(&fleet, false)]),
    );
    settle().await;
    memory.drop_watchers();
    memory.remove("fleets", "default", "fleet", None);
    memory.fail(4);
    settle().await;
    assert_eq!(memory.names("gameservers"), ["server"]);
    pass(Duration::from_secs(2)).await;
    assert!(memory.names("gameservers").is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_happens() {
    let memory = Memory::new();
    let fleet = memory.make("fleets", "default", named("fleet"));
    memory.make(
        "gameservers",
        "default",
        owned("server", &[reference(&fleet, true)]),
    );
    let before = memory.writes();
    let _stop = run(&memory);
    pass(Duration::from_hours(1)).await;
    assert_eq!(memory.writes(), before);
}

/// One step of a history: objects are known by number, and own in the order of their numbers.
#[derive(Clone, Debug)]
enum Step {
    Make(Vec<usize>),
    Remove(usize, Option<Propagation>),
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    let propagation = prop_oneof![
        Just(None),
        Just(Some(Propagation::Background)),
        Just(Some(Propagation::Foreground)),
    ];
    prop_oneof![
        5 => proptest::collection::vec(0_usize..24, 0..3).prop_map(Step::Make),
        3 => (0_usize..24, propagation).prop_map(|(which, how)| Step::Remove(which, how)),
        1 => Just(Step::Pass),
    ]
}

/// Who must be there in the end: everybody who was not removed, and has an owner that is there or
/// never had one.
fn survivors(steps: &[Step]) -> BTreeSet<String> {
    let mut owners: Vec<Vec<usize>> = Vec::new();
    let mut removed = BTreeSet::new();
    for step in steps {
        match step {
            Step::Make(of) => {
                let number = owners.len();
                owners.push(of.iter().copied().filter(|of| *of < number).collect());
            }
            Step::Remove(which, _) if *which < owners.len() => {
                removed.insert(*which);
            }
            Step::Remove(..) | Step::Pass => {}
        }
    }
    let mut alive: BTreeMap<usize, bool> = BTreeMap::new();
    for (number, of) in owners.iter().enumerate() {
        let has_owner = of.is_empty() || of.iter().any(|of| alive[of]);
        alive.insert(number, has_owner && !removed.contains(&number));
    }
    let alive = alive.into_iter().filter(|(_, alive)| *alive);
    alive.map(|(number, _)| format!("o{number}")).collect()
}

/// Plays a history, and checks that whoever has an owner that lives stays.
async fn play(steps: &[Step]) -> BTreeSet<String> {
    let memory = Memory::new();
    let _stop = run(&memory);
    let mut made: Vec<Arc<Object>> = Vec::new();
    for step in steps {
        match step {
            Step::Make(of) => {
                let references: BTreeMap<usize, Value> = of
                    .iter()
                    .filter_map(|of| Some((*of, reference(made.get(*of)?, true))))
                    .collect();
                let references: Vec<Value> = references.into_values().collect();
                let object = owned(&format!("o{}", made.len()), &references);
                made.push(memory.make("configmaps", "default", object));
            }
            Step::Remove(which, how) => {
                if *which < made.len() {
                    memory.remove("configmaps", "default", &format!("o{which}"), *how);
                }
            }
            Step::Pass => pass(Duration::from_millis(20)).await,
        }
    }
    pass(Duration::from_secs(10)).await;
    memory.names("configmaps").into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn who_has_an_owner_lives_and_who_has_none_goes(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let left = runtime.block_on(play(&steps));
        prop_assert_eq!(left, survivors(&steps));
    }
}
