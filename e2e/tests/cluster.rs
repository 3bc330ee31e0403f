//! The black-box suites against a real cluster: KUBECONFIG names it, Muster is installed in it.
//!
//! They run with `--features cluster`; without it there is nothing here, so that the ordinary
//! tests need no cluster. With the feature and without a cluster every test fails and says why.
#![cfg(feature = "cluster")]
#![expect(
    clippy::large_futures,
    reason = "tests hold whole manifests, and run one at a time"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "cluster/harness.rs"]
mod harness;

#[path = "cluster/allocation.rs"]
mod allocation;
#[path = "cluster/auth.rs"]
mod auth;
#[path = "cluster/auth_databases.rs"]
mod auth_databases;
#[path = "cluster/autoscaling.rs"]
mod autoscaling;
#[path = "cluster/crash_loop.rs"]
mod crash_loop;
#[path = "cluster/definitions.rs"]
mod definitions;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/fleet.rs"]
mod fleet;
#[path = "cluster/health.rs"]
mod health;
#[path = "cluster/matches.rs"]
mod matches;
#[path = "cluster/namespaces.rs"]
mod namespaces;
#[path = "cluster/node_loss.rs"]
mod node_loss;
#[path = "cluster/nodes.rs"]
mod nodes;
#[path = "cluster/outage.rs"]
mod outage;
#[path = "cluster/players.rs"]
mod players;
#[path = "cluster/policies.rs"]
mod policies;
#[path = "cluster/ports.rs"]
mod ports;
#[path = "cluster/rollout.rs"]
mod rollout;
#[path = "cluster/sdk.rs"]
mod sdk;
#[path = "cluster/tokens.rs"]
mod tokens;
