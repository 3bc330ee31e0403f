//! Access tokens: who may use them, and for what.

use serde_json::json;

use crate::key::Key;
use crate::world::{Call, SERVICE, World};

const DEVICE: &str = "a device of nobody";

fn validate<'world>(world: &'world World, token: &str, audience: Option<&str>) -> Call<'world> {
    let body = json!({"access_token": token, "audience": audience});
    world.post("/validate").json(&body)
}

#[tokio::test]
async fn a_good_token_says_who_it_is_for_its_own_audiences() {
    let world = World::new().await;
    let login = world.post("/login").json(&json!({"device_id": DEVICE}));
    let tokens = login.send().await.tokens();
    let claims = validate(&world, &tokens.access_token, None)
        .send()
        .await
        .good();
    assert_eq!(claims["player_id"], tokens.player_id);
    assert_eq!(claims["session_id"], tokens.session_id);
    assert!(claims["expires_at"].as_i64().unwrap() > runtime::clock::now().as_second());
    assert_eq!(claims["audiences"], json!(["game"]));
    let game = validate(&world, &tokens.access_token, Some("game"));
    game.send().await.good();
    for other in ["bank", "auth"] {
        let other = validate(&world, &tokens.access_token, Some(other));
        assert_eq!(other.refused(401).await, "invalid_token");
    }
    let body = json!({"refresh_token": tokens.refresh_token});
    world.post("/logout").json(&body).send().await.good();
    let ended = validate(&world, &tokens.access_token, None);
    assert_eq!(ended.refused(401).await, "invalid_token");
}

#[tokio::test]
async fn a_token_ends_with_its_time() {
    let world = World::new().await;
    let tokens = world.guest(DEVICE).await;
    world.pass(std::time::Duration::from_mins(16)).await;
    let late = validate(&world, &tokens.access_token, None);
    assert_eq!(late.refused(401).await, "invalid_token");
}

#[tokio::test]
async fn a_bound_token_is_useless_without_its_key() {
    let world = World::new().await;
    let (key, other) = (Key::new(), Key::new());
    let body = json!({"device_id": DEVICE, "client": {"audiences": ["auth"]}});
    let login = world.post("/login").json(&body).proof(&key);
    let tokens = login.send().await.tokens();
    assert_eq!(tokens.token_type, "DPoP");
    let token = &tokens.access_token;
    let me = || world.get("/me");
    me().bound(token, &key).send().await.good();
    assert_eq!(me().bearer(token).refused(401).await, "invalid_dpop_proof");
    let refused = me().bound(token, &other).refused(401).await;
    assert_eq!(refused, "invalid_dpop_proof");
    let authorized = || me().header("authorization", &format!("DPoP {token}"));
    assert_eq!(authorized().refused(401).await, "invalid_dpop_proof");
    // As a bearer token with a good proof: it was not sent by who knows what it is.
    let proof = key.proof("GET", "/me", Some(token), None);
    let sent = me().bearer(token).header("dpop", &proof);
    assert_eq!(sent.refused(401).await, "invalid_token");
    for (method, path, of, why) in [
        ("POST", "/me", Some(token.as_str()), "another method"),
        ("GET", "/sessions", Some(token.as_str()), "another path"),
        ("GET", "/me", Some("another"), "another token"),
        ("GET", "/me", None, "no token"),
    ] {
        let proof = key.proof(method, path, of, None);
        let refused = authorized().header("dpop", &proof).refused(401).await;
        assert_eq!(refused, "invalid_dpop_proof", "{why}");
    }
    // A good proof, twice.
    let proof = key.proof("GET", "/me", Some(token), None);
    let sent = || authorized().header("dpop", &proof);
    sent().send().await.good();
    assert_eq!(sent().refused(401).await, "invalid_dpop_proof");
    // Two proofs in one call.
    let (one, two) = (
        key.proof("GET", "/me", Some(token), None),
        key.proof("GET", "/me", Some(token), None),
    );
    let both = authorized().header("dpop", &one).header("dpop", &two);
    assert_eq!(both.refused(401).await, "invalid_dpop_proof");
    // A token that is not bound gains nothing by a scheme.
    let free = world.guest("a device of a stranger").await.access_token;
    let refused = me().header("authorization", &format!("DPoP {free}"));
    assert_eq!(refused.refused(401).await, "invalid_token");
}

#[tokio::test]
async fn a_bound_token_is_validated_with_a_proof_or_by_a_service() {
    let world = World::new().await;
    let key = Key::new();
    let body = json!({"device_id": DEVICE});
    let login = world.post("/login").json(&body).proof(&key);
    let token = login.send().await.tokens().access_token;
    let refused = validate(&world, &token, None).refused(401).await;
    assert_eq!(refused, "invalid_dpop_proof");
    let proof = key.proof("POST", "/validate", Some(&token), None);
    let proven = || validate(&world, &token, None).header("dpop", &proof);
    proven().send().await.good();
    assert_eq!(proven().refused(401).await, "invalid_dpop_proof");
    validate(&world, &token, None)
        .bearer(SERVICE)
        .send()
        .await
        .good();
    let stranger = validate(&world, &token, None).bearer("a-service-of-others");
    assert_eq!(stranger.refused(401).await, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_device_that_came_with_a_key_must_come_with_it_always() {
    let world = World::new().await;
    let key = Key::new();
    let login = || world.post("/login").json(&json!({"device_id": DEVICE}));
    let first = login().proof(&key).send().await.tokens();
    let again = login().proof(&key).send().await.tokens();
    assert_eq!(again.player_id, first.player_id);
    assert_eq!(login().refused(401).await, "invalid_credentials");
    let other = login().proof(&Key::new()).refused(401).await;
    assert_eq!(other, "invalid_credentials");
}

#[tokio::test]
async fn a_bound_refresh_token_needs_its_key_and_a_retry_no_more() {
    let world = World::new().await;
    let key = Key::new();
    let login = world.post("/login").json(&json!({"device_id": DEVICE}));
    let first = login.proof(&key).send().await.tokens();
    let body = json!({"refresh_token": first.refresh_token});
    let refresh = || world.post("/token/refresh").json(&body);
    assert_eq!(refresh().refused(401).await, "invalid_dpop_proof");
    let other = refresh().proof(&Key::new()).refused(401).await;
    assert_eq!(other, "invalid_dpop_proof");
    let second = refresh().proof(&key).send().await.tokens();
    let again = refresh().proof(&key).send().await.tokens();
    assert_eq!(again.refresh_token, second.refresh_token);
    assert_eq!(again.token_type, "DPoP");
}

#[tokio::test]
async fn clients_of_a_class_may_be_made_to_prove_a_key() {
    let classes = json!([
        {"name": "web", "dpop": "Required", "audiences": ["game"]},
        {"name": "old", "dpop": "Optional", "audiences": ["game", "shop"]},
    ]);
    let world = World::with(&json!({"classes": classes})).await;
    let login = |class: &str| {
        let client = json!({"class": class, "audiences": ["game"]});
        let body = json!({"device_id": DEVICE, "client": client});
        world.post("/login").json(&body)
    };
    assert_eq!(login("web").refused(401).await, "invalid_dpop_proof");
    let bound = login("web").proof(&Key::new()).send().await.tokens();
    assert_eq!(bound.token_type, "DPoP");
}

#[tokio::test]
async fn proofs_carry_a_nonce_where_that_is_demanded() {
    let world = World::with(&json!({"dpopNonces": true})).await;
    let key = Key::new();
    let login = |nonce: Option<&str>| {
        let proof = key.proof("POST", "/login", None, nonce);
        let call = world.post("/login").json(&json!({"device_id": DEVICE}));
        call.header("dpop", &proof)
    };
    let asked = login(None).send().await;
    assert_eq!((asked.status, &*asked.code()), (401, "use_dpop_nonce"));
    let nonce = asked.header("dpop-nonce").unwrap().to_owned();
    let foreign = login(Some("made up")).send().await;
    assert_eq!(foreign.code(), "use_dpop_nonce");
    assert!(foreign.header("dpop-nonce").is_some());
    login(Some(&nonce)).send().await.tokens();
    world.pass(std::time::Duration::from_mins(5)).await;
    assert_eq!(login(Some(&nonce)).refused(401).await, "use_dpop_nonce");
}
