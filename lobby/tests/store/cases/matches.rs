//! Matches that become facts, and who is in them.

use std::collections::BTreeSet;

use futures::future::join_all;
use lobby::ids::{MatchId, PlayerId};
use lobby::store::{Committed, Error, MOST, Match, Store};
use uuid::Uuid;

use super::{Shared, at, committed, ending, new_match, player, players, rate};

pub(super) async fn a_match_is_as_it_was_committed(store: Shared) {
    let [one, two, three, four] = players();
    // Not in order of id, and a team that comes later was seated first.
    let mut made = new_match(&[&[three, one], &[four, two]]);
    assert_eq!(store.find(made.id).await.unwrap(), None);
    store.commit(&made).await.unwrap();
    assert_eq!(store.find(made.id).await.unwrap(), Some(made.clone()));
    assert_eq!(store.open_match(two).await.unwrap(), Some(made.clone()));
    assert_eq!(store.open_match(player()).await.unwrap(), None);

    let [five, six] = players();
    let mixed = new_match(&[&[five], &[six]]);
    made = Match {
        seats: mixed.seats.iter().rev().cloned().collect(),
        ..mixed.clone()
    };
    store.commit(&made).await.unwrap();
    assert_eq!(store.find(mixed.id).await.unwrap(), Some(mixed));
}

pub(super) async fn a_match_is_committed_once(store: Shared) {
    let [one, two] = players();
    let made = committed(&*store, &[&[one], &[two]]).await;
    assert_eq!(store.commit(&made).await.unwrap(), Committed::Known);
    // Neither another server nor other players change what is a fact.
    let mut other = new_match(&[&[one], &[player()]]);
    other.id = made.id;
    "arena-2".clone_into(&mut other.server.name);
    assert_eq!(store.commit(&other).await.unwrap(), Committed::Known);
    assert_eq!(store.find(made.id).await.unwrap(), Some(made.clone()));
    // Nor does its end make it new.
    store.end(made.id, &ending(&[1, 2]), &rate).await.unwrap();
    assert_eq!(store.commit(&made).await.unwrap(), Committed::Known);
    assert_eq!(store.open_match(one).await.unwrap(), None);
}

pub(super) async fn of_many_at_once_one_makes_the_match(store: Shared) {
    for _ in 0..20 {
        let [one, two] = players();
        let made = new_match(&[&[one], &[two]]);
        let tries = (0..8).map(|_| {
            let (store, made) = (store.clone(), made.clone());
            tokio::spawn(async move { store.commit(&made).await.unwrap() })
        });
        let committed: Vec<_> = join_all(tries)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let count = |wanted: &Committed| committed.iter().filter(|one| *one == wanted).count();
        assert_eq!(count(&Committed::Made), 1, "{committed:?}");
        assert_eq!(count(&Committed::Known), 7, "{committed:?}");
        assert_eq!(store.find(made.id).await.unwrap(), Some(made));
    }
}

pub(super) async fn a_player_is_in_one_open_match(store: Shared) {
    let [one, two, three, four, five] = players();
    let first = committed(&*store, &[&[two], &[four]]).await;
    let second = new_match(&[&[five, four], &[two, one, three]]);
    let refused = Committed::Busy(vec![two, four]);
    assert_eq!(store.commit(&second).await.unwrap(), refused);
    // Nothing of it was written, of those who were free neither.
    assert_eq!(store.find(second.id).await.unwrap(), None);
    assert_eq!(store.open_match(five).await.unwrap(), None);
    assert_eq!(store.matches_of(one, None, 9).await.unwrap(), []);
    let asked = [five, four, three, two, two, one];
    assert_eq!(store.busy(&asked).await.unwrap(), [two, four]);
    assert_eq!(store.busy(&[]).await.unwrap(), []);
    // What was refused is made when they are free.
    store.end(first.id, &ending(&[1, 2]), &rate).await.unwrap();
    assert_eq!(store.busy(&asked).await.unwrap(), []);
    assert_eq!(store.commit(&second).await.unwrap(), Committed::Made);
    assert_eq!(
        store.busy(&asked).await.unwrap(),
        [one, two, three, four, five]
    );
}

pub(super) async fn of_matches_with_shared_players_one_is_made(store: Shared) {
    for _ in 0..20 {
        // Each pair of these matches shares players, who are seated in every order.
        let [one, two, three] = players();
        let rivals = [
            [one, two, three],
            [three, two, one],
            [two, three, one],
            [three, one, two],
        ]
        .map(|[a, b, c]| new_match(&[&[a, player()], &[b], &[c]]));
        let tries = rivals.clone().map(|made| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(&made).await.unwrap() })
        });
        let mut made = Vec::new();
        for (rival, outcome) in rivals.iter().zip(join_all(tries).await) {
            match outcome.unwrap() {
                Committed::Made => made.push(rival.clone()),
                Committed::Busy(busy) => {
                    assert_eq!(busy, [one, two, three]);
                    assert_eq!(store.find(rival.id).await.unwrap(), None);
                }
                Committed::Known => panic!("nobody had committed it"),
            }
        }
        assert_eq!(made.len(), 1);
        assert_eq!(store.open_match(two).await.unwrap().as_ref(), made.first());
    }
}

pub(super) async fn a_match_without_players_is_none(store: Shared) {
    let error = store.commit(&new_match(&[])).await.unwrap_err();
    assert!(matches!(error, Error::Defect(_)), "{error:?}");
}

pub(super) async fn nobody_sits_twice(store: Shared) {
    let [one, two] = players();
    let made = new_match(&[&[one], &[two, one]]);
    let refused = Committed::Busy(vec![one]);
    assert_eq!(store.commit(&made).await.unwrap(), refused);
    assert_eq!(store.busy(&[one, two]).await.unwrap(), []);
}

async fn several(store: &dyn Store, count: usize, player: Option<PlayerId>) -> Vec<Match> {
    let mut several = Vec::new();
    for _ in 0..count {
        let [one, two] = players();
        let made = committed(store, &[&[player.unwrap_or(one)], &[two]]).await;
        if player.is_some() {
            let ended = store.end(made.id, &ending(&[1, 2]), &rate).await.unwrap();
            several.push(ended.unwrap());
        } else {
            several.push(made);
        }
    }
    several.sort_by_key(|made| made.id);
    several
}

pub(super) async fn open_matches_are_listed_in_order(store: Shared) {
    let all = several(&*store, 5, None).await;
    assert_eq!(store.open_matches(None, 9).await.unwrap(), all);
    let page = store.open_matches(None, 2).await.unwrap();
    assert_eq!(page, all[..2]);
    let page = store.open_matches(Some(all[1].id), 2).await.unwrap();
    assert_eq!(page, all[2..4]);
    assert_eq!(store.open_matches(Some(all[4].id), 2).await.unwrap(), []);
    assert_eq!(store.open_matches(None, 0).await.unwrap(), []);
    store.end(all[2].id, &ending(&[1, 2]), &rate).await.unwrap();
    let page = store.open_matches(Some(all[1].id), 9).await.unwrap();
    assert_eq!(page, all[3..]);
}

pub(super) async fn a_history_is_read_backwards(store: Shared) {
    let [one, two] = players();
    let mut all = several(&*store, 4, Some(one)).await;
    several(&*store, 2, None).await;
    let open = committed(&*store, &[&[two], &[one]]).await;
    all.push(open);
    all.reverse();
    assert_eq!(store.matches_of(one, None, 9).await.unwrap(), all);
    assert_eq!(store.matches_of(one, None, 2).await.unwrap(), all[..2]);
    let page = store.matches_of(one, Some(all[1].id), 2).await.unwrap();
    assert_eq!(page, all[2..4]);
    let page = store.matches_of(one, Some(all[4].id), 2).await.unwrap();
    assert_eq!(page, []);
    assert_eq!(store.matches_of(player(), None, 9).await.unwrap(), []);
}

pub(super) async fn lists_are_bounded(store: Shared) {
    let channel = "global";
    for _ in 0..=MOST {
        store.add_line(channel, player(), "a", at(0)).await.unwrap();
    }
    let lines = store.lines(channel, None, usize::MAX).await.unwrap();
    assert_eq!(lines.len(), MOST);
    assert_eq!(lines[0].number, 2);
    // Ids of matches that are not there are no reason to fail.
    let last = MatchId(Uuid::max());
    assert_eq!(
        store.open_matches(Some(last), usize::MAX).await.unwrap(),
        []
    );
    let nobody: BTreeSet<PlayerId> = (0..MOST).map(|_| player()).collect();
    let nobody: Vec<PlayerId> = nobody.into_iter().collect();
    assert_eq!(store.busy(&nobody).await.unwrap(), []);
    assert!(store.ratings("duel", &nobody).await.unwrap().is_empty());
}
