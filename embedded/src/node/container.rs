//! One run of a container: from its process's start to its end, with its log, its hooks and its
//! probes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Probe};
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::events::Recorder;
use super::life::{Ended, Event, Verdict};
use super::logs::Log;
use super::probe::{Kind, Look, Pace, Tally, Target};
use super::processes::{Order, Process, outcome};
use crate::Clock;

/// How long a log may go on after the process ended: its group is gone by then.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// What of a log becomes the message of a container that failed, as with the kubelet.
const MESSAGE_LINES: usize = 80;
/// The same in bytes.
const MESSAGE_BYTES: usize = 2048;

/// A run of a container.
pub(super) struct Run {
    /// The pod.
    pub(super) pod: Arc<Pod>,
    /// Number of the run.
    pub(super) number: i32,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// The container and its surroundings.
    pub(super) target: Arc<Target>,
    /// Its log.
    pub(super) log: Arc<Log>,
    /// Tells the time.
    pub(super) clock: Clock,
    /// Events for users.
    pub(super) recorder: Arc<Recorder>,
    /// Events for the pod's worker.
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Run {
    fn name(&self) -> &str {
        &self.target.container.name
    }

    fn tell(&self, event: Event) {
        // The worker outlives its runs; if it does not, nobody wants to know.
        drop(self.events.send(event));
    }

    /// Runs the container to its end. `stop` says until when it has to end; if it goes away, at
    /// once.
    pub(super) async fn run(self, mut stop: watch::Receiver<Option<Timestamp>>) {
        let order = Order {
            program: OsStr::new(&self.program),
            args: &self.args,
            env: &self.target.env,
            directory: &self.target.directory,
        };
        let mut process = match self.target.processes.spawn(order).await {
            Ok(process) => process,
            Err(error) => {
                let message = format!("cannot start {}: {error}", self.program.display());
                let now = (self.clock)();
                self.recorder.warning(
                    &self.pod,
                    Some(self.name()),
                    "Failed",
                    format!("Error: {message}"),
                );
                self.tell(Event::NotStarted {
                    container: self.name().to_owned(),
                    reason: "RunContainerError".to_owned(),
                    message,
                    retry_at: super::pod::after(now, super::START_RETRY),
                });
                return;
            }
        };
        let started_at = (self.clock)();
        let began = Instant::now();
        self.tell(Event::Started {
            container: self.name().to_owned(),
            number: self.number,
            pid: process.pid,
            at: started_at,
        });
        self.recorder.normal(
            &self.pod,
            Some(self.name()),
            "Started",
            "Container started".to_owned(),
        );
        let mut output = JoinSet::new();
        if let Some(stdout) = process.child.stdout.take() {
            let log = self.log.clone();
            output.spawn(async move { log.copy("stdout", stdout).await });
        }
        if let Some(stderr) = process.child.stderr.take() {
            let log = self.log.clone();
            output.spawn(async move { log.copy("stderr", stderr).await });
        }
        let status = {
            let stopped = stop.clone();
            let watching = self.watch_over(began, stopped);
            tokio::pin!(watching);
            let ending = self.until_ended(&mut process, &mut stop);
            tokio::pin!(ending);
            tokio::select! {
                status = &mut ending => status,
                () = &mut watching => ending.await,
            }
        };
        self.target.processes.ended(process.pid).await;
        let all = async { while output.join_next().await.is_some() {} };
        drop(tokio::time::timeout(LOG_PATIENCE, all).await);
        let (exit_code, signal) = status.map_or((255, None), outcome);
        let policy = self.target.container.termination_message_policy.as_deref();
        let message = if exit_code != 0 && policy == Some("FallbackToLogsOnError") {
            self.log.tail(MESSAGE_LINES, MESSAGE_BYTES)
        } else {
            String::new()
        };
        let reason = if exit_code == 0 { "Completed" } else { "Error" };
        self.tell(Event::Ended {
            container: self.name().to_owned(),
            ended: Ended {
                pid: Some(process.pid),
                exit_code,
                signal,
                reason: reason.to_owned(),
                message,
                started_at: Some(started_at),
                finished_at: (self.clock)(),
            },
        });
    }

    /// Waits for the end of the process, and brings it about when it is asked for.
    async fn until_ended(
        &self,
        process: &mut Process,
        stop: &mut watch::Receiver<Option<Timestamp>>,
    ) -> std::io::Result<std::process::ExitStatus> {
        let hook = self.target.container.lifecycle.as_ref();
        let hook = hook.and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let mut pre_stop: OptionFuture<_> = None.into();
        let mut deadline: Option<Instant> = None;
        let mut killed = false;
        loop {
            let kill = async {
                match deadline {
                    Some(deadline) if !killed => tokio::time::sleep_until(deadline).await,
                    _ => std::future::pending().await,
                }
            };
            let (pid, group) = (process.pid, i32::try_from(process.pid).unwrap_or(0));
            let ask = || {
                super::guard::signal(group, Signal::TERM);
            };
            tokio::select! {
                status = process.child.wait() => return status,
                changed = stop.changed(), if !killed => {
                    let wanted = match changed {
                        Ok(()) => *stop.borrow_and_update(),
                        Err(_) => Some(Timestamp::MIN),
                    };
                    let Some(wanted) = wanted else { continue };
                    let left = wanted.duration_since((self.clock)());
                    let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
                    let first = deadline.is_none();
                    deadline = Some(Instant::now() + left);
                    if first && !left.is_zero() {
                        match hook {
                            Some(hook) => pre_stop = Some(Box::pin(self.target.hook(hook))).into(),
                            None => ask(),
                        }
                    }
                }
                Some(look) = &mut pre_stop => {
                    pre_stop = None.into();
                    if let Look::Failure(problem) | Look::Impossible(problem) = look {
                        self.recorder.warning(
                            &self.pod,
                            Some(self.name()),
                            "FailedPreStopHook",
                            format!("PreStopHook failed: {problem}"),
                        );
                    }
                    ask();
                }
                () = kill => {
                    killed = true;
                    tracing::debug!(pid, "Process is killed");
                    process.signal(Signal::KILL);
                }
            }
        }
    }

    /// Runs the hook after the start and then the probes, until nothing is left to look at.
    /// A container that is being stopped is left alone.
    async fn watch_over(&self, began: Instant, mut stop: watch::Receiver<Option<Timestamp>>) {
        tokio::select! {
            () = self.look_after(began) => {}
            // If the order goes away, so does the container.
            _ = stop.wait_for(Option::is_some) => {}
        }
    }

    async fn look_after(&self, began: Instant) {
        let container = &self.target.container;
        let hook = container.lifecycle.as_ref();
        if let Some(hook) = hook.and_then(|lifecycle| lifecycle.post_start.as_ref())
            && let Look::Failure(problem) | Look::Impossible(problem) = self.target.hook(hook).await
        {
            self.recorder.warning(
                &self.pod,
                Some(self.name()),
                "FailedPostStartHook",
                format!("PostStartHook failed: {problem}"),
            );
            self.verdict(Verdict::Unhealthy(super::life::Unhealthy {
                probe: "postStart",
                grace_seconds: None,
            }));
            return;
        }
        if let Some(probe) = &container.startup_probe
            && !self.probe(Kind::Startup, probe, began).await
        {
            return;
        }
        let liveness = async {
            if let Some(probe) = &container.liveness_probe {
                self.probe(Kind::Liveness, probe, began).await;
            }
        };
        let readiness = async {
            if let Some(probe) = &container.readiness_probe {
                self.probe(Kind::Readiness, probe, began).await;
            }
        };
        tokio::join!(liveness, readiness);
    }

    /// Looks again and again until the matter is settled; false if it is so to the worse.
    async fn probe(&self, kind: Kind, probe: &Probe, began: Instant) -> bool {
        let pace = Pace::of(probe);
        let mut tally = Tally::new(kind, probe);
        tokio::time::sleep_until(began + pace.delay).await;
        let mut ticks = tokio::time::interval(pace.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut warned = false;
        loop {
            ticks.tick().await;
            let look = self.target.look(probe).await;
            let success = match &look {
                Look::Success => true,
                Look::Failure(problem) => {
                    self.recorder.warning(
                        &self.pod,
                        Some(self.name()),
                        "Unhealthy",
                        format!("{kind} probe failed: {problem}"),
                    );
                    false
                }
                Look::Impossible(problem) => {
                    if !warned {
                        warned = true;
                        self.recorder.warning(
                            &self.pod,
                            Some(self.name()),
                            "ProbeWarning",
                            format!("{kind} probe warning: {problem}"),
                        );
                    }
                    true
                }
            };
            if let Some(verdict) = tally.count(success) {
                self.verdict(verdict);
            }
            if tally.is_settled() {
                return success;
            }
        }
    }

    fn verdict(&self, verdict: Verdict) {
        self.tell(Event::Probed {
            container: self.name().to_owned(),
            number: self.number,
            verdict,
        });
    }
}
