//! Pods as processes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use embedded::kubelet::Kubelet;
use embedded::node::{Error, Node, PORTS};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node as NodeObject, Pod};
use kube::Api;
use kube::api::{LogParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cluster::{
    Cluster, PATIENCE, PATIENT, Root, config, exists, is_ready, phase, script, state,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_from_its_start_to_its_end() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let side = "exec 2>&-; trap 'echo bye; exit 0' TERM; echo up; touch /shared/up; \
        while :; do sleep 0.05; done";
    let game = "until [ -e /shared/up ]; do sleep 0.05; done; echo play; exit 3";
    let (mut sidecar, mut game) = (script("side", side), script("game", game));
    sidecar["restartPolicy"] = "Always".into();
    let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
    sidecar["volumeMounts"] = mounts.clone();
    game["volumeMounts"] = mounts;
    let spec = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 10,
        "initContainers": [script("one", "echo first"), sidecar],
        "containers": [game],
        "volumes": [{ "name": "shared", "emptyDir": {} }],
    });
    cluster.create("a", spec).await;
    let pod = cluster.until("a", |pod| phase(pod) == "Failed").await;
    assert_eq!(state(&pod, "one"), "ended 0");
    assert_eq!(state(&pod, "side"), "ended 0");
    assert_eq!(state(&pod, "game"), "ended 3");
    let status = pod.status.unwrap();
    assert_eq!(status.pod_ip.as_deref(), Some("127.0.0.1"));
    // The sidecar came first and went last.
    let side = &status.init_container_statuses.unwrap()[1];
    let game = &status.container_statuses.unwrap()[0];
    let times = |state: &k8s_openapi::api::core::v1::ContainerStatus| {
        let ended = state.state.clone().unwrap().terminated.unwrap();
        (ended.started_at.unwrap(), ended.finished_at.unwrap())
    };
    assert!(times(side).0 <= times(game).0 && times(side).1 >= times(game).1);
    let of = |container: &str| LogParams {
        container: Some(container.to_owned()),
        ..LogParams::default()
    };
    assert_eq!(cluster.logs("a", &of("one")).await, "first\n");
    assert_eq!(cluster.logs("a", &of("side")).await, "up\nbye\n");
    assert_eq!(cluster.logs("a", &of("game")).await, "play\n");
    cluster.delete("a", 5).await;
    cluster.until_gone("a").await;
    cluster.stop().await;
    assert_eq!(std::fs::read_dir(root.0.join("pods")).unwrap().count(), 0);
    assert_eq!(
        std::fs::read_dir(root.0.join("processes")).unwrap().count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_asks_and_then_insists() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let stubborn = "exec 2>&-; trap 'echo no' TERM; echo up; while :; do sleep 0.05; done";
    let mut kind = script("kind", PATIENT);
    let hooked = root.0.join("hooked");
    kind["lifecycle"] = json!({ "preStop": { "exec": { "command": ["touch", hooked] } } });
    let spec = json!({ "containers": [kind, script("stubborn", stubborn)] });
    cluster.create("a", spec).await;
    let up = |pod: &Pod| state(pod, "kind") == "running" && state(pod, "stubborn") == "running";
    cluster.until("a", up).await;
    let follow = LogParams {
        container: Some("stubborn".to_owned()),
        follow: true,
        ..LogParams::default()
    };
    let mut lines = cluster
        .pods()
        .log_stream("a", &follow)
        .await
        .unwrap()
        .lines();
    assert_eq!(lines.try_next().await.unwrap().as_deref(), Some("up"));
    // Time enough for the hook on a busy machine.
    cluster.delete("a", 5).await;
    assert_eq!(lines.try_next().await.unwrap().as_deref(), Some("no"));
    cluster.until_gone("a").await;
    assert!(hooked.exists());
    // Who follows is told the end.
    assert_eq!(lines.try_next().await.unwrap(), None);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_is_started_again_and_its_last_log_is_kept() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let mut container = script("game", "echo run $$$$; exit 4");
    container["terminationMessagePolicy"] = "FallbackToLogsOnError".into();
    cluster
        .create("a", json!({ "containers": [container] }))
        .await;
    let looping = |pod: &Pod| state(pod, "game") == "waiting CrashLoopBackOff";
    let pod = cluster.until("a", looping).await;
    let status = &pod.status.unwrap().container_statuses.unwrap()[0];
    let last = status.last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((status.restart_count, last.exit_code), (1, 4));
    let current = cluster.logs("a", &LogParams::default()).await;
    assert_eq!(last.message.as_deref(), Some(current.as_str()));
    let tail = LogParams {
        tail_lines: Some(1),
        timestamps: true,
        ..LogParams::default()
    };
    let stamped = cluster.logs("a", &tail).await;
    assert!(
        stamped.starts_with("20") && stamped.ends_with(&current),
        "{stamped}"
    );
    cluster.delete("a", 0).await;
    cluster.until_gone("a").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_program_is_waited_for() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    for (image, words) in [
        ("example.org/none:1", "No program stands for the image"),
        ("gone:2", "does not exist"),
    ] {
        let spec = json!({ "containers": [{ "name": "game", "image": image }] });
        cluster.create("a", spec).await;
        let waits = |pod: &Pod| state(pod, "game") == "waiting ErrImageNeverPull";
        let pod = cluster.until("a", waits).await;
        let status = &pod.status.unwrap().container_statuses.unwrap()[0];
        let waiting = status.state.clone().unwrap().waiting.unwrap();
        let message = waiting.message.unwrap();
        assert!(
            message.contains(words) && message.contains("--image"),
            "{message}"
        );
        // There is no log of what never ran.
        let error = cluster.pods().logs("a", &LogParams::default()).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("is waiting to start: ErrImageNeverPull"),
            "{error}"
        );
        cluster.delete("a", 0).await;
        cluster.until_gone("a").await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_with_their_sources_and_follow_them() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let watch = "echo $MODE; until grep -q two /config/mode; do sleep 0.05; done; \
        cat /config/mode; cat /id/token";
    let mut container = script("game", watch);
    container["env"] = json!([{ "name": "MODE", "valueFrom":
        { "configMapKeyRef": { "name": "late", "key": "mode" } } }]);
    container["volumeMounts"] = json!([
        { "name": "config", "mountPath": "/config" },
        { "name": "id", "mountPath": "/id" },
    ]);
    let token = json!({ "path": "token", "audience": "muster.dev", "expirationSeconds": 3600 });
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            { "name": "config", "configMap": { "name": "late" } },
            { "name": "id", "projected": { "sources": [{ "serviceAccountToken": token }] } },
        ],
    });
    cluster.create("a", spec).await;
    cluster
        .until("a", |pod| pod.status.as_ref().unwrap().start_time.is_some())
        .await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let map = json!({ "metadata": { "name": "late" }, "data": { "mode": "one\n" } });
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    cluster.until("a", |pod| phase(pod) == "Running").await;
    let patch = json!({ "data": { "mode": "two\n" } });
    let patch = Patch::Merge(&patch);
    maps.patch("late", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let pod = cluster.until("a", |pod| phase(pod) == "Succeeded").await;
    let log = cluster.logs("a", &LogParams::default()).await;
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines[..2], ["one", "two"]);
    // The token proves which pod it is.
    let review = json!({
        "metadata": {}, "spec": { "token": lines[2], "audiences": ["muster.dev"] },
    });
    let review: TokenReview = serde_json::from_value(review).unwrap();
    let reviews: Api<TokenReview> = Api::all(cluster.client.clone());
    let review = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    let user = review.status.unwrap().user.unwrap();
    assert_eq!(
        user.username.as_deref(),
        Some("system:serviceaccount:default:default")
    );
    let uids = &user.extra.unwrap()["authentication.kubernetes.io/pod-uid"];
    assert_eq!(uids.first(), pod.metadata.uid.as_ref());
    cluster.stop().await;
}

/// Answers every request, until the test ends, with what the number says.
fn answer(listener: TcpListener, code: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let code = code.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {code} Word\r\nContent-Length: 0\r\n\r\n");
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_decide_about_readiness_and_life() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let code = Arc::new(AtomicU64::new(503));
    answer(listener, code.clone());
    let mut container = script("game", PATIENT);
    // The port of the pod leads to that of the host.
    container["ports"] = json!([{ "name": "web", "containerPort": 80, "hostPort": port }]);
    let get = json!({ "httpGet": { "port": "web", "path": "/" }, "periodSeconds": 1 });
    container["readinessProbe"] = get.clone();
    container["readinessProbe"]["failureThreshold"] = 1.into();
    container["livenessProbe"] = json!({
        "exec": { "command": ["test", "!", "-e", root.0.join("ill")] },
        "periodSeconds": 1, "failureThreshold": 2,
    });
    container["startupProbe"] = json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 1 });
    let spec = json!({ "terminationGracePeriodSeconds": 5, "containers": [container] });
    cluster.create("a", spec).await;
    let running = cluster
        .until("a", |pod| state(pod, "game") == "running")
        .await;
    assert!(!is_ready(&running));
    code.store(204, Ordering::Relaxed);
    cluster.until("a", is_ready).await;
    code.store(500, Ordering::Relaxed);
    cluster.until("a", |pod| !is_ready(pod)).await;
    code.store(200, Ordering::Relaxed);
    std::fs::write(root.0.join("ill"), "").unwrap();
    let restarted = |pod: &Pod| {
        let status = &pod
            .status
            .as_ref()
            .unwrap()
            .container_statuses
            .as_ref()
            .unwrap()[0];
        status.restart_count == 1
    };
    cluster.until("a", restarted).await;
    std::fs::remove_file(root.0.join("ill")).unwrap();
    let killing = cluster.events("Killing").await;
    let expected = "Container game failed liveness probe, will be restarted";
    assert_eq!(killing, [expected]);
    let unhealthy = cluster.events("Unhealthy").await;
    assert!(
        unhealthy
            .contains(&"Readiness probe failed: HTTP probe failed with statuscode: 500".to_owned()),
        "{unhealthy:?}"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_told_the_ports_that_it_has() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let mut container = script("game", "echo $PORT $SDK $0 $1");
    let args = container["args"].as_array_mut().unwrap();
    args.extend([json!("--port=7654"), json!("localhost:9357")]);
    container["ports"] = json!([{ "containerPort": 7654 }]);
    container["env"] = json!([
        { "name": "AGONES_SDK_GRPC_PORT", "value": "9357" },
        { "name": "SDK", "value": "$(AGONES_SDK_GRPC_PORT)" },
    ]);
    let spec = json!({ "restartPolicy": "Never", "containers": [container] });
    for name in ["a", "b"] {
        cluster.create(name, spec.clone()).await;
    }
    let mut seen = BTreeSet::new();
    for name in ["a", "b"] {
        cluster.until(name, |pod| phase(pod) == "Succeeded").await;
        let log = cluster.logs(name, &LogParams::default()).await;
        let words: Vec<_> = log.split_whitespace().collect();
        let [port, sdk, flag, address] = words[..] else {
            panic!("{log}")
        };
        assert_eq!(flag, format!("--port={port}"));
        assert_eq!(address, format!("localhost:{sdk}"));
        for port in [port, sdk] {
            assert!(PORTS.contains(&port.parse().unwrap()), "{log}");
            assert!(seen.insert(port.to_owned()), "{port} was given twice");
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_what_it_is_and_when_it_ends() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    cluster
        .create("a", json!({ "containers": [script("game", PATIENT)] }))
        .await;
    cluster.until("a", |pod| phase(pod) == "Running").await;
    let pid = cluster.until("a", |pod| phase(pod) == "Running").await;
    let pid = pid.status.unwrap().container_statuses.unwrap()[0]
        .container_id
        .clone();
    let pid: u32 = pid
        .unwrap()
        .strip_prefix("process://")
        .unwrap()
        .parse()
        .unwrap();
    assert!(exists(pid));
    let nodes: Api<NodeObject> = Api::all(cluster.client.clone());
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "kube-node-lease");
    let ready = |node: &NodeObject| {
        let conditions = node.status.clone().unwrap().conditions.unwrap();
        let ready = conditions.into_iter().find(|one| one.type_ == "Ready");
        ready.unwrap().status
    };
    assert_eq!(ready(&nodes.get("local").await.unwrap()), "True");
    let has_lease = await_condition(leases, "local", |lease: Option<&Lease>| lease.is_some());
    tokio::time::timeout(PATIENCE, has_lease)
        .await
        .unwrap()
        .unwrap();
    // A second node in the same directory is refused.
    let second = Node::new(config(cluster.client.clone(), &root.0));
    let refused = second.run(CancellationToken::new()).await;
    assert!(matches!(refused, Err(Error::Locked { .. })));
    let usage = async {
        while cluster.node.usage("default", "a").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, usage).await.unwrap();
    assert!(cluster.node.total_usage().memory_bytes > 0);
    cluster.stop().await;
    assert_eq!(ready(&nodes.get("local").await.unwrap()), "False");
    assert!(!exists(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_again_takes_over() {
    let root = Root::new();
    let cluster = Cluster::start(&root);
    let always = json!({ "containers": [script("game", PATIENT)] });
    let mut never = always.clone();
    never["restartPolicy"] = "Never".into();
    cluster.create("always", always).await;
    cluster.create("never", never).await;
    for name in ["always", "never"] {
        cluster.until(name, |pod| phase(pod) == "Running").await;
        cluster.until_said(name, "up").await;
    }
    let (embedded, client) = cluster.stop().await;
    let cluster = Cluster::with(embedded, client, &root);
    let pod = cluster.until("never", |pod| phase(pod) == "Failed").await;
    assert_eq!(state(&pod, "game"), "ended 137");
    let again = |pod: &Pod| {
        let status = &pod
            .status
            .as_ref()
            .unwrap()
            .container_statuses
            .as_ref()
            .unwrap()[0];
        status.restart_count == 1 && state(pod, "game") == "running"
    };
    cluster.until("always", again).await;
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    assert_eq!(cluster.logs("always", &previous).await, "up\nbye\n");
    cluster.stop().await;
}
