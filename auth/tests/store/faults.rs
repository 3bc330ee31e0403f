//! Databases that end, stop, lag or were never there.

use std::time::Duration;

use auth::store::postgres::Postgres;
use auth::store::sqlite::Sqlite;
use auth::store::{Error, Rotate, Rotated, Store};
use sqlx::Connection as _;
use storage::postgres::Config;
use uuid::Uuid;

use crate::cases;
use crate::cluster::Cluster;

/// The longest wait for anything that must happen at some time.
const LIMIT: Duration = Duration::from_mins(1);

/// Short limits, and few connections.
fn impatient(cluster: &Cluster, database: &str) -> Config {
    Config {
        connections: 2,
        acquire_timeout: Duration::from_millis(300),
        statement_timeout: Duration::from_millis(300),
        call_timeout: Duration::from_millis(600),
        ..Config::new(cluster.url(database))
    }
}

/// Asks until it answers.
async fn answers(store: &dyn Store) {
    let asked = async { while store.ping().await.is_err() {} };
    tokio::time::timeout(LIMIT, asked)
        .await
        .expect("it answers again");
}

/// Rotates as clients do: whoever gets no answer asks again. After a crash each connection that was
/// open may cost one call.
async fn rotate(store: &dyn Store, rotate: &Rotate) -> Rotated {
    let rotated = async {
        loop {
            if let Ok(rotated) = store.rotate(rotate).await {
                break rotated;
            }
        }
    };
    tokio::time::timeout(LIMIT, rotated)
        .await
        .expect("it answers again")
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let mut cluster = Cluster::start();
    let store = cluster.migrate("auth").await;
    let player = cases::player(&store).await;
    let session = cases::session(&store, player, 0).await;
    for generation in 0..3 {
        let rotate = cases::rotate(&session, generation, 1, 1);
        let rotated = self::rotate(&store, &rotate).await;
        cluster.kill();
        assert!(matches!(rotated, Rotated::Next { .. }), "{rotated:?}");
        cluster.run().unwrap();
        answers(&store).await;
        let again = self::rotate(&store, &rotate).await;
        assert!(matches!(again, Rotated::Again { .. }), "{again:?}");
    }
    let thief = rotate(&store, &cases::rotate(&session, 2, 2, 1)).await;
    cluster.kill();
    assert!(matches!(thief, Rotated::Reused(_)), "{thief:?}");
    cluster.run().unwrap();
    answers(&store).await;
    let refused = rotate(&store, &cases::rotate(&session, 3, 1, 1)).await;
    assert_eq!(refused, Rotated::Refused);
    assert_eq!(cases::revocations(&store, 0).await.len(), 1);
}

#[tokio::test]
async fn revocations_and_keys_do_not_wait_behind_calls() {
    let cluster = Cluster::start();
    cluster.migrate("auth").await;
    let patient = Config {
        statement_timeout: LIMIT,
        call_timeout: LIMIT,
        ..impatient(&cluster, "auth")
    };
    let store = Postgres::new(patient).unwrap();
    let player = cases::player(&store).await;
    let mut other = cluster.connect("auth").await;
    let hold = "BEGIN; SELECT FROM users FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let data = serde_json::json!({});
    let line = cases::line(player, 0);
    // They take every connection.
    let calls = async {
        futures::join!(
            store.set_data(player, Some(&[]), Some(&data), &line),
            store.set_data(player, Some(&[]), Some(&data), &line)
        )
    };
    let meanwhile = async {
        while store.player(player).await.is_ok() {}
        let told = store.revocations_since(cases::at(0), Uuid::nil(), 9).await;
        let keys = store.signing_keys().await;
        other.close().await.unwrap();
        (told, keys)
    };
    let (calls, (told, keys)) = futures::join!(calls, meanwhile);
    assert!(matches!(calls, (Ok(Some(_)), Ok(Some(_)))), "{calls:?}");
    assert_eq!((told, keys), (Ok(Vec::new()), Ok(Vec::new())));
}

#[tokio::test]
async fn a_replica_answers_what_may_be_late_until_it_is_lost() {
    let mut follower = Cluster::start();
    let primary = Cluster::start();
    follower.migrate("auth").await;
    primary.migrate("auth").await;
    let store = Postgres::new(Config {
        replica: Some(follower.url("auth")),
        ..impatient(&primary, "auth")
    })
    .unwrap();
    // The follower never hears of it, which shows who is asked.
    let player = cases::player(&store).await;
    let session = cases::session(&store, player, 0).await;
    assert!(store.player(player).await.unwrap().is_some());
    assert!(store.session(player, session.id).await.unwrap().is_some());
    assert_eq!(store.sessions(player, cases::at(1)).await.unwrap(), []);
    assert_eq!(store.audit_of(player, None, 9).await.unwrap(), []);
    follower.kill();
    assert_eq!(
        store.sessions(player, cases::at(1)).await.unwrap(),
        [session]
    );
    assert_eq!(store.audit_of(player, None, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn tables_are_made_once() {
    let cluster = Cluster::start();
    let store = cluster.migrate("auth").await;
    let again = futures::future::join_all((0..4).map(|_| store.migrate(None))).await;
    assert!(again.into_iter().all(|made| made.is_ok()));
    // Of a newer version that we do not know.
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'x', now(), true, '', 0)";
    cluster.execute("auth", newer).await;
    let error = store.migrate(None).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn what_was_never_written_is_called_so() {
    let cluster = Cluster::start();
    let store = cluster.migrate("auth").await;
    let player = cases::player(&store).await;
    let spoil = "UPDATE users SET created_at = 9223372036854775807";
    cluster.execute("auth", spoil).await;
    let error = store.player(player).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
    cluster.execute("auth", "DROP TABLE users CASCADE").await;
    let error = store.player(player).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn a_file_keeps_what_was_acknowledged() {
    let folder = std::env::temp_dir().join(format!("muster-auth-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("auth.db");
    let store = Sqlite::open(&path).await.unwrap();
    let player = cases::player(&store).await;
    let session = cases::session(&store, player, 0).await;
    let rotate = cases::rotate(&session, 0, 1, 1);
    store.rotate(&rotate).await.unwrap();
    // As a crash leaves it: nothing of the log was moved into the file.
    let crashed = folder.join("crashed.db");
    for suffix in ["", "-wal"] {
        let from = folder.join(format!("auth.db{suffix}"));
        std::fs::copy(from, folder.join(format!("crashed.db{suffix}"))).unwrap();
    }
    for path in [&crashed, &path] {
        store.close().await;
        let store = Sqlite::open(path).await.unwrap();
        let again = store.rotate(&rotate).await.unwrap();
        assert!(
            matches!(again, Rotated::Again { generation: 1, .. }),
            "{again:?}"
        );
        store.close().await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let error = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}
