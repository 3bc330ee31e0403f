//! Refreshing, listing and ending sessions; coming back to a game server.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::muster::auth::v1 as wire;
use serde_json::{Value, json};

use crate::grpc;
use crate::world::{Call, Tokens, World};

const DEVICE: &str = "a device of nobody";

fn refresh<'world>(world: &'world World, token: &str, request: Option<&str>) -> Call<'world> {
    let body = json!({"refresh_token": token, "request_id": request});
    world.post("/token/refresh").json(&body)
}

/// When an access token was made, as it says.
fn made(tokens: &Tokens) -> i64 {
    let payload = tokens.access_token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["iat"].as_i64().unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let world = World::new().await;
    let first = world.guest(DEVICE).await;
    let other = world.guest(DEVICE).await;
    let second = refresh(&world, &first.refresh_token, None).send().await;
    let second = second.tokens();
    assert_eq!(second.session_id, first.session_id);
    assert_ne!(second.refresh_token, first.refresh_token);
    // An honest retry within its time, by its request's id alone.
    for token in [&first.refresh_token, &second.refresh_token] {
        let refused = refresh(&world, token, None).refused(401).await;
        assert_eq!(refused, "invalid_token");
    }
    let me = world.get("/me").bearer(&second.access_token);
    assert_eq!(me.refused(401).await, "invalid_token");
    // The player's other session lives.
    let me = world.get("/me").bearer(&other.access_token);
    me.send().await.good();
}

#[tokio::test]
async fn a_retry_by_its_request_gets_the_same_successor() {
    let world = World::new().await;
    let first = world.guest(DEVICE).await.refresh_token;
    let once = refresh(&world, &first, Some("r1")).send().await.tokens();
    world.pass(Duration::from_secs(3)).await;
    let again = refresh(&world, &first, Some("r1")).send().await.tokens();
    assert_eq!(once.refresh_token, again.refresh_token);
    // Of the time that the store knows, which a revocation of everything covers.
    assert_eq!(made(&once), made(&again));
    let next = refresh(&world, &once.refresh_token, Some("r2"))
        .send()
        .await;
    next.tokens();
    for id in ["", &"x".repeat(65)] {
        let reply = refresh(&world, &first, Some(id)).send().await;
        assert_eq!(reply.json()["error"]["field"], "request_id");
    }
    // Another request is no retry.
    let refused = refresh(&world, &once.refresh_token, Some("r3")).refused(401);
    assert_eq!(refused.await, "invalid_token");
}

#[tokio::test]
async fn a_retry_after_its_time_is_a_reuse() {
    let world = World::new().await;
    let first = world.guest(DEVICE).await.refresh_token;
    refresh(&world, &first, Some("r1")).send().await.tokens();
    world.pass(Duration::from_secs(11)).await;
    let refused = refresh(&world, &first, Some("r1")).refused(401).await;
    assert_eq!(refused, "invalid_token");
}

#[tokio::test]
async fn forged_refresh_tokens_are_refused() {
    let world = World::new().await;
    let token = world.guest(DEVICE).await.refresh_token;
    let flipped = if token.ends_with('A') { "Q" } else { "A" };
    let middle = token.len() / 2;
    let changed = if &token[middle..=middle] == "x" {
        "y"
    } else {
        "x"
    };
    for forged in [
        String::new(),
        "x".repeat(10_000),
        format!("{}{flipped}", &token[..token.len() - 1]),
        format!("{}{changed}{}", &token[..middle], &token[middle + 1..]),
        format!("{token}A"),
    ] {
        let refused = refresh(&world, &forged, None).refused(401).await;
        assert_eq!(refused, "invalid_token", "{forged:.200}");
    }
    refresh(&world, &token, None).send().await.tokens();
}

async fn ids(world: &World, of: &Tokens) -> Vec<String> {
    let reply = world.get("/sessions").bearer(&of.access_token).send().await;
    let sessions = reply.good()["sessions"].as_array().unwrap().clone();
    for session in &sessions {
        assert_eq!(session["current"], session["session_id"] == of.session_id);
        assert_eq!(session["ip"], "127.0.0.1");
    }
    let id = |session: &Value| session["session_id"].as_str().unwrap().to_owned();
    sessions.iter().map(id).collect()
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_and_all_at_once() {
    let world = World::new().await;
    let stranger = world.guest("a device of a stranger").await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(world.guest(DEVICE).await);
        world.pass(Duration::from_millis(10)).await;
    }
    let own = &all[0];
    let newest_first: Vec<_> = all.iter().rev().map(|one| one.session_id.clone()).collect();
    assert_eq!(ids(&world, own).await, newest_first);
    let end = |id: &str| {
        let call = world.delete(&format!("/sessions/{id}"));
        call.bearer(&own.access_token)
    };
    assert_eq!(end(&all[3].session_id).send().await.good()["ended"], 1);
    assert_eq!(end(&all[3].session_id).refused(404).await, "not_found");
    assert_eq!(end(&stranger.session_id).refused(404).await, "not_found");
    let rest = world.delete("/sessions").bearer(&own.access_token);
    assert_eq!(rest.send().await.good()["ended"], 2);
    assert_eq!(
        ids(&world, own).await,
        std::slice::from_ref(&own.session_id)
    );
    for ended in &all[1..] {
        let me = world.get("/me").bearer(&ended.access_token);
        assert_eq!(me.refused(401).await, "invalid_token");
    }
    world
        .get("/me")
        .bearer(&stranger.access_token)
        .send()
        .await
        .good();
}

#[tokio::test]
async fn a_logout_ends_the_session_that_it_names() {
    let world = World::new().await;
    let (one, two) = (world.guest(DEVICE).await, world.guest(DEVICE).await);
    let (three, four) = (world.guest(DEVICE).await, world.guest(DEVICE).await);
    let logout = || world.post("/logout");
    let ended = async |call: Call<'_>| call.send().await.good()["ended"].clone();
    // By the token of the call; by the refresh token; everywhere.
    assert_eq!(ended(logout().bearer(&one.access_token)).await, 1);
    let again = logout().bearer(&one.access_token).refused(401).await;
    assert_eq!(again, "invalid_token");
    let body = json!({"refresh_token": two.refresh_token});
    assert_eq!(ended(logout().json(&body)).await, 1);
    assert_eq!(ended(logout().json(&body)).await, 0);
    assert_eq!(logout().refused(401).await, "invalid_token");
    let everywhere = json!({"everywhere": true});
    assert_eq!(
        logout().json(&everywhere).refused(401).await,
        "invalid_token"
    );
    let call = logout().bearer(&three.access_token).json(&everywhere);
    assert_eq!(ended(call).await, 2);
    for tokens in [one, two, three, four] {
        let me = world.get("/me").bearer(&tokens.access_token);
        assert_eq!(me.refused(401).await, "invalid_token");
    }
}

#[tokio::test]
async fn a_reconnection_token_brings_back_once_within_its_time() {
    let world = World::new().await;
    let player = world.guest(DEVICE).await;
    let mut service = grpc::service(&world);
    let mut issue = async || {
        let request = wire::IssueReconnectionRequest {
            player_id: player.player_id.clone(),
            session_id: player.session_id.clone(),
            game_server: "203.0.113.7:7012".to_owned(),
        };
        let issued = service.issue_reconnection(request).await.unwrap();
        issued.into_inner().reconnection_token
    };
    let back = |token: &str| {
        let body = json!({"reconnection_token": token});
        world.post("/reconnect").json(&body)
    };
    let token = issue().await;
    assert_eq!(
        back(&token).send().await.good(),
        json!({
            "player_id": player.player_id,
            "session_id": player.session_id,
            "game_server": "203.0.113.7:7012",
        })
    );
    assert_eq!(back(&token).refused(410).await, "expired");
    let late = issue().await;
    world.pass(Duration::from_secs(31)).await;
    assert_eq!(back(&late).refused(410).await, "expired");
    let fresh = issue().await;
    let changed = if fresh.ends_with('A') { "Q" } else { "A" };
    for forged in [
        String::new(),
        "AAAA".to_owned(),
        format!("{}{changed}", &fresh[..fresh.len() - 1]),
    ] {
        assert_eq!(back(&forged).refused(401).await, "invalid_token");
    }
    // Nothing of that cost the good one; the end of the session does.
    world
        .post("/logout")
        .bearer(&player.access_token)
        .send()
        .await
        .good();
    assert_eq!(back(&fresh).refused(401).await, "invalid_token");
}

#[tokio::test]
async fn a_refresh_token_reconnects_as_it_refreshes() {
    let world = World::new().await;
    let first = world.guest(DEVICE).await;
    let body = json!({"refresh_token": first.refresh_token, "request_id": "r1"});
    let back = || world.post("/reconnect").json(&body);
    let second = back().send().await.tokens();
    assert_eq!(second.session_id, first.session_id);
    let again = back().send().await.tokens();
    assert_eq!(second.refresh_token, again.refresh_token);
}
