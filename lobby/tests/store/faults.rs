//! Databases that end under load, stop, or hold what nobody wrote.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use lobby::ids::{MatchId, PlayerId};
use lobby::store::postgres::Postgres;
use lobby::store::{ChatLine, Committed, Error, MatchStatus, Store};
use sqlx::{Connection as _, Row as _};

use crate::cases::{self, at};
use crate::cluster::Cluster;

/// The longest wait for anything that must happen at some time.
const LIMIT: Duration = Duration::from_mins(1);

/// Who plays and talks while the database comes and goes.
const WORKERS: usize = 8;

/// Matches of each of them.
const ROUNDS: usize = 40;

/// How often the database ends.
const CRASHES: usize = 4;

/// Does it until it is answered. Whether a try before was not: it may have been done.
async fn insist<Output, Call>(call: impl Fn() -> Call) -> (Output, bool)
where
    Call: Future<Output = Result<Output, Error>>,
{
    let mut is_again = false;
    let answered = async {
        loop {
            match call().await {
                Ok(output) => break (output, is_again),
                Err(Error::Unavailable(_)) => is_again = true,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(LIMIT, answered)
        .await
        .expect("it answers again")
}

/// What one worker was told.
#[derive(Default)]
struct Told {
    matches: Vec<MatchId>,
    lines: Vec<ChatLine>,
    /// Calls that were repeated after one without an answer.
    repeated: usize,
}

/// Plays and talks.
async fn work(store: &Postgres, pair: [PlayerId; 2], progress: &AtomicUsize) -> Told {
    let mut told = Told::default();
    for round in 0..ROUNDS {
        let made = cases::new_match(&[&pair[..1], &pair[1..]]);
        let (committed, is_again) = insist(|| store.commit(&made)).await;
        let is_new = committed == Committed::Made || (is_again && committed == Committed::Known);
        assert!(is_new, "{committed:?}, again: {is_again}");
        told.repeated += usize::from(is_again);
        let said = format!("{} {round}", pair[0]);
        // Not repeated: a line that was not acknowledged may be there or not.
        let line = store.add_line("global", pair[0], &said, at(0)).await;
        told.lines.extend(line.ok());
        let ending = cases::ending(&[1, 2]);
        let (ended, is_again) = insist(|| store.end(made.id, &ending, &cases::rate)).await;
        assert!(ended.is_some() || is_again, "it had not ended");
        told.repeated += usize::from(is_again);
        told.matches.push(made.id);
        progress.fetch_add(1, Ordering::Relaxed);
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_crashes_under_load() {
    let mut cluster = Cluster::start();
    let store = Arc::new(cluster.migrate("lobby").await);
    let progress = Arc::new(AtomicUsize::new(0));
    let workers = (0..WORKERS).map(|_| {
        let (store, progress) = (store.clone(), progress.clone());
        tokio::spawn(async move {
            let pair = cases::players();
            (pair, work(&store, pair, &progress).await)
        })
    });
    let workers: Vec<_> = workers.collect();
    for crash in 1..=CRASHES {
        let enough = WORKERS * ROUNDS * crash / (CRASHES + 1);
        while progress.load(Ordering::Relaxed) < enough {
            tokio::task::yield_now().await;
        }
        cluster.kill();
        cluster.run().unwrap();
    }
    let mut lines = Vec::new();
    let mut repeated = 0;
    for worker in join_all(workers).await {
        let (pair, told) = worker.unwrap();
        repeated += told.repeated;
        for id in &told.matches {
            let found = insist(|| store.find(*id)).await.0.unwrap();
            assert_eq!(found.status, MatchStatus::Ended);
        }
        // Each match counted once, however often its end was repeated.
        let rounds = u32::try_from(ROUNDS).unwrap();
        let rated = insist(|| store.ratings("duel", &pair)).await.0;
        assert!(rated.len() == 2 && rated.values().all(|rated| rated.matches == rounds));
        let won = rated[&pair[0]].rating.mean - cases::NEWCOMER.mean;
        assert!((won - f64::from(rounds)).abs() < 1e-9, "{won}");
        assert_eq!(store.busy(&pair).await.unwrap(), []);
        lines.extend(told.lines);
    }
    assert!(repeated > 0, "no crash met a call");
    let found = store.lines("global", None, WORKERS * ROUNDS).await.unwrap();
    for (number, line) in (1..).zip(&found) {
        assert_eq!(line.number, number);
    }
    for line in lines {
        assert!(found.contains(&line), "{line:?}");
    }
}

#[tokio::test]
async fn a_database_that_stops_costs_a_bounded_time() {
    let cluster = Cluster::start();
    cluster.migrate("lobby").await;
    let store = cluster.impatient("lobby");
    let [one, two] = cases::players();
    let made = cases::committed(&store, &[&[one], &[two]]).await;
    cluster.pause();
    for _ in 0..4 {
        let ending = cases::ending(&[1, 2]);
        let ended = store.end(made.id, &ending, &cases::rate);
        let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
        let error = ended.expect("it ends in time").unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    cluster.resume();
    let ending = cases::ending(&[1, 2]);
    insist(|| store.end(made.id, &ending, &cases::rate)).await;
    let rated = insist(|| store.ratings("duel", std::slice::from_ref(&one)))
        .await
        .0;
    assert_eq!(rated[&one].matches, 1);
}

#[tokio::test]
async fn an_end_that_waits_too_long_is_given_up_whole() {
    let cluster = Cluster::start();
    cluster.migrate("lobby").await;
    let store = cluster.impatient("lobby");
    let [one, two] = cases::players();
    let made = cases::committed(&store, &[&[one], &[two]]).await;
    store
        .end(made.id, &cases::ending(&[1, 2]), &cases::rate)
        .await
        .unwrap();
    let made = cases::committed(&store, &[&[one], &[two]]).await;
    // A replica that hangs in the middle of a transaction.
    let mut other = cluster.connect("lobby").await;
    let hold = "BEGIN; SELECT FROM ratings FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let ending = cases::ending(&[2, 1]);
    let refused = store.end(made.id, &ending, &cases::rate).await;
    other.close().await.unwrap();
    let error = refused.unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(cause) if cause.contains("57014")),
        "{error:?}"
    );
    assert_eq!(store.find(made.id).await.unwrap(), Some(made.clone()));
    let ended = store.end(made.id, &ending, &cases::rate).await.unwrap();
    assert_eq!(ended.unwrap().seats[1].ratings, Some((25.0, 26.0)));
}

#[tokio::test]
async fn tables_are_made_once() {
    let cluster = Cluster::start();
    let store = cluster.migrate("lobby").await;
    let again = join_all((0..4).map(|_| store.migrate(None))).await;
    assert!(again.into_iter().all(|made| made.is_ok()));
    // Of a newer version that we do not know.
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'x', now(), true, '', 0)";
    cluster.execute("lobby", newer).unwrap();
    let error = store.migrate(None).await.unwrap_err();
    assert!(matches!(error, Error::Defect(_)), "{error:?}");
}

#[tokio::test]
async fn what_was_never_written_is_called_so() {
    let cluster = Cluster::start();
    let store = cluster.migrate("lobby").await;
    let [one, two] = cases::players();
    let made = cases::committed(&store, &[&[one], &[two]]).await;
    for spoil in [
        "UPDATE seats SET team = -1",
        "UPDATE seats SET team = 0; UPDATE matches SET made_at = 9223372036854775807",
        "DROP TABLE seats",
    ] {
        cluster.execute("lobby", spoil).unwrap();
        let error = store.find(made.id).await.unwrap_err();
        assert!(matches!(error, Error::Defect(_)), "{error:?}");
    }
}

#[tokio::test]
async fn operators_read_what_was_done_and_reported() {
    let cluster = Cluster::start();
    let store = cluster.migrate("lobby").await;
    let line = cases::line(7);
    store.audit(&line).await.unwrap();
    let report = cases::report();
    assert!(store.report(&report).await.unwrap());
    let mut client = cluster.connect("lobby").await;
    let row = sqlx::query("SELECT * FROM audit_log").fetch_one(&mut client);
    let row = row.await.unwrap();
    assert_eq!(row.get::<i64, _>("at"), line.at.as_microsecond());
    assert_eq!(
        row.get::<Option<_>, _>("actor_id"),
        line.actor.map(|id| id.0)
    );
    assert_eq!(
        row.get::<Option<_>, _>("subject_id"),
        line.subject.map(|id| id.0)
    );
    assert_eq!(row.get::<&str, _>("event"), line.event);
    assert_eq!(row.get::<serde_json::Value, _>("detail"), line.detail);
    let row = sqlx::query("SELECT * FROM chat_reports").fetch_one(&mut client);
    let row = row.await.unwrap();
    assert_eq!(row.get::<&str, _>("channel"), report.channel);
    assert_eq!(row.get::<i64, _>("number"), 1);
    assert_eq!(row.get::<uuid::Uuid, _>("reporter_id"), report.by.0);
    assert_eq!(row.get::<&str, _>("reason"), report.reason);
    assert_eq!(row.get::<serde_json::Value, _>("evidence"), report.evidence);
}
