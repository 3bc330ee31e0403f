//! The games of simulated nodes: nothing runs there, so this plays the SDK server's part.
//!
//! Each connects to the hub over a stream of its own as a real one does, says Ready if its server
//! has not been, and holds the stream until its pod is gone. A stream that cannot be opened, or
//! that ends, is opened again for as long as the pod lives.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use crds::meta;
use embedded::node::simulated::RunningPod;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use proto::muster::hub::v1::connect_request::Message as Up;
use proto::muster::hub::v1::connect_response::Message as Down;
use proto::muster::hub::v1::hub_client::HubClient;
use proto::muster::hub::v1::state_change::State;
use proto::muster::hub::v1::{
    Change, ConnectRequest, ConnectResponse, Hello, Snapshot, StateChange,
};
use runtime::backoff::Backoff;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Streaming};

/// Streams of one connection: HTTP/2 servers allow 200 unless they say otherwise.
const STREAMS: usize = 180;

/// Games that connect at once.
const CONNECTING: usize = 64;

/// Service account of the pods.
const ACCOUNT: &str = "default";

/// Pauses between tries.
const RECONNECT: Backoff = Backoff {
    base: Duration::from_millis(100),
    cap: Duration::from_secs(5),
};

/// So many tries fail without a word to the user: the operator may be busy with thousands.
const QUIET_TRIES: u32 = 6;

/// Time to connect and to hear that the server is Ready.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A hub that says nothing any more is noticed within the sum of these two.
const PING_EVERY: Duration = Duration::from_secs(8);
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// ConfigMap and key of the hub's CA in every namespace of game servers.
const CA_CONFIG_MAP: &str = "muster-hub-ca";
const CA_KEY: &str = "ca.crt";

/// States before the first Ready.
const BEFORE_READY: [&str; 5] = ["", "PortAllocation", "Creating", "Starting", "Scheduled"];

/// Games on simulated nodes.
pub(crate) struct Games {
    client: Client,
    hub: SocketAddr,
    connecting: Semaphore,
    /// The newest connection.
    connection: Mutex<Option<Connection>>,
}

/// A connection, and how many streams it was given.
struct Connection {
    channel: Channel,
    streams: usize,
}

/// A stream whose server has been Ready.
struct Session {
    answers: Streaming<ConnectResponse>,
    /// Ends the stream when it is dropped.
    _requests: mpsc::Sender<ConnectRequest>,
}

impl std::fmt::Debug for Games {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Games")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

impl Games {
    /// Games that reach the hub at this address.
    pub(crate) fn new(client: Client, hub: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            client,
            hub,
            connecting: Semaphore::new(CONNECTING),
            connection: Mutex::new(None),
        })
    }

    /// Plays the game of a pod, if it is a game server's. Ends only when it is dropped.
    pub(crate) async fn play(self: Arc<Self>, pod: RunningPod) {
        let is_game = pod
            .labels
            .get(meta::ROLE_LABEL)
            .is_some_and(|role| role == meta::ROLE_GAMESERVER);
        if !is_game {
            return;
        }
        let mut tries = 0;
        loop {
            let error = match self.connect(&pod).await {
                Ok(mut session) => {
                    tries = 0;
                    match session.last().await {
                        Some(status) => status.into(),
                        None => anyhow::anyhow!("the hub closed the stream"),
                    }
                }
                Err(error) => error,
            };
            if is_broken(&error) {
                // Others on it notice by themselves.
                self.connection.lock().await.take();
            }
            let pod = &pod.name;
            let error = format!("{error:#}");
            if tries == QUIET_TRIES {
                tracing::warn!(pod, error, "Simulated game does not reach the hub");
            } else {
                tracing::debug!(pod, tries, error, "Simulated game is not connected");
            }
            tokio::time::sleep(RECONNECT.bound(tries)).await;
            tries = tries.saturating_add(1);
        }
    }

    /// Opens a stream, and says Ready over it if nobody has before.
    async fn connect(&self, pod: &RunningPod) -> Result<Session> {
        // The semaphore is never closed.
        let _permit = self.connecting.acquire().await;
        let session = tokio::time::timeout(CONNECT_WITHIN, self.open(pod)).await;
        session.context("the hub does not answer in time")?
    }

    async fn open(&self, pod: &RunningPod) -> Result<Session> {
        let token = self.token(pod).await?;
        let channel = self.channel(&pod.namespace).await?;
        let (requests, stream) = mpsc::channel(2);
        let hello = Hello {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pod_ips: Vec::new(),
        };
        requests.send(up(Up::Hello(hello))).await?;
        let mut request = tonic::Request::new(ReceiverStream::new(stream));
        let bearer = format!("Bearer {token}").parse();
        request
            .metadata_mut()
            .insert("authorization", bearer.context("read the pod's token")?);
        let mut answers = HubClient::new(channel).connect(request).await?.into_inner();
        let mut has_asked = false;
        while let Some(answer) = answers.message().await? {
            match answer.message {
                Some(Down::Snapshot(_)) if has_asked => {}
                Some(Down::Snapshot(snapshot)) if is_before_ready(&snapshot) => {
                    requests.send(up(Up::Change(ready()))).await?;
                    has_asked = true;
                }
                Some(Down::Ack(ack)) => {
                    anyhow::ensure!(ack.code == 0, "{}", ack.message);
                    return Ok(Session::new(answers, requests));
                }
                Some(Down::Snapshot(_)) => return Ok(Session::new(answers, requests)),
                // A game that is made up takes no players.
                Some(Down::ConnectKeys(_)) | None => {}
            }
        }
        anyhow::bail!("the hub closed the stream")
    }

    async fn token(&self, pod: &RunningPod) -> Result<String> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(vec![meta::TOKEN_AUDIENCE.to_owned()]),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(pod.name.clone()),
                    uid: Some(pod.uid.clone()),
                }),
                expiration_seconds: Some(3600),
            }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &pod.namespace);
        let answer = accounts
            .create_token_request(ACCOUNT, &PostParams::default(), &request)
            .await
            .context("ask for the pod's token")?;
        let token = answer.status.unwrap_or_default().token;
        token.context("the API server gave no token")
    }

    /// A connection with room for one more stream.
    async fn channel(&self, namespace: &str) -> Result<Channel> {
        let mut connection = self.connection.lock().await;
        if let Some(Connection { channel, streams }) = connection.as_mut()
            && *streams < STREAMS
        {
            *streams += 1;
            return Ok(channel.clone());
        }
        let endpoint = self.find_hub(namespace).await?;
        let channel = endpoint.connect().await.context("connect to the hub")?;
        *connection = Some(Connection {
            channel: channel.clone(),
            streams: 1,
        });
        Ok(channel)
    }

    /// Where the hub is, and the CA that it has now.
    async fn find_hub(&self, namespace: &str) -> Result<Endpoint> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = maps
            .get(CA_CONFIG_MAP)
            .await
            .context("read the hub's certificates")?;
        let ca = map
            .data
            .unwrap_or_default()
            .remove(CA_KEY)
            .context("the hub's certificates are missing")?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.hub))?
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN);
        Ok(endpoint.tls_config(tls)?)
    }
}

impl Session {
    fn new(answers: Streaming<ConnectResponse>, requests: mpsc::Sender<ConnectRequest>) -> Self {
        Self {
            answers,
            _requests: requests,
        }
    }

    /// Waits for the end of the stream; the hub's last word, if it gave one.
    async fn last(&mut self) -> Option<tonic::Status> {
        loop {
            match self.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }
}

/// Whether a connection is of no use any more, in contrast to what the hub said of one pod.
fn is_broken(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<tonic::Status>();
    status.is_some_and(|status| {
        !matches!(
            status.code(),
            Code::NotFound | Code::PermissionDenied | Code::Unauthenticated
        )
    })
}

fn is_before_ready(snapshot: &Snapshot) -> bool {
    let server = snapshot.game_server.as_ref();
    let state = server
        .and_then(|server| server.status.as_ref())
        .map_or("", |status| status.state.as_str());
    BEFORE_READY.contains(&state)
}

fn ready() -> Change {
    Change {
        id: 1,
        state: Some(StateChange {
            state: State::Ready.into(),
            reason: "simulated".to_owned(),
            // A server that was allocated meanwhile stays so.
            last_allocated: Some(String::new()),
            ..StateChange::default()
        }),
        ..Change::default()
    }
}

const fn up(message: Up) -> ConnectRequest {
    ConnectRequest {
        message: Some(message),
    }
}
