//! The whole service against a model of it, beside a second replica, and over databases that fail.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where and how much it did"
)]

#[path = "../servers/postgres.rs"]
mod cluster;
mod credentials;
mod faults;
mod likeness;
mod machine;
mod replica;
mod replicas;
mod spending;
mod world;
