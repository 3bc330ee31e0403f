//! Making accounts, mails, passwords.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::key::Key;
use crate::world::{PASSWORD, World, secret};

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn a_registration_answers_alike_whether_the_address_was_taken() {
    let world = World::new().await;
    world.player(ADA).await;
    let ask = |email: &str| {
        let body = json!({"email": email, "password": "another tundra 9 lamp"});
        world.post("/register").json(&body)
    };
    let (new, taken) = (ask("bob@example.com").send().await, ask(ADA).send().await);
    assert_eq!((new.status, &new.text), (202, &taken.text));
    assert_eq!(taken.status, 202);
    world.mail("bob@example.com", "Confirm").await;
    world.mail(ADA, "already").await;
    // The taken account is as it was.
    world.login(ADA, PASSWORD).send().await.tokens();
    let refused = world.login(ADA, "another tundra 9 lamp").refused(401);
    assert_eq!(refused.await, "invalid_credentials");
}

#[tokio::test]
async fn an_account_is_good_for_nothing_until_mail_and_password_are_proved() {
    let world = World::new().await;
    let body = json!({"email": ADA, "password": PASSWORD});
    world.post("/register").json(&body).send().await.good();
    let token = secret(&world.mail(ADA, "Confirm").await);
    let refused = world.login(ADA, PASSWORD).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    let verify = |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        world.post("/email/verify").json(&body)
    };
    let refused = verify(&token, "another tundra 9 lamp").refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    assert_eq!(verify("AAAA", PASSWORD).refused(401).await, "invalid_token");
    verify(&token, PASSWORD).send().await.tokens();
    // Once.
    let refused = verify(&token, PASSWORD).refused(401).await;
    assert_eq!(refused, "invalid_token");
    let tokens = world.login(ADA, PASSWORD).send().await.tokens();
    let me = world.get("/me").bearer(&tokens.access_token).send().await;
    let me = me.good();
    assert_eq!(me["email"], ADA);
    assert_eq!(me["email_verified"], true);
    assert_eq!(me["identities"], json!(["email"]));
    assert_eq!(me["player_id"], tokens.player_id);
}

/// A mailed secret for a player, as nobody mailed it.
fn forged(player: &str) -> String {
    let player: uuid::Uuid = player.parse().unwrap();
    URL_SAFE_NO_PAD.encode([player.as_bytes().as_slice(), &[7; 32]].concat())
}

#[tokio::test]
async fn without_the_mailed_secret_every_answer_is_the_same() {
    let world = World::new().await;
    let ada = world.player(ADA).await.player_id;
    let guest = world.guest("a device of nobody").await.player_id;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let mut answers = BTreeSet::new();
    for player in [ada.as_str(), guest.as_str(), nobody] {
        let token = forged(player);
        for password in [PASSWORD, "another tundra 9 lamp", ADA, "ada", "short"] {
            let body = json!({"token": token, "password": password});
            for path in ["/email/verify", "/password/reset"] {
                let reply = world.post(path).json(&body).send().await;
                answers.insert((reply.status, reply.text));
            }
        }
    }
    let [(status, text)] = Vec::from_iter(answers).try_into().unwrap();
    assert_eq!(status, 401, "{text}");
    assert!(text.contains("invalid_token"), "{text}");
}

#[tokio::test]
async fn the_mailed_secret_does_not_help_to_guess_the_password() {
    let world = World::new().await;
    let body = json!({"email": ADA, "password": PASSWORD});
    world.post("/register").json(&body).send().await.good();
    let token = secret(&world.mail(ADA, "Confirm").await);
    let verify = |password: &str| {
        let body = json!({"token": token, "password": password});
        world.post("/email/verify").json(&body)
    };
    let mut guesses = 0;
    while verify("another tundra 9 lamp").send().await.status == 401 {
        guesses += 1;
        assert!(guesses < 20, "guesses are throttled");
    }
    assert!(guesses >= 5, "{guesses}");
    world.pass(Duration::from_mins(15)).await;
    verify(PASSWORD).send().await.tokens();
}

#[tokio::test]
async fn a_device_is_known_by_its_key_and_not_by_its_id() {
    let world = World::new().await;
    world.player(ADA).await;
    let login = |password: &str| {
        let client = json!({"device_id": "a laptop of Ada's"});
        let body = json!({"email": ADA, "password": password, "client": client});
        world.post("/login").json(&body)
    };
    let (key, another) = (Key::new(), Key::new());
    login(PASSWORD).proof(&key).send().await.tokens();
    // Somebody in the same network knows its id, and even has a key.
    let mut guesses = 0;
    loop {
        let guess = login("another tundra 9 lamp");
        let guess = if guesses % 2 == 0 {
            guess
        } else {
            guess.proof(&another)
        };
        if guess.send().await.status == 429 {
            break;
        }
        guesses += 1;
        assert!(guesses < 20, "guesses are throttled");
    }
    login(PASSWORD).proof(&key).send().await.tokens();
}

#[tokio::test]
async fn weak_passwords_are_refused_by_every_call_that_sets_one() {
    let world = World::new().await;
    let tokens = world.player(ADA).await;
    let forgot = json!({"email": ADA});
    world.post("/password/forgot").json(&forgot).send().await;
    let token = secret(&world.mail(ADA, "A new password").await);
    for weak in ["short", "password", "ada@example.com", "aaaaaaaaaaaa"] {
        for call in [
            world
                .post("/register")
                .json(&json!({"email": "bob@example.com", "password": weak})),
            world
                .post("/password/reset")
                .json(&json!({"token": token, "password": weak})),
            world
                .put("/password")
                .bearer(&tokens.access_token)
                .json(&json!({"current": PASSWORD, "new": weak})),
        ] {
            let reply = call.send().await;
            if weak == "ada@example.com" && reply.status == 202 {
                // Somebody else's address says little about the password of this one.
                continue;
            }
            assert_eq!(
                (reply.status, &*reply.code()),
                (400, "weak_password"),
                "{weak}"
            );
        }
    }
    // Nothing of it cost the mailed secret.
    let body = json!({"token": token, "password": "another tundra 9 lamp"});
    world
        .post("/password/reset")
        .json(&body)
        .send()
        .await
        .done();
}

#[tokio::test]
async fn a_reset_ends_every_session() {
    let world = World::new().await;
    let before = world.player(ADA).await;
    for email in [ADA, "nobody@example.com"] {
        let body = json!({"email": email});
        let reply = world.post("/password/forgot").json(&body).send().await;
        assert_eq!(
            (reply.status, &*reply.text),
            (202, r#"{"status":"pending"}"#)
        );
    }
    let token = secret(&world.mail(ADA, "A new password").await);
    let reset = || {
        let body = json!({"token": token, "password": "another tundra 9 lamp"});
        world.post("/password/reset").json(&body)
    };
    reset().send().await.done();
    world.mail(ADA, "was changed").await;
    assert_eq!(reset().refused(401).await, "invalid_token");
    let me = world.get("/me").bearer(&before.access_token);
    assert_eq!(me.refused(401).await, "invalid_token");
    let body = json!({"refresh_token": before.refresh_token});
    let refresh = world.post("/token/refresh").json(&body);
    assert_eq!(refresh.refused(401).await, "invalid_token");
    let old = world.login(ADA, PASSWORD).refused(401).await;
    assert_eq!(old, "invalid_credentials");
    let new = world.login(ADA, "another tundra 9 lamp").send().await;
    new.tokens();
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let world = World::new().await;
    let other = world.player(ADA).await;
    let own = world.login(ADA, PASSWORD).send().await.tokens();
    let change = |current: &str| {
        let body = json!({"current": current, "new": "another tundra 9 lamp"});
        world.put("/password").bearer(&own.access_token).json(&body)
    };
    let refused = change("violet anchor 8 tundra").refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    change(PASSWORD).send().await.done();
    let me = |token: &str| world.get("/me").bearer(token);
    assert_eq!(me(&other.access_token).refused(401).await, "invalid_token");
    me(&own.access_token).send().await.good();
    world.mail(ADA, "was changed").await;
}

#[tokio::test]
async fn a_deleted_account_is_gone() {
    let world = World::new().await;
    let tokens = world.player(ADA).await;
    let delete = || world.delete("/me").bearer(&tokens.access_token);
    let reply = delete().send().await;
    assert_eq!(reply.json()["error"]["field"], "password");
    let wrong = delete().json(&json!({"password": "violet anchor 8"}));
    assert_eq!(wrong.refused(401).await, "invalid_credentials");
    let right = delete().json(&json!({"password": PASSWORD}));
    right.send().await.done();
    let me = world.get("/me").bearer(&tokens.access_token);
    assert_eq!(me.refused(401).await, "invalid_token");
    let refused = world.login(ADA, PASSWORD).refused(401).await;
    assert_eq!(refused, "invalid_credentials");
    // The address is free again.
    world.player(ADA).await;
}

#[tokio::test]
async fn without_verification_a_registration_signs_in_and_a_taken_address_shows() {
    let world = World::with(&json!({"emailVerification": "Optional"})).await;
    let ask = || {
        let body = json!({"email": ADA, "password": PASSWORD});
        world.post("/register").json(&body)
    };
    ask().send().await.tokens();
    assert_eq!(ask().refused(409).await, "conflict");
    world.login(ADA, PASSWORD).send().await.tokens();
}
