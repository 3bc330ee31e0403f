//! The SDK server, by the published client.

use std::time::Duration;

use agones::{GameServer, Sdk};

use crate::Error;

/// Where the SDK server listens. An address and not a name, so that no resolver is needed.
const HOST: &str = "http://127.0.0.1";

/// Longest time between health pings: Agones' simple-game-server uses it always.
const LONGEST_PERIOD: Duration = Duration::from_secs(2);

/// Annotation that every allocation changes, without the prefix.
const LAST_ALLOCATED: &str = "/last-allocated";

/// Connects; the client itself tries for 30 seconds.
pub(crate) async fn connect(port: u16) -> Result<Sdk, Error> {
    Sdk::new_with_host(Some(HOST.to_owned()), Some(port), None)
        .await
        .map_err(failed("connect"))
}

/// Names the step that an SDK call was for.
pub(crate) fn failed(step: &'static str) -> impl FnOnce(agones::errors::Error) -> Error {
    move |source| Error::Sdk {
        step,
        source: Box::new(source),
    }
}

/// Time between health pings: half of what the game server's spec allows.
pub(crate) fn health_period(server: &GameServer) -> Duration {
    let seconds = server
        .spec
        .as_ref()
        .and_then(|spec| spec.health.as_ref())
        .and_then(|health| u64::try_from(health.period_seconds).ok())
        .filter(|seconds| *seconds > 0);
    seconds.map_or(LONGEST_PERIOD, |seconds| {
        LONGEST_PERIOD.min(Duration::from_secs(seconds) / 2)
    })
}

/// The first port of the game server.
pub(crate) fn first_port(server: &GameServer) -> Option<u16> {
    u16::try_from(server.status.as_ref()?.ports.first()?.port).ok()
}

/// The name of the game server.
pub(crate) fn name(server: &GameServer) -> &str {
    server
        .object_meta
        .as_ref()
        .map_or("", |metadata| metadata.name.as_str())
}

/// What tells one allocation from the next: none while the server is not allocated.
pub(crate) fn allocation(server: &GameServer) -> Option<String> {
    let status = server.status.as_ref()?;
    (status.state == "Allocated").then(|| {
        let annotations = server
            .object_meta
            .iter()
            .flat_map(|metadata| &metadata.annotations);
        annotations
            .filter(|(key, _)| key.ends_with(LAST_ALLOCATED))
            .map(|(_, value)| value.clone())
            .max()
            .unwrap_or_default()
    })
}
