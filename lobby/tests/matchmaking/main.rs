//! From tickets to matches, through calls and events, with lobbies that die and live state that
//! forgets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod entry;
mod faults;
mod journey;
mod live;
mod recording;
mod store;
mod world;
