//! The live state in Valkey (or Redis 7), reached by a [`Client`]; news come over its second
//! connection, which [`Valkey::listen`] holds.
//!
//! Every call ends within the time limit: what it did is unknown when it fails.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::{RedisResult, Value, cmd};
use serde::{Deserialize, Serialize};
use storage::valkey::{Client, Config, Listener, Nodes, Script};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::gcra::{parts, span};
use super::hub::Hub;
use super::{
    Cached, Error, Key, Live, MARK, News, NewsReceiver, Rate, Throttle, VALUE_LIMIT, too_large,
};
use crate::ids::{PlayerId, SessionId};

/// Where replicas tell each other news.
pub const NEWS: &str = "muster:auth:news";

/// Where everybody else hears of changed players: `{"user_id", "user_data"}`.
pub const USER_DATA_UPDATE: &str = "user_data_update";

/// Nothing lives longer; the server refuses what is beyond its clock.
const LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// The live state in Valkey.
#[derive(Debug)]
pub struct Valkey {
    client: Client,
    scripts: Scripts,
    throttling: Throttling,
    hub: Hub,
    /// Tells this replica's own news, which come back, from others'.
    origin: Uuid,
}

/// What takes more than one command, and lets nothing come between.
#[derive(Debug)]
struct Scripts {
    throttle: Script,
    count: Script,
    uncount: Script,
    put_session: Script,
    forget_sessions: Script,
}

/// What counts rates; looked up anew whenever the server may be another one.
#[derive(Debug, Default)]
struct Throttling(AtomicU8);

impl Throttling {
    const UNKNOWN: u8 = 0;
    const SCRIPT: u8 = 1;
    /// The module redis-cell.
    const CELL: u8 = 2;

    fn forget(&self) {
        self.0.store(Self::UNKNOWN, Ordering::Relaxed);
    }
}

/// What travels on [`NEWS`].
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    origin: Uuid,
    about: News,
}

impl Valkey {
    /// Connects when it is first called, inside a tokio runtime; fails for bad addresses alone.
    pub fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(config)?,
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
        self.client.renew(nodes)?;
        // It may be another server.
        self.throttling.forget();
        Ok(())
    }

    /// Hears news until it is stopped. Without it, only this replica's own news are heard.
    pub async fn listen(&self, stop: &CancellationToken) {
        self.client.listen(&[NEWS], self, stop).await;
    }

    /// Whether the server has redis-cell.
    async fn has_cell(&self) -> RedisResult<bool> {
        match self.throttling.0.load(Ordering::Relaxed) {
            Throttling::SCRIPT => Ok(false),
            Throttling::CELL => Ok(true),
            _ => {
                let known: Vec<Value> = self
                    .client
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
            (1_000_000, self.client.execute(&throttle).await?)
        } else {
            let arguments = [period.to_string(), burst.to_string()];
            let arguments = [arguments[0].as_bytes(), arguments[1].as_bytes()];
            let script = &self.scripts.throttle;
            (1, self.client.run(script, &[&key], &arguments).await?)
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

impl Listener for Valkey {
    fn connected(&self) {
        self.hub.gap();
        // It may be another server.
        self.throttling.forget();
    }

    /// Hands on what another replica tells.
    fn message(&self, payload: &[u8]) {
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
}

#[async_trait]
impl Live for Valkey {
    async fn put(&self, key: &Key, value: &[u8], lifetime: Duration) -> Result<(), Error> {
        if value.len() > VALUE_LIMIT {
            return Err(too_large());
        }
        let mut set = cmd("SET");
        set.arg(key.to_string()).arg(value);
        self.client.call(set.arg("PX").arg(millis(lifetime))).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.client.call(cmd("GET").arg(key.to_string())).await
    }

    async fn take(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.client.call(cmd("GETDEL").arg(key.to_string())).await
    }

    async fn forget(&self, key: &Key) -> Result<(), Error> {
        self.client.call(cmd("DEL").arg(key.to_string())).await
    }

    async fn once(&self, key: &Key, lifetime: Duration) -> Result<bool, Error> {
        let mut set = cmd("SET");
        set.arg(key.to_string()).arg(1).arg("NX");
        let first: Option<String> = self
            .client
            .call(set.arg("PX").arg(millis(lifetime)))
            .await?;
        Ok(first.is_some())
    }

    async fn count(&self, key: &Key, window: Duration) -> Result<u32, Error> {
        let (key, window) = (key.to_string(), millis(window).to_string());
        let script = &self.scripts.count;
        let count: u64 = self
            .client
            .within(self.client.run(script, &[&key], &[window.as_bytes()]))
            .await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn uncount(&self, key: &Key) -> Result<(), Error> {
        let script = &self.scripts.uncount;
        self.client
            .within(self.client.run(script, &[&key.to_string()], &[]))
            .await
    }

    async fn throttle(&self, key: &Key, rate: Rate) -> Result<Throttle, Error> {
        self.client.within(self.count_attempt(key, rate)).await
    }

    async fn session(&self, player: PlayerId, session: SessionId) -> Result<Cached, Error> {
        let mut get = cmd("MGET");
        get.arg(Key::Session(player, session).to_string())
            .arg(Key::Mark(player).to_string());
        let (value, mark): (Option<Vec<u8>>, Option<u64>) = self.client.call(&get).await?;
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
            return Err(too_large());
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
        self.client
            .within(
                self.client
                    .run(script, &keys, &[value, lifetime, session, mark]),
            )
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
        self.client
            .within(self.client.run(script, &keys, &arguments))
            .await
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
        self.client
            .within(async {
                if let News::PlayerChanged {
                    user_id, user_data, ..
                } = news
                {
                    let update = serde_json::json!({ "user_id": user_id, "user_data": user_data });
                    let mut publish = cmd("PUBLISH");
                    publish.arg(USER_DATA_UPDATE).arg(update.to_string());
                    let _: i64 = self.client.execute(&publish).await?;
                }
                let _: i64 = self
                    .client
                    .execute(cmd("PUBLISH").arg(NEWS).arg(envelope))
                    .await?;
                Ok(())
            })
            .await
    }

    fn subscribe(&self) -> NewsReceiver {
        self.hub.subscribe()
    }

    async fn ping(&self) -> Result<(), Error> {
        let _: Value = self.client.call(&cmd("PING")).await?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
