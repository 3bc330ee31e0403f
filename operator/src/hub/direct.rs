//! The hub without its wire: for SDK servers that are tasks of the same process.
//!
//! A laboratory has neither sockets nor tokens. What it asks for goes the same way as what comes
//! over a stream: the same check of pod and server, the same guarded write.

use std::sync::Arc;

use proto::muster::hub::v1::{Ack, Change, Hello, Snapshot};
use tonic::Status;

use super::session::Peer;
use crate::world::World;

/// The hub of one replica.
#[derive(Clone, Debug)]
pub struct Hub(Arc<World>);

impl Hub {
    pub(crate) const fn new(world: Arc<World>) -> Self {
        Self(world)
    }

    /// Begins what would be a stream. `pod_uid` takes the place of the token: it says in which pod
    /// the caller runs.
    pub async fn connect(&self, hello: Hello, pod_uid: &str) -> Result<Session, Status> {
        super::auth::admit(&self.0, &hello, pod_uid).await?;
        Ok(Session {
            world: Arc::clone(&self.0),
            peer: Peer::of(hello),
        })
    }
}

/// One SDK server's connection.
#[derive(Clone, Debug)]
pub struct Session {
    world: Arc<World>,
    peer: Peer,
}

impl Session {
    /// Commits a change and says how it went.
    pub async fn commit(&self, change: &Change) -> Ack {
        super::commit::commit(&self.world, &self.peer, change).await
    }

    /// The game server as this replica knows it; none if it is gone, which ends a stream.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let (namespace, name) = &self.peer.key;
        let server = self.world.servers.get(namespace, name)?;
        Some(super::snapshot::snapshot(&server))
    }
}
