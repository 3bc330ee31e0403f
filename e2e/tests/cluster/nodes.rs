//! What happens to servers when their node or their pod is taken away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::gameserver::{Eviction, EvictionSafe};
use crds::state::State;
use e2e::cluster::{Cluster, is_ready};
use e2e::objects::Sample;
use e2e::{allocator, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{EvictParams, Patch, PatchParams};
use serde_json::json;
use tonic::Code;

use crate::harness::{Test, alone, shared};

/// Within this time a server on a cordoned node must not be allocated any more, nor one be missing
/// after the node came back.
const NOTICED: Duration = Duration::from_secs(2);

async fn set_cordoned(cluster: &Cluster, node: &str, cordoned: bool) -> Result<()> {
    let patch = json!({ "spec": { "unschedulable": cordoned } });
    cluster
        .nodes()
        .patch(node, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// Allocates one server; None if there is no capacity.
async fn allocate(test: &Test) -> Result<Option<String>> {
    let request = allocator::from_fleet(&test.namespace, "game");
    match test
        .allocator()
        .await?
        .grpc()
        .await?
        .allocate(request)
        .await
    {
        Ok(answer) => Ok(Some(answer.into_inner().game_server_name)),
        Err(status) if status.code() == Code::ResourceExhausted => Ok(None),
        Err(status) => Err(status.into()),
    }
}

#[test]
fn servers_of_a_cordoned_node_are_not_allocated() {
    alone("cordon", async |test| {
        let servers = test
            .ready_fleet(&Sample::default().fleet("game", 2)?)
            .await?;
        let node = servers[0].status.clone().context("no status")?.node_name;
        let (cluster, name) = (test.cluster.clone(), node.clone());
        test.at_the_end(move || async move { set_cordoned(&cluster, &name, false).await });

        set_cordoned(&test.cluster, &node, true).await?;
        let cordoned = Instant::now();
        // Asked once, when the time is up: what is refused then has been out of the index before.
        let every = Duration::from_millis(50);
        wait::poll("the time to be up", NOTICED * 2, every, async || {
            Ok((cordoned.elapsed() >= NOTICED).then_some(()))
        })
        .await?;
        let allocated = allocate(test).await?;
        ensure!(
            allocated.is_none(),
            "{allocated:?} was allocated on a cordoned node"
        );
        // They are out of reach for new matches, and otherwise as they were.
        test.fleet_in("game", State::Ready, 2).await?;

        set_cordoned(&test.cluster, &node, false).await?;
        wait::poll(
            "a server to be allocated again",
            NOTICED,
            every,
            async || allocate(test).await,
        )
        .await?;
        Ok(())
    });
}

async fn evict(test: &Test, pod: &str) -> Result<(), kube::Error> {
    test.api::<Pod>()
        .evict(pod, &EvictParams::default())
        .await
        .map(drop)
}

#[test]
fn a_server_that_may_be_evicted_is_replaced() {
    shared("evict", async |test| {
        let mut fleet = Sample::default().fleet("game", 1)?;
        fleet.spec.template.spec.eviction = Eviction {
            safe: EvictionSafe::Always,
        };
        let before = test.ready_fleet(&fleet).await?;
        let name = before[0].name_any();
        evict(test, &name).await?;
        test.in_state(&name, State::Unhealthy).await?;
        let after = test.fleet_in("game", State::Ready, 1).await?;
        ensure!(after[0].name_any() != name);
        Ok(())
    });
}

#[test]
fn a_server_that_must_not_be_evicted_stays() {
    shared("no-evict", async |test| {
        let before = test
            .ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        let name = before[0].name_any();
        // Kubernetes lets pods go whose kubelet has not said yet that they run, whatever their
        // budget says.
        let pods = test.api::<Pod>();
        wait::until(&pods, &name, "to be ready", is_ready).await?;
        match evict(test, &name).await {
            Err(kube::Error::Api(status)) if status.code == 429 => {}
            other => anyhow::bail!("the eviction was not refused: {other:?}"),
        }
        test.fleet_in("game", State::Ready, 1).await?;
        Ok(())
    });
}

#[test]
fn a_server_whose_pod_is_deleted_becomes_unhealthy() {
    shared("pod-gone", async |test| {
        test.create(&Sample::default().game_server("game")?).await?;
        test.in_state("game", State::Ready).await?;
        test.api::<Pod>()
            .delete("game", &kube::api::DeleteParams::default())
            .await?;
        test.in_state("game", State::Unhealthy).await?;
        Ok(())
    });
}
