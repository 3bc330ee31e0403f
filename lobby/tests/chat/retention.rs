//! What is kept, and for how long.

use std::time::Duration;

use lobby::chat::retention::{self, Forgotten};
use lobby::ids::PlayerId;
use lobby::live::Live as _;
use lobby::store::AuditLine;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{World, ago, now};

const DAY: Duration = Duration::from_hours(24);

/// A lobby that keeps lines for 30 days and the audit log for 60, with one of each for every ten
/// days.
async fn world() -> World {
    let world = World::with(|settings| {
        settings.chat_retention = 30 * DAY;
        settings.audit_retention = 60 * DAY;
    })
    .await;
    let player = PlayerId(Uuid::new_v4());
    for days in [90, 80, 70, 50, 40, 20, 10] {
        let at = ago(days * DAY);
        world
            .store
            .add_line("global:english", player, "hello", at)
            .await
            .unwrap();
        let line = AuditLine {
            at,
            actor: None,
            subject: Some(player),
            event: "mute",
            detail: json!({ "days": days }),
        };
        world.store.audit(&line).await.unwrap();
    }
    world
}

async fn kept(world: &World) -> (Vec<u64>, usize) {
    let lines = world
        .store
        .lines("global:english", None, 100)
        .await
        .unwrap();
    let lines = lines.into_iter().map(|line| line.number).collect();
    (lines, world.audit().await.len())
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_forgotten() {
    let world = world().await;
    let forgotten = retention::round(&world.service, now()).await.unwrap();
    assert_eq!(forgotten, Forgotten { lines: 5, audit: 3 });
    assert_eq!(kept(&world).await, (vec![6, 7], 4));
    let again = retention::round(&world.service, now()).await.unwrap();
    assert_eq!(again, Forgotten::default());
    // Numbers go on.
    let player = PlayerId(Uuid::new_v4());
    let line = world
        .store
        .add_line("global:english", player, "hi", now())
        .await
        .unwrap();
    assert_eq!(line.number, 8);
}

#[tokio::test]
async fn one_lobby_at_a_time_forgets() {
    let world = world().await;
    let other = Uuid::new_v4();
    let lease = "chat-retention";
    let fence = world.live.lease(lease, other, DAY).await.unwrap();
    assert!(fence.is_some());
    let forgotten = retention::round(&world.service, now()).await.unwrap();
    assert_eq!(forgotten, Forgotten::default());
    assert_eq!(kept(&world).await.0.len(), 7);
    world.live.release(lease, other).await.unwrap();
    let forgotten = retention::round(&world.service, now()).await.unwrap();
    assert_eq!(forgotten.lines, 5);
}

#[tokio::test]
async fn it_begins_at_once_and_gives_the_lease_back_at_the_end() {
    let world = world().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(retention::run(world.service.clone(), stop.clone()));
    let done = async {
        while kept(&world).await != (vec![6, 7], 4) {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, done).await.unwrap();
    stop.cancel();
    tokio::time::timeout(limit, running).await.unwrap().unwrap();
    let lease = world
        .live
        .lease("chat-retention", Uuid::new_v4(), DAY)
        .await
        .unwrap();
    assert!(lease.is_some());
}
