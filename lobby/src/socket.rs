//! `GET /v1/socket`: one WebSocket per client. Calls come in and are answered one after another;
//! events go out as they come.
//!
//! The subprotocol says how messages are written ([`codec`]). A socket that is ended by the lobby is
//! told why by the code of its close frame ([`close`]).

pub mod close;
pub mod codec;
mod hello;
mod talk;

use axum::extract::State as Shared;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use proto::muster::lobby::v1 as wire;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Duration;

use self::codec::Codec;
use self::talk::{Over, Talk};
use crate::error::{Code, Failure};
use crate::http::State;
use crate::service::calls;
use crate::sessions::{Attached, End, LINGER, online};

/// Where sockets are opened.
pub const PATH: &str = "/v1/socket";

/// Buffers of a socket: most idle, so that these are most of what one costs.
const BUFFER: usize = 4 * 1024;

/// The largest message of a client.
pub const LARGEST: usize = 16 * 1024;

/// The largest message to a client.
const LARGEST_OUT: usize = 256 * 1024;

/// How long a message may take on its way out before the client counts as gone.
const SEND: Duration = Duration::from_secs(10);

/// How long the client has to read why its socket ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Opens a socket.
pub(crate) async fn open(
    Shared(state): Shared<State>,
    parts: http::request::Parts,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let address = state.edge.address(&parts.extensions, &parts.headers);
    state.edge.count_address(address)?;
    let upgrade = upgrade
        .map_err(|_| Failure::new(Code::InvalidRequest, "this is a WebSocket"))?
        .protocols(Codec::ALL.map(Codec::subprotocol));
    let chosen = upgrade.selected_protocol().map(http::HeaderValue::as_bytes);
    let codec = Codec::ALL
        .into_iter()
        .find(|codec| chosen == Some(codec.subprotocol().as_bytes()))
        .ok_or_else(|| {
            let message = "choose the subprotocol muster.lobby.v1.json or muster.lobby.v1.proto";
            Failure::new(Code::InvalidRequest, message)
        })?;
    let place = std::sync::Arc::clone(&state.edge.places)
        .try_acquire_owned()
        .map_err(|_| Failure::throttled(Duration::from_secs(5)))?;
    Ok(upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(LARGEST_OUT * 2)
        .max_message_size(LARGEST)
        .max_frame_size(LARGEST)
        .on_upgrade(move |socket| {
            let tracker = state.edge.sockets.clone();
            tracker.track_future(serve(state, Line { socket, codec }, place))
        }))
}

/// A socket and how its messages are written.
struct Line {
    socket: WebSocket,
    codec: Codec,
}

/// What came over a socket.
enum Heard {
    /// A message of the right kind.
    Bytes(axum::body::Bytes),
    /// A ping, or an answer to ours.
    Alive,
    /// Nothing more will come.
    Over(Over),
}

impl Line {
    /// The next message. Nothing is lost when this is dropped.
    async fn hear(&mut self) -> Heard {
        match self.socket.recv().await {
            Some(Ok(Message::Text(text))) if self.codec == Codec::Json => Heard::Bytes(text.into()),
            Some(Ok(Message::Binary(bytes))) if self.codec == Codec::Proto => Heard::Bytes(bytes),
            Some(Ok(Message::Text(_) | Message::Binary(_))) => Heard::Over(close::KIND.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Heard::Alive,
            Some(Ok(Message::Close(frame))) => {
                // Who says goodbye does not come back; a page that is left may be loaded again.
                let is_goodbye = frame.is_none_or(|frame| frame.code == close::NORMAL);
                Heard::Over(if is_goodbye { Over::Left } else { Over::Broken })
            }
            None => Heard::Over(Over::Broken),
            // Too large or no message at all; whoever is gone does not hear it.
            Some(Err(_)) => Heard::Over(close::MALFORMED.into()),
        }
    }

    /// Sends a message. An error when the client does not take it in time.
    async fn say(&mut self, message: &wire::Message) -> Result<(), Over> {
        let message = match self.codec.write(message) {
            Ok(bytes) => match self.codec {
                Codec::Json => match Utf8Bytes::try_from(bytes) {
                    Ok(text) => Message::Text(text),
                    Err(_) => return Ok(()),
                },
                Codec::Proto => Message::Binary(bytes.into()),
            },
            // It was logged; what cannot be written is not sent.
            Err(_) => return Ok(()),
        };
        self.send(message).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        match tokio::time::timeout(SEND, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over::Broken),
            Err(_) => Err(close::SLOW.into()),
        }
    }

    /// Says why, and goes.
    async fn end(mut self, over: Over) {
        let bye = async {
            match over {
                Over::Broken => return,
                // The goodbye is answered by reading on.
                Over::Left => {}
                Over::Close(close) => {
                    let frame = CloseFrame {
                        code: close.code,
                        reason: Utf8Bytes::from_static(close.reason),
                    };
                    let message = Message::Close(Some(frame));
                    if self.socket.send(message).await.is_err() {
                        return;
                    }
                }
            }
            // What is on its way is read: a socket that is closed over it would be reset, and the
            // client would not learn why.
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        // A client that does not read is gone anyway.
        tokio::time::timeout(GOODBYE, bye).await.ok();
    }
}

/// The answer to a call.
fn answer(id: u32, answer: Result<wire::answer::Answer, Failure>) -> wire::Message {
    let message = match answer {
        Ok(answer) => wire::message::Message::Answer(wire::Answer {
            answer: Some(answer),
        }),
        Err(failure) => wire::message::Message::Error(calls::error(&failure)),
    };
    wire::Message {
        number: 0,
        id,
        message: Some(message),
    }
}

/// A socket from its beginning to the end of its session.
async fn serve(state: State, mut line: Line, place: OwnedSemaphorePermit) {
    let metrics = &state.service.parts().metrics;
    let open = metrics.socket();
    let entered = match hello::hello(&state, &mut line).await {
        Ok(entered) => entered,
        Err(over) => {
            metrics.ended(over.reason());
            line.end(over).await;
            return;
        }
    };
    let attached = entered.attached.clone();
    let over = Box::pin(Talk::new(&state, &mut line, entered).run()).await;
    metrics.ended(over.reason());
    line.end(over).await;
    drop((open, place));
    end(&state, &attached, over).await;
}

/// What becomes of a session whose socket is over.
async fn end(state: &State, attached: &Attached, over: Over) {
    let Attached { session, socket } = attached;
    let service = &state.service;
    let sessions = &service.parts().sessions;
    if over == Over::Close(close::RESUMED) {
        return;
    }
    if over == Over::Close(close::MOVING) {
        // The player is connected, and comes back in a moment: elsewhere, most probably.
        sessions.close(session).await;
        return;
    }
    if over.may_come_back() {
        if !session.detach(*socket) {
            return;
        }
        service
            .note_connection(session.caller().player, false)
            .await;
        let mut changes = session.changes();
        let decided = async {
            // What this returns holds a lock; that it returns is enough.
            drop(
                changes
                    .wait_for(|()| session.end_of(*socket).is_some())
                    .await,
            );
        };
        tokio::select! {
            () = decided => {}
            () = tokio::time::sleep(LINGER) => {}
            () = state.edge.stop.cancelled() => {
                sessions.close(session).await;
                return;
            }
        }
    }
    match session.end_of(*socket) {
        // Another socket answers for it.
        Some(End::Resumed) => return,
        Some(_) => {}
        // A client that comes in this moment is too late.
        None => session.end(End::Left),
    }
    let is_replaced = session.end_of(*socket) == Some(End::Replaced);
    sessions.close(session).await;
    if is_replaced {
        if sessions.of(session.caller().player).is_none() {
            service.presence_handed_over(session.caller().player);
        }
        return;
    }
    let player = session.caller().player;
    match online::leave(service.parts().live.as_ref(), player, session.id()).await {
        // A newer session is somewhere.
        Ok(false) => {}
        Ok(true) => service.note_connection(player, false).await,
        Err(error) => {
            // Better once too often: who is connected says so again.
            tracing::warn!(%error, "A player's place could not be given up");
            service.note_connection(player, false).await;
        }
    }
}
