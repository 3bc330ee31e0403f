//! A node that fails: its servers are not given out from then on.
//!
//! The node is made up: an object that no kubelet stands behind, so that its condition is ours to
//! write and nobody else loses anything. The operator makes the pods as ever, bound to that node by
//! their template; what would be said by the game is written by the test.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use crds::GameServer;
use crds::state::State;
use e2e::objects::Sample;
use e2e::{allocator, wait};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use proto::allocation::AllocationRequest;
use serde_json::{Value, json};
use tonic::Code;

use crate::harness::{Test, alone};

/// Within this time after a write about the node the allocator must act on it.
const NOTICED: Duration = Duration::from_secs(2);
/// Time between two looks.
const AGAIN: Duration = Duration::from_millis(50);
/// Requests of one look, each over a connection of its own: every replica is asked, most likely.
const LOOKS: usize = 8;
/// Label of the servers on the node.
const LABEL: (&str, &str) = ("e2e", "node-loss");

fn condition(ready: &str) -> Value {
    json!({ "conditions": [{
        "type": "Ready",
        "status": ready,
        "reason": "Test",
        "lastHeartbeatTime": null,
        "lastTransitionTime": null,
    }] })
}

fn node(name: &str) -> Result<Node> {
    let mut status = condition("True");
    // For documentation (RFC 5737): nobody is there.
    status["addresses"] = json!([{ "type": "InternalIP", "address": "198.51.100.7" }]);
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "e2e": "node-loss" } },
        // Nothing that is not ours lands here.
        "spec": { "taints": [{ "key": "e2e", "value": "node-loss", "effect": "NoSchedule" }] },
        "status": status,
    }))?)
}

/// A game server that runs on the node, as far as Kubernetes knows.
fn server(name: &str, node: &str) -> Result<GameServer> {
    let sample = Sample {
        // No kubelet would confirm the end of the pod.
        grace_seconds: 0,
        ..Sample::default()
    };
    let sample = sample.label(LABEL.0, LABEL.1);
    let mut server = serde_json::to_value(sample.game_server(name)?)?;
    // Nothing is started, so nothing is to be watched.
    server["spec"]["health"] = json!({ "disabled": true });
    server["spec"]["template"]["spec"]["nodeName"] = node.into();
    Ok(serde_json::from_value(server)?)
}

/// How often a server was given, and how often none was there to give.
#[derive(Default)]
struct Look {
    given: usize,
    refused: usize,
}

/// Asks for a server some times, and puts back what was given.
async fn look(test: &Test, request: &AllocationRequest) -> Result<Look> {
    let allocator = test.allocator().await?;
    let mut look = Look::default();
    for _ in 0..LOOKS {
        match allocator.grpc().await?.allocate(request.clone()).await {
            Ok(answer) => {
                look.given += 1;
                let ready = json!({ "status": { "state": State::Ready } });
                test.patch::<GameServer>(&answer.into_inner().game_server_name, ready)
                    .await?;
            }
            Err(status) if status.code() == Code::ResourceExhausted => look.refused += 1,
            // It would have given one that was just put back.
            Err(status) if status.code() == Code::Aborted => {}
            Err(status) => return Err(status.into()),
        }
    }
    Ok(look)
}

/// Waits until servers are given, or until all requests are refused, and says how long that took.
async fn noticed(test: &Test, what: &str, wanted: bool) -> Result<()> {
    let written = Instant::now();
    let request = allocator::with_labels(&test.namespace, &[LABEL]);
    let took = wait::poll(what, NOTICED, AGAIN, async || {
        // What is said about this very moment: the look itself takes its time.
        let begun = written.elapsed();
        let look = look(test, &request).await?;
        let is_so = if wanted {
            look.given > 0
        } else {
            look.refused == LOOKS
        };
        Ok(is_so.then_some(begun))
    })
    .await?;
    eprintln!("{what}: {took:?}");
    Ok(())
}

#[test]
fn servers_of_a_node_that_fails_are_not_allocated() {
    alone("node-loss", async |test| {
        let name = format!("{}-node", test.namespace);
        let nodes = test.cluster.nodes();
        let (cleanup, pods, gone) = (nodes.clone(), test.api::<Pod>(), name.clone());
        test.at_the_end(move || async move {
            let at_once = DeleteParams::default().grace_period(0);
            let pods = pods
                .delete_collection(&at_once, &ListParams::default())
                .await;
            delete(&cleanup, &gone).await?;
            pods?;
            Ok(())
        });
        nodes.create(&PostParams::default(), &node(&name)?).await?;

        let names = ["one", "two", "three"];
        for server_name in names {
            test.create(&server(server_name, &name)?).await?;
        }
        for server_name in names {
            // The operator has made the pod; now the game says that it is ready.
            wait::until(&test.api::<Pod>(), server_name, "to exist", |_| true).await?;
            let said = json!({ "status": { "state": State::RequestReady } });
            test.patch::<GameServer>(server_name, said).await?;
            let ready = test.in_state(server_name, State::Ready).await?;
            let on = ready.status.unwrap_or_default().node_name;
            ensure!(on == name, "{server_name} is on {on:?}");
        }
        noticed(test, "servers of a new node to be given", true).await?;

        set_ready(&nodes, &name, "False").await?;
        noticed(test, "servers of a failed node to be refused", false).await?;
        ensure_all_ready(test, &names).await?;

        set_ready(&nodes, &name, "True").await?;
        noticed(test, "servers of a recovered node to be given", true).await?;

        set_ready(&nodes, &name, "Unknown").await?;
        noticed(test, "servers of a silent node to be refused", false).await?;
        set_ready(&nodes, &name, "True").await?;
        noticed(test, "servers to be given again", true).await?;

        delete(&nodes, &name).await?;
        noticed(test, "servers of a deleted node to be refused", false).await?;
        ensure_all_ready(test, &names).await
    });
}

async fn set_ready(nodes: &Api<Node>, name: &str, ready: &str) -> Result<()> {
    let patch = json!({ "status": condition(ready) });
    // Strategic: other conditions stay, as when a kubelet writes.
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await?;
    Ok(())
}

/// Deletes a node; one that is gone is gone.
async fn delete(nodes: &Api<Node>, name: &str) -> Result<()> {
    match nodes.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Refused for their node alone: they are as they were.
async fn ensure_all_ready(test: &Test, names: &[&str]) -> Result<()> {
    for name in names {
        let state = test.api::<GameServer>().get(name).await?.state();
        if state != State::Ready {
            bail!("{name} is {state}, which is reason enough to be refused");
        }
    }
    Ok(())
}
