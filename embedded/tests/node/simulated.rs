//! Nodes that only pretend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use embedded::node::{Capacity, simulated};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cluster::{PATIENCE, api_server, is_ready, phase};

#[tokio::test(flavor = "multi_thread")]
async fn simulated_pods_run_at_once_and_go_at_once() {
    let (_embedded, client) = api_server();
    let seen = Arc::new(AtomicU64::new(0));
    let on_running: simulated::OnRunning = {
        let seen = seen.clone();
        Arc::new(move |pod| {
            assert!(pod.node.starts_with("sim-"));
            seen.fetch_add(1, Ordering::Relaxed);
            std::future::ready(()).boxed()
        })
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(simulated::run(
        simulated::Config {
            client: client.clone(),
            prefix: "sim-".to_owned(),
            nodes: 3,
            capacity: Capacity::of_host(1000),
            on_running: Some(on_running),
            concurrency: 8,
            clock: Arc::new(jiff::Timestamp::now),
        },
        stop.clone(),
    ));
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    for index in 0..50 {
        let pod = json!({
            "metadata": { "name": format!("p{index}") },
            "spec": {
                "nodeName": format!("sim-{}", index % 3),
                "terminationGracePeriodSeconds": 30,
                "containers": [{ "name": "game", "image": "none" }],
            },
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }
    let stranger = json!({
        "metadata": { "name": "stranger" },
        "spec": { "nodeName": "sim-9", "containers": [{ "name": "game", "image": "none" }] },
    });
    let stranger: Pod = serde_json::from_value(stranger).unwrap();
    pods.create(&PostParams::default(), &stranger)
        .await
        .unwrap();
    for index in 0..50 {
        let name = format!("p{index}");
        let ready =
            |pod: Option<&Pod>| pod.is_some_and(|pod| pod.status.is_some() && is_ready(pod));
        let waiting = await_condition(pods.clone(), &name, ready);
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap()
            .unwrap();
        pods.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    for index in 0..50 {
        let name = format!("p{index}");
        let gone = await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod.is_none());
        tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
    }
    // Each was played once, and pods of other nodes were left alone.
    assert_eq!(seen.load(Ordering::Relaxed), 50);
    assert_eq!(phase(&pods.get("stranger").await.unwrap()), "Pending");
    stop.cancel();
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap();
}
