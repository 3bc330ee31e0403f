//! The life of a pod: what is to be done next, from what is wanted and what was observed. Pure.
//!
//! Init containers run one by one; those that restart always are sidecars, which only have to
//! have started. Then the others run together. Containers that ended are started again as the
//! restart policy says, later each time. When the pod ends, for whatever reason, the sidecars
//! end last and in reverse order.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};

use super::life::{End, Life, Observed, Prepared, State};

/// What a sidecar gets to end, even if the others used up the pod's time.
const SIDECAR_GRACE: SignedDuration = SignedDuration::from_secs(2);
/// The grace of a pod that does not say.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make volumes and choose ports.
    Prepare,
    /// Start a container.
    Start {
        /// Its name.
        container: String,
        /// Number of the run: that of its restarts.
        number: i32,
    },
    /// A container waits before it is started again.
    BackOff {
        /// Its name.
        container: String,
        /// How long it pauses.
        pause: SignedDuration,
        /// Until when it waits.
        until: Timestamp,
    },
    /// Ask a container to end, and end it when its time is up.
    Stop {
        /// Its name.
        container: String,
        /// When its time is up.
        kill_at: Timestamp,
        /// Why, as the end of an event's sentence; empty for the end of the pod.
        why: String,
    },
    /// The pod ends.
    End(End),
    /// Everything has ended: delete the object.
    Delete,
}

/// What is to be done now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// In order.
    pub(super) actions: Vec<Action>,
    /// The next time at which something is due.
    pub(super) wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// Whether a container in `initContainers` is a sidecar.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether a container is started again after it ended so.
pub(super) fn restarts(pod: &Pod, container: &Container, exit_code: i32) -> bool {
    let of_pod = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    match container.restart_policy.as_deref().or(of_pod) {
        Some("Never") => false,
        Some("OnFailure") => exit_code != 0,
        _ => true,
    }
}

/// Whether an init container is started again after it ended so: never after a success.
fn init_restarts(pod: &Pod, container: &Container, exit_code: i32) -> bool {
    exit_code != 0 && restarts(pod, container, exit_code)
}

/// Whether the object says that the pod is over.
pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A time that much later; the last one that can be written if there is none.
pub(super) fn after(now: Timestamp, duration: SignedDuration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// What is to be done next.
pub(super) fn next(now: Timestamp, pod: &Pod, life: &Life) -> Plan {
    let mut plan = Plan::default();
    let end = match ending(now, pod, life, &mut plan) {
        Some(end) => Some(end),
        None => go_on(now, pod, life, &mut plan),
    };
    if let Some(end) = end {
        // Whatever was planned to start does not start any more.
        plan.actions.clear();
        if life.end.as_ref() != Some(&end) {
            plan.actions.push(Action::End(end.clone()));
        }
        stop_all(now, pod, life, &end, &mut plan);
    }
    plan
}

/// The grace of a pod that ends by itself.
fn grace(pod: &Pod) -> SignedDuration {
    let seconds = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.termination_grace_period_seconds);
    SignedDuration::from_secs(seconds.unwrap_or(DEFAULT_GRACE_SECONDS).max(0))
}

/// The end of the pod, if it is ordered or its time is up.
fn ending(now: Timestamp, pod: &Pod, life: &Life, plan: &mut Plan) -> Option<End> {
    let mut end = life.end.clone();
    if end.is_none() && is_over(pod) {
        end = Some(End {
            kill_at: after(now, grace(pod)),
            failure: None,
            deleted: false,
        });
    }
    if end.is_none()
        && let Some(seconds) = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.active_deadline_seconds)
    {
        let deadline = after(life.since, SignedDuration::from_secs(seconds));
        if now >= deadline {
            let message = "Pod was active on the node longer than the specified deadline";
            end = Some(End {
                kill_at: after(now, grace(pod)),
                failure: Some(("DeadlineExceeded".to_owned(), message.to_owned())),
                deleted: false,
            });
        } else {
            plan.wake_at(deadline);
        }
    }
    if let Some(deletion) = &pod.metadata.deletion_timestamp {
        // The deletion's time is when the grace is over, by the API server's clock.
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let kill_at = deletion.0.min(after(now, SignedDuration::from_secs(grace)));
        let failure = end.as_ref().and_then(|end| end.failure.clone());
        let kill_at = end.map_or(kill_at, |end| end.kill_at.min(kill_at));
        return Some(End {
            kill_at,
            failure,
            deleted: true,
        });
    }
    end
}

/// What is to be done while the pod lives; its end if there is nothing left to run.
fn go_on(now: Timestamp, pod: &Pod, life: &Life, plan: &mut Plan) -> Option<End> {
    let spec = pod.spec.as_ref()?;
    let natural = End {
        kill_at: after(now, grace(pod)),
        failure: None,
        deleted: false,
    };
    let unseen = Observed::default();
    let observed = |container: &Container| life.containers.get(&container.name).unwrap_or(&unseen);
    let over = |container: &Container| {
        let seen = observed(container);
        matches!(&seen.state, State::Ended(ended) if !restarts(pod, container, ended.exit_code))
    };
    if spec.containers.iter().all(over) {
        return Some(natural);
    }
    match &life.prepared {
        Prepared::Asked => return None,
        Prepared::Retry { at } if now < *at => {
            plan.wake_at(*at);
            return None;
        }
        Prepared::No | Prepared::Retry { .. } => {
            plan.actions.push(Action::Prepare);
            return None;
        }
        Prepared::Yes => {}
    }
    for container in spec.init_containers.iter().flatten() {
        let seen = observed(container);
        if is_sidecar(container) {
            keep_up(now, pod, container, seen, plan);
            if !life.initialized && !seen.has_started() {
                return None;
            }
        } else if !life.initialized {
            match seen.ended() {
                Some(ended) if ended.exit_code == 0 => {}
                Some(ended) if !init_restarts(pod, container, ended.exit_code) => {
                    return Some(natural);
                }
                _ => {
                    keep_up(now, pod, container, seen, plan);
                    return None;
                }
            }
        }
    }
    for container in spec.containers.iter().filter(|container| !over(container)) {
        keep_up(now, pod, container, observed(container), plan);
    }
    None
}

/// Starts a container that should run and does not, and stops one that is unhealthy.
fn keep_up(now: Timestamp, pod: &Pod, container: &Container, seen: &Observed, plan: &mut Plan) {
    let name = &container.name;
    let start = |number| Action::Start {
        container: name.clone(),
        number,
    };
    match &seen.state {
        State::Waiting {
            until: Some(until), ..
        } if now < *until => plan.wake_at(*until),
        State::Waiting { .. } => {
            let again = i32::from(seen.last.is_some());
            plan.actions.push(start(seen.restarts + again));
        }
        State::Starting { .. } => {}
        State::Running(running) => {
            if let Some(unhealthy) = &running.unhealthy
                && seen.kill_at.is_none()
            {
                let own = unhealthy.grace_seconds.map(SignedDuration::from_secs);
                plan.actions.push(Action::Stop {
                    container: name.clone(),
                    kill_at: after(now, own.unwrap_or_else(|| grace(pod))),
                    why: format!("failed {} probe", unhealthy.probe),
                });
            }
        }
        State::Ended(ended) => {
            let until = after(ended.finished_at, seen.pause_after(ended));
            if now >= until {
                plan.actions.push(start(seen.restarts + 1));
            } else {
                plan.actions.push(Action::BackOff {
                    container: name.clone(),
                    pause: seen.pause_after(ended),
                    until,
                });
                plan.wake_at(until);
            }
        }
    }
}

/// Stops everything in order, and deletes the object when it is to go.
fn stop_all(now: Timestamp, pod: &Pod, life: &Life, end: &End, plan: &mut Plan) {
    let Some(spec) = pod.spec.as_ref() else {
        return;
    };
    let forced = end.deleted && pod.metadata.deletion_grace_period_seconds == Some(0);
    let mut stop = |container: &Container, kill_at: Timestamp| {
        let Some(seen) = life.containers.get(&container.name) else {
            return false;
        };
        // A container that is starting is stopped as soon as its process is known.
        let earlier = seen.kill_at.is_none_or(|asked| asked > kill_at);
        if matches!(seen.state, State::Running(_)) && earlier {
            plan.actions.push(Action::Stop {
                container: container.name.clone(),
                kill_at,
                why: String::new(),
            });
        }
        seen.is_up()
    };
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let ordinary = inits.iter().filter(|container| !is_sidecar(container));
    let mut up = false;
    for container in spec.containers.iter().chain(ordinary) {
        up |= stop(container, end.kill_at);
    }
    for container in inits.iter().rev().filter(|container| is_sidecar(container)) {
        if up && !forced {
            // Sidecars wait for those that may need them.
            break;
        }
        let asked = life
            .containers
            .get(&container.name)
            .and_then(|seen| seen.kill_at);
        let own = match asked {
            _ if forced => end.kill_at,
            Some(asked) => asked,
            None => end.kill_at.max(after(now, SIDECAR_GRACE)),
        };
        up |= stop(container, own);
    }
    if !life.is_up() && end.deleted {
        plan.actions.push(Action::Delete);
    }
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
