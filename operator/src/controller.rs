//! How every controller runs: objects from a queue, a bounded number at once, each with its own
//! backoff after errors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kube::runtime::controller::{Action, Config, Error as RunError, applier};
use kube::runtime::reflector::ObjectRef;
use runtime::backoff::Backoff;
use tokio_util::sync::CancellationToken;

use crate::api::Kind;
use crate::cache::Cache;
use crate::error::{Class, Error};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// Delays after errors.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_mins(5),
};

/// Delay while something else must come first, such as a free port.
const WAITING: Duration = Duration::from_secs(5);

/// Every object is looked at again after this time even if nothing happened, give or take a fifth.
const RESYNC: Duration = Duration::from_mins(5);

/// Names of objects to look at.
pub(crate) type Refs<K> = Queue<ObjectRef<K>>;

/// What a reconcile found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was to be done.
    Unchanged,
    /// Something was written.
    Changed,
}

/// The result of a reconcile: what was found, and when to look again besides on changes.
pub(crate) type Reconciled = Result<(Outcome, Option<Duration>), Error>;

/// What a controller is made of.
#[derive(Debug)]
pub(crate) struct Controller<K: Kind> {
    /// Name in logs and metrics.
    pub(crate) name: &'static str,
    /// The objects.
    pub(crate) cache: Arc<Cache<K>>,
    /// The objects to look at.
    pub(crate) queue: Arc<Refs<K>>,
    /// How many are looked at at once.
    pub(crate) concurrency: u16,
}

impl<K: Kind> Controller<K> {
    /// Runs until the token is cancelled. Starts with every object there is.
    pub(crate) async fn run<Reconcile, Working>(
        self,
        metrics: Metrics,
        stop: CancellationToken,
        reconcile: Reconcile,
    ) where
        Reconcile: Fn(Arc<K>) -> Working + Send + Sync + 'static,
        Working: Future<Output = Reconciled> + Send + 'static,
    {
        let Self {
            name,
            cache,
            queue,
            concurrency,
        } = self;
        for object in cache.all() {
            queue.push(ObjectRef::from_obj(object.as_ref()));
        }
        let failures: Arc<Failures<K>> = Arc::new(Failures::default());
        let context = Arc::new((metrics.clone(), Arc::clone(&failures)));
        let reconcile = Arc::new(reconcile);
        let run_one = move |object: Arc<K>, context: Arc<(Metrics, Arc<Failures<K>>)>| {
            let reconcile = Arc::clone(&reconcile);
            async move {
                let (metrics, failures) = &*context;
                let timer = metrics
                    .reconcile_seconds
                    .with_label_values(&[name])
                    .start_timer();
                let reference = ObjectRef::from_obj(object.as_ref());
                let result = reconcile(object).await;
                timer.observe_duration();
                let (outcome, requeue) = match result {
                    Ok(found) => found,
                    Err(error) if error.is_namespace_terminating() => (Outcome::Unchanged, None),
                    Err(error) => {
                        metrics.reconciles.with_label_values(&[name, "error"]).inc();
                        return Err(error);
                    }
                };
                failures.forget(&reference);
                metrics
                    .objects_in_backoff
                    .with_label_values(&[name])
                    .set(failures.count());
                let label = match outcome {
                    Outcome::Changed => "changed",
                    Outcome::Unchanged => "unchanged",
                };
                metrics.reconciles.with_label_values(&[name, label]).inc();
                let delay = requeue.unwrap_or_else(|| resync(&reference));
                Ok(Action::requeue(delay.min(RESYNC * 2)))
            }
            .boxed()
        };
        let on_error = move |object: Arc<K>,
                             error: &Error,
                             context: Arc<(Metrics, Arc<Failures<K>>)>| {
            let (metrics, failures) = &*context;
            let reference = ObjectRef::from_obj(object.as_ref());
            let attempt = failures.count_one(&reference);
            metrics
                .objects_in_backoff
                .with_label_values(&[name])
                .set(failures.count());
            metrics
                .reconcile_errors
                .with_label_values(&[name, error.reason()])
                .inc();
            let delay = match error.class() {
                // The cause is almost always another write of ours or of an SDK server.
                Class::Conflict if attempt == 0 => Duration::ZERO,
                Class::Conflict | Class::Transient => {
                    BACKOFF.delay(attempt, share(&reference, attempt))
                }
                Class::Waiting => WAITING,
                Class::Invalid => RESYNC,
            };
            if error.class() == Class::Conflict {
                tracing::debug!(controller = name, object = %reference, "Object changed meanwhile");
            } else {
                tracing::warn!(
                    controller = name,
                    object = %reference,
                    error = runtime::service::chain(error),
                    retry_in = ?delay,
                    "Reconcile failed"
                );
            }
            Action::requeue(delay)
        };
        let store = cache.store();
        let names = queue.stream().map(Ok::<_, std::convert::Infallible>);
        let running = applier(
            run_one,
            on_error,
            context,
            store,
            names,
            Config::default().concurrency(concurrency),
        )
        .for_each(|result| {
            // Objects that are gone need no more attention; other errors were answered above.
            if let Err(RunError::ObjectNotFound(reference)) = result {
                failures.forget(&reference.into_kind_unchecked::<K>(()));
            }
            futures::future::ready(())
        });
        stop.run_until_cancelled(running).await;
    }
}

/// Failed attempts in a row, for objects whose last reconcile failed.
#[derive(Debug)]
struct Failures<K: Kind>(Mutex<HashMap<ObjectRef<K>, u32>>);

impl<K: Kind> Default for Failures<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Kind> Failures<K> {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<K>, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more failure and returns how many there were before.
    fn count_one(&self, reference: &ObjectRef<K>) -> u32 {
        let mut failures = self.lock();
        let attempts = failures.entry(reference.clone()).or_insert(0);
        let before = *attempts;
        *attempts = attempts.saturating_add(1);
        before
    }

    fn forget(&self, reference: &ObjectRef<K>) {
        self.lock().remove(reference);
    }

    fn count(&self) -> i64 {
        i64::try_from(self.lock().len()).unwrap_or(i64::MAX)
    }
}

/// Spreads the resyncs of different objects over two fifths of the interval.
fn resync<K: Kind>(reference: &ObjectRef<K>) -> Duration {
    RESYNC.mul_f64(0.8 + 0.4 * share(reference, 0))
}

/// A number in 0..1 that differs between objects and attempts.
#[expect(clippy::cast_precision_loss, reason = "a share needs few bits")]
fn share<K: Kind>(reference: &ObjectRef<K>, attempt: u32) -> f64 {
    let text = format!("{reference}{attempt}");
    (crds::names::hash(text.as_bytes()) % 1024) as f64 / 1024.0
}
