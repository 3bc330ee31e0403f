//! Calls and events over a socket that is signed in.

use lobby::rates::Rate;
use lobby::socket::close;
use lobby::socket::codec::Codec;
use proto::muster::lobby::v1 as wire;
use tokio_tungstenite::tungstenite::Message;
use wire::answer::Answer;
use wire::call::Call;
use wire::event::Event;
use wire::presence::Status;

use crate::client::{Client, Told, hello};
use crate::world::{World, player, token};

fn moving(url: String) -> Event {
    Event::Moving(wire::Moving { url, within: None })
}

#[tokio::test]
async fn events_are_numbered_from_one_for_each_session() {
    let world = World::new().await;
    let (mut ada, _) = Client::of(&world, 1).await;
    let (mut bob, _) = Client::of(&world, 2).await;
    for number in 1..=3 {
        let event = moving(number.to_string());
        world.service.tell([player(1), player(3)], &event).await;
        assert_eq!(ada.event().await, (number, event));
    }
    let event = moving("both".to_owned());
    world.service.tell([player(1), player(2)], &event).await;
    assert_eq!(ada.event().await, (4, event.clone()));
    assert_eq!(bob.event().await, (1, event));
}

#[tokio::test]
async fn calls_are_answered_in_order_and_none_without_an_id() {
    let world = World::new().await;
    let (mut client, _) = Client::of(&world, 1).await;
    let call = |id: u32| wire::Call {
        id,
        call: Some(Call::ListMatches(wire::ListMatches::default())),
        ..wire::Call::default()
    };
    for id in [7, 0, 5, 9] {
        client.send(&call(id)).await;
    }
    for id in [7, 5, 9] {
        match client.next().await {
            Told::Message(message) => assert_eq!((message.number, message.id), (0, id)),
            other @ Told::End(_) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_the_socket_goes_on() {
    let world = World::new().await;
    let mut client = Client::new(&world, Codec::Json).await;
    client.sign_in(hello(&token(1))).await;
    for (text, id, field) in [
        ("{", 0, ""),
        ("[1]", 0, ""),
        (r#"{"id":4,"fly":{}}"#, 0, "fly"),
        (
            r#"{"id":4,"kick_member":{"room":"x"}}"#,
            0,
            "kick_member.room",
        ),
        (r#"{"id":4}"#, 4, "call"),
        (r#"{"id":4,"hello":{}}"#, 4, ""),
    ] {
        client.send_raw(Message::text(text)).await;
        let (refused, error) = client.failure().await;
        assert_eq!((refused, &*error.field), (id, field), "{text}: {error:?}");
    }
    let answer = client.ask(Call::ListMatches(wire::ListMatches::default()));
    assert!(answer.await.is_ok());
}

#[tokio::test]
async fn messages_of_the_wrong_kind_or_size_end_the_socket() {
    let world = World::new().await;
    for (codec, message, close) in [
        (Codec::Json, Message::binary([0].to_vec()), close::KIND),
        (Codec::Proto, Message::text("{}"), close::KIND),
        (
            Codec::Json,
            Message::text(" ".repeat(16 * 1024 + 1)),
            close::MALFORMED,
        ),
    ] {
        let mut client = Client::new(&world, codec).await;
        client.sign_in(hello(&token(1))).await;
        client.send_raw(message).await;
        assert_eq!(client.end().await, Some(close.code), "{close:?}");
    }
}

#[tokio::test]
async fn who_calls_too_fast_waits_and_who_goes_on_is_sent_away() {
    let rate = Rate {
        burst: 3,
        period: std::time::Duration::from_hours(1),
    };
    let world = World::with(|config| config.limits.calls = rate).await;
    let (mut client, _) = Client::of(&world, 1).await;
    let call = || Call::ListMatches(wire::ListMatches::default());
    for _ in 0..3 {
        assert!(client.ask(call()).await.is_ok());
    }
    let throttled = client.ask(call()).await.unwrap_err();
    assert_eq!(throttled.code, "throttled");
    assert!(
        throttled
            .retry_after
            .is_some_and(|wait| wait.seconds > 3000)
    );
    for _ in 0..100 {
        client.call(call()).await;
    }
    assert_eq!(client.end().await, Some(close::FLOOD.code));
    // A new session of the same player does not begin anew, and others may call.
    let (mut client, welcome) = Client::of(&world, 1).await;
    assert!(!welcome.is_resumed);
    assert_eq!(client.ask(call()).await.unwrap_err().code, "throttled");
    let (mut other, _) = Client::of(&world, 2).await;
    assert!(other.ask(call()).await.is_ok());
}

#[tokio::test]
async fn the_state_is_sent_anew_when_news_were_missed() {
    let world = World::new().await;
    let (mut client, _) = Client::of(&world, 1).await;
    // More than a receiver may lag behind, before it has a chance to run.
    let bytes = lobby::sessions::notice::Notice::Event(wire::Event::default()).encode();
    let channel = lobby::live::Channel::Player(player(1));
    let live = &world.service.parts().live;
    let other = lobby::live::Channel::Chat("global:general".to_owned());
    live.subscribe(&other).await.unwrap();
    for _ in 0..=lobby::live::LAG {
        live.publish(&other, &bytes).await.unwrap();
    }
    live.publish(&channel, &bytes).await.unwrap();
    loop {
        let Told::Message(message) = client.next().await else {
            panic!("the socket ended");
        };
        if let Some(wire::message::Message::Event(event)) = message.message
            && matches!(event.event, Some(Event::State(_)))
        {
            return;
        }
    }
}

fn create_room(name: &str) -> Call {
    Call::CreateRoom(wire::CreateRoom {
        kind: wire::RoomKind::Lobby.into(),
        settings: Some(wire::RoomSettings {
            name: name.to_owned(),
            capacity: 4,
            ..wire::RoomSettings::default()
        }),
    })
}

#[tokio::test]
async fn a_call_with_a_key_is_made_once() {
    let world = World::new().await;
    let (mut client, _) = Client::of(&world, 1).await;
    let keyed = |key: &str, call| wire::Call {
        id: 5,
        idempotency_key: key.to_owned(),
        call: Some(call),
        ..wire::Call::default()
    };
    let mut answers = Vec::new();
    for name in ["one", "two"] {
        client.send(&keyed("a", create_room(name))).await;
        answers.push(client.answer().await);
    }
    let Ok(Answer::Room(room)) = &answers[0] else {
        panic!("{answers:?}");
    };
    assert_eq!(answers[0], answers[1]);
    // Another player's key is another key; by HTTP the same player's is the same.
    let (mut other, _) = Client::of(&world, 2).await;
    other.send(&keyed("a", create_room("four"))).await;
    let Ok(Answer::Room(others)) = other.answer().await else {
        panic!("no room");
    };
    assert_ne!(others.id, room.id);
    let url = format!("http://{}/v1/create_room", world.address);
    let call = reqwest::Client::new().post(url).bearer_auth(token(2));
    let body = r#"{"kind":"LOBBY","settings":{"name":"five","capacity":4}}"#;
    let call = call.header("idempotency-key", "a").body(body);
    let text = call.send().await.unwrap().text().await.unwrap();
    let same: wire::Room = Codec::Json.read(text.as_bytes()).unwrap();
    assert_eq!(same, others);

    client
        .send(&keyed(&"x".repeat(65), create_room("six")))
        .await;
    let error = client.answer().await.unwrap_err();
    let told = (&*error.code, &*error.field);
    assert_eq!(told, ("invalid_request", "idempotency_key"));
}

#[tokio::test]
async fn what_players_do_reaches_those_who_follow_them() {
    let world = World::new().await;
    let (mut ada, _) = Client::of(&world, 1).await;
    let follow = Call::FollowPlayers(wire::FollowPlayers {
        player_ids: vec![player(2).to_string()],
    });
    let Ok(Answer::Presences(presences)) = ada.ask(follow).await else {
        panic!("no presences");
    };
    assert_eq!(presences.presences[0].status(), Status::Offline);
    let (_bob, _) = Client::of(&world, 2).await;
    assert_eq!(ada.presence().await, Status::Online);
}
