//! What players ask about their matches.

use lobby::error::Code;
use lobby::service::Caller;
use lobby::store::MatchStatus;
use proto::muster::lobby::v1 as wire;

use crate::world::{SERVER, World, caller, duel, match_id, player, session, until};

fn by_token(token: &str) -> wire::RejoinMatch {
    wire::RejoinMatch {
        reconnection_token: token.to_owned(),
    }
}

#[tokio::test]
async fn a_player_comes_back_by_login_or_by_token() {
    let world = World::new().await;
    let lobby = world.lobby();
    let alone = lobby.rejoin_match(&caller(1), by_token("")).await;
    assert_eq!(alone.unwrap_err().code, Code::NotFound);
    lobby.place(&duel(1, [1, 2])).await.unwrap();

    let back = lobby.rejoin_match(&caller(1), by_token("")).await.unwrap();
    assert_eq!(back.game_server, SERVER);
    assert_eq!(back.session_key, session(1).to_string());
    assert!(!back.connect_token.is_empty());

    // On another device, with the token of the first: it goes on as the session that plays.
    let elsewhere = Caller {
        session: session(7),
        ..caller(1)
    };
    let token = by_token(&back.reconnection_token);
    let back = lobby.rejoin_match(&elsewhere, token.clone()).await.unwrap();
    assert_eq!(back.session_key, session(1).to_string());
    assert_ne!(back.reconnection_token, token.reconnection_token);
    // And without one: as the session that it has now, which auth learns of.
    let back = lobby.rejoin_match(&elsewhere, by_token("")).await.unwrap();
    assert_eq!(back.session_key, session(7).to_string());
    assert_eq!(world.auth.server_of(7), SERVER);

    let again = lobby.rejoin_match(&elsewhere, token).await.unwrap_err();
    assert_eq!(again.code, Code::InvalidToken);
    assert_eq!(again.field.as_deref(), Some("reconnection_token"));
}

#[tokio::test]
async fn a_token_of_somebody_else_or_for_elsewhere_leads_nowhere() {
    let world = World::new().await;
    let lobby = world.lobby();
    lobby.place(&duel(1, [1, 2])).await.unwrap();
    let auth = lobby.parts().accounts.clone();
    for (number, server) in [(2, SERVER), (1, "203.0.113.7:7013")] {
        let token = auth
            .reconnection_token(player(number), session(number), server)
            .await
            .unwrap();
        let refused = lobby.rejoin_match(&caller(1), by_token(&token)).await;
        assert_eq!(refused.unwrap_err().code, Code::InvalidToken);
    }
    world.auth.set_away(true);
    let away = lobby.rejoin_match(&caller(1), by_token("back-1")).await;
    assert_eq!(away.unwrap_err().code, Code::Unavailable);
    // By login it goes without auth.
    let back = lobby.rejoin_match(&caller(1), by_token("")).await.unwrap();
    assert_eq!(back.reconnection_token, "");
}

#[tokio::test]
async fn a_match_whose_server_has_ended_is_no_match_to_come_back_to() {
    let world = World::new().await;
    let lobby = world.lobby();
    lobby.place(&duel(1, [1, 2])).await.unwrap();
    world.servers.vanish(match_id(1));
    let gone = lobby.rejoin_match(&caller(1), by_token("")).await;
    assert_eq!(gone.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn matches_are_listed_newest_first_and_with_bounds() {
    let world = World::new().await;
    let lobby = world.lobby();
    let _following = world.follow();
    for number in 1..=3 {
        let placed = lobby.place(&duel(number, [1, 2])).await.unwrap();
        assert_eq!(
            lobby
                .match_state(player(1))
                .await
                .unwrap()
                .unwrap()
                .match_id,
            placed.id.to_string()
        );
        world.servers.end(placed.id, "{}");
        until("the match has ended", async || {
            world.stored(placed.id).await.status == MatchStatus::Ended
        })
        .await;
    }
    assert_eq!(lobby.match_state(player(1)).await.unwrap(), None);
    let list = async |before: String, limit| {
        let call = wire::ListMatches { before, limit };
        let matches = lobby.list_matches(&caller(1), call).await?.matches;
        let ids = matches.into_iter().map(|listed| listed.match_id);
        Ok::<_, lobby::Failure>(ids.collect::<Vec<_>>())
    };
    let ids = [3, 2, 1].map(|number| match_id(number).to_string());
    assert_eq!(list(String::new(), 0).await.unwrap(), ids);
    assert_eq!(list(String::new(), 2).await.unwrap(), ids[..2]);
    assert_eq!(list(ids[1].clone(), 50).await.unwrap(), ids[2..]);
    for (before, limit, field) in [("", 51, "limit"), ("yesterday", 0, "before")] {
        let refused = list(before.to_owned(), limit).await.unwrap_err();
        assert_eq!(refused.field.as_deref(), Some(field));
    }
}

#[tokio::test]
async fn ratings_are_the_callers_own_or_anybodys() {
    let world = World::new().await;
    let lobby = world.lobby();
    lobby.place(&duel(1, [1, 2])).await.unwrap();
    let result = serde_json::json!({
        "winner": {"team": 1},
        "standings": [{"playerId": player(1)}, {"playerId": player(2)}],
    });
    world.servers.end(match_id(1), &result.to_string());
    let _following = world.follow();
    let of = async |number: u128, player_id: String| {
        let call = wire::GetRatings { player_id };
        lobby.get_ratings(&caller(number), call).await
    };
    until("the match was rated", async || {
        !of(2, String::new()).await.unwrap().ratings.is_empty()
    })
    .await;
    let own = of(2, String::new()).await.unwrap();
    assert_eq!(own, of(1, player(2).to_string()).await.unwrap());
    let [rating] = &own.ratings[..] else {
        panic!("{own:?} is not one")
    };
    assert_eq!((&*rating.queue, rating.matches), ("duel", 1));
    assert!(rating.mean > 1500.0 && rating.deviation < 350.0);
    let refused = of(1, "ada".to_owned()).await.unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("player_id"));
}
