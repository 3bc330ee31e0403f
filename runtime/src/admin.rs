//! The admin server: liveness, readiness with named gates, and metrics.
//!
//! First up and last down, also on standbys.

pub mod live;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What must be true before a service is ready, and its metrics.
#[derive(Clone, Debug)]
pub struct Admin {
    gates: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
    registry: Registry,
    /// What a service adds.
    more: Router,
}

impl Default for Admin {
    fn default() -> Self {
        let registry = Registry::new();
        #[cfg(feature = "trace")]
        if let Some(counts) = crate::trace::counts() {
            // The registry is empty, so that the name is not taken.
            registry.register(Box::new(counts.clone())).ok();
        }
        Self {
            gates: Arc::default(),
            registry,
            more: Router::new(),
        }
    }
}

impl Admin {
    /// Adds a gate that is closed with `reason` until [`Admin::open`] is called.
    pub fn close(&self, gate: &'static str, reason: impl Into<String>) {
        self.lock().insert(gate, Some(reason.into()));
    }

    /// Opens a gate.
    pub fn open(&self, gate: &'static str) {
        self.lock().insert(gate, None);
    }

    /// Returns the closed gates with their reasons; empty when the service is ready.
    pub fn closed(&self) -> Vec<(&'static str, String)> {
        let gates = self.lock();
        gates
            .iter()
            .filter_map(|(name, reason)| Some((*name, reason.clone()?)))
            .collect()
    }

    /// Serves these routes too.
    #[must_use]
    pub fn with_routes(mut self, routes: Router) -> Self {
        self.more = self.more.merge(routes);
        self
    }

    /// The registry of this process's metrics.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Serves until the token is cancelled.
    pub async fn serve(self, address: SocketAddr, stop: CancellationToken) -> std::io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        tracing::info!(address = %listener.local_addr()?, "Serving health and metrics");
        axum::serve(listener, self.router())
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    }

    /// The routes; `/health`, `/live` and `/ready` are aliases.
    pub fn router(self) -> Router {
        let live = || async { "ok\n" };
        let more = self.more.clone();
        Router::new()
            .route("/livez", get(live))
            .route("/live", get(live))
            .route("/health", get(live))
            .route("/readyz", get(ready))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
            .merge(more)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let closed = admin.closed();
    if closed.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines: Vec<_> = closed
        .iter()
        .map(|(gate, reason)| format!("{gate}: {reason}"))
        .collect();
    let lines = lines.join(
        "
",
    ) + "
";
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

async fn metrics(State(admin): State<Admin>) -> Result<String, StatusCode> {
    TextEncoder::new()
        .encode_to_string(&admin.registry.gather())
        .map_err(|error| {
            tracing::error!(%error, "Metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_gate_is_open() {
        let admin = Admin::default();
        admin.close("crds", "fleets.muster.dev is missing");
        admin.close("caches", "not synced");
        admin.open("caches");
        assert_eq!(
            admin.closed(),
            [("crds", "fleets.muster.dev is missing".to_owned())]
        );
        admin.open("crds");
        assert!(admin.closed().is_empty());
    }
}
