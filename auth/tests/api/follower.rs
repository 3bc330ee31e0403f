//! A verifier that follows the real service.

use std::sync::Arc;
use std::time::Duration;

use access::follow::{Follower, Settings};
use access::{Refusal, Verifier};
use auth::live::News;
use runtime::clock::now;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::grpc::channel;
use crate::world::{ISSUER, SERVICE, SOON, World};

/// How soon a revocation must be known everywhere.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn until(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(time, look).await;
    assert!(in_time.is_ok(), "{what} takes longer than {time:?}");
}

#[tokio::test]
async fn a_follower_knows_keys_revocations_and_changes_at_once() {
    let world = World::new().await;
    let verifier = Arc::new(Verifier::new(ISSUER, "auth"));
    let follower = Follower::new(channel(&world), Arc::clone(&verifier), Settings::default());
    let follower = follower.with_token(SERVICE).unwrap();
    let (mut status, mut changes) = (follower.status(), follower.changes());
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    let synced = status.wait_for(|status| status.is_synced);
    tokio::time::timeout(SOON, synced).await.unwrap().unwrap();

    let tokens = world.guest("a device of nobody").await;
    let claims = verifier.check(now(), &tokens.access_token).unwrap();
    assert_eq!(claims.sid.to_string(), tokens.session_id);
    world
        .post("/logout")
        .bearer(&tokens.access_token)
        .send()
        .await
        .good();
    until(AT_ONCE, "a revocation", || {
        verifier.check(now(), &tokens.access_token).err() == Some(Refusal::Revoked)
    })
    .await;

    let player = tokens.player_id.parse().unwrap();
    let roles = vec!["moderator".to_owned()];
    world
        .service
        .set_data(player, Some(roles.clone()), Some(json!({})))
        .await
        .unwrap();
    let changed = tokio::time::timeout(AT_ONCE, changes.recv()).await;
    let changed = changed.unwrap().unwrap();
    assert_eq!((changed.player, &changed.roles), (player, &roles));

    world.signing.rotate(now()).await.unwrap();
    let fresh = world.guest("a device of nobody").await.access_token;
    until(AT_ONCE, "a key", || verifier.check(now(), &fresh).is_ok()).await;

    // News were missed: it begins anew, and by that knows everything again.
    assert_eq!(status.borrow_and_update().ended, 0);
    world.live.publish(&News::Missed).await.unwrap();
    let again = status.wait_for(|status| status.ended == 1 && status.is_synced);
    tokio::time::timeout(SOON, again).await.unwrap().unwrap();
    assert_eq!(status.borrow().malformed, 0);
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_follower_without_a_token_is_refused() {
    let world = World::new().await;
    let verifier = Arc::new(Verifier::new(ISSUER, "game"));
    let follower = Follower::new(channel(&world), verifier, Settings::default());
    let mut status = follower.status();
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    let ended = status.wait_for(|status| status.ended > 0);
    let ended = tokio::time::timeout(SOON, ended).await.unwrap().unwrap();
    assert_eq!(ended.current, None);
    drop(ended);
    stop.cancel();
    following.await.unwrap();
}
