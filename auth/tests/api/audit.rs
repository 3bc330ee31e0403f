//! What the audit log says of sign-ins and sessions.

use std::collections::BTreeMap;

use auth::ids::PlayerId;
use auth::store::Audit;
use serde_json::json;
use uuid::Uuid;

use crate::elsewhere::{browse, finish, world as elsewhere};
use crate::factors::{challenge, enroll};
use crate::idp::Idp;
use crate::key::Key;
use crate::world::{PASSWORD, SOON, Tokens, World, secret};

const ADA: &str = "ada@example.com";

const DEVICE: &str = "a device with an id of its own";

/// Whose lines about no account are.
const NOBODY: PlayerId = PlayerId(Uuid::nil());

impl World {
    async fn lines(&self, player: PlayerId) -> Vec<Audit> {
        self.store.audit_of(player, None, 99).await.unwrap()
    }

    /// The lines of a player, once there are so many that say `event`.
    async fn lines_with(&self, player: PlayerId, event: &str, count: usize) -> Vec<Audit> {
        let look = async {
            loop {
                let lines = self.lines(player).await;
                if lines.iter().filter(|line| line.event == event).count() >= count {
                    return lines;
                }
                tokio::task::yield_now().await;
            }
        };
        if let Ok(lines) = tokio::time::timeout(SOON, look).await {
            return lines;
        }
        panic!("no {count} lines {event}: {:?}", self.lines(player).await)
    }
}

fn player(tokens: &Tokens) -> PlayerId {
    tokens.player_id.parse().unwrap()
}

/// How often which refusals were written down: event, by what, why.
fn refusals(lines: &[Audit]) -> BTreeMap<[String; 3], u32> {
    let mut counts = BTreeMap::new();
    for line in lines.iter().filter(|line| line.outcome == "failure") {
        let detail = |name: &str| line.detail[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(line.ip, "127.0.0.1", "{line:?}");
        let key = [line.event.clone(), detail("by"), detail("reason")];
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn expected(lines: &[(&str, &str, &str, u32)]) -> BTreeMap<[String; 3], u32> {
    let key = |event: &str, by: &str, reason: &str| [event, by, reason].map(str::to_owned);
    lines
        .iter()
        .map(|&(event, by, reason, count)| (key(event, by, reason), count))
        .collect()
}

#[tokio::test]
async fn every_refused_sign_in_has_its_line() {
    let idp = Idp::start().await;
    let world = elsewhere(&idp).await;
    let ada = world.player(ADA).await;

    // Of no account, or of none that may be told.
    let body = json!({
        "email": ADA, "password": "not the password", "client": {"device_id": DEVICE},
    });
    world.post("/login").json(&body).refused(401).await;
    let step = |challenge: &str| {
        let body = json!({"challenge": challenge, "code": "000000"});
        world.post("/login").json(&body)
    };
    step("made up").refused(401).await;
    let ticket = json!({"provider": "steam", "ticket": "15000000"});
    let ticket = world.post("/login").json(&ticket).send().await.code();
    let begun = world.post("/oauth/it").send().await.good();
    let path = format!("/oauth/it/callback?{}", browse(&begun).await);
    world.get(&path).send().await;
    finish(&world, &begun, &json!("made up")).refused(401).await;
    let verify = |token: &str| {
        let body = json!({"token": token, "password": "not the password"});
        world.post("/email/verify").json(&body)
    };
    verify("AAAA").refused(401).await;
    let passkey = json!({"handle": "made up", "response": {}});
    let passkey = world.post("/passkeys/login/finish").json(&passkey);
    passkey.refused(401).await;
    let lines = world.lines_with(NOBODY, "login", 5).await;
    let password = lines.iter().find(|line| line.detail["by"] == "password");
    let password = &password.unwrap().detail;
    assert!(password["account"].is_string() && password["device"].is_string());
    assert!(!password.to_string().contains(DEVICE), "{password}");
    world.lines_with(NOBODY, "second_step", 1).await;
    let nobodys = [
        ("login", "password", "invalid_credentials", 1),
        ("second_step", "code", "invalid_credentials", 1),
        ("login", "ticket", ticket.as_str(), 1),
        ("login", "provider", "invalid_token", 1),
        ("login", "mail", "invalid_token", 1),
        ("login", "passkey", "invalid_credentials", 1),
    ];
    assert_eq!(refusals(&world.lines(NOBODY).await), expected(&nobodys));

    // Of an account that the caller has shown something of.
    let change = json!({"current": "not the password", "new": "another tundra 9 lamp"});
    let change = world
        .put("/password")
        .bearer(&ada.access_token)
        .json(&change);
    change.refused(401).await;
    enroll(&world, &ada.access_token).await;
    step(&challenge(&world).await).refused(401).await;
    let hers = [
        ("confirm", "password", "invalid_credentials", 1),
        ("second_step", "code", "invalid_credentials", 1),
    ];
    let lines = world.lines_with(player(&ada), "second_step", 1).await;
    assert_eq!(refusals(&lines), expected(&hers));
    let key = Key::new();
    let guest = json!({"device_id": DEVICE});
    let bound = world.post("/login").json(&guest).proof(&key);
    let bound = bound.send().await.tokens();
    world.post("/login").json(&guest).refused(401).await;
    let lines = world.lines_with(player(&bound), "login", 2).await;
    let device = [("login", "device", "invalid_credentials", 1)];
    assert_eq!(refusals(&lines), expected(&device));
}

#[tokio::test]
async fn an_unverified_account_that_is_guessed_at_has_its_line() {
    let world = World::new().await;
    let body = json!({"email": ADA, "password": PASSWORD});
    world.post("/register").json(&body).send().await.good();
    let token = secret(&world.mail(ADA, "Confirm").await);
    let body = json!({"token": token, "password": "not the password"});
    let guess = world.post("/email/verify").json(&body).send().await;
    assert_eq!(guess.status, 401);
    let body = json!({"token": token, "password": PASSWORD});
    let ada = world
        .post("/email/verify")
        .json(&body)
        .send()
        .await
        .tokens();
    let lines = world.lines_with(player(&ada), "login", 2).await;
    let guess = [("login", "mail", guess.code(), 1)];
    let guess = guess
        .each_ref()
        .map(|(event, by, reason, count)| (*event, *by, reason.as_str(), *count));
    assert_eq!(refusals(&lines), expected(&guess));
}

#[tokio::test]
async fn a_flood_is_written_down_once_for_its_network() {
    let world = World::with(&json!({"limits": {}})).await;
    let mut throttled = 0;
    for number in 0..40 {
        let login = world.login(&format!("{number}@example.com"), "not the password");
        throttled += u32::from(login.send().await.status == 429);
    }
    assert!(throttled >= 20, "{throttled}");
    let refused = usize::try_from(40 - throttled).unwrap();
    let lines = world.lines_with(NOBODY, "login", refused + 1).await;
    let expected = [
        ("login", "password", "invalid_credentials", 40 - throttled),
        ("login", "password", "throttled", 1),
    ];
    assert_eq!(refusals(&lines), self::expected(&expected));
}

#[tokio::test]
async fn sessions_that_begin_and_end_have_lines_with_the_device() {
    let world = World::new().await;
    let guest = world.guest(DEVICE).await;
    let body = json!({"refresh_token": guest.refresh_token});
    world.post("/logout").json(&body).send().await.good();
    // With the change: nothing is waited for.
    let lines = world.lines(player(&guest)).await;
    let of = |event: &str| lines.iter().find(|line| line.event == event).unwrap();
    assert!(of("login").detail["device"].is_string());
    assert_eq!(
        (&*of("logout").ip, &*of("logout").outcome),
        ("127.0.0.1", "success")
    );
}

/// Once for each move, however often a session is refreshed from there.
#[tokio::test]
async fn a_session_that_moves_is_suspicious_once() {
    let world = World::with(&json!({"proxies": ["127.0.0.0/8"]})).await;
    let mut tokens = world.guest(DEVICE).await;
    let id = player(&tokens);
    let suspicious = async || {
        let lines = world.lines(id).await;
        let lines = lines.iter().filter(|line| line.outcome == "suspicious");
        lines.map(|line| line.event.clone()).collect::<Vec<_>>()
    };
    let mut refresh = async |from: &str, device: Option<&str>| {
        let body = json!({"refresh_token": tokens.refresh_token, "client": {"device_id": device}});
        let call = world.post("/token/refresh").json(&body);
        tokens = call.header("x-forwarded-for", from).send().await.tokens();
    };
    refresh("127.0.0.1", Some(DEVICE)).await;
    assert!(suspicious().await.is_empty());
    for _ in 0..3 {
        refresh("192.0.2.7", None).await;
    }
    assert_eq!(suspicious().await, ["address_changed"]);
    for _ in 0..3 {
        refresh("127.0.0.1", Some("another device of somebody")).await;
    }
    assert_eq!(suspicious().await, ["device_changed", "address_changed"]);
    refresh("192.0.2.8", Some(DEVICE)).await;
    let three = ["address_changed", "device_changed", "address_changed"];
    assert_eq!(suspicious().await, three);
    let line = &world.lines(id).await[0];
    assert_eq!(
        (&*line.ip, &line.detail["began"]),
        ("192.0.2.8", &json!("127.0.0.1"))
    );
}
