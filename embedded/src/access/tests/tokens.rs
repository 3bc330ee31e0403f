//! Who it is: tokens and their reviews.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::super::*;
use super::{access, named, world};
use crate::control::memory::Memory;

#[tokio::test(start_paused = true)]
async fn tokens_of_fixed_users_outlive_a_restart_and_are_never_shown() {
    let mut credentials = Credentials::generate().unwrap();
    let first = credentials.identity("admin", &[MASTERS]).unwrap();
    let other = credentials.identity("operator", &[]).unwrap();
    assert_ne!(first.token, other.token);
    assert_eq!(first.token.expose().len(), 43);
    let kept = serde_json::to_string(&credentials).unwrap();
    let mut restored: Credentials = serde_json::from_str(&kept).unwrap();
    assert_eq!(
        restored.identity("admin", &["other"]).unwrap().token,
        first.token
    );

    let memory = Memory::new();
    let access = access(&memory, restored.clone());
    let header = format!("Bearer {}", first.token.expose());
    let user = access.authenticate(memory.as_ref(), Some(&header)).unwrap();
    assert_eq!(user, User::authenticated("admin", &["other"]));
    assert_eq!(user.groups, ["other", AUTHENTICATED]);
    for shown in [
        format!("{access:?}"),
        format!("{restored:?}"),
        format!("{first:?}"),
    ] {
        assert!(!shown.contains(first.token.expose()), "{shown}");
        assert!(shown.contains("[redacted]"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_say_who_it_is() {
    let world = world();
    let token = world.admin.token.expose();
    for header in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("  Bearer {token}  "),
        format!("Bearer {token} more"),
    ] {
        assert_eq!(world.user(Some(&header)).unwrap().name, "admin", "{header}");
    }
    for header in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer  x"),
        Some("Basic eA=="),
    ] {
        assert_eq!(world.user(header).unwrap(), User::anonymous(), "{header:?}");
    }
    for wrong in ["x", &token[1..], &format!("{token}x"), "a.b.c", "."] {
        let status = world.user(Some(&format!("Bearer {wrong}"))).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (401, "Unauthorized")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_account_gets_a_token_as_the_real_server_makes_it() {
    let world = world();
    let account = world
        .memory
        .read("serviceaccounts", "game", "builder")
        .unwrap();
    let answer = world.request(&json!({})).unwrap();
    assert_eq!(answer["kind"], "TokenRequest");
    assert_eq!(
        answer["metadata"],
        json!({
            "name": "builder",
            "namespace": "game",
            "uid": account["metadata"]["uid"],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        })
    );
    assert_eq!(
        answer["spec"],
        json!({ "audiences": [ISSUER], "expirationSeconds": 3600, "boundObjectRef": null })
    );
    assert_eq!(
        answer["status"]["expirationTimestamp"],
        "2026-01-01T01:00:00Z"
    );
    let token = answer["status"]["token"].as_str().unwrap();
    let parts: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|part| {
            let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
            serde_json::from_slice(&engine.decode(part).unwrap()).unwrap()
        })
        .collect();
    let key = &world.access.openid_keys()["keys"][0];
    assert_eq!(parts[0], json!({ "alg": "ES256", "kid": key["kid"] }));
    assert_eq!(
        parts[1],
        json!({
            "aud": [ISSUER],
            "exp": 1_767_229_200,
            "iat": 1_767_225_600,
            "iss": ISSUER,
            "jti": "id-0",
            "kubernetes.io": {
                "namespace": "game",
                "serviceaccount": { "name": "builder", "uid": account["metadata"]["uid"] },
            },
            "nbf": 1_767_225_600,
            "sub": "system:serviceaccount:game:builder",
        })
    );
    assert_eq!(
        world.review_token(token, &[]),
        json!({
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:game:builder",
                "uid": account["metadata"]["uid"],
                "groups": [
                    "system:serviceaccounts",
                    "system:serviceaccounts:game",
                    "system:authenticated",
                ],
                "extra": { "authentication.kubernetes.io/credential-id": ["JTI=id-0"] },
            },
            "audiences": [ISSUER],
        })
    );
    let user = world.user(Some(&format!("Bearer {token}"))).unwrap();
    assert_eq!(user.name, "system:serviceaccount:game:builder");
}

#[tokio::test(start_paused = true)]
async fn a_token_tells_the_pod_that_it_is_bound_to() {
    let world = world();
    let pod = world.make_pod("server");
    let node = world.memory.read("nodes", "", "node").unwrap();
    let reference = json!({ "kind": "Pod", "apiVersion": "v1", "name": "server" });
    let token = world.token(&json!({ "boundObjectRef": reference, "audiences": ["a", "b"] }));
    let status = world.review_token(&token, &["b", "c"]);
    assert_eq!(status["audiences"], json!(["b"]));
    assert_eq!(
        status["user"]["extra"],
        json!({
            "authentication.kubernetes.io/credential-id": ["JTI=id-0"],
            "authentication.kubernetes.io/node-name": ["node"],
            "authentication.kubernetes.io/node-uid": [node["metadata"]["uid"]],
            "authentication.kubernetes.io/pod-name": ["server"],
            "authentication.kubernetes.io/pod-uid": [pod.meta("uid")],
        })
    );
    // It is for others, not for the API server itself.
    assert_eq!(
        world.error(&token),
        format!(
            "[invalid bearer token, token audiences [\"a\" \"b\"] is invalid for the target \
             audiences [\"{ISSUER}\"]]"
        )
    );
    // Where the node is, does not matter to a token of a pod.
    world.memory.remove("nodes", "", "node", None);
    assert_eq!(world.review_token(&token, &["a"])["authenticated"], true);
}

#[tokio::test(start_paused = true)]
async fn tokens_end_with_what_they_are_bound_to() {
    let reference = |kind: &str, name: &str| json!({ "boundObjectRef": { "kind": kind, "apiVersion": "v1", "name": name } });
    let gone = "[invalid bearer token, service account token has been invalidated]";
    for (kind, plural, namespace, name) in [
        ("Pod", "pods", "game", "server"),
        ("Secret", "secrets", "game", "secret"),
        ("Node", "nodes", "", "node"),
    ] {
        let world = world();
        world.make_pod("server");
        world.memory.make("secrets", "game", named("secret"));
        let token = world.token(&reference(kind, name));
        assert_eq!(
            world.review_token(&token, &[])["authenticated"],
            true,
            "{kind}"
        );
        let old = world.memory.read(plural, namespace, name).unwrap();
        // On its way out, it is valid a little longer.
        world.memory.update(plural, namespace, name, |object| {
            object["metadata"]["finalizers"] = json!(["test/hold"]);
        });
        world.memory.remove(plural, namespace, name, None);
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(
            world.review_token(&token, &[])["authenticated"],
            true,
            "{kind}"
        );
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(world.error(&token), gone, "{kind}");
        world.memory.update(plural, namespace, name, |object| {
            object["metadata"]["finalizers"] = json!([]);
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        });
        assert_eq!(world.error(&token), gone, "{kind}");
        let new = world.memory.make(plural, namespace, named(name));
        let title = kind.to_lowercase();
        assert_eq!(
            world.error(&token),
            format!(
                "[invalid bearer token, {title} UID ({}) does not match service account {title} ref \
                 claim ({})]",
                new.meta("uid"),
                old["metadata"]["uid"].as_str().unwrap()
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_end_with_their_account() {
    let world = world();
    let token = world.token(&json!({}));
    let old = world
        .memory
        .read("serviceaccounts", "game", "builder")
        .unwrap();
    world
        .memory
        .remove("serviceaccounts", "game", "builder", None);
    assert_eq!(
        world.error(&token),
        "[invalid bearer token, serviceaccounts \"builder\" not found]"
    );
    let new = world
        .memory
        .make("serviceaccounts", "game", named("builder"));
    assert_eq!(
        world.error(&token),
        format!(
            "[invalid bearer token, service account UID ({}) does not match claim ({})]",
            new.meta("uid"),
            old["metadata"]["uid"].as_str().unwrap()
        )
    );
    assert_eq!(
        world
            .user(Some(&format!("Bearer {token}")))
            .unwrap_err()
            .code,
        401
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_end_in_time() {
    let world = world();
    world.make_pod("server");
    let token = world.token(&json!({ "expirationSeconds": 600 }));
    tokio::time::sleep(Duration::from_secs(655)).await;
    assert_eq!(world.review_token(&token, &[])["authenticated"], true);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        world.error(&token),
        "[invalid bearer token, service account token has expired]"
    );
    // What the kubelet asks for holds a year, and says that it holds an hour.
    let reference = json!({ "kind": "Pod", "apiVersion": "v1", "name": "server" });
    let spec = json!({ "expirationSeconds": 3607, "boundObjectRef": reference });
    let answer = world.request(&spec).unwrap();
    assert_eq!(
        answer["status"]["expirationTimestamp"],
        "2026-01-01T01:11:12Z"
    );
    let token = answer["status"]["token"].as_str().unwrap();
    tokio::time::sleep(Duration::from_hours(24 * 364)).await;
    assert_eq!(world.review_token(token, &[])["authenticated"], true);
}

#[tokio::test(start_paused = true)]
async fn forged_tokens_are_told_apart() {
    let world = world();
    let token = world.token(&json!({}));
    let broken = "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]";
    assert_eq!(world.error("garbage"), "invalid bearer token");
    assert_eq!(world.error("a.b.c"), "invalid bearer token");
    let (body, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(world.error(&format!("{body}.{}A", &signature[1..])), broken);
    assert_eq!(world.error(&format!("{body}.")), broken);
    // Another instance of the same name has another key.
    let other = super::world();
    let foreign = other.token(&json!({}));
    assert_eq!(
        world.error(&foreign),
        "[invalid bearer token, invalid signature, no keys found]"
    );
    // A token without a signature is none.
    let claims = body.split_once('.').unwrap().1;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"ES256"}"#,
    ] {
        let forged = format!("{}.{claims}.", engine.encode(header));
        assert!(
            world.error(&forged).starts_with('[') || header.contains("none"),
            "{header}"
        );
        assert_eq!(
            world
                .user(Some(&format!("Bearer {forged}")))
                .unwrap_err()
                .code,
            401
        );
    }
    // The token of a fixed user is for this server alone.
    let admin = world.admin.token.expose().to_owned();
    assert_eq!(world.review_token(&admin, &[])["user"]["username"], "admin");
    let elsewhere = world.review_token(&admin, &["elsewhere"]);
    assert_eq!(elsewhere["error"], "invalid bearer token");
}

#[tokio::test(start_paused = true)]
async fn bad_requests_for_tokens_are_refused_in_the_words_of_the_real_server() {
    let world = world();
    world.make_pod("server");
    world.memory.make("pods", "game", named("stranger"));
    let reference = |kind: &str, name: &str, uid: &str| {
        let reference = json!({ "kind": kind, "apiVersion": "v1", "name": name, "uid": uid });
        json!({ "boundObjectRef": reference })
    };
    for (spec, code, message) in [
        (
            json!({ "expirationSeconds": 599 }),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid \
             value: 599: may not specify a duration less than 10 minutes",
        ),
        (
            json!({ "expirationSeconds": 4_294_967_297_u64 }),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid \
             value: 4294967297: may not specify a duration larger than 2^32 seconds",
        ),
        (
            json!({ "expirationSeconds": 1000.5 }),
            400,
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot \
             unmarshal number 1000.5 into Go struct field TokenRequestSpec.spec.expirationSeconds \
             of type int64",
        ),
        (
            json!({ "expirationSeconds": "x" }),
            400,
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot \
             unmarshal string into Go struct field TokenRequestSpec.spec.expirationSeconds of \
             type int64",
        ),
        (reference("Pod", "nope", ""), 404, "pods \"nope\" not found"),
        (
            reference("ConfigMap", "x", ""),
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            reference("Pod", "stranger", ""),
            400,
            "cannot bind token for serviceaccount \"builder\" to pod running with different \
             serviceaccount name.",
        ),
        (
            reference("Node", "node", "aa"),
            409,
            "Operation cannot be fulfilled on Node \"node\": the UID in the bound object reference \
             (aa) does not match the UID in record. The object might have been deleted and then \
             recreated",
        ),
    ] {
        let status = world.request(&spec).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, message));
    }
    let objects = world.memory.as_ref();
    let request = |name: &str, body: Value| {
        let result = world.access.request_token(objects, "game", name, &body);
        result.unwrap_err().message
    };
    assert_eq!(
        request("nope", json!({})),
        "serviceaccounts \"nope\" not found"
    );
    assert_eq!(
        request("builder", json!({ "metadata": { "name": "zz" } })),
        "TokenRequest.authentication.k8s.io \"builder\" is invalid: metadata.name: Invalid value: \
         \"zz\": must match the service account name if specified"
    );
    let uid = world
        .memory
        .read("serviceaccounts", "game", "builder")
        .unwrap();
    assert_eq!(
        request("builder", json!({ "metadata": { "uid": "a" } })),
        format!(
            "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"builder\": the \
             UID in the token request (a) does not match the UID of the service account ({})",
            uid["metadata"]["uid"].as_str().unwrap()
        )
    );
}
