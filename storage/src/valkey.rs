//! Valkey (or Redis 7): one node, or a cluster when more than one address is given.
//!
//! The roles of a client, and who plays them: the *client* is [`Client`], whose
//! [`execute`](Client::execute) is the only way in; the *connection pool* is `Pool`, one multiplexed
//! connection to each node that reconnects by itself, with a bound of calls in flight instead of
//! connections to hand out; a *command* is [`redis::Cmd`]. Messages come over a second connection,
//! which [`Client::listen`] holds.
//!
//! Every call ends within the time limit: what it did is unknown when it fails.

mod nodes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterConfig;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use runtime::backoff::Backoff;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

pub use nodes::Nodes;

/// How long it may take to connect; calls do not wait for it longer than their own limit.
const CONNECT: Duration = Duration::from_secs(1);

/// How often the connection for messages is tried: they are late by this and a call at most,
/// without anybody knowing.
const PROBE: Duration = Duration::from_millis(500);

/// Between tries to hear messages again.
const RECONNECT: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// Valkey does not answer, or not in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// How to reach Valkey.
#[derive(Clone, Debug)]
pub struct Config {
    /// One node, or several nodes of a cluster.
    pub nodes: Nodes,
    /// How long a call may take.
    pub limit: Duration,
    /// How many calls may be in flight; more are refused at once.
    pub in_flight: usize,
}

impl Config {
    /// The defaults, for these nodes.
    pub fn new(nodes: impl Into<Nodes>) -> Self {
        Self {
            nodes: nodes.into(),
            limit: Duration::from_millis(250),
            in_flight: 1024,
        }
    }
}

/// Hears what others publish.
pub trait Listener: Sync {
    /// From now on messages are heard. Those before may have been missed: the first time, and after
    /// each loss of the connection.
    fn connected(&self);

    /// A message came.
    fn message(&self, payload: &[u8]);
}

/// The way to Valkey.
pub struct Client {
    /// Replaced when the addresses change.
    connections: watch::Sender<Arc<Connections>>,
    limit: Duration,
    most_in_flight: usize,
    in_flight: Semaphore,
}

/// The connections to one set of nodes.
struct Connections {
    pool: Pool,
    /// The nodes, to hear messages from: any node of a cluster tells all.
    nodes: Vec<redis::Client>,
}

impl Connections {
    /// Connects when it is first used.
    fn open(nodes: &Nodes, limit: Duration, in_flight: usize) -> RedisResult<Self> {
        let clients = nodes.clients()?;
        let pool = match clients.as_slice() {
            [node] => Pool::Node(ConnectionManager::new_lazy_with_config(
                node.clone(),
                // A failed try fails the calls that wait for it; the next call tries again.
                ConnectionManagerConfig::new()
                    .set_number_of_retries(0)
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(limit))
                    .set_pipeline_buffer_size(in_flight),
            )?),
            _ => Pool::Cluster(
                nodes
                    .cluster()?
                    .connection_timeout(CONNECT)
                    .response_timeout(limit)
                    .build()?
                    .get_pending_async_connection_with_config(ClusterConfig::new()),
            ),
        };
        Ok(Self {
            pool,
            nodes: clients,
        })
    }
}

/// The connections of calls.
#[derive(Clone)]
enum Pool {
    Node(ConnectionManager),
    Cluster(ClusterConnection),
}

/// A script and the name by which a server knows it.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    /// Takes the text in Lua.
    pub fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: redis::Script::new(source).get_hash().to_owned(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("nodes", &self.connections.borrow().nodes.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects when it is first called, inside a tokio runtime; fails for bad addresses alone.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let connections = Connections::open(&config.nodes, config.limit, config.in_flight)
            .map_err(|error| unusable(&error))?;
        Ok(Self {
            connections: watch::Sender::new(Arc::new(connections)),
            limit: config.limit,
            most_in_flight: config.in_flight,
            in_flight: Semaphore::new(config.in_flight),
        })
    }

    /// Uses other nodes, or the same ones by another password, from the next call on. What is under
    /// way ends where it began.
    pub fn renew(&self, nodes: &Nodes) -> Result<(), Error> {
        let renewed = Connections::open(nodes, self.limit, self.most_in_flight);
        self.connections
            .send_replace(Arc::new(renewed.map_err(|error| unusable(&error))?));
        Ok(())
    }

    /// Does a call's work within the bounds of every call.
    pub async fn within<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Result<T, Error> {
        let _permit = self
            .in_flight
            .try_acquire()
            .map_err(|_| Error("too many calls at once".to_owned()))?;
        match timeout(self.limit, work).await {
            Ok(answer) => answer.map_err(|error| Error(error.to_string())),
            Err(_) => Err(Error("no answer in time".to_owned())),
        }
    }

    /// Executes one command, as a part of work that [`within`](Self::within) bounds.
    pub async fn execute<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let pool = self.connections.borrow().pool.clone();
        match pool {
            Pool::Node(mut connection) => command.query_async(&mut connection).await,
            Pool::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }

    /// Executes one command within the bounds of a call.
    pub async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.within(self.execute(command)).await
    }

    /// Runs a script, which is sent whole only to a server that does not know it.
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> RedisResult<T> {
        let command = |name: &str, script: &str| {
            let mut command = cmd(name);
            command.arg(script).arg(keys.len()).arg(keys);
            for argument in arguments {
                command.arg(argument);
            }
            command
        };
        match self.execute(&command("EVALSHA", &script.hash)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.execute(&command("EVAL", script.source)).await
            }
            answer => answer,
        }
    }

    /// Hears messages on these channels until it is stopped.
    pub async fn listen(
        &self,
        channels: &[&str],
        listener: &impl Listener,
        stop: &CancellationToken,
    ) {
        let mut changes = self.connections.subscribe();
        let mut attempt = 0;
        for turn in 0.. {
            let mut heard = false;
            let connections = Arc::clone(&changes.borrow_and_update());
            let Some(node) = connections.nodes.get(turn % connections.nodes.len().max(1)) else {
                return;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                error = self.hear(node, channels, listener, &mut heard) => {
                    tracing::warn!(%error, "Lost the messages of other replicas");
                }
                Ok(()) = changes.changed() => {
                    attempt = 0;
                    continue;
                }
            }
            attempt = if heard { 0 } else { attempt + 1 };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT.delay(attempt, share())) => {}
            }
        }
    }

    /// Hears messages from one node until its connection breaks; returns why.
    async fn hear(
        &self,
        node: &redis::Client,
        channels: &[&str],
        listener: &impl Listener,
        heard: &mut bool,
    ) -> RedisError {
        let mut connection = match timeout(CONNECT, node.get_async_pubsub()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return error,
            Err(_) => return late(),
        };
        match timeout(CONNECT, connection.subscribe(channels)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(_) => return late(),
        }
        // Until here messages were missed. Who looks after what it missed now misses nothing after.
        *heard = true;
        listener.connected();
        let (mut sink, mut messages) = connection.split();
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => listener.message(message.get_payload_bytes()),
                    None => return closed(),
                },
                _ = probe.tick() => match timeout(self.limit, sink.ping::<Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error,
                    Err(_) => return late(),
                },
            }
        }
    }
}

/// A random share of a delay; the least if there is no randomness.
fn share() -> f64 {
    let mut byte = [0];
    aws_lc_rs::rand::fill(&mut byte).ok();
    f64::from(byte[0]) / f64::from(u8::MAX)
}

fn unusable(error: &RedisError) -> Error {
    Error(format!("the addresses of Valkey: {error}"))
}

fn late() -> RedisError {
    (ErrorKind::Io, "no answer in time").into()
}

fn closed() -> RedisError {
    (ErrorKind::Io, "the connection was closed").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_decide() {
        let bad = Config::new(vec!["http://host".to_owned()]);
        assert!(Client::new(&bad).is_err());
        assert!(Client::new(&Config::new(Vec::new())).is_err());
    }
}
