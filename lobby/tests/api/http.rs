//! The same calls without a socket.

use lobby::rates::Rate;
use lobby::service::calls;
use lobby::socket::codec::Codec;
use proto::muster::lobby::v1 as wire;
use reqwest::{Client, Response};
use serde_json::Value;

use crate::world::{World, bound_token, proof, token};

async fn call(world: &World, name: &str, token: &str, body: &'static str) -> Response {
    let url = format!("http://{}/v1/{name}", world.address);
    let call = Client::new().post(url).bearer_auth(token);
    let call = call.header("content-type", "application/json");
    call.body(body).send().await.unwrap()
}

async fn failure(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, error["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn calls_are_made_in_both_forms() {
    let world = World::new().await;
    let response = call(&world, "list_matches", &token(1), "{}").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.text().await.unwrap(), "{}");
    // A message without fields may be left out.
    assert_eq!(
        call(&world, "list_matches", &token(1), "").await.status(),
        200
    );

    let url = format!("http://{}/v1/list_matches", world.address);
    let body = Codec::Proto.write(&wire::ListMatches::default()).unwrap();
    let request = Client::new().post(url).bearer_auth(token(1));
    let request = request.header("content-type", "application/protobuf");
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/protobuf");
    let bytes = response.bytes().await.unwrap();
    let matches: wire::Matches = Codec::Proto.read(&bytes).unwrap();
    assert_eq!(matches, wire::Matches::default());
}

#[tokio::test]
async fn failures_have_one_shape() {
    let world = World::new().await;
    let own = token(1);
    let too_large: &str = Box::leak(" ".repeat(16 * 1024 + 1).into_boxed_str());
    for (name, token, body, status, code) in [
        ("list_matches", "a.b.c", "{}", 401, "invalid_token"),
        ("list_matches", &*bound_token(1), "{}", 401, "invalid_token"),
        ("fly", &own, "{}", 404, "not_found"),
        ("hello", &own, "{}", 404, "not_found"),
        ("a/b", &own, "{}", 404, "not_found"),
        ("list_matches", &own, "{", 400, "invalid_request"),
        (
            "list_matches",
            &own,
            r#"{"many":1}"#,
            400,
            "invalid_request",
        ),
        ("list_matches", &own, too_large, 413, "too_large"),
        ("echo", &own, "", 405, "invalid_request"),
    ] {
        let response = call(&world, name, token, body).await;
        let is_challenged = response.headers().contains_key("www-authenticate");
        assert_eq!(is_challenged, status == 401);
        let told = failure(response).await;
        assert_eq!(told, (status, code.to_owned()), "{name} {body:.20}");
    }
    let url = format!("http://{}/v1/list_matches", world.address);
    let text = Client::new().post(&url).bearer_auth(&own);
    let text = text.header("content-type", "text/plain").body("{}");
    let told = failure(text.send().await.unwrap()).await;
    assert_eq!(told, (400, "invalid_request".to_owned()));
    let nobody = failure(Client::new().post(&url).send().await.unwrap()).await;
    assert_eq!(nobody, (401, "invalid_token".to_owned()));
}

#[tokio::test]
async fn a_bound_token_needs_a_proof_of_the_call() {
    let world = World::new().await;
    let token = bound_token(1);
    let url = format!("http://{}/v1/list_matches", world.address);
    let good = proof(&token, "POST", "/v1/list_matches");
    let other = proof(&token, "POST", "/v1/get_ratings");
    for (scheme, proof, status) in [
        ("DPoP", Some(&good), 200),
        // It was used.
        ("DPoP", Some(&good), 401),
        ("DPoP", Some(&other), 401),
        ("DPoP", None, 401),
        ("Bearer", Some(&other), 401),
    ] {
        let mut call = Client::new().post(&url);
        call = call.header("authorization", format!("{scheme} {token}"));
        if let Some(proof) = proof {
            call = call.header("dpop", proof);
        }
        assert_eq!(call.send().await.unwrap().status(), status, "{scheme}");
    }
}

#[tokio::test]
async fn what_comes_too_fast_is_told_when_to_come_back() {
    let rate = |burst| Rate {
        burst,
        period: std::time::Duration::from_mins(1),
    };
    let world = World::with(|config| {
        config.limits.calls = rate(2);
        config.limits.address = rate(5);
    })
    .await;
    for (player, status) in [(1, 200), (1, 200), (1, 429), (2, 200), (2, 200), (3, 429)] {
        let response = call(&world, "list_matches", &token(player), "{}").await;
        assert_eq!(response.status(), status);
        if status == 429 {
            let wait: u64 = response.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
    }
    let socket = crate::client::open(&world, Some(Codec::Json.subprotocol())).await;
    assert_eq!(socket.unwrap_err(), 429);
}

#[tokio::test]
async fn health_and_latency_need_no_token() {
    let world = World::new().await;
    let get = async |path: &str| {
        let url = format!("http://{}{path}", world.address);
        reqwest::get(url).await.unwrap().status().as_u16()
    };
    assert_eq!(get("/health").await, 200);
    assert_eq!(get("/v1/echo").await, 204);
    assert_eq!(get("/v1/list_matches").await, 405);
    assert_eq!(get("/").await, 404);
    // Auth has not told its keys.
    world.admin.close("keys of auth", "for the test");
    assert_eq!(get("/ready").await, 503);
}

#[tokio::test]
async fn every_call_of_the_protocol_has_a_name() {
    // An empty message is one of each call.
    for name in calls::NAMES {
        let call = calls::read(name, Codec::Json, b"{}").unwrap().unwrap();
        assert_eq!(calls::name(&call), *name);
        let text = Codec::Json.write(&wire::Call {
            call: Some(call),
            ..wire::Call::default()
        });
        assert_eq!(text.unwrap(), format!("{{\"{name}\":{{}}}}").into_bytes());
    }
}
