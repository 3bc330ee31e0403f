//! What every live state keeps to.

use std::time::Duration;

use auth::ids::{PlayerId, SessionId};
use auth::live::{Key, Live, News, Rate, Revocation, Throttle, VALUE_LIMIT};
use futures::future::join_all;
use uuid::Uuid;

use super::until;

const HOUR: Duration = Duration::from_hours(1);

/// Short enough to wait for, long enough to see it alive before.
const BRIEF: Duration = Duration::from_millis(300);

pub(crate) async fn is_kept(live: &dyn Live) {
    live.ping().await.unwrap();
    values(live).await;
    what_is_good_once(live).await;
    counts(live).await;
    rates(live).await;
    sessions(live).await;
    what_was_read_before_it_was_forgotten(live).await;
    news(live).await;
}

pub(crate) fn hash() -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    hash
}

fn player() -> PlayerId {
    PlayerId(Uuid::new_v4())
}

fn session() -> SessionId {
    SessionId(Uuid::new_v4())
}

async fn values(live: &dyn Live) {
    let keys = [
        Key::Session(player(), session()),
        Key::Mark(player()),
        Key::Reconnection(player(), Uuid::new_v4()),
        Key::Step(hash()),
        Key::Once(hash()),
        Key::Failures(hash()),
        Key::Rate(hash()),
    ];
    for key in keys {
        assert_eq!(live.get(&key).await, Ok(None));
        assert_eq!(live.take(&key).await, Ok(None));
        live.put(&key, b"\0first\xff", HOUR).await.unwrap();
        assert_eq!(live.get(&key).await.unwrap().unwrap(), b"\0first\xff");
        live.put(&key, b"", HOUR).await.unwrap();
        assert_eq!(live.take(&key).await.unwrap().unwrap(), b"");
        assert_eq!(live.get(&key).await, Ok(None));
        live.put(&key, b"second", HOUR).await.unwrap();
        live.forget(&key).await.unwrap();
        live.forget(&key).await.unwrap();
        assert_eq!(live.get(&key).await, Ok(None));
        live.put(&key, b"third", Duration::ZERO).await.unwrap();
        until("a value's end", async || live.get(&key).await == Ok(None)).await;
        live.put(&key, b"fourth", Duration::MAX).await.unwrap();
        assert_eq!(live.get(&key).await.unwrap().unwrap(), b"fourth");
        live.put(&key, b"fifth", BRIEF).await.unwrap();
        until("a value's end", async || live.take(&key).await == Ok(None)).await;
    }
    let key = Key::Step(hash());
    let largest = vec![7; VALUE_LIMIT];
    live.put(&key, &largest, HOUR).await.unwrap();
    assert_eq!(live.get(&key).await.unwrap().unwrap(), largest);
    let error = live.put(&key, &vec![7; VALUE_LIMIT + 1], HOUR).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("more than 65536 bytes")
    );
}

async fn what_is_good_once(live: &dyn Live) {
    let key = Key::Reconnection(player(), Uuid::new_v4());
    live.put(&key, b"token", HOUR).await.unwrap();
    let taken = join_all((0..50).map(|_| live.take(&key))).await;
    assert_eq!(taken.iter().filter(|taken| **taken != Ok(None)).count(), 1);
    let key = Key::Once(hash());
    let first = join_all((0..50).map(|_| live.once(&key, HOUR))).await;
    assert_eq!(first.iter().filter(|first| **first == Ok(true)).count(), 1);
    assert!(first.iter().all(Result::is_ok));
    let key = Key::Once(hash());
    assert_eq!(live.once(&key, BRIEF).await, Ok(true));
    until("its time is over", async || {
        live.once(&key, HOUR).await == Ok(true)
    })
    .await;
    assert_eq!(live.once(&key, HOUR).await, Ok(false));
}

async fn counts(live: &dyn Live) {
    let key = Key::Failures(hash());
    let mut counts = join_all((0..20).map(|_| live.count(&key, HOUR))).await;
    counts.sort_by_key(|count| count.clone().unwrap());
    let counts: Vec<u32> = counts.into_iter().map(Result::unwrap).collect();
    assert_eq!(counts, (1..=20).collect::<Vec<u32>>());
    assert_eq!(live.get(&key).await.unwrap().unwrap(), b"20");
    join_all((0..19).map(|_| live.uncount(&key))).await;
    assert_eq!(live.get(&key).await.unwrap().unwrap(), b"1");
    for _ in 0..2 {
        live.uncount(&key).await.unwrap();
        assert_eq!(live.get(&key).await.unwrap().unwrap(), b"0");
    }
    live.forget(&key).await.unwrap();
    live.uncount(&key).await.unwrap();
    assert_eq!(live.get(&key).await, Ok(None));
    assert_eq!(live.count(&key, BRIEF).await, Ok(1));
    assert_eq!(live.count(&key, BRIEF).await, Ok(2));
    // What is taken back does not lengthen the window.
    live.uncount(&key).await.unwrap();
    until("the window's end", async || {
        live.get(&key).await == Ok(None)
    })
    .await;
    assert_eq!(live.count(&key, HOUR).await, Ok(1));
    live.put(&key, b"no number", HOUR).await.unwrap();
    assert!(live.count(&key, HOUR).await.is_err());
}

async fn rates(live: &dyn Live) {
    let rate = Rate {
        burst: 10,
        period: HOUR,
    };
    let key = Key::Rate(hash());
    let answers = join_all((0..50).map(|_| live.throttle(&key, rate))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let (limited, passed): (Vec<&Throttle>, Vec<&Throttle>) =
        answers.iter().partition(|answer| answer.limited);
    let mut remaining: Vec<u32> = passed.iter().map(|answer| answer.remaining).collect();
    remaining.sort_unstable();
    assert_eq!(remaining, (0..10).collect::<Vec<u32>>());
    let near = Duration::from_mins(59);
    assert!(
        passed
            .iter()
            .all(|answer| answer.retry_after == Duration::ZERO)
    );
    assert!(
        limited
            .iter()
            .all(|answer| answer.retry_after > near && answer.retry_after <= HOUR)
    );
    assert!(
        answers
            .iter()
            .all(|answer| answer.limit == 10 && answer.reset_after <= 10 * HOUR)
    );
    let rate = Rate {
        burst: 1,
        period: BRIEF,
    };
    let key = Key::Rate(hash());
    assert!(!live.throttle(&key, rate).await.unwrap().limited);
    until("one more", async || {
        !live.throttle(&key, rate).await.unwrap().limited
    })
    .await;
}

async fn sessions(live: &dyn Live) {
    let (one, other) = (player(), player());
    let ids: Vec<SessionId> = (0..4).map(|_| session()).collect();
    let put = async |player, id, value: &'static [u8], lifetime| {
        let mark = live.session(player, id).await.unwrap().mark;
        live.put_session(player, id, mark, value, lifetime)
            .await
            .unwrap();
    };
    for id in &ids {
        put(one, *id, b"one", HOUR).await;
        put(other, *id, b"other", HOUR).await;
    }
    let left = async |player| {
        let mut left = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            if live.session(player, *id).await.unwrap().value.is_some() {
                left.push(index);
            }
        }
        left
    };
    live.forget_sessions(one, Some(&[])).await.unwrap();
    assert_eq!(left(one).await, [0, 1, 2, 3]);
    live.forget_sessions(one, Some(&ids[1..3])).await.unwrap();
    assert_eq!(left(one).await, [0, 3]);
    live.forget_sessions(one, None).await.unwrap();
    assert_eq!(left(one).await, [0; 0]);
    assert_eq!(left(other).await, [0, 1, 2, 3]);
    // A brief session takes nothing from the notes of the others.
    put(other, ids[0], b"other", BRIEF).await;
    until("its end", async || left(other).await == [1, 2, 3]).await;
    live.forget_sessions(other, None).await.unwrap();
    assert_eq!(left(other).await, [0; 0]);
    let large = vec![7; VALUE_LIMIT + 1];
    let mark = live.session(one, ids[0]).await.unwrap().mark;
    let put_large = live.put_session(one, ids[0], mark, &large, HOUR).await;
    assert!(put_large.is_err());
}

async fn what_was_read_before_it_was_forgotten(live: &dyn Live) {
    let (player, other, id) = (player(), player(), session());
    let value = async |player| live.session(player, id).await.unwrap().value;
    for named in [Some([id]), None] {
        let (before, others) = (
            live.session(player, id).await.unwrap(),
            live.session(other, id).await.unwrap(),
        );
        assert_eq!(before.value, None);
        let named = named.as_ref().map(<[_; 1]>::as_slice);
        live.forget_sessions(player, named).await.unwrap();
        let put = live.put_session(player, id, before.mark, b"old", HOUR);
        put.await.unwrap();
        assert_eq!(value(player).await, None);
        // Nobody else's.
        let put = live.put_session(other, id, others.mark, b"other", HOUR);
        put.await.unwrap();
        assert_eq!(value(other).await.unwrap(), b"other");
        live.forget_sessions(other, None).await.unwrap();
        let after = live.session(player, id).await.unwrap();
        let put = live.put_session(player, id, after.mark, b"new", HOUR);
        put.await.unwrap();
        assert_eq!(value(player).await.unwrap(), b"new");
        live.forget_sessions(player, None).await.unwrap();
    }
}

async fn news(live: &dyn Live) {
    let all = [
        News::Revoked(Revocation {
            id: Uuid::new_v4(),
            player: player(),
            session: Some(session()),
            at: "2026-01-01T00:00:00.5Z".parse().unwrap(),
        }),
        News::PlayerChanged {
            user_id: player(),
            user_data: serde_json::json!({ "level": 3 }),
            roles: vec!["moderator".to_owned()],
        },
        News::KeysChanged,
    ];
    let (mut first, mut second) = (live.subscribe(), live.subscribe());
    for news in &all {
        live.publish(news).await.unwrap();
        assert_eq!(first.recv().await.as_ref(), Ok(news));
        assert_eq!(second.recv().await.as_ref(), Ok(news));
    }
    // Nothing comes back from the server a second time: what comes next is what is told next.
    live.publish(&News::KeysChanged).await.unwrap();
    assert_eq!(first.recv().await, Ok(News::KeysChanged));
    live.ping().await.unwrap();
    assert!(first.try_recv().is_err());
}
