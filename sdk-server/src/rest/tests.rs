use std::sync::Arc;

use expect_test::{Expect, expect};
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::LocalConfig;
use crate::local::Local;

fn rest() -> Rest {
    let closing = CancellationToken::new();
    let local = Local::new(
        &LocalConfig::default(),
        None,
        1_700_000_000,
        closing.clone(),
    );
    Rest {
        api: Api::new(Arc::new(local)),
        tasks: Tasks {
            tracker: TaskTracker::new(),
            closing,
        },
    }
}

fn request(line: &str, body: &str) -> Request<Full<Bytes>> {
    let (method, path) = line.split_once(' ').unwrap();
    let body = Full::new(Bytes::from(body.to_owned()));
    Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .unwrap()
}

async fn answer(rest: &Rest, line: &str, body: &str) -> String {
    let response = rest.respond(request(line, body)).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {}", std::str::from_utf8(&body).unwrap())
}

/// Sends requests in turn, each `line` or `line body`, and shows what comes back.
async fn check(requests: &[(&str, &str)], expected: Expect) {
    let rest = rest();
    let mut all = String::new();
    for (line, body) in requests {
        let answer = answer(&rest, line, body).await;
        let asked = format!("{line} {body}");
        all = format!("{all}{}\n  {answer}\n", asked.trim_end());
    }
    expected.assert_eq(&all);
}

#[tokio::test]
async fn every_call_has_its_path() {
    check(
        &[
            ("POST /ready", "{}"),
            ("POST /allocate", "{}"),
            ("POST /shutdown", "{}"),
            ("POST /health", "{}"),
            ("POST /health", "{}{} {}"),
            ("POST /reserve", r#"{"seconds":"30"}"#),
            ("POST /reserve", r#"{"seconds":5}"#),
            ("PUT /metadata/label", r#"{"key":"map","value":"dust"}"#),
            (
                "PUT /metadata/annotation",
                r#"{"key":"note","value":"any text"}"#,
            ),
            ("GET /gameserver", ""),
        ],
        expect![[r#"
            POST /ready {}
              200 {}
            POST /allocate {}
              200 {}
            POST /shutdown {}
              200 {}
            POST /health {}
              200 {}
            POST /health {}{} {}
              200 {}
            POST /reserve {"seconds":"30"}
              200 {}
            POST /reserve {"seconds":5}
              200 {}
            PUT /metadata/label {"key":"map","value":"dust"}
              200 {}
            PUT /metadata/annotation {"key":"note","value":"any text"}
              200 {}
            GET /gameserver
              200 {"object_meta":{"name":"local","namespace":"default","uid":"1234","resource_version":"v1","generation":"1","creation_timestamp":"1700000000","deletion_timestamp":"0","annotations":{"annotation":"true","muster.dev/sdk-note":"any text"},"labels":{"islocal":"true","muster.dev/sdk-map":"dust"}},"spec":{"health":{"disabled":false,"period_seconds":3,"failure_threshold":5,"initial_delay_seconds":10}},"status":{"state":"Reserved","address":"127.0.0.1","ports":[{"name":"default","port":7777}],"counters":{"rooms":{"count":"1","capacity":"10"}},"lists":{"players":{"capacity":"100","values":["test0","test1","test2"]}},"addresses":[]}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn bodies_are_read_as_grpc_gateway_reads_them() {
    check(
        &[
            ("POST /ready", ""),
            ("POST /ready", r#"{"unknown":{"deep":[1]}}"#),
            (
                "PUT /metadata/label",
                r#"{"key":"map","value":"dust","more":1}"#,
            ),
            ("POST /health", ""),
            ("POST /ready", "{"),
            ("POST /ready", "nonsense"),
            ("POST /health", "{} nonsense"),
            ("PUT /metadata/label", r#"{"key":1}"#),
            ("PUT /metadata/label", ""),
            ("POST /reserve", r#"{"seconds":"soon"}"#),
            ("POST /reserve", r#"{"seconds":-1}"#),
            ("PUT /metadata/annotation", r#"{"key":"a/b","value":""}"#),
        ],
        expect![[r#"
            POST /ready
              200 {}
            POST /ready {"unknown":{"deep":[1]}}
              200 {}
            PUT /metadata/label {"key":"map","value":"dust","more":1}
              200 {}
            POST /health
              400 {"code":3,"message":"the body is empty: send {} for a health ping","details":[]}
            POST /ready {
              400 {"code":3,"message":"malformed JSON: EOF while parsing an object at line 1 column 1","details":[]}
            POST /ready nonsense
              400 {"code":3,"message":"malformed JSON: expected ident at line 1 column 2","details":[]}
            POST /health {} nonsense
              400 {"code":3,"message":"malformed JSON: expected ident at line 1 column 5","details":[]}
            PUT /metadata/label {"key":1}
              400 {"code":3,"message":"malformed JSON: invalid type: integer `1`, expected a string at line 1 column 8","details":[]}
            PUT /metadata/label
              400 {"code":3,"message":"the label's key is empty","details":[]}
            POST /reserve {"seconds":"soon"}
              400 {"code":3,"message":"malformed JSON: invalid digit found in string at line 1 column 18","details":[]}
            POST /reserve {"seconds":-1}
              400 {"code":3,"message":"seconds must not be negative, got -1","details":[]}
            PUT /metadata/annotation {"key":"a/b","value":""}
              400 {"code":3,"message":"annotation key muster.dev/sdk-a/b: the name part must consist of letters, digits, '-', '_' or '.', and must end with a letter or digit","details":[]}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn unknown_paths_and_verbs_get_grpc_gateway_errors() {
    check(
        &[
            ("GET /", ""),
            ("GET /ready", ""),
            ("POST /gameserver", "{}"),
            ("POST /metadata/label", "{}"),
            ("POST /ready/", "{}"),
            ("GET /v1beta1/counters/rooms", ""),
            ("PATCH /v1beta1/lists/players", "{}"),
            ("POST /alpha/player/connect", "{}"),
        ],
        expect![[r#"
            GET /
              404 {"code":5,"message":"Not Found","details":[]}
            GET /ready
              501 {"code":12,"message":"Method Not Allowed","details":[]}
            POST /gameserver {}
              501 {"code":12,"message":"Method Not Allowed","details":[]}
            POST /metadata/label {}
              501 {"code":12,"message":"Method Not Allowed","details":[]}
            POST /ready/ {}
              404 {"code":5,"message":"Not Found","details":[]}
            GET /v1beta1/counters/rooms
              501 {"code":12,"message":"counters and lists are not supported","details":[]}
            PATCH /v1beta1/lists/players {}
              501 {"code":12,"message":"counters and lists are not supported","details":[]}
            POST /alpha/player/connect {}
              501 {"code":12,"message":"player tracking is not supported","details":[]}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_watch_over_http_is_a_stream_of_results() {
    let rest = rest();
    let response = rest.respond(request("GET /watch/gameserver", "")).await;
    let mut body = response.into_body();
    let mut next = async || {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let line = std::str::from_utf8(&frame).unwrap().to_owned();
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line.ends_with("}\n"), "{line}");
        message["result"]["status"]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(next().await, "Ready");
    rest.api.call(Call::Allocate).await.unwrap();
    assert_eq!(next().await, "Allocated");
}

#[tokio::test]
async fn a_websocket_needs_a_whole_handshake() {
    let rest = rest();
    let mut handshake = request("GET /watch/gameserver", "");
    handshake.headers_mut().insert(
        "connection",
        HeaderValue::from_static("keep-alive, Upgrade"),
    );
    handshake
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("WebSocket"));
    assert_eq!(
        rest.respond(handshake).await.status(),
        StatusCode::BAD_REQUEST
    );
}
