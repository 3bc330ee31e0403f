//! The client of the SDK server beside this game server.
//!
//! The protocol is that of Agones, by the same generated code that our SDK server uses, so that the
//! sample builds with nothing but Rust. That clients which were published for Agones work too is
//! proven in `e2e/tests/sdk`.

use std::time::Duration;

use proto::agones::dev::sdk::sdk_client::SdkClient;
use proto::agones::dev::sdk::{self, Empty, GameServer, KeyValue};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// The SDK server could not be reached, or refused a call that the game server cannot do without.
#[derive(Debug, thiserror::Error)]
#[error("calling the SDK server to {step} failed")]
pub struct Error {
    /// What the call was for.
    step: &'static str,
    /// The failure.
    #[source]
    source: Box<Status>,
}

/// Where the SDK server listens. An address and not a name, so that no resolver is needed.
const HOST: &str = "http://127.0.0.1";

/// Time for the SDK server to come up, as in the clients of Agones.
const CONNECT: Duration = Duration::from_secs(30);

/// Time between attempts to reach it.
const ATTEMPT: Duration = Duration::from_millis(50);

/// Health pings that wait to be sent.
const PINGS: usize = 10;

/// Longest time between health pings: Agones' simple-game-server uses it always.
const LONGEST_PERIOD: Duration = Duration::from_secs(2);

/// Time between attempts at a call that must succeed in the end.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// Time for a call that has one answer: the SDK server waits for the platform in it, but not for ever.
const CALL: Duration = Duration::from_secs(10);

/// Annotation that every allocation changes, without the prefix.
const LAST_ALLOCATED: &str = "/last-allocated";

/// The SDK of this game server.
#[derive(Clone, Debug)]
pub(crate) struct Sdk {
    client: SdkClient<Channel>,
}

impl Sdk {
    pub(crate) async fn ready(&mut self) -> Result<(), Status> {
        limited(self.client.ready(Empty {})).await.map(drop)
    }

    pub(crate) async fn allocate(&mut self) -> Result<(), Status> {
        limited(self.client.allocate(Empty {})).await.map(drop)
    }

    pub(crate) async fn shutdown(&mut self) -> Result<(), Status> {
        limited(self.client.shutdown(Empty {})).await.map(drop)
    }

    /// Reserves the server; the smallest unit is a second.
    pub(crate) async fn reserve(&mut self, time: Duration) -> Result<(), Status> {
        let seconds = i64::try_from(time.as_secs().max(1)).unwrap_or(i64::MAX);
        let time = sdk::Duration { seconds };
        limited(self.client.reserve(time)).await.map(drop)
    }

    pub(crate) async fn set_label(&mut self, key: String, value: String) -> Result<(), Status> {
        let pair = KeyValue { key, value };
        limited(self.client.set_label(pair)).await.map(drop)
    }

    pub(crate) async fn set_annotation(
        &mut self,
        key: String,
        value: String,
    ) -> Result<(), Status> {
        let pair = KeyValue { key, value };
        limited(self.client.set_annotation(pair)).await.map(drop)
    }

    pub(crate) async fn game_server(&mut self) -> Result<GameServer, Status> {
        let answer = limited(self.client.get_game_server(Empty {})).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn watch(&mut self) -> Result<Streaming<GameServer>, Status> {
        let answer = self.client.watch_game_server(Empty {}).await?;
        Ok(answer.into_inner())
    }

    /// Opens a stream of health pings. It ends when the sender is dropped; sending fails when the
    /// SDK server has closed it.
    pub(crate) fn health(&self) -> mpsc::Sender<Empty> {
        let (sender, pings) = mpsc::channel(PINGS);
        let mut client = self.client.clone();
        tokio::spawn(async move {
            // The sender learns of the end by its next ping.
            drop(client.health(ReceiverStream::new(pings)).await);
        });
        sender
    }
}

/// Waits for the answer of a call, but not for ever: whoever waits has other things to say.
pub(crate) async fn limited<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let answer = tokio::time::timeout(CALL, call).await;
    answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer came in time")))
}

/// Where the SDK server is reached, without connecting yet.
pub(crate) fn channel(port: u16) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(format!("{HOST}:{port}"))
        .map_err(|error| failed("connect")(Status::from_error(error.into())))?;
    Ok(endpoint.connect_timeout(CONNECT).connect_lazy())
}

/// Connects, and returns the game server as the SDK server knows it.
pub(crate) async fn connect(port: u16) -> Result<(Sdk, GameServer), Error> {
    let mut sdk = Sdk {
        client: SdkClient::new(channel(port)?),
    };
    let mut last = Status::deadline_exceeded("no answer came");
    let connected = tokio::time::timeout(CONNECT, async {
        let mut attempts = tokio::time::interval(ATTEMPT);
        loop {
            attempts.tick().await;
            match sdk.game_server().await {
                Ok(server) => return server,
                Err(status) => last = status,
            }
        }
    })
    .await;
    match connected {
        Ok(server) => Ok((sdk, server)),
        Err(_) => Err(failed("connect")(last)),
    }
}

/// Says Ready until the SDK server takes it.
pub(crate) async fn say_ready(mut sdk: Sdk) {
    while let Err(error) = sdk.ready().await {
        tracing::warn!(%error, "Saying Ready failed and will be tried again");
        tokio::time::sleep(RETRY).await;
    }
    tracing::info!("Said Ready");
}

/// Sends a health ping each `period` while `is_alive`, until `stop` is cancelled.
pub(crate) async fn send_health(
    sdk: Sdk,
    period: Duration,
    stop: CancellationToken,
    mut is_alive: impl FnMut() -> bool,
) {
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
        if !is_alive() {
            tracing::error!("Health ping was not sent because the game stands still");
            continue;
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

/// Names the step that an SDK call was for.
pub(crate) fn failed(step: &'static str) -> impl FnOnce(Status) -> Error {
    move |source| Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends() {
        let nothing = limited(std::future::pending::<Result<(), Status>>()).await;
        assert_eq!(nothing.unwrap_err().code(), tonic::Code::DeadlineExceeded);
        assert_eq!(limited(std::future::ready(Ok(7))).await.unwrap(), 7);
    }
}
