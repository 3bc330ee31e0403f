//! What a game says through its SDK is seen in its GameServer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::GameServer;
use crds::meta::{LAST_ALLOCATED_ANNOTATION, SDK_PREFIX};
use crds::state::State;
use e2e::objects::{Sample, podless_fleet};
use e2e::{allocator, wait};
use jiff::SignedDuration;
use kube::ResourceExt as _;

use crate::harness::{Test, command, shared, udp};

async fn ready(test: &Test) -> Result<GameServer> {
    test.create(&Sample::default().game_server("game")?).await?;
    test.in_state("game", State::Ready).await
}

#[test]
fn a_reserved_server_returns_to_ready() {
    shared("reserve", async |test| {
        let servers = test
            .ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        let name = servers[0].name_any();
        command(&servers[0], "RESERVE 5s").await?;
        let reserved = test.in_state(&name, State::Reserved).await?;
        let until = reserved
            .status
            .and_then(|it| it.reserved_until)
            .context("no reservedUntil")?;
        // Neither allocated nor scaled down meanwhile.
        let request = allocator::from_fleet(&test.namespace, "game");
        ensure!(
            test.allocator().await?.allocate(request).await.is_err(),
            "it was allocated"
        );
        test.in_state(&name, State::Ready).await?;
        let late = jiff::Timestamp::now().duration_since(until);
        ensure!(late > SignedDuration::from_secs(-1), "{late:?} too early");
        ensure!(late < SignedDuration::from_secs(5), "{late:?} too late");
        Ok(())
    });
}

#[test]
fn a_reserved_server_is_not_scaled_down() {
    shared("reserved", async |test| {
        let servers = test
            .ready_fleet(&Sample::default().fleet("game", 2)?)
            .await?;
        let name = servers[0].name_any();
        command(&servers[0], "RESERVE 1h").await?;
        test.in_state(&name, State::Reserved).await?;
        test.scale("game", 0).await?;
        test.gone(&servers[1].name_any()).await?;
        test.in_state(&name, State::Reserved).await?;
        Ok(())
    });
}

#[test]
fn a_game_can_allocate_itself_and_return_to_ready() {
    shared("self-allocate", async |test| {
        let server = ready(test).await?;
        command(&server, "ALLOCATE").await?;
        let allocated = test.in_state("game", State::Allocated).await?;
        let since = allocated.annotations().get(LAST_ALLOCATED_ANNOTATION);
        let since: jiff::Timestamp = since.context("no last-allocated")?.parse()?;
        let age = jiff::Timestamp::now().duration_since(since);
        ensure!(age.abs() < SignedDuration::from_secs(60), "{age:?}");
        command(&server, "READY").await?;
        test.in_state("game", State::Ready).await?;
        Ok(())
    });
}

#[test]
fn labels_and_annotations_are_set_with_the_prefix() {
    shared("metadata", async |test| {
        let server = ready(test).await?;
        command(&server, "LABEL map arena").await?;
        command(&server, "ANNOTATION note 0-1:2").await?;
        wait::until(&test.api::<GameServer>(), "game", "to have both", |it| {
            it.labels()
                .get(&format!("{SDK_PREFIX}map"))
                .is_some_and(|it| it == "arena")
                && it
                    .annotations()
                    .get(&format!("{SDK_PREFIX}note"))
                    .is_some_and(|it| it == "0-1:2")
        })
        .await?;
        // A key that Kubernetes would refuse is refused at once, and breaks nothing.
        let answer = udp(&server, "LABEL not/a/key x").await?;
        ensure!(answer.starts_with("ERROR: "), "{answer:?}");
        command(&server, "LABEL map desert").await?;
        wait::until(
            &test.api::<GameServer>(),
            "game",
            "to have the other",
            |it| {
                it.labels()
                    .get(&format!("{SDK_PREFIX}map"))
                    .is_some_and(|it| it == "desert")
            },
        )
        .await?;
        Ok(())
    });
}

#[test]
fn a_game_learns_its_own_name() {
    shared("name", async |test| {
        let server = ready(test).await?;
        let answer = udp(&server, "GAMESERVER").await?;
        ensure!(answer == "NAME: game", "{answer:?}");
        Ok(())
    });
}

#[test]
fn an_allocated_game_learns_it_and_ends_by_itself() {
    shared("auto-end", async |test| {
        // The sample server follows its GameServer, and says Shutdown after an allocation.
        let fleet = Sample::with_flags(&["--automaticShutdownDelaySec=1"]).fleet("game", 1)?;
        test.ready_fleet(&fleet).await?;
        let request = allocator::from_fleet(&test.namespace, "game");
        let answer = test.allocator().await?.allocate(request).await?;
        test.gone(&answer.game_server_name).await?;
        test.fleet_in("game", State::Ready, 1).await?;
        Ok(())
    });
}

#[test]
fn a_development_server_is_ready_without_a_pod() {
    shared("dev", async |test| {
        let servers = test
            .ready_fleet(&podless_fleet("game", 1, "192.0.2.7")?)
            .await?;
        let status = servers[0].status.clone().context("no status")?;
        ensure!(status.address == "192.0.2.7", "{status:?}");
        ensure!(status.ports[0].port == e2e::objects::PORT, "{status:?}");
        let pods = test.api::<k8s_openapi::api::core::v1::Pod>();
        ensure!(
            pods.list(&kube::api::ListParams::default())
                .await?
                .items
                .is_empty()
        );
        Ok(())
    });
}

#[test]
fn a_graceful_end_keeps_the_game_reachable() {
    shared("graceful", async |test| {
        let mut sample = Sample::with_flags(&["--gracefulTerminationDelaySec=4"]);
        sample.grace_seconds = 10;
        test.create(&sample.game_server("game")?).await?;
        let server = test.in_state("game", State::Ready).await?;
        command(&server, "EXIT").await?;
        let ending = |it: &GameServer| it.state() == State::Shutdown || it.is_being_deleted();
        wait::until(&test.api::<GameServer>(), "game", "to be ending", ending).await?;
        command(&server, "one last word").await?;
        wait::until_gone(&test.api::<GameServer>(), "game", Duration::from_secs(30)).await
    });
}
