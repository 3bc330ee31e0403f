//! The process-based node with real processes and the API server in the process.

mod cluster;
mod orphans;
mod pods;
mod simulated;
