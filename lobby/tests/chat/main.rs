//! The chat, from calls to the store.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod channels;
mod lines;
mod moderation;
mod moderators;
mod retention;
mod world;
