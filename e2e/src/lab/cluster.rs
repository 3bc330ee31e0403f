//! The API server of the lab, and who watches over it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use embedded::Embedded;
use embedded::Uids;
use embedded::access::{Credentials, MASTERS, User};
use embedded::faults::{Faults, Journal};
use embedded::server::{Committed, Identity};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::Layer as _;

use super::invariants::{Memory, Write, stolen};
use super::mirror::{Key, Mirror, Writer, state, text};

/// Namespace of the scenario's objects.
pub const NAMESPACE: &str = "lab";
/// Namespace of the operator.
pub const SYSTEM: &str = "muster-system";

/// When every run begins.
pub const BEGIN: &str = "2026-01-01T00:00:00Z";
/// By far more writes than any scenario needs.
const MOST_WRITES: u64 = 1_500;
/// Time that the controllers of a new API server need.
const SETTLE: Duration = Duration::from_secs(1);

/// The API server with its observer.
#[derive(Clone, Debug)]
pub struct Cluster {
    server: Embedded,
    journal: Journal,
    watchdog: Watchdog,
}

/// An API server as it is before every run.
#[derive(Debug)]
struct Template {
    server: Embedded,
    credentials: Credentials,
}

impl Template {
    /// Makes the API server, lets its controllers come to rest, and ends them.
    async fn make() -> Result<Self> {
        let credentials = Credentials::generate()?;
        let server = Embedded::builder(Arc::new(runtime::clock::now), uids(0))
            .credentials(credentials.clone())
            .start()
            .context("start the API server")?;
        let user = User::authenticated("user", &[MASTERS]);
        let namespaces: Api<Namespace> = Api::all(server.client(user));
        for name in [NAMESPACE, SYSTEM] {
            let namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            namespaces
                .create(&PostParams::default(), &namespace)
                .await
                .with_context(|| format!("make namespace {name}"))?;
        }
        tokio::time::sleep(SETTLE).await;
        server.stop().await;
        Ok(Self {
            server,
            credentials,
        })
    }

    /// The one of this process.
    fn get() -> Result<&'static Self> {
        static TEMPLATE: OnceLock<Result<Template, String>> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            // In a thread of its own: the caller's runs a runtime already.
            let make = || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()?;
                runtime.block_on(async {
                    let _time = runtime::clock::virtual_time(BEGIN.parse()?);
                    Self::make().await
                })
            };
            let result = std::thread::spawn(make).join();
            result
                .map_err(|_| "the template panicked".to_owned())?
                .map_err(|error| format!("{error:#}"))
        });
        template.as_ref().map_err(|error| anyhow!("{error}"))
    }
}

impl Cluster {
    /// An API server with our definitions and nothing else.
    pub fn start(seed: u64) -> Result<Self> {
        let template = Template::get()?;
        let (journal, watchdog) = (Journal::default(), Watchdog::new());
        let server = Embedded::builder(Arc::new(runtime::clock::now), uids(seed))
            .credentials(template.credentials.clone())
            .template(&template.server)
            .start()
            .context("start the API server")?;
        let observer = {
            let (journal, watchdog) = (journal.clone(), watchdog.clone());
            move |written: &Committed<'_>| watchdog.observe(&journal, written)
        };
        server.observe(Arc::new(observer));
        Ok(Self {
            server,
            journal,
            watchdog,
        })
    }

    /// A client of somebody; what goes wrong for a replica is between it and the API server.
    pub fn client(&self, user: &str, faults: Option<&Faults>) -> Client {
        let service = self
            .server
            .service(Identity::User(User::authenticated(user, &[MASTERS])));
        match faults {
            Some(faults) => Client::new(faults.layer().layer(service), NAMESPACE),
            None => Client::new(service, NAMESPACE),
        }
    }

    /// Lets the API server forget what was.
    pub fn compact(&self) {
        self.journal.note("server", "compacted");
        self.server.compact_now();
    }

    /// What happened, for people.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The state, and what is broken.
    pub const fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }
}

/// Uids that are the same for the same seed.
fn uids(seed: u64) -> Uids {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    Arc::new(move || {
        let number = random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .u128(..);
        let text = format!("{number:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..]
        )
    })
}

/// Keeps the state from the writes, and judges each of them.
#[derive(Clone, Debug)]
pub struct Watchdog {
    inner: Arc<Mutex<Inner>>,
    /// Counts the writes that matter.
    changes: watch::Sender<u64>,
    /// Why the run cannot go on.
    storm: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct Inner {
    mirror: Mirror,
    memory: Memory,
    broken: Vec<String>,
    /// When something was written that matters: neither a lease nor an event.
    last: Instant,
}

impl Watchdog {
    fn new() -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                mirror: Mirror::default(),
                memory: Memory::default(),
                broken: Vec::new(),
                last: Instant::now(),
            })),
            changes: watch::Sender::new(0),
            storm: watch::Sender::new(None),
        }
    }

    fn observe(&self, journal: &Journal, written: &Committed<'_>) {
        let (user, change) = (written.user, written.change);
        let before = change.before.as_ref().map(|object| object.value());
        let after = change.after.as_ref().map(|object| object.value());
        let Some(object) = after.or(before) else {
            return;
        };
        let key = Key::of(object);
        let writer = writer(user);
        let shared = after.cloned().map(Arc::new);
        if ["Event", "Lease"].contains(&key.kind.as_str()) {
            self.lock().mirror.apply(key, writer, shared);
            let taken = before
                .zip(after)
                .and_then(|(before, after)| stolen(before, after));
            if let Some(text) = taken {
                journal.note("  BROKEN", text.clone());
                self.lock().broken.push(text);
            }
            return;
        }
        journal.note("  write", line(user, &key, before, after));
        {
            let mut inner = self.lock();
            inner.last = Instant::now();
            inner.mirror.apply(key.clone(), writer, shared);
            let write = Write {
                writer,
                key: &key,
                before,
                after,
            };
            let Inner { mirror, memory, .. } = &mut *inner;
            let broken = memory.judge(mirror, &write);
            for text in &broken {
                journal.note("  BROKEN", text.clone());
            }
            inner.broken.extend(broken);
        }
        self.changes.send_modify(|count| *count += 1);
        if *self.changes.borrow() > MOST_WRITES {
            self.give_up(format!("more than {MOST_WRITES} writes"));
        }
    }

    /// Ends the run at once: components that do so much leave virtual time no moment to pass.
    pub fn give_up(&self, why: String) {
        self.storm.send_replace(Some(why));
    }

    /// Waits until the run cannot go on; returns why.
    pub async fn storm(&self) -> String {
        let mut storm = self.storm.subscribe();
        let why = storm.wait_for(Option::is_some).await;
        // The sender lives as long as we do.
        why.map(|why| why.clone())
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&Mirror) -> T) -> T {
        look(&self.lock().mirror)
    }

    /// What was broken so far.
    pub fn broken(&self) -> Vec<String> {
        self.lock().broken.clone()
    }

    /// When something that matters was written last.
    pub fn last_write(&self) -> Instant {
        self.lock().last
    }

    /// Tells of writes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn writer(user: &str) -> Writer {
    match user.split('-').next() {
        Some("operator") => Writer::Operator,
        Some("allocator") => Writer::Allocator,
        Some("user") => Writer::User,
        Some("node") => Writer::Node,
        _ => Writer::System,
    }
}

fn line(user: &str, key: &Key, before: Option<&Value>, after: Option<&Value>) -> String {
    let what = match (before, after) {
        (None, _) => "makes",
        (_, None) => "ends",
        (Some(before), Some(after)) => {
            let left = super::mirror::is_being_deleted;
            if left(after) && !left(before) {
                "deletes"
            } else {
                "changes"
            }
        }
    };
    let of = |object: Option<&Value>| match key.kind.as_str() {
        "GameServer" => object.map(|server| state(server).to_string()),
        "Pod" => object.map(|pod| text(pod, "/status/phase").to_owned()),
        "MatchAllocation" => object.map(|request| text(request, "/status/state").to_owned()),
        "GameServerSet" | "Fleet" => {
            object.map(|set| super::mirror::number(set, "/spec/replicas").to_string())
        }
        _ => None,
    };
    let (was, is) = (of(before), of(after));
    let states = match (was, is) {
        (Some(was), Some(is)) if was != is => format!(" ({was} to {is})"),
        (_, Some(state)) | (Some(state), None) => format!(" ({state})"),
        (None, None) => String::new(),
    };
    let version = after.map_or("", |object| text(object, "/metadata/resourceVersion"));
    format!("{version} {user} {what} {} {}{states}", key.kind, key.name)
}
