//! More than one way into an account, and what a token alone must not do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::elsewhere;
use crate::factors::{code, enroll};
use crate::idp::Idp;
use crate::key::Key;
use crate::world::{Call, PASSWORD, Tokens, World, secret};

const ADA: &str = "ada@example.com";
const DEVICE: &str = "a device of nobody";

fn link<'world>(world: &'world World, tokens: &Tokens, body: &Value) -> Call<'world> {
    let call = world.post("/identities").bearer(&tokens.access_token);
    call.json(body)
}

async fn listed(world: &World, tokens: &Tokens) -> Vec<Value> {
    let list = world.get("/identities").bearer(&tokens.access_token);
    let answer = list.send().await.good();
    answer["identities"].as_array().unwrap().clone()
}

fn unlink<'world>(world: &'world World, tokens: &Tokens, identity: &Value) -> Call<'world> {
    let path = format!("/identities/{}", identity["id"].as_str().unwrap());
    world.delete(&path).bearer(&tokens.access_token)
}

/// The code that a mail asks to enter.
pub(crate) fn mailed_code(mail: &str) -> String {
    let mut lines = mail
        .lines()
        .skip_while(|line| !line.starts_with("Enter this code"));
    lines.nth(2).unwrap().to_owned()
}

#[tokio::test]
async fn a_guest_adds_an_address_and_signs_in_with_it() {
    let world = World::new().await;
    let guest = world.guest(DEVICE).await;
    let asked = link(&world, &guest, &json!({"email": ADA})).send().await;
    assert_eq!(
        (asked.status, &*asked.text),
        (202, r#"{"status":"pending"}"#)
    );
    let token = mailed_code(&world.mail(ADA, "Your code").await);
    let add = |tokens: &Tokens, email: &str, token: &str, password: &str| {
        let body = json!({"email": email, "token": token, "new_password": password});
        link(&world, tokens, &body)
    };
    // The code is for this address, this account and a good password.
    let weak = add(&guest, ADA, &token, "short").refused(400).await;
    assert_eq!(weak, "weak_password");
    for (tokens, email, token) in [
        (&guest, ADA, "made up"),
        (&guest, "bob@example.com", &*token),
        (&world.guest("a device of a stranger").await, ADA, &*token),
    ] {
        let refused = add(tokens, email, token, PASSWORD).refused(401).await;
        assert_eq!(refused, "invalid_token");
    }
    add(&guest, ADA, &token, PASSWORD).send().await.done();
    let entered = world.login(ADA, PASSWORD).send().await.tokens();
    assert_eq!(entered.player_id, guest.player_id);
    let me = world.get("/me").bearer(&entered.access_token).send().await;
    let me = me.good();
    assert_eq!(
        (&me["guest"], &me["email_verified"], &me["email"]),
        (&json!(false), &json!(true), &json!(ADA))
    );
    let again = world.guest(DEVICE).await;
    assert_eq!(again.player_id, guest.player_id);
    let identities = listed(&world, &entered).await;
    let shown: Vec<_> = identities
        .iter()
        .map(|identity| (identity["kind"].clone(), identity["label"].clone()))
        .collect();
    assert_eq!(
        shown,
        [(json!("device"), json!(null)), (json!("email"), json!(ADA))]
    );

    // From now on it takes the password. With the address it goes, and never the last way in.
    let refused = unlink(&world, &entered, &identities[1]).send().await;
    assert_eq!(refused.json()["error"]["field"], "password");
    let wrong = unlink(&world, &entered, &identities[1]).json(&json!({"password": "violet 8"}));
    assert_eq!(wrong.refused(401).await, "invalid_credentials");
    let right = unlink(&world, &entered, &identities[1]).json(&json!({"password": PASSWORD}));
    right.send().await.done();
    world.mail(ADA, "How you sign in").await;
    let refused = world.login(ADA, PASSWORD).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    let missing = unlink(&world, &entered, &identities[1]).refused(404).await;
    assert_eq!(missing, "not_found");
    let last = unlink(&world, &entered, &identities[0]).refused(409).await;
    assert_eq!(last, "conflict");
    // The address is free again.
    world.player(ADA).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_its_owner_alone() {
    let world = World::new().await;
    world.player(ADA).await;
    let guest = world.guest(DEVICE).await;
    let ask = |email: &str| link(&world, &guest, &json!({"email": email}));
    let taken = ask(ADA).send().await;
    let free = ask("bob@example.com").send().await;
    assert_eq!((taken.status, &taken.text), (free.status, &free.text));
    world.mail(ADA, "already").await;
    world.mail("bob@example.com", "Your code").await;
    assert_eq!(listed(&world, &guest).await.len(), 1);
}

#[tokio::test]
async fn an_account_elsewhere_is_added_by_a_ticket_or_a_browser() {
    let idp = Idp::start().await;
    idp.set_ticket("14000000", elsewhere::good_ticket());
    let world = elsewhere::world(&idp).await;
    let guest = world.guest(DEVICE).await;
    let ticket = json!({"provider": "steam", "ticket": "14000000"});
    let forged = json!({"provider": "steam", "ticket": "15000000"});
    let refused = link(&world, &guest, &forged).send().await;
    assert!(matches!(refused.status, 401 | 502), "{refused:?}");
    link(&world, &guest, &ticket).send().await.done();
    let entered = world.post("/login").json(&ticket).send().await.tokens();
    assert_eq!(entered.player_id, guest.player_id);
    // Once, whoever asks.
    let stranger = world.guest("a device of a stranger").await;
    assert_eq!(
        link(&world, &stranger, &ticket).refused(409).await,
        "conflict"
    );

    let begun = world.post("/oauth/it").send().await.good();
    let body = json!({"provider": "it", "handle": begun["handle"], "secret": begun["secret"]});
    assert_eq!(link(&world, &guest, &body).refused(404).await, "not_found");
    let path = format!("/oauth/it/callback?{}", elsewhere::browse(&begun).await);
    world.get(&path).send().await;
    link(&world, &guest, &body).send().await.done();
    let kinds: Vec<_> = listed(&world, &guest)
        .await
        .iter()
        .map(|identity| identity["kind"].clone())
        .collect();
    assert_eq!(kinds, ["device", "steam", "oidc"]);
    let begun = world.post("/oauth/it").send().await.good();
    let path = format!("/oauth/it/callback?{}", elsewhere::browse(&begun).await);
    world.get(&path).send().await;
    let finish = elsewhere::finish(&world, &begun, &begun["secret"])
        .send()
        .await;
    assert_eq!(finish.tokens().player_id, guest.player_id);

    for body in [
        json!({}),
        json!({"provider": "steam"}),
        json!({"ticket": "14000000"}),
        json!({"email": ADA, "token": "x"}),
        json!({"email": ADA, "provider": "steam", "ticket": "14000000"}),
    ] {
        let refused = link(&world, &guest, &body).refused(400).await;
        assert_eq!(refused, "invalid_request", "{body}");
    }
}

#[tokio::test]
async fn a_token_for_a_game_is_no_token_for_the_account() {
    let world = World::new().await;
    let login = world.post("/login").json(&json!({"device_id": DEVICE}));
    let tokens = login.send().await.tokens();
    let me = |token: &str| world.get("/me").bearer(token);
    assert_eq!(me(&tokens.access_token).refused(401).await, "invalid_token");
    let mixed = json!({"device_id": DEVICE, "client": {"audiences": ["auth", "game"]}});
    let refused = world.post("/login").json(&mixed).send().await;
    assert_eq!(refused.json()["error"]["field"], "client.audiences");
    // By its refresh token, which no game sees; the session is the same.
    let refresh = |token: &str, audiences: Value| {
        let client = json!({"audiences": audiences});
        let body = json!({"refresh_token": token, "client": client});
        world.post("/token/refresh").json(&body)
    };
    let refused = refresh(&tokens.refresh_token, json!(["bank"])).send().await;
    assert_eq!(refused.json()["error"]["field"], "client.audiences");
    let own = refresh(&tokens.refresh_token, json!(["auth"])).send().await;
    let own = own.tokens();
    assert_eq!(own.session_id, tokens.session_id);
    me(&own.access_token).send().await.good();
    let validate = |token: &str| {
        let body = json!({"access_token": token, "audience": "game"});
        world.post("/validate").json(&body)
    };
    assert_eq!(
        validate(&own.access_token).refused(401).await,
        "invalid_token"
    );
    let next = refresh(&own.refresh_token, json!([])).send().await.tokens();
    validate(&next.access_token).send().await.good();
    assert_eq!(me(&next.access_token).refused(401).await, "invalid_token");
}

#[tokio::test]
async fn without_a_password_it_takes_a_sign_in_of_just_now() {
    let idp = Idp::start().await;
    let world = elsewhere::world(&idp).await;
    let key = Key::new();
    let sign_in = || {
        let body = json!({"device_id": DEVICE, "client": {"audiences": ["auth"]}});
        world.post("/login").json(&body).proof(&key)
    };
    let old = sign_in().send().await.tokens();
    world.pass(Duration::from_mins(4)).await;
    let refresh = async |tokens: &Tokens| {
        let body = json!({"refresh_token": tokens.refresh_token});
        let call = world.post("/token/refresh").json(&body).proof(&key);
        call.send().await.tokens()
    };
    let old = refresh(&old).await;
    let add = |tokens: &Tokens| world.post("/passkeys").bound(&tokens.access_token, &key);
    add(&old).send().await.good();
    world.pass(Duration::from_mins(2)).await;
    // However fresh the token is.
    let old = refresh(&old).await;
    let own = json!({"email": ADA, "token": "x", "new_password": PASSWORD});
    for (method, path, body) in [
        ("POST", "/passkeys", json!({})),
        ("POST", "/totp", json!({})),
        ("POST", "/identities", own),
        ("DELETE", "/me", json!({})),
    ] {
        let call = world.call(method.parse().unwrap(), path).json(&body);
        let refused = call.bound(&old.access_token, &key).refused(403).await;
        assert_eq!(refused, "sign_in_again", "{path}");
    }
    let fresh = sign_in().send().await.tokens();
    assert_eq!(fresh.player_id, old.player_id);
    add(&fresh).send().await.good();
}

#[tokio::test]
async fn where_an_authenticator_is_set_up_it_takes_its_code() {
    let world = World::new().await;
    let tokens = world.player(ADA).await;
    let (secret, codes) = enroll(&world, &tokens.access_token).await;
    world.mail(ADA, "How you sign in").await;
    world.pass(Duration::from_mins(1)).await;
    let add = |body: Value| {
        world
            .post("/passkeys")
            .bearer(&tokens.access_token)
            .json(&body)
    };
    let missing = add(json!({"password": PASSWORD})).send().await;
    assert_eq!(missing.json()["error"]["field"], "second_step");
    let wrong = add(json!({"password": PASSWORD, "second_step": "000000"})).refused(401);
    assert_eq!(wrong.await, "invalid_credentials");
    let code = code(&secret);
    let right = json!({"password": PASSWORD, "second_step": code});
    add(right.clone()).send().await.good();
    assert_eq!(add(right).refused(401).await, "invalid_credentials");
    let gone = world.delete("/me").bearer(&tokens.access_token);
    let body = json!({"password": PASSWORD, "second_step": codes[0]});
    gone.json(&body).send().await.done();
}

#[tokio::test]
async fn a_mailed_code_is_no_secret_of_another_mail() {
    let world = World::new().await;
    let guest = world.guest(DEVICE).await;
    link(&world, &guest, &json!({"email": ADA}))
        .send()
        .await
        .good();
    let code = mailed_code(&world.mail(ADA, "Your code").await);
    let body = json!({"token": code, "password": PASSWORD});
    for path in ["/email/verify", "/password/reset"] {
        let refused = world.post(path).json(&body).refused(401).await;
        assert_eq!(refused, "invalid_token", "{path}");
    }
    let body = json!({"email": "bob@example.com", "password": PASSWORD});
    world.post("/register").json(&body).send().await.good();
    let token = secret(&world.mail("bob@example.com", "Confirm").await);
    let body = json!({"email": "bob@example.com", "token": token, "new_password": PASSWORD});
    let refused = link(&world, &guest, &body).refused(401).await;
    assert_eq!(refused, "invalid_token");
}
