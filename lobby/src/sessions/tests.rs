//! Who hears what, and for how long.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::notice::Notice;
use super::*;
use crate::ids::SessionId;
use crate::live::Delivery;
use crate::live::memory::Memory;

fn caller(number: u128) -> Caller {
    Caller {
        player: PlayerId(Uuid::from_u128(number)),
        session: SessionId(Uuid::from_u128(number)),
        roles: Vec::new(),
    }
}

/// An event as it is published.
fn told() -> Vec<u8> {
    let moving = wire::event::Event::Moving(wire::Moving::default());
    Notice::Event(wire::Event {
        event: Some(moving),
    })
    .encode()
}

fn chat() -> Channel {
    Channel::Chat("global:general".to_owned())
}

async fn open(sessions: &Sessions, number: u128) -> Attached {
    let token = ResumeToken::new().unwrap();
    sessions
        .open(&caller(number), &token, Timestamp::UNIX_EPOCH)
        .await
}

/// Publishes an event on the channel; whether this process hears it.
async fn is_heard(live: &Arc<Memory>) -> bool {
    let mut deliveries = live.deliveries();
    let bytes = told();
    live.publish(&chat(), &bytes).await.unwrap();
    let marker = Channel::Chat("marker".to_owned());
    live.subscribe(&marker).await.unwrap();
    live.publish(&marker, &bytes).await.unwrap();
    let first = deliveries.recv().await.unwrap();
    matches!(first, Delivery::Message { channel, .. } if channel == chat())
}

fn events(attached: &Attached) -> usize {
    let next = || match attached.session.next(attached.socket) {
        Next::Event(number, _) => Some(number),
        _ => None,
    };
    std::iter::from_fn(next).count()
}

#[tokio::test]
async fn a_channel_is_heard_from_the_first_to_the_last() {
    let live = Arc::new(Memory::new(100));
    let sessions = Sessions::new(live.clone());
    let (ada, bob) = (open(&sessions, 1).await, open(&sessions, 2).await);
    let (first, second) = (caller(1).player, caller(2).player);
    assert!(!is_heard(&live).await);
    sessions.hear(first, chat()).await.unwrap();
    sessions.hear(first, chat()).await.unwrap();
    sessions.hear(second, chat()).await.unwrap();
    assert!(is_heard(&live).await);
    sessions.deliver(&chat(), &told());
    assert_eq!((events(&ada), events(&bob)), (1, 1));
    sessions.unhear(first, chat()).await;
    sessions.deliver(&chat(), &told());
    assert_eq!((events(&ada), events(&bob)), (0, 1));
    assert!(is_heard(&live).await);
    // The end of the last session ends it, too.
    sessions.close(&bob.session).await;
    assert!(!is_heard(&live).await);
    // A player without a session hears nothing.
    sessions.hear(second, chat()).await.unwrap();
    assert!(!is_heard(&live).await);
}

#[tokio::test]
async fn a_newer_session_hears_what_it_asks_for_itself() {
    let live = Arc::new(Memory::new(100));
    let sessions = Sessions::new(live.clone());
    let player = caller(1).player;
    let old = open(&sessions, 1).await;
    sessions.hear(player, chat()).await.unwrap();
    let new = open(&sessions, 1).await;
    assert!(!is_heard(&live).await);
    assert_eq!(old.session.end_of(old.socket), Some(End::Replaced));
    sessions.hear(player, chat()).await.unwrap();
    // What the old one leaves behind is not the new one's.
    sessions.close(&old.session).await;
    assert!(is_heard(&live).await);
    sessions.deliver(&chat(), &told());
    assert_eq!((events(&old), events(&new)), (0, 1));
}

#[tokio::test]
async fn only_the_session_that_was_superseded_ends() {
    let live = Arc::new(Memory::new(100));
    let sessions = Sessions::new(live);
    let ada = open(&sessions, 1).await;
    let own = Channel::Player(caller(1).player);
    sessions.hear(caller(1).player, own.clone()).await.unwrap();
    let superseded = |session| Notice::Superseded { session }.encode();
    sessions.deliver(&own, &superseded(Uuid::from_u128(9)));
    assert_eq!(ada.session.end_of(ada.socket), None);
    sessions.deliver(&own, &[0xff]);
    sessions.deliver(&own, &superseded(ada.session.id()));
    assert_eq!(ada.session.end_of(ada.socket), Some(End::Replaced));
}

#[tokio::test]
async fn without_a_socket_nobody_is_slow() {
    let sessions = Sessions::new(Arc::new(Memory::new(100)));
    let ada = open(&sessions, 1).await;
    let flood = || {
        for _ in 0..=replay::EVENTS {
            ada.session.push(Arc::default(), 1);
        }
    };
    assert!(ada.session.detach(ada.socket));
    flood();
    assert_eq!(ada.session.end_of(ada.socket), None);
    let again = ada.session.attach();
    flood();
    assert_eq!(ada.session.end_of(again), Some(End::Slow));
}

#[tokio::test]
async fn of_sessions_that_begin_at_once_one_has_the_place() {
    let live = Memory::new(100);
    let player = caller(1).player;
    let ids: Vec<Uuid> = (1..=6).map(Uuid::from_u128).collect();
    let claims = ids.iter().map(|id| {
        let live = &live;
        async move {
            let online = online::Online::new(Uuid::nil(), *id);
            online::claim(live, player, &online).await.unwrap()
        }
    });
    let mut replaced: Vec<Uuid> = futures::future::join_all(claims)
        .await
        .into_iter()
        .flatten()
        .collect();
    replaced.sort_unstable();
    let document = live
        .read(&live::Key::Player(player))
        .await
        .unwrap()
        .unwrap();
    let winner = online::Online::read(&document.value).unwrap().session;
    let losers: Vec<Uuid> = ids.into_iter().filter(|id| *id != winner).collect();
    assert_eq!(replaced, losers);
    // Losers give nothing up.
    assert!(!online::leave(&live, player, replaced[0]).await.unwrap());
    assert!(online::leave(&live, player, winner).await.unwrap());
    assert_eq!(live.read(&live::Key::Player(player)).await, Ok(None));
}
