//! One allocation from request to answer: choose, reserve, write, and again if the race was lost.
//!
//! Nobody sleeps to form a batch. A request waits for one of a bounded number of places to write,
//! in order of arrival, chooses, and writes at once. It is answered by "no capacity" only when no
//! server fits and none that fits is being written: what is in flight may come back.
//!
//! When the caller goes away, its future is dropped: a request that waits ends there and then, and
//! its reservation with it. A write that was begun is finished by a task of its own, because its
//! outcome must be recorded: if it was committed, the server stays Allocated, is logged and counted.
//!
//! Requests with an id go through the same steps, see [`once`].

pub mod once;
mod release;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kube::{Api, Client};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::call::Limits;
use crate::commit::{self, Mark, Outcome, Write};
use crate::guard::{self, Guard};
use crate::index::order::mix;
use crate::index::{Key, Release};
use crate::metrics::Metrics;
use crate::object::Written;
use crate::request::Request;
use crate::select::{Draw, Missing};
use crate::servers::{Reservation, Servers};
use once::{Hold, Once};

/// Choices that one request may make.
const TRIES: u32 = 16;

/// Lost races widen the draw of later requests by at most this many doublings.
const MOST_CONTENTION: u32 = 8;

/// A lost race weighs as much as this many won ones.
const CONTENTION_WEIGHT: u32 = 4;

/// Bounds of concurrent work.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests at once; more are refused.
    pub requests: usize,
    /// Writes at once; more wait.
    pub commits: usize,
    /// How the API server is asked.
    pub commit: Limits,
}

/// Why a request got no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The servers are not known yet.
    #[error("the allocator is starting: it does not know the game servers yet")]
    NotReady,
    /// Too many requests wait.
    #[error("too many allocation requests at once: at most {0} are served, retry later")]
    Busy(usize),
    /// No server fits.
    #[error("there is no available GameServer to allocate in namespace {namespace:?}")]
    Capacity {
        /// The namespace of the request.
        namespace: String,
    },
    /// Servers fit, but players could not join them.
    #[error(
        "players could not join the GameServers that fit in namespace {namespace:?} with connect tokens: there is no key (the game must call GetConnectKey before Ready), its version is not known, or there is no IP address with a UDP port"
    )]
    Unjoinable {
        /// The namespace of the request.
        namespace: String,
    },
    /// Another call works on the same request id.
    #[error("another call allocates for the same request id")]
    Claimed,
    /// The request id had a server.
    #[error("the request id has had a GameServer, whose match has ended: use a new one")]
    Ended,
    /// Every race was lost.
    #[error(
        "too much contention: {TRIES} chosen GameServers were taken or changed by others, retry"
    )]
    Contention,
    /// The time of the request was up.
    #[error("the request took too long; a GameServer may have been allocated for it")]
    Deadline,
    /// The write failed.
    #[error("the allocation could not be written")]
    Commit(#[from] commit::Error),
    /// The guard of the request id could not be read or written.
    #[error("the request id could not be guarded")]
    Guard(#[from] guard::Error),
    /// The task that wrote has panicked.
    #[error("the allocation was interrupted")]
    Interrupted,
}

/// An allocation.
#[derive(Clone, Debug)]
pub struct Allocated {
    /// The server as it is now.
    pub server: Box<Written>,
    /// How many servers were chosen until one was won.
    pub tries: u32,
}

/// Allocates servers.
#[derive(Clone, Debug)]
pub struct Allocator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    servers: Servers,
    client: ClientHandle,
    bounds: Bounds,
    requests: Semaphore,
    commits: Arc<Semaphore>,
    tasks: TaskTracker,
    metrics: Metrics,
    once: Once,
    /// Differs between replicas and restarts.
    replica: u128,
    count: AtomicU64,
    contention: AtomicU32,
}

struct ClientHandle(Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

/// The guard under which a write is made.
#[derive(Debug)]
enum Cover {
    /// Its intent is of this call alone.
    Ours(Guard),
    /// Its intent is of a call from which it was taken over, and whose write may come yet.
    TakenOver(Guard),
}

type Finished = (Result<Outcome, commit::Error>, OwnedSemaphorePermit);

impl Allocator {
    /// Makes an allocator. `replica` must differ between processes: it makes allocation ids unique.
    pub fn new(
        servers: Servers,
        client: Client,
        bounds: Bounds,
        metrics: Metrics,
        once: Once,
        replica: u128,
    ) -> Self {
        Self(Arc::new(Inner {
            servers,
            client: ClientHandle(client),
            bounds,
            requests: Semaphore::new(bounds.requests),
            commits: Arc::new(Semaphore::new(bounds.commits)),
            tasks: TaskTracker::new(),
            metrics,
            once,
            replica,
            count: AtomicU64::new(0),
            contention: AtomicU32::new(0),
        }))
    }

    /// Allocates a server, or says why not, before the deadline.
    pub async fn allocate(&self, request: Request, deadline: Instant) -> Result<Allocated, Error> {
        let _place = self.place()?;
        let timed = tokio::time::timeout_at(deadline, self.choose_and_write(&request, None));
        timed.await.unwrap_or(Err(Error::Deadline))
    }

    /// A place among the requests that are served at once.
    fn place(&self) -> Result<SemaphorePermit<'_>, Error> {
        if !self.0.servers.is_synced() {
            return Err(Error::NotReady);
        }
        self.0.requests.try_acquire().map_err(|_| {
            self.0.metrics.refused("requests");
            Error::Busy(self.0.bounds.requests)
        })
    }

    /// Waits until no write is in flight. No request may come any more.
    pub async fn drain(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Identifies one call.
    fn next_id(&self) -> String {
        let number = self.0.count.fetch_add(1, Ordering::Relaxed);
        format!("{:032x}-{number:x}", self.0.replica)
    }

    /// With a mark and a hold, no server is written before the guard of the request announces it.
    async fn choose_and_write(
        &self,
        request: &Request,
        mut guarded: Option<(&Mark, &mut Hold<'_>)>,
    ) -> Result<Allocated, Error> {
        let mut permit = self.permit().await?;
        let id = self.next_id();
        let seed = mix(crds::names::hash(id.as_bytes()));
        for attempt in 0..TRIES {
            let draw = Draw::of(seed, attempt, self.contention());
            let span = runtime::span!("choose game server", muster.attempt = attempt);
            let reservation = match self.reserve(request, draw).instrument(span).await {
                Ok(reservation) => reservation,
                Err(Missing::Stale(choice)) => {
                    self.refresh(&choice.key).await?;
                    continue;
                }
                Err(Missing::Capacity | Missing::InFlight) => {
                    let namespace = request.wanted.namespace.clone();
                    return Err(Error::Capacity { namespace });
                }
                Err(Missing::Unjoinable) => {
                    let namespace = request.wanted.namespace.clone();
                    return Err(Error::Unjoinable { namespace });
                }
            };
            let Some(choice) = reservation.choice().cloned() else {
                continue;
            };
            let (mut mark, mut guard) = (None, None);
            if let Some((of_request, hold)) = &mut guarded {
                if !hold.announce(&choice).await? {
                    return Err(Error::Claimed);
                }
                mark = Some(*of_request);
                guard = hold.guard.clone().map(Cover::Ours);
            }
            let write = Write::of(&choice, request, mark, id.clone());
            let finished = self.spawn(write, reservation, permit, guard);
            let (outcome, back) = finished.await.map_err(|_| Error::Interrupted)?;
            permit = back;
            match outcome? {
                Outcome::Committed(server) => {
                    self.won();
                    return Ok(Allocated {
                        server,
                        tries: attempt + 1,
                    });
                }
                Outcome::Lost => self.lost(),
                Outcome::Gone => {}
            }
        }
        Err(Error::Contention)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.0.commits).acquire_owned().await;
        permit.map_err(|_| Error::Interrupted)
    }

    /// Chooses and reserves; waits while servers that fit are in flight.
    async fn reserve(&self, request: &Request, draw: Draw) -> Result<Reservation, Missing> {
        let servers = &self.0.servers;
        loop {
            let changed = servers.changed();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            match servers.reserve(&request.wanted, draw) {
                Err(Missing::InFlight) => changed.await,
                result => return result,
            }
        }
    }

    /// Looks up a server of which only an old version is known.
    async fn refresh(&self, key: &Key) -> Result<(), Error> {
        let inner = &self.0;
        match commit::read(&self.api(&key.namespace), key, &inner.bounds.commit).await? {
            Some(server) => inner.servers.confirm(server.sighting()),
            None => inner.servers.change(|index| index.remove(key, u64::MAX)),
        }
        Ok(())
    }

    /// Writes in a task of its own, which outlives the caller.
    fn spawn(
        &self,
        write: Write,
        reservation: Reservation,
        permit: OwnedSemaphorePermit,
        cover: Option<Cover>,
    ) -> oneshot::Receiver<Finished> {
        let (sender, receiver) = oneshot::channel::<Finished>();
        let this = self.clone();
        // Here, where the request is known that it belongs to.
        let span = runtime::span!(
            "write allocation",
            otel.kind = "client",
            k8s.namespace.name = &*write.key.namespace,
            muster.game_server = &*write.key.name,
            muster.allocation_id = write.id,
            muster.outcome = tracing::field::Empty,
        );
        self.0.tasks.spawn(async move {
            let inner = &this.0;
            let in_flight = inner.metrics.commit_began();
            let api = this.api(&write.key.namespace);
            let limits = &inner.bounds.commit;
            let outcome = commit::commit(&api, &write, limits, || sender.is_closed())
                .instrument(span.clone())
                .await;
            span.record("muster.outcome", told(&outcome));
            drop((in_flight, span));
            this.record(&write, reservation, &outcome);
            let (is_committed, is_nothing) = match &outcome {
                Ok(Outcome::Committed(_)) => (true, false),
                Ok(Outcome::Lost | Outcome::Gone) => (false, true),
                Err(error) => (false, error.wrote_nothing()),
            };
            let unheard = sender.send((outcome, permit)).err();
            if let Some((outcome, _)) = &unheard {
                this.abandoned(&write, outcome);
            }
            match cover {
                Some(Cover::Ours(guard) | Cover::TakenOver(guard)) if is_committed => {
                    this.finish(guard);
                }
                // The next call need not wait for this one's deadline.
                Some(Cover::Ours(guard)) if is_nothing && unheard.is_some() => {
                    inner.once.guards.remove(guard).await;
                }
                Some(Cover::Ours(_) | Cover::TakenOver(_)) | None => {}
            }
        });
        receiver
    }

    /// Says in the guard of a request that its server was allocated. Nobody waits for this: the mark
    /// on the server speaks for itself while it is there.
    fn finish(&self, guard: Guard) {
        let guards = self.0.once.guards.clone();
        self.0.tasks.spawn(async move {
            // Who was faster can only have said the same.
            if let Err(error) = guards.finish(guard).await {
                let error = runtime::service::chain(&error);
                tracing::warn!(error, "Guard of a request was not finished");
            }
        });
    }

    /// Brings the index up to date with what a write says.
    fn record(
        &self,
        write: &Write,
        reservation: Reservation,
        outcome: &Result<Outcome, commit::Error>,
    ) {
        let servers = &self.0.servers;
        let release = match outcome {
            Ok(Outcome::Committed(server)) => {
                servers.answered(server.sighting());
                Release::Free
            }
            Ok(Outcome::Lost) => Release::Stale,
            Ok(Outcome::Gone) => {
                servers.change(|index| index.remove(&write.key, write.version));
                Release::Free
            }
            // If the write is committed after all, the guard stops the next one.
            Err(_) => Release::Free,
        };
        reservation.finish(release);
        self.0.metrics.commit_ended(told(outcome));
    }

    fn abandoned(&self, write: &Write, outcome: &Result<Outcome, commit::Error>) {
        if matches!(outcome, Ok(Outcome::Committed(_))) {
            self.0.metrics.abandoned();
            tracing::warn!(
                namespace = &*write.key.namespace,
                game_server = &*write.key.name,
                allocation_id = write.id,
                "Allocated GameServer for a caller that is gone"
            );
        }
    }

    fn api(&self, namespace: &str) -> Api<Written> {
        Api::namespaced(self.0.client.0.clone(), namespace)
    }

    fn contention(&self) -> u32 {
        self.0.contention.load(Ordering::Relaxed) / CONTENTION_WEIGHT
    }

    fn lost(&self) {
        let most = MOST_CONTENTION * CONTENTION_WEIGHT;
        let more = |level: u32| (level + CONTENTION_WEIGHT).min(most);
        self.0
            .contention
            .update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn won(&self) {
        let less = |level: u32| level.saturating_sub(1);
        self.0
            .contention
            .update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// What became of a write, for metrics and traces.
const fn told(outcome: &Result<Outcome, commit::Error>) -> &'static str {
    match outcome {
        Ok(Outcome::Committed(_)) => "committed",
        Ok(Outcome::Lost) => "lost",
        Ok(Outcome::Gone) => "gone",
        Err(commit::Error::Refused { .. }) => "refused",
        Err(commit::Error::Unavailable { .. }) => "unavailable",
        Err(commit::Error::Abandoned { .. }) => "abandoned",
    }
}

#[cfg(test)]
mod tests;
