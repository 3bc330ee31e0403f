//! What was observed of a pod, and how events change it. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::pod::Action;
use super::ports::containers;

/// First pause before a container is started again.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// Longest pause before a container is started again.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(300);
/// After this time without a restart the pauses begin anew.
const PAUSE_RESET: SignedDuration = SignedDuration::from_secs(600);

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its process, if one was seen.
    pub(super) pid: Option<u32>,
    /// Exit code; 128 and the signal's number if a signal ended it.
    pub(super) exit_code: i32,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
    /// Such as `Completed` or `Error`.
    pub(super) reason: String,
    /// More about it, possibly empty.
    pub(super) message: String,
    /// When it had started.
    pub(super) started_at: Option<Timestamp>,
    /// When it ended.
    pub(super) finished_at: Timestamp,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// Its process, which leads a process group.
    pub(super) pid: u32,
    /// Since when.
    pub(super) since: Timestamp,
    /// Whether it is through with starting, by its startup probe if it has one.
    pub(super) started: bool,
    /// What its readiness probe says; true if it has none.
    pub(super) ready: bool,
    /// Why it must be restarted, by its liveness or startup probe.
    pub(super) unhealthy: Option<Unhealthy>,
}

/// A probe's verdict that ends a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unhealthy {
    /// Which probe, such as `liveness`.
    pub(super) probe: &'static str,
    /// The probe's own grace.
    pub(super) grace_seconds: Option<i64>,
}

/// Where a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not started, or not again yet.
    Waiting {
        /// Reason, such as `CrashLoopBackOff`; empty while the pod is being prepared.
        reason: String,
        /// More about it.
        message: String,
        /// When to try (again); none for at once.
        until: Option<Timestamp>,
    },
    /// The start was asked for.
    Starting {
        /// Why it was waiting before.
        reason: String,
        /// More about it.
        message: String,
    },
    /// It runs.
    Running(Running),
    /// It ended and may be started again.
    Ended(Ended),
}

/// A container as it was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// Where it is.
    pub(super) state: State,
    /// How its last run ended, unless `state` says it.
    pub(super) last: Option<Ended>,
    /// Number of restarts, which is also the number of its log.
    pub(super) restarts: i32,
    /// Until when it has to end, once it was asked to.
    pub(super) kill_at: Option<Timestamp>,
    /// The pause before its next restart.
    pause: SignedDuration,
    /// When the pause was last set.
    paused_at: Option<Timestamp>,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            state: State::Waiting {
                reason: String::new(),
                message: String::new(),
                until: None,
            },
            last: None,
            restarts: 0,
            kill_at: None,
            pause: SignedDuration::ZERO,
            paused_at: None,
        }
    }
}

impl Observed {
    /// Whether a process is there or about to be.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running(_))
    }

    /// Whether its process is there.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// How the container ended, if it does not run now.
    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.state {
            State::Ended(ended) => Some(ended),
            State::Waiting { .. } => self.last.as_ref(),
            State::Starting { .. } | State::Running(_) => None,
        }
    }

    /// Whether it runs and is through with starting.
    pub(super) fn has_started(&self) -> bool {
        matches!(&self.state, State::Running(running) if running.started)
    }
}

/// Whether volumes and ports are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// Not asked for.
    No,
    /// Being prepared.
    Asked,
    /// Something is missing; it is tried again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// Everything is there.
    Yes,
}

/// The end of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Until when its containers have to end.
    pub(super) kill_at: Timestamp,
    /// Why the pod failed, where its containers do not say it: reason and message.
    pub(super) failure: Option<(String, String)>,
    /// Whether the object goes when everything has ended.
    pub(super) deleted: bool,
}

/// A pod as it was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// Volumes and ports.
    pub(super) prepared: Prepared,
    /// Its containers by name.
    pub(super) containers: BTreeMap<String, Observed>,
    /// When the node saw it first.
    pub(super) since: Timestamp,
    /// Whether the init containers were through once.
    pub(super) initialized: bool,
    /// Set once the pod ends.
    pub(super) end: Option<End>,
}

/// What happened to a container or to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Volumes and ports are there.
    Prepared,
    /// Something that the pod needs is missing.
    Unprepared {
        /// When to try again.
        retry_at: Timestamp,
    },
    /// A container's process runs.
    Started {
        /// Which container.
        container: String,
        /// Number of the run.
        number: i32,
        /// Its process.
        pid: u32,
        /// When.
        at: Timestamp,
    },
    /// A container could not be started.
    NotStarted {
        /// Which container.
        container: String,
        /// Reason, such as `ErrImageNeverPull`.
        reason: String,
        /// A sentence.
        message: String,
        /// When to try again.
        retry_at: Timestamp,
    },
    /// What a probe of a container says has changed.
    Probed {
        /// Which container.
        container: String,
        /// Number of the run.
        number: i32,
        /// What it says.
        verdict: Verdict,
    },
    /// A container ended.
    Ended {
        /// Which container.
        container: String,
        /// How.
        ended: Ended,
    },
}

/// What a probe says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The startup probe succeeded.
    Started,
    /// The readiness probe succeeded.
    Ready,
    /// The readiness probe failed.
    Unready,
    /// The container must be restarted.
    Unhealthy(Unhealthy),
}

impl Life {
    /// A pod that the node sees now; what an earlier run of the node wrote about it counts.
    ///
    /// No process outlives its node, so a container that was running has ended in a way that
    /// nobody saw.
    pub(super) fn begin(now: Timestamp, pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let statuses = status.into_iter().flat_map(|status| {
            let inits = status.init_container_statuses.iter().flatten();
            inits.chain(status.container_statuses.iter().flatten())
        });
        let known: BTreeMap<&str, &ContainerStatus> = statuses
            .map(|status| (status.name.as_str(), status))
            .collect();
        let containers = pod
            .spec
            .iter()
            .flat_map(containers)
            .map(|container| {
                let seen = known
                    .get(container.name.as_str())
                    .map(|status| Observed::from_status(now, status))
                    .unwrap_or_default();
                (container.name.clone(), seen)
            })
            .collect();
        let since = status
            .and_then(|status| status.start_time.as_ref())
            .map_or(now, |time| time.0);
        Self {
            prepared: Prepared::No,
            containers,
            since,
            initialized: false,
            end: None,
        }
    }

    /// Whether any process is there or about to be.
    pub(super) fn is_up(&self) -> bool {
        self.containers.values().any(Observed::is_up)
    }

    /// Records that an action was begun.
    pub(super) fn begun(&mut self, pod: &Pod, action: &Action) {
        match action {
            Action::Prepare => self.prepared = Prepared::Asked,
            Action::Start { container, .. } => {
                let seen = self.seen(container);
                let (reason, message) = match &seen.state {
                    State::Waiting {
                        reason, message, ..
                    } => (reason.clone(), message.clone()),
                    State::Ended(ended) => {
                        seen.last = Some(ended.clone());
                        (String::new(), String::new())
                    }
                    State::Starting { .. } | State::Running(_) => (String::new(), String::new()),
                };
                seen.kill_at = None;
                seen.state = State::Starting { reason, message };
            }
            Action::BackOff {
                container,
                pause,
                until,
            } => {
                let meta = &pod.metadata;
                let message = format!(
                    "back-off {} restarting failed container={container} pod={}_{}({})",
                    in_words(*pause),
                    meta.name.as_deref().unwrap_or_default(),
                    meta.namespace.as_deref().unwrap_or_default(),
                    meta.uid.as_deref().unwrap_or_default(),
                );
                let seen = self.seen(container);
                if let State::Ended(ended) = &seen.state {
                    seen.last = Some(ended.clone());
                }
                seen.state = State::Waiting {
                    reason: "CrashLoopBackOff".to_owned(),
                    message,
                    until: Some(*until),
                };
            }
            Action::Stop {
                container, kill_at, ..
            } => self.seen(container).kill_at = Some(*kill_at),
            Action::End(end) => self.end = Some(end.clone()),
            Action::Delete => {}
        }
    }

    /// Records what happened.
    pub(super) fn happened(&mut self, pod: &Pod, event: Event) {
        match event {
            Event::Prepared => self.prepared = Prepared::Yes,
            Event::Unprepared { retry_at } => self.prepared = Prepared::Retry { at: retry_at },
            Event::Started {
                container,
                number,
                pid,
                at,
            } => {
                let spec = pod.spec.as_ref();
                let declared = spec
                    .into_iter()
                    .flat_map(containers)
                    .find(|known| known.name == container);
                self.initialized |= spec.is_some_and(|spec| {
                    spec.containers.iter().any(|known| known.name == container)
                });
                let running = Running {
                    pid,
                    since: at,
                    started: declared.is_none_or(|known| known.startup_probe.is_none()),
                    ready: declared.is_none_or(|known| known.readiness_probe.is_none()),
                    unhealthy: None,
                };
                self.seen(&container).started(number, at, running);
            }
            Event::NotStarted {
                container,
                reason,
                message,
                retry_at,
            } => {
                self.seen(&container).state = State::Waiting {
                    reason,
                    message,
                    until: Some(retry_at),
                };
            }
            Event::Probed {
                container,
                number,
                verdict,
            } => {
                let seen = self.seen(&container);
                // A verdict on an earlier run may come late.
                if let State::Running(running) = &mut seen.state
                    && seen.restarts == number
                {
                    match verdict {
                        Verdict::Started => running.started = true,
                        Verdict::Ready => running.ready = true,
                        Verdict::Unready => running.ready = false,
                        Verdict::Unhealthy(unhealthy) => running.unhealthy = Some(unhealthy),
                    }
                }
            }
            Event::Ended { container, ended } => {
                let seen = self.seen(&container);
                seen.kill_at = None;
                seen.state = State::Ended(ended);
            }
        }
    }

    fn seen(&mut self, container: &str) -> &mut Observed {
        self.containers.entry(container.to_owned()).or_default()
    }
}

impl Observed {
    /// The pause before the container is started again after it ended so: none the first time,
    /// and none after it ran for long.
    pub(super) fn pause_after(&self, ended: &Ended) -> SignedDuration {
        let recent = self
            .paused_at
            .is_some_and(|before| ended.finished_at.duration_since(before) <= PAUSE_RESET);
        if recent {
            self.pause
        } else {
            SignedDuration::ZERO
        }
    }

    fn started(&mut self, number: i32, at: Timestamp, running: Running) {
        if number > self.restarts {
            let recent = self
                .paused_at
                .is_some_and(|before| at.duration_since(before) <= PAUSE_RESET);
            self.pause = if recent {
                (self.pause * 2).min(LONGEST_PAUSE)
            } else {
                PAUSE
            };
            self.paused_at = Some(at);
        }
        self.restarts = number;
        self.state = State::Running(running);
    }

    fn from_status(now: Timestamp, status: &ContainerStatus) -> Self {
        let last = status.last_state.as_ref().and_then(ended);
        let state = status.state.as_ref();
        let running = state.and_then(|state| state.running.as_ref());
        let mut seen = Self {
            restarts: status.restart_count,
            last,
            ..Self::default()
        };
        if let Some(ended) = state.and_then(ended) {
            seen.state = State::Ended(ended);
        } else if let Some(running) = running {
            seen.state = State::Ended(Ended {
                pid: None,
                exit_code: 137,
                signal: None,
                reason: "ContainerStatusUnknown".to_owned(),
                message: "The node ended while the container was running".to_owned(),
                started_at: running.started_at.as_ref().map(|time| time.0),
                finished_at: now,
            });
        }
        seen
    }
}

fn ended(state: &ContainerState) -> Option<Ended> {
    let terminated = state.terminated.as_ref()?;
    let id = terminated.container_id.as_deref().unwrap_or_default();
    Some(Ended {
        pid: id
            .strip_prefix("process://")
            .and_then(|pid| pid.parse().ok()),
        exit_code: terminated.exit_code,
        signal: terminated.signal,
        reason: terminated.reason.clone().unwrap_or_default(),
        message: terminated.message.clone().unwrap_or_default(),
        started_at: terminated.started_at.as_ref().map(|time| time.0),
        finished_at: terminated.finished_at.as_ref()?.0,
    })
}

/// A duration as Go prints it, such as `1m20s`.
pub(super) fn in_words(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
