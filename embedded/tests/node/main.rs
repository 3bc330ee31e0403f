//! The process-based node with real processes and the API server in the process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

mod cluster;
mod orphans;
mod pods;
mod simulated;
