//! The backend without a cluster: a made-up game server, or one from a file.
//!
//! Behaves as Agones' local SDK server: changes are done at once and every watcher sees them,
//! nothing is refused because of the state, health is only logged.
//!
//! Connect keys are random, new with each call, and known to nobody else: no token opens with them,
//! so a game without a cluster lets players in without tokens. The match is the one that the file
//! of the object names in its annotation `muster.dev/match`, while the state is Allocated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::agones::dev::sdk::{GameServer, game_server};
use proto::muster::sdk::v1::end_match_request::Next;
use proto::muster::sdk::v1::{ConnectKey, GetConnectKeyResponse, WatchMatchResponse};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::backend::{Backend, Call, Watch, Watched};
use crate::config::LocalConfig;
use crate::conformance::{Mismatch, Recorder};
use crate::matches;
use crate::random;
use crate::state::BootId;
use crate::validate::METADATA_PREFIX;

pub(crate) mod file;
#[cfg(test)]
mod tests;

/// See the module's description.
pub(crate) struct Local {
    inner: Mutex<Inner>,
    watched: Watched,
    matches: Watched<WatchMatchResponse>,
    /// When the running reservation ends.
    reservation: watch::Sender<Option<Instant>>,
}

struct Inner {
    object: GameServer,
    /// In a conformance test.
    recorder: Option<Recorder>,
}

impl Local {
    /// Serves `object`, or a made-up one. `now` is in seconds since the Unix epoch.
    pub(crate) fn new(
        config: &LocalConfig,
        object: Option<GameServer>,
        now: i64,
        closing: CancellationToken,
    ) -> Self {
        let mut object = object.unwrap_or_else(|| made_up(now));
        let recorder = config.expected.clone().map(|expected| {
            // Clients prove by the UID that they have read the object.
            let uid = (random::number() >> 1).to_string();
            object.object_meta.get_or_insert_default().uid = uid;
            Recorder::new(expected)
        });
        let local = Self {
            watched: Watched::new(closing.clone()),
            matches: Watched::new(closing),
            reservation: watch::Sender::new(None),
            inner: Mutex::new(Inner { object, recorder }),
        };
        local.announce(&local.inner());
        local
    }

    fn announce(&self, inner: &Inner) {
        let object = &inner.object;
        let text = matches::annotation(object, matches::MATCH_ANNOTATION).unwrap_or_default();
        self.matches.publish(matches::current(text, object));
        self.watched.announce(object.clone());
    }

    /// Replaces the object, as after a change of its file.
    pub(crate) fn replace(&self, object: GameServer) {
        let mut inner = self.inner();
        inner.object = object;
        self.announce(&inner);
    }

    /// Returns to Ready at the end of each reservation.
    pub(crate) async fn watch_reservation(&self) {
        let mut reservation = self.reservation.subscribe();
        loop {
            let until = *reservation.borrow_and_update();
            tokio::select! {
                changed = reservation.changed() => if changed.is_err() { return },
                () = sleep_until(until) => {
                    tracing::info!("Reservation is over, returning to Ready");
                    self.apply(Call::Ready);
                }
            }
        }
    }

    /// Compares the calls that came with the expected ones; fine outside of a conformance test.
    pub(crate) fn compare(&self) -> Result<(), Mismatch> {
        self.inner()
            .recorder
            .as_ref()
            .map_or(Ok(()), Recorder::compare)
    }

    fn apply(&self, call: Call) {
        let mut inner = self.inner();
        inner.record_call(&call);
        let object = &mut inner.object;
        let meta = object.object_meta.get_or_insert_default();
        match call {
            Call::SetLabel { key, value } => {
                meta.labels.insert(format!("{METADATA_PREFIX}{key}"), value);
            }
            Call::SetAnnotation { key, value } => {
                meta.annotations
                    .insert(format!("{METADATA_PREFIX}{key}"), value);
            }
            Call::Ready => self.set_state(object, "Ready", None),
            Call::Allocate => self.set_state(object, "Allocated", None),
            Call::Shutdown => self.set_state(object, "Shutdown", None),
            Call::Reserve { seconds } => {
                let duration = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
                // A time too far to express is as good as none.
                let until = duration
                    .and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
                self.set_state(object, "Reserved", until);
            }
            Call::PlayerJoined { .. } | Call::PlayerLeft { .. } => {}
            Call::EndMatch { next, .. } => {
                let state = match next {
                    Next::Ready => "Ready",
                    Next::Shutdown | Next::Unspecified => "Shutdown",
                };
                self.set_state(object, state, None);
            }
        }
        self.announce(&inner);
        tracing::info!("Gameserver update received");
    }

    fn set_state(&self, object: &mut GameServer, state: &str, reserved_until: Option<Instant>) {
        object.status.get_or_insert_default().state = state.into();
        self.reservation.send_replace(reserved_until);
    }

    fn record(&self, name: &'static str) {
        if let Some(recorder) = &mut self.inner().recorder {
            recorder.record(name);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn record_call(&mut self, call: &Call) {
        let meta = self.object.object_meta.get_or_insert_default();
        if let Some(recorder) = &mut self.recorder {
            recorder.record_call(call, meta.creation_timestamp, &meta.uid);
        }
    }
}

#[tonic::async_trait]
impl Backend for Local {
    async fn call(&self, call: Call) -> Result<(), Status> {
        match &call {
            Call::Ready => tracing::info!("Ready request has been received!"),
            Call::Allocate => tracing::info!("Allocate request has been received!"),
            Call::Shutdown => tracing::info!("Shutdown request has been received!"),
            Call::Reserve { seconds } => {
                tracing::info!(seconds, "Reserve request has been received!");
            }
            Call::SetLabel { key, value } => tracing::info!(key, value, "Setting label"),
            Call::SetAnnotation { key, value } => tracing::info!(key, value, "Setting annotation"),
            Call::PlayerJoined { player_id } => tracing::info!(%player_id, "Player has joined"),
            Call::PlayerLeft { player_id } => tracing::info!(%player_id, "Player has left"),
            Call::EndMatch { result, next, .. } => {
                tracing::info!(result, next = next.as_str_name(), "Match is over");
            }
        }
        self.apply(call);
        Ok(())
    }

    fn ping(&self) {
        tracing::info!("Health Ping Received!");
        self.record("health");
    }

    async fn game_server(&self) -> Result<Arc<GameServer>, Status> {
        tracing::info!("Getting GameServer details");
        self.record("gameserver");
        Ok(Arc::new(self.inner().object.clone()))
    }

    fn watch(&self) -> Result<Watch, Status> {
        tracing::info!("Connected to watch GameServer...");
        self.record("watch");
        self.watched.watch()
    }

    async fn connect_key(&self) -> Result<GetConnectKeyResponse, Status> {
        tracing::info!("Made up a connect key: no token opens with it");
        let key: [u8; 32] = random::secret()?;
        let boot_id: BootId = random::secret()?;
        Ok(GetConnectKeyResponse {
            keys: vec![ConnectKey {
                version: 1,
                key: key.to_vec(),
            }],
            boot_id: boot_id.to_vec(),
        })
    }

    fn watch_match(&self) -> Result<Watch<WatchMatchResponse>, Status> {
        self.matches.watch()
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The object of Agones' local SDK server.
fn made_up(now: i64) -> GameServer {
    let text = str::to_owned;
    GameServer {
        object_meta: Some(game_server::ObjectMeta {
            name: text("local"),
            namespace: text("default"),
            uid: text("1234"),
            resource_version: text("v1"),
            generation: 1,
            creation_timestamp: now,
            deletion_timestamp: 0,
            annotations: [(text("annotation"), text("true"))].into(),
            labels: [(text("islocal"), text("true"))].into(),
        }),
        spec: Some(game_server::Spec {
            health: Some(game_server::spec::Health {
                disabled: false,
                period_seconds: 3,
                failure_threshold: 5,
                initial_delay_seconds: 10,
            }),
        }),
        status: Some(game_server::Status {
            state: text("Ready"),
            address: text("127.0.0.1"),
            ports: vec![game_server::status::Port {
                name: text("default"),
                port: 7777,
            }],
            players: None,
            counters: [(
                text("rooms"),
                game_server::status::CounterStatus {
                    count: 1,
                    capacity: 10,
                },
            )]
            .into(),
            lists: [(
                text("players"),
                game_server::status::ListStatus {
                    capacity: 100,
                    values: ["test0", "test1", "test2"].map(text).into(),
                },
            )]
            .into(),
            addresses: Vec::new(),
        }),
    }
}
