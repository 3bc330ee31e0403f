//! The operator: controllers that keep GameServers, sets, fleets, autoscalers and match
//! allocations as they should be, and the hub to which every SDK server is connected.
//!
//! Every replica keeps warm caches and serves the hub; only the holder of the lease runs the
//! controllers. Each controller has five phases: `desired` and `observe` gather, `plan` decides
//! and is pure, `apply` writes, `status` reports.
//!
//! Start reading at [`run`], then `gameserverset`.

mod api;
mod args;
mod autoscaler;
mod cache;
mod conditions;
mod config;
mod console;
mod controller;
mod error;
mod events;
#[cfg(test)]
mod fake;
mod fleet;
mod gameserver;
mod gameserverset;
mod hub;
mod leader;
mod matchallocation;
mod metrics;
#[cfg(test)]
mod model;
mod namespaces;
mod nodes;
mod ordinals;
mod pace;
mod ports;
mod queue;
mod run;
mod world;

pub use args::Args;
pub use config::Config;
pub use hub::{Hub, Session};
pub use run::{Error, Replica, run};
