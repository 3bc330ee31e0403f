//! Matches that end, and what becomes of their players.

use std::collections::BTreeMap;

use futures::future::join_all;
use lobby::ids::{MatchId, PlayerId};
use lobby::ratings::Rating;
use lobby::store::{Committed, Ending, Error, Match, MatchStatus, Rated, Seat, Store};
use uuid::Uuid;

use super::{NEWCOMER, Shared, at, committed, ending, new_match, players, rate};

fn rated(mean: f64, deviation: f64, matches: u32) -> Rated {
    Rated {
        rating: Rating {
            mean,
            deviation,
            volatility: 0.0,
        },
        matches,
    }
}

async fn ratings(store: &dyn Store, players: &[PlayerId]) -> BTreeMap<PlayerId, Rated> {
    store.ratings("duel", players).await.unwrap()
}

pub(super) async fn an_end_frees_players_and_rates_them(store: Shared) {
    let [one, two, three] = players();
    let made = committed(&*store, &[&[three], &[two, one]]).await;
    let how = ending(&[2, 1]);
    let ended = store.end(made.id, &how, &rate).await.unwrap().unwrap();
    let seat = |seat: &Seat, rank, after| Seat {
        rank: Some(rank),
        ratings: Some((NEWCOMER.mean, after)),
        ..seat.clone()
    };
    let expected = Match {
        is_rated: true,
        status: MatchStatus::Ended,
        ended_at: Some(at(60)),
        result: how.result.clone(),
        seats: vec![
            seat(&made.seats[0], 2, 25.0),
            seat(&made.seats[1], 1, 26.0),
            seat(&made.seats[2], 1, 26.0),
        ],
        ..made.clone()
    };
    assert_eq!(ended, expected);
    assert_eq!(store.find(made.id).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.matches_of(one, None, 9).await.unwrap(), [expected]);
    for player in [one, two, three] {
        assert_eq!(store.open_match(player).await.unwrap(), None);
    }
    let deviation = NEWCOMER.deviation * 0.9;
    let (winner, loser) = (rated(26.0, deviation, 1), rated(25.0, deviation, 1));
    let all = [(one, winner), (two, winner), (three, loser)];
    assert_eq!(ratings(&*store, &[one, two, three]).await, all.into());
    assert_eq!(ratings(&*store, &[two]).await, [(two, winner)].into());
    assert!(store.ratings("other", &[one]).await.unwrap().is_empty());
    let own = store.ratings_of(three).await.unwrap();
    assert_eq!(own, [("duel".to_owned(), loser)].into());
}

pub(super) async fn a_match_ends_once(store: Shared) {
    let [one, two] = players();
    let made = committed(&*store, &[&[one], &[two]]).await;
    let ended = store.end(made.id, &ending(&[1, 2]), &rate).await.unwrap();
    let before = ratings(&*store, &[one, two]).await;
    let lost = Ending {
        at: at(90),
        result: None,
        ..ending(&[2, 1])
    };
    for again in [ending(&[2, 1]), lost] {
        assert_eq!(store.end(made.id, &again, &rate).await.unwrap(), None);
    }
    assert_eq!(store.find(made.id).await.unwrap(), ended);
    assert_eq!(ratings(&*store, &[one, two]).await, before);
    let nowhere = MatchId(Uuid::now_v7());
    let none = store.end(nowhere, &ending(&[1]), &rate).await.unwrap();
    assert_eq!(none, None);
    // An end that comes late does not touch the match that its players are in by now.
    let next = committed(&*store, &[&[one], &[two]]).await;
    store.end(made.id, &ending(&[2, 1]), &rate).await.unwrap();
    assert_eq!(store.open_match(one).await.unwrap(), Some(next));
}

pub(super) async fn of_many_at_once_one_ends_the_match(store: Shared) {
    for _ in 0..20 {
        let [one, two] = players();
        let made = committed(&*store, &[&[one], &[two]]).await;
        let tries = (0..8).map(|_| {
            let (store, id) = (store.clone(), made.id);
            tokio::spawn(async move { store.end(id, &ending(&[1, 2]), &rate).await.unwrap() })
        });
        let ends = join_all(tries).await.into_iter().filter_map(Result::unwrap);
        assert_eq!(ends.count(), 1);
        let matches = ratings(&*store, &[one, two]).await;
        assert!(
            matches.values().all(|rated| rated.matches == 1),
            "{matches:?}"
        );
    }
}

pub(super) async fn a_lost_match_rates_nobody(store: Shared) {
    let [one, two] = players();
    let made = committed(&*store, &[&[one], &[two]]).await;
    let lost = Ending {
        result: None,
        ranks: None,
        ..ending(&[])
    };
    let ended = store.end(made.id, &lost, &rate).await.unwrap();
    let expected = Match {
        is_rated: true,
        status: MatchStatus::Lost,
        ended_at: Some(at(60)),
        ..made
    };
    assert_eq!(ended, Some(expected));
    assert!(ratings(&*store, &[one, two]).await.is_empty());
    assert_eq!(store.busy(&[one, two]).await.unwrap(), []);
}

pub(super) async fn ratings_that_do_not_fit_change_nothing(store: Shared) {
    let [one, two] = players();
    let made = committed(&*store, &[&[one], &[two]]).await;
    let infinite = Rating {
        mean: f64::NAN,
        ..NEWCOMER
    };
    for misfit in [
        vec![],
        vec![vec![NEWCOMER]],
        vec![vec![NEWCOMER, NEWCOMER], vec![]],
        vec![vec![NEWCOMER], vec![infinite]],
    ] {
        let rate = |_: &[Vec<Rated>], _: &[usize]| Some(misfit.clone());
        let error = store.end(made.id, &ending(&[1, 2]), &rate).await;
        assert!(matches!(error, Err(Error::Defect(_))), "{error:?}");
    }
    assert_eq!(store.open_match(one).await.unwrap(), Some(made));
    assert!(ratings(&*store, &[one, two]).await.is_empty());
}

pub(super) async fn ratings_go_on_from_match_to_match(store: Shared) {
    let [one, two, three] = players();
    let first = committed(&*store, &[&[one], &[two]]).await;
    store.end(first.id, &ending(&[1, 2]), &rate).await.unwrap();
    let before = ratings(&*store, &[one]).await[&one];
    let second = committed(&*store, &[&[three], &[one]]).await;
    let seen = |teams: &[Vec<Rated>], ranks: &[usize]| {
        assert_eq!(ranks, [2, 1]);
        let newcomer = Rated {
            rating: NEWCOMER,
            matches: 0,
        };
        assert_eq!(teams, [vec![newcomer], vec![before]]);
        rate(teams, ranks)
    };
    let ended = store.end(second.id, &ending(&[2, 1]), &seen).await.unwrap();
    assert_eq!(ended.unwrap().seats[1].ratings, Some((26.0, 27.0)));
    let deviation = before.rating.deviation * 0.9;
    let after = ratings(&*store, &[one]).await;
    assert_eq!(after, [(one, rated(27.0, deviation, 2))].into());
}

pub(super) async fn ratings_are_left_if_nothing_follows_from_the_result(store: Shared) {
    let [one, two] = players();
    let first = committed(&*store, &[&[one], &[two]]).await;
    store.end(first.id, &ending(&[1, 2]), &rate).await.unwrap();
    let before = ratings(&*store, &[one, two]).await;
    let made = committed(&*store, &[&[one], &[two]]).await;
    let none = |_: &[Vec<Rated>], _: &[usize]| None;
    // A rank that fits no column is none.
    let how = ending(&[1, usize::MAX]);
    let ended = store.end(made.id, &how, &none).await.unwrap().unwrap();
    let seats = ended.seats.iter().map(|seat| (seat.rank, seat.ratings));
    assert_eq!(seats.collect::<Vec<_>>(), [(Some(1), None), (None, None)]);
    assert_eq!(ended.status, MatchStatus::Ended);
    assert_eq!(ratings(&*store, &[one, two]).await, before);
}

pub(super) async fn matches_with_shared_players_end_at_once(store: Shared) {
    for round in 1..=10 {
        // Those of the first match are in the second by now; its end is reported again.
        let [one, two, three, four] = players();
        let first = committed(&*store, &[&[one, two], &[three, four]]).await;
        store.end(first.id, &ending(&[1, 2]), &rate).await.unwrap();
        let second = committed(&*store, &[&[four, one], &[three]]).await;
        let third = committed(&*store, &[&[two], &players::<1>()]).await;
        let ends = [first.id, second.id, third.id, second.id, first.id, third.id];
        let ends = ends.map(|id| {
            let store = store.clone();
            tokio::spawn(async move { store.end(id, &ending(&[1, 2]), &rate).await.unwrap() })
        });
        let ends: Vec<Match> = join_all(ends)
            .await
            .into_iter()
            .filter_map(Result::unwrap)
            .collect();
        assert_eq!(ends.len(), 2, "round {round}");
        for (player, rated) in ratings(&*store, &[one, two, three, four]).await {
            assert_eq!(rated.matches, 2, "{player}");
        }
    }
}

pub(super) async fn players_change_matches_at_once(store: Shared) {
    let players: [PlayerId; 6] = players();
    let played = (0..8).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut played = Vec::new();
            for round in 0..12 {
                let mut seats = players;
                seats.rotate_left((worker * 5 + round) % 6);
                if worker % 2 == 0 {
                    seats.reverse();
                }
                let made = new_match(&[&seats[..2], &seats[2..3]]);
                if store.commit(&made).await.unwrap() == Committed::Made {
                    let ended = store.end(made.id, &ending(&[1, 2]), &rate).await;
                    played.push(ended.unwrap().unwrap());
                }
            }
            played
        })
    });
    let played = join_all(played).await;
    let played: Vec<Match> = played.into_iter().flat_map(Result::unwrap).collect();
    let mut expected: BTreeMap<PlayerId, u32> = BTreeMap::new();
    for seat in played.iter().flat_map(|played| &played.seats) {
        *expected.entry(seat.player).or_default() += 1;
    }
    let counted = ratings(&*store, &players).await;
    let counted = counted
        .iter()
        .map(|(player, rated)| (*player, rated.matches));
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(store.open_matches(None, 9).await.unwrap(), []);
}
