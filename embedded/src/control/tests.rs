use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::memory::{Memory, pass};
use super::*;
use crate::objects::Propagation;

struct World {
    memory: Arc<Memory>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

fn start_with(memory: Arc<Memory>) -> World {
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let objects: Arc<dyn Objects> = memory.clone();
    let settings = Settings {
        root_certificate: Some("PEM".to_owned()),
        ..Settings::from(memory.clock())
    };
    spawn(&objects, &tracker, &stop, settings);
    World {
        memory,
        tracker,
        stop,
    }
}

fn start() -> World {
    start_with(Memory::new())
}

async fn settle() {
    pass(Duration::from_millis(200)).await;
}

fn named(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

fn condition(object: &Value, name: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == name);
    let found = found.unwrap_or_else(|| panic!("no condition {name} in {object}"));
    json!([found["status"], found["reason"], found["message"]])
}

#[tokio::test(start_paused = true)]
async fn controllers_end_when_they_are_told() {
    let world = start();
    settle().await;
    world.stop.cancel();
    world.tracker.close();
    world.tracker.wait().await;
}

#[tokio::test(start_paused = true)]
async fn every_namespace_gets_an_account_and_the_certificate() {
    let memory = Memory::new();
    memory.make("namespaces", "", named("old"));
    let World { memory, .. } = start_with(memory);
    memory.make("namespaces", "", named("new"));
    settle().await;
    for namespace in ["old", "new"] {
        assert!(
            memory
                .read("serviceaccounts", namespace, "default")
                .is_some()
        );
        let map = memory
            .read("configmaps", namespace, "kube-root-ca.crt")
            .unwrap();
        assert_eq!(map["data"], json!({ "ca.crt": "PEM" }));
        let described = &map["metadata"]["annotations"]["kubernetes.io/description"];
        assert!(
            described
                .as_str()
                .unwrap()
                .starts_with("Contains a CA bundle")
        );
    }
    memory.remove("serviceaccounts", "new", "default", None);
    memory.update("configmaps", "new", "kube-root-ca.crt", |map| {
        map["data"]["ca.crt"] = "forged".into();
    });
    memory.remove("configmaps", "old", "kube-root-ca.crt", None);
    settle().await;
    assert!(memory.read("serviceaccounts", "new", "default").is_some());
    for namespace in ["old", "new"] {
        let map = memory
            .read("configmaps", namespace, "kube-root-ca.crt")
            .unwrap();
        assert_eq!(map["data"], json!({ "ca.crt": "PEM" }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_all_its_content() {
    let World { memory, .. } = start();
    memory.make("namespaces", "", named("busy"));
    memory.make("namespaces", "", named("other"));
    settle().await;
    for plural in ["fleets", "pods", "secrets", "events"] {
        memory.make(plural, "busy", named("x"));
        memory.make(plural, "other", named("x"));
    }
    memory.remove("namespaces", "", "busy", None);
    settle().await;
    assert_eq!(memory.names("namespaces"), ["other"]);
    for plural in [
        "fleets",
        "pods",
        "secrets",
        "events",
        "serviceaccounts",
        "configmaps",
    ] {
        let left = memory.list(&memory.kind(plural), None);
        assert!(
            left.iter()
                .all(|object| object.meta("namespace") == "other"),
            "{plural}"
        );
        assert!(!left.is_empty(), "{plural}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_go_before_the_rest_of_a_namespace() {
    let World { memory, .. } = start();
    memory.make("namespaces", "", named("busy"));
    settle().await;
    memory.make("nodes", "", named("node"));
    let mut pod = named("pod");
    pod["spec"] = json!({ "nodeName": "node" });
    memory.make("pods", "busy", pod);
    memory.make("secrets", "busy", named("secret"));
    memory.remove("namespaces", "", "busy", None);
    settle().await;
    let pod = memory.read("pods", "busy", "pod").unwrap();
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(memory.names("secrets"), ["secret"]);
    let namespace = memory.read("namespaces", "", "busy").unwrap();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    // As in a real cluster: while there are pods, nothing is said to remain.
    assert_eq!(
        condition(&namespace, "NamespaceContentRemaining"),
        json!([
            "False",
            "ContentRemoved",
            "All content successfully removed"
        ])
    );
    // The kubelet is done with the pod.
    memory.update("pods", "busy", "pod", |pod| {
        pod["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    });
    settle().await;
    assert!(memory.names("namespaces").is_empty());
    assert!(memory.names("secrets").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_tells_what_holds_it() {
    let World { memory, .. } = start();
    memory.make("namespaces", "", named("held"));
    settle().await;
    for name in ["one", "two"] {
        let mut fleet = named(name);
        fleet["metadata"]["finalizers"] = json!(["test/hold"]);
        memory.make("fleets", "held", fleet);
    }
    let mut secret = named("secret");
    secret["metadata"]["finalizers"] = json!(["test/hold", "test/other"]);
    memory.make("secrets", "held", secret);
    memory.remove("namespaces", "", "held", None);
    settle().await;
    let namespace = memory.read("namespaces", "", "held").unwrap();
    assert_eq!(
        condition(&namespace, "NamespaceContentRemaining"),
        json!([
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: fleets.muster.dev has 2 resource instances, secrets. \
             has 1 resource instances",
        ])
    );
    assert_eq!(
        condition(&namespace, "NamespaceFinalizersRemaining"),
        json!([
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: test/hold in 3 resource \
             instances, test/other in 1 resource instances",
        ])
    );
    assert_eq!(
        condition(&namespace, "NamespaceDeletionContentFailure"),
        json!([
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ])
    );
    for (plural, name) in [("fleets", "one"), ("fleets", "two"), ("secrets", "secret")] {
        memory.update(plural, "held", name, |object| {
            object["metadata"]["finalizers"] = json!([]);
        });
    }
    settle().await;
    assert!(memory.names("namespaces").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_ended_after_a_restart_and_in_spite_of_failures() {
    let memory = Memory::new();
    memory.make("namespaces", "", named("half"));
    memory.make("secrets", "half", named("secret"));
    memory.remove("namespaces", "", "half", None);
    memory.fail(3);
    let World { memory, .. } = start_with(memory);
    pass(Duration::from_secs(5)).await;
    assert!(memory.names("namespaces").is_empty());
    assert!(memory.names("secrets").is_empty());
}

#[tokio::test(start_paused = true)]
async fn finalizers_of_others_keep_an_empty_namespace() {
    let World { memory, .. } = start();
    let mut namespace = named("kept");
    namespace["metadata"]["finalizers"] = json!(["test/keep"]);
    memory.make("namespaces", "", namespace);
    memory.remove("namespaces", "", "kept", None);
    settle().await;
    let kept = memory.read("namespaces", "", "kept").unwrap();
    assert_eq!(kept["spec"]["finalizers"], json!([]));
    memory.update("namespaces", "", "kept", |namespace| {
        namespace["metadata"]["finalizers"] = json!([]);
    });
    assert!(memory.names("namespaces").is_empty());
}

fn definition(established: bool) -> Value {
    let mut definition = named("fleets.muster.dev");
    definition["spec"] = json!({ "group": "muster.dev", "names": { "plural": "fleets" } });
    if established {
        definition["status"] =
            json!({ "conditions": [{ "type": "Established", "status": "True" }] });
    }
    begin_definition_deletion(&mut definition, "2026-01-01T00:00:00Z");
    definition
}

#[tokio::test(start_paused = true)]
async fn a_definition_goes_after_its_objects() {
    let World { memory, .. } = start();
    memory.make("fleets", "default", named("quick"));
    let mut slow = named("slow");
    slow["metadata"]["finalizers"] = json!(["test/slow"]);
    memory.make("fleets", "default", slow);
    memory.make("customresourcedefinitions", "", definition(true));
    memory.remove("customresourcedefinitions", "", "fleets.muster.dev", None);
    settle().await;
    assert_eq!(memory.names("fleets"), ["slow"]);
    let waiting = memory
        .read("customresourcedefinitions", "", "fleets.muster.dev")
        .unwrap();
    assert_eq!(waiting["metadata"]["finalizers"], json!([CLEANUP]));
    assert_eq!(
        condition(&waiting, "Terminating"),
        json!([
            "True",
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress"
        ])
    );
    memory.update("fleets", "default", "slow", |object| {
        object["metadata"]["finalizers"] = json!([]);
    });
    settle().await;
    assert!(memory.names("customresourcedefinitions").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_never_served_goes_at_once() {
    let World { memory, .. } = start();
    memory.make("fleets", "default", named("stranger"));
    memory.make("customresourcedefinitions", "", definition(false));
    memory.remove("customresourcedefinitions", "", "fleets.muster.dev", None);
    settle().await;
    assert!(memory.names("customresourcedefinitions").is_empty());
    assert_eq!(memory.names("fleets"), ["stranger"]);
}

#[tokio::test(start_paused = true)]
async fn aggregated_roles_follow_the_roles_that_they_are_made_of() {
    let World { memory, .. } = start();
    let label = |value: &str| json!({ "team": value });
    let rule = |resource: &str| json!({ "verbs": ["get"], "resources": [resource] });
    let part = |name: &str, rules: &[Value]| {
        let metadata = json!({ "name": name, "labels": label("a") });
        json!({ "metadata": metadata, "rules": rules })
    };
    let whole = |name: &str, of: &str, labels: Value| {
        json!({
            "metadata": { "name": name, "labels": labels },
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": label(of) }] },
        })
    };
    memory.make("clusterroles", "", whole("outer", "b", json!({})));
    memory.make("clusterroles", "", whole("inner", "a", label("b")));
    memory.make(
        "clusterroles",
        "",
        part("second", &[rule("pods"), rule("nodes")]),
    );
    memory.make("clusterroles", "", part("first", &[rule("nodes")]));
    settle().await;
    let rules = |name: &str| memory.read("clusterroles", "", name).unwrap()["rules"].clone();
    for name in ["inner", "outer"] {
        assert_eq!(rules(name), json!([rule("nodes"), rule("pods")]), "{name}");
    }
    memory.remove("clusterroles", "", "second", None);
    settle().await;
    assert_eq!(rules("outer"), json!([rule("nodes")]));
    let before = memory.writes();
    memory.update("clusterroles", "", "first", |role| {
        role["metadata"]["annotations"] = json!({ "note": "nothing of importance" });
    });
    settle().await;
    assert_eq!(memory.writes(), before + 1);
}

fn bound(name: &str, node: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "nodeName": node } })
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_stays_away_are_ended() {
    let World { memory, .. } = start();
    for node in ["lost", "back"] {
        memory.make("nodes", "", named(node));
        memory.make("pods", "default", bound(&format!("of-{node}"), node));
    }
    let mut held = bound("held", "lost");
    held["metadata"]["finalizers"] = json!(["test/hold"]);
    memory.make("pods", "default", held);
    let mut done = bound("done", "lost");
    done["status"] = json!({ "phase": "Succeeded" });
    done["metadata"]["finalizers"] = json!(["test/hold"]);
    memory.make("pods", "default", done);
    settle().await;
    for node in ["lost", "back"] {
        memory.remove("nodes", "", node, None);
    }
    pass(NODE_ABSENCE / 2).await;
    memory.make("nodes", "", named("back"));
    assert_eq!(memory.names("pods").len(), 4);
    pass(NODE_ABSENCE).await;
    assert_eq!(memory.names("pods"), ["done", "held", "of-back"]);
    let held = memory.read("pods", "default", "held").unwrap();
    assert_eq!(held["status"]["phase"], "Failed");
    assert_eq!(
        condition(&held, "DisruptionTarget"),
        json!(["True", "DeletionByPodGC", "PodGC: node no longer exists"])
    );
    let done = memory.read("pods", "default", "done").unwrap();
    assert_eq!(done["status"]["phase"], "Succeeded");
    assert!(done["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_and_goes_is_given_its_time_anew() {
    let World { memory, .. } = start();
    let almost = NODE_ABSENCE.saturating_sub(Duration::from_secs(1));
    memory.make("pods", "default", bound("pod", "node"));
    pass(almost).await;
    memory.make("nodes", "", named("node"));
    settle().await;
    memory.remove("nodes", "", "node", None);
    pass(almost).await;
    assert_eq!(memory.names("pods"), ["pod"]);
    pass(Duration::from_secs(2)).await;
    assert!(memory.names("pods").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_before_it_has_a_node_is_ended() {
    let World { memory, .. } = start();
    // Bound to nothing, but with a grace period, as if the binding was undone.
    memory.make(
        "pods",
        "default",
        json!({
            "metadata": {
                "name": "pod",
                "deletionTimestamp": "2026-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": 30,
            },
            "spec": { "schedulerName": "nobody" },
        }),
    );
    settle().await;
    let pod = memory.read("pods", "default", "pod");
    assert!(pod.is_none_or(|pod| pod["status"]["phase"] == "Failed"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_world_is_left_alone() {
    let memory = Memory::new();
    memory.make("namespaces", "", named("default"));
    let World { memory, .. } = start_with(memory);
    settle().await;
    let before = memory.writes();
    memory.update("namespaces", "", "default", |namespace| {
        namespace["metadata"]["labels"] = json!({ "seen": "yes" });
    });
    pass(Duration::from_hours(24)).await;
    assert_eq!(memory.writes(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_from_the_outside_needs_no_controller_twice() {
    let World { memory, .. } = start();
    memory.make("namespaces", "", named("plain"));
    settle().await;
    memory.remove("namespaces", "", "plain", Some(Propagation::Foreground));
    settle().await;
    // Nothing blocks: the finalizer of the deletion goes as well.
    assert!(memory.names("namespaces").is_empty());
}
