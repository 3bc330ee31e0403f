//! What a call means. Sockets and HTTP only translate to it.
//!
//! Each area has its own file: `rooms`, `queues`, `matches`, `chat`, `presence`, `profile` (latencies
//! and attributes). `calls` leads a [`Call`](proto::muster::lobby::v1::Call) to them.

pub mod calls;
pub mod chat;
pub mod matches;
pub mod presence;
pub mod profile;
pub mod queues;
pub mod rooms;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use access::Verifier;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

use self::presence::Presences;
use crate::accounts::Accounts;
use crate::chat::moderation::Moderator;
use crate::config::Settings;
use crate::error::Failure;
use crate::ids::{PlayerId, SessionId};
use crate::live::{Channel, Live};
use crate::matchmaking::Queue;
use crate::metrics::Metrics;
use crate::servers::Servers;
use crate::sessions::Sessions;
use crate::sessions::notice::Notice;
use crate::store::Store;

/// Everything that calls need.
#[derive(Debug)]
pub struct Parts {
    /// Names this lobby among its replicas.
    pub replica: Uuid,
    /// Limits and times.
    pub settings: Settings,
    /// Queues by name.
    pub queues: BTreeMap<String, Queue>,
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// What must not be lost.
    pub store: Arc<dyn Store>,
    /// What must be quick.
    pub live: Arc<dyn Live>,
    /// Game servers.
    pub servers: Arc<dyn Servers>,
    /// Auth.
    pub accounts: Arc<dyn Accounts>,
    /// Judges what players write.
    pub moderator: Moderator,
    /// Sockets of this process.
    pub sessions: Sessions,
    /// Numbers for operators.
    pub metrics: Metrics,
}

/// The lobby. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Service {
    parts: Arc<Parts>,
    desk: Arc<queues::Desk>,
    presences: Presences,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The player.
    pub player: PlayerId,
    /// The session of the access token: `session_key` for game servers.
    pub session: SessionId,
    /// What the player may do.
    pub roles: Vec<String>,
}

impl Caller {
    /// Whether the player moderates chat.
    pub fn is_moderator(&self) -> bool {
        self.roles.iter().any(|role| role == "moderator")
    }
}

impl Service {
    /// The lobby with these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            desk: Arc::default(),
            presences: Presences::default(),
        }
    }

    /// Its parts.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What this lobby knows about queues.
    pub fn desk(&self) -> &queues::Desk {
        &self.desk
    }

    /// Tells players something, wherever their sockets are. Who has no socket does not hear it; nor,
    /// seldom, who has one while the live state fails: their next `State` says what is so.
    pub fn tell<'a>(
        &'a self,
        players: impl IntoIterator<Item = PlayerId>,
        event: &'a wire::event::Event,
    ) -> BoxFuture<'a, ()> {
        // A future that held the iterator could be spawned only where its closures are known.
        let players: Vec<PlayerId> = players.into_iter().collect();
        async move {
            for player in players {
                self.announce(&Channel::Player(player), event).await;
            }
        }
        .boxed()
    }

    /// Tells whoever hears a channel.
    pub async fn announce(&self, channel: &Channel, event: &wire::event::Event) {
        let bytes = Notice::Event(wire::Event {
            event: Some(event.clone()),
        })
        .encode();
        if let Err(error) = self.parts.live.publish(channel, &bytes).await {
            tracing::warn!(%error, %channel, "Nobody could be told");
        }
    }
}

/// A time as it is on the wire.
pub fn timestamp(at: Timestamp) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// A span of time as it is on the wire.
pub fn duration(span: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

/// A player by the text of a field.
pub fn player(field: &'static str, text: &str) -> Result<PlayerId, Failure> {
    text.parse()
        .map_err(|_| Failure::field(field, "must be a UUID"))
}
