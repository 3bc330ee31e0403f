//! Everything that the description lists is done once, as it says.

use serde_json::json;

use crate::authenticator::Authenticator;
use crate::elsewhere;
use crate::identities::mailed_code;
use crate::idp::Idp;
use crate::world::{ISSUER, PASSWORD, World, secret};

const ADA: &str = "ada@example.com";

async fn accounts(world: &World) {
    let tokens = world.player(ADA).await;
    let token = &tokens.access_token;
    world.get("/me").bearer(token).send().await.good();
    world.get("/.well-known/jwks.json").send().await.good();
    let body = json!({"access_token": token});
    world.post("/validate").json(&body).send().await.good();
    let body = json!({"refresh_token": tokens.refresh_token});
    let next = world
        .post("/token/refresh")
        .json(&body)
        .send()
        .await
        .tokens();
    let body = json!({"refresh_token": next.refresh_token});
    world.post("/reconnect").json(&body).send().await.tokens();
    let body = json!({"current": PASSWORD, "new": "another tundra 9 lamp"});
    let change = world.put("/password").bearer(token).json(&body);
    change.send().await.done();
    let body = json!({"email": ADA});
    let forgot = world.post("/password/forgot").json(&body).send().await;
    assert_eq!(forgot.status, 202);
    let mailed = secret(&world.mail(ADA, "A new password").await);
    let body = json!({"token": mailed, "password": PASSWORD});
    world
        .post("/password/reset")
        .json(&body)
        .send()
        .await
        .done();
    let one = world.login(ADA, PASSWORD).send().await.tokens();
    let two = world.login(ADA, PASSWORD).send().await.tokens();
    let token = &two.access_token;
    world.get("/sessions").bearer(token).send().await.good();
    let path = format!("/sessions/{}", one.session_id);
    world.delete(&path).bearer(token).send().await.good();
    world.delete("/sessions").bearer(token).send().await.good();
    world.post("/logout").bearer(token).send().await.good();
    let last = world.login(ADA, PASSWORD).send().await.tokens();
    let gone = world.delete("/me").bearer(&last.access_token);
    gone.json(&json!({"password": PASSWORD}))
        .send()
        .await
        .done();
}

async fn factors(world: &World) {
    let token = &world.guest("a device of nobody").await.access_token;
    let made = world.post("/totp").bearer(token).send().await.good();
    let code = crate::factors::code(made["secret"].as_str().unwrap());
    let confirm = world.post("/totp/confirm").bearer(token);
    confirm.json(&json!({"code": code})).send().await.done();
    let body = json!({"code": made["recovery_codes"][0]});
    let remove = world.delete("/totp").bearer(token).json(&body);
    remove.send().await.done();
    let mut phone = Authenticator::new(true);
    let begun = world.post("/passkeys").bearer(token).send().await.good();
    let response = phone.create(ISSUER, &begun["options"]);
    let body = json!({"handle": begun["handle"], "name": "Phone", "response": response});
    let finish = world.post("/passkeys/finish").bearer(token).json(&body);
    finish.send().await.done();
    let begun = world.post("/passkeys/login").send().await.good();
    let response = phone.get(ISSUER, &begun["options"]);
    let body = json!({"handle": begun["handle"], "response": response});
    let finish = world.post("/passkeys/login/finish").json(&body);
    finish.send().await.tokens();
    let body = json!({"email": "guest@example.com"});
    let asked = world.post("/identities").bearer(token).json(&body);
    asked.send().await.good();
    let mail = world.mail("guest@example.com", "Your code").await;
    let body = json!({
        "email": "guest@example.com", "token": mailed_code(&mail), "new_password": PASSWORD,
    });
    let added = world.post("/identities").bearer(token).json(&body);
    added.send().await.done();
    let list = world.get("/identities").bearer(token).send().await.good();
    let path = format!(
        "/identities/{}",
        list["identities"][0]["id"].as_str().unwrap()
    );
    let body = json!({"password": PASSWORD});
    let remove = world.delete(&path).bearer(token).json(&body);
    remove.send().await.done();
    let list = world.get("/passkeys").bearer(token).send().await.good();
    let path = format!("/passkeys/{}", list["passkeys"][0]["id"].as_str().unwrap());
    world.delete(&path).bearer(token).send().await.done();
}

async fn providers(world: &World) {
    for is_posted in [false, true] {
        let begun = world.post("/oauth/it").send().await.good();
        let query = elsewhere::browse(&begun).await;
        let back = if is_posted {
            let call = world.post("/oauth/it/callback").body(query);
            call.header("content-type", "application/x-www-form-urlencoded")
        } else {
            world.get(&format!("/oauth/it/callback?{query}"))
        };
        assert_eq!(back.send().await.status, 200);
        let finish = elsewhere::finish(world, &begun, &begun["secret"]);
        finish.send().await.tokens();
    }
}

#[tokio::test]
async fn every_operation_is_served_as_it_is_described() {
    let world = elsewhere::world(&Idp::start().await).await;
    accounts(&world).await;
    factors(&world).await;
    providers(&world).await;
    let mut missing = world.document.names();
    // What is good about it are the messages: see the tests of the socket.
    assert!(missing.remove(&("get".to_owned(), "/validate".to_owned())));
    for done in world.done() {
        missing.remove(&done);
    }
    assert!(missing.is_empty(), "{missing:?}");
}
