//! Who is too slow, and what happens when the lobby ends.

use std::time::Duration;

use lobby::edge::Drain;
use lobby::socket::close;
use lobby::socket::codec::Codec;
use proto::muster::lobby::v1 as wire;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use wire::event::Event;

use futures::{SinkExt as _, StreamExt as _};

use crate::client::{Client, hello, open_over};
use crate::world::{SOON, World, player, token};

#[tokio::test]
async fn who_does_not_read_is_sent_away_and_holds_up_nobody() {
    let world = World::new().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = open_over(&world, socket, Some(Codec::Proto.subprotocol()))
        .await
        .unwrap();
    let call = wire::Call {
        id: 1,
        call: Some(wire::call::Call::Hello(hello(&token(1)))),
        ..wire::Call::default()
    };
    let bytes = Codec::Proto.write(&call).unwrap();
    slow.send(Message::binary(bytes)).await.unwrap();
    slow.next().await.unwrap().unwrap();
    let (mut quick, _) = Client::of(&world, 2).await;

    let event = Event::Moving(wire::Moving {
        url: "x".repeat(32 * 1024),
        within: None,
    });
    let sessions = &world.service.parts().sessions;
    let flood = async {
        let mut told = 0;
        while sessions.of(player(1)).is_some() {
            told += 1;
            world.service.tell([player(1), player(2)], &event).await;
            assert_eq!(quick.event().await.0, told);
        }
    };
    tokio::time::timeout(SOON, flood).await.unwrap();
    let name = r#"muster_lobby_sockets_ended_total{reason="slow"}"#;
    assert!(world.metric(name) > 0.0);
}

#[tokio::test]
async fn a_client_that_is_silent_is_asked_and_then_counts_as_gone() {
    let world = World::with(|config| config.limits.silence = Duration::from_millis(100)).await;
    let (mut alive, welcome) = Client::of(&world, 1).await;
    assert_eq!(welcome.heartbeat.unwrap().nanos, 200_000_000);
    let mut dead = crate::client::open(&world, Some(Codec::Json.subprotocol()))
        .await
        .unwrap();
    let text = format!(r#"{{"id":1,"hello":{{"access_token":"{}"}}}}"#, token(2));
    dead.send(Message::text(text)).await.unwrap();
    // Nobody reads, so that no ping is answered.
    let name = r#"muster_lobby_sockets_ended_total{reason="broken"}"#;
    let mut broken = 0.0;
    while broken < 1.0 {
        // Reading answers pings.
        let read = tokio::time::timeout(Duration::from_millis(50), alive.socket.next());
        assert!(
            !matches!(read.await, Ok(None | Some(Err(_)))),
            "it was alive"
        );
        broken = world.metric(name);
    }
    assert!(world.service.parts().sessions.of(player(1)).is_some());
}

#[tokio::test]
async fn when_the_lobby_ends_sockets_are_told_where_to_go() {
    let drain = Drain {
        url: "wss://other.example.com".to_owned(),
        spread: Duration::from_millis(500),
    };
    let world = World::with(|config| config.drain = drain).await;
    let mut clients = Vec::new();
    for number in 1..=8 {
        clients.push(Client::of(&world, number).await.0);
    }
    // One is broken, and holds up nothing.
    drop(clients.pop());
    world.begin_to_stop();
    for client in &mut clients {
        let (number, event) = client.event().await;
        let Event::Moving(moving) = event else {
            panic!("{event:?}");
        };
        assert_eq!((number, &*moving.url), (1, "wss://other.example.com"));
        assert_eq!(client.end().await, Some(close::MOVING.code));
    }
    let live = std::sync::Arc::clone(&world.service.parts().live);
    world.stop().await;
    // They come back elsewhere, and were never gone.
    let key = lobby::live::Key::Player(player(1));
    assert!(live.read(&key).await.unwrap().is_some());
}
