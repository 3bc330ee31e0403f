//! `/watch/gameserver` over WebSocket, as Agones' grpc-websocket-proxy serves it: each message of
//! the stream is one text frame.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tonic::Status;
use tonic::body::Body;

use crate::backend::Watch;
use crate::serve::Tasks;

/// Nothing but control frames is expected from the client.
const MAX_RECEIVED_BYTES: usize = 64 * 1024;
/// A client that does not take a frame within this time is gone.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// Whether the client asks for a WebSocket.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket")
}

/// Answers the handshake, and serves the watch as soon as the connection is a WebSocket.
pub(super) fn accept<B>(
    request: &mut Request<B>,
    watch: Watch,
    tasks: &Tasks,
) -> Result<Response<Body>, Status> {
    if !has_token(request.headers(), &SEC_WEBSOCKET_VERSION, "13") {
        return Err(Status::invalid_argument("Sec-WebSocket-Version must be 13"));
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return Err(Status::invalid_argument("Sec-WebSocket-Key is missing"));
    };
    let accepted = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|error| Status::internal(error.to_string()))?;
    let upgrade = hyper::upgrade::on(request);
    tasks.tracker.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                if let Err(error) = serve(TokioIo::new(upgraded), watch).await {
                    tracing::debug!(%error, "WebSocket ended early");
                }
            }
            Err(error) => tracing::debug!(%error, "WebSocket handshake failed"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    Ok(response)
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, mut watch: Watch) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_RECEIVED_BYTES))
        .max_frame_size(Some(MAX_RECEIVED_BYTES));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    loop {
        tokio::select! {
            object = watch.next() => {
                let Some(object) = object else { break };
                let Ok(text) = super::result(&object) else { break };
                let sending = socket.send(Message::text(text));
                match tokio::time::timeout(SEND_WITHIN, sending).await {
                    Ok(sent) => sent?,
                    Err(_elapsed) => return Ok(()),
                }
            }
            // Pings are answered in passing; other messages mean nothing here.
            received = socket.next() => match received {
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
        }
    }
    let away = CloseFrame {
        code: CloseCode::Away,
        reason: "SDK server is shutting down".into(),
    };
    socket.close(Some(away)).await
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}
