use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::drive::drive;
use super::super::memory::{Memory, pass};
use super::super::recorder::Recorder;
use super::*;

fn run(memory: &Arc<Memory>) -> CancellationToken {
    let stop = CancellationToken::new();
    let recorder = Recorder::new(memory.clock(), "default-scheduler");
    let scheduler = Box::new(Scheduler::new(recorder));
    tokio::spawn(drive(scheduler, memory.clone(), stop.clone()));
    stop
}

async fn settle() {
    pass(Duration::from_millis(100)).await;
}

fn node_with(name: &str, allocatable: &Value) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "status": {
            "allocatable": allocatable,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn node(name: &str) -> Value {
    node_with(name, &json!({ "cpu": "4", "memory": "8Gi", "pods": "110" }))
}

fn pod(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{ "name": "c", "image": "i" }]);
    }
    json!({ "metadata": { "name": name, "labels": { "app": "game" } }, "spec": spec })
}

fn asking(name: &str, cpu: &str) -> Value {
    let resources = json!({ "requests": { "cpu": cpu } });
    let containers = json!([{ "name": "c", "image": "i", "resources": resources }]);
    pod(name, json!({ "containers": containers }))
}

fn node_of(memory: &Memory, name: &str) -> String {
    let pod = memory.read("pods", "default", name).unwrap();
    text(&pod["spec"]["nodeName"]).to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn scheduled(memory: &Memory, name: &str) -> Value {
    let pod = memory.read("pods", "default", name).unwrap();
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == "PodScheduled");
    found.cloned().unwrap_or_default()
}

/// The message about a pod that fits nowhere, before what is said of preemption.
fn why(memory: &Memory, name: &str) -> String {
    let condition = scheduled(memory, name);
    assert_eq!(condition["status"], "False", "{name}");
    assert_eq!(condition["reason"], "Unschedulable", "{name}");
    let message = text(&condition["message"]);
    let end = message.find(" no new claims").unwrap_or(message.len());
    message[..end].to_owned()
}

fn events(memory: &Memory, reason: &str) -> Vec<Value> {
    let all = memory.list(&memory.kind("events"), None);
    let all = all.iter().map(|event| event.value().clone());
    all.filter(|event| event["reason"] == reason).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_to_the_node_that_fits() {
    let memory = Memory::new();
    let _stop = run(&memory);
    memory.make("nodes", "", node("node"));
    memory.make("pods", "default", pod("pod", json!({})));
    settle().await;
    assert_eq!(node_of(&memory, "pod"), "node");
    assert_eq!(
        scheduled(&memory, "pod"),
        json!({
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 1,
        })
    );
    let [event] = &events(&memory, "Scheduled")[..] else {
        panic!("one event");
    };
    assert_eq!(
        event["message"],
        "Successfully assigned default/pod to node"
    );
    assert_eq!(event["type"], "Normal");
    assert_eq!(event["involvedObject"]["name"], "pod");
    assert_eq!(event["reportingComponent"], "default-scheduler");
}

#[tokio::test(start_paused = true)]
async fn pods_of_others_are_left_alone() {
    let memory = Memory::new();
    let _stop = run(&memory);
    memory.make("nodes", "", node("node"));
    memory.make(
        "pods",
        "default",
        pod("theirs", json!({ "schedulerName": "other" })),
    );
    memory.make(
        "pods",
        "default",
        pod("gated", json!({ "schedulingGates": [{ "name": "g" }] })),
    );
    memory.make(
        "pods",
        "default",
        pod("bound", json!({ "nodeName": "elsewhere" })),
    );
    settle().await;
    for name in ["theirs", "gated"] {
        assert_eq!(node_of(&memory, name), "", "{name}");
        assert_eq!(scheduled(&memory, name), Value::Null, "{name}");
    }
    assert_eq!(node_of(&memory, "bound"), "elsewhere");
    memory.update("pods", "default", "gated", |pod| {
        pod["spec"]["schedulingGates"] = json!([]);
    });
    settle().await;
    assert_eq!(node_of(&memory, "gated"), "node");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_pods_away_is_told_as_the_real_scheduler_tells_it() {
    let affinity = |kind: &str, labels: Value| {
        let term = json!({
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": labels },
        });
        json!({ "affinity": { kind: { REQUIRED: [term] } } })
    };
    let big = json!({ "requests": { "cpu": "5", "memory": "9Gi", "x.dev/gpu": "1" } });
    let node_terms = json!([{ "matchExpressions": [
        { "key": "zone", "operator": "In", "values": ["b"] },
    ] }]);
    let ports = json!([{ "hostPort": 7000, "protocol": "UDP" }]);
    for (spec, reason, preemption) in [
        (
            json!({ "nodeSelector": { "zone": "b" } }),
            "node(s) didn't match Pod's node affinity/selector",
            "Preemption is not helpful for scheduling",
        ),
        (
            json!({ "affinity": { "nodeAffinity": {
                REQUIRED: { "nodeSelectorTerms": node_terms },
            } } }),
            "node(s) didn't match Pod's node affinity/selector",
            "Preemption is not helpful for scheduling",
        ),
        (
            json!({ "containers": [{ "name": "c", "ports": ports }] }),
            "node(s) didn't have free ports for the requested pod ports",
            "No preemption victims found for incoming pod",
        ),
        (
            json!({ "containers": [{ "name": "c", "resources": big }] }),
            "Insufficient cpu, 1 Insufficient memory, 1 Insufficient x.dev/gpu",
            "Preemption is not helpful for scheduling",
        ),
        (
            affinity("podAffinity", json!({ "app": "nobody" })),
            "node(s) didn't match pod affinity rules",
            "Preemption is not helpful for scheduling",
        ),
        (
            affinity("podAntiAffinity", json!({ "app": "game" })),
            "node(s) didn't match pod anti-affinity rules",
            "No preemption victims found for incoming pod",
        ),
    ] {
        let memory = Memory::new();
        let _stop = run(&memory);
        memory.make("nodes", "", node("node"));
        let there = json!([{ "name": "c", "ports": ports }]);
        memory.make(
            "pods",
            "default",
            pod("there", json!({ "containers": there })),
        );
        memory.make("pods", "default", pod("pod", spec));
        settle().await;
        assert_eq!(
            scheduled(&memory, "pod")["message"],
            format!(
                "0/1 nodes are available: 1 {reason}. no new claims to deallocate, preemption: \
                 0/1 nodes are available: 1 {preemption}."
            )
        );
        let events = events(&memory, "FailedScheduling");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["message"], scheduled(&memory, "pod")["message"]);
        assert_eq!(events[0]["type"], "Warning");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_do_not_want_pods_get_only_those_that_do_not_mind() {
    let key = "node.kubernetes.io/not-ready";
    for (change, reason, toleration) in [
        (
            json!({ "spec": { "unschedulable": true } }),
            "node(s) were unschedulable",
            json!({ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" }),
        ),
        (
            json!({ "spec": { "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }] } }),
            "node(s) had untolerated taint(s)",
            json!({ "key": "a", "value": "b" }),
        ),
        (
            json!({ "status": { "conditions": [{ "type": "Ready", "status": "Unknown" }] } }),
            "node(s) had untolerated taint(s)",
            json!({ "key": key, "operator": "Exists", "effect": "NoSchedule" }),
        ),
    ] {
        let memory = Memory::new();
        let _stop = run(&memory);
        let mut unwilling = node("node");
        for (field, value) in change.as_object().unwrap() {
            for (name, value) in value.as_object().unwrap() {
                unwilling[field][name] = value.clone();
            }
        }
        memory.make("nodes", "", unwilling);
        memory.make("pods", "default", pod("minds", json!({})));
        let wrong = json!([{ "key": "other", "operator": "Exists" }]);
        memory.make(
            "pods",
            "default",
            pod("other", json!({ "tolerations": wrong })),
        );
        memory.make(
            "pods",
            "default",
            pod("content", json!({ "tolerations": [toleration] })),
        );
        settle().await;
        assert_eq!(node_of(&memory, "content"), "node", "{reason}");
        for name in ["minds", "other"] {
            let expected = format!("0/1 nodes are available: 1 {reason}.");
            assert_eq!(why(&memory, name), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pods_wait_for_nodes_and_for_room() {
    let memory = Memory::new();
    let _stop = run(&memory);
    memory.make("pods", "default", asking("first", "3"));
    settle().await;
    assert_eq!(why(&memory, "first"), "no nodes available to schedule pods");
    memory.make("nodes", "", node("small"));
    settle().await;
    assert_eq!(node_of(&memory, "first"), "small");
    memory.make("pods", "default", asking("second", "3"));
    settle().await;
    assert_eq!(
        why(&memory, "second"),
        "0/1 nodes are available: 1 Insufficient cpu."
    );
    // A pod that is done takes up no room.
    memory.update("pods", "default", "first", |pod| {
        pod["status"]["phase"] = "Succeeded".into();
    });
    settle().await;
    assert_eq!(node_of(&memory, "second"), "small");
    memory.make("pods", "default", asking("third", "3"));
    settle().await;
    memory.update("nodes", "", "small", |node| {
        node["status"]["allocatable"]["cpu"] = "8".into();
    });
    settle().await;
    assert_eq!(node_of(&memory, "third"), "small");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_pods_and_the_ports_of_a_node_are_bounded() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let room = json!({ "cpu": "4", "memory": "8Gi", "pods": "2" });
    memory.make("nodes", "", node_with("node", &room));
    let on = |address: &str, port: i64| {
        let ports = json!([{ "hostPort": port, "hostIP": address, "protocol": "UDP" }]);
        json!({ "containers": [{ "name": "c", "ports": ports }] })
    };
    memory.make("pods", "default", pod("a", on("127.0.0.1", 7000)));
    memory.make("pods", "default", pod("b", on("127.0.0.2", 7000)));
    memory.make("pods", "default", pod("c", on("", 7001)));
    settle().await;
    assert_eq!(node_of(&memory, "b"), "node");
    assert_eq!(
        why(&memory, "c"),
        "0/1 nodes are available: 1 Too many pods."
    );
    memory.remove("pods", "default", "a", None);
    memory.update("pods", "default", "a", |pod| {
        pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    });
    memory.make("pods", "default", pod("d", on("", 7000)));
    settle().await;
    assert_eq!(node_of(&memory, "c"), "node");
    assert_eq!(
        why(&memory, "d"),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    );
}

#[tokio::test(start_paused = true)]
async fn pods_spread_unless_they_want_company() {
    let memory = Memory::new();
    let _stop = run(&memory);
    for name in ["a", "b", "c"] {
        memory.make("nodes", "", node(name));
    }
    for number in 0..6 {
        memory.make(
            "pods",
            "default",
            asking(&format!("spread-{number}"), "100m"),
        );
    }
    settle().await;
    let counts = |prefix: &str| {
        let mut counts = BTreeMap::<String, usize>::new();
        for name in memory.names("pods") {
            if name.starts_with(prefix) {
                *counts.entry(node_of(&memory, &name)).or_default() += 1;
            }
        }
        counts.into_values().collect::<Vec<_>>()
    };
    assert_eq!(counts("spread-"), [2, 2, 2]);
    let term = json!({
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": { "role": "server" } },
        },
    });
    for number in 0..30 {
        let mut packed = asking(&format!("packed-{number}"), "300m");
        packed["metadata"]["labels"]["role"] = "server".into();
        packed["spec"]["affinity"] = json!({ "podAffinity": { PREFERRED: [term] } });
        memory.make("pods", "default", packed);
    }
    settle().await;
    // 3.8 cores are left on each node: 12 pods fill one before the next begins.
    let mut packed = counts("packed-");
    packed.sort_unstable();
    assert_eq!(packed, [6, 12, 12]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_must_be_together_begins_somewhere_and_stays_there() {
    let memory = Memory::new();
    let _stop = run(&memory);
    for name in ["a", "b"] {
        memory.make("nodes", "", node(name));
    }
    let term = json!({
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": { "matchLabels": { "app": "game" } },
    });
    let together = json!({ "affinity": { "podAffinity": { REQUIRED: [term] } } });
    for number in 0..4 {
        memory.make(
            "pods",
            "default",
            pod(&format!("p{number}"), together.clone()),
        );
    }
    settle().await;
    let first = node_of(&memory, "p0");
    assert!(!first.is_empty());
    for number in 1..4 {
        assert_eq!(node_of(&memory, &format!("p{number}")), first);
    }
    // Who wants to be alone keeps others away as well.
    let mut alone = pod(
        "alone",
        json!({ "affinity": { "podAntiAffinity": { REQUIRED: [term] } } }),
    );
    alone["metadata"]["labels"]["app"] = "hermit".into();
    memory.make("pods", "default", alone);
    settle().await;
    let other = if first == "a" { "b" } else { "a" };
    assert_eq!(node_of(&memory, "alone"), other);
    memory.make(
        "pods",
        "default",
        pod(
            "late",
            json!({ "nodeSelector": { "kubernetes.io/hostname": other } }),
        ),
    );
    settle().await;
    assert_eq!(
        why(&memory, "late"),
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) \
         didn't satisfy existing pods anti-affinity rules."
    );
}

#[tokio::test(start_paused = true)]
async fn higher_priority_comes_first() {
    let memory = Memory::new();
    for (name, priority) in [("low", 1), ("high", 10)] {
        let mut waiting = asking(name, "3");
        waiting["spec"]["priority"] = priority.into();
        memory.make("pods", "default", waiting);
    }
    memory.make("nodes", "", node("node"));
    let _stop = run(&memory);
    settle().await;
    assert_eq!(node_of(&memory, "high"), "node");
    assert_eq!(node_of(&memory, "low"), "");
}

#[tokio::test(start_paused = true)]
async fn sidecars_and_init_containers_count_as_they_run() {
    let container = |cpu: &str, policy: Value| {
        let resources = json!({ "requests": { "cpu": cpu } });
        json!({ "name": "c", "restartPolicy": policy, "resources": resources })
    };
    for (inits, main, fits) in [
        (vec![container("4", json!(null))], "4", true),
        (vec![container("1", json!("Always"))], "3", true),
        (vec![container("2", json!("Always"))], "3", false),
        (
            vec![container("1", json!("Always")), container("4", json!(null))],
            "1",
            false,
        ),
        (
            vec![container("4", json!(null)), container("1", json!("Always"))],
            "3",
            true,
        ),
    ] {
        let memory = Memory::new();
        let _stop = run(&memory);
        memory.make("nodes", "", node("node"));
        let mut mixed = asking("pod", main);
        mixed["spec"]["initContainers"] = json!(inits);
        memory.make("pods", "default", mixed);
        settle().await;
        assert_eq!(node_of(&memory, "pod") == "node", fits, "{inits:?} {main}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_writes_and_lost_queues_delay_and_lose_nothing() {
    let memory = Memory::new();
    let _stop = run(&memory);
    memory.make("nodes", "", node("node"));
    settle().await;
    memory.make("pods", "default", pod("one", json!({})));
    memory.fail(2);
    pass(Duration::from_secs(1)).await;
    assert_eq!(node_of(&memory, "one"), "node");
    memory.drop_watchers();
    memory.make("pods", "default", pod("two", json!({})));
    pass(Duration::from_secs(1)).await;
    assert_eq!(node_of(&memory, "two"), "node");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_waits_is_told_once() {
    let memory = Memory::new();
    let _stop = run(&memory);
    let room = json!({ "cpu": "1", "memory": "8Gi", "pods": "110" });
    memory.make("nodes", "", node_with("node", &room));
    memory.make("pods", "default", asking("big", "2"));
    memory.make("pods", "default", pod("other", json!({})));
    settle().await;
    let before = memory.writes();
    memory.remove("pods", "default", "other", None);
    memory.update("pods", "default", "other", |pod| {
        pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    });
    pass(Duration::from_hours(1)).await;
    assert_eq!(memory.writes(), before + 2);
    assert_eq!(events(&memory, "FailedScheduling").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_pods_are_bound_in_one_go() {
    let memory = Memory::new();
    for number in 0..20 {
        memory.make("nodes", "", node(&format!("node-{number:02}")));
    }
    for number in 0..2_000 {
        memory.make(
            "pods",
            "default",
            asking(&format!("pod-{number:04}"), "10m"),
        );
    }
    let _stop = run(&memory);
    settle().await;
    let pods = memory.list(&memory.kind("pods"), None);
    let mut load = BTreeMap::<&str, usize>::new();
    for pod in &pods {
        *load
            .entry(text(&pod.value()["spec"]["nodeName"]))
            .or_default() += 1;
    }
    assert_eq!(load.len(), 20);
    // Room is compared in hundredths, so that equal is not quite equal.
    assert!(
        load.values().all(|count| count.abs_diff(100) <= 5),
        "{load:?}"
    );
}
