//! Tables of [`super`]: what is decided for which input.

use std::net::Ipv4Addr;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::super::image::Program;
use super::super::life::{Event, Prepared, Verdict};
use super::super::pod::Action;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "n", "uid": "u", "generation": 1 },
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [{ "name": "sdk", "image": "sdk:1", "restartPolicy": "Always" }],
            "containers": [{ "name": "game", "image": "game:1", "readinessProbe": {} }],
        },
    }))
    .unwrap()
}

fn written(now: i64, before: &PodStatus, life: &Life) -> PodStatus {
    let images = [("game", Program::new("/bin/game"))].into_iter().collect();
    let address = Ipv4Addr::LOCALHOST.into();
    status(at(now), &pod(), before, life, (address, &images))
}

/// The parts of a status that change, a line each.
fn check(status: &PodStatus, expected: &Expect) {
    let phase = status.phase.clone().unwrap();
    let conditions = status.conditions.iter().flatten().map(|condition| {
        format!(
            "{}={} {} {} {}\n",
            condition.type_,
            condition.status,
            condition.last_transition_time.as_ref().unwrap().0,
            condition.reason.as_deref().unwrap_or("-"),
            condition.message.as_deref().unwrap_or("-"),
        )
    });
    let inits = status.init_container_statuses.iter().flatten();
    let containers = inits.chain(status.container_statuses.iter().flatten());
    let containers = containers.map(|container| {
        format!(
            "{} ready={} started={:?} restarts={} {} {} last={}\n",
            container.name,
            container.ready,
            container.started.unwrap(),
            container.restart_count,
            container.container_id.as_deref().unwrap_or("-"),
            serde_json::to_string(&container.state).unwrap(),
            serde_json::to_string(&container.last_state).unwrap(),
        )
    });
    let text = [format!("{phase}\n")]
        .into_iter()
        .chain(conditions)
        .chain(containers);
    let text: String = text.collect();
    expected.assert_eq(&text);
}

fn started(container: &str, number: i32, pid: u32, second: i64) -> Event {
    Event::Started {
        container: container.to_owned(),
        number,
        pid,
        at: at(second),
    }
}

fn ended(container: &str, pid: u32, exit_code: i32, second: i64) -> Event {
    Event::Ended {
        container: container.to_owned(),
        ended: Ended {
            pid: Some(pid),
            exit_code,
            signal: (exit_code > 128).then(|| exit_code - 128),
            reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
            message: String::new(),
            started_at: Some(at(second - 1)),
            finished_at: at(second),
        },
    }
}

#[test]
fn the_status_follows_a_pod_through_its_life() {
    let pod = pod();
    let mut life = Life::begin(at(0), &pod);
    let first = written(1, &PodStatus::default(), &life);
    check(
        &first,
        &expect![[r#"
            Pending
            PodReadyToStartContainers=False 2023-11-14T22:13:21Z - -
            Initialized=False 2023-11-14T22:13:21Z ContainersNotInitialized containers with incomplete status: [sdk]
            Ready=False 2023-11-14T22:13:21Z ContainersNotReady containers with unready status: [sdk game]
            ContainersReady=False 2023-11-14T22:13:21Z ContainersNotReady containers with unready status: [sdk game]
            PodScheduled=True 2023-11-14T22:13:21Z - -
            sdk ready=false started=false restarts=0 - {"waiting":{"reason":"PodInitializing"}} last={}
            game ready=false started=false restarts=0 - {"waiting":{"reason":"PodInitializing"}} last={}
        "#]],
    );
    assert_eq!(first.pod_ip, None);
    assert_eq!(first.start_time, Some(Time(at(0))));

    life.happened(&pod, Event::Prepared);
    life.happened(&pod, started("sdk", 0, 7, 2));
    life.happened(&pod, started("game", 0, 8, 2));
    let second = written(2, &first, &life);
    check(
        &second,
        &expect![[r#"
        Running
        PodReadyToStartContainers=True 2023-11-14T22:13:22Z - -
        Initialized=True 2023-11-14T22:13:22Z - -
        Ready=False 2023-11-14T22:13:21Z ContainersNotReady containers with unready status: [game]
        ContainersReady=False 2023-11-14T22:13:21Z ContainersNotReady containers with unready status: [game]
        PodScheduled=True 2023-11-14T22:13:21Z - -
        sdk ready=true started=true restarts=0 process://7 {"running":{"startedAt":"2023-11-14T22:13:22Z"}} last={}
        game ready=false started=true restarts=0 process://8 {"running":{"startedAt":"2023-11-14T22:13:22Z"}} last={}
    "#]],
    );
    assert_eq!(second.pod_ip.as_deref(), Some("127.0.0.1"));

    let ready = Event::Probed {
        container: "game".to_owned(),
        number: 0,
        verdict: Verdict::Ready,
    };
    life.happened(&pod, ready);
    let third = written(3, &second, &life);
    check(
        &third,
        &expect![[r#"
        Running
        PodReadyToStartContainers=True 2023-11-14T22:13:22Z - -
        Initialized=True 2023-11-14T22:13:22Z - -
        Ready=True 2023-11-14T22:13:23Z - -
        ContainersReady=True 2023-11-14T22:13:23Z - -
        PodScheduled=True 2023-11-14T22:13:21Z - -
        sdk ready=true started=true restarts=0 process://7 {"running":{"startedAt":"2023-11-14T22:13:22Z"}} last={}
        game ready=true started=true restarts=0 process://8 {"running":{"startedAt":"2023-11-14T22:13:22Z"}} last={}
    "#]],
    );

    life.happened(&pod, ended("game", 8, 139, 4));
    life.end = Some(super::super::life::End {
        kill_at: at(30),
        failure: None,
        deleted: false,
    });
    // While a sidecar runs the pod is not over.
    let fourth = written(4, &third, &life);
    assert_eq!(fourth.phase.as_deref(), Some("Running"));
    life.happened(&pod, ended("sdk", 7, 0, 5));
    let last = written(5, &fourth, &life);
    check(
        &last,
        &expect![[r#"
        Failed
        PodReadyToStartContainers=False 2023-11-14T22:13:25Z - -
        Initialized=True 2023-11-14T22:13:22Z - -
        Ready=False 2023-11-14T22:13:24Z PodFailed -
        ContainersReady=False 2023-11-14T22:13:24Z PodFailed -
        PodScheduled=True 2023-11-14T22:13:21Z - -
        sdk ready=false started=false restarts=0 process://7 {"terminated":{"containerID":"process://7","exitCode":0,"finishedAt":"2023-11-14T22:13:25Z","reason":"Completed","startedAt":"2023-11-14T22:13:24Z"}} last={}
        game ready=false started=false restarts=0 process://8 {"terminated":{"containerID":"process://8","exitCode":139,"finishedAt":"2023-11-14T22:13:24Z","reason":"Error","signal":11,"startedAt":"2023-11-14T22:13:23Z"}} last={}
    "#]],
    );
}

#[test]
fn a_pod_whose_containers_succeeded_has_succeeded() {
    let pod = pod();
    let mut life = Life::begin(at(0), &pod);
    life.prepared = Prepared::Yes;
    life.happened(&pod, started("game", 0, 8, 1));
    life.happened(&pod, ended("game", 8, 0, 2));
    life.end = Some(super::super::life::End {
        kill_at: at(30),
        failure: None,
        deleted: false,
    });
    let status = written(2, &PodStatus::default(), &life);
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    life.end = life.end.map(|end| super::super::life::End {
        failure: Some(("DeadlineExceeded".to_owned(), "late".to_owned())),
        ..end
    });
    let failed = written(2, &PodStatus::default(), &life);
    assert_eq!(failed.phase.as_deref(), Some("Failed"));
    assert_eq!(failed.reason.as_deref(), Some("DeadlineExceeded"));
    // What was written stays true.
    let again = written(3, &status, &life);
    assert_eq!(again.phase.as_deref(), Some("Succeeded"));
}

#[test]
fn a_container_in_a_crash_loop_says_so() {
    let pod = pod();
    let mut life = Life::begin(at(0), &pod);
    life.prepared = Prepared::Yes;
    life.happened(&pod, started("sdk", 0, 7, 1));
    life.happened(&pod, ended("sdk", 7, 1, 2));
    let wait = Action::BackOff {
        container: "sdk".to_owned(),
        pause: jiff::SignedDuration::from_secs(80),
        until: at(82),
    };
    life.begun(&pod, &wait);
    check(
        &written(2, &PodStatus::default(), &life),
        &expect![[r#"
        Pending
        PodReadyToStartContainers=True 2023-11-14T22:13:22Z - -
        Initialized=False 2023-11-14T22:13:22Z ContainersNotInitialized containers with incomplete status: [sdk]
        Ready=False 2023-11-14T22:13:22Z ContainersNotReady containers with unready status: [sdk game]
        ContainersReady=False 2023-11-14T22:13:22Z ContainersNotReady containers with unready status: [sdk game]
        PodScheduled=True 2023-11-14T22:13:22Z - -
        sdk ready=false started=false restarts=0 process://7 {"waiting":{"message":"back-off 1m20s restarting failed container=sdk pod=p_n(u)","reason":"CrashLoopBackOff"}} last={"terminated":{"containerID":"process://7","exitCode":1,"finishedAt":"2023-11-14T22:13:22Z","reason":"Error","startedAt":"2023-11-14T22:13:21Z"}}
        game ready=false started=false restarts=0 - {"waiting":{"reason":"PodInitializing"}} last={}
    "#]],
    );
}

#[test]
fn conditions_of_others_stay_and_gates_count() {
    let mut gated = pod();
    gated.spec.as_mut().unwrap().readiness_gates =
        serde_json::from_value(json!([{ "conditionType": "example.org/gate" }])).unwrap();
    let mut life = Life::begin(at(0), &gated);
    life.prepared = Prepared::Yes;
    life.happened(&gated, started("sdk", 0, 7, 1));
    life.happened(&gated, started("game", 0, 8, 1));
    let ready = Event::Probed {
        container: "game".to_owned(),
        number: 0,
        verdict: Verdict::Ready,
    };
    life.happened(&gated, ready);
    let show = |conditions: Value| {
        let before = PodStatus {
            conditions: serde_json::from_value(conditions).unwrap(),
            ..PodStatus::default()
        };
        let about = (Ipv4Addr::LOCALHOST.into(), &Images::default());
        let status = status(at(2), &gated, &before, &life, about);
        let conditions = status.conditions.unwrap();
        let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
        (conditions.len(), ready.status.clone(), ready.reason.clone())
    };
    let closed = Some("ReadinessGatesNotReady".to_owned());
    let gate = |status: &str| json!([{ "type": "example.org/gate", "status": status }]);
    assert_eq!(show(json!([])), (5, "False".to_owned(), closed.clone()));
    assert_eq!(show(gate("False")), (6, "False".to_owned(), closed));
    assert_eq!(show(gate("True")), (6, "True".to_owned(), None));
}
