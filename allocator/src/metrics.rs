//! What can be measured. Names follow Agones' after the prefix where it has them; servers and
//! players are never labels.

use std::time::Duration;

use crds::allocation::SelectorState;
use crds::gameserver::Scheduling;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::servers::Servers;

/// Seconds; Agones' range with finer steps where answers usually are.
const SECONDS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0,
];

/// Everything that the allocator counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    durations: HistogramVec,
    tries: Histogram,
    commits: IntCounterVec,
    in_flight: IntGauge,
    abandoned: IntCounter,
    refused: IntCounterVec,
    watch_errors: IntCounterVec,
    connections: IntGauge,
    synced: IntGauge,
    tokens: IntCounter,
    known: IntCounter,
    guards: IntCounterVec,
    guards_seen: IntGauge,
    watchers: IntGauge,
    ended_watchers: IntCounter,
}

/// One more of something, until dropped.
#[derive(Debug)]
pub struct Held(IntGauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn hold(gauge: &IntGauge) -> Held {
    gauge.inc();
    Held(gauge.clone())
}

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &Registry, servers: Servers) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "muster_gameserver_allocations_duration_seconds",
                    "Time from request to answer.",
                )
                .buckets(SECONDS.to_vec()),
                &["fleet_name", "status", "scheduling_strategy"],
            )?,
            tries: Histogram::with_opts(
                HistogramOpts::new(
                    "muster_gameserver_allocations_retry_total",
                    "Servers that were chosen until one was won, for each allocation.",
                )
                .buckets(vec![1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 16.0]),
            )?,
            commits: IntCounterVec::new(
                Opts::new(
                    "muster_allocator_commits_total",
                    "Guarded writes by their outcome.",
                ),
                &["outcome"],
            )?,
            in_flight: IntGauge::new(
                "muster_allocator_commits_in_flight",
                "Guarded writes that wait for their outcome.",
            )?,
            abandoned: IntCounter::new(
                "muster_allocator_abandoned_allocations_total",
                "Servers that were allocated for callers that had gone.",
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "muster_allocator_refused_total",
                    "Requests and connections that were refused because of a limit.",
                ),
                &["limit"],
            )?,
            watch_errors: IntCounterVec::new(
                Opts::new(
                    "muster_allocator_watch_errors_total",
                    "Failures of watches.",
                ),
                &["kind"],
            )?,
            connections: IntGauge::new(
                "muster_allocator_connections",
                "Connections of callers that are open.",
            )?,
            synced: IntGauge::new(
                "muster_allocator_synced",
                "1 when the game servers and nodes are known.",
            )?,
            tokens: IntCounter::new(
                "muster_allocator_connect_tokens_total",
                "Connect tokens that were minted.",
            )?,
            known: IntCounter::new(
                "muster_allocator_known_requests_total",
                "Requests whose id had a server already, which they were given again.",
            )?,
            guards: IntCounterVec::new(
                Opts::new(
                    "muster_allocator_request_guards_total",
                    "Guards of request ids that were taken over from other calls, or removed.",
                ),
                &["change"],
            )?,
            guards_seen: IntGauge::new(
                "muster_allocator_known_request_guards",
                "Guards of request ids, as the last sweep has seen them.",
            )?,
            watchers: IntGauge::new(
                "muster_allocator_watchers",
                "Callers that watch allocations.",
            )?,
            ended_watchers: IntCounter::new(
                "muster_allocator_slow_watchers_total",
                "Watches that were ended because their caller was too slow.",
            )?,
        };
        let collectors: [Box<dyn Collector>; 16] = [
            Box::new(metrics.durations.clone()),
            Box::new(metrics.tries.clone()),
            Box::new(metrics.commits.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.abandoned.clone()),
            Box::new(metrics.refused.clone()),
            Box::new(metrics.watch_errors.clone()),
            Box::new(metrics.connections.clone()),
            Box::new(metrics.synced.clone()),
            Box::new(metrics.tokens.clone()),
            Box::new(metrics.known.clone()),
            Box::new(metrics.guards.clone()),
            Box::new(metrics.guards_seen.clone()),
            Box::new(metrics.watchers.clone()),
            Box::new(metrics.ended_watchers.clone()),
            Box::new(Stock::new(servers)?),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// A request was answered.
    pub fn answered(
        &self,
        fleet: &str,
        status: &'static str,
        scheduling: Scheduling,
        took: Duration,
    ) {
        let scheduling = match scheduling {
            Scheduling::Packed => "Packed",
            Scheduling::Distributed => "Distributed",
        };
        let fleet = if fleet.is_empty() { "none" } else { fleet };
        self.durations
            .with_label_values(&[fleet, status, scheduling])
            .observe(took.as_secs_f64());
    }

    /// A server was won after this many choices.
    pub fn won(&self, tries: u32) {
        self.tries.observe(f64::from(tries));
    }

    /// A write was sent.
    pub fn commit_began(&self) -> Held {
        hold(&self.in_flight)
    }

    /// The outcome of a write is known.
    pub fn commit_ended(&self, outcome: &'static str) {
        self.commits.with_label_values(&[outcome]).inc();
    }

    /// A server was allocated for nobody.
    pub fn abandoned(&self) {
        self.abandoned.inc();
    }

    /// Something was refused because of a limit.
    pub fn refused(&self, limit: &'static str) {
        self.refused.with_label_values(&[limit]).inc();
    }

    /// A watch failed.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_errors.with_label_values(&[kind]).inc();
    }

    /// A connection was opened.
    pub fn connected(&self) -> Held {
        hold(&self.connections)
    }

    /// The game servers and nodes are known.
    pub fn synced(&self) {
        self.synced.set(1);
    }

    /// Connect tokens were minted.
    pub fn minted(&self, tokens: usize) {
        self.tokens
            .inc_by(u64::try_from(tokens).unwrap_or(u64::MAX));
    }

    /// A request was answered with the server that its id had already.
    pub fn request_known(&self) {
        self.known.inc();
    }

    /// The guard of a request was taken over from a call that did not end in time.
    pub fn guard_taken_over(&self) {
        self.guards.with_label_values(&["taken_over"]).inc();
    }

    /// The guard of a request without a server was removed.
    pub fn guard_removed(&self) {
        self.guards.with_label_values(&["removed"]).inc();
    }

    /// A sweep has seen so many guards.
    pub fn guards_seen(&self, guards: i64) {
        self.guards_seen.set(guards);
    }

    /// A caller watches.
    pub fn watching(&self) -> Held {
        hold(&self.watchers)
    }

    /// A watch was ended because its caller was too slow.
    pub fn watcher_ended(&self) {
        self.ended_watchers.inc();
    }
}

/// Servers in the index, counted when asked, so that fleets that are gone leave no series.
struct Stock {
    servers: Servers,
    total: IntGaugeVec,
    free: IntGaugeVec,
}

impl Stock {
    fn new(servers: Servers) -> Result<Self, prometheus::Error> {
        let labels = ["namespace", "fleet_name", "state"];
        let total = Opts::new(
            "muster_allocator_gameservers",
            "Ready and Allocated game servers.",
        );
        let free = Opts::new(
            "muster_allocator_allocatable_gameservers",
            "Game servers that a request for their state could be given now.",
        );
        Ok(Self {
            servers,
            total: IntGaugeVec::new(total, &labels)?,
            free: IntGaugeVec::new(free, &labels)?,
        })
    }
}

impl Collector for Stock {
    fn desc(&self) -> Vec<&Desc> {
        [self.total.desc(), self.free.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.total.reset();
        self.free.reset();
        for count in self.servers.read(crate::index::Index::counts) {
            let state = match count.state {
                SelectorState::Ready => "Ready",
                SelectorState::Allocated => "Allocated",
            };
            let labels = [&*count.namespace, &count.fleet, state];
            self.total
                .with_label_values(&labels)
                .set(i64::from(count.total));
            let free = i64::try_from(count.free).unwrap_or(i64::MAX);
            self.free.with_label_values(&labels).set(free);
        }
        [self.total.collect(), self.free.collect()].concat()
    }
}
