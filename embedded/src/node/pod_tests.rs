//! Tables of [`super`]: what is decided for which input.

use serde_json::{Value, json};

use super::super::life::{Ended, Event, Unhealthy, Verdict};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn pod(spec: &Value) -> Pod {
    let meta = json!({ "name": "p", "namespace": "n", "uid": "u" });
    serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap()
}

fn game(policy: &str) -> Pod {
    pod(&json!({
        "restartPolicy": policy,
        "terminationGracePeriodSeconds": 20,
        "initContainers": [
            { "name": "fetch" },
            { "name": "sdk", "restartPolicy": "Always" },
            { "name": "mesh", "restartPolicy": "Always", "startupProbe": {} },
            { "name": "warm" },
        ],
        "containers": [{ "name": "game" }, { "name": "log" }],
    }))
}

/// A pod that lives in a table: each step is a line of what is done.
struct Stage {
    pod: Pod,
    life: Life,
    now: i64,
    pids: u32,
    wake: Option<Timestamp>,
}

impl Stage {
    fn new(pod: Pod) -> Self {
        let life = Life::begin(at(0), &pod);
        let mut stage = Self {
            pod,
            life,
            now: 0,
            pids: 100,
            wake: None,
        };
        assert_eq!(stage.step(), "prepare");
        stage.happened(Event::Prepared);
        stage
    }

    fn step(&mut self) -> String {
        let mut done = Vec::new();
        loop {
            let plan = next(at(self.now), &self.pod, &self.life);
            self.wake = plan.wake;
            let mut acted = false;
            for action in plan.actions {
                self.life.begun(&self.pod, &action);
                acted |= action != Action::Delete;
                done.push(match action {
                    Action::Prepare => "prepare".to_owned(),
                    Action::Start { container, number } => format!("start {container} {number}"),
                    Action::BackOff {
                        container, pause, ..
                    } => format!("back off {container} {}", pause.as_secs()),
                    Action::Stop {
                        container,
                        kill_at,
                        why,
                    } => {
                        let left = kill_at.duration_since(at(self.now)).as_secs();
                        format!("stop {container} {left} {why}")
                            .trim_end()
                            .to_owned()
                    }
                    Action::End(end) => match end.failure {
                        Some((reason, _)) => format!("end {reason}"),
                        None => "end".to_owned(),
                    },
                    Action::Delete => "delete".to_owned(),
                });
            }
            if !acted {
                // What is to be deleted is so at every look.
                done.dedup();
                return done.join(", ");
            }
        }
    }

    fn happened(&mut self, event: Event) {
        self.life.happened(&self.pod, event);
    }

    fn started(&mut self, name: &str) -> String {
        self.pids += 1;
        let seen = &self.life.containers[name];
        let number = seen.restarts + i32::from(seen.last.is_some());
        // Before the first run ends there is nothing that came before.
        self.happened(Event::Started {
            container: name.to_owned(),
            number,
            pid: self.pids,
            at: at(self.now),
        });
        self.step()
    }

    fn ended(&mut self, name: &str, exit_code: i32) -> String {
        self.happened(Event::Ended {
            container: name.to_owned(),
            ended: Ended {
                pid: Some(self.pids),
                exit_code,
                signal: None,
                reason: "Error".to_owned(),
                message: String::new(),
                started_at: None,
                finished_at: at(self.now),
            },
        });
        self.step()
    }

    fn probed(&mut self, name: &str, verdict: Verdict) -> String {
        let number = self.life.containers[name].restarts;
        self.happened(Event::Probed {
            container: name.to_owned(),
            number,
            verdict,
        });
        self.step()
    }

    fn delete(&mut self, grace: i64) -> String {
        let deadline = at(self.now + grace);
        self.pod.metadata.deletion_timestamp = Some(deadline.into());
        self.pod.metadata.deletion_grace_period_seconds = Some(grace);
        self.step()
    }

    /// A pod all of whose containers run.
    fn running(policy: &str) -> Self {
        let mut stage = Self::new(game(policy));
        stage.step();
        stage.started("fetch");
        stage.ended("fetch", 0);
        stage.started("sdk");
        stage.started("mesh");
        stage.probed("mesh", Verdict::Started);
        stage.started("warm");
        stage.ended("warm", 0);
        stage.started("game");
        stage.started("log");
        stage
    }
}

#[test]
fn containers_start_in_order() {
    let mut stage = Stage::new(game("Never"));
    assert_eq!(stage.step(), "start fetch 0");
    assert_eq!(stage.started("fetch"), "");
    assert_eq!(stage.ended("fetch", 0), "start sdk 0");
    // A sidecar without startup probe has started when it runs.
    assert_eq!(stage.started("sdk"), "start mesh 0");
    assert_eq!(stage.started("mesh"), "");
    assert_eq!(stage.probed("mesh", Verdict::Started), "start warm 0");
    assert_eq!(stage.started("warm"), "");
    assert_eq!(stage.ended("warm", 0), "start game 0, start log 0");
    assert_eq!(stage.started("game"), "");
    assert_eq!(stage.started("log"), "");
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let mut stage = Stage::new(game("Never"));
    stage.step();
    stage.started("fetch");
    assert_eq!(stage.ended("fetch", 1), "end");

    let mut stage = Stage::new(game("Never"));
    stage.step();
    stage.started("fetch");
    stage.ended("fetch", 0);
    stage.started("sdk");
    stage.started("mesh");
    stage.probed("mesh", Verdict::Started);
    stage.started("warm");
    assert_eq!(stage.ended("warm", 1), "end, stop mesh 20");
    assert_eq!(stage.ended("mesh", 0), "stop sdk 20");
    assert_eq!(stage.ended("sdk", 0), "");
}

#[test]
fn a_failed_init_container_is_tried_again_otherwise() {
    for policy in ["OnFailure", "Always"] {
        let mut stage = Stage::new(game(policy));
        stage.step();
        stage.started("fetch");
        assert_eq!(stage.ended("fetch", 1), "start fetch 1");
        stage.started("fetch");
        assert_eq!(stage.ended("fetch", 1), "back off fetch 10");
        stage.now = 10;
        assert_eq!(stage.step(), "start fetch 2");
        stage.started("fetch");
        assert_eq!(stage.ended("fetch", 0), "start sdk 0");
    }
}

#[test]
fn a_game_that_ended_ends_its_sidecars_in_reverse_order() {
    for code in [0, 1] {
        let mut stage = Stage::running("Never");
        assert_eq!(stage.ended("game", code), "");
        assert_eq!(stage.ended("log", 0), "end, stop mesh 20");
        assert_eq!(stage.ended("mesh", 143), "stop sdk 20");
        assert_eq!(stage.ended("sdk", 143), "");
    }
}

#[test]
fn containers_restart_as_the_policy_says() {
    for (policy, code, expected) in [
        ("Always", 0, "start game 1"),
        ("Always", 1, "start game 1"),
        ("OnFailure", 0, ""),
        ("OnFailure", 1, "start game 1"),
        ("Never", 0, ""),
        ("Never", 1, ""),
    ] {
        let mut stage = Stage::running(policy);
        assert_eq!(stage.ended("game", code), expected, "{policy} {code}");
    }
}

#[test]
fn a_sidecar_restarts_whatever_the_policy_says() {
    let mut stage = Stage::running("Never");
    assert_eq!(stage.ended("sdk", 0), "start sdk 1");
    stage.started("sdk");
    assert_eq!(stage.ended("sdk", 0), "back off sdk 10");
    // The others go on meanwhile.
    assert!(stage.life.containers["game"].is_running());
}

#[test]
fn pauses_double_up_to_five_minutes_and_begin_anew_after_ten() {
    let mut stage = Stage::running("Always");
    let mut pauses = Vec::new();
    assert_eq!(stage.ended("game", 1), "start game 1");
    for _ in 0..7 {
        stage.started("game");
        let pause = stage.ended("game", 1);
        let seconds: i64 = pause
            .strip_prefix("back off game ")
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(stage.wake, Some(at(stage.now + seconds)));
        stage.now += seconds - 1;
        assert_eq!(stage.step(), "");
        stage.now += 1;
        assert!(stage.step().starts_with("start game"));
        pauses.push(seconds);
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
    stage.started("game");
    stage.now += 601;
    // It ran for longer than any pause, so it is not held back, and its pauses begin anew.
    assert!(stage.ended("game", 1).starts_with("start game"));
    stage.started("game");
    assert_eq!(stage.ended("game", 1), "back off game 10");
}

#[test]
fn an_unhealthy_container_is_stopped_and_restarted() {
    let unhealthy = |grace_seconds| {
        Verdict::Unhealthy(Unhealthy {
            probe: "liveness",
            grace_seconds,
        })
    };
    let mut stage = Stage::running("Always");
    assert_eq!(
        stage.probed("game", unhealthy(None)),
        "stop game 20 failed liveness probe"
    );
    assert_eq!(stage.step(), "");
    assert_eq!(stage.ended("game", 137), "start game 1");
    stage.started("game");
    assert!(
        stage
            .probed("game", unhealthy(Some(3)))
            .starts_with("stop game 3")
    );

    let mut stage = Stage::running("Never");
    assert!(
        stage
            .probed("game", unhealthy(None))
            .starts_with("stop game 20")
    );
    assert_eq!(stage.ended("game", 137), "");
}

#[test]
fn a_late_verdict_on_an_earlier_run_does_not_count() {
    let mut stage = Stage::running("Always");
    let late = Event::Probed {
        container: "game".to_owned(),
        number: 0,
        verdict: Verdict::Unhealthy(Unhealthy {
            probe: "liveness",
            grace_seconds: None,
        }),
    };
    stage.ended("game", 1);
    stage.started("game");
    stage.happened(late);
    assert_eq!(stage.step(), "");
}

#[test]
fn a_deletion_stops_the_sidecars_last() {
    let mut stage = Stage::running("Always");
    assert_eq!(stage.delete(5), "end, stop game 5, stop log 5");
    assert_eq!(stage.step(), "");
    stage.now = 4;
    assert_eq!(stage.ended("log", 0), "");
    // The sidecars get a little time, even if the others took it all.
    stage.now = 5;
    assert_eq!(stage.ended("game", 137), "stop mesh 2");
    stage.now = 6;
    assert_eq!(stage.ended("mesh", 0), "stop sdk 2");
    assert_eq!(stage.ended("sdk", 0), "delete");
}

#[test]
fn a_deletion_without_grace_stops_all_at_once() {
    let mut stage = Stage::running("Always");
    assert_eq!(
        stage.delete(0),
        "end, stop game 0, stop log 0, stop mesh 0, stop sdk 0"
    );
}

#[test]
fn a_second_deletion_may_shorten_the_grace() {
    let mut stage = Stage::running("Always");
    stage.delete(20);
    assert_eq!(stage.delete(3), "end, stop game 3, stop log 3");
    assert_eq!(stage.delete(10), "");
}

#[test]
fn a_container_that_is_starting_is_stopped_once_it_runs() {
    let mut stage = Stage::new(game("Never"));
    stage.step();
    assert_eq!(stage.delete(5), "end");
    assert_eq!(stage.started("fetch"), "stop fetch 5");
    assert_eq!(stage.ended("fetch", 143), "delete");
}

#[test]
fn a_pod_that_never_started_is_deleted_at_once() {
    let mut stage = Stage::new(game("Never"));
    assert_eq!(stage.delete(30), "end, delete");
}

#[test]
fn a_pod_ends_at_its_deadline() {
    let mut stage = Stage::running("Always");
    stage.pod.spec.as_mut().unwrap().active_deadline_seconds = Some(60);
    assert_eq!(stage.step(), "");
    assert_eq!(stage.wake, Some(at(60)));
    stage.now = 60;
    assert_eq!(
        stage.step(),
        "end DeadlineExceeded, stop game 20, stop log 20"
    );
    stage.ended("game", 0);
    stage.ended("log", 0);
    stage.ended("mesh", 0);
    assert_eq!(stage.ended("sdk", 0), "");
    assert_eq!(stage.delete(30), "end DeadlineExceeded, delete");
}

#[test]
fn what_cannot_start_is_tried_again() {
    let mut stage = Stage::new(game("Never"));
    stage.step();
    stage.happened(Event::NotStarted {
        container: "fetch".to_owned(),
        reason: "ErrImageNeverPull".to_owned(),
        message: "no".to_owned(),
        retry_at: at(5),
    });
    assert_eq!(stage.step(), "");
    assert_eq!(stage.wake, Some(at(5)));
    stage.now = 5;
    assert_eq!(stage.step(), "start fetch 0");
}

#[test]
fn a_pod_whose_volumes_are_missing_waits() {
    let pod = game("Never");
    let mut life = Life::begin(at(0), &pod);
    life.happened(&pod, Event::Unprepared { retry_at: at(2) });
    let plan = next(at(1), &pod, &life);
    assert_eq!((plan.actions.len(), plan.wake), (0, Some(at(2))));
    assert_eq!(next(at(2), &pod, &life).actions, [Action::Prepare]);
}

fn seen_before(policy: &str, states: Value) -> Pod {
    let mut pod = pod(&json!({
        "restartPolicy": policy,
        "initContainers": [{ "name": "sdk", "restartPolicy": "Always" }],
        "containers": [{ "name": "game" }],
    }));
    pod.status = Some(serde_json::from_value(states).unwrap());
    pod
}

#[test]
fn what_ran_when_the_node_ended_has_ended() {
    let running = json!({ "running": { "startedAt": "2024-01-01T00:00:00Z" } });
    let container = |name: &str| {
        json!({
            "name": name, "image": "", "imageID": "", "ready": true, "restartCount": 2,
            "state": running,
        })
    };
    let states = json!({
        "phase": "Running",
        "startTime": "2024-01-01T00:00:00Z",
        "initContainerStatuses": [container("sdk")],
        "containerStatuses": [container("game")],
    });
    let pod = seen_before("Never", states.clone());
    let mut life = Life::begin(at(0), &pod);
    let ended = life.containers["game"].ended().unwrap();
    assert_eq!(
        (ended.exit_code, ended.reason.as_str()),
        (137, "ContainerStatusUnknown")
    );
    assert!(matches!(
        next(at(0), &pod, &life).actions.as_slice(),
        [Action::End(_)]
    ));
    // Where containers are restarted, they are, with the next number, the sidecar first.
    let pod = seen_before("Always", states);
    life.prepared = Prepared::Yes;
    let start = |name: &str| Action::Start {
        container: name.to_owned(),
        number: 3,
    };
    assert_eq!(next(at(0), &pod, &life).actions, [start("sdk")]);
}

#[test]
fn a_pod_that_is_over_stays_so() {
    let pod = seen_before("Always", json!({ "phase": "Failed" }));
    let life = Life::begin(at(0), &pod);
    assert!(matches!(
        next(at(0), &pod, &life).actions.as_slice(),
        [Action::End(_)]
    ));
}
