//! Clients of the allocator: gRPC and REST on one port.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use proto::allocation::allocation_service_client::AllocationServiceClient;
use proto::allocation::game_server_selector::GameServerState;
use proto::allocation::{AllocationRequest, AllocationResponse, GameServerSelector};
use proto::muster::allocation::v1::allocator_client::AllocatorClient;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use crate::http_client;

/// Path of the REST mapping.
const REST_PATH: &str = "/gameserverallocation";

/// A client of gRPC.
pub type Grpc = AllocationServiceClient<Channel>;

/// A client of allocation by request ids.
pub type Matches = AllocatorClient<Channel>;

/// An allocator at an address, without TLS.
#[derive(Clone, Copy, Debug)]
pub struct Allocator {
    address: SocketAddr,
}

impl Allocator {
    /// An allocator at this address.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a connection of its own, so that connections spread over replicas.
    pub async fn grpc(&self) -> Result<Grpc> {
        self.connect().await.map(AllocationServiceClient::new)
    }

    /// The same for allocation by request ids.
    pub async fn matches(&self) -> Result<Matches> {
        self.connect().await.map(AllocatorClient::new)
    }

    async fn connect(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?;
        endpoint
            .connect()
            .await
            .with_context(|| format!("no gRPC at {} (is TLS on?)", self.address))
    }

    /// Allocates once over a connection of its own.
    pub async fn allocate(&self, request: AllocationRequest) -> Result<AllocationResponse> {
        Ok(self.grpc().await?.allocate(request).await?.into_inner())
    }

    /// Sends JSON to the REST mapping.
    pub async fn rest(&self, body: &str) -> Result<(StatusCode, Value)> {
        http_client::json(self.address, Method::POST, REST_PATH, Some(body)).await
    }
}

/// A request for a Ready server of a fleet.
pub fn from_fleet(namespace: &str, fleet: &str) -> AllocationRequest {
    with_labels(namespace, &[(crds::meta::FLEET_LABEL, fleet)])
}

/// A request for a Ready server with these labels.
pub fn with_labels(namespace: &str, labels: &[(&str, &str)]) -> AllocationRequest {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    AllocationRequest {
        namespace: namespace.to_owned(),
        game_server_selectors: vec![GameServerSelector {
            match_labels: labels.collect(),
            game_server_state: GameServerState::Ready.into(),
            ..GameServerSelector::default()
        }],
        ..AllocationRequest::default()
    }
}

/// Where players reach an allocated server: its first port.
pub fn endpoint(response: &AllocationResponse) -> Result<SocketAddr> {
    let port = response.ports.first().context("the answer has no port")?;
    join(&response.address, port.port)
}

/// Where players reach a server that REST allocated, with its name.
pub fn rest_endpoint(response: &Value) -> Result<(String, SocketAddr)> {
    let name = response["gameServerName"].as_str().unwrap_or_default();
    ensure!(!name.is_empty(), "the answer names no server: {response}");
    let address = response["address"].as_str().unwrap_or_default();
    let port = response["ports"][0]["port"].as_i64().unwrap_or_default();
    Ok((name.to_owned(), join(address, i32::try_from(port)?)?))
}

/// An address and a port as players get them.
pub fn join(address: &str, port: i32) -> Result<SocketAddr> {
    let address = address
        .parse()
        .with_context(|| format!("{address:?} is no IP address"))?;
    let port = u16::try_from(port).with_context(|| format!("{port} is no port"))?;
    ensure!(port > 0, "the port is 0");
    Ok(SocketAddr::new(address, port))
}
