//! One SDK server's stream, from its hello to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use proto::muster::hub::v1::connect_request::Message as Up;
use proto::muster::hub::v1::connect_response::Message as Down;
use proto::muster::hub::v1::{ConnectRequest, ConnectResponse, Hello};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

use super::boot_id::BootId;
use super::keys::derive;
use super::snapshot::snapshot;
use crate::ports::Holder;
use crate::world::World;

/// A caller that does not say who it is within this time is cut off.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// Messages that wait for a slow stream. Snapshots are made when there is room, so the newest
/// state is never behind a queue of old ones.
pub(crate) const OUTBOX: usize = 4;

/// What a stream sends.
pub(crate) type Outbox = mpsc::Sender<Result<ConnectResponse, Status>>;

/// Most addresses that a pod may tell.
const MOST_IPS: usize = 4;

/// An SDK server that has proved who it is.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its game server.
    pub(crate) key: Holder,
    /// Addresses of its pod, by its own word.
    pub(crate) pod_ips: Vec<IpAddr>,
}

/// Reads the hello and checks the caller.
pub(crate) async fn greet(
    world: &World,
    metadata: &MetadataMap,
    inbound: &mut Streaming<ConnectRequest>,
) -> Result<Peer, Status> {
    let first = tokio::time::timeout(HELLO_LIMIT, inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let Some(ConnectRequest {
        message: Some(Up::Hello(hello)),
    }) = first
    else {
        return Err(Status::invalid_argument("the first message must be hello"));
    };
    check(&hello)?;
    super::auth::authenticate(world, metadata, &hello).await?;
    Ok(Peer::of(hello))
}

impl Peer {
    /// A caller that has proved that it is who it says.
    pub(crate) fn of(hello: Hello) -> Self {
        // An address is only shown to clients inside the cluster; one that does not parse is left
        // out.
        let pod_ips = hello
            .pod_ips
            .iter()
            .take(MOST_IPS)
            .filter_map(|ip| ip.parse().ok())
            .collect();
        Self {
            key: (hello.namespace, hello.name),
            pod_ips,
        }
    }
}

fn check(hello: &Hello) -> Result<(), Status> {
    for (field, value) in [
        ("hello.namespace", &hello.namespace),
        ("hello.name", &hello.name),
    ] {
        let fits = !value.is_empty()
            && value.len() <= 253
            && value.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
            });
        if !fits {
            return Err(Status::invalid_argument(format!(
                "{field} is not a name: {value:?}"
            )));
        }
    }
    Ok(())
}

/// Serves a stream until it ends.
pub(crate) async fn run(
    world: Arc<World>,
    peer: Peer,
    mut inbound: Streaming<ConnectRequest>,
    outbox: Outbox,
    stop: CancellationToken,
) {
    world.metrics.hub_streams.inc();
    let mut changed = world.sessions.open(&peer.key);
    let end = exchange(&world, &peer, &mut inbound, &outbox, &mut changed, &stop).await;
    drop(changed);
    world.sessions.close(&peer.key);
    world.metrics.hub_streams.dec();
    if let Err(status) = end {
        tracing::debug!(namespace = peer.key.0, server = peer.key.1, %status, "SDK server's stream ended");
        // The stream may be gone already.
        drop(outbox.send(Err(status)).await);
    }
}

async fn exchange(
    world: &World,
    peer: &Peer,
    inbound: &mut Streaming<ConnectRequest>,
    outbox: &Outbox,
    changed: &mut tokio::sync::watch::Receiver<()>,
    stop: &CancellationToken,
) -> Result<(), Status> {
    let closed = || Status::cancelled("the SDK server went away");
    let mut sent = String::new();
    let mut ack = None;
    let mut uid = None;
    let mut keys = world.keys.subscribe();
    // The life whose keys were asked for and are not sent yet. They are sent once: a rotation is
    // for lives that begin later.
    let mut owed: Option<BootId> = None;
    loop {
        // Room first, then the state as it is at that moment.
        let room = outbox.reserve().await.map_err(|_| closed())?;
        let server = world
            .servers
            .get(&peer.key.0, &peer.key.1)
            .filter(|server| *uid.get_or_insert_with(|| server.uid()) == server.uid())
            .ok_or_else(|| Status::not_found("the game server was deleted"))?;
        let version = server.resource_version().unwrap_or_default();
        if version != sent {
            sent = version;
            room.send(Ok(down(Down::Snapshot(snapshot(&server)))));
        }
        if let Some(boot_id) = owed {
            let stored = keys.borrow_and_update().clone();
            if let Some(stored) = stored {
                owed = None;
                let answer = derive(&stored, &server.uid().unwrap_or_default(), &boot_id)?;
                outbox
                    .send(Ok(down(Down::ConnectKeys(answer))))
                    .await
                    .map_err(|_| closed())?;
            }
        }
        // After the snapshot: what a game is answered, its SDK server has seen.
        if let Some(ack) = ack.take() {
            outbox
                .send(Ok(down(Down::Ack(ack))))
                .await
                .map_err(|_| closed())?;
        }
        tokio::select! {
            message = inbound.message() => match message? {
                None => return Ok(()),
                Some(ConnectRequest { message: Some(Up::Change(change)) }) => {
                    ack = Some(super::commit::commit(world, peer, &change).await);
                }
                Some(ConnectRequest { message: Some(Up::KeyRequest(request)) }) => {
                    let asked = BootId::from_slice(&request.boot_id).ok_or_else(|| {
                        Status::invalid_argument("key_request.boot_id must have 16 bytes")
                    })?;
                    owed = Some(asked);
                }
                Some(_) => return Err(Status::invalid_argument("only the first message is hello")),
            },
            // The sender lives as long as there is a receiver.
            _ = changed.changed() => {}
            _ = keys.changed(), if owed.is_some() => {}
            () = stop.cancelled() => {
                return Err(Status::unavailable("the hub is shutting down; connect again"));
            }
        }
    }
}

const fn down(message: Down) -> ConnectResponse {
    ConnectResponse {
        message: Some(message),
    }
}
