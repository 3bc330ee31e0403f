//! A match ends once, and everybody who must know it does.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use lobby::live::Live as _;
use lobby::service::matches::NewMatch;
use lobby::store::sqlite::Sqlite;
use lobby::store::{Match, MatchStatus, Store};
use proto::muster::lobby::v1 as wire;
use serde_json::{Value, json};
use uuid::Uuid;
use wire::event::Event;

use crate::flaky::{Fault, Flaky};
use crate::world::{Ears, LEASE, SERVER, World, duel, match_id, player, until};

/// The first player has won.
fn won() -> Value {
    json!({
        "reason": "ScoreLimit",
        "winner": {"playerId": player(1)},
        "durationSeconds": 60,
        "players": 2,
        "standings": [
            {"playerId": player(1), "team": null, "score": 5, "downs": 0, "left": false},
            {"playerId": player(2), "team": null, "score": 1, "downs": 5, "left": false},
        ],
    })
}

async fn ended(world: &World, number: u128) -> Match {
    until("the match is over", async || {
        world.stored(match_id(number)).await.status != MatchStatus::Started
    })
    .await;
    world.stored(match_id(number)).await
}

async fn nowhere(world: &World) {
    until("auth knows that they play nowhere", async || {
        [1, 2].map(|number| world.auth.server_of(number)) == ["", ""]
    })
    .await;
}

async fn changed(ears: &mut Ears) -> wire::Match {
    match ears.hear().await.1 {
        Event::MatchChanged(changed) => changed.r#match.unwrap(),
        other => panic!("{other:?} is no change of a match"),
    }
}

/// Lines of the audit log.
async fn audited(world: &World) -> usize {
    let later = runtime::clock::now() + SignedDuration::from_hours(1);
    let store = &world.store;
    store.forget_audit(later, Duration::ZERO, 10).await.unwrap()
}

#[tokio::test]
async fn a_result_rates_its_players_once_and_everybody_hears_of_it() {
    let world = World::new().await;
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let mut ears = world.listen(&[1, 2]).await;
    let _following = world.follow();
    until("the watch is open", async || world.servers.watches() == 1).await;
    world.servers.end(match_id(1), &won().to_string());

    let told = changed(&mut ears).await;
    assert_eq!(told, changed(&mut ears).await);
    assert_eq!(told.status(), wire::r#match::Status::Ended);
    assert_eq!(serde_json::from_str::<Value>(&told.result).unwrap(), won());
    let [winner, loser] = &told.seats[..] else {
        panic!("{told:?} has other seats")
    };
    assert_eq!((winner.rank, loser.rank), (1, 2));
    assert!(winner.rating_change > 0.0 && loser.rating_change < 0.0);
    assert!((winner.rating - winner.rating_change - 1500.0).abs() < 1e-9);
    nowhere(&world).await;

    // Told again, by this watch and by the next one, it changes nothing.
    world.servers.end(match_id(1), &won().to_string());
    world.servers.break_watches();
    until("the watch is open again", async || {
        world.servers.watches() == 1
    })
    .await;
    let rated = world.store.ratings_of(player(1)).await.unwrap();
    assert_eq!(rated["duel"].matches, 1);
    assert!((rated["duel"].rating.mean - winner.rating).abs() < 1e-9);
    assert_eq!(ears.heard(), []);
    assert_eq!(audited(&world).await, 0);
}

#[tokio::test]
async fn a_match_of_friends_has_a_result_and_rates_nobody() {
    let world = World::new().await;
    let friends = NewMatch {
        is_rated: false,
        ..duel(1, [1, 2])
    };
    world.lobby().place(&friends).await.unwrap();
    let mut ears = world.listen(&[1]).await;
    world.servers.end(match_id(1), &won().to_string());
    let _following = world.follow();

    let told = changed(&mut ears).await;
    assert_eq!(told.status(), wire::r#match::Status::Ended);
    assert_eq!((told.seats[0].rank, told.seats[1].rank), (1, 2));
    let rated = world.store.ratings_of(player(1)).await.unwrap();
    assert!(rated.is_empty(), "{rated:?}");
}

#[tokio::test]
async fn a_forged_result_rates_nobody_and_is_written_down() {
    let world = World::new().await;
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let mut ears = world.listen(&[1]).await;
    let mut forged = won();
    forged["standings"][1]["playerId"] = json!(player(9));
    world.servers.end(match_id(1), &forged.to_string());
    let _following = world.follow();

    let told = changed(&mut ears).await;
    assert_eq!(told.status(), wire::r#match::Status::Lost);
    assert_eq!(told.result, "");
    for number in [1, 2, 9] {
        let rated = world.store.ratings_of(player(number)).await.unwrap();
        assert!(rated.is_empty(), "{rated:?}");
    }
    nowhere(&world).await;
    assert_eq!(audited(&world).await, 1);
}

#[tokio::test]
async fn a_server_that_ends_without_a_result_has_time_to_report() {
    let world = World::new().await;
    let lobby = world.lobby();
    lobby.place(&duel(1, [1, 2])).await.unwrap();
    lobby.place(&duel(2, [3, 4])).await.unwrap();
    let _following = world.follow();
    until("the watch is open", async || world.servers.watches() == 1).await;
    world.servers.end(match_id(1), "");
    world.servers.end(match_id(2), "");
    world.servers.end(match_id(1), "{}");
    assert_eq!(ended(&world, 1).await.status, MatchStatus::Ended);
    assert_eq!(ended(&world, 2).await.status, MatchStatus::Lost);
}

#[tokio::test]
async fn what_no_watch_tells_of_is_lost_unless_it_is_new() {
    let world = World::new().await;
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let new = world.stored(match_id(1)).await;
    let mut old = Match {
        id: match_id(2),
        made_at: new.made_at - SignedDuration::from_mins(2),
        ..new.clone()
    };
    for (number, seat) in (3..).zip(&mut old.seats) {
        seat.player = player(number);
    }
    world.store.commit(&old).await.unwrap();
    world.servers.vanish(match_id(1));
    let _following = world.follow();
    assert_eq!(ended(&world, 2).await.status, MatchStatus::Lost);
    assert_eq!(world.stored(match_id(1)).await, new);
}

#[tokio::test]
async fn auth_is_told_when_it_is_back() {
    let world = World::new().await;
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let mut ears = world.listen(&[1]).await;
    let _following = world.follow();
    world.auth.set_away(true);
    world.servers.end(match_id(1), &won().to_string());
    changed(&mut ears).await;
    ended(&world, 1).await;
    assert_eq!(world.auth.server_of(1), SERVER);
    world.auth.set_away(false);
    nowhere(&world).await;
    // Players hear of it once, however long that takes.
    assert_eq!(ears.heard(), []);
}

#[tokio::test]
async fn who_plays_again_by_then_is_left_where_he_is() {
    let world = World::new().await;
    let lobby = world.lobby();
    lobby.place(&duel(1, [1, 2])).await.unwrap();
    let following = world.follow();
    world.auth.set_away(true);
    world.servers.end(match_id(1), &won().to_string());
    ended(&world, 1).await;
    following.kill().await;
    world.auth.set_away(false);
    lobby.place(&duel(2, [1, 3])).await.unwrap();
    let _following = world.follow();
    until("auth knows of the other one", async || {
        world.auth.server_of(2).is_empty()
    })
    .await;
    assert_eq!(world.auth.server_of(1), SERVER);
}

#[tokio::test]
async fn the_next_follower_goes_on_where_one_has_died() {
    let world = World::new().await;
    world.lobby().place(&duel(1, [1, 2])).await.unwrap();
    let mut ears = world.listen(&[1]).await;
    let first = world.follow();
    until("the watch is open", async || world.servers.watches() == 1).await;
    let second = world.follow();
    // The first one dies when the match is over in the store, before auth is told.
    world.life.set(0);
    world.servers.end(match_id(1), &won().to_string());
    world.life.over().await;
    ended(&world, 1).await;
    first.kill().await;
    world.life.set(usize::MAX);
    nowhere(&world).await;
    let told = changed(&mut ears).await;
    assert_eq!(told.status(), wire::r#match::Status::Ended);
    let rated = world.store.ratings_of(player(1)).await.unwrap();
    assert_eq!(rated["duel"].matches, 1);
    second.stop().await;
    // Who ends as he should leaves the lease to the next one.
    let lease = world
        .live
        .lease("lobby:follow", Uuid::nil(), Duration::from_secs(1));
    assert!(lease.await.unwrap().is_some());
}

/// The store is away when a match ends, or does not say that it has ended it.
#[tokio::test]
async fn no_end_is_lost_or_counted_twice_when_the_store_fails() {
    for fault in [Fault::Away, Fault::Mute] {
        let store = Arc::new(Flaky::new(Sqlite::in_memory().await.unwrap()));
        let world = World::with_store(Arc::clone(&store) as Arc<dyn Store>);
        world.lobby().place(&duel(1, [1, 2])).await.unwrap();
        let mut ears = world.listen(&[1]).await;
        let _following = world.follow();
        until("the watch is open", async || world.servers.watches() == 1).await;
        store.set(fault);
        world.servers.end(match_id(1), &won().to_string());
        until("the store has failed", async || store.failed() > 0).await;
        store.set(Fault::None);

        let told = changed(&mut ears).await;
        assert_eq!(told.status(), wire::r#match::Status::Ended, "{fault:?}");
        nowhere(&world).await;
        let rated = world.store.ratings_of(player(1)).await.unwrap();
        assert_eq!(rated["duel"].matches, 1, "{fault:?}");
        assert_eq!(ears.heard(), [], "{fault:?}");
    }
}

#[tokio::test]
async fn one_lobby_follows_at_a_time() {
    let world = World::new().await;
    tokio::time::pause();
    let _one = world.follow();
    let _other = world.follow();
    until("one watch is open", async || world.servers.watches() == 1).await;
    // For longer than a lease lasts that nobody renews.
    let taken = tokio::time::timeout(LEASE * 2, async {
        until("there are two", async || world.servers.watches() > 1).await;
    });
    assert!(taken.await.is_err());
}
