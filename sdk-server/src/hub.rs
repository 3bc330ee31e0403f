//! The one stream to the operator's hub: changes go up, the object comes down.
//!
//! The token and the CA are read again for each connection, since both are rotated. A lost or
//! refused connection is retried for as long as this process lives.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::muster::hub::v1::hub_client::HubClient;
use proto::muster::hub::v1::{
    ConnectRequest, ConnectResponse, Hello, connect_request, connect_response,
};
use runtime::backoff::Backoff;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};

use crate::config::HubConfig;
use crate::random;
use crate::remote::Remote;

const RECONNECT: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(5),
};
/// A connection that lived this long counts as good: the next failure starts with a short pause.
const GOOD_AFTER: Duration = Duration::from_secs(5);
/// The pause after an answer that asks for another try.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Until the first snapshot, the check of the token included.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(10);
/// A dead hub is noticed within the sum of these two.
const PING_EVERY: Duration = Duration::from_secs(8);
const PONG_WITHIN: Duration = Duration::from_secs(5);
/// One change at a time is on its way, so the windows may be small.
const STREAM_WINDOW: u32 = 64 * 1024 - 1;

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("could not read {}", path.display())]
    ReadFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} does not hold a token", path.display())]
    Token { path: PathBuf },
    #[error("could not use the hub's address or CA")]
    Endpoint(#[source] tonic::transport::Error),
    #[error("could not connect to the hub")]
    Connect(#[source] tonic::transport::Error),
    #[error("hub answered {:?}: {}", .0.code(), .0.message())]
    Refused(tonic::Status),
    #[error("hub sent no snapshot within {} s", SNAPSHOT_WITHIN.as_secs())]
    Silent,
    #[error("hub closed the stream")]
    Closed,
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Refused(status)
    }
}

/// Opens connections to the hub.
pub(crate) trait Dial: Sync {
    fn dial(&self, config: &HubConfig) -> impl Future<Output = Result<Channel, Error>> + Send;
}

/// Keeps the stream open for as long as it is polled.
pub(crate) async fn run(remote: &Remote, config: &HubConfig, dialer: &impl Dial) -> Infallible {
    let mut attempt = 0;
    let mut last_problem = String::new();
    loop {
        let mut connected = None;
        let Err(error) = connect_and_serve(remote, config, dialer, &mut connected).await;
        remote.on_disconnect();
        if let Some(connected) = connected {
            last_problem.clear();
            if connected.elapsed() >= GOOD_AFTER {
                attempt = 0;
            }
        }
        let problem = chain(&error);
        // Said once per cause: a hub that is away for an hour must not fill the log.
        if problem == last_problem {
            tracing::debug!(problem, attempt, "Hub is still away");
        } else {
            tracing::warn!(problem, "Hub is away; changes are kept until it is back");
            last_problem = problem;
        }
        let pause = RECONNECT.delay(attempt, random::share());
        attempt = attempt.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}

async fn connect_and_serve(
    remote: &Remote,
    config: &HubConfig,
    dialer: &impl Dial,
    connected: &mut Option<Instant>,
) -> Result<Infallible, Error> {
    let (requests, mut responses) = tokio::time::timeout(SNAPSHOT_WITHIN, async {
        let (requests, mut responses) = connect(config, dialer).await?;
        // Only a snapshot says what is true now; what else comes before it is of no use.
        loop {
            let response = responses.message().await?.ok_or(Error::Closed)?;
            if let Some(connect_response::Message::Snapshot(snapshot)) = response.message {
                remote.on_snapshot(snapshot);
                return Ok::<_, Error>((requests, responses));
            }
        }
    })
    .await
    .map_err(|_elapsed| Error::Silent)??;
    *connected = Some(Instant::now());
    tracing::info!(hub = %config.address, "Connected to the hub");
    serve(remote, &requests, &mut responses).await
}

async fn connect(
    config: &HubConfig,
    dialer: &impl Dial,
) -> Result<(mpsc::Sender<ConnectRequest>, Streaming<ConnectResponse>), Error> {
    let mut client = HubClient::new(dialer.dial(config).await?);
    // One hello, one key request and one change at a time: more is never on its way.
    let (requests, stream) = mpsc::channel(3);
    let hello = Hello {
        namespace: config.namespace.clone(),
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pod_ips: config.pod_ips.clone(),
    };
    let message = Some(connect_request::Message::Hello(hello));
    requests
        .send(ConnectRequest { message })
        .await
        .map_err(|_closed| Error::Closed)?;
    let mut request = Request::new(ReceiverStream::new(stream));
    if let Some(path) = &config.token_file {
        request
            .metadata_mut()
            .insert("authorization", bearer(path)?);
    }
    let responses = client.connect(request).await?.into_inner();
    Ok((requests, responses))
}

/// Opens connections over TCP, and TLS if the address says so.
pub(crate) struct Network;

impl Dial for Network {
    async fn dial(&self, config: &HubConfig) -> Result<Channel, Error> {
        let mut endpoint = Endpoint::from(config.address.clone())
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW)
            .buffer_size(8)
            .tcp_nodelay(true);
        if let Some(path) = &config.ca_file {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?));
            endpoint = endpoint.tls_config(tls).map_err(Error::Endpoint)?;
        }
        endpoint.connect().await.map_err(Error::Connect)
    }
}

async fn serve(
    remote: &Remote,
    requests: &mpsc::Sender<ConnectRequest>,
    responses: &mut Streaming<ConnectResponse>,
) -> Result<Infallible, Error> {
    let mut resume_at: Option<Instant> = None;
    loop {
        let keys = remote
            .next_key_request()
            .map(connect_request::Message::KeyRequest);
        let change = remote.next_change().map(connect_request::Message::Change);
        for message in keys.into_iter().chain(change) {
            let message = Some(message);
            requests
                .send(ConnectRequest { message })
                .await
                .map_err(|_closed| Error::Closed)?;
        }
        tokio::select! {
            response = responses.message() => match response?.ok_or(Error::Closed)?.message {
                Some(connect_response::Message::Snapshot(snapshot)) => remote.on_snapshot(snapshot),
                Some(connect_response::Message::Ack(ack)) => {
                    if remote.on_ack(&ack) {
                        resume_at = Some(Instant::now() + RETRY_AFTER);
                    }
                }
                Some(connect_response::Message::ConnectKeys(keys)) => remote.on_connect_keys(keys),
                None => tracing::debug!("Ignored a message of a newer hub"),
            },
            () = remote.work() => {}
            () = sleep_until(resume_at) => {
                resume_at = None;
                remote.resume();
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn bearer(path: &Path) -> Result<MetadataValue<Ascii>, Error> {
    let token = read(path)?;
    let token = String::from_utf8_lossy(&token);
    let value = MetadataValue::try_from(format!("Bearer {}", token.trim()));
    value
        .ok()
        .filter(|_| !token.trim().is_empty())
        .ok_or_else(|| Error::Token {
            path: path.to_owned(),
        })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
