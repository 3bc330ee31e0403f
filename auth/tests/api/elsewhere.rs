//! Signing in at a provider, by a browser or a ticket.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::idp::{CLIENT, Idp, REDIRECT, SECRET, STEAM_KEY};
use crate::key::Key;
use crate::world::{Call, SOON, World, folder};

/// Where the game's own page is.
const PAGE: &str = "https://game.example/in";

/// A world that knows a provider and Steam.
pub(crate) async fn world(idp: &Idp) -> World {
    world_with(idp, SECRET, &json!({"factor": 1000})).await
}

async fn world_with(idp: &Idp, secret: &str, limits: &Value) -> World {
    let elsewhere = json!({
        "returnTo": [PAGE],
        "providers": {
            "it": {
                "kind": "oidc",
                "issuer": idp.issuer(),
                "clientId": CLIENT,
                "clientSecret": "oidc",
                "redirectUri": REDIRECT,
            },
            "steam": {
                "kind": "steam",
                "appId": 480,
                "identity": "muster",
                "key": "steam",
                "url": idp.issuer(),
            },
        },
    });
    let secrets = [("oidc", secret), ("steam", STEAM_KEY)];
    let file = json!({"elsewhere": elsewhere, "limits": limits});
    World::in_folder(folder(), &file, &secrets, &[]).await
}

/// What Steam says of a ticket that is good.
pub(crate) fn good_ticket() -> Value {
    json!({"params": {
        "result": "OK",
        "steamid": "76561197960287930",
        "ownersteamid": "76561197960287930",
        "vacbanned": false,
        "publisherbanned": false,
    }})
}

/// A browser goes to the provider and is sent back; what it comes back with.
pub(crate) async fn browse(begun: &Value) -> String {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let to = begun["authorization_url"].as_str().unwrap();
    let response = browser.get(to).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap();
    let location = url::Url::parse(location).unwrap();
    location.query().unwrap().to_owned()
}

pub(crate) fn finish<'world>(world: &'world World, begun: &Value, secret: &Value) -> Call<'world> {
    let body = json!({"handle": begun["handle"], "secret": secret});
    world.post("/oauth/it/finish").json(&body)
}

#[tokio::test]
async fn a_browser_brings_the_code_and_the_game_fetches_the_tokens() {
    let idp = Idp::start().await;
    let world = world(&idp).await;
    let mut players = Vec::new();
    for is_posted in [false, true] {
        let begun = world.post("/oauth/it").send().await.good();
        // Not before the browser has come back.
        let refused = finish(&world, &begun, &begun["secret"]).refused(404);
        assert_eq!(refused.await, "not_found");
        let query = browse(&begun).await;
        let page = if is_posted {
            let call = world.post("/oauth/it/callback");
            let call = call.header("content-type", "application/x-www-form-urlencoded");
            call.body(query).send().await
        } else {
            let path = format!("/oauth/it/callback?{query}");
            world.get(&path).send().await
        };
        assert_eq!(page.status, 200);
        assert!(page.text.contains("signed in"), "{}", page.text);
        assert!(!page.text.contains("code"), "{}", page.text);
        let tokens = finish(&world, &begun, &begun["secret"]).send().await;
        players.push(tokens.tokens().player_id);
        // Once.
        let again = finish(&world, &begun, &begun["secret"]).send().await;
        assert!(matches!(again.status, 401 | 404), "{again:?}");
    }
    assert_eq!(players[0], players[1]);
}

#[tokio::test]
async fn who_did_not_begin_cannot_finish() {
    let idp = Idp::start().await;
    let world = world(&idp).await;
    let key = Key::new();
    let begun = world.post("/oauth/it").proof(&key).send().await.good();
    let path = format!("/oauth/it/callback?{}", browse(&begun).await);
    world.get(&path).send().await;
    let stolen = finish(&world, &begun, &begun["secret"]);
    assert_eq!(stolen.refused(401).await, "invalid_token");
    let begun = world.post("/oauth/it").send().await.good();
    let path = format!("/oauth/it/callback?{}", browse(&begun).await);
    world.get(&path).send().await;
    let wrong = finish(&world, &begun, &json!("made up"));
    assert_eq!(wrong.refused(401).await, "invalid_token");
    // Nor end it for who began.
    finish(&world, &begun, &begun["secret"])
        .send()
        .await
        .tokens();
    let foreign = json!({"handle": "made up", "secret": "made up"});
    let refused = world.post("/oauth/it/finish").json(&foreign).refused(401);
    assert_eq!(refused.await, "invalid_token");
}

#[tokio::test]
async fn a_client_may_catch_the_code_itself() {
    let idp = Idp::start().await;
    let world = world(&idp).await;
    let begun = world.post("/oauth/it").send().await.good();
    let query = browse(&begun).await;
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let body = json!({
        "handle": begun["handle"],
        "secret": begun["secret"],
        "code": query["code"],
        "iss": query["iss"],
        "client": {"audiences": ["auth"]},
    });
    let tokens = world.post("/oauth/it/finish").json(&body).send().await;
    let me = world.get("/me").bearer(&tokens.tokens().access_token);
    assert_eq!(me.send().await.good()["identities"], json!(["oidc"]));
}

#[tokio::test]
async fn a_browser_goes_on_to_configured_pages_alone() {
    let idp = Idp::start().await;
    let world = world(&idp).await;
    let begin = |to: &str| world.post("/oauth/it").json(&json!({"return_to": to}));
    let reply = begin("https://evil.example/in").send().await;
    assert_eq!(reply.json()["error"]["field"], "return_to");
    let begun = begin(PAGE).send().await.good();
    let path = format!("/oauth/it/callback?{}", browse(&begun).await);
    let reply = world.get(&path).send().await;
    assert_eq!((reply.status, reply.header("location")), (303, Some(PAGE)));
}

#[tokio::test]
async fn what_a_provider_did_not_do_is_refused() {
    let idp = Idp::start().await;
    let world = world(&idp).await;
    let unknown = world.post("/oauth/nobody").refused(404).await;
    assert_eq!(unknown, "not_found");
    let denied = world.get("/oauth/it/callback?error=access_denied&state=7");
    assert_eq!(denied.refused(401).await, "invalid_token");
    let empty = world.get("/oauth/it/callback?error=access_denied");
    assert_eq!(empty.refused(400).await, "invalid_request");
    let foreign = world.get("/oauth/it/callback?code=7&state=7").refused(401);
    assert_eq!(foreign.await, "invalid_token");
    let begun = world.post("/oauth/it").send().await.good();
    let body = json!({
        "handle": begun["handle"], "secret": begun["secret"], "code": "made up",
        "iss": idp.issuer(),
    });
    let reply = world.post("/oauth/it/finish").json(&body).send().await;
    assert!(reply.status == 401 || reply.status == 502, "{reply:?}");
}

#[tokio::test]
async fn a_new_secret_of_a_provider_is_used_without_a_restart() {
    let idp = Idp::start().await;
    let world = world_with(&idp, "the former secret", &json!({"factor": 1000})).await;
    let sign_in = async || {
        let begun = world.post("/oauth/it").send().await.good();
        let path = format!("/oauth/it/callback?{}", browse(&begun).await);
        world.get(&path).send().await;
        finish(&world, &begun, &begun["secret"]).send().await
    };
    let refused = sign_in().await;
    assert_eq!((refused.status, &*refused.code()), (502, "provider_failed"));
    world.put_secret("oidc", SECRET);
    let renewed = async { while sign_in().await.status != 200 {} };
    tokio::time::timeout(SOON, renewed).await.unwrap();
}

#[tokio::test]
async fn who_began_is_told_that_the_provider_refused() {
    let idp = Idp::start().await;
    let world = world(&idp).await;
    let begun = world.post("/oauth/it").send().await.good();
    let state = begun["handle"].as_str().unwrap();
    let path = format!("/oauth/it/callback?error=access_denied&state={state}");
    assert_eq!(world.get(&path).refused(502).await, "provider_failed");
    // Nobody else is.
    let other = finish(&world, &begun, &json!("made up")).refused(401);
    assert_eq!(other.await, "invalid_token");
    let told = finish(&world, &begun, &begun["secret"]).refused(502).await;
    assert_eq!(told, "provider_failed");
    let over = finish(&world, &begun, &begun["secret"]).refused(404).await;
    assert_eq!(over, "not_found");
}

#[tokio::test]
async fn asking_again_and_again_leaves_the_rate_of_sign_ins_alone() {
    let idp = Idp::start().await;
    let world = world_with(&idp, SECRET, &json!({})).await;
    let begun = world.post("/oauth/it").send().await.good();
    for _ in 0..30 {
        let early = finish(&world, &begun, &begun["secret"]).refused(404);
        assert_eq!(early.await, "not_found");
    }
    let path = format!("/oauth/it/callback?{}", browse(&begun).await);
    assert_eq!(world.get(&path).send().await.status, 200);
    finish(&world, &begun, &begun["secret"])
        .send()
        .await
        .tokens();
}

#[tokio::test]
async fn a_ticket_signs_in() {
    let idp = Idp::start().await;
    idp.set_ticket("14000000", good_ticket());
    let world = world(&idp).await;
    let login = |provider: &str, ticket: &str| {
        let body = json!({"provider": provider, "ticket": ticket});
        world.post("/login").json(&body)
    };
    let first = login("steam", "14000000").send().await.tokens();
    let again = login("steam", "14000000").send().await.tokens();
    assert_eq!(first.player_id, again.player_id);
    let refused = login("steam", "15000000").send().await;
    assert!(matches!(refused.status, 401 | 502), "{refused:?}");
    assert_eq!(login("nobody", "14000000").refused(404).await, "not_found");
}
