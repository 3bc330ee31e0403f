//! Muster's own pods are killed in the middle of their work, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::state::State;
use crds::{GameServer, MatchAllocation, MatchAllocationSpec};
use e2e::cluster::{ALLOCATOR, OPERATOR, SYSTEM};
use e2e::objects::{Sample, podless_fleet};
use e2e::{allocator, wait};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;

use crate::harness::{Test, alone, command, endpoint, names, of_fleet};

/// Time between two attempts of a client that was turned away.
const AGAIN: Duration = Duration::from_millis(100);

#[test]
fn an_operator_that_is_killed_finishes_what_it_began() {
    alone("kill-operator", async |test| {
        test.create(&Sample::default().fleet("game", 4)?).await?;
        // In the middle: some of the servers exist, and none is Ready.
        let servers = test.api::<GameServer>();
        wait::until_all(&servers, &of_fleet("game"), "to begin", |all| {
            !all.is_empty()
        })
        .await?;
        let killed = test.cluster.kill_deployment(OPERATOR).await?;

        let ready = test.fleet_in("game", State::Ready, 4).await?;
        wait::until_all(&servers, &of_fleet("game"), "to be four", |it| {
            it.len() == 4
        })
        .await?;
        let mut ports = BTreeSet::new();
        for server in &ready {
            ensure!(ports.insert(endpoint(server, 0)?), "a port was given twice");
            command(server, "hello").await?;
        }
        test.cluster.deployment_recovered(OPERATOR, &killed).await
    });
}

#[test]
fn what_games_say_while_no_operator_is_there_is_not_lost() {
    alone("say-meanwhile", async |test| {
        let before = test
            .ready_fleet(&Sample::default().fleet("game", 3)?)
            .await?;
        let killed = test.cluster.kill_deployment(OPERATOR).await?;
        // The SDK server keeps each call; it answers in a bounded time, whatever the answer is.
        let [allocate, label, exit] = &before[..] else {
            anyhow::bail!("not three servers")
        };
        let (first, second, third) = futures::join!(
            crate::harness::udp(allocate, "ALLOCATE"),
            crate::harness::udp(label, "LABEL map arena"),
            crate::harness::udp(exit, "EXIT"),
        );
        eprintln!("answers while no operator was there: {first:?}, {second:?}, {third:?}");

        test.in_state(&allocate.name_any(), State::Allocated)
            .await?;
        test.gone(&exit.name_any()).await?;
        wait::until(
            &test.api::<GameServer>(),
            &label.name_any(),
            "to be labeled",
            |it| it.labels().values().any(|value| value == "arena") && it.state() == State::Ready,
        )
        .await?;
        // Nobody became Unhealthy because the hub was away, and the one that ended is replaced.
        let after = test.fleet_in("game", State::Ready, 2).await?;
        ensure!(
            names(&after).contains(&label.name_any()),
            "{} was replaced",
            label.name_any()
        );
        test.cluster.deployment_recovered(OPERATOR, &killed).await
    });
}

#[test]
fn another_replica_takes_over_from_a_killed_leader() {
    alone("leader", async |test| {
        let before = test.cluster.replicas(OPERATOR).await?;
        let cluster = test.cluster.clone();
        test.at_the_end(move || async move { cluster.scale_deployment(OPERATOR, before).await });
        test.cluster.scale_deployment(OPERATOR, 2).await?;
        let leases = test.cluster.api::<Lease>(SYSTEM);
        let pods = test.cluster.deployment_pods(OPERATOR).await?;
        let holder = |lease: &Lease| {
            let holder = lease.spec.as_ref()?.holder_identity.clone()?;
            pods.iter().find(|pod| holder.contains(*pod)).cloned()
        };
        let held = |lease: &Lease| holder(lease).is_some();
        let lease = wait::until(&leases, OPERATOR, "to be held by a pod", held).await?;
        let leader = holder(&lease).context("the lease has no holder")?;

        test.create(&Sample::default().fleet("game", 3)?).await?;
        let kill = DeleteParams::default().grace_period(0);
        test.cluster
            .api::<Pod>(SYSTEM)
            .delete(&leader, &kill)
            .await?;
        test.fleet_in("game", State::Ready, 3).await?;
        wait::until(&leases, OPERATOR, "to be held by another", |lease| {
            let now = lease
                .spec
                .as_ref()
                .and_then(|spec| spec.holder_identity.clone());
            now.is_some_and(|now| !now.is_empty() && !now.contains(&leader))
        })
        .await?;
        test.cluster.deployment_recovered(OPERATOR, &[leader]).await
    });
}

#[test]
fn a_match_that_was_applied_while_no_operator_was_there_is_served() {
    alone("apply-meanwhile", async |test| {
        test.ready_fleet(&podless_fleet("game", 1, "127.0.0.1")?)
            .await?;
        let killed = test.cluster.kill_deployment(OPERATOR).await?;
        test.create(&MatchAllocation::new(
            "duel",
            MatchAllocationSpec::default(),
        ))
        .await?;
        test.fleet_in("game", State::Allocated, 1).await?;
        test.cluster.deployment_recovered(OPERATOR, &killed).await
    });
}

#[test]
fn allocators_that_are_killed_lose_and_double_nothing() {
    alone("kill-allocator", async |test| {
        let servers = test
            .ready_fleet(&podless_fleet("game", 30, "127.0.0.1")?)
            .await?;
        let allocator = test.allocator().await?;
        let client = async |_| allocate_until_none(test, allocator).await;
        let clients = futures::future::join_all((0..5).map(client));
        let kill = async {
            // As soon as the first allocations are through.
            wait::until_all(
                &test.api::<GameServer>(),
                &of_fleet("game"),
                "to begin",
                |all| all.values().any(|it| it.state() == State::Allocated),
            )
            .await?;
            test.cluster.kill_deployment(ALLOCATOR).await
        };
        let (answers, killed) = futures::join!(clients, kill);
        let killed = killed?;

        let answers: Vec<_> = answers.into_iter().collect::<Result<Vec<_>>>()?.concat();
        let mut counts = BTreeMap::<_, usize>::new();
        for name in &answers {
            *counts.entry(name).or_default() += 1;
        }
        ensure!(
            counts.values().all(|count| *count == 1),
            "given out twice: {counts:?}"
        );
        // A request whose answer was lost with the allocator may have taken a server: the Agones
        // API has no request id. None can be free, and none can be gone.
        let allocated = test.fleet_in("game", State::Allocated, 30).await?;
        ensure!(
            names(&allocated) == names(&servers),
            "a server was replaced"
        );
        eprintln!("{} of 30 servers were answered", answers.len());
        ensure!(
            answers.len() >= 20,
            "only {} of 30 servers were answered",
            answers.len()
        );
        test.cluster.deployment_recovered(ALLOCATOR, &killed).await
    });
}

/// Allocates until there is no capacity, and comes back when it is turned away.
async fn allocate_until_none(test: &Test, allocator: allocator::Allocator) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut connection = None;
    loop {
        let name = wait::poll(
            "an allocator to answer",
            wait::PATIENCE,
            AGAIN,
            async || {
                let Some(client) = connection.as_mut() else {
                    connection = allocator.grpc().await.ok();
                    return Ok(None);
                };
                let request = allocator::from_fleet(&test.namespace, "game");
                match client.allocate(request).await {
                    Ok(answer) => Ok(Some(Some(answer.into_inner().game_server_name))),
                    Err(status) if status.code() == tonic::Code::ResourceExhausted => {
                        Ok(Some(None))
                    }
                    Err(_) => {
                        connection = None;
                        Ok(None)
                    }
                }
            },
        );
        match name.await? {
            Some(name) => names.push(name),
            None => return Ok(names),
        }
    }
}
