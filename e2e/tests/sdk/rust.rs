//! The crate `agones`, unmodified.

use std::time::Duration;

use agones::{GameServer, Sdk};
use anyhow::{Context as _, Result, ensure};

use crate::server::{ALL, soon, start};

fn state(server: &GameServer) -> &str {
    server
        .status
        .as_ref()
        .map_or("", |status| status.state.as_str())
}

/// Reads the watch until the game server is as wanted.
async fn until(
    next: &mut impl AsyncFnMut() -> Result<Option<GameServer>>,
    what: &str,
    check: impl Fn(&GameServer) -> bool,
) -> Result<()> {
    soon(what, async {
        while let Some(server) = next().await? {
            if check(&server) {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    })
    .await?
}

#[tokio::test]
async fn every_core_call_works_with_the_rust_client() -> Result<()> {
    let server = start(ALL).await?;
    let mut sdk = Sdk::new(Some(server.grpc), None).await?;
    let mut stream = sdk.watch_gameserver().await?;
    let mut next = async || Ok(stream.message().await?);

    let first = sdk.get_gameserver().await?;
    let metadata = first.object_meta.clone().context("no metadata")?;
    ensure!(
        !metadata.name.is_empty() && metadata.creation_timestamp > 0,
        "{metadata:?}"
    );
    until(&mut next, "the first message", |it| {
        it.object_meta.is_some()
    })
    .await?;

    let health = sdk.health_check();
    health.send(()).await?;
    sdk.ready().await?;
    until(&mut next, "Ready", |it| state(it) == "Ready").await?;
    sdk.allocate().await?;
    until(&mut next, "Allocated", |it| state(it) == "Allocated").await?;

    let time = metadata.creation_timestamp.to_string();
    sdk.set_label("rust-label", time.clone()).await?;
    sdk.set_annotation("rust-annotation", metadata.uid.clone())
        .await?;
    let has = |pairs: &std::collections::HashMap<String, String>, suffix: &str, value: &str| {
        pairs
            .iter()
            .any(|(key, it)| key.ends_with(suffix) && it == value)
    };
    until(&mut next, "label and annotation", |it| {
        it.object_meta.as_ref().is_some_and(|meta| {
            has(&meta.labels, "sdk-rust-label", &time)
                && has(&meta.annotations, "sdk-rust-annotation", &metadata.uid)
        })
    })
    .await?;
    ensure!(
        sdk.set_label("not/a/key", "x").await.is_err(),
        "a bad key was accepted"
    );

    sdk.reserve(Duration::from_secs(1)).await?;
    until(&mut next, "Reserved", |it| state(it) == "Reserved").await?;
    until(&mut next, "Ready after the reservation", |it| {
        state(it) == "Ready"
    })
    .await?;
    sdk.shutdown().await?;
    until(&mut next, "Shutdown", |it| state(it) == "Shutdown").await?;
    drop((health, stream));
    server.finish().await
}

#[tokio::test]
async fn a_missing_call_is_noticed() -> Result<()> {
    let server = start("ready,gameserver").await?;
    let mut sdk = Sdk::new(Some(server.grpc), None).await?;
    sdk.get_gameserver().await?;
    drop(sdk);
    let error = server
        .finish()
        .await
        .err()
        .context("the comparison passed")?;
    ensure!(format!("{error:#}").contains("ready"), "{error:#}");
    Ok(())
}
