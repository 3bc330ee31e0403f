//! What becomes of a session whose socket broke.

use std::sync::Arc;

use lobby::live::Live;
use lobby::live::memory::Memory;
use lobby::sessions::online;
use lobby::socket::close;
use lobby::socket::codec::Codec;
use proto::muster::lobby::v1 as wire;
use wire::call::Call;
use wire::event::Event;

use crate::client::{Client, hello};
use crate::world::{World, claims, player, token, token_of};

fn event(text: &str) -> Event {
    Event::Moving(wire::Moving {
        url: text.to_owned(),
        within: None,
    })
}

fn resume(welcome: &wire::Welcome, seen: u32) -> wire::Hello {
    wire::Hello {
        resume: Some(wire::Resume {
            resume_token: welcome.resume_token.clone(),
            seen,
        }),
        ..hello(&token(1))
    }
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed() {
    let world = World::new().await;
    let (mut client, welcome) = Client::of(&world, 1).await;
    for text in ["one", "two"] {
        world.service.tell([player(1)], &event(text)).await;
    }
    assert_eq!(client.event().await.0, 1);
    // It breaks without a word.
    drop(client);
    world.service.tell([player(1)], &event("three")).await;
    let mut client = Client::new(&world, Codec::Json).await;
    let again = client.sign_in(resume(&welcome, 1)).await;
    assert!(again.is_resumed && again.state.is_none());
    assert_eq!(again.resume_token, welcome.resume_token);
    assert_eq!(client.event().await, (2, event("two")));
    assert_eq!(client.event().await, (3, event("three")));
    assert_eq!(world.service.parts().sessions.count(), 1);
    assert!(world.metric("muster_lobby_sessions_resumed_total ") > 0.0);

    // Once more, over a socket that has not noticed that it is broken.
    let mut newer = Client::new(&world, Codec::Proto).await;
    assert!(newer.sign_in(resume(&welcome, 3)).await.is_resumed);
    assert_eq!(client.end().await, Some(close::RESUMED.code));
    world.service.tell([player(1)], &event("four")).await;
    assert_eq!(newer.event().await, (4, event("four")));
}

#[tokio::test]
async fn a_session_that_cannot_go_on_is_replaced_by_a_new_one() {
    let world = World::new().await;
    let (mut client, welcome) = Client::of(&world, 1).await;
    for _ in 0..3 {
        world.service.tell([player(1)], &event("told")).await;
        client.event().await;
    }
    // What it says that it has seen is not kept.
    let seen = wire::Call {
        seen: 2,
        ..wire::Call::default()
    };
    client.send(&seen).await;
    client
        .ask(Call::ListMatches(wire::ListMatches::default()))
        .await
        .unwrap();
    let unknown = wire::Welcome {
        resume_token: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        ..wire::Welcome::default()
    };
    let mut stranger = claims(1);
    stranger.sid = claims(2).sid;
    let elsewhere = wire::Hello {
        access_token: token_of(&stranger),
        ..resume(&welcome, 3)
    };
    // Too much was seen, too little is left, another token, another session of auth.
    let mut last = client;
    for hello in [
        resume(&welcome, 4),
        resume(&welcome, 1),
        resume(&unknown, 3),
        elsewhere,
    ] {
        let mut client = Client::new(&world, Codec::Proto).await;
        let again = client.sign_in(hello).await;
        assert!(!again.is_resumed && again.state.is_some());
        assert_ne!(again.resume_token, welcome.resume_token);
        world.service.tell([player(1)], &event("new")).await;
        assert_eq!(client.event().await, (1, event("new")));
        assert_eq!(last.end().await, Some(close::REPLACED.code));
        last = client;
    }
    assert_eq!(world.service.parts().sessions.count(), 1);
}

#[tokio::test]
async fn a_player_has_one_session_whichever_lobby_it_is_at() {
    let live: Arc<dyn Live> = Arc::new(Memory::new(1000));
    let here = World::beside(Arc::clone(&live), |_| {}).await;
    let there = World::beside(Arc::clone(&live), |_| {}).await;
    let (mut first, _) = Client::of(&here, 1).await;
    let (mut second, _) = Client::of(&there, 1).await;
    assert_eq!(first.end().await, Some(close::REPLACED.code));
    let (mut third, _) = Client::of(&here, 1).await;
    assert_eq!(second.end().await, Some(close::REPLACED.code));
    there.service.tell([player(1)], &event("told")).await;
    assert_eq!(third.event().await, (1, event("told")));
    there.stop().await;
    // What the others gave up did not take the place of the last.
    let document = live.read(&lobby::live::Key::Player(player(1))).await;
    let online = online::Online::read(&document.unwrap().unwrap().value).unwrap();
    assert_eq!(online.replica, here.service.parts().replica);
}

#[tokio::test]
async fn a_lost_word_of_a_newer_session_is_found_by_the_heartbeat() {
    let world = World::new().await;
    let (mut client, _) = Client::of(&world, 1).await;
    let live = world.service.parts().live.as_ref();
    let newer = online::Online::new(uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let former = online::claim(live, player(1), &newer).await.unwrap();
    assert!(former.is_some());
    lobby::sessions::keep::round(&world.service).await;
    assert_eq!(client.end().await, Some(close::REPLACED.code));
}

#[tokio::test]
async fn who_says_goodbye_is_gone_at_once() {
    let world = World::new().await;
    let (mut client, _) = Client::of(&world, 1).await;
    let key = lobby::live::Key::Player(player(1));
    let live = Arc::clone(&world.service.parts().live);
    assert!(live.read(&key).await.unwrap().is_some());
    client.socket.close(None).await.unwrap();
    client.end().await;
    // To stop waits for what every socket left behind.
    world.stop().await;
    assert!(live.read(&key).await.unwrap().is_none());
}
