//! The whole way of players: a server of the arena, tokens from the platform, and a match that
//! bots play with them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bots::allocation::{self, Order};
use bots::command;
use bots::profile::FLOOD;
use crds::Fleet;
use crds::state::State;
use serde_json::{Value, json};

use crate::harness::{Test, shared};
use crate::tokens::duel;

const ARENA: &str = include_str!("../../../examples/arena.yaml");
const FLEET: &str = "arena";

/// How long the bots play.
const LENGTH: Duration = Duration::from_secs(5);

/// The example's fleet, small and quick to end.
async fn ready_arena(test: &Test) -> Result<()> {
    let mut manifest: Value = serde_saphyr::from_str(ARENA)?;
    manifest["spec"]["replicas"] = json!(1);
    let pod = &mut manifest["spec"]["template"]["spec"]["template"]["spec"];
    pod["terminationGracePeriodSeconds"] = json!(2);
    pod["containers"][0]["resources"]["requests"]["cpu"] = json!("10m");
    let fleet: Fleet = serde_json::from_value(manifest)?;
    test.ready_fleet(&fleet).await?;
    Ok(())
}

/// Lets a bot play with each token. Other tests use the machine too, so that times say nothing of
/// the server: what holds under a flood has to hold here, which is every connection.
async fn play(tokens: Vec<Vec<u8>>) -> Result<()> {
    let count = tokens.len();
    let play = move || command::play(tokens, &FLOOD, LENGTH);
    let report = tokio::task::spawn_blocking(play).await??;
    ensure!(report.passes(), "{:?}", report.broken);
    ensure!(
        report.playing == count && report.snapshots > 0,
        "{report:?}"
    );
    Ok(())
}

#[test]
fn players_of_an_allocation_play_with_its_tokens() {
    shared("players", async |test| {
        ready_arena(test).await?;
        let order = Order {
            url: format!("http://{}", test.allocator().await?.address()),
            namespace: test.namespace.clone(),
            fleet: Some(FLEET.to_owned()),
        };
        let ask = move || allocation::allocate(&order, 4);
        let allocation = tokio::task::spawn_blocking(ask).await??;
        test.in_state(&allocation.game_server, State::Allocated)
            .await?;
        play(allocation.tokens).await
    });
}

#[test]
fn players_of_a_match_allocation_play_with_the_tokens_of_its_secret() {
    shared("match-players", async |test| {
        ready_arena(test).await?;
        let secret = duel(test, FLEET).await?;
        let data = secret.data.context("no data")?;
        play(data.into_values().map(|token| token.0).collect()).await
    });
}
