//! The history in a real PostgreSQL and in a real TimescaleDB.

use std::time::{Duration, Instant};

use gameserver::arena::sink::HistorySink as _;
use gameserver::history::block::MatchId;
use gameserver::history::database::Database;
use gameserver::history::metrics::{Loss, Metrics};
use gameserver::history::store::{Error, Store as _};
use gameserver::history::{Limits, Place};
use runtime::backoff::Backoff;

use super::cluster::{Cluster, Kind, PASSWORD};
use super::recording::{Game, LIMIT, Recording, a_block, eventually, read};

const MATCH: MatchId = MatchId([0xb2; 16]);
const OTHER: MatchId = MatchId([0xc3; 16]);

/// Every test on every database.
macro_rules! on_each {
    ($($test:ident),* $(,)?) => {
        mod on_postgresql {
            $(#[test] fn $test() { super::$test(super::Kind::Postgresql); })*
        }
        #[cfg(feature = "timescaledb")]
        mod on_timescaledb {
            $(#[test] fn $test() { super::$test(super::Kind::Timescaledb); })*
        }
    };
}

on_each![
    a_match_comes_back_as_it_was,
    the_table_is_made_once_and_as_it_should_be,
    a_killed_database_costs_no_more_than_the_queue_holds,
    the_end_of_the_process_does_not_wait_for_a_database_that_is_gone,
    only_what_the_database_refuses_is_lost,
    the_replay_reads_it,
    the_way_to_the_database_is_guarded,
];

/// Tries again soon.
fn impatient(blocks: usize) -> Limits {
    let mut limits = Limits {
        backoff: Backoff {
            base: Duration::from_millis(10),
            cap: Duration::from_millis(100),
        },
        ..Limits::default()
    };
    limits.bounds.blocks = blocks;
    limits
}

fn database(place: &Place) -> Database {
    let Place::Database(url) = place else {
        unreachable!("{place:?}");
    };
    Database::new(url).unwrap()
}

fn count(cluster: &Cluster) -> usize {
    let rows = cluster.query("SELECT count(*)::text FROM arena_history");
    rows[0].parse().unwrap()
}

fn a_match_comes_back_as_it_was(kind: Kind) {
    let cluster = Cluster::start(kind);
    let place = cluster.place();
    let mut recording = Recording::start(place.store().unwrap(), Limits::default());
    let mut game = Game::new(12, 10);
    recording.recorder.begin(OTHER.0);
    let other: Vec<_> = (0..90).map(|_| recording.step(&mut game)).collect();
    recording.recorder.end();
    recording.recorder.begin(MATCH.0);
    let mut game = Game::new(6, 4);
    let mut frames = Vec::new();
    // More than one page, each second when the one before was taken.
    for second in 0..70 {
        for _ in 0..60 {
            frames.push(recording.step(&mut game));
        }
        let metrics = &recording.metrics;
        eventually(|| metrics.written.get() == second + 3);
    }
    assert!(recording.finish(LIMIT));
    assert!(read(&place, MATCH) == frames, "another match came back");
    assert!(read(&place, OTHER) == other, "another match came back");
    let listed = place.archive().unwrap().matches(None, 10).unwrap();
    let ids: Vec<_> = listed.iter().map(|summary| summary.match_id).collect();
    assert_eq!(ids, [MATCH, OTHER]);
    assert_eq!((listed[0].ticks, listed[1].ticks), (4_200, 90));
    let late = listed[0].last.checked_add(Duration::from_secs(1)).unwrap();
    assert_eq!(
        place.archive().unwrap().matches(Some(late), 10).unwrap(),
        []
    );
}

fn the_table_is_made_once_and_as_it_should_be(kind: Kind) {
    let cluster = Cluster::start(kind);
    let place = cluster.place();
    // Many servers start at once, and each writes the same, as after an answer that got lost.
    let block = a_block(MATCH, 1);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| database(&place).write(&[&block], LIMIT).unwrap());
        }
    });
    assert_eq!(count(&cluster), 1);
    let mut one = database(&place);
    let later = a_block(MATCH, 2);
    assert_eq!(one.write(&[&block, &later], LIMIT).unwrap(), 2);
    assert_eq!(count(&cluster), 2);
    // To the microsecond.
    let times =
        cluster.query("SELECT DISTINCT extract(epoch FROM taken_at)::text FROM arena_history");
    assert_eq!(times, ["1800000000.123457"]);

    let storage = "SELECT DISTINCT attstorage::text FROM pg_attribute JOIN pg_class ON oid = attrelid \
        WHERE attname = 'payload' AND relkind = 'r' \
        AND (relname = 'arena_history' OR relname LIKE '_hyper_%_chunk')";
    assert_eq!(cluster.query(storage), ["e"]);
    if kind.has_timescale() {
        let hypertables = "SELECT hypertable_name::text FROM timescaledb_information.hypertables";
        assert_eq!(cluster.query(hypertables), ["arena_history"]);
        let chunks = "SELECT count(*)::text FROM timescaledb_information.chunks";
        assert_eq!(cluster.query(chunks), ["1"]);
        // As the migration tells operators to bound it.
        let dropped =
            "SELECT drop_chunks('arena_history', older_than => '2030-01-01'::timestamptz)::text";
        assert_eq!(cluster.query(dropped).len(), 1);
        assert_eq!(count(&cluster), 0);
    }
}

/// Everything that was offered is written, waits, or was counted as lost.
fn settled(metrics: &Metrics, offered: u64) -> bool {
    let lost = metrics.dropped(Loss::Full).get() + metrics.dropped(Loss::Age).get();
    let waiting = metrics.queue_blocks.get().cast_unsigned();
    metrics.written.get() + lost + waiting == offered
}

fn a_killed_database_costs_no_more_than_the_queue_holds(kind: Kind) {
    const QUEUE: usize = 5;
    let mut cluster = Cluster::start(kind);
    let place = cluster.place();
    let mut recording = Recording::start(place.store().unwrap(), impatient(QUEUE));
    let metrics = recording.metrics.clone();
    let mut game = Game::new(8, 8);
    let mut offered = 0;
    recording.recorder.begin(MATCH.0);
    let mut seconds = |count: u64, recording: &mut Recording| {
        for _ in 0..count {
            for _ in 0..60 {
                recording.step(&mut game);
            }
            offered += 1;
            eventually(|| settled(&metrics, offered));
            assert!(metrics.queue_blocks.get() <= 5);
        }
    };
    seconds(4, &mut recording);
    eventually(|| metrics.written.get() == 4);
    cluster.kill();
    // The match goes on as if nothing had happened.
    seconds(12, &mut recording);
    assert_eq!(metrics.written.get(), 4);
    assert_eq!(metrics.dropped(Loss::Full).get(), 12 - 5);
    assert_eq!(metrics.dropped(Loss::Recorder).get(), 0);
    eventually(|| metrics.failures.get() >= 2);
    cluster.run();
    eventually(|| metrics.written.get() == 9);
    seconds(3, &mut recording);
    assert!(recording.finish(LIMIT));
    let ticks: Vec<_> = read(&place, MATCH)
        .iter()
        .map(|frame| frame.tick.0)
        .collect();
    // The oldest of the outage are gone, and nothing else.
    let expected: Vec<_> = (1..=240).chain(660 + 1..=1_140).collect();
    assert_eq!(ticks, expected);
    assert_eq!(metrics.dropped(Loss::Full).get(), 7);
}

fn the_end_of_the_process_does_not_wait_for_a_database_that_is_gone(kind: Kind) {
    let mut cluster = Cluster::start(kind);
    let place = cluster.place();
    let mut recording = Recording::start(place.store().unwrap(), impatient(100));
    let metrics = recording.metrics.clone();
    recording.recorder.begin(MATCH.0);
    let mut game = Game::new(2, 2);
    recording.step(&mut game);
    recording.recorder.end();
    eventually(|| metrics.written.get() == 1);
    cluster.kill();
    recording.recorder.begin(OTHER.0);
    recording.step(&mut game);
    let began = Instant::now();
    assert!(!recording.finish(Duration::from_millis(300)));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(metrics.dropped(Loss::Shutdown).get(), 1);
}

fn only_what_the_database_refuses_is_lost(kind: Kind) {
    let cluster = Cluster::start(kind);
    let place = cluster.place();
    assert_eq!(
        database(&place)
            .write(&[&a_block(OTHER, 1)], LIMIT)
            .unwrap(),
        1
    );
    cluster.execute("ALTER TABLE arena_history ADD CHECK (start_tick <> 61)");
    let mut refused = database(&place);
    let error = refused.write(&[&a_block(OTHER, 61)], LIMIT).unwrap_err();
    assert!(error.is_final(), "{error:?}");
    let mut recording = Recording::start(place.store().unwrap(), impatient(100));
    let metrics = recording.metrics.clone();
    recording.recorder.begin(MATCH.0);
    let mut game = Game::new(2, 2);
    for _ in 0..180 {
        recording.step(&mut game);
    }
    assert!(recording.finish(LIMIT));
    assert_eq!(metrics.dropped(Loss::Rejected).get(), 1);
    assert_eq!(read(&place, MATCH).len(), 120);
    // What an operator can mend is tried again.
    cluster.execute("ALTER TABLE arena_history RENAME TO elsewhere");
    let mut reader = place.archive().unwrap();
    let error = reader.matches(None, 1).unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    assert!(!error.is_final(), "{error:?}");
}

fn the_replay_reads_it(kind: Kind) {
    let cluster = Cluster::start(kind);
    let blocks = [1, 2, 3].map(|start| a_block(MATCH, start));
    let all: Vec<_> = blocks.iter().collect();
    database(&cluster.place()).write(&all, LIMIT).unwrap();
    // One is damaged in the database.
    cluster.execute("UPDATE arena_history SET payload = payload || '\\x00' WHERE start_tick = 2");
    let replay = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_arena-replay"))
            .args(arguments)
            .env("ARENA_HISTORY_URL", cluster.url())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let name = MATCH.to_string();
    let (listed, _) = replay(&["list"]);
    assert!(
        listed.contains(&format!("{name}  2027-01-15T08:00:00Z")),
        "{listed}"
    );
    let (played, problems) = replay(&["play", &name]);
    let ticks: Vec<_> = played
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["tick"].clone())
        .collect();
    assert_eq!(ticks, [1, 3]);
    let expected = "warning: 1 ticks from 2 are left out: the block is damaged";
    assert!(problems.starts_with(expected), "{problems}");
}

fn the_way_to_the_database_is_guarded(kind: Kind) {
    let mut cluster = Cluster::start(kind);
    let gate = cluster.guard();
    let write = |password: &str, mode: &str| {
        let url = format!(
            "postgres://muster:{password}@{}/postgres?sslmode={mode}",
            gate.address
        );
        let mut database = Database::new(&url.parse().unwrap()).unwrap();
        let result = database.write(&[&a_block(MATCH, 1)], LIMIT);
        (database, result)
    };
    let verified = format!("verify-full&sslrootcert={}", gate.authority.display());
    let (_database, written) = write(PASSWORD, &verified);
    assert_eq!(written.unwrap(), 1);
    let encrypted = "SELECT ssl::text FROM pg_stat_ssl NATURAL JOIN pg_stat_activity \
        WHERE application_name = 'muster-arena-history'";
    assert_eq!(cluster.query(encrypted), ["true"]);

    // An authority that nobody knows here, no TLS, and a wrong password.
    for (password, mode) in [
        (PASSWORD, "verify-full"),
        (PASSWORD, "disable"),
        ("wr0ng", &verified),
    ] {
        let (_, refused) = write(password, mode);
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        assert!(!error.is_final());
        let text = format!("{error:?} {}", runtime::service::chain(&error));
        assert!(!text.contains(password), "{text}");
    }
}
