//! The row of a pod: its readiness, and in one word what it is doing.

use jiff::Timestamp;
use serde_json::Value;

use super::age::since;
use crate::kinds::fields::{at, flag, has, integer, items, text};
use crate::object::meta;

const NONE: &str = "<none>";

/// Restarts, and when the last one was (RFC 3339, empty if unknown).
#[derive(Clone, Default)]
struct Restarts {
    count: i64,
    last: String,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count += integer(container, "restartCount");
        // Texts of this form order as their times do.
        let ended = text(container, "lastState.terminated.finishedAt");
        if ended > self.last.as_str() {
            ended.clone_into(&mut self.last);
        }
    }
}

/// What a pod is doing.
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: Restarts,
}

/// The cells of a pod.
pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = summarize(pod);
    let restarts = match &summary.restarts {
        Restarts { count, last } if *count != 0 && !last.is_empty() => {
            format!("{count} ({} ago)", since(now, last))
        }
        Restarts { count, .. } => count.to_string(),
    };
    let or_none = |text: &str| Value::from(if text.is_empty() { NONE } else { text });
    let address = items(pod, "status.podIPs")
        .first()
        .map_or("", |address| text(address, "ip"));
    vec![
        meta(pod, "name").into(),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts.into(),
        since(now, meta(pod, "creationTimestamp")).into(),
        or_none(address),
        or_none(text(pod, "spec.nodeName")),
        or_none(text(pod, "status.nominatedNodeName")),
        gates(pod).into(),
    ]
}

fn gates(pod: &Value) -> String {
    let gates = items(pod, "spec.readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let passed = gates
        .iter()
        .filter(|gate| condition(pod, text(gate, "conditionType")) == "True")
        .count();
    format!("{passed}/{}", gates.len())
}

/// Status of a condition, empty if there is none.
fn condition<'a>(pod: &'a Value, kind: &str) -> &'a str {
    items(pod, "status.conditions")
        .iter()
        .find(|condition| text(condition, "type") == kind)
        .map_or("", |condition| text(condition, "status"))
}

fn summarize(pod: &Value) -> Summary {
    let phase = text(pod, "status.phase");
    let mut reason = match text(pod, "status.reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    let gated = items(pod, "status.conditions").iter().any(|condition| {
        text(condition, "type") == "PodScheduled" && text(condition, "reason") == "SchedulingGated"
    });
    if gated {
        "SchedulingGated".clone_into(&mut reason);
    }
    let sidecars: Vec<&str> = items(pod, "spec.initContainers")
        .iter()
        .filter(|container| text(container, "restartPolicy") == "Always")
        .map(|container| text(container, "name"))
        .collect();
    let mut summary = Summary {
        reason,
        ready: 0,
        total: items(pod, "spec.containers").len() + sidecars.len(),
        restarts: Restarts::default(),
    };
    let (initializing, sidecar_restarts) = initialization(pod, &sidecars, &mut summary);
    if !initializing || condition(pod, "Initialized") == "True" {
        summary.restarts = sidecar_restarts;
        containers(pod, &mut summary);
    }
    if has(pod, "metadata.deletionTimestamp") {
        if text(pod, "status.reason") == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(phase, "Failed" | "Succeeded") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// Looks at the init containers in order, up to the first that is not done. Gives whether there
/// is one, and the restarts of sidecars.
fn initialization(pod: &Value, sidecars: &[&str], summary: &mut Summary) -> (bool, Restarts) {
    let mut sidecar_restarts = Restarts::default();
    for (index, container) in items(pod, "status.initContainerStatuses")
        .iter()
        .enumerate()
    {
        summary.restarts.add(container);
        let sidecar = sidecars.contains(&text(container, "name"));
        if sidecar {
            sidecar_restarts.add(container);
        }
        let ended = at(container, "state.terminated");
        if ended.is_object() && integer(ended, "exitCode") == 0 {
            continue;
        }
        if sidecar && flag(container, "started") {
            summary.ready += usize::from(flag(container, "ready"));
            continue;
        }
        let waiting = text(container, "state.waiting.reason");
        summary.reason = if ended.is_object() {
            format!("Init:{}", ending(ended))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", items(pod, "spec.initContainers").len())
        };
        return (true, sidecar_restarts);
    }
    (false, sidecar_restarts)
}

/// Why a container ended.
fn ending(terminated: &Value) -> String {
    match (text(terminated, "reason"), integer(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", integer(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    let mut failure = String::new();
    for container in items(pod, "status.containerStatuses").iter().rev() {
        summary.restarts.add(container);
        let waiting = text(container, "state.waiting.reason");
        let ended = at(container, "state.terminated");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if ended.is_object() {
            summary.reason = ending(ended);
            if integer(ended, "exitCode") != 0 {
                failure.clone_from(&summary.reason);
            }
        } else if flag(container, "ready") && has(container, "state.running") {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if running && condition(pod, "Ready") == "True" {
            "Running".clone_into(&mut summary.reason);
        } else if !failure.is_empty() {
            summary.reason = failure;
        } else if running {
            "NotReady".clone_into(&mut summary.reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(init: &[Value], containers: &[Value], phase: &str) -> Value {
        json!({
            "metadata": { "name": "game", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": {
                "initContainers": [{ "name": "setup" }, { "name": "sdk", "restartPolicy": "Always" }],
                "containers": [{ "name": "game" }],
            },
            "status": {
                "phase": phase,
                "initContainerStatuses": init,
                "containerStatuses": containers,
            },
        })
    }

    fn row(pod: &Value) -> Vec<Value> {
        let now = "2026-01-01T00:05:00Z".parse().expect("a time");
        cells(pod, now)[1..4].to_vec()
    }

    #[test]
    fn the_status_is_that_of_the_container_that_matters() {
        let done = json!({ "name": "setup", "state": { "terminated": { "exitCode": 0 } } });
        let sdk =
            json!({ "name": "sdk", "state": { "running": {} }, "started": true, "ready": true });
        let game = json!({ "name": "game", "state": { "running": {} }, "ready": true });
        let crashed = json!({
            "name": "game",
            "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "finishedAt": "2026-01-01T00:04:00Z", "exitCode": 1 } },
        });
        let ready = pod(&[done.clone(), sdk.clone()], &[game], "Running");
        assert_eq!(row(&ready), [json!("2/2"), json!("Running"), json!("0")]);
        let crash = pod(
            &[done.clone(), sdk],
            std::slice::from_ref(&crashed),
            "Running",
        );
        assert_eq!(
            row(&crash),
            [
                json!("1/2"),
                json!("CrashLoopBackOff"),
                json!("3 (60s ago)")
            ]
        );
        let waiting =
            json!({ "name": "sdk", "state": { "waiting": { "reason": "PodInitializing" } } });
        let starting = pod(&[done, waiting], &[], "Pending");
        assert_eq!(
            row(&starting),
            [json!("0/2"), json!("Init:1/2"), json!("0")]
        );
        let broken = json!({ "name": "setup", "state": { "terminated": { "exitCode": 7 } } });
        let failed = pod(&[broken], &[], "Pending");
        assert_eq!(row(&failed)[1], json!("Init:ExitCode:7"));
        let completed = json!({
            "name": "game",
            "state": { "terminated": { "exitCode": 0, "reason": "Completed" } },
        });
        let mut ended = pod(&[], &[completed], "Succeeded");
        assert_eq!(row(&ended)[1], json!("Completed"));
        ended["metadata"]["deletionTimestamp"] = "2026-01-01T00:05:00Z".into();
        assert_eq!(row(&ended)[1], json!("Completed"));
        let mut ending = pod(&[], &[crashed], "Running");
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:05:00Z".into();
        assert_eq!(row(&ending)[1], json!("Terminating"));
    }
}
