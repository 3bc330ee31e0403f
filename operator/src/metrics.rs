//! Metrics of the operator. Labels have few values: never names of servers, players or addresses.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// All metrics; clones share the same values.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) api_calls: IntCounterVec,
    pub(crate) reconciles: IntCounterVec,
    pub(crate) reconcile_seconds: HistogramVec,
    pub(crate) reconcile_errors: IntCounterVec,
    pub(crate) objects_in_backoff: IntGaugeVec,
    pub(crate) actions: IntCounterVec,
    pub(crate) watch_restarts: IntCounterVec,
    pub(crate) undecodable: IntCounterVec,
    pub(crate) hub_streams: IntGauge,
    pub(crate) hub_changes: IntCounterVec,
    pub(crate) leader: IntGauge,
    pub(crate) game_servers: IntGaugeVec,
}

impl Metrics {
    /// Makes and registers every metric.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new("muster_reconcile_duration_seconds", "Time of one reconcile"),
            &["controller"],
        )?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        Ok(Self {
            api_calls: counter(
                "muster_k8s_client_requests_total",
                "Calls to the API server",
                &["verb", "kind", "outcome"],
            )?,
            reconciles: counter(
                "muster_reconcile_total",
                "Reconciles by outcome",
                &["controller", "outcome"],
            )?,
            reconcile_seconds,
            reconcile_errors: counter(
                "muster_reconcile_errors_total",
                "Failed reconciles by reason",
                &["controller", "reason"],
            )?,
            objects_in_backoff: gauges(
                "muster_objects_in_backoff",
                "Objects whose last reconcile failed",
                &["controller"],
            )?,
            actions: counter(
                "muster_actions_total",
                "Planned actions",
                &["controller", "action"],
            )?,
            watch_restarts: counter(
                "muster_watch_restarts_total",
                "Watches that were started anew",
                &["kind"],
            )?,
            undecodable: counter(
                "muster_undecodable_objects_total",
                "Objects that were left out because they do not fit their kind",
                &["kind"],
            )?,
            hub_streams: gauge("muster_hub_streams", "Connected SDK servers")?,
            hub_changes: counter(
                "muster_hub_changes_total",
                "Changes asked for by SDK servers",
                &["outcome"],
            )?,
            leader: gauge("muster_leader", "1 while this replica runs the controllers")?,
            game_servers: gauges(
                "muster_gameservers_count",
                "Game servers by state and fleet",
                &["type", "fleet_name", "namespace"],
            )?,
        })
    }
}
