//! The drill: a real PostgreSQL and a real Valkey are written, saved, destroyed, restored and
//! compared.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use auth::backup::archive::S3;
use auth::backup::restore::{Restore, restore};
use auth::backup::sessions::Imported;
use auth::backup::{Archive, Database, Error, File, Valkey, copies};
use auth::ids::{PlayerId, SessionId};
use auth::store;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use storage::Confidential;
use testing::postgres::Server as Postgres;
use testing::valkey::Server as Cache;

const LIMIT: Duration = Duration::from_mins(1);

/// A folder that is gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let process = std::process::id();
        let folder = std::env::temp_dir().join(format!("muster-backup-{process}-{name}"));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn archive(&self) -> Archive {
        Archive::open(
            &format!("file://{}/archive", self.0.display()),
            &S3::default(),
        )
        .unwrap()
    }

    /// What the folder holds beside the archive.
    fn leftovers(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count() - 1
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn database(server: &Postgres, name: &str) -> Database {
    let url = Confidential::new(server.url(name));
    Database::new(&url, Some(server.installation().programs()), LIMIT).unwrap()
}

async fn sql(server: &Postgres, database: &str, statements: &str) -> Vec<String> {
    let options: sqlx::postgres::PgConnectOptions = server.url(database).parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::raw_sql(AssertSqlSafe(statements))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A schema with what dumps get wrong when they get something wrong: keys, references, bytes,
/// sequences, JSON, times.
const SCHEMA: &str = "
    CREATE TABLE users (user_id uuid PRIMARY KEY, email bytea, data jsonb NOT NULL);
    CREATE TABLE sessions (
        user_id uuid REFERENCES users, session_id uuid, expires_at bigint NOT NULL,
        PRIMARY KEY (user_id, session_id)
    );
    CREATE TABLE audit_log (id bigserial PRIMARY KEY, at timestamptz NOT NULL, what text);
    CREATE UNIQUE INDEX users_email ON users (email);
    INSERT INTO users SELECT gen_random_uuid(), sha256(n::text::bytea), jsonb_build_object('n', n)
        FROM generate_series(1, 500) AS n;
    INSERT INTO sessions SELECT user_id, gen_random_uuid(), 1 FROM users;
    INSERT INTO audit_log (at, what) SELECT now(), 'ünïcode \\ ' || n FROM generate_series(1, 500) AS n;
";

/// Everything, as text.
const ALL: &str = "
    SELECT md5(string_agg(row::text, ',' ORDER BY row::text)) FROM (
        SELECT users::text AS row FROM users
        UNION ALL SELECT sessions::text FROM sessions
        UNION ALL SELECT audit_log::text FROM audit_log
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT last_value::text FROM audit_log_id_seq
    ) AS all_rows
";

async fn valkey(server: &Cache) -> MultiplexedConnection {
    let client = Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn ask<T: redis::FromRedisValue>(to: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]).query_async(to).await.unwrap()
}

fn id(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn key(player: u128, session: u128) -> String {
    format!("session:{{{}}}:{}", id(player), id(session))
}

fn keep_all(_: PlayerId, _: SessionId) -> BoxFuture<'static, Result<bool, store::Error>> {
    async { Ok(true) }.boxed()
}

fn open(server: &Cache) -> Valkey {
    Valkey::new(vec![server.url()], 10_000, LIMIT).unwrap()
}

fn whole<'a>(archive: &'a Archive, scratch: &'a Path) -> Restore<'a> {
    Restore {
        archive,
        name: None,
        database: None,
        replace: false,
        valkey: None,
        keep: &keep_all,
        scratch,
    }
}

#[tokio::test]
async fn what_was_saved_comes_back_after_everything_was_lost() {
    let folder = Folder::new("drill");
    let archive = folder.archive();
    let postgres = Postgres::start().unwrap();
    let cache = Cache::start().unwrap();
    sql(&postgres, "postgres", SCHEMA).await;
    let before = sql(&postgres, "postgres", ALL).await;

    let now = runtime::clock::now();
    let mut connection = valkey(&cache).await;
    let at = |seconds: i64| (now.as_millisecond() + seconds * 1_000).to_string();
    // More than one answer of SCAN, and of the batches of the import.
    for session in 1..=1_500 {
        let key = key(1, session);
        let () = ask(
            &mut connection,
            &["SET", &key, "value\0\u{1}", "PXAT", &at(3_600)],
        )
        .await;
    }
    let soon = at(600);
    let () = ask(&mut connection, &["SET", &key(2, 1), "soon", "PXAT", &soon]).await;
    let () = ask(
        &mut connection,
        &["SET", &key(2, 2), "ended", "PXAT", &at(3_600)],
    )
    .await;
    let set = format!("user:{{{}}}:sessions", id(2));
    let () = ask(&mut connection, &["SADD", &set, "one", "two"]).await;
    let () = ask(&mut connection, &["SET", "rate:{x}", "1"]).await;

    let db = database(&postgres, "postgres");
    let (name, manifest) = auth::backup::backup(now, &archive, Some(&db), Some(&open(&cache)))
        .await
        .unwrap();
    assert_eq!(manifest.postgresql, Some(postgres.installation().version()));
    assert_eq!(manifest.keys, Some(1_503), "and not the rate");
    assert_eq!(manifest.files.len(), 2);
    let wal = manifest.wal.clone().unwrap();
    assert!(wal.from.contains('/') && wal.to.contains('/'), "{wal:?}");
    assert_eq!(archive.manifest(&name).await.unwrap(), manifest);

    // Everything is lost; what takes its place is empty.
    drop((connection, cache, postgres));
    let postgres = Postgres::start().unwrap();
    let cache = Cache::start().unwrap();
    let mut connection = valkey(&cache).await;
    let () = ask(&mut connection, &["SET", &key(1, 7), "newer"]).await;

    let db = database(&postgres, "postgres");
    let later = now + SignedDuration::from_secs(601);
    let ended = SessionId(id(2));
    let keep = move |player: PlayerId, session: SessionId| {
        let is_live = !(player.0 == id(2) && session == ended);
        async move { Ok(is_live) }.boxed()
    };
    let target = open(&cache);
    let restored = restore(
        later,
        &Restore {
            database: Some(&db),
            valkey: Some(&target),
            keep: &keep,
            ..whole(&archive, &folder.0)
        },
    )
    .await
    .unwrap();
    assert_eq!(restored.name, name);
    let expected = Imported {
        restored: 1_499 + 1,
        expired: 1,
        ended: 1,
        present: 1,
    };
    assert_eq!(restored.sessions, Some(expected));
    assert_eq!(sql(&postgres, "postgres", ALL).await, before);
    let value: String = ask(&mut connection, &["GET", &key(1, 1_500)]).await;
    assert_eq!(value, "value\0\u{1}");
    let end: i64 = ask(&mut connection, &["PEXPIRETIME", &key(1, 1_500)]).await;
    assert_eq!(end.to_string(), at(3_600), "it lives no longer than before");
    let newer: String = ask(&mut connection, &["GET", &key(1, 7)]).await;
    assert_eq!(newer, "newer");
    let members: i64 = ask(&mut connection, &["SCARD", &set]).await;
    assert_eq!(members, 2);
    let gone: i64 = ask(
        &mut connection,
        &["EXISTS", &key(2, 1), &key(2, 2), "rate:{x}"],
    )
    .await;
    assert_eq!(gone, 0);
    assert_eq!(folder.leftovers(), 0, "scratch files are removed");
}

#[tokio::test]
async fn nothing_is_touched_unless_the_backup_is_whole_and_the_database_empty() {
    let folder = Folder::new("refusals");
    let archive = folder.archive();
    let postgres = Postgres::start().unwrap();
    sql(&postgres, "postgres", SCHEMA).await;
    let before = sql(&postgres, "postgres", ALL).await;
    let db = database(&postgres, "postgres");
    let now = runtime::clock::now();
    let (name, _) = auth::backup::backup(now, &archive, Some(&db), None)
        .await
        .unwrap();
    sql(
        &postgres,
        "postgres",
        "DELETE FROM sessions; DELETE FROM users",
    )
    .await;
    let changed = sql(&postgres, "postgres", ALL).await;
    let to_database = Restore {
        database: Some(&db),
        ..whole(&archive, &folder.0)
    };

    // It has tables, and nobody said that they may go.
    let refused = restore(now, &to_database).await;
    assert!(matches!(refused, Err(Error::NotEmpty(4))), "{refused:?}");
    assert_eq!(sql(&postgres, "postgres", ALL).await, changed);

    // There are no sessions in it.
    let cache = Valkey::new(vec!["redis+unix:///nowhere".into()], 1, LIMIT).unwrap();
    let and_sessions = Restore {
        valkey: Some(&cache),
        replace: true,
        ..to_database
    };
    let refused = restore(now, &and_sessions).await;
    assert!(matches!(refused, Err(Error::Invalid(..))), "{refused:?}");
    assert_eq!(sql(&postgres, "postgres", ALL).await, changed);

    // One byte is another.
    let file = folder
        .0
        .join("archive")
        .join(&name)
        .join(File::Database.name());
    let whole_file = std::fs::read(&file).unwrap();
    let mut damaged = whole_file.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let replacing = Restore {
        replace: true,
        ..to_database
    };
    let refused = restore(now, &replacing).await;
    assert!(
        matches!(refused, Err(Error::Damaged("database.dump"))),
        "{refused:?}"
    );
    assert_eq!(sql(&postgres, "postgres", ALL).await, changed);

    // Whole again, and allowed.
    std::fs::write(&file, &whole_file).unwrap();
    restore(now, &replacing).await.unwrap();
    assert_eq!(sql(&postgres, "postgres", ALL).await, before);
    assert_eq!(folder.leftovers(), 0);
}

#[tokio::test]
async fn programs_that_are_missing_old_or_fail_are_named() {
    let folder = Folder::new("programs");
    let archive = folder.archive();
    let postgres = Postgres::start().unwrap();
    let now = runtime::clock::now();
    let version = postgres.installation().version();
    let url = Confidential::new(postgres.url("postgres"));

    let nowhere = Database::new(&url, Some(folder.0.clone()), LIMIT).unwrap();
    let error = auth::backup::backup(now, &archive, Some(&nowhere), None)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("pg_dump") && text.contains(&format!("server is PostgreSQL {version}")),
        "{text}"
    );

    // Of another version, and one that fails.
    for (script, expected) in [
        (
            format!("echo 'pg_dump (PostgreSQL) {}.2'", version - 1),
            format!("its version is {}", version - 1),
        ),
        (
            format!(
                "if [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) {version}.1'; \
                 else echo half a dump; echo it broke >&2; exit 3; fi"
            ),
            "pg_dump failed (exit status: 3): it broke".to_owned(),
        ),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.0.join("pg_dump");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = auth::backup::backup(now, &archive, Some(&nowhere), None)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
    }
    // What was half written is no backup.
    assert!(matches!(archive.newest().await, Err(Error::NoBackup)));

    let wrong = Database::new(&Confidential::new("mysql://me:hidden@x/y"), None, LIMIT);
    assert!(!format!("{wrong:?}").contains("hidden"));
}

fn urls(cluster: &[Cache]) -> Vec<String> {
    cluster.iter().map(Cache::url).collect()
}

#[tokio::test]
async fn sessions_of_every_node_of_a_cluster_are_saved_and_go_back_to_theirs() {
    let folder = Folder::new("cluster");
    let archive = folder.archive();
    let now = runtime::clock::now();
    let write = async |cluster: &[Cache], words: &[&str]| {
        let client = redis::cluster::ClusterClient::new(urls(cluster)).unwrap();
        let mut connection = client.get_async_connection().await.unwrap();
        let mut command = cmd(words[0]);
        let command = command.arg(&words[1..]);
        let answer: Option<String> = command.query_async(&mut connection).await.unwrap();
        answer
    };
    let old = Cache::cluster().unwrap();
    for player in 1..=30 {
        let value = player.to_string();
        write(&old, &["SET", &key(player, 1), &value, "EX", "600"]).await;
    }
    let valkey = Valkey::new(urls(&old), 100, LIMIT).unwrap();
    let (_, manifest) = auth::backup::backup(now, &archive, None, Some(&valkey))
        .await
        .unwrap();
    assert_eq!(manifest.keys, Some(30));
    drop(old);

    let new = Cache::cluster().unwrap();
    let valkey = Valkey::new(urls(&new), 100, LIMIT).unwrap();
    let restored = restore(
        now,
        &Restore {
            valkey: Some(&valkey),
            ..whole(&archive, &folder.0)
        },
    )
    .await
    .unwrap();
    assert_eq!(restored.sessions.unwrap().restored, 30);
    for player in 1..=30 {
        let value = write(&new, &["GET", &key(player, 1)]).await;
        assert_eq!(value, Some(player.to_string()));
    }
}

#[tokio::test]
async fn copies_of_the_sessions_are_bounded_and_the_old_ones_go() {
    let folder = Folder::new("copies");
    let archive = folder.archive().below("sessions");
    let cache = Cache::start().unwrap();
    let mut connection = valkey(&cache).await;
    for session in 1..=10 {
        let () = ask(&mut connection, &["SET", &key(1, session), "x", "EX", "60"]).await;
    }
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for minute in 0..5 {
        let now = start + SignedDuration::from_mins(minute * 5);
        copies::copy(now, &archive, &open(&cache), 2).await.unwrap();
    }
    let kept = std::fs::read_dir(folder.0.join("archive/sessions")).unwrap();
    let mut kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["20260101T001500000Z", "20260101T002000000Z"]);

    let few = Valkey::new(vec![cache.url()], 9, LIMIT).unwrap();
    let error = copies::copy(start, &archive, &few, 2).await.unwrap_err();
    assert!(matches!(error, Error::TooMuch(9, _)), "{error}");
    assert_eq!(archive.newest().await.unwrap(), "20260101T002000000Z");

    // Valkey is gone: an error, in time.
    drop(connection);
    let gone = open(&cache);
    drop(cache);
    let error = copies::copy(start, &archive, &gone, 2).await.unwrap_err();
    assert!(matches!(error, Error::Valkey(_)), "{error}");
}
