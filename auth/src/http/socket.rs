//! `WS /validate`: game servers and lobbies ask about tokens and sessions, and hear what ends.
//!
//! Messages are JSON, one per frame. A request has a `type` and an `id`, which its answer repeats:
//!
//! ```json
//! {"type":"validate_token","id":1,"access_token":"…","audience":"game"}
//! {"type":"validate_session","id":2,"player_id":"…","session_key":"…","game_server":"203.0.113.7:7012"}
//! {"id":1,"ok":{"player_id":"…","session_id":"…","rights":[],"audiences":["game"],"expires_at":1767225600}}
//! {"id":2,"error":{"code":"invalid_token","message":"the token is not valid"}}
//! ```
//!
//! Beside answers come `{"type":"revoked",…}`, `{"type":"player_changed",…}` and
//! `{"type":"missed"}`: the socket was too slow, or other replicas were not heard for a while, and
//! what it caches may be old.

use std::time::Duration;

use axum::extract::State as Shared;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::Confidential;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::error::{Code, Failure};
use crate::live::News;
use crate::service::validate::Holder;

use super::State;
use super::body::{ClaimsBody, ErrorBody, ErrorDetail};
use super::caller::parse;

/// Buffers of a socket: most idle, so that these are most of what one costs.
const BUFFER: usize = 4 * 1024;

/// The largest message.
const LARGEST: usize = 16 * 1024;

/// How long a message may take on its way out before the peer counts as gone.
const SEND: Duration = Duration::from_secs(10);

/// A ping after that much silence, and the end after twice as much.
const SILENCE: Duration = Duration::from_secs(30);

/// A request over the socket.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    ValidateToken {
        id: u64,
        access_token: Confidential,
        audience: Option<String>,
    },
    ValidateSession {
        id: u64,
        player_id: String,
        session_key: String,
        game_server: String,
    },
}

/// An answer over the socket.
#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

/// What nobody asked for.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Push<'news> {
    Revoked {
        player_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_key: Option<String>,
        at: jiff::Timestamp,
    },
    PlayerChanged {
        player_id: String,
        player_data: &'news Value,
        roles: &'news [String],
    },
    Missed,
}

/// Questions about tokens and sessions, and what ends. For services alone.
#[utoipa::path(
    get, path = "/validate", tag = "services", security(("service" = [])),
    responses(
        (status = 101, description = "A WebSocket; its messages are in the guide"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn validate(
    Shared(state): Shared<State>,
    parts: http::request::Parts,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    state.edge.service(&parts.extensions, &parts.headers)?;
    let upgrade = upgrade
        .map_err(|_| Failure::new(Code::InvalidRequest, "GET is for WebSockets; POST a token"))?;
    let place = std::sync::Arc::clone(&state.sockets)
        .try_acquire_owned()
        .map_err(|_| Failure::overloaded(Duration::from_secs(5)))?;
    let trace = runtime::trace::carried(&parts.headers);
    Ok(upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(LARGEST * 4)
        .max_message_size(LARGEST)
        .max_frame_size(LARGEST)
        .on_upgrade(move |socket| {
            let tracker = state.edge.sockets.clone();
            tracker.track_future(serve(state, socket, trace, place))
        }))
}

/// Why a socket ends.
enum End {
    /// The peer has gone.
    Gone,
    /// We end it, and say why.
    Close(u16, &'static str),
}

/// What is asked is a part of the trace that the upgrade came with, if it came with one.
async fn serve(
    state: State,
    mut socket: WebSocket,
    trace: Option<String>,
    _place: OwnedSemaphorePermit,
) {
    let mut news = state.service.news();
    let mut heard = Instant::now();
    let mut is_pinged = false;
    let end = loop {
        let next = tokio::select! {
            () = state.edge.stop.cancelled() => break End::Close(close_code::AWAY, "shutting down"),
            message = socket.recv() => match message {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    is_pinged = false;
                    match message {
                        Message::Text(text) => {
                            let span = runtime::span!("WebSocket /validate", otel.kind = "server");
                            if let Some(context) = &trace {
                                runtime::trace::continue_from(&span, context);
                            }
                            let answer = answer(&state, text.as_bytes());
                            Some(answer.instrument(span).await)
                        }
                        Message::Binary(_) => {
                            break End::Close(close_code::UNSUPPORTED, "messages are text");
                        }
                        Message::Close(_) => break End::Gone,
                        Message::Ping(_) | Message::Pong(_) => None,
                    }
                }
                // Too large, or no message at all; whoever has gone does not hear it.
                Some(Err(_)) => {
                    break End::Close(close_code::POLICY, "messages are text of at most 16 KiB");
                }
                None => break End::Gone,
            },
            event = news.recv() => match event {
                Ok(event) => push(&event),
                Err(RecvError::Lagged(_)) => text(&Push::Missed),
                Err(RecvError::Closed) => break End::Close(close_code::AWAY, "shutting down"),
            },
            () = tokio::time::sleep_until(heard + SILENCE) => {
                if is_pinged {
                    break End::Gone;
                }
                is_pinged = true;
                heard = Instant::now();
                Some(Message::Ping(axum::body::Bytes::new()))
            }
        };
        let Some(message) = next else { continue };
        match tokio::time::timeout(SEND, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break End::Gone,
        }
    };
    if let End::Close(code, reason) = end {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        let bye = socket.send(Message::Close(Some(frame)));
        // A peer that does not read is gone anyway.
        drop(tokio::time::timeout(SEND, bye).await);
    }
}

/// The answer to one message.
async fn answer(state: &State, bytes: &[u8]) -> Message {
    let (id, result) = match parse::<Ask>(bytes) {
        Ok(Ask::ValidateToken {
            id,
            access_token,
            audience,
        }) => {
            let claims = state
                .service
                .validate(access_token.expose(), audience.as_deref(), Holder::Service)
                .await;
            let ok = claims.and_then(|claims| {
                to_value(&ClaimsBody {
                    player_id: claims.sub.to_string(),
                    session_id: claims.sid.to_string(),
                    rights: claims.roles.clone(),
                    audiences: claims.aud.clone(),
                    expires_at: claims.exp,
                })
            });
            (Some(id), ok)
        }
        Ok(Ask::ValidateSession {
            id,
            player_id,
            session_key,
            game_server,
        }) => (
            Some(id),
            validate_session(state, &player_id, &session_key, &game_server).await,
        ),
        Err(failure) => (None, Err(failure)),
    };
    let (ok, error) = match result {
        Ok(value) => (Some(value), None),
        Err(failure) => (
            None,
            Some(ErrorDetail {
                code: failure.code,
                message: failure.message.into_owned(),
                field: failure.field.map(std::borrow::Cow::into_owned),
            }),
        ),
    };
    text(&Answer { id, ok, error }).unwrap_or_else(|| Message::text("{}"))
}

async fn validate_session(
    state: &State,
    player: &str,
    session: &str,
    game_server: &str,
) -> Result<Value, Failure> {
    let player = player
        .parse()
        .map_err(|_| Failure::field("player_id", "a UUID"))?;
    let session = session
        .parse()
        .map_err(|_| Failure::field("session_key", "a UUID"))?;
    let known = state
        .service
        .validate_session(player, session, game_server)
        .await?;
    Ok(serde_json::json!({
        "player_id": known.player,
        "rights": known.roles,
        "player_data": known.data,
    }))
}

fn push(news: &News) -> Option<Message> {
    match news {
        News::Revoked(revocation) => text(&Push::Revoked {
            player_id: revocation.player.to_string(),
            session_key: revocation.session.map(|session| session.to_string()),
            at: revocation.at,
        }),
        News::PlayerChanged {
            user_id,
            user_data,
            roles,
        } => text(&Push::PlayerChanged {
            player_id: user_id.to_string(),
            player_data: user_data,
            roles,
        }),
        News::Missed => text(&Push::Missed),
        News::KeysChanged => None,
    }
}

fn to_value(body: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(body)
        .map_err(|error| Failure::defect("an answer cannot be written", &error))
}

fn text(body: &impl Serialize) -> Option<Message> {
    serde_json::to_string(body)
        .map(Message::text)
        .inspect_err(|error| tracing::error!(%error, "A message cannot be written"))
        .ok()
}
