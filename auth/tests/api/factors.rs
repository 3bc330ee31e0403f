//! Second steps and passkeys.

use std::time::Duration;

use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::totp;
use crate::world::{ISSUER, PASSWORD, World, secret};

const ADA: &str = "ada@example.com";

/// The code of an authenticator at this moment.
pub(crate) fn code(secret: &str) -> String {
    totp::code(secret, runtime::clock::now())
}

/// Sets an authenticator up: its secret and recovery codes.
pub(crate) async fn enroll(world: &World, token: &str) -> (String, Vec<String>) {
    let enroll = world.post("/totp").bearer(token);
    let made = enroll
        .json(&json!({"password": PASSWORD}))
        .send()
        .await
        .good();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(made["uri"].as_str().unwrap().contains(&secret));
    let codes = serde_json::from_value(made["recovery_codes"].clone()).unwrap();
    let confirm = world.post("/totp/confirm").bearer(token);
    confirm
        .json(&json!({"code": code(&secret)}))
        .send()
        .await
        .done();
    (secret, codes)
}

pub(crate) async fn challenge(world: &World) -> String {
    let answer = world.login(ADA, PASSWORD).send().await.good();
    assert_eq!(answer["methods"], json!(["totp", "recovery_code"]));
    assert!(answer.get("access_token").is_none());
    answer["challenge"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_second_step_is_asked_for_and_each_code_is_good_once() {
    let world = World::new().await;
    let token = world.player(ADA).await.access_token;
    let enroll_again = || world.post("/totp").bearer(&token);
    let reply = enroll_again().send().await;
    assert_eq!(reply.json()["error"]["field"], "password");
    let (secret, codes) = enroll(&world, &token).await;
    let refused = enroll_again()
        .json(&json!({"password": PASSWORD}))
        .refused(409);
    assert_eq!(refused.await, "conflict");
    let step = |challenge: &str, code: &str| {
        let body = json!({"challenge": challenge, "code": code});
        world.post("/login").json(&body)
    };
    // The code that confirmed it was used.
    let handle = challenge(&world).await;
    let refused = step(&handle, &code(&secret)).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    world.pass(Duration::from_mins(1)).await;
    let fresh = code(&secret);
    step(&handle, &fresh).send().await.tokens();
    // Neither challenge nor code twice.
    let refused = step(&handle, &codes[0]).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    let handle = challenge(&world).await;
    let refused = step(&handle, &fresh).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    // A recovery code, once.
    step(&handle, &codes[0]).send().await.tokens();
    let handle = challenge(&world).await;
    let refused = step(&handle, &codes[0]).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    step(&handle, &codes[1].to_lowercase())
        .send()
        .await
        .tokens();
    let refused = step("made up", &codes[2]).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    // After too many wrong codes the challenge is over, whatever comes.
    let handle = challenge(&world).await;
    for _ in 0..5 {
        step(&handle, "000000").refused(401).await;
    }
    let refused = step(&handle, &codes[2]).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    // Removed by a code of its own; a wait after the wrong ones.
    let remove = |code: &str| {
        let call = world.delete("/totp").bearer(&token);
        call.json(&json!({"code": code}))
    };
    world.pass(Duration::from_mins(1)).await;
    let token_is_good = world.get("/me").bearer(&token).send().await.good();
    assert_eq!(token_is_good["totp"], true);
    let wrong = remove("000000").refused(401).await;
    assert_eq!(wrong, "invalid_credentials");
    world.pass(Duration::from_mins(1)).await;
    remove(&code(&secret)).send().await.done();
    world.login(ADA, PASSWORD).send().await.tokens();
}

#[tokio::test]
async fn a_second_step_that_began_before_a_new_password_is_void() {
    let world = World::new().await;
    let token = world.player(ADA).await.access_token;
    let (_, codes) = enroll(&world, &token).await;
    let handle = challenge(&world).await;
    let body = json!({"email": ADA});
    world.post("/password/forgot").json(&body).send().await;
    let token = secret(&world.mail(ADA, "A new password").await);
    let new = "another tundra 9 lamp";
    let body = json!({"token": token, "password": new});
    let reset = world.post("/password/reset").json(&body);
    reset.send().await.done();
    let step = |challenge: &str| {
        let body = json!({"challenge": challenge, "code": codes[0]});
        world.post("/login").json(&body)
    };
    let refused = step(&handle).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    // The code was good, and still is.
    let answer = world.login(ADA, new).send().await.good();
    let handle = answer["challenge"].as_str().unwrap();
    step(handle).send().await.tokens();
}

#[tokio::test]
async fn a_passkey_is_added_signs_in_and_is_removed() {
    let world = World::new().await;
    let tokens = world.player(ADA).await;
    let token = &tokens.access_token;
    let mut phone = Authenticator::new(true);
    let begin = world.post("/passkeys").bearer(token);
    let begun = begin
        .json(&json!({"password": PASSWORD}))
        .send()
        .await
        .good();
    let response = phone.create(ISSUER, &begun["options"]);
    let body = json!({"handle": begun["handle"], "name": "Phone", "response": response});
    let finish = || world.post("/passkeys/finish").bearer(token).json(&body);
    finish().send().await.done();
    assert_eq!(finish().refused(401).await, "invalid_credentials");
    let list = async || {
        let reply = world.get("/passkeys").bearer(token).send().await;
        reply.good()["passkeys"].as_array().unwrap().clone()
    };
    let listed = list().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["used_at"]),
        (&json!("Phone"), &Value::Null)
    );

    let begun = world.post("/passkeys/login").send().await.good();
    let response = phone.get(ISSUER, &begun["options"]);
    let login = |response: &Value| {
        let body = json!({"handle": begun["handle"], "response": response});
        world.post("/passkeys/login/finish").json(&body)
    };
    let entered = login(&response).send().await.tokens();
    assert_eq!(entered.player_id, tokens.player_id);
    assert_eq!(login(&response).refused(401).await, "invalid_credentials");
    assert!(list().await[0]["used_at"].is_string());

    // For another challenge, and with nonsense.
    let begun = world.post("/passkeys/login").send().await.good();
    let body = json!({"handle": begun["handle"], "response": response});
    let other = world.post("/passkeys/login/finish").json(&body);
    let refused = other.send().await;
    assert!(matches!(refused.status, 400 | 401), "{refused:?}");
    let begun = world.post("/passkeys/login").send().await.good();
    let body = json!({"handle": begun["handle"], "response": {"id": "7"}});
    let nonsense = world.post("/passkeys/login/finish").json(&body);
    let refused = nonsense.send().await;
    assert!(matches!(refused.status, 400 | 401), "{refused:?}");

    let path = format!("/passkeys/{}", listed[0]["id"].as_str().unwrap());
    world.delete(&path).bearer(token).send().await.done();
    let again = world.delete(&path).bearer(token).refused(404).await;
    assert_eq!(again, "not_found");
    let begun = world.post("/passkeys/login").send().await.good();
    let response = phone.get(ISSUER, &begun["options"]);
    let body = json!({"handle": begun["handle"], "response": response});
    let removed = world.post("/passkeys/login/finish").json(&body);
    assert_eq!(removed.refused(401).await, "invalid_credentials");
}
