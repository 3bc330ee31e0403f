//! A match gets its server once, whatever happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lobby::servers;
use lobby::service::matches::Unplaced;
use lobby::store::sqlite::Sqlite;
use lobby::store::{MatchStatus, Store};
use proto::muster::lobby::v1 as wire;
use wire::event::Event;

use crate::flaky::{Fault, Flaky};
use crate::world::{SERVER, TRACE, World, duel, match_id, player, session};

fn ready(event: &Event) -> &wire::MatchReady {
    match event {
        Event::MatchReady(ready) => ready,
        other => panic!("{other:?} is no place to play"),
    }
}

#[tokio::test]
async fn players_are_told_where_to_play() {
    let world = World::new().await;
    let mut ears = world.listen(&[1, 2]).await;
    let placed = world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    assert_eq!(placed, world.stored(match_id(1)).await);

    let heard: BTreeMap<_, _> = ears.heard().into_iter().collect();
    assert_eq!(heard.len(), 2);
    let ready = ready(&heard[&player(1)]);
    assert_eq!(ready.game_server, SERVER);
    assert_eq!(ready.session_key, session(1).to_string());
    assert_eq!(ready.connect_token, STANDARD.encode([1, 0xff, 0xfe]));
    assert!(ready.reconnection_token.starts_with("back-"));
    assert!(ready.token_expires_at.is_some());
    let shown = ready.r#match.clone().unwrap();
    assert_eq!(shown.match_id, match_id(1).to_string());
    assert_eq!(shown.status(), wire::r#match::Status::Started);
    let teams: Vec<_> = shown.seats.iter().map(|seat| seat.team).collect();
    assert_eq!(teams, [0, 1]);
    for number in [1, 2] {
        assert_eq!(world.auth.server_of(number), SERVER);
    }
}

#[tokio::test]
async fn the_allocator_is_asked_for_a_server_of_the_queue_in_the_region() {
    let world = World::new().await;
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let wanted = world.servers.held(match_id(1)).wanted;
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    };
    assert_eq!(wanted.namespace, "games");
    assert_eq!(
        wanted.selectors,
        [texts(&[
            ("muster.dev/fleet", "arena"),
            ("topology.kubernetes.io/region", "eu"),
        ])]
    );
    assert_eq!(
        wanted.annotations,
        texts(&[("muster.dev/queue", "duel"), ("muster.dev/region", "eu")])
    );
    for (team, asked) in (0..).zip(&wanted.players) {
        assert_eq!(asked.team, team);
        assert_eq!(asked.trace_context, TRACE);
    }
}

/// Kills the lobby after each of its steps, and lets another one repeat the match.
#[tokio::test]
async fn a_crash_at_any_point_loses_and_doubles_nothing() {
    let mut crashes = 0;
    loop {
        let world = World::new().await;
        let wanted = duel(1, [1, 2]);
        world.life.set(crashes);
        let lobby = world.lobby();
        let is_placed = tokio::select! {
            biased;
            placed = lobby.place(&wanted) => { placed.unwrap(); true }
            () = world.life.over() => false,
        };
        world.life.set(usize::MAX);
        let mut ears = world.listen(&[1, 2]).await;
        let placed = world.lobby().place(&wanted).await.unwrap();

        assert_eq!(placed, world.stored(wanted.id).await, "{crashes}");
        assert_eq!(world.servers.count(), 1, "{crashes}");
        let open = world.store.open_matches(None, 10).await.unwrap();
        assert_eq!(open, [placed], "{crashes}");
        let heard: BTreeMap<_, _> = ears.heard().into_iter().collect();
        for number in [1, 2] {
            let ready = ready(&heard[&player(number)]);
            assert!(!ready.connect_token.is_empty(), "{crashes}");
            assert_eq!(world.auth.server_of(number), SERVER, "{crashes}");
        }
        if is_placed {
            break;
        }
        crashes += 1;
    }
    // The allocation, and two calls of auth for each player.
    assert_eq!(crashes, 5);
}

#[tokio::test]
async fn a_server_goes_back_when_players_are_in_another_match() {
    let world = World::new().await;
    let lobby = world.lobby();
    lobby.place(&duel(1, [1, 2])).await.unwrap();
    let mut ears = world.listen(&[1, 2, 3]).await;
    // It dies when it has learned that a player is busy: the server is not lost with it.
    world.life.set(1);
    let wanted = duel(2, [3, 2]);
    tokio::select! {
        biased;
        placed = lobby.place(&wanted) => panic!("{placed:?}"),
        () = world.life.over() => {}
    }
    world.life.set(usize::MAX);
    let outcome = world.lobby().place(&wanted).await;
    assert_eq!(outcome, Err(Unplaced::Busy(vec![player(2)])));
    assert_eq!(world.servers.held(match_id(2)).ended.as_deref(), Some(""));
    assert_eq!(world.servers.held(match_id(1)).ended, None);
    assert_eq!(ears.heard(), []);
    assert_eq!(world.auth.server_of(3), "?");
}

/// The store makes the match and does not say so: the matchmaker repeats it.
#[tokio::test]
async fn a_lost_answer_of_the_store_doubles_nothing() {
    let store = Arc::new(Flaky::new(Sqlite::in_memory().await.unwrap()));
    let world = World::with_store(Arc::clone(&store) as Arc<dyn Store>);
    let lobby = world.lobby();
    let wanted = duel(1, [1, 2]);
    for fault in [Fault::Away, Fault::Mute] {
        store.set(fault);
        let outcome = lobby.place(&wanted).await;
        assert!(
            matches!(outcome, Err(Unplaced::Unavailable(_))),
            "{outcome:?}"
        );
    }
    store.set(Fault::None);
    let placed = lobby.place(&wanted).await.unwrap();
    assert_eq!(world.servers.count(), 1);
    let open = world.store.open_matches(None, 10).await.unwrap();
    assert_eq!(open, [placed]);
}

#[tokio::test]
async fn a_match_that_is_over_is_not_told_again() {
    let world = World::new().await;
    let lobby = world.lobby();
    let wanted = duel(1, [1, 2]);
    lobby.place(&wanted).await.unwrap();
    let following = world.follow();
    world.servers.end(wanted.id, "{}");
    crate::world::until("the match has ended", async || {
        world.stored(wanted.id).await.status == MatchStatus::Ended
    })
    .await;
    following.stop().await;
    let mut ears = world.listen(&[1, 2]).await;
    let placed = lobby.place(&wanted).await.unwrap();
    assert_eq!(placed.status, MatchStatus::Ended);
    assert_eq!(ears.heard(), []);
}

#[tokio::test]
async fn what_the_allocator_says_is_told_by_kind() {
    let world = World::new().await;
    let lobby = world.lobby();
    let wanted = duel(1, [1, 2]);
    let refused = || servers::Error::Refused("selectors[0]: no".to_owned());
    let table = [
        (servers::Error::NoServer, Unplaced::NoServer),
        (
            servers::Error::Unknown,
            Unplaced::Refused("its server is gone".to_owned()),
        ),
        (
            servers::Error::Unavailable("late".to_owned()),
            Unplaced::Unavailable("the allocator does not answer: late".to_owned()),
        ),
        (refused(), Unplaced::Refused("selectors[0]: no".to_owned())),
    ];
    for (error, expected) in table {
        *world.servers.away.lock().unwrap() = Some(error);
        assert_eq!(lobby.place(&wanted).await, Err(expected));
    }
    assert_eq!(world.store.find(wanted.id).await.unwrap(), None);
    *world.servers.away.lock().unwrap() = None;
    let strange = lobby::service::matches::NewMatch {
        queue: "chess".to_owned(),
        ..wanted.clone()
    };
    let outcome = lobby.place(&strange).await;
    assert!(matches!(outcome, Err(Unplaced::Refused(_))), "{outcome:?}");
    assert_eq!(world.servers.count(), 0);
    lobby.place(&wanted).await.unwrap();
}

#[tokio::test]
async fn a_match_does_not_wait_for_auth_which_is_told_later() {
    let world = World::new().await;
    let mut ears = world.listen(&[1]).await;
    world.auth.set_away(true);
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let (_, event) = ears.hear().await;
    assert_eq!(ready(&event).reconnection_token, "");
    assert!(!ready(&event).connect_token.is_empty());
    assert_eq!(world.auth.server_of(1), "?");

    let _following = world.follow();
    world.auth.set_away(false);
    crate::world::until("auth knows where both play", async || {
        [1, 2].map(|number| world.auth.server_of(number)) == [SERVER, SERVER]
    })
    .await;
}
