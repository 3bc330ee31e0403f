//! What the server does by itself: Ready at the start, and an end after allocations.

use std::time::Duration;

use crate::sdk::{self, Sdk};

/// Says Ready after `delay`.
pub(crate) async fn say_ready(sdk: Sdk, delay: Duration) {
    if !delay.is_zero() {
        tracing::info!(seconds = delay.as_secs(), "Waiting before saying Ready");
        tokio::time::sleep(delay).await;
    }
    sdk::say_ready(sdk).await;
}

/// Ends the game `delay` after an allocation, or returns it to Ready as often as `iterations` says.
pub(crate) async fn end_after_allocations(
    mut sdk: Sdk,
    delay: Duration,
    iterations: u32,
) -> Result<(), sdk::Error> {
    let mut remaining = iterations;
    let mut last = None;
    let mut changes = sdk.watch().await.map_err(sdk::failed("watch"))?;
    loop {
        let Ok(Some(server)) = changes.message().await else {
            tokio::time::sleep(sdk::RETRY).await;
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
