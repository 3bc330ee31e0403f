//! REST over plain HTTP, with the watch as a stream and as a WebSocket.

use anyhow::{Context as _, Result, ensure};
use e2e::http_client::{json, open};
use futures::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::server::{ALL, Running, soon, start};

async fn call(server: &Running, method: Method, path: &str, body: &str) -> Result<Value> {
    let (status, answer) = json(server.rest, method.clone(), path, Some(body)).await?;
    ensure!(
        status == StatusCode::OK,
        "{method} {path} {body}: {status} {answer}"
    );
    Ok(answer)
}

async fn state(server: &Running) -> Result<String> {
    let object = call(server, Method::GET, "/gameserver", "").await?;
    Ok(object["status"]["state"]
        .as_str()
        .context("no state")?
        .to_owned())
}

/// The watch as lines of JSON, collected in the background.
async fn watch(server: &Running) -> Result<tokio::sync::mpsc::UnboundedReceiver<Value>> {
    let response = open(server.rest, Method::GET, "/watch/gameserver", None).await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut body = response.into_body().into_data_stream();
        let mut rest = Vec::new();
        while let Some(Ok(chunk)) = body.next().await {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = rest.drain(..=end).collect();
                let value = serde_json::from_slice(&line).unwrap_or(Value::Null);
                if sender.send(value).is_err() {
                    return;
                }
            }
        }
    });
    Ok(receiver)
}

#[tokio::test]
async fn every_core_call_works_over_rest() -> Result<()> {
    let server = start(ALL).await?;
    let mut changes = watch(&server).await?;
    let first = soon("the first message", changes.recv())
        .await?
        .context("the watch ended")?;
    let object = call(&server, Method::GET, "/gameserver", "").await?;
    ensure!(first["result"] == object, "{first} is not {object}");

    // snake_case, and int64 as text, as Agones' gateway writes them.
    let metadata = &object["object_meta"];
    let time = metadata["creation_timestamp"]
        .as_str()
        .context("creation_timestamp is no text")?;
    let uid = metadata["uid"].as_str().context("no uid")?;
    ensure!(object["status"]["ports"][0]["port"].is_i64(), "{object}");

    ensure!(call(&server, Method::POST, "/health", "{}").await? == json!({}));
    ensure!(call(&server, Method::POST, "/ready", "{}").await? == json!({}));
    ensure!(state(&server).await? == "Ready");
    call(&server, Method::POST, "/allocate", "{}").await?;
    ensure!(state(&server).await? == "Allocated");
    let label = json!({ "key": "rest-label", "value": time }).to_string();
    call(&server, Method::PUT, "/metadata/label", &label).await?;
    let annotation = json!({ "key": "rest-annotation", "value": uid }).to_string();
    call(&server, Method::PUT, "/metadata/annotation", &annotation).await?;
    // Numbers may come as text, and unknown fields are ignored.
    call(
        &server,
        Method::POST,
        "/reserve",
        r#"{"seconds": "1", "unknown": true}"#,
    )
    .await?;
    ensure!(state(&server).await? == "Reserved");
    soon("Ready after the reservation", async {
        let mut reserved = false;
        while let Some(change) = changes.recv().await {
            let state = &change["result"]["status"]["state"];
            reserved |= state == "Reserved";
            if reserved && state == "Ready" {
                return true;
            }
        }
        false
    })
    .await?;
    call(&server, Method::POST, "/shutdown", "{}").await?;
    ensure!(state(&server).await? == "Shutdown");
    let object = call(&server, Method::GET, "/gameserver", "").await?;
    let labels = object["object_meta"]["labels"]
        .as_object()
        .context("no labels")?;
    ensure!(
        labels
            .iter()
            .any(|(key, value)| key.ends_with("sdk-rest-label") && value == time)
    );
    server.finish().await
}

#[tokio::test]
async fn the_watch_is_served_over_a_websocket() -> Result<()> {
    let server = start("").await?;
    let stream = TcpStream::connect(server.rest).await?;
    let url = format!("ws://{}/watch/gameserver", server.rest);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    let mut next = async || -> Result<Value> {
        let message = soon("a message", socket.next())
            .await?
            .context("the socket was closed")??;
        Ok(serde_json::from_str(message.to_text()?)?)
    };
    let first = next().await?;
    ensure!(
        first["result"]["object_meta"]["name"].is_string(),
        "{first}"
    );
    call(&server, Method::POST, "/allocate", "{}").await?;
    let second = next().await?;
    ensure!(
        second["result"]["status"]["state"] == "Allocated",
        "{second}"
    );
    drop(socket);
    server.finish().await
}

#[tokio::test]
async fn malformed_calls_are_refused_with_a_code_and_a_message() -> Result<()> {
    let server = start("").await?;
    let cases = [
        (Method::POST, "/health", "", StatusCode::BAD_REQUEST),
        (Method::POST, "/ready", "{", StatusCode::BAD_REQUEST),
        (
            Method::PUT,
            "/metadata/label",
            r#"{"key": "a b", "value": "x"}"#,
            StatusCode::BAD_REQUEST,
        ),
        (
            Method::PUT,
            "/metadata/label",
            r#"{"key": 7}"#,
            StatusCode::BAD_REQUEST,
        ),
        (
            Method::POST,
            "/reserve",
            r#"{"seconds": "soon"}"#,
            StatusCode::BAD_REQUEST,
        ),
        (Method::GET, "/nowhere", "", StatusCode::NOT_FOUND),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = json(server.rest, method.clone(), path, Some(body)).await?;
        ensure!(
            status == expected,
            "{method} {path} {body}: {status} {answer}"
        );
        ensure!(
            answer["message"].as_str().is_some_and(|it| !it.is_empty()),
            "{path}: {answer}"
        );
    }
    // The server is as it was.
    ensure!(state(&server).await? == "Ready");
    server.finish().await
}
