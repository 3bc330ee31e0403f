//! Numbers for operators. No label names a player, a room or an address.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::error::Failure;

/// The numbers of one process; cheap to clone. By default nothing is counted, as in tests of parts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    numbers: Option<Arc<Numbers>>,
}

#[derive(Debug)]
struct Numbers {
    calls: IntCounterVec,
    call_times: HistogramVec,
    sockets: IntGauge,
    ended: IntCounterVec,
    resumed: IntCounter,
    events: IntCounter,
    connections: IntGauge,
    echoes: IntCounterVec,
}

/// A socket that is open, until this is dropped.
#[derive(Debug)]
pub struct OpenSocket(Metrics);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        if let Some(numbers) = &self.0.numbers {
            numbers.sockets.dec();
        }
    }
}

impl Metrics {
    /// Registers every number.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        fn with<Number: Collector + Clone + 'static>(
            registry: &Registry,
            number: Result<Number, prometheus::Error>,
        ) -> Result<Number, prometheus::Error> {
            let number = number?;
            registry.register(Box::new(number.clone()))?;
            Ok(number)
        }
        let counters = |name: &str, help: &str, labels: &[&str]| {
            with(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str| with(registry, IntCounter::new(name, help));
        let times = HistogramOpts::new("muster_lobby_call_seconds", "Time of calls, by call")
            .buckets(vec![
                0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
            ]);
        let numbers = Numbers {
            calls: counters(
                "muster_lobby_calls_total",
                "Calls, by call and outcome: \"ok\" or the code of the failure",
                &["call", "outcome"],
            )?,
            call_times: with(registry, HistogramVec::new(times, &["call"]))?,
            sockets: with(
                registry,
                IntGauge::new("muster_lobby_sockets", "Open sockets of clients"),
            )?,
            ended: counters(
                "muster_lobby_sockets_ended_total",
                "Sockets that ended, by reason",
                &["reason"],
            )?,
            resumed: counter(
                "muster_lobby_sessions_resumed_total",
                "Sessions that went on over a new socket",
            )?,
            events: counter(
                "muster_lobby_events_sent_total",
                "Events that were sent to clients",
            )?,
            connections: with(
                registry,
                IntGauge::new("muster_lobby_connections", "Open connections"),
            )?,
            echoes: counters(
                "muster_lobby_echoes_total",
                "Datagrams that came to be sent back, by outcome",
                &["outcome"],
            )?,
        };
        Ok(Self {
            numbers: Some(Arc::new(numbers)),
        })
    }

    /// A call was answered.
    pub fn called<Answer>(&self, call: &str, outcome: &Result<Answer, Failure>, took: Duration) {
        if let Some(numbers) = &self.numbers {
            let outcome = match outcome {
                Ok(_) => "ok",
                Err(failure) => failure.code.name(),
            };
            numbers.calls.with_label_values(&[call, outcome]).inc();
            numbers
                .call_times
                .with_label_values(&[call])
                .observe(took.as_secs_f64());
        }
    }

    /// A socket is open, until what this returns is dropped.
    pub fn socket(&self) -> OpenSocket {
        if let Some(numbers) = &self.numbers {
            numbers.sockets.inc();
        }
        OpenSocket(self.clone())
    }

    /// A socket ended.
    pub fn ended(&self, reason: &str) {
        if let Some(numbers) = &self.numbers {
            numbers.ended.with_label_values(&[reason]).inc();
        }
    }

    /// A session went on.
    pub fn resumed(&self) {
        if let Some(numbers) = &self.numbers {
            numbers.resumed.inc();
        }
    }

    /// An event was sent.
    pub fn sent(&self) {
        if let Some(numbers) = &self.numbers {
            numbers.events.inc();
        }
    }

    /// A datagram came to be sent back.
    pub fn echoed(&self, outcome: &str) {
        if let Some(numbers) = &self.numbers {
            numbers.echoes.with_label_values(&[outcome]).inc();
        }
    }

    /// A connection was opened, or closed.
    pub fn connected(&self, change: i64) {
        if let Some(numbers) = &self.numbers {
            numbers.connections.add(change);
        }
    }
}
