//! The live sessions of Valkey: `session:*` and `user:*:sessions`, each with the end of its life.
//!
//! A value travels as the server's own `DUMP`, so that nothing here depends on how sessions are
//! laid out; it has a checksum and a version of its own, and is put back by `RESTORE`. Everything
//! else in Valkey lives for seconds or minutes, or only counts, and is not saved.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, cmd, from_redis_value};
use serde::{Deserialize, Serialize};
use storage::valkey::Nodes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::Error;
use super::archive::Sink;
use crate::ids::{PlayerId, SessionId};
use crate::store;

/// What is saved.
const PATTERNS: [&str; 2] = ["session:*", "user:*:sessions"];

/// The server looks at so many keys for one answer.
const SCAN: u32 = 500;

/// So many commands are on their way at once.
const AT_ONCE: usize = 64;

/// A longer line is no line of ours.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// How long the server may take to one command.
const COMMAND: Duration = Duration::from_secs(5);

/// Whether a session is still live, for whoever puts it back.
pub type Keep<'a> =
    &'a (dyn Fn(PlayerId, SessionId) -> BoxFuture<'static, Result<bool, store::Error>> + Sync);

/// Valkey, one node or a cluster.
#[derive(Clone)]
pub struct Valkey {
    nodes: Nodes,
    most_keys: u64,
    limit: Duration,
}

impl std::fmt::Debug for Valkey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Valkey")
            .field("nodes", &self.nodes)
            .field("most_keys", &self.most_keys)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What became of saved keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Put back, with the rest of their life.
    pub restored: u64,
    /// Their life was over.
    pub expired: u64,
    /// The session was ended since.
    pub ended: u64,
    /// Valkey has a newer one.
    pub present: u64,
}

/// A key as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    /// The end of its life, in milliseconds since 1970.
    expires: Option<i64>,
    /// What `DUMP` said.
    dump: String,
}

/// What became of one key.
enum Fate {
    Restored,
    Expired,
    Ended,
    Present,
}

/// A connection to one node or to a cluster.
#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Asks one node of a cluster, or whichever has the key.
    async fn ask<T: FromRedisValue>(
        &mut self,
        node: Option<&SingleNodeRoutingInfo>,
        command: Cmd,
    ) -> Result<T, Error> {
        match (self, node) {
            (Self::Cluster(connection), Some(node)) => {
                let routing = RoutingInfo::SingleNode(node.clone());
                let value = connection.route_command(command, routing).await?;
                Ok(from_redis_value(value).map_err(redis::RedisError::from)?)
            }
            (Self::Cluster(connection), None) => Ok(command.query_async(connection).await?),
            (Self::One(connection), _) => Ok(command.query_async(connection).await?),
        }
    }
}

/// The session of `session:{<player>}:<session>`.
fn session(key: &str) -> Option<(PlayerId, SessionId)> {
    let (player, session) = key.strip_prefix("session:{")?.split_once("}:")?;
    Some((player.parse().ok()?, session.parse().ok()?))
}

/// The primaries among the lines of `CLUSTER NODES`:
/// `<id> <host>:<port>@<bus port>[,<name>] <flags> ...`.
///
/// None when one does not know its own address yet: its sessions would be left out.
fn primaries(nodes: &str) -> Option<Vec<SingleNodeRoutingInfo>> {
    let is_primary = |line: &&str| {
        let flags = line.split(' ').nth(2).unwrap_or_default();
        let has = |flag: &str| flags.split(',').any(|its| its == flag);
        has("master") && !has("fail") && !has("noaddr") && !has("handshake")
    };
    let address = |line: &str| {
        let address = line.split(' ').nth(1)?.split('@').next()?;
        let (host, port) = address.rsplit_once(':')?;
        (!host.is_empty()).then_some(SingleNodeRoutingInfo::ByAddress {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    };
    nodes.lines().filter(is_primary).map(address).collect()
}

impl Valkey {
    /// Valkey by its nodes. More than `most_keys` are not saved, and the whole takes no longer than
    /// `limit`.
    pub fn new(nodes: impl Into<Nodes>, most_keys: u64, limit: Duration) -> Result<Self, Error> {
        let nodes = nodes.into();
        if nodes.is_empty() {
            return Err(Error::Invalid("Valkey's URL", "there is none".into()));
        }
        Ok(Self {
            nodes,
            most_keys,
            limit,
        })
    }

    async fn connect(&self) -> Result<Connection, Error> {
        if let [node] = self.nodes.clients()?.as_slice() {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(COMMAND))
                .set_response_timeout(Some(COMMAND));
            let connection = node.get_multiplexed_async_connection_with_config(&config);
            return Ok(Connection::One(connection.await?));
        }
        let client = self
            .nodes
            .cluster()?
            .connection_timeout(COMMAND)
            .response_timeout(COMMAND)
            .build()?;
        Ok(Connection::Cluster(client.get_async_connection().await?))
    }

    /// Saves every session; returns how many keys.
    pub(super) async fn export(&self, sink: &mut Sink) -> Result<u64, Error> {
        tokio::time::timeout(self.limit, self.export_all(sink))
            .await
            .map_err(|_elapsed| Error::TimeLimit(self.limit))?
    }

    async fn export_all(&self, sink: &mut Sink) -> Result<u64, Error> {
        let mut connection = self.connect().await?;
        let nodes = match &connection {
            Connection::One(_) => vec![None],
            Connection::Cluster(_) => {
                let mut nodes = cmd("CLUSTER");
                nodes.arg("NODES");
                let any = SingleNodeRoutingInfo::Random;
                let nodes: String = connection.ask(Some(&any), nodes).await?;
                let nodes = primaries(&nodes).ok_or_else(|| {
                    Error::Invalid("the cluster", "a node does not know its address".into())
                })?;
                nodes.into_iter().map(Some).collect()
            }
        };
        let mut count = 0;
        for node in &nodes {
            for pattern in PATTERNS {
                let mut cursor: u64 = 0;
                loop {
                    let mut scan = cmd("SCAN");
                    scan.arg(cursor)
                        .arg("MATCH")
                        .arg(pattern)
                        .arg("COUNT")
                        .arg(SCAN);
                    let (next, keys): (u64, Vec<String>) =
                        connection.ask(node.as_ref(), scan).await?;
                    let lines: Vec<Option<Line>> = stream::iter(keys)
                        .map(|key| read(connection.clone(), key))
                        .buffer_unordered(AT_ONCE)
                        .try_collect()
                        .await?;
                    for line in lines.into_iter().flatten() {
                        count += 1;
                        if count > self.most_keys {
                            return Err(Error::TooMuch(self.most_keys, "sessions"));
                        }
                        let mut text = serde_json::to_vec(&line)
                            .map_err(|error| Error::Manifest(error.to_string()))?;
                        text.push(b'\n');
                        sink.write(&text).await?;
                    }
                    cursor = next;
                    if cursor == 0 {
                        break;
                    }
                }
            }
        }
        Ok(count)
    }

    /// Puts back what was saved and is still live.
    pub(super) async fn import(
        &self,
        now: Timestamp,
        lines: &mut (impl AsyncBufRead + Unpin),
        keep: Keep<'_>,
    ) -> Result<Imported, Error> {
        tokio::time::timeout(self.limit, self.import_all(now, lines, keep))
            .await
            .map_err(|_elapsed| Error::TimeLimit(self.limit))?
    }

    async fn import_all(
        &self,
        now: Timestamp,
        lines: &mut (impl AsyncBufRead + Unpin),
        keep: Keep<'_>,
    ) -> Result<Imported, Error> {
        let connection = self.connect().await?;
        let mut imported = Imported::default();
        loop {
            let mut batch = Vec::new();
            while batch.len() < AT_ONCE {
                match next_line(lines).await? {
                    Some(line) => batch.push(line),
                    None => break,
                }
            }
            if batch.is_empty() {
                return Ok(imported);
            }
            let fates = stream::iter(batch)
                .map(|line| put_back(connection.clone(), now, line, keep))
                .buffer_unordered(AT_ONCE);
            let fates: Vec<Fate> = fates.try_collect().await?;
            for fate in fates {
                let count = match fate {
                    Fate::Restored => &mut imported.restored,
                    Fate::Expired => &mut imported.expired,
                    Fate::Ended => &mut imported.ended,
                    Fate::Present => &mut imported.present,
                };
                *count += 1;
            }
        }
    }
}

/// A key with its value; none when it is gone meanwhile.
async fn read(mut connection: Connection, key: String) -> Result<Option<Line>, Error> {
    let mut expires = cmd("PEXPIRETIME");
    expires.arg(&key);
    let expires: i64 = connection.ask(None, expires).await?;
    let mut dump = cmd("DUMP");
    dump.arg(&key);
    let dump: Option<Vec<u8>> = connection.ask(None, dump).await?;
    // -1: it has no end; -2: it is gone.
    Ok(dump.filter(|_| expires != -2).map(|dump| Line {
        key,
        expires: (expires >= 0).then_some(expires),
        dump: STANDARD.encode(dump),
    }))
}

async fn next_line(lines: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Line>, Error> {
    let mut text = String::new();
    let read = lines.take(LONGEST_LINE).read_line(&mut text).await;
    match read {
        Ok(0) => Ok(None),
        Ok(_) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Error::Manifest(error.to_string())),
        Err(error) => Err(Error::Io("the saved sessions", error)),
    }
}

async fn put_back(
    mut connection: Connection,
    now: Timestamp,
    line: Line,
    keep: Keep<'_>,
) -> Result<Fate, Error> {
    if line
        .expires
        .is_some_and(|expires| expires <= now.as_millisecond())
    {
        return Ok(Fate::Expired);
    }
    if let Some((player, session)) = session(&line.key)
        && !keep(player, session).await?
    {
        return Ok(Fate::Ended);
    }
    let dump = STANDARD
        .decode(&line.dump)
        .map_err(|error| Error::Manifest(error.to_string()))?;
    let mut restore = cmd("RESTORE");
    restore
        .arg(&line.key)
        .arg(line.expires.unwrap_or(0))
        .arg(dump);
    if line.expires.is_some() {
        restore.arg("ABSTTL");
    }
    match connection.ask::<()>(None, restore).await {
        Ok(()) => Ok(Fate::Restored),
        Err(Error::Valkey(error)) if error.code() == Some("BUSYKEY") => Ok(Fate::Present),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primaries_of_a_cluster_are_found() {
        let nodes = "\
            07c3 127.0.0.1:30004@31004,host4 slave e7d1 0 1426238317239 4 connected\n\
            67ed 127.0.0.1:30002@31002,host2 master - 0 1426238316232 2 connected 5461-10922\n\
            292f ::1:30003@31003 master,fail - 0 1426238318243 3 connected 10923-16383\n\
            e7d1 10.0.0.7:30001@31001 myself,master - 0 0 1 connected 0-5460\n";
        let by_address = |host: &str, port| SingleNodeRoutingInfo::ByAddress {
            host: host.into(),
            port,
        };
        let expected = [
            by_address("127.0.0.1", 30_002),
            by_address("10.0.0.7", 30_001),
        ];
        assert_eq!(primaries(nodes), Some(expected.to_vec()));
        let homeless = ":30001@31001 myself,master - 0 0 1 connected 0-5460";
        assert_eq!(primaries(&format!("e7d1 {homeless}")), None);
    }

    #[test]
    fn the_session_of_a_key_is_known() {
        let player = "0198c0de-0000-7000-8000-000000000001";
        let id = "0198c0de-0000-7000-8000-000000000002";
        let known = session(&format!("session:{{{player}}}:{id}")).unwrap();
        assert_eq!(
            (known.0.to_string(), known.1.to_string()),
            (player.into(), id.into())
        );
        assert_eq!(session(&format!("user:{{{player}}}:sessions")), None);
        assert_eq!(session("session:{x}:y"), None);
    }
}
