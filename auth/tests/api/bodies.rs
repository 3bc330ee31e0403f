//! Calls that are malformed: every operation refuses them alike.

use serde_json::{Value, json};

use crate::world::{Call, World};

/// A call of an operation, with a good token where it wants one.
fn call<'world>(
    world: &'world World,
    (method, path): &(String, String),
    operation: &Value,
    token: &str,
) -> Call<'world> {
    let path = path
        .replace("{provider}", "it")
        .replace("{session_id}", "00000000-0000-4000-8000-000000000000")
        .replace("{id}", "AAAA");
    let call = world.call(method.to_uppercase().parse().unwrap(), &path);
    if wants_token(operation) {
        call.bearer(token)
    } else {
        call
    }
}

fn wants_token(operation: &Value) -> bool {
    operation["security"] == json!([{"access_token": []}])
}

/// Whether it has a JSON body, and whether that is required.
fn body(operation: &Value) -> Option<bool> {
    let body = operation.get("requestBody")?;
    body["content"].get("application/json")?;
    Some(body["required"] == true)
}

#[tokio::test]
async fn every_malformed_body_is_refused_by_its_place() {
    let world = World::new().await;
    let token = world.guest("a device of nobody").await.access_token;
    let huge = json!({"client": {"name": "x".repeat(65 * 1024)}}).to_string();
    let mut count = 0;
    for (name, operation) in world.document.operations() {
        let Some(is_required) = body(operation) else {
            continue;
        };
        count += 1;
        let json = "application/json; charset=utf-8";
        for (kind, body, status, code, field) in [
            (
                json,
                r#"{"hunter":1}"#,
                400,
                "invalid_request",
                Some("hunter"),
            ),
            (json, "{", 400, "invalid_request", None),
            (json, "hunter22", 400, "invalid_request", None),
            (json, r#""hunter22""#, 400, "invalid_request", None),
            (json, "{} {}", 400, "invalid_request", None),
            (json, &huge, 413, "too_large", None),
        ] {
            let call = call(&world, &name, operation, &token);
            let reply = call.header("content-type", kind).body(body).send().await;
            let what = format!("{name:?} {body:.20}: {reply:?}");
            assert_eq!((reply.status, &*reply.code()), (status, code), "{what}");
            if let Some(field) = field {
                assert_eq!(reply.json()["error"]["field"], field, "{what}");
            }
            assert!(!reply.text.contains("hunter22"), "{what}");
        }
        if is_required {
            let call = call(&world, &name, operation, &token);
            assert_eq!(call.refused(400).await, "invalid_request");
            for kind in ["text/plain", "application/x-www-form-urlencoded"] {
                let call = self::call(&world, &name, operation, &token);
                let refused = call.header("content-type", kind).body("{}").refused(400);
                assert_eq!(refused.await, "invalid_request", "{name:?} {kind}");
            }
        }
    }
    assert!(count > 10, "{count}");
}

#[tokio::test]
async fn calls_without_a_good_token_are_refused() {
    let world = World::new().await;
    let mut count = 0;
    for (name, operation) in world.document.operations() {
        if !wants_token(operation) {
            continue;
        }
        count += 1;
        for authorization in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer hunter22"),
            Some("DPoP hunter22"),
            Some("Basic aHVudGVyMjI6aHVudGVyMjI="),
            Some("Bearer eyJhbGciOiJub25lIn0.e30."),
        ] {
            let (method, path) = &name;
            let call = world.call(method.to_uppercase().parse().unwrap(), path);
            let call = match authorization {
                Some(value) => call.header("authorization", value),
                None => call,
            };
            assert_eq!(call.refused(401).await, "invalid_token", "{name:?}");
        }
    }
    assert!(count > 10, "{count}");
}

#[tokio::test]
async fn what_is_not_served_is_said_in_the_same_shape() {
    let world = World::new().await;
    for path in ["/", "/logins", "/login/", "/passkeys/a/b", "/%FF"] {
        assert_eq!(world.get(path).refused(404).await, "not_found", "{path}");
    }
    let paths: std::collections::BTreeSet<_> = world
        .document
        .names()
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    for path in paths {
        let reply = world.call(http::Method::PATCH, &path).send().await;
        assert_eq!(reply.status, 405, "{path}");
        assert_eq!(reply.code(), "invalid_request");
        let allowed = reply.header("allow").unwrap();
        assert!(!allowed.is_empty(), "{path}: {allowed}");
    }
}

#[tokio::test]
async fn paths_and_queries_that_make_no_sense_are_refused_in_the_same_shape() {
    let world = World::new().await;
    let token = world.guest("a device of nobody").await.access_token;
    for (method, path) in [
        (http::Method::DELETE, "/sessions/%FF"),
        (http::Method::DELETE, "/sessions/7"),
        (http::Method::DELETE, "/passkeys/%FF"),
        (http::Method::DELETE, "/passkeys/*"),
        (http::Method::GET, "/oauth/it/callback?state=1&state=2"),
        (http::Method::POST, "/oauth/%FF"),
    ] {
        let refused = world.call(method, path).bearer(&token).refused(400).await;
        assert_eq!(refused, "invalid_request", "{path}");
    }
    let call = world
        .post("/oauth/it/callback")
        .json(&json!({"state": "1"}));
    assert_eq!(call.refused(400).await, "invalid_request");
}

#[tokio::test]
async fn fields_that_make_no_sense_are_named() {
    let world = World::new().await;
    for (path, body, field) in [
        ("/register", json!({"email": "ada"}), None),
        ("/register", json!({}), None),
        (
            "/register",
            json!({"email": "ada", "password": "violet anchor 7"}),
            Some("email"),
        ),
        (
            "/register",
            json!({"device_id": "short"}),
            Some("client.device_id"),
        ),
        ("/register", json!({"device_id": 7}), Some("device_id")),
        (
            "/register",
            json!({"device_id": "0123456789abcdef", "client": {"name": "a\u{7}"}}),
            Some("client.name"),
        ),
        (
            "/register",
            json!({"device_id": "0123456789abcdef", "client": {"class": "none"}}),
            Some("client.class"),
        ),
        (
            "/register",
            json!({"device_id": "0123456789abcdef", "client": {"audiences": ["bank"]}}),
            Some("client.audiences"),
        ),
        ("/login", json!({"email": "ada@example.com"}), None),
        (
            "/login",
            json!({"device_id": "0123456789abcdef", "challenge": "a", "code": "b"}),
            None,
        ),
        ("/reconnect", json!({}), None),
        (
            "/reconnect",
            json!({"reconnection_token": "a", "refresh_token": "b"}),
            None,
        ),
        ("/password/forgot", json!({"email": "ada"}), Some("email")),
    ] {
        let reply = world.post(path).json(&body).send().await;
        assert_eq!(
            (reply.status, &*reply.code()),
            (400, "invalid_request"),
            "{body}"
        );
        assert_eq!(
            reply.json()["error"]["field"].as_str(),
            field,
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn too_many_attempts_are_told_when_to_come_back() {
    let world = World::with(&json!({"limits": {}})).await;
    let mut last = None;
    for number in 0..6 {
        let body = json!({"device_id": format!("device number {number:04}")});
        last = Some(world.post("/register").json(&body).send().await);
    }
    let last = last.unwrap();
    assert_eq!((last.status, &*last.code()), (429, "throttled"));
    let after: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
}
