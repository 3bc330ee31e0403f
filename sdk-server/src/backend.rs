//! What both front doors, gRPC and REST, ask for, and who may answer.
//!
//! The front doors translate; [`Api`] checks the input; a [`Backend`] acts: the hub's
//! ([`crate::remote::Remote`]) or the local one ([`crate::local::Local`]).

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use proto::Uuid;
use proto::agones::dev::sdk::GameServer;
use proto::muster::sdk::v1::end_match_request::Next;
use proto::muster::sdk::v1::{GetConnectKeyResponse, WatchMatchResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::validate;

/// How many watches may be open at once; a game server has one or two.
const MAX_WATCHERS: usize = 64;

/// One change that a game server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Ready,
    Allocate,
    Shutdown,
    /// 0 seconds: until another state is asked for.
    Reserve {
        seconds: i64,
    },
    SetLabel {
        key: String,
        value: String,
    },
    SetAnnotation {
        key: String,
        value: String,
    },
    PlayerJoined {
        player_id: Uuid,
    },
    PlayerLeft {
        player_id: Uuid,
    },
    EndMatch {
        /// 16 bytes.
        match_id: Vec<u8>,
        /// JSON.
        result: String,
        next: Next,
    },
}

/// For logs: without values, which may be long or confidential.
impl std::fmt::Display for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => formatter.write_str("Ready"),
            Self::Allocate => formatter.write_str("Allocate"),
            Self::Shutdown => formatter.write_str("Shutdown"),
            Self::Reserve { seconds } => write!(formatter, "Reserve({seconds})"),
            Self::SetLabel { key, .. } => write!(formatter, "SetLabel({key})"),
            Self::SetAnnotation { key, .. } => write!(formatter, "SetAnnotation({key})"),
            Self::PlayerJoined { player_id } => write!(formatter, "PlayerJoined({player_id})"),
            Self::PlayerLeft { player_id } => write!(formatter, "PlayerLeft({player_id})"),
            Self::EndMatch { next, .. } => write!(formatter, "EndMatch({})", next.as_str_name()),
        }
    }
}

/// Answers the SDK's calls.
#[tonic::async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    /// Returns when the change is committed, or kept for later within a bounded time.
    async fn call(&self, call: Call) -> Result<(), Status>;

    /// Takes one health ping.
    fn ping(&self);

    /// Returns the game server as last seen.
    async fn game_server(&self) -> Result<Arc<GameServer>, Status>;

    /// Starts a watch: first the current object, then each change.
    fn watch(&self) -> Result<Watch, Status>;

    /// Begins a life of the game's process, and returns its keys.
    async fn connect_key(&self) -> Result<GetConnectKeyResponse, Status>;

    /// Starts a watch of the match: first as it is now, then each change.
    fn watch_match(&self) -> Result<Watch<WatchMatchResponse>, Status>;
}

/// The checked way to a backend.
#[derive(Clone)]
pub(crate) struct Api(Arc<dyn Backend>);

impl Api {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self(backend)
    }

    pub(crate) async fn call(&self, call: Call) -> Result<(), Status> {
        validate::call(&call).map_err(Status::invalid_argument)?;
        self.0.call(call).await
    }

    pub(crate) fn ping(&self) {
        self.0.ping();
    }

    pub(crate) async fn game_server(&self) -> Result<Arc<GameServer>, Status> {
        self.0.game_server().await
    }

    pub(crate) fn watch(&self) -> Result<Watch, Status> {
        self.0.watch()
    }

    pub(crate) async fn connect_key(&self) -> Result<GetConnectKeyResponse, Status> {
        self.0.connect_key().await
    }

    pub(crate) fn watch_match(&self) -> Result<Watch<WatchMatchResponse>, Status> {
        self.0.watch_match()
    }
}

/// The latest object, or a part of it, and those who watch it.
///
/// Each watcher holds at most one object that it has not seen yet: a slow one skips to the newest.
pub(crate) struct Watched<T = GameServer> {
    latest: watch::Sender<Option<Arc<T>>>,
    seats: Arc<Semaphore>,
    closing: CancellationToken,
}

impl<T: PartialEq> Watched<T> {
    /// `closing` ends every watch.
    pub(crate) fn new(closing: CancellationToken) -> Self {
        Self {
            latest: watch::Sender::new(None),
            seats: Arc::new(Semaphore::new(MAX_WATCHERS)),
            closing,
        }
    }

    /// Publishes `object` unless it is what the watchers have already.
    pub(crate) fn publish(&self, object: T) {
        self.latest.send_if_modified(|latest| {
            if latest.as_deref() == Some(&object) {
                return false;
            }
            *latest = Some(Arc::new(object));
            true
        });
    }

    /// Publishes `object` even if it is what the watchers have already.
    pub(crate) fn announce(&self, object: T) {
        self.latest.send_replace(Some(Arc::new(object)));
    }

    pub(crate) fn latest(&self) -> Option<Arc<T>> {
        self.latest.borrow().clone()
    }

    /// Waits for an object.
    pub(crate) async fn first(&self) -> Option<Arc<T>> {
        let mut receiver = self.latest.subscribe();
        receiver.wait_for(Option::is_some).await.ok()?.clone()
    }

    pub(crate) fn watch(&self) -> Result<Watch<T>, Status> {
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{MAX_WATCHERS} watches are open already; close one first"
            )));
        };
        let mut receiver = self.latest.subscribe();
        // The current object counts as unseen, so that it comes first.
        receiver.mark_changed();
        Ok(Watch {
            receiver,
            closing: self.closing.clone(),
            _seat: seat,
        })
    }
}

/// One open watch.
pub(crate) struct Watch<T = GameServer> {
    receiver: watch::Receiver<Option<Arc<T>>>,
    closing: CancellationToken,
    _seat: OwnedSemaphorePermit,
}

impl<T: Send + Sync + 'static> Watch<T> {
    /// Returns the next object, or `None` when this process ends.
    pub(crate) async fn next(&mut self) -> Option<Arc<T>> {
        loop {
            tokio::select! {
                () = self.closing.cancelled() => return None,
                changed = self.receiver.changed() => changed.ok()?,
            }
            let latest = self.receiver.borrow_and_update().clone();
            if latest.is_some() {
                return latest;
            }
        }
    }

    pub(crate) fn into_stream(self) -> Pin<Box<dyn Stream<Item = Arc<T>> + Send>> {
        Box::pin(futures::stream::unfold(self, async |mut watch| {
            let object = watch.next().await?;
            Some((object, watch))
        }))
    }
}
