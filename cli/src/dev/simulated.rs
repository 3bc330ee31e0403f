//! The games of simulated nodes: nothing runs there, so this plays the SDK server's part.
//!
//! Each says Ready through the hub, over a stream of its own as a real one does, and holds the
//! stream until its pod is gone.

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
use proto::muster::hub::v1::{Change, ConnectRequest, Hello, StateChange};
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// Streams of one connection: HTTP/2 servers allow 200 unless they say otherwise.
const STREAMS: usize = 180;

/// Service account of the pods.
const ACCOUNT: &str = "default";

/// Calls of Ready, and the time after the first that failed.
const ATTEMPTS: u32 = 10;
const RETRY: Duration = Duration::from_millis(100);

/// ConfigMap and key of the hub's CA in every namespace of game servers.
const CA_CONFIG_MAP: &str = "muster-hub-ca";
const CA_KEY: &str = "ca.crt";

/// Games on simulated nodes.
pub(crate) struct Games {
    client: Client,
    hub: SocketAddr,
    endpoint: OnceCell<Endpoint>,
    /// The newest connection, and how many streams it was given.
    connection: Mutex<Option<(Channel, usize)>>,
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
            endpoint: OnceCell::new(),
            connection: Mutex::new(None),
        })
    }

    /// Says Ready for one pod, if it is a game server's. Its stream stays open in the background.
    pub(crate) async fn begin(self: Arc<Self>, pod: RunningPod) {
        let is_game = pod
            .labels
            .get(meta::ROLE_LABEL)
            .is_some_and(|role| role == meta::ROLE_GAMESERVER);
        if !is_game {
            return;
        }
        for attempt in 1..=ATTEMPTS {
            let error = match self.say_ready(&pod).await {
                Ok(()) => return,
                Err(error) => format!("{error:#}"),
            };
            tracing::debug!(
                pod = pod.name,
                attempt,
                error,
                "Simulated game is not Ready"
            );
            tokio::time::sleep(RETRY * attempt).await;
        }
        tracing::warn!(pod = pod.name, "Simulated game could not say Ready");
    }

    async fn say_ready(&self, pod: &RunningPod) -> Result<()> {
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
        requests.send(up(Up::Change(ready()))).await?;
        let mut request = tonic::Request::new(ReceiverStream::new(stream));
        let bearer = format!("Bearer {token}").parse();
        request
            .metadata_mut()
            .insert("authorization", bearer.context("read the pod's token")?);
        let mut answers = HubClient::new(channel).connect(request).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            if let Some(Down::Ack(ack)) = answer.message {
                anyhow::ensure!(ack.code == 0, "{}", ack.message);
                // The hub ends the stream when the server is gone.
                tokio::spawn(async move {
                    while let Ok(Some(_)) = answers.message().await {}
                    drop(requests);
                });
                return Ok(());
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
        let endpoint = self
            .endpoint
            .get_or_try_init(|| self.find_hub(namespace))
            .await?;
        let mut connection = self.connection.lock().await;
        if let Some((channel, streams)) = connection.as_mut()
            && *streams < STREAMS
        {
            *streams += 1;
            return Ok(channel.clone());
        }
        let channel = endpoint.connect().await.context("connect to the hub")?;
        *connection = Some((channel.clone(), 1));
        Ok(channel)
    }

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
        let endpoint = Endpoint::from_shared(format!("https://{}", self.hub))?;
        Ok(endpoint.tls_config(tls)?)
    }
}

fn ready() -> Change {
    Change {
        id: 1,
        state: Some(StateChange {
            state: State::Ready.into(),
            reason: "simulated".to_owned(),
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
