//! Updates of a fleet's template: step by step or all at once, there and back, with matches on.

use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::{Context as _, Result, ensure};
use crds::fleet::StrategyType;
use crds::state::State;
use crds::{Fleet, GameServer};
use e2e::objects::Sample;
use e2e::{allocator, wait};
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use serde_json::json;

use crate::harness::{Test, command, of_fleet, shared};

const REPLICAS: i32 = 4;

/// A fleet of version 1 with one allocated server; returns that server.
async fn with_a_match(test: &Test, strategy: StrategyType) -> Result<GameServer> {
    let mut fleet = Sample::default()
        .label("version", "1")
        .fleet("game", REPLICAS)?;
    fleet.spec.strategy.type_ = strategy;
    fleet.spec.strategy.rolling_update.max_surge = IntOrString::Int(1);
    fleet.spec.strategy.rolling_update.max_unavailable = IntOrString::Int(1);
    test.ready_fleet(&fleet).await?;
    let request = allocator::from_fleet(&test.namespace, "game");
    let answer = test.allocator().await?.allocate(request).await?;
    test.in_state(&answer.game_server_name, State::Allocated)
        .await
}

async fn set_version(test: &Test, version: &str) -> Result<()> {
    let template = json!({ "metadata": { "labels": { "version": version } } });
    test.patch::<Fleet>("game", json!({ "spec": { "template": template } }))
        .await
        .map(drop)
}

fn is(server: &GameServer, version: &str, state: State) -> bool {
    let labeled = server
        .labels()
        .get("version")
        .is_some_and(|it| it == version);
    labeled && server.state() == state && !server.is_being_deleted()
}

/// Whether all servers but the allocated one are Ready and of a version, and nothing else is left.
fn is_rolled_out(all: &BTreeMap<String, GameServer>, version: &str) -> bool {
    let ready = all
        .values()
        .filter(|it| is(it, version, State::Ready))
        .count();
    ready + 1 == usize::try_from(REPLICAS).unwrap() && all.len() == ready + 1
}

/// Follows the servers until a version is rolled out; `law` must hold all the way.
async fn follow(
    test: &Test,
    version: &str,
    law: impl Fn(&BTreeMap<String, GameServer>) -> Result<()>,
) -> Result<()> {
    let servers = test.api::<GameServer>();
    let labels = of_fleet("game");
    let mut states = pin!(wait::states(&servers, &labels));
    let rolled_out = async {
        while let Some(all) = states.next().await {
            law(&all)?;
            if is_rolled_out(&all, version) {
                break;
            }
        }
        Ok(())
    };
    let in_time = tokio::time::timeout(wait::PATIENCE, rolled_out).await;
    in_time.with_context(|| format!("version {version} was not rolled out"))?
}

/// The bounds of a rolling update, with a surge of 1 and one that may be missing.
fn within_bounds(all: &BTreeMap<String, GameServer>) -> Result<()> {
    let replicas = usize::try_from(REPLICAS)?;
    let live = || {
        all.values()
            .filter(|it| !it.state().is_ending() && !it.is_being_deleted())
    };
    ensure!(
        live().count() <= replicas + 1,
        "{} live servers",
        live().count()
    );
    let useful = live()
        .filter(|it| matches!(it.state(), State::Ready | State::Allocated))
        .count();
    ensure!(
        useful + 1 >= replicas,
        "only {useful} servers are Ready or Allocated"
    );
    Ok(())
}

#[test]
fn a_rolling_update_stays_within_its_bounds_and_keeps_matches() {
    shared("rolling", async |test| {
        let allocated = with_a_match(test, StrategyType::RollingUpdate).await?;
        set_version(test, "2").await?;
        follow(test, "2", within_bounds).await?;
        let kept = test
            .in_state(&allocated.name_any(), State::Allocated)
            .await?;
        ensure!(
            kept.metadata.uid == allocated.metadata.uid,
            "the match's server was replaced"
        );
        ensure!(
            is(&kept, "1", State::Allocated),
            "the match's server was changed"
        );
        command(&kept, "still the old version").await
    });
}

#[test]
fn a_rollback_in_the_middle_of_an_update_returns_to_the_old_version() {
    shared("rollback", async |test| {
        let allocated = with_a_match(test, StrategyType::RollingUpdate).await?;
        set_version(test, "2").await?;
        // As soon as one server of the new version is up, the update turns out to be bad.
        let servers = test.api::<GameServer>();
        wait::until_all(
            &servers,
            &of_fleet("game"),
            "until one is of version 2",
            |all| all.values().any(|it| is(it, "2", State::Ready)),
        )
        .await?;
        set_version(test, "1").await?;
        follow(test, "1", |_| Ok(())).await?;
        let kept = test
            .in_state(&allocated.name_any(), State::Allocated)
            .await?;
        ensure!(
            kept.metadata.uid == allocated.metadata.uid,
            "the match's server was replaced"
        );

        // And forward again, now for good.
        set_version(test, "2").await?;
        follow(test, "2", within_bounds).await
    });
}

#[test]
fn recreate_replaces_everything_but_matches() {
    shared("recreate", async |test| {
        let allocated = with_a_match(test, StrategyType::Recreate).await?;
        set_version(test, "2").await?;
        follow(test, "2", |_| Ok(())).await?;
        let kept = test
            .in_state(&allocated.name_any(), State::Allocated)
            .await?;
        ensure!(
            kept.metadata.uid == allocated.metadata.uid,
            "the match's server was replaced"
        );
        Ok(())
    });
}
