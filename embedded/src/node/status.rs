//! The status of a pod as the kubelet writes it, from what was observed. Pure.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::image::Images;
use super::life::{Ended, Life, Observed, State};
use super::pod::{is_sidecar, restarts};

/// Conditions that the node writes. All others belong to others and are kept.
const OWN: [&str; 5] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
];

/// Whether the node writes a condition.
pub(super) fn is_own(condition: &str) -> bool {
    OWN.contains(&condition)
}

/// Prefix of a container's ID; its process follows.
pub(super) const ID_PREFIX: &str = "process://";

/// The status that a pod should have. `written` is what it has.
pub(super) fn status(
    now: Timestamp,
    pod: &Pod,
    written: &PodStatus,
    life: &Life,
    (address, images): (IpAddr, &Images),
) -> PodStatus {
    let Some(spec) = pod.spec.as_ref() else {
        return written.clone();
    };
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let waits_for_init = !inits.is_empty();
    let show = |container: &Container, is_init: bool| {
        let unseen = Observed::default();
        let seen = life.containers.get(&container.name).unwrap_or(&unseen);
        container_status(container, seen, (is_init, waits_for_init), images)
    };
    let init_statuses: Vec<_> = inits.iter().map(|init| show(init, true)).collect();
    let statuses: Vec<_> = spec.containers.iter().map(|one| show(one, false)).collect();

    let was = written.phase.as_deref().unwrap_or_default();
    let mut phase = phase(pod, spec, life);
    if matches!(was, "Succeeded" | "Failed") {
        // Nobody comes back from the dead.
        was.clone_into(&mut phase);
    }
    let ended = matches!(phase.as_str(), "Succeeded" | "Failed");
    let failure = life.end.as_ref().and_then(|end| end.failure.clone());
    let (reason, message) = match failure {
        Some((reason, message)) => (Some(reason), Some(message)),
        None => (written.reason.clone(), written.message.clone()),
    };
    let mut next = PodStatus {
        phase: Some(phase),
        reason,
        message,
        conditions: None,
        host_ip: Some(address.to_string()),
        host_ips: Some(vec![HostIP {
            ip: address.to_string(),
        }]),
        start_time: Some(Time(life.since)),
        observed_generation: pod.metadata.generation,
        qos_class: written.qos_class.clone(),
        init_container_statuses: waits_for_init.then_some(init_statuses),
        container_statuses: Some(statuses),
        ..PodStatus::default()
    };
    // As with the kubelet, a pod has its address once its network is there, and keeps it.
    if life.prepared == super::life::Prepared::Yes || written.pod_ip.is_some() {
        next.pod_ip = Some(address.to_string());
        next.pod_ips = Some(vec![PodIP {
            ip: address.to_string(),
        }]);
    }
    let on_network = life.prepared == super::life::Prepared::Yes && (!ended || life.is_up());
    next.conditions = Some(conditions(now, pod, written, &next, on_network));
    next
}

/// The phase of a pod.
fn phase(pod: &Pod, spec: &PodSpec, life: &Life) -> String {
    let unseen = Observed::default();
    let seen = |container: &Container| life.containers.get(&container.name).unwrap_or(&unseen);
    let inits = spec.init_containers.iter().flatten();
    let sidecars = inits.clone().filter(|container| is_sidecar(container));
    let mut ordinary = inits.filter(|container| !is_sidecar(container));

    // A pod is over when nothing of it runs any more.
    if let Some(end) = &life.end
        && !life.is_up()
    {
        let succeeded = end.failure.is_none()
            && spec.containers.iter().all(|container| {
                seen(container)
                    .ended()
                    .is_some_and(|ended| ended.exit_code == 0)
            });
        return if succeeded { "Succeeded" } else { "Failed" }.to_owned();
    }
    let init_failed = ordinary.clone().any(|container| {
        seen(container)
            .ended()
            .is_some_and(|ended| ended.exit_code != 0 && !restarts(pod, container, ended.exit_code))
    });
    if init_failed && !life.is_up() {
        return "Failed".to_owned();
    }
    let init_pending = ordinary.any(|container| {
        seen(container)
            .ended()
            .is_none_or(|ended| ended.exit_code != 0)
    });
    let sidecar_pending = sidecars
        .clone()
        .any(|container| !seen(container).has_started() && seen(container).ended().is_none());
    let waiting = spec
        .containers
        .iter()
        .any(|container| !seen(container).is_running() && seen(container).ended().is_none());
    let pending = (init_pending || sidecar_pending) && !life.initialized;
    if pending || waiting {
        "Pending"
    } else {
        "Running"
    }
    .to_owned()
}

fn container_status(
    container: &Container,
    seen: &Observed,
    (is_init, waits_for_init): (bool, bool),
    images: &Images,
) -> ContainerStatus {
    let default_reason = if waits_for_init {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    let waiting = |reason: &str, message: &str| ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(
                if reason.is_empty() {
                    default_reason
                } else {
                    reason
                }
                .to_owned(),
            ),
            message: (!message.is_empty()).then(|| message.to_owned()),
        }),
        ..ContainerState::default()
    };
    let mut pid = seen.last.as_ref().and_then(|last| last.pid);
    let mut started = false;
    let mut ready = false;
    let state = match &seen.state {
        State::Waiting {
            reason, message, ..
        }
        | State::Starting { reason, message } => waiting(reason, message),
        State::Running(running) => {
            pid = Some(running.pid);
            started = running.started;
            ready = running.started && running.ready;
            ContainerState {
                running: Some(ContainerStateRunning {
                    started_at: Some(Time(running.since)),
                }),
                ..ContainerState::default()
            }
        }
        State::Ended(ended) => {
            pid = ended.pid;
            terminated(ended)
        }
    };
    if is_init && !is_sidecar(container) {
        ready = matches!(&seen.state, State::Ended(ended) if ended.exit_code == 0);
        started = false;
    }
    let image = container.image.clone().unwrap_or_default();
    let program = images.find(&image);
    ContainerStatus {
        name: container.name.clone(),
        image_id: program
            .filter(|_| pid.is_some())
            .map(|program| program.path.display().to_string())
            .unwrap_or_default(),
        image,
        container_id: pid.map(|pid| format!("{ID_PREFIX}{pid}")),
        ready,
        started: Some(started),
        restart_count: seen.restarts,
        state: Some(state),
        last_state: Some(seen.last.as_ref().map(terminated).unwrap_or_default()),
        ..ContainerStatus::default()
    }
}

fn terminated(ended: &Ended) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: ended.pid.map(|pid| format!("{ID_PREFIX}{pid}")),
            exit_code: ended.exit_code,
            signal: ended.signal,
            reason: Some(ended.reason.clone()),
            message: (!ended.message.is_empty()).then(|| ended.message.clone()),
            started_at: ended.started_at.map(Time),
            finished_at: Some(Time(ended.finished_at)),
        }),
        ..ContainerState::default()
    }
}

/// The conditions of a pod: those of others as they are, then ours.
fn conditions(
    now: Timestamp,
    pod: &Pod,
    written: &PodStatus,
    next: &PodStatus,
    on_network: bool,
) -> Vec<PodCondition> {
    let before = written.conditions.as_deref().unwrap_or_default();
    let mut conditions: Vec<PodCondition> = before
        .iter()
        .filter(|condition| !OWN.contains(&condition.type_.as_str()))
        .cloned()
        .collect();
    let inits = next.init_container_statuses.as_deref().unwrap_or_default();
    let initialized = initialized(pod, next, inits);
    let containers_ready = containers_ready(pod, next, inits);
    let ready = gated(pod, &conditions, &containers_ready);
    let plain = |holds: bool| Judgement {
        holds,
        ..Judgement::default()
    };
    for (type_, judgement) in [
        ("PodReadyToStartContainers", plain(on_network)),
        ("Initialized", initialized),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
        ("PodScheduled", plain(true)),
    ] {
        let status = if judgement.holds { "True" } else { "False" };
        let old = before.iter().find(|condition| condition.type_ == type_);
        let changed_at = old
            .filter(|old| old.status == status)
            .and_then(|old| old.last_transition_time.clone());
        conditions.push(PodCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: (!judgement.reason.is_empty()).then(|| judgement.reason.to_owned()),
            message: (!judgement.message.is_empty()).then_some(judgement.message),
            last_probe_time: None,
            last_transition_time: Some(changed_at.unwrap_or(Time(now))),
            observed_generation: pod.metadata.generation,
        });
    }
    conditions
}

/// Whether a condition holds, and why not.
#[derive(Clone, Debug, Default)]
struct Judgement {
    holds: bool,
    reason: &'static str,
    message: String,
}

fn over(phase: Option<&str>) -> Option<&'static str> {
    match phase {
        Some("Succeeded") => Some("PodCompleted"),
        Some("Failed") => Some("PodFailed"),
        _ => None,
    }
}

fn initialized(pod: &Pod, next: &PodStatus, inits: &[ContainerStatus]) -> Judgement {
    if next.phase.as_deref() == Some("Succeeded") {
        return Judgement {
            holds: true,
            reason: "PodCompleted",
            message: String::new(),
        };
    }
    let declared = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let incomplete: Vec<_> = declared
        .zip(inits)
        .filter(|(container, status)| {
            if is_sidecar(container) {
                status.started != Some(true)
            } else {
                !status.ready
            }
        })
        .map(|(container, _)| container.name.as_str())
        .collect();
    let has_started = next.container_statuses.iter().flatten().any(|status| {
        let last = status.last_state.as_ref();
        last.is_some_and(|last| last.terminated.is_some())
            || status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    });
    if incomplete.is_empty() || has_started {
        return Judgement {
            holds: true,
            ..Judgement::default()
        };
    }
    Judgement {
        holds: false,
        reason: "ContainersNotInitialized",
        message: format!(
            "containers with incomplete status: [{}]",
            incomplete.join(" ")
        ),
    }
}

fn containers_ready(pod: &Pod, next: &PodStatus, inits: &[ContainerStatus]) -> Judgement {
    if let Some(reason) = over(next.phase.as_deref()) {
        return Judgement {
            holds: false,
            reason,
            message: String::new(),
        };
    }
    let declared = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = declared
        .zip(inits)
        .filter(|(container, _)| is_sidecar(container))
        .map(|(_, status)| status);
    let unready: Vec<_> = sidecars
        .chain(next.container_statuses.iter().flatten())
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    if unready.is_empty() {
        return Judgement {
            holds: true,
            ..Judgement::default()
        };
    }
    Judgement {
        holds: false,
        reason: "ContainersNotReady",
        message: format!("containers with unready status: [{}]", unready.join(" ")),
    }
}

/// Readiness with the gates that others open.
fn gated(pod: &Pod, conditions: &[PodCondition], containers_ready: &Judgement) -> Judgement {
    if !containers_ready.holds {
        return containers_ready.clone();
    }
    let gates = pod
        .spec
        .iter()
        .flat_map(|spec| spec.readiness_gates.iter().flatten());
    let closed: Vec<_> = gates
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match conditions.iter().find(|known| known.type_ == *name) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate {name:?} does not exist."
                )),
                Some(known) if known.status != "True" => Some(format!(
                    "the status of pod readiness gate {name:?} is not \"True\", but {}",
                    known.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if closed.is_empty() {
        return containers_ready.clone();
    }
    Judgement {
        holds: false,
        reason: "ReadinessGatesNotReady",
        message: closed.join(", "),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
