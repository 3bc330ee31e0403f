//! The live state: one contract for memory, Valkey and a cluster of Valkey; and what Valkey's
//! absence does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod cases;

use std::time::Duration;

use lobby::live::memory::Memory;

/// Waits until it is so; fails when that takes absurdly long.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract() {
    cases::are_kept(&Memory::default()).await;
}
