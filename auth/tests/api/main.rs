//! The whole service in this process, over SQLite and memory, on real sockets: what clients and
//! services see of it.
//!
//! Every answer over HTTP is checked against the description of the service as it comes
//! ([`document`]), whatever its test is about.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]
#![expect(
    clippy::similar_names,
    reason = "what begins and what has begun are named so"
)]

mod accounts;
mod audit;
#[path = "../../src/factors/passkey/tests/authenticator.rs"]
mod authenticator;
mod bodies;
mod commands;
mod document;
mod elsewhere;
mod factors;
mod follower;
mod grpc;
mod identities;
#[expect(
    dead_code,
    reason = "most of its faults are for the tests of providers"
)]
#[path = "../idp/mod.rs"]
mod idp;
mod key;
mod limits;
#[path = "../servers/log.rs"]
mod log;
mod mutual;
mod operations;
mod sessions;
mod socket;
mod tokens;
#[path = "../totp/app.rs"]
mod totp;
mod traces;
mod world;
