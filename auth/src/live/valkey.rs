//! The live state in Valkey (or Redis 7): one node, or a cluster when more than one address is
//! given.
//!
//! The roles of a client, and who plays them: the *client* is [`Valkey`], whose `execute` is the
//! only way in; the *connection pool* is `Pool`, one multiplexed connection to each node that
//! reconnects by itself, with a bound of calls in flight instead of connections to hand out; a
//! *command* is [`redis::Cmd`]. News come over a second connection, which [`Valkey::listen`] holds.
//!
//! Every call ends within the time limit: what it did is unknown when it fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterConfig;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use runtime::backoff::Backoff;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::gcra::{parts, span};
use super::hub::Hub;
use super::nodes::Nodes;
use super::{Cached, Error, Key, Live, MARK, News, NewsReceiver, Rate, Throttle, VALUE_LIMIT};
use crate::ids::{PlayerId, SessionId};

/// Where replicas tell each other news.
pub const NEWS: &str = "muster:auth:news";

/// Where everybody else hears of changed players: `{"user_id", "user_data"}`.
pub const USER_DATA_UPDATE: &str = "user_data_update";

/// How long it may take to connect; calls do not wait for it longer than their own limit.
const CONNECT: Duration = Duration::from_secs(1);

/// How often the connection for news is tried: news are late by this and a call at most, without
/// anybody knowing.
const PROBE: Duration = Duration::from_millis(500);

/// Between tries to hear news again.
const RECONNECT: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// Nothing lives longer; the server refuses what is beyond its clock.
const LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

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

/// The live state in Valkey.
pub struct Valkey {
    /// Replaced when the addresses change.
    connections: watch::Sender<Arc<Connections>>,
    limit: Duration,
    most_in_flight: usize,
    in_flight: Semaphore,
    scripts: Scripts,
    throttling: Throttling,
    hub: Hub,
    /// Tells this replica's own news, which come back, from others'.
    origin: Uuid,
}

/// The connections to one set of nodes.
struct Connections {
    pool: Pool,
    /// The nodes, to hear news from: any node of a cluster tells all.
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

/// What takes more than one command, and lets nothing come between.
struct Scripts {
    throttle: Script,
    count: Script,
    uncount: Script,
    put_session: Script,
    forget_sessions: Script,
}

/// A script and the name by which a server knows it.
struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: redis::Script::new(source).get_hash().to_owned(),
        }
    }
}

/// What counts rates; looked up anew whenever the server may be another one.
#[derive(Debug, Default)]
struct Throttling(AtomicU8);

impl Throttling {
    const UNKNOWN: u8 = 0;
    const SCRIPT: u8 = 1;
    /// The module redis-cell.
    const CELL: u8 = 2;
}

/// What travels on [`NEWS`].
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    origin: Uuid,
    about: News,
}

impl fmt::Debug for Valkey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Valkey")
            .field("nodes", &self.connections.borrow().nodes.len())
            .field("limit", &self.limit)
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

impl Valkey {
    /// Connects when it is first called, inside a tokio runtime; fails for bad addresses alone.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let connections = Connections::open(&config.nodes, config.limit, config.in_flight)
            .map_err(|error| unusable(&error))?;
        Ok(Self {
            connections: watch::Sender::new(Arc::new(connections)),
            limit: config.limit,
            most_in_flight: config.in_flight,
            in_flight: Semaphore::new(config.in_flight),
            scripts: Scripts {
                throttle: Script::new(include_str!("throttle.lua")),
                count: Script::new(include_str!("count.lua")),
                uncount: Script::new(include_str!("uncount.lua")),
                put_session: Script::new(include_str!("put_session.lua")),
                forget_sessions: Script::new(include_str!("forget_sessions.lua")),
            },
            throttling: Throttling::default(),
            hub: Hub::new(),
            origin: Uuid::new_v4(),
        })
    }

    /// How often news of other replicas may have been missed so far, the time before the first
    /// included.
    pub fn gaps(&self) -> u64 {
        self.hub.gaps()
    }

    /// Uses other nodes, or the same ones by another password, from the next call on. What is under
    /// way ends where it began.
    pub fn renew(&self, nodes: &Nodes) -> Result<(), Error> {
        let renewed = Connections::open(nodes, self.limit, self.most_in_flight);
        self.connections
            .send_replace(Arc::new(renewed.map_err(|error| unusable(&error))?));
        // It may be another server.
        self.throttling
            .0
            .store(Throttling::UNKNOWN, Ordering::Relaxed);
        Ok(())
    }

    /// Hears news until it is stopped. Without it, only this replica's own news are heard.
    pub async fn listen(&self, stop: &CancellationToken) {
        let mut changes = self.connections.subscribe();
        let mut attempt = 0;
        for turn in 0.. {
            let before = self.gaps();
            let connections = Arc::clone(&changes.borrow_and_update());
            let Some(node) = connections.nodes.get(turn % connections.nodes.len().max(1)) else {
                return;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                error = self.hear(node) => {
                    tracing::warn!(%error, "Lost the news of the other replicas");
                }
                Ok(()) = changes.changed() => {
                    attempt = 0;
                    continue;
                }
            }
            attempt = if self.gaps() == before {
                attempt + 1
            } else {
                0
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RECONNECT.delay(attempt, share())) => {}
            }
        }
    }

    /// Hears news from one node until its connection breaks; returns why.
    async fn hear(&self, node: &redis::Client) -> RedisError {
        let mut connection = match timeout(CONNECT, node.get_async_pubsub()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return error,
            Err(_) => return late(),
        };
        match timeout(CONNECT, connection.subscribe(NEWS)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(_) => return late(),
        }
        // Until here news were missed. Who looks after what it missed now misses nothing after.
        self.hub.gap();
        self.throttling
            .0
            .store(Throttling::UNKNOWN, Ordering::Relaxed);
        let (mut sink, mut messages) = connection.split();
        let mut probe = interval(PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.deliver(message.get_payload_bytes()),
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

    /// Hands on what another replica tells.
    fn deliver(&self, payload: &[u8]) {
        match serde_json::from_slice::<Envelope>(payload) {
            Ok(envelope) if envelope.origin == self.origin => {}
            Ok(envelope) => self.hub.tell(envelope.about),
            Err(error) => {
                // Of a newer version, perhaps: whatever it said is missed.
                tracing::warn!(%error, "Did not understand news of another replica");
                self.hub.gap();
            }
        }
    }

    /// Does a call's work within the bounds of every call.
    async fn within<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Result<T, Error> {
        let _permit = self
            .in_flight
            .try_acquire()
            .map_err(|_| Error("too many calls at once".to_owned()))?;
        match timeout(self.limit, work).await {
            Ok(answer) => answer.map_err(|error| Error(error.to_string())),
            Err(_) => Err(Error("no answer in time".to_owned())),
        }
    }

    /// Executes one command.
    async fn execute<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let pool = self.connections.borrow().pool.clone();
        match pool {
            Pool::Node(mut connection) => command.query_async(&mut connection).await,
            Pool::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }

    /// Executes one command within the bounds of a call.
    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.within(self.execute(command)).await
    }

    /// Runs a script, which is sent whole only to a server that does not know it.
    async fn run<T: FromRedisValue>(
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

    /// Whether the server has redis-cell.
    async fn has_cell(&self) -> RedisResult<bool> {
        match self.throttling.0.load(Ordering::Relaxed) {
            Throttling::SCRIPT => Ok(false),
            Throttling::CELL => Ok(true),
            _ => {
                let known: Vec<Value> = self
                    .execute(cmd("COMMAND").arg("INFO").arg("CL.THROTTLE"))
                    .await?;
                let cell = matches!(known.as_slice(), [Value::Array(about)] if !about.is_empty());
                let found = if cell {
                    Throttling::CELL
                } else {
                    Throttling::SCRIPT
                };
                self.throttling.0.store(found, Ordering::Relaxed);
                Ok(cell)
            }
        }
    }

    async fn count_attempt(&self, key: &Key, rate: Rate) -> RedisResult<Throttle> {
        let key = key.to_string();
        let (burst, period) = parts(rate);
        // Both answer the same five numbers: ours in microseconds, redis-cell in seconds.
        let (unit, answer): (i64, [i64; 5]) = if self.has_cell().await? {
            let (count, seconds) = per_seconds(period);
            let mut throttle = cmd("CL.THROTTLE");
            throttle.arg(key).arg(burst - 1).arg(count).arg(seconds);
            (1_000_000, self.execute(&throttle).await?)
        } else {
            let arguments = [period.to_string(), burst.to_string()];
            let arguments = [arguments[0].as_bytes(), arguments[1].as_bytes()];
            let script = &self.scripts.throttle;
            (1, self.run(script, &[&key], &arguments).await?)
        };
        let [limited, limit, remaining, retry_after, reset_after] = answer;
        Ok(Throttle {
            limited: limited != 0,
            limit: u32::try_from(limit).unwrap_or(burst),
            remaining: u32::try_from(remaining).unwrap_or(0),
            retry_after: span(retry_after.saturating_mul(unit)),
            reset_after: span(reset_after.saturating_mul(unit)),
        })
    }
}

#[async_trait]
impl Live for Valkey {
    async fn put(&self, key: &Key, value: &[u8], lifetime: Duration) -> Result<(), Error> {
        if value.len() > VALUE_LIMIT {
            return Err(Error::too_large());
        }
        let mut set = cmd("SET");
        set.arg(key.to_string()).arg(value);
        self.call(set.arg("PX").arg(millis(lifetime))).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.call(cmd("GET").arg(key.to_string())).await
    }

    async fn take(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.call(cmd("GETDEL").arg(key.to_string())).await
    }

    async fn forget(&self, key: &Key) -> Result<(), Error> {
        self.call(cmd("DEL").arg(key.to_string())).await
    }

    async fn once(&self, key: &Key, lifetime: Duration) -> Result<bool, Error> {
        let mut set = cmd("SET");
        set.arg(key.to_string()).arg(1).arg("NX");
        let first: Option<String> = self.call(set.arg("PX").arg(millis(lifetime))).await?;
        Ok(first.is_some())
    }

    async fn count(&self, key: &Key, window: Duration) -> Result<u32, Error> {
        let (key, window) = (key.to_string(), millis(window).to_string());
        let script = &self.scripts.count;
        let count: u64 = self
            .within(self.run(script, &[&key], &[window.as_bytes()]))
            .await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn uncount(&self, key: &Key) -> Result<(), Error> {
        let script = &self.scripts.uncount;
        self.within(self.run(script, &[&key.to_string()], &[]))
            .await
    }

    async fn throttle(&self, key: &Key, rate: Rate) -> Result<Throttle, Error> {
        self.within(self.count_attempt(key, rate)).await
    }

    async fn session(&self, player: PlayerId, session: SessionId) -> Result<Cached, Error> {
        let mut get = cmd("MGET");
        get.arg(Key::Session(player, session).to_string())
            .arg(Key::Mark(player).to_string());
        let (value, mark): (Option<Vec<u8>>, Option<u64>) = self.call(&get).await?;
        Ok(Cached {
            value,
            mark: mark.unwrap_or_default(),
        })
    }

    async fn put_session(
        &self,
        player: PlayerId,
        session: SessionId,
        mark: u64,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), Error> {
        if value.len() > VALUE_LIMIT {
            return Err(Error::too_large());
        }
        let keys = [
            Key::Session(player, session).to_string(),
            notes(player),
            Key::Mark(player).to_string(),
        ];
        let keys = keys.each_ref().map(String::as_str);
        let arguments = [
            millis(lifetime).to_string(),
            session.to_string(),
            mark.to_string(),
        ];
        let [lifetime, session, mark] = arguments.each_ref().map(String::as_bytes);
        let script = &self.scripts.put_session;
        self.within(self.run(script, &keys, &[value, lifetime, session, mark]))
            .await
    }

    async fn forget_sessions(
        &self,
        player: PlayerId,
        sessions: Option<&[SessionId]>,
    ) -> Result<(), Error> {
        if sessions.is_some_and(<[_]>::is_empty) {
            // The script takes none named for all.
            return Ok(());
        }
        let prefix = format!("session:{{{player}}}:");
        let lifetime = millis(MARK).to_string();
        let ids: Vec<String> = sessions
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        let arguments: Vec<&[u8]> = [&prefix, &lifetime]
            .into_iter()
            .chain(&ids)
            .map(String::as_bytes)
            .collect();
        let keys = [notes(player), Key::Mark(player).to_string()];
        let keys = keys.each_ref().map(String::as_str);
        let script = &self.scripts.forget_sessions;
        self.within(self.run(script, &keys, &arguments)).await
    }

    async fn publish(&self, news: &News) -> Result<(), Error> {
        // This replica hears it whatever becomes of the others.
        self.hub.tell(news.clone());
        let envelope = Envelope {
            origin: self.origin,
            about: news.clone(),
        };
        let envelope =
            serde_json::to_string(&envelope).map_err(|error| Error(error.to_string()))?;
        self.within(async {
            if let News::PlayerChanged {
                user_id, user_data, ..
            } = news
            {
                let update = serde_json::json!({ "user_id": user_id, "user_data": user_data });
                let mut publish = cmd("PUBLISH");
                publish.arg(USER_DATA_UPDATE).arg(update.to_string());
                let _: i64 = self.execute(&publish).await?;
            }
            let _: i64 = self.execute(cmd("PUBLISH").arg(NEWS).arg(envelope)).await?;
            Ok(())
        })
        .await
    }

    fn subscribe(&self) -> NewsReceiver {
        self.hub.subscribe()
    }

    async fn ping(&self) -> Result<(), Error> {
        let _: Value = self.call(&cmd("PING")).await?;
        Ok(())
    }
}

/// The key of a player's sessions: a sorted set, by their ends.
fn notes(player: PlayerId) -> String {
    format!("user:{{{player}}}:sessions")
}

/// A lifetime as the server takes it: at least a millisecond.
fn millis(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.min(LIFETIME).as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// One in a period as so many in whole seconds.
fn per_seconds(period: i64) -> (i64, i64) {
    let (mut divisor, mut rest) = (1_000_000, period);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (1_000_000 / divisor, period / divisor)
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_decide() {
        let bad = Config::new(vec!["http://host".to_owned()]);
        assert!(Valkey::new(&bad).is_err());
        assert!(Valkey::new(&Config::new(Vec::new())).is_err());
    }

    #[test]
    fn lifetimes_fit_the_server() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(millis(Duration::MAX), 315_360_000_000);
    }

    proptest! {
        #[test]
        fn redis_cell_gets_the_same_rate(period in 1_i64..86_400_000_000) {
            let (count, seconds) = per_seconds(period);
            prop_assert_eq!(count * period, seconds * 1_000_000);
        }
    }
}
