//! The backend of a game server in a cluster: everything is committed by the operator's hub.
//!
//! This is the shell around [`Core`] (what is asked for and known) and [`Health`]; the stream
//! itself is [`crate::hub`]'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::agones::dev::sdk::GameServer;
use proto::muster::hub::v1::{Ack, Change, ConnectKeys, KeyRequest, Snapshot};
use proto::muster::sdk::v1::{ConnectKey, GetConnectKeyResponse, WatchMatchResponse};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::backend::{Backend, Call, Watch, Watched};
use crate::health::{Health, Settings};
use crate::random;
use crate::state::{BootId, Called, Core, Ticket};

/// A call is answered OK after this time even if the hub has not committed it: it is kept, and
/// replayed when the hub is back.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long `GetGameServer` waits for the hub's first snapshot.
const OBJECT_WITHIN: Duration = Duration::from_secs(5);
/// How long `GetConnectKey` waits: without the hub there is no key, so a later answer would be
/// none either.
const KEY_WITHIN: Duration = Duration::from_secs(10);
/// Least time between two lives of the game's process once its server has been Ready. Each costs a
/// write of the object and makes worthless the tokens for the one before, so a game that calls in a
/// loop must not have one at will.
const LIFE_EVERY: Duration = Duration::from_secs(5);
/// The number of players is written no more often than this, unless something else is written.
const PLAYER_COUNT_EVERY: Duration = Duration::from_secs(5);
/// How many calls may wait for the hub.
const MAX_WAITING_CALLS: usize = 256;
/// The longest sleep towards the end of a reservation: afterwards the wall clock is read again, in
/// case it was set.
const RESERVATION_NAP: Duration = Duration::from_secs(30);

/// Reads the wall clock, in milliseconds since the Unix epoch.
pub(crate) type WallClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// See the module's description.
pub(crate) struct Remote {
    inner: Mutex<Inner>,
    health: Mutex<Health>,
    watched: Watched,
    matches: Watched<WatchMatchResponse>,
    wall_clock: WallClock,
    started: Instant,
    /// There may be something to send.
    work: Notify,
    /// The reservation may have begun or ended.
    reservation: Notify,
    /// The number of players may wait to be sent.
    counted: Notify,
    /// The kubelet has probed the game server.
    probed: Notify,
    /// A change has been acknowledged.
    acknowledged: Notify,
}

#[derive(Default)]
struct Inner {
    core: Core,
    /// When the last life began that cost a write of its own.
    last_life: Option<Instant>,
    last_ticket: Ticket,
    answers: BTreeMap<Ticket, oneshot::Sender<Result<(), Status>>>,
}

/// A caller that waits. Forgets its ticket when the caller stops waiting, for whatever reason.
struct Waiting<'a> {
    remote: &'a Remote,
    ticket: Ticket,
    answer: oneshot::Receiver<Result<(), Status>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.remote.inner();
        inner.answers.remove(&self.ticket);
        inner.core.forget(self.ticket);
    }
}

impl Remote {
    /// `closing` ends every watch.
    pub(crate) fn new(closing: CancellationToken, wall_clock: WallClock) -> Self {
        Self {
            inner: Mutex::default(),
            health: Mutex::default(),
            watched: Watched::new(closing.clone()),
            matches: Watched::new(closing),
            wall_clock,
            started: Instant::now(),
            work: Notify::new(),
            reservation: Notify::new(),
            counted: Notify::new(),
            probed: Notify::new(),
            acknowledged: Notify::new(),
        }
    }

    /// Takes a probe of the kubelet; returns whether the game server is healthy.
    pub(crate) fn probe(&self) -> bool {
        self.probed.notify_one();
        self.health().is_healthy()
    }

    /// Whether the hub has sent the object.
    pub(crate) fn is_informed(&self) -> bool {
        self.watched.latest().is_some()
    }

    /// Judges health from the first probe on.
    pub(crate) async fn watch_health(&self) {
        self.probed.notified().await;
        let Some(object) = self.watched.first().await else {
            return;
        };
        let settings = Settings::from(object.spec.and_then(|spec| spec.health).unwrap_or_default());
        if settings.disabled {
            return;
        }
        tracing::debug!(?settings, "Started health checks");
        self.health().start(self.started.elapsed(), settings);
        let mut was_healthy = true;
        loop {
            tokio::time::sleep(settings.period).await;
            let (is_healthy, failures) = {
                let mut health = self.health();
                (health.check(self.started.elapsed()), health.failures())
            };
            if failures > 0 {
                tracing::warn!(
                    failures,
                    threshold = settings.threshold,
                    "Health ping missing"
                );
            }
            if was_healthy && !is_healthy && self.inner().core.unhealthy() == Called::Waiting {
                tracing::error!("GameServer became Unhealthy: it sends no health pings");
                self.work.notify_one();
            }
            was_healthy = is_healthy;
        }
    }

    /// Returns to Ready at the end of each reservation.
    pub(crate) async fn watch_reservation(&self) {
        loop {
            let until = self.inner().core.reservation();
            let left = until.map(|until| {
                let left = until
                    .saturating_mul(1000)
                    .saturating_sub((self.wall_clock)());
                Duration::from_millis(u64::try_from(left).unwrap_or(0))
            });
            match left {
                Some(Duration::ZERO) => {
                    tracing::info!("Reservation is over, returning to Ready");
                    self.inner().core.reservation_over();
                    self.work.notify_one();
                }
                Some(left) => tokio::select! {
                    () = tokio::time::sleep(left.min(RESERVATION_NAP)) => {}
                    () = self.reservation.notified() => {}
                },
                None => self.reservation.notified().await,
            }
        }
    }

    /// Sends the number of players from time to time, when nothing else takes it along.
    pub(crate) async fn watch_players(&self) {
        loop {
            self.counted.notified().await;
            tokio::time::sleep(PLAYER_COUNT_EVERY).await;
            self.inner().core.hurry();
            self.work.notify_one();
        }
    }

    /// Waits until there may be something to send.
    pub(crate) async fn work(&self) {
        self.work.notified().await;
    }

    /// Returns the change to send now, if there is one.
    pub(crate) fn next_change(&self) -> Option<Change> {
        self.inner().core.next_change()
    }

    /// Returns what to ask the hub for a life that begins.
    pub(crate) fn next_key_request(&self) -> Option<KeyRequest> {
        self.inner().core.next_key_request()
    }

    /// Takes the keys of a life.
    pub(crate) fn on_connect_keys(&self, keys: ConnectKeys) {
        let mut inner = self.inner();
        if let Some(ticket) = inner.core.connect_keys(keys) {
            inner.answer(ticket, Ok(()));
        }
    }

    /// Waits until the hub has acknowledged everything.
    pub(crate) async fn settled(&self) {
        while !self.inner().core.is_idle() {
            self.acknowledged.notified().await;
        }
    }

    pub(crate) fn on_snapshot(&self, snapshot: Snapshot) {
        let (object, of_match) = {
            let mut inner = self.inner();
            let tickets = inner.core.snapshot(snapshot);
            if !tickets.is_empty() {
                tracing::info!("Dropped a waiting Ready: the GameServer was allocated meanwhile");
            }
            for ticket in tickets {
                inner.answer(ticket, Ok(()));
            }
            self.acknowledged.notify_one();
            (
                inner.core.game_server().cloned(),
                inner.core.current_match(),
            )
        };
        self.matches.publish(of_match);
        if let Some(object) = object {
            self.watched.publish(object);
        }
        self.reservation.notify_one();
    }

    /// Takes the outcome of a change; returns whether to pause before the next.
    pub(crate) fn on_ack(&self, ack: &Ack) -> bool {
        let mut inner = self.inner();
        let outcome = inner.core.ack(ack);
        for (ticket, answer) in outcome.answers {
            inner.answer(ticket, answer);
        }
        for part in outcome.lost {
            tracing::error!(part, "Hub refused a change that had been kept for it");
        }
        if outcome.pause {
            tracing::warn!(
                code = ?tonic::Code::from(ack.code),
                message = ack.message,
                "Hub could not commit a change; it is kept",
            );
        }
        drop(inner);
        self.acknowledged.notify_one();
        self.reservation.notify_one();
        outcome.pause
    }

    pub(crate) fn resume(&self) {
        self.inner().core.resume();
    }

    pub(crate) fn on_disconnect(&self) {
        self.inner().core.disconnected();
    }

    /// Hands something to the core under a new ticket; returns who waits for the answer, unless there
    /// is nothing to wait for.
    fn ask(
        &self,
        ask: impl FnOnce(&mut Core, Ticket) -> Result<Called, Status>,
    ) -> Result<Option<Waiting<'_>>, Status> {
        let mut inner = self.inner();
        if inner.answers.len() >= MAX_WAITING_CALLS {
            return Err(Status::resource_exhausted(format!(
                "{MAX_WAITING_CALLS} calls wait for the hub already"
            )));
        }
        inner.last_ticket += 1;
        let ticket = inner.last_ticket;
        match ask(&mut inner.core, ticket)? {
            Called::Dropped => return Ok(None),
            Called::Waiting => {}
        }
        let (sender, answer) = oneshot::channel();
        inner.answers.insert(ticket, sender);
        drop(inner);
        self.work.notify_one();
        Ok(Some(Waiting {
            remote: self,
            ticket,
            answer,
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether another life of the game's process may begin.
    fn admit_life(&mut self) -> Result<(), Status> {
        if !self.core.is_past_start() {
            return Ok(());
        }
        let now = Instant::now();
        let passed = self.last_life.map(|last| now.duration_since(last));
        if let Some(passed) = passed.filter(|passed| *passed < LIFE_EVERY) {
            let left = LIFE_EVERY.saturating_sub(passed).as_millis();
            return Err(Status::resource_exhausted(format!(
                "GetConnectKey began another life of the process a moment ago, and players join \
                 with the keys of that one: call it once per process, and not before {left} ms \
                 have passed"
            )));
        }
        self.last_life = Some(now);
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<(), Status>) {
        if let Some(sender) = self.answers.remove(&ticket) {
            // The caller may have gone in this moment; nobody is left to tell.
            drop(sender.send(answer));
        }
    }
}

#[tonic::async_trait]
impl Backend for Remote {
    async fn call(&self, call: Call) -> Result<(), Status> {
        let name = call.to_string();
        tracing::debug!(call = name, "Received a call");
        let is_of_players = matches!(call, Call::PlayerJoined { .. } | Call::PlayerLeft { .. });
        let asked = self.ask(|core, ticket| core.call(ticket, call))?;
        if is_of_players {
            self.counted.notify_one();
        }
        let Some(mut waiting) = asked else {
            tracing::debug!(call = name, "Nothing to wait for");
            return Ok(());
        };
        self.reservation.notify_one();
        match tokio::time::timeout(ANSWER_WITHIN, &mut waiting.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(Status::internal("the call was forgotten")),
            Err(_elapsed) => {
                tracing::info!(call = name, "Hub has not answered yet; the change is kept");
                Ok(())
            }
        }
    }

    fn ping(&self) {
        tracing::trace!("Health ping received");
        self.health().ping(self.started.elapsed());
    }

    async fn game_server(&self) -> Result<Arc<GameServer>, Status> {
        let object = tokio::time::timeout(OBJECT_WITHIN, self.watched.first()).await;
        object.ok().flatten().ok_or_else(|| {
            Status::unavailable(
                "the GameServer is not known yet: this SDK server has not reached the operator's \
                 hub since it started",
            )
        })
    }

    fn watch(&self) -> Result<Watch, Status> {
        self.watched.watch()
    }

    async fn connect_key(&self) -> Result<GetConnectKeyResponse, Status> {
        let boot_id: BootId = random::secret()?;
        self.inner().admit_life()?;
        let mut replaced = None;
        let asked = self.ask(|core, ticket| {
            replaced = core.begin_life(ticket, boot_id);
            Ok(Called::Waiting)
        })?;
        if let Some(ticket) = replaced {
            let status = Status::aborted("a later call of GetConnectKey began another life");
            self.inner().answer(ticket, Err(status));
        }
        let Some(mut waiting) = asked else {
            return Err(Status::internal("the call was forgotten"));
        };
        match tokio::time::timeout(KEY_WITHIN, &mut waiting.answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_dropped)) => return Err(Status::internal("the call was forgotten")),
            Err(_elapsed) => {
                return Err(Status::unavailable(
                    "the operator's hub has not given a key yet; call again",
                ));
            }
        }
        let mut keys = self.inner().core.take_keys(&boot_id);
        let keys = keys.iter_mut().map(|key| ConnectKey {
            version: key.version,
            key: std::mem::take(&mut key.key),
        });
        Ok(GetConnectKeyResponse {
            keys: keys.collect(),
            boot_id: boot_id.to_vec(),
        })
    }

    fn watch_match(&self) -> Result<Watch<WatchMatchResponse>, Status> {
        self.matches.watch()
    }
}
