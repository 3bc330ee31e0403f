//! `WS /validate`: questions, pushes, and how a socket ends.

use std::time::Duration;

use auth::live::News;
use futures::{SinkExt as _, StreamExt as _};
use proto::muster::auth::v1 as wire;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::grpc;
use crate::world::{SERVICE, SOON, Tokens, World};

const SERVER: &str = "203.0.113.7:7012";

/// A socket of a game server.
struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn new(world: &World) -> Self {
        Self::over(world, TcpSocket::new_v4().unwrap()).await
    }

    async fn over(world: &World, socket: TcpSocket) -> Self {
        let stream = socket.connect(world.http).await.unwrap();
        let mut request = format!("ws://{}/validate", world.http)
            .into_client_request()
            .unwrap();
        let value = format!("Bearer {SERVICE}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let opened = tokio_tungstenite::client_async(request, stream).await;
        Self(opened.unwrap().0)
    }

    async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// The next message; none when the socket has ended without a word.
    async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(SOON, self.0.next()).await.unwrap();
        next.and_then(Result::ok)
    }

    async fn json(&mut self) -> Value {
        let message = self.next().await.unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    async fn ask(&mut self, ask: &Value) -> Value {
        self.send(ask.to_string()).await;
        self.json().await
    }

    /// How the service ends it.
    async fn end(&mut self) -> CloseCode {
        loop {
            match self.next().await.unwrap() {
                Message::Close(frame) => return frame.unwrap().code,
                Message::Text(_) | Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn token(id: u64, tokens: &Tokens) -> Value {
    json!({
        "type": "validate_token", "id": id,
        "access_token": tokens.access_token, "audience": "auth",
    })
}

#[tokio::test]
async fn tokens_and_sessions_are_asked_about() {
    let world = World::new().await;
    let guest = world.guest("a device of nobody").await;
    let mut socket = Socket::new(&world).await;
    let good = socket.ask(&token(1, &guest)).await;
    assert_eq!(good["id"], 1);
    assert_eq!(good["ok"]["player_id"], guest.player_id);
    assert_eq!(good["ok"]["session_id"], guest.session_id);
    let mut other = token(2, &guest);
    other["audience"] = "bank".into();
    let refused = socket.ask(&other).await;
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&json!(2), &json!("invalid_token"))
    );

    let session = |id: u64, server: &str| {
        json!({
            "type": "validate_session", "id": id, "player_id": guest.player_id,
            "session_key": guest.session_id, "game_server": server,
        })
    };
    let before = socket.ask(&session(3, SERVER)).await;
    assert_eq!(before["error"]["code"], "invalid_token");
    let assign = wire::AssignServerRequest {
        player_id: guest.player_id.clone(),
        session_id: guest.session_id.clone(),
        game_server: SERVER.to_owned(),
    };
    grpc::service(&world).assign_server(assign).await.unwrap();
    assert_eq!(
        socket.ask(&session(4, SERVER)).await,
        json!({"id": 4, "ok": {"player_id": guest.player_id, "rights": [], "player_data": {}}})
    );
    let elsewhere = socket.ask(&session(5, "203.0.113.8:7012")).await;
    assert_eq!(elsewhere["error"]["code"], "invalid_token");
    let mut nobody = session(6, SERVER);
    nobody["player_id"] = "ada".into();
    let nobody = socket.ask(&nobody).await;
    assert_eq!(nobody["error"]["field"], "player_id");
}

#[tokio::test]
async fn what_ends_and_changes_is_told_to_every_socket() {
    let world = World::new().await;
    let guest = world.guest("a device of nobody").await;
    let (mut one, mut two) = (Socket::new(&world).await, Socket::new(&world).await);
    // Both are served from here on.
    one.ask(&token(1, &guest)).await;
    two.ask(&token(1, &guest)).await;
    let player = guest.player_id.parse().unwrap();
    let roles = vec!["moderator".to_owned()];
    let data = json!({"level": 7});
    world
        .service
        .set_data(player, Some(roles), Some(data))
        .await
        .unwrap();
    world
        .post("/logout")
        .bearer(&guest.access_token)
        .send()
        .await
        .good();
    for socket in [&mut one, &mut two] {
        assert_eq!(
            socket.json().await,
            json!({
                "type": "player_changed", "player_id": guest.player_id,
                "player_data": {"level": 7}, "roles": ["moderator"],
            })
        );
        let revoked = socket.json().await;
        assert_eq!(revoked["type"], "revoked");
        assert_eq!(revoked["player_id"], guest.player_id);
        assert_eq!(revoked["session_key"], guest.session_id);
        let after = socket.ask(&token(2, &guest)).await;
        assert_eq!(after["error"]["code"], "invalid_token");
    }
}

#[tokio::test]
async fn a_gap_in_the_news_is_told() {
    let world = World::new().await;
    let mut socket = Socket::new(&world).await;
    socket.send("{}").await;
    socket.json().await;
    world.live.publish(&News::Missed).await.unwrap();
    assert_eq!(socket.json().await, json!({"type": "missed"}));
}

#[tokio::test]
async fn malformed_messages_are_answered_and_the_socket_lives() {
    let world = World::new().await;
    let guest = world.guest("a device of nobody").await;
    let mut socket = Socket::new(&world).await;
    for message in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"type":"hunter22","id":1}"#,
        r#"{"type":"validate_token","id":1}"#,
        r#"{"type":"validate_token","id":-1,"access_token":"hunter22"}"#,
        r#"{"type":"validate_token","id":1,"access_token":"hunter22","hunter":22}"#,
    ] {
        socket.send(message).await;
        let answer = socket.json().await;
        assert_eq!(answer["error"]["code"], "invalid_request", "{message}");
        assert!(!answer.to_string().contains("hunter22\""), "{answer}");
    }
    let good = socket.ask(&token(7, &guest)).await;
    assert_eq!(good["id"], 7);
}

#[tokio::test]
async fn messages_of_another_kind_or_size_end_the_socket() {
    let world = World::new().await;
    let mut binary = Socket::new(&world).await;
    binary.send(vec![1, 2, 3]).await;
    assert_eq!(binary.end().await, CloseCode::Unsupported);
    let mut large = Socket::new(&world).await;
    large.send(" ".repeat(16 * 1024 + 1)).await;
    assert_eq!(large.end().await, CloseCode::Policy);
    let mut largest = Socket::new(&world).await;
    largest.send(" ".repeat(16 * 1024)).await;
    assert_eq!(largest.json().await["error"]["code"], "invalid_request");
}

#[tokio::test]
async fn sockets_are_for_services_alone() {
    let world = World::new().await;
    let player = world.guest("a device of nobody").await.access_token;
    for token in [None, Some(player), Some(format!("{SERVICE}x"))] {
        let mut call = world
            .get("/validate")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(token) = &token {
            call = call.bearer(token);
        }
        assert_eq!(call.refused(403).await, "forbidden", "{token:?}");
    }
    let plain = world.get("/validate").bearer(SERVICE).refused(400).await;
    assert_eq!(plain, "invalid_request");
}

#[tokio::test]
async fn a_silent_socket_is_pinged_and_ended_when_it_stays_silent() {
    let world = World::new().await;
    let guest = world.guest("a device of nobody").await;
    let (mut alive, mut dead) = (Socket::new(&world).await, Socket::new(&world).await);
    alive.ask(&token(1, &guest)).await;
    dead.ask(&token(1, &guest)).await;
    for _ in 0..3 {
        world.pass(Duration::from_secs(31)).await;
        // It answers by itself when it is read and written.
        assert!(matches!(alive.next().await, Some(Message::Ping(_))));
        assert_eq!(alive.ask(&token(2, &guest)).await["id"], 2);
    }
    assert!(matches!(dead.next().await, Some(Message::Ping(_))));
    assert!(dead.next().await.is_none());
}

#[tokio::test]
async fn a_socket_that_does_not_read_is_ended() {
    let world = World::new().await;
    let guest = world.guest("a device of nobody").await;
    let small = TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4096).unwrap();
    let mut slow = Socket::over(&world, small).await;
    slow.ask(&token(1, &guest)).await;
    let player = guest.player_id.parse().unwrap();
    let data = json!({"blob": "x".repeat(16_000)});
    let sent = 500;
    for _ in 0..sent {
        let data = data.clone();
        world
            .service
            .set_data(player, None, Some(data))
            .await
            .unwrap();
    }
    world.pass(Duration::from_secs(11)).await;
    let mut read = 0;
    while slow.next().await.is_some() {
        read += 1;
    }
    assert!((1..sent).contains(&read), "{read}");
}

#[tokio::test]
async fn a_shutdown_says_goodbye() {
    let world = World::new().await;
    let mut socket = Socket::new(&world).await;
    socket.send("{}").await;
    socket.json().await;
    // What is said last is sent before the service has ended.
    world.stop().await;
    assert_eq!(socket.end().await, CloseCode::Away);
}
