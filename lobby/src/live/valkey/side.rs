//! A connection aside from that of the calls: for what waits, and for what is heard.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, ProtocolVersion,
    PushInfo, RedisError, RedisResult,
};
use storage::valkey::Nodes;

/// How long it may take to connect.
pub(super) const CONNECT: Duration = Duration::from_secs(1);

/// Whoever waits for an answer has a limit of his own, below this.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Takes what a server says unasked.
pub(super) type Pushes = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A connection to a node, or one to each of a cluster.
#[derive(Clone)]
pub(super) enum Side {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Side {
    /// Connects, and hears pushes if there is somebody to take them.
    pub(super) async fn open(nodes: &Nodes, pushes: Option<Pushes>) -> RedisResult<Self> {
        let protocol = match pushes {
            Some(_) => ProtocolVersion::RESP3,
            None => ProtocolVersion::RESP2,
        };
        let sender = pushes.map(|take| {
            move |push: PushInfo| {
                take(push);
                Ok::<(), RedisError>(())
            }
        });
        if let [node] = nodes.clients()?.as_slice() {
            let info = node.get_connection_info().clone();
            let settings = info.redis_settings().clone().set_protocol(protocol);
            let client = Client::open(info.set_redis_settings(settings))?;
            let mut config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(LONGEST));
            if let Some(sender) = sender {
                config = config.set_push_sender(sender);
            }
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            return Ok(Self::Node(connection.await?));
        }
        let mut builder = nodes
            .cluster()?
            .use_protocol(protocol)
            .connection_timeout(CONNECT)
            .response_timeout(LONGEST);
        if let Some(sender) = sender {
            builder = builder.push_sender(sender);
        }
        let connection = builder.build()?.get_async_connection().await?;
        Ok(Self::Cluster(connection))
    }

    pub(super) async fn execute<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Node(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Commands of one slot.
    pub(super) async fn execute_all<T: FromRedisValue>(
        &mut self,
        commands: &Pipeline,
    ) -> RedisResult<T> {
        match self {
            Self::Node(connection) => commands.query_async(connection).await,
            Self::Cluster(connection) => commands.query_async(connection).await,
        }
    }
}

pub(super) fn late() -> RedisError {
    (ErrorKind::Io, "no answer in time").into()
}
