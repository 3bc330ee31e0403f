//! Plain HTTP/1.1, one connection per request: enough for REST without a second HTTP stack.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends a request, and returns the answer's head and its body as a stream.
pub async fn open(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&str>,
) -> Result<Response<Incoming>> {
    let request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(http::header::HOST, address.to_string())
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default().to_owned())))?;
    let send = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the body; its failure shows in the body too.
        tokio::spawn(connection);
        anyhow::Ok(sender.send_request(request).await?)
    };
    tokio::time::timeout(TIMEOUT, send)
        .await
        .with_context(|| format!("{method} {path} at {address}: no answer within {TIMEOUT:?}"))?
        .with_context(|| format!("{method} {path} at {address}"))
}

/// Sends a request, and returns the status and the body as JSON (null if it is empty).
pub async fn json(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&str>,
) -> Result<(StatusCode, Value)> {
    let response = open(address, method.clone(), path, body).await?;
    let status = response.status();
    let bytes = tokio::time::timeout(TIMEOUT, response.into_body().collect())
        .await
        .with_context(|| format!("{method} {path} at {address}: the body did not end"))??
        .to_bytes();
    if bytes.is_empty() {
        return Ok((status, Value::Null));
    }
    let value = serde_json::from_slice(&bytes).with_context(|| {
        format!(
            "{method} {path} answered {status}: {}",
            String::from_utf8_lossy(&bytes)
        )
    })?;
    Ok((status, value))
}
