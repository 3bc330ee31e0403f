//! The way in, over real sockets: sessions, calls and events, HTTP, and how each ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod client;
mod documents;
mod ends;
mod hello;
mod http;
mod resume;
mod talk;
mod world;
