//! An allocator over the fake API.

use std::time::Duration;

use prometheus::Registry;
use runtime::admin::Admin;
use runtime::backoff::Backoff;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use super::Fake;
use crate::allocate::once::Once;
use crate::allocate::{self, Allocated, Allocator, Bounds};
use crate::api::{Api, Settings};
use crate::cache::{self, Follow};
use crate::call::Limits;
use crate::guard::Guards;
use crate::index::{Count, Index};
use crate::keys::Keys;
use crate::match_api::MatchApi;
use crate::matches::Matches;
use crate::metrics::Metrics;
use crate::request::{Compiler, Request};
use crate::servers::Servers;
use crate::status;

pub(crate) const BOUNDS: Bounds = Bounds {
    requests: 100,
    commits: 100,
    commit: Limits {
        call: Duration::from_secs(5),
        tries: 8,
        backoff: Backoff {
            base: Duration::from_millis(50),
            cap: Duration::from_secs(1),
        },
    },
};

/// An allocator that follows the fake API.
pub(crate) struct Core {
    pub(crate) allocator: Allocator,
    pub(crate) servers: Servers,
    pub(crate) matches: Matches,
    pub(crate) keys: Keys,
    pub(crate) metrics: Metrics,
    registry: Registry,
    _follow: JoinSet<()>,
}

impl Core {
    pub(crate) async fn start(fake: &Fake, bounds: Bounds, replica: u128) -> Self {
        let (admin, servers) = (Admin::default(), Servers::default());
        let matches = Matches::default();
        let metrics = Metrics::register(admin.registry(), servers.clone()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(cache::follow(Follow {
            client: fake.client(),
            namespaces: Vec::new(),
            servers: servers.clone(),
            matches: matches.clone(),
            admin: admin.clone(),
            metrics: metrics.clone(),
        }));
        until(&servers, |_| servers.is_synced()).await;
        let allocator = Allocator::new(
            servers.clone(),
            fake.client(),
            bounds,
            metrics.clone(),
            once(fake, bounds, &matches),
            replica,
        );
        Self {
            metrics,
            keys: Keys::new(servers.clone()),
            allocator,
            servers,
            matches,
            registry: admin.registry().clone(),
            _follow: tasks,
        }
    }

    pub(crate) async fn allocate(&self) -> Result<Allocated, allocate::Error> {
        self.allocator.allocate(any(), deadline()).await
    }

    /// The name of the server, or the code and message.
    pub(crate) async fn outcome(&self) -> String {
        name(self.allocate().await)
    }

    /// The sum over all labels of a counter.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.iter().flat_map(|family| family.get_metric());
        let sum: f64 = metrics.map(|metric| metric.get_counter().get_value()).sum();
        sum.to_string().parse().unwrap()
    }

    /// The value of a gauge without labels.
    pub(crate) fn gauge(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let value = family.unwrap().get_metric()[0].get_gauge().get_value();
        value.to_string().parse().unwrap()
    }

    /// The API over this allocator.
    pub(crate) fn api(&self, unallocated: Code) -> Api {
        let settings = Settings {
            unallocated,
            timeout: Duration::from_secs(10),
        };
        let (allocator, servers) = (self.allocator.clone(), self.servers.clone());
        Api::new(allocator, servers, self.metrics.clone(), settings)
    }

    /// The API by request ids over this allocator.
    pub(crate) fn match_api(&self) -> MatchApi {
        let settings = Settings {
            unallocated: Code::ResourceExhausted,
            timeout: Duration::from_secs(10),
        };
        MatchApi::new(
            self.allocator.clone(),
            self.servers.clone(),
            self.matches.clone(),
            self.keys.clone(),
            self.metrics.clone(),
            settings,
        )
    }

    /// Waits until this many Ready servers can be chosen.
    pub(crate) async fn sees(&self, free: usize) {
        let count = || {
            let counts = self.servers.read(Index::counts);
            let ready = |count: &&Count| count.state == crds::allocation::SelectorState::Ready;
            counts
                .iter()
                .filter(ready)
                .map(|count| count.free)
                .sum::<usize>()
        };
        until(&self.servers, |_| count() == free).await;
    }
}

/// Waits until the index is as it should be.
pub(crate) async fn until(servers: &Servers, is_so: impl Fn(&Servers) -> bool) {
    let reached = async {
        loop {
            let changed = servers.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so(servers) {
                return;
            }
            changed.await;
        }
    };
    let limit = Duration::from_mins(1);
    tokio::time::timeout(limit, reached)
        .await
        .expect("the index becomes as it should be");
}

/// What is needed for request ids.
pub(crate) fn once(fake: &Fake, bounds: Bounds, matches: &Matches) -> Once {
    Once {
        guards: Guards::new(fake.client(), "muster-system", bounds.commit),
        matches: matches.clone(),
    }
}

/// Servers `a`, `b`, … on one node.
pub(crate) fn fleet(count: usize) -> Fake {
    let fake = Fake::default();
    fake.node("n", true, false);
    for number in 0..count {
        fake.ready(
            &format!("gs-{number:02}"),
            "n",
            &[("muster.dev/fleet", "f")],
        );
    }
    fake
}

pub(crate) fn name(result: Result<Allocated, allocate::Error>) -> String {
    match result {
        Ok(Allocated { server, .. }) => server.metadata.name.unwrap(),
        Err(error) => {
            let status = status::of(&error, Code::ResourceExhausted);
            format!("{:?}: {}", status.code(), status.message())
        }
    }
}

pub(crate) fn any() -> Request {
    request(json!({"namespace": "default"}))
}

pub(crate) fn request(message: serde_json::Value) -> Request {
    Compiler::default()
        .compile(serde_json::from_value(message).unwrap())
        .unwrap()
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_mins(1)
}
