//! Fleets: they come up, scale, replace what is lost, keep what is allocated, and go.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use crds::gameserverset::AllocationOverflow;
use crds::state::State;
use crds::{Fleet, GameServer, GameServerSet};
use e2e::objects::{Sample, podless_fleet};
use e2e::{allocator, wait};
use kube::ResourceExt as _;
use kube::api::DeleteParams;

use crate::harness::{Test, command, names, of_fleet, shared};

/// Waits until a fleet's status counts so many servers in all, Ready and Allocated.
async fn counts(test: &Test, fleet: &str, expected: (i32, i32, i32)) -> Result<Fleet> {
    let what = format!("to count {expected:?} servers (all, Ready, Allocated)");
    wait::until(&test.api::<Fleet>(), fleet, &what, |it| {
        it.status.as_ref().is_some_and(|status| {
            (
                status.replicas,
                status.ready_replicas,
                status.allocated_replicas,
            ) == expected
                && status.observed_generation == it.metadata.generation
        })
    })
    .await
}

#[test]
fn a_fleet_comes_up_scales_and_goes() {
    shared("fleet", async |test| {
        let first = test
            .ready_fleet(&Sample::default().fleet("game", 2)?)
            .await?;
        counts(test, "game", (2, 2, 0)).await?;
        for server in &first {
            command(server, "hello").await?;
        }

        test.scale("game", 4).await?;
        let more = test.fleet_in("game", State::Ready, 4).await?;
        ensure!(
            names(&first).iter().all(|name| names(&more).contains(name)),
            "one was replaced"
        );

        test.scale("game", 1).await?;
        let only_one = |all: &BTreeMap<_, _>| all.len() == 1;
        let servers = test.api::<GameServer>();
        wait::until_all(&servers, &of_fleet("game"), "to be one", only_one).await?;
        counts(test, "game", (1, 1, 0)).await?;

        test.api::<Fleet>()
            .delete("game", &DeleteParams::default())
            .await?;
        let none = |all: &BTreeMap<_, _>| all.is_empty();
        wait::until_all(&servers, &of_fleet("game"), "to be gone", none).await?;
        let sets = test.api::<GameServerSet>();
        wait::until_all(&sets, "", "to be gone", BTreeMap::is_empty).await?;
        Ok(())
    });
}

#[test]
fn a_fleet_of_zero_can_grow() {
    shared("zero", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 0)?)
            .await?;
        counts(test, "game", (0, 0, 0)).await?;
        test.scale("game", 1).await?;
        test.fleet_in("game", State::Ready, 1).await?;
        counts(test, "game", (1, 1, 0)).await?;
        Ok(())
    });
}

#[test]
fn a_server_that_a_user_deletes_is_replaced() {
    shared("replace", async |test| {
        let before = test
            .ready_fleet(&Sample::default().fleet("game", 2)?)
            .await?;
        let name = before[0].name_any();
        test.api::<GameServer>()
            .delete(&name, &DeleteParams::default())
            .await?;
        test.gone(&name).await?;
        let after = test.fleet_in("game", State::Ready, 2).await?;
        ensure!(!names(&after).contains(&name), "{name} came back");
        ensure!(
            names(&after).contains(&before[1].name_any()),
            "the other one was replaced too"
        );
        Ok(())
    });
}

#[test]
fn allocated_servers_survive_scale_down_to_zero() {
    shared("scale-down", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 3)?)
            .await?;
        let request = allocator::from_fleet(&test.namespace, "game");
        let name = test
            .allocator()
            .await?
            .allocate(request)
            .await?
            .game_server_name;

        test.scale("game", 0).await?;
        counts(test, "game", (1, 0, 1)).await?;
        let left = test.fleet_in("game", State::Allocated, 1).await?;
        ensure!(left[0].name_any() == name, "another one was kept: {left:?}");
        command(&left[0], "still here").await?;

        // The match ends: nothing is left, and nothing comes in its place.
        command(&left[0], "EXIT").await?;
        test.gone(&name).await?;
        counts(test, "game", (0, 0, 0)).await?;
        Ok(())
    });
}

#[test]
fn a_user_may_delete_a_fleet_with_allocated_servers() {
    shared("delete", async |test| {
        test.ready_fleet(&podless_fleet("game", 2, "127.0.0.1")?)
            .await?;
        let request = allocator::from_fleet(&test.namespace, "game");
        test.allocator().await?.allocate(request).await?;
        test.api::<Fleet>()
            .delete("game", &DeleteParams::default())
            .await?;
        let servers = test.api::<GameServer>();
        wait::until_all(&servers, "", "to be gone", BTreeMap::is_empty).await?;
        Ok(())
    });
}

#[test]
fn servers_beyond_the_desired_number_are_marked() {
    shared("overflow", async |test| {
        let mut fleet = podless_fleet("game", 4, "127.0.0.1")?;
        let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
        fleet.spec.allocation_overflow = Some(AllocationOverflow {
            labels: pair("mode", "overflow"),
            annotations: pair("why", "scaled-down"),
        });
        test.ready_fleet(&fleet).await?;
        let allocator = test.allocator().await?;
        for _ in 0..3 {
            allocator
                .allocate(allocator::from_fleet(&test.namespace, "game"))
                .await?;
        }
        test.scale("game", 1).await?;
        counts(test, "game", (3, 0, 3)).await?;

        let is_marked = |server: &GameServer| {
            server
                .labels()
                .get("mode")
                .is_some_and(|it| it == "overflow")
                && server
                    .annotations()
                    .get("why")
                    .is_some_and(|it| it == "scaled-down")
        };
        let servers = test.api::<GameServer>();
        wait::until_all(&servers, &of_fleet("game"), "until two are marked", |all| {
            all.values().filter(|it| is_marked(it)).count() == 2
        })
        .await?;
        Ok(())
    });
}
