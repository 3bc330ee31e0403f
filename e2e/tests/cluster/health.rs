//! Health, crashes and ends: each leads to the state of the contract's table.

use anyhow::{Result, ensure};
use crds::GameServer;
use crds::gameserver::Health;
use crds::state::State;
use e2e::objects::Sample;
use e2e::{allocator, echo, wait};
use kube::ResourceExt as _;

use crate::harness::{Test, command, endpoint, names, of_fleet, shared};

/// Fails after about three seconds without pings.
const SHORT: Health = Health {
    disabled: false,
    period_seconds: 1,
    failure_threshold: 2,
    initial_delay_seconds: 1,
};

async fn create(test: &Test, name: &str, flags: &[&str]) -> Result<GameServer> {
    let sample = Sample {
        health: SHORT,
        ..Sample::with_flags(flags)
    };
    test.create(&sample.game_server(name)?).await
}

#[test]
fn a_server_that_never_pings_becomes_unhealthy_before_ready() {
    shared("no-pings", async |test| {
        create(test, "mute", &["--health=false", "--ready=false"]).await?;
        test.in_state("mute", State::Unhealthy).await?;
        Ok(())
    });
}

#[test]
fn a_server_that_stops_pinging_becomes_unhealthy_after_ready() {
    shared("unhealthy", async |test| {
        create(test, "game", &[]).await?;
        let server = test.in_state("game", State::Ready).await?;
        command(&server, "UNHEALTHY").await?;
        test.in_state("game", State::Unhealthy).await?;
        // It is not allocated any more, whatever its process says.
        drop(echo::send(endpoint(&server, 0)?, "READY").await?);
        let request = allocator::with_labels(&test.namespace, &[]);
        ensure!(
            test.allocator().await?.allocate(request).await.is_err(),
            "it was allocated"
        );
        test.in_state("game", State::Unhealthy).await?;
        Ok(())
    });
}

#[test]
fn disabled_health_checks_ask_for_no_pings() {
    shared("health-off", async |test| {
        let mut health = SHORT;
        health.disabled = true;
        let sample = Sample {
            health,
            ..Sample::with_flags(&["--health=false"])
        };
        test.create(&sample.game_server("unchecked")?).await?;
        let unchecked = test.in_state("unchecked", State::Ready).await?;
        // By the time that its twin has failed twice in a row, the unchecked one would have too.
        for twin in ["first", "second"] {
            create(test, twin, &["--health=false"]).await?;
            test.in_state(twin, State::Unhealthy).await?;
        }
        let state = test.api::<GameServer>().get("unchecked").await?.state();
        ensure!(state == State::Ready, "it is {state}");
        command(&unchecked, "hello").await
    });
}

#[test]
fn an_unhealthy_server_of_a_fleet_is_replaced() {
    shared("heal", async |test| {
        let sample = Sample {
            health: SHORT,
            ..Sample::default()
        };
        let before = test.ready_fleet(&sample.fleet("game", 2)?).await?;
        let name = before[0].name_any();
        command(&before[0], "UNHEALTHY").await?;
        test.in_state(&name, State::Unhealthy).await?;
        let servers = test.api::<GameServer>();
        let healed = |all: &std::collections::BTreeMap<String, GameServer>| {
            let ready = all.values().filter(|it| it.state() == State::Ready);
            let ready: Vec<_> = names(ready);
            ready.len() == 2 && !ready.contains(&name)
        };
        wait::until_all(
            &servers,
            &of_fleet("game"),
            "until two others are Ready",
            healed,
        )
        .await?;
        // Its evidence is kept for a while, and then it goes too.
        test.gone(&name).await
    });
}

#[test]
fn a_crash_before_ready_makes_a_server_unhealthy() {
    shared("crash-early", async |test| {
        create(test, "game", &["--crashAtStart"]).await?;
        test.in_state("game", State::Unhealthy).await?;
        Ok(())
    });
}

#[test]
fn a_crash_after_ready_makes_a_server_unhealthy() {
    shared("crash-late", async |test| {
        create(test, "game", &[]).await?;
        let server = test.in_state("game", State::Ready).await?;
        drop(echo::send(endpoint(&server, 0)?, "CRASH").await?);
        test.in_state("game", State::Unhealthy).await?;
        Ok(())
    });
}

#[test]
fn a_crash_of_an_allocated_server_makes_it_unhealthy_and_replaced() {
    shared("crash-match", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        let request = allocator::from_fleet(&test.namespace, "game");
        let answer = test.allocator().await?.allocate(request).await?;
        drop(echo::send(allocator::endpoint(&answer)?, "CRASH").await?);
        test.in_state(&answer.game_server_name, State::Unhealthy)
            .await?;
        let other = test.fleet_in("game", State::Ready, 1).await?;
        ensure!(other[0].name_any() != answer.game_server_name);
        Ok(())
    });
}

#[test]
fn a_process_that_ends_well_shuts_its_server_down() {
    shared("clean-exit", async |test| {
        create(test, "game", &[]).await?;
        let server = test.in_state("game", State::Ready).await?;
        drop(echo::send(endpoint(&server, 0)?, "QUIT").await?);
        test.gone("game").await
    });
}

#[test]
fn the_sdks_shutdown_ends_a_server() {
    shared("shutdown", async |test| {
        let before = test
            .ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        command(&before[0], "EXIT").await?;
        test.gone(&before[0].name_any()).await?;
        test.fleet_in("game", State::Ready, 1).await?;
        Ok(())
    });
}
