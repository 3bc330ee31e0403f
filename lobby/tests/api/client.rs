//! A client of a socket.

use futures::{SinkExt as _, StreamExt as _};
use lobby::socket::codec::Codec;
use proto::muster::lobby::v1 as wire;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use wire::answer::Answer;
use wire::call::Call;
use wire::event::Event;

use crate::world::{SOON, World, token};

/// A socket of a client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    codec: Codec,
    next: u32,
}

/// What a socket was told.
#[derive(Debug)]
pub(crate) enum Told {
    Message(Box<wire::Message>),
    /// The code of the close frame; none when it ended without a word.
    End(Option<u16>),
}

/// Opens a socket with these subprotocols; the status when it is refused.
pub(crate) async fn open(
    world: &World,
    protocols: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, u16> {
    open_over(world, TcpSocket::new_v4().unwrap(), protocols).await
}

/// As [`open`], over that socket.
pub(crate) async fn open_over(
    world: &World,
    socket: TcpSocket,
    protocols: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, u16> {
    let stream = socket.connect(world.address).await.unwrap();
    let mut request = format!("ws://{}/v1/socket", world.address)
        .into_client_request()
        .unwrap();
    if let Some(protocols) = protocols {
        let name = "sec-websocket-protocol";
        request
            .headers_mut()
            .insert(name, protocols.parse().unwrap());
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

/// Hello with a token.
pub(crate) fn hello(token: &str) -> wire::Hello {
    wire::Hello {
        access_token: token.to_owned(),
        ..wire::Hello::default()
    }
}

impl Client {
    /// A socket that is not signed in.
    pub(crate) async fn new(world: &World, codec: Codec) -> Self {
        let socket = open(world, Some(codec.subprotocol())).await.unwrap();
        Self {
            socket,
            codec,
            next: 1,
        }
    }

    /// A socket of a player, who is signed in.
    pub(crate) async fn of(world: &World, player: u128) -> (Self, wire::Welcome) {
        let mut client = Self::new(world, Codec::Proto).await;
        let welcome = client.sign_in(hello(&token(player))).await;
        (client, welcome)
    }

    pub(crate) async fn sign_in(&mut self, hello: wire::Hello) -> wire::Welcome {
        match self.ask(Call::Hello(hello)).await {
            Ok(Answer::Welcome(welcome)) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send_raw(&mut self, message: impl Into<Message>) {
        self.socket.send(message.into()).await.unwrap();
    }

    pub(crate) async fn send(&mut self, call: &wire::Call) {
        let bytes = self.codec.write(call).unwrap();
        let message = match self.codec {
            Codec::Json => Message::text(String::from_utf8(bytes).unwrap()),
            Codec::Proto => Message::binary(bytes),
        };
        self.send_raw(message).await;
    }

    /// Sends a call; its id.
    pub(crate) async fn call(&mut self, call: Call) -> u32 {
        let id = self.next;
        self.next += 1;
        let call = wire::Call {
            id,
            call: Some(call),
            ..wire::Call::default()
        };
        self.send(&call).await;
        id
    }

    /// Sends a call, and waits for its answer; events before are left out.
    pub(crate) async fn ask(&mut self, call: Call) -> Result<Answer, wire::Error> {
        let id = self.call(call).await;
        loop {
            match self.next().await {
                Told::Message(message) if message.number == 0 => {
                    assert_eq!(message.id, id, "{message:?}");
                    return result(*message);
                }
                Told::Message(_) => {}
                Told::End(code) => panic!("{code:?}"),
            }
        }
    }

    /// What comes next, beside pings.
    pub(crate) async fn next(&mut self) -> Told {
        loop {
            let next = tokio::time::timeout(SOON, self.socket.next())
                .await
                .unwrap();
            let bytes = match next {
                Some(Ok(Message::Text(text))) if self.codec == Codec::Json => text.into(),
                Some(Ok(Message::Binary(bytes))) if self.codec == Codec::Proto => bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => return Told::End(frame.as_ref().map(code)),
                Some(Err(_)) | None => return Told::End(None),
                other => panic!("{other:?}"),
            };
            return Told::Message(Box::new(self.codec.read(&bytes).unwrap()));
        }
    }

    /// The next event, with its number.
    pub(crate) async fn event(&mut self) -> (u32, Event) {
        let told = self.next().await;
        if let Told::Message(message) = &told
            && let Some(wire::message::Message::Event(event)) = &message.message
            && let Some(event) = &event.event
        {
            return (message.number, event.clone());
        }
        panic!("{told:?}")
    }

    /// The next answer; events before are left out.
    pub(crate) async fn answer(&mut self) -> Result<Answer, wire::Error> {
        loop {
            match self.next().await {
                Told::Message(message) if message.number == 0 => return result(*message),
                Told::Message(_) => {}
                Told::End(code) => panic!("{code:?}"),
            }
        }
    }

    /// What the next event about presence says of the first player in it; other events are left
    /// out.
    pub(crate) async fn presence(&mut self) -> wire::presence::Status {
        loop {
            if let (_, Event::Presences(presences)) = self.event().await {
                return presences.presences[0].status();
            }
        }
    }

    /// The next answer that is a failure: its id and code.
    pub(crate) async fn failure(&mut self) -> (u32, wire::Error) {
        match self.next().await {
            Told::Message(message) => (message.id, result(*message).unwrap_err()),
            other @ Told::End(_) => panic!("{other:?}"),
        }
    }

    /// How it ends; what comes before is left out.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        loop {
            if let Told::End(code) = self.next().await {
                return code;
            }
        }
    }
}

fn code(frame: &CloseFrame) -> u16 {
    CloseCode::into(frame.code)
}

fn result(message: wire::Message) -> Result<Answer, wire::Error> {
    match message.message {
        Some(wire::message::Message::Answer(answer)) => Ok(answer.answer.unwrap()),
        Some(wire::message::Message::Error(error)) => Err(error),
        other => panic!("{other:?}"),
    }
}
