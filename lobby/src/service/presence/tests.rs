//! Presence across lobbies: one writes, others hear.

use std::time::Duration;

use proto::muster::lobby::v1 as wire;
use tokio_util::sync::CancellationToken;
use wire::event::Event;
use wire::presence::Status;

use crate::error::Code;
use crate::live::Channel;
use crate::service::rooms::tests::world::{Ears, World, caller, player, still};
use crate::service::{Service, presence};
use crate::sessions::ResumeToken;
use crate::sessions::online::{self, Online};

/// A session of a player begins at a lobby.
async fn enter(service: &Service, number: u128) {
    let parts = service.parts();
    let caller = caller(number);
    let token = ResumeToken::new().unwrap();
    let now = runtime::clock::now();
    let attached = parts.sessions.open(&caller, &token, now).await;
    let own = Channel::Player(caller.player);
    parts.sessions.hear(caller.player, own).await.unwrap();
    let online = Online::new(parts.replica, attached.session.id());
    online::claim(&*parts.live, caller.player, &online)
        .await
        .unwrap();
    service.presence_connection(caller.player, true);
}

async fn follow(
    service: &Service,
    number: u128,
    followed: &[u128],
) -> Result<Vec<Status>, crate::Failure> {
    let ids = followed.iter().map(|number| player(*number).to_string());
    let call = wire::FollowPlayers {
        player_ids: ids.collect(),
    };
    let answer = service.follow_players(&caller(number), call).await?;
    let presences = answer.presences.iter();
    Ok(presences.map(wire::Presence::status).collect())
}

async fn says(service: &Service, number: u128, status: Status) -> Result<(), crate::Failure> {
    let status = status.into();
    let call = wire::SetPresence { status };
    service.set_presence(&caller(number), call).await
}

/// What followers are told next.
async fn told(ears: &mut Ears) -> Vec<Status> {
    let told = async {
        loop {
            let heard = ears.heard();
            if !heard.is_empty() {
                break heard;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(5), told).await;
    let statuses = heard.unwrap().into_iter().flat_map(|event| match event {
        Event::Presences(told) => told.presences,
        other => panic!("{other:?}"),
    });
    statuses.map(|presence| presence.status()).collect()
}

#[tokio::test]
async fn the_lobby_with_the_socket_writes_and_followers_hear_it_everywhere() {
    let world = World::new().await;
    let _time = still();
    let (here, there) = (world.lobby(), world.lobby());
    let stop = CancellationToken::new();
    let running = [&here, &there].map(|service| {
        let run = presence::run(service.clone(), stop.clone());
        tokio::spawn(run)
    });
    let mut ears = world.ears_for(Channel::Presence(player(1))).await;
    tokio::task::yield_now().await;
    enter(&here, 1).await;
    enter(&there, 2).await;
    assert_eq!(told(&mut ears).await, [Status::Online]);
    let statuses = follow(&there, 2, &[1, 3]).await.unwrap();
    assert_eq!(statuses, [Status::Online, Status::Offline]);

    // By a call at another lobby than that of the socket.
    says(&there, 1, Status::Away).await.unwrap();
    assert_eq!(told(&mut ears).await, [Status::Away]);
    let seen = there.presence(player(1)).await.unwrap();
    assert_eq!(seen.status(), Status::Away);

    // What the player is told of tickets is told others in one.
    for status in [Status::InQueue, Status::InMatch] {
        there.note_presence(player(1), status).await;
    }
    assert_eq!(told(&mut ears).await, [Status::InMatch]);
    let end = wire::MatchChanged {
        r#match: Some(wire::Match {
            status: wire::r#match::Status::Ended.into(),
            ..wire::Match::default()
        }),
    };
    let queue = wire::QueueState::default();
    there.tell([player(1)], &Event::Queue(queue)).await;
    there.tell([player(1)], &Event::MatchChanged(end)).await;
    assert_eq!(told(&mut ears).await, [Status::Away]);

    here.presence_connection(player(1), false);
    assert_eq!(told(&mut ears).await, [Status::Offline]);
    assert_eq!(
        follow(&there, 2, &[1]).await.unwrap(),
        [Status::Offline],
        "also for who asks later"
    );
    stop.cancel();
    futures::future::join_all(running).await;
}

#[tokio::test]
async fn a_session_follows_those_whom_it_named_last() {
    let world = World::new().await;
    let service = world.lobby();
    enter(&service, 1).await;
    let hears = || service.parts().sessions.hears(player(1));
    let channels = |numbers: &[u128]| {
        let followed = numbers.iter().map(|one| Channel::Presence(player(*one)));
        followed.chain([Channel::Player(player(1))]).collect()
    };
    follow(&service, 1, &[2, 3, 3]).await.unwrap();
    assert_eq!(hears(), channels(&[2, 3]));
    follow(&service, 1, &[3, 4]).await.unwrap();
    assert_eq!(hears(), channels(&[3, 4]));
    let many: Vec<u128> = (0..501).collect();
    let failure = follow(&service, 1, &many).await.unwrap_err();
    assert_eq!(failure.field.as_deref(), Some("player_ids"));
    let call = wire::FollowPlayers {
        player_ids: vec![player(2).to_string(), "me".to_owned()],
    };
    let failure = service.follow_players(&caller(1), call).await.unwrap_err();
    assert_eq!(failure.field.as_deref(), Some("player_ids[1]"));
    assert_eq!(hears(), channels(&[3, 4]));
    follow(&service, 1, &[]).await.unwrap();
    assert_eq!(hears(), channels(&[]));
}

#[tokio::test]
async fn a_client_says_of_itself_only_whether_it_is_away() {
    let world = World::new().await;
    let service = world.lobby();
    for status in [Status::Offline, Status::InQueue, Status::InMatch] {
        let failure = says(&service, 1, status).await.unwrap_err();
        assert_eq!(failure.code, Code::InvalidRequest);
        assert_eq!(failure.field.as_deref(), Some("status"));
    }
}
