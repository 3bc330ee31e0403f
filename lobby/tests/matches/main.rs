//! From a proposed match to its result, over the real store of the embedded mode and fakes of the
//! allocator and of auth.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod asking;
mod flaky;
mod following;
mod placing;
mod world;
