//! What the server does by itself: Ready at the start, health pings, an end after allocations.

use std::time::Duration;

use proto::agones::dev::sdk::Empty;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::sdk::Sdk;
use crate::{Error, sdk};

/// Time between attempts at a call that must succeed in the end.
const RETRY: Duration = Duration::from_secs(1);

/// Says Ready, after `delay`, until the SDK server takes it.
pub(crate) async fn say_ready(mut sdk: Sdk, delay: Duration) {
    if !delay.is_zero() {
        tracing::info!(seconds = delay.as_secs(), "Waiting before saying Ready");
        tokio::time::sleep(delay).await;
    }
    while let Err(error) = sdk.ready().await {
        tracing::warn!(%error, "Saying Ready failed and will be tried again");
        tokio::time::sleep(RETRY).await;
    }
    tracing::info!("Said Ready");
}

/// Sends a health ping each `period` until `stop` is cancelled.
pub(crate) async fn send_health(sdk: Sdk, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings = sdk.health();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => {
                tracing::info!("Stopped health pings");
                return;
            }
        }
        if pings.send(Empty {}).await.is_err() {
            // The stream ended with the SDK server's; the next one starts with this ping.
            tracing::warn!("Health stream was closed and is opened again");
            pings = sdk.health();
            if pings.send(Empty {}).await.is_err() {
                tracing::warn!("Health ping was lost");
            }
        }
    }
}

/// Ends the game `delay` after an allocation, or returns it to Ready as often as `iterations` says.
pub(crate) async fn end_after_allocations(
    mut sdk: Sdk,
    delay: Duration,
    iterations: u32,
) -> Result<(), Error> {
    let mut remaining = iterations;
    let mut last = None;
    let mut changes = sdk.watch().await.map_err(sdk::failed("watch"))?;
    loop {
        let Ok(Some(server)) = changes.message().await else {
            tokio::time::sleep(RETRY).await;
            changes = sdk.watch().await.map_err(sdk::failed("watch"))?;
            continue;
        };
        let current = sdk::allocation(&server);
        if current == last {
            continue;
        }
        last = current;
        if last.is_none() {
            continue;
        }
        tracing::info!(seconds = delay.as_secs(), remaining, "Was allocated");
        tokio::time::sleep(delay).await;
        if remaining == 0 {
            tracing::info!("Saying Shutdown");
            return sdk.shutdown().await.map_err(sdk::failed("shut down"));
        }
        remaining -= 1;
        sdk.ready().await.map_err(sdk::failed("return to Ready"))?;
    }
}
