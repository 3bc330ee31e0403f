//! Nodes that only pretend.

use std::sync::Arc;

use embedded::node::{Capacity, simulated};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{PATIENCE, api_server, is_ready, phase};

/// Pods of the test.
const PODS: usize = 50;

/// Games that were begun, and those that are played now.
#[derive(Clone, Copy, Debug, Default)]
struct Games {
    begun: usize,
    played: usize,
}

/// Counts a game as played until it is dropped.
struct Playing(watch::Sender<Games>);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.send_modify(|games| games.played -= 1);
    }
}

fn nodes(client: &Client, games: &watch::Sender<Games>) -> (CancellationToken, JoinHandle<()>) {
    let games = games.clone();
    let on_running: simulated::OnRunning = Arc::new(move |pod| {
        assert!(pod.node.starts_with("sim-"));
        games.send_modify(|games| {
            games.begun += 1;
            games.played += 1;
        });
        let playing = Playing(games.clone());
        async move {
            let _playing = playing;
            std::future::pending::<()>().await;
        }
        .boxed()
    });
    let stop = CancellationToken::new();
    let config = simulated::Config {
        client: client.clone(),
        prefix: "sim-".to_owned(),
        nodes: 3,
        capacity: Capacity::of_host(1000),
        on_running: Some(on_running),
        clock: Arc::new(jiff::Timestamp::now),
    };
    let running = tokio::spawn(simulated::run(config, stop.clone()));
    (stop, running)
}

async fn end((stop, running): (CancellationToken, JoinHandle<()>)) {
    stop.cancel();
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap();
}

async fn until_played(games: &mut watch::Receiver<Games>, count: usize) {
    let waiting = games.wait_for(|games| games.played == count);
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_pods_run_at_once_and_go_at_once() {
    let (_embedded, client) = api_server();
    let (sender, mut games) = watch::channel(Games::default());
    let first = nodes(&client, &sender);
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    for index in 0..PODS {
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
    for index in 0..PODS {
        let name = format!("p{index}");
        let ready =
            |pod: Option<&Pod>| pod.is_some_and(|pod| pod.status.is_some() && is_ready(pod));
        let waiting = await_condition(pods.clone(), &name, ready);
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap()
            .unwrap();
    }
    until_played(&mut games, PODS).await;

    // Pods outlive the nodes, and are played again when these are back.
    end(first).await;
    until_played(&mut games, 0).await;
    let second = nodes(&client, &sender);
    until_played(&mut games, PODS).await;

    for index in 0..PODS {
        let name = format!("p{index}");
        pods.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    for index in 0..PODS {
        let name = format!("p{index}");
        let gone = await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod.is_none());
        tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
    }
    // A game ends with its pod. Each was begun once by each run, and pods of other nodes were left
    // alone.
    until_played(&mut games, 0).await;
    assert_eq!(games.borrow().begun, 2 * PODS);
    assert_eq!(phase(&pods.get("stranger").await.unwrap()), "Pending");
    end(second).await;
}
