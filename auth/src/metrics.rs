//! Numbers for operators. No label names a player, an address or a device.

pub mod counted;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The numbers of one process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    logins: IntCounterVec,
    reconnects: Histogram,
    failed_reconnects: IntCounter,
    validations: Histogram,
    failed_validations: IntCounter,
    events: IntCounterVec,
    audit_lost: IntCounter,
    mails_lost: IntCounter,
    followers: IntGauge,
    connections: IntGaugeVec,
}

/// Makes numbers that are registered.
struct Registered<'registry>(&'registry Registry);

impl Registered<'_> {
    fn with<Number: Collector + Clone + 'static>(
        &self,
        number: Result<Number, prometheus::Error>,
    ) -> Result<Number, prometheus::Error> {
        let number = number?;
        self.0.register(Box::new(number.clone()))?;
        Ok(number)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.with(IntCounter::new(name, help))
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.with(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn times(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.with(Histogram::with_opts(options))
    }
}

impl Metrics {
    /// Registers every number.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let all = Registered(registry);
        Ok(Self {
            logins: all.counters(
                "muster_auth_login_attempts_total",
                "Attempts to sign in, by method and outcome",
                &["method", "outcome"],
            )?,
            reconnects: all.times(
                "muster_session_reconnect_time_ms",
                "Time to find the session of a reconnection token, in milliseconds",
                &[0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0],
            )?,
            failed_reconnects: all.counter(
                "muster_session_reconnects_refused_total",
                "Reconnection tokens that were refused",
            )?,
            validations: all.times(
                "muster_token_validation_latency_seconds",
                "Time to validate an access token",
                &[
                    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025,
                    0.1, 1.0,
                ],
            )?,
            failed_validations: all.counter(
                "muster_token_validations_refused_total",
                "Access tokens that were refused",
            )?,
            events: all.counters(
                "muster_auth_events_total",
                "Lines of the audit log, by event and outcome",
                &["event", "outcome"],
            )?,
            audit_lost: all.counter(
                "muster_auth_audit_lines_lost_total",
                "Lines that the audit log could not take",
            )?,
            mails_lost: all.counter(
                "muster_auth_mails_lost_total",
                "Mails that were asked for and not handed on",
            )?,
            followers: all.with(IntGauge::new(
                "muster_auth_followers",
                "Verifiers that follow keys and revocations",
            ))?,
            connections: all.with(IntGaugeVec::new(
                Opts::new("muster_auth_connections", "Open connections, by port"),
                &["port"],
            ))?,
        })
    }

    /// An attempt to sign in.
    pub fn logged_in(&self, method: &str, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.logins.with_label_values(&[method, outcome]).inc();
    }

    /// A reconnection token was shown.
    pub fn reconnected(&self, success: bool, took: Duration) {
        if success {
            self.reconnects.observe(took.as_secs_f64() * 1e3);
        } else {
            self.failed_reconnects.inc();
        }
    }

    /// An access token was validated.
    pub fn validated(&self, success: bool, took: Duration) {
        self.validations.observe(took.as_secs_f64());
        if !success {
            self.failed_validations.inc();
        }
    }

    /// A line of the audit log.
    pub fn audited(&self, event: &str, outcome: &str) {
        self.events.with_label_values(&[event, outcome]).inc();
    }

    /// Lines that the audit log could not take.
    pub fn audit_lost(&self, lines: usize) {
        self.audit_lost
            .inc_by(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    /// A mail that was not handed on.
    pub fn mail_lost(&self) {
        self.mails_lost.inc();
    }

    /// Open connections of a port.
    pub fn connections(&self, port: &str) -> IntGauge {
        self.connections.with_label_values(&[port])
    }

    /// A verifier follows, until this is dropped.
    pub fn follower(&self) -> Follower {
        self.followers.inc();
        Follower(self.followers.clone())
    }
}

/// A verifier that follows.
#[derive(Debug)]
pub struct Follower(IntGauge);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.dec();
    }
}
