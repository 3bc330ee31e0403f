//! What the server measures about itself. No player, address or match is a label.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

use netcode::Counters;

use crate::arena::link::Statistics;
use crate::arena::net::Traffic;

/// Bounds of the work of a tick, in seconds; the budget is 16.7 ms.
const TICK_BUCKETS: &[f64] = &[
    0.000_1, 0.000_2, 0.000_3, 0.000_4, 0.000_5, 0.000_6, 0.000_7, 0.000_8, 0.000_9, 0.001,
    0.001_1, 0.001_2, 0.001_35, 0.001_5, 0.001_75, 0.002, 0.002_5, 0.003, 0.003_5, 0.004, 0.005,
    0.006, 0.007, 0.008, 0.009, 0.010, 0.012, 0.014, 0.016_7, 0.020, 0.025, 0.050,
];

/// Bounds of how late a tick starts, in seconds.
const LATENESS_BUCKETS: &[f64] = &[
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.016_7,
];

/// Bounds of how long players were away, in milliseconds.
const RECONNECT_BUCKETS: &[f64] = &[
    100.0, 200.0, 300.0, 500.0, 1_000.0, 1_500.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 30_000.0,
];

/// All metrics of the server.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The work of a tick.
    pub tick_seconds: Histogram,
    /// How late ticks start.
    pub wake_lateness_seconds: Histogram,
    /// Ticks of debt that were given up.
    pub tick_debt_dropped: IntCounter,
    players: IntGauge,
    /// Time without a packet of players who came back.
    pub reconnect_milliseconds: Histogram,
    /// Sessions that ended.
    pub sessions_ended: IntCounter,
    /// Players who were sent away.
    pub kicked: IntCounter,
    /// Connections that no session let in, by reason.
    pub sessions_refused: IntCounterVec,
    /// Matches that ended.
    pub matches_ended: IntCounter,
    /// Reports that the control plane could not take.
    pub reports_dropped: IntCounter,
    packets: IntCounterVec,
    bytes: IntCounterVec,
    unsent: IntCounter,
    /// Datagrams that the kernel dropped before the server could see them.
    pub datagrams_dropped: IntCounter,
    refused: IntCounterVec,
    last: (Traffic, Option<Counters>),
}

impl Metrics {
    /// Metrics in a registry.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, Histogram::with_opts(options)?)
        };
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let by = |name: &str, help: &str, label: &str| {
            register(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        Ok(Self {
            tick_seconds: histogram(
                "muster_arena_tick_seconds",
                "Work of a tick, packets in and out included; with one thread, also those that it took in since the last one.",
                TICK_BUCKETS,
            )?,
            wake_lateness_seconds: histogram(
                "muster_arena_wake_lateness_seconds",
                "How late ticks start.",
                LATENESS_BUCKETS,
            )?,
            tick_debt_dropped: counter(
                "muster_arena_tick_debt_dropped_total",
                "Ticks that were given up because the server could not keep up.",
            )?,
            players: register(
                registry,
                IntGauge::new(
                    "muster_arena_connections",
                    "Connected players and spectators.",
                )?,
            )?,
            reconnect_milliseconds: histogram(
                "muster_session_reconnect_time_ms",
                "Time without a packet of players who came back, in milliseconds.",
                RECONNECT_BUCKETS,
            )?,
            sessions_ended: counter("muster_arena_sessions_ended_total", "Sessions that ended.")?,
            kicked: counter(
                "muster_arena_kicked_total",
                "Players who were sent away for what they sent.",
            )?,
            sessions_refused: by(
                "muster_arena_sessions_refused_total",
                "Connections that no session let in, by reason.",
                "reason",
            )?,
            matches_ended: counter("muster_arena_matches_ended_total", "Matches that ended.")?,
            reports_dropped: counter(
                "muster_arena_reports_dropped_total",
                "Reports that the platform's side could not take in time.",
            )?,
            packets: by(
                "muster_arena_packets_total",
                "Datagrams, by direction; what the kernel dropped before the server could see it is not among those that came in.",
                "direction",
            )?,
            bytes: by(
                "muster_arena_bytes_total",
                "Bytes of these datagrams without the headers of UDP and IP, by direction.",
                "direction",
            )?,
            unsent: counter(
                "muster_arena_unsent_packets_total",
                "Datagrams to clients that the kernel did not take.",
            )?,
            datagrams_dropped: counter(
                "muster_arena_datagrams_dropped_total",
                "Datagrams that the kernel dropped before the server could see them: junk that cannot be a packet, and what found a full buffer.",
            )?,
            refused: by(
                "muster_arena_packets_refused_total",
                "Datagrams that came to the server and changed nothing, by reason.",
                "reason",
            )?,
            last: (Traffic::default(), None),
        })
    }

    /// Adds what has happened since the last call. Allocates, so it is called once per second.
    pub fn observe(&mut self, statistics: &Statistics) {
        let Statistics {
            connected,
            traffic,
            counters,
        } = *statistics;
        self.players
            .set(i64::try_from(connected).unwrap_or(i64::MAX));
        let (before, last) = std::mem::replace(&mut self.last, (traffic, Some(counters)));
        let last = last.unwrap_or_default();
        for (label, packets, bytes) in [
            (
                "in",
                traffic.packets_in - before.packets_in,
                traffic.bytes_in - before.bytes_in,
            ),
            (
                "out",
                traffic.packets_out - before.packets_out,
                traffic.bytes_out - before.bytes_out,
            ),
        ] {
            self.packets.with_label_values(&[label]).inc_by(packets);
            self.bytes.with_label_values(&[label]).inc_by(bytes);
        }
        self.unsent.inc_by(traffic.unsent - before.unsent);
        for (refusal, count) in counters.refused.iter() {
            let new = count - last.refused.count(refusal);
            if new > 0 {
                self.refused
                    .with_label_values(&[refusal.name()])
                    .inc_by(new);
            }
        }
        let user_data = traffic.bad_user_data - before.bad_user_data;
        let excess = traffic.excess - before.excess;
        for (reason, new) in [("user_data", user_data), ("excess", excess)] {
            if new > 0 {
                self.refused.with_label_values(&[reason]).inc_by(new);
            }
        }
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
