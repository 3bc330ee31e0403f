//! A client of the lobby: one socket, calls that are answered, and events in between.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use url::Url;
use wire::answer::Answer;
use wire::call::Call;
use wire::event::Event;

use super::Error;

/// The subprotocol with messages of Protobuf.
const SUBPROTOCOL: &str = "muster.lobby.v1.proto";

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Events that are kept for whoever asks for them later; older ones are forgotten.
const KEPT: usize = 256;

/// A player's session with the lobby.
#[derive(Debug)]
pub(super) struct Lobby {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u32,
    seen: u32,
    events: VecDeque<Event>,
}

/// What it takes to go on with a session whose socket broke.
#[derive(Clone)]
pub(super) struct Way {
    resume_token: String,
    seen: u32,
}

impl Lobby {
    /// Signs in, going on with a former session where there is one.
    pub(super) async fn connect(
        base: &Url,
        access_token: &str,
        former: Option<Way>,
    ) -> Result<(Self, wire::Welcome), Error> {
        let mut url = base
            .join("v1/socket")
            .map_err(|_| Error::Url(base.clone()))?;
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| Error::Url(base.clone()))?;
        let mut request = url.as_str().into_client_request().map_err(socket_error)?;
        let name = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        let connected = timeout(TIMEOUT, connect_async(request)).await;
        let (socket, _) = connected
            .map_err(|_| Error::Late("connect"))?
            .map_err(socket_error)?;
        let seen = former.as_ref().map_or(0, |way| way.seen);
        let mut this = Self {
            socket,
            calls: 0,
            seen,
            events: VecDeque::new(),
        };
        let hello = wire::Hello {
            access_token: access_token.to_owned(),
            resume: former.map(|way| wire::Resume {
                resume_token: way.resume_token,
                seen: way.seen,
            }),
            ..wire::Hello::default()
        };
        let Answer::Welcome(welcome) = this.call(Call::Hello(hello)).await? else {
            return Err(Error::Unexpected("welcome"));
        };
        if !welcome.is_resumed {
            this.seen = 0;
        }
        Ok((this, welcome))
    }

    /// What it takes to come back after the socket broke.
    pub(super) fn way_back(&self, welcome: &wire::Welcome) -> Way {
        Way {
            resume_token: welcome.resume_token.clone(),
            seen: self.seen,
        }
    }

    /// Calls the lobby and waits for its answer; what comes before it is kept.
    pub(super) async fn call(&mut self, call: Call) -> Result<Answer, Error> {
        self.calls += 1;
        let id = self.calls;
        let call = wire::Call {
            id,
            seen: self.seen,
            call: Some(call),
            ..wire::Call::default()
        };
        let bytes = call.encode_to_vec();
        self.socket
            .send(Message::Binary(bytes.into()))
            .await
            .map_err(socket_error)?;
        let answered = timeout(TIMEOUT, async {
            loop {
                let message = self.next().await?;
                let is_mine = message.id == id;
                match message.message {
                    Some(wire::message::Message::Error(error)) if is_mine => {
                        return Err(Error::Lobby(error.code, error.message));
                    }
                    Some(wire::message::Message::Answer(answer)) if is_mine => {
                        return answer.answer.ok_or(Error::Unexpected("answer"));
                    }
                    Some(wire::message::Message::Event(event)) => {
                        self.keep(event);
                    }
                    _ => {}
                }
            }
        });
        answered.await.map_err(|_| Error::Late("answer"))?
    }

    /// The first event that `pick` takes, waiting so long. Others stay for whoever asks for them:
    /// what two lobbies or two parts of one tell comes in any order.
    pub(super) async fn event<T>(
        &mut self,
        what: &'static str,
        patience: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, Error> {
        let awaited = timeout(patience, async {
            let mut looked = 0;
            loop {
                while let Some(event) = self.events.get(looked) {
                    if let Some(picked) = pick(event) {
                        self.events.remove(looked);
                        return Ok(picked);
                    }
                    looked += 1;
                }
                let message = self.next().await?;
                if let Some(wire::message::Message::Event(event)) = message.message
                    && self.keep(event)
                {
                    looked -= 1;
                }
            }
        });
        awaited.await.map_err(|_| Error::Late(what))?
    }

    /// Keeps an event; whether the oldest one gave way.
    fn keep(&mut self, event: wire::Event) -> bool {
        let is_full = self.events.len() == KEPT;
        if is_full {
            self.events.pop_front();
        }
        self.events.extend(event.event);
        is_full
    }

    async fn next(&mut self) -> Result<wire::Message, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    let message = wire::Message::decode(bytes).map_err(Error::Protobuf)?;
                    self.seen = self.seen.max(message.number);
                    return Ok(message);
                }
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map(|frame| frame.reason.to_string());
                    return Err(Error::Closed(reason.unwrap_or_default()));
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(socket_error(error)),
                None => return Err(Error::Closed(String::new())),
            }
        }
    }
}

fn socket_error(error: tokio_tungstenite::tungstenite::Error) -> Error {
    Error::Socket(Box::new(error))
}
