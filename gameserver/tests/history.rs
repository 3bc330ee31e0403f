//! The history of matches from the thread that ticks to the tool that plays them back.
//!
//! What needs a database is in `history/database.rs`, behind the feature `database`.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod history {
    #[cfg(feature = "database")]
    pub(crate) mod cluster;
    #[cfg(feature = "database")]
    mod database;
    pub(crate) mod recording;
}

use std::fs;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gameserver::arena::sink::HistorySink as _;
use gameserver::history::block::{Block, MatchId};
use gameserver::history::database::{Database, DatabaseUrl};
use gameserver::history::directory::Directory;
use gameserver::history::metrics::Loss;
use gameserver::history::store::{Archive as _, Error, Store};
use gameserver::history::{Limits, Place};
use history::recording::{EVERYTHING, Folder, Game, LIMIT, Recording, a_block, eventually, read};

const MATCH: MatchId = MatchId([0xa1; 16]);

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arena-replay"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn a_match_is_played_back_from_its_file() {
    let folder = Folder::new("played");
    let place = Place::Directory(folder.path().join("made/for/it"));
    let mut recording = Recording::start(place.store().unwrap(), Limits::default());
    let mut game = Game::new(12, 10);
    recording.recorder.begin(MATCH.0);
    // Two seconds and a half: the rest is packed at the end.
    let frames: Vec<_> = (0..150).map(|_| recording.step(&mut game)).collect();
    recording.recorder.end();
    assert!(recording.finish(LIMIT));

    assert_eq!(read(&place, MATCH), frames);
    let directory = folder.path().join("made/for/it");
    let directory = directory.to_str().unwrap();
    let listed = replay(&["list", "--directory", directory]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with(&MATCH.to_string()), "{text}");
    assert!(line.contains("  2.5  "), "{text}");

    let name = MATCH.to_string();
    let played = replay(&[
        "--directory",
        directory,
        "play",
        &name,
        "--from=70",
        "--to=100",
    ]);
    assert!(played.status.success());
    let text = String::from_utf8(played.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 31);
    for (line, tick) in lines.iter().zip(70_u32..) {
        assert_eq!(line["tick"], tick);
        let frame = &frames[usize::try_from(tick).unwrap() - 1];
        let entities = line["entities"].as_array().unwrap();
        assert_eq!(entities.len(), frame.entities.len());
        for (shown, entity) in entities.iter().zip(&frame.entities) {
            let key = if entity.id.as_player().is_some() {
                "player"
            } else {
                "prop"
            };
            assert!(shown[key].is_u64(), "{shown}");
            let x: f32 = shown["x"].to_string().parse().unwrap();
            assert!((x - entity.position().x).abs() < 0.001, "{shown}");
            assert_eq!(shown["health"], entity.health);
        }
    }
    let every = replay(&["--directory", directory, "play", &name, "--every=60"]);
    assert_eq!(String::from_utf8(every.stdout).unwrap().lines().count(), 2);
}

#[test]
fn the_speed_is_that_of_the_match_or_a_multiple() {
    let folder = Folder::new("speed");
    let place = Place::Directory(folder.path().to_owned());
    let mut recording = Recording::start(place.store().unwrap(), Limits::default());
    recording.recorder.begin(MATCH.0);
    let mut game = Game::new(1, 0);
    for _ in 0..31 {
        recording.step(&mut game);
    }
    assert!(recording.finish(LIMIT));
    let directory = folder.path().to_str().unwrap();
    let began = Instant::now();
    let played = replay(&[
        "play",
        &MATCH.to_string(),
        "--directory",
        directory,
        "--speed=2",
    ]);
    assert!(played.status.success());
    // 30 ticks later at twice the speed.
    assert!(began.elapsed() >= Duration::from_millis(249));
}

#[test]
fn recording_allocates_nothing() {
    let folder = Folder::new("allocations");
    let place = Place::Directory(folder.path().to_owned());
    let mut recording = Recording::start(place.store().unwrap(), Limits::default());
    let mut game = Game::new(64, 40);
    let frames: Vec<_> = (0..600).map(|_| game.step().clone()).collect();
    let recorder = &mut recording.recorder;
    let measured = allocation_counter::measure(|| {
        recorder.begin(MATCH.0);
        for frame in &frames {
            recorder.offer(frame);
        }
        recorder.end();
    });
    assert_eq!(measured.count_total, 0);
    assert!(recording.finish(LIMIT));
}

#[test]
fn a_second_of_a_match_is_small() {
    let folder = Folder::new("small");
    let place = Place::Directory(folder.path().to_owned());
    let mut recording = Recording::start(place.store().unwrap(), Limits::default());
    let mut game = Game::new(64, 40);
    recording.recorder.begin(MATCH.0);
    for _ in 0..600 {
        recording.step(&mut game);
    }
    let metrics = recording.metrics.clone();
    assert!(recording.finish(LIMIT));
    let bytes = metrics.written_bytes.get() / metrics.written.get();
    // As structs: 104 entities of 12 bytes, 60 times.
    println!("{bytes} bytes a second of 74880");
    assert!(bytes < 74_880 / 3, "{bytes}");
}

/// Blocks until it is told to go on.
struct Stuck {
    entered: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
    written: mpsc::Sender<u32>,
}

impl Store for Stuck {
    fn write(&mut self, blocks: &[&Block], _limit: Duration) -> Result<usize, Error> {
        self.entered.send(()).ok();
        self.go_on.recv().ok();
        for block in blocks {
            self.written.send(block.start.0).ok();
        }
        Ok(blocks.len())
    }
}

#[test]
fn a_store_that_hangs_costs_its_oldest_seconds_and_nobody_else_anything() {
    let (enter, entered) = mpsc::channel();
    let (go_on, told) = mpsc::channel();
    let (write, written) = mpsc::channel();
    let store = Stuck {
        entered: enter,
        go_on: told,
        written: write,
    };
    let mut limits = Limits::default();
    limits.bounds.blocks = 10;
    let mut recording = Recording::start(Box::new(store), limits);
    let mut game = Game::new(4, 0);
    recording.recorder.begin(MATCH.0);
    for second in 0..50 {
        for _ in 0..60 {
            recording.step(&mut game);
        }
        if second == 0 {
            entered.recv_timeout(LIMIT).unwrap();
        }
        let metrics = &recording.metrics;
        let lost = metrics.dropped(Loss::Full);
        eventually(|| lost.get() + metrics.queue_blocks.get().cast_unsigned() == second);
        assert!(metrics.queue_blocks.get() <= 10);
    }
    assert_eq!(recording.metrics.dropped(Loss::Full).get(), 39);
    assert_eq!(recording.metrics.dropped(Loss::Recorder).get(), 0);
    drop(go_on);
    assert!(recording.finish(LIMIT));
    let starts: Vec<_> = written.try_iter().collect();
    let newest = (40..50).map(|second| second * 60 + 1);
    assert_eq!(starts, std::iter::once(1).chain(newest).collect::<Vec<_>>());
}

#[test]
fn the_end_of_the_process_does_not_wait_for_ever() {
    let (enter, entered) = mpsc::channel();
    let (_go_on, told) = mpsc::channel();
    let (write, _written) = mpsc::channel();
    let store = Stuck {
        entered: enter,
        go_on: told,
        written: write,
    };
    let mut recording = Recording::start(Box::new(store), Limits::default());
    recording.recorder.begin(MATCH.0);
    recording.step(&mut Game::new(4, 0));
    recording.recorder.end();
    entered.recv_timeout(LIMIT).unwrap();
    let began = Instant::now();
    assert!(!recording.finish(Duration::from_millis(100)));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_database_that_does_not_answer_costs_the_time_that_it_may() {
    // Connections are taken by the system, and nobody ever says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url: DatabaseUrl = format!("postgres://muster@127.0.0.1:{port}/history")
        .parse()
        .unwrap();
    let mut database = Database::new(&url).unwrap();
    let block = a_block(MATCH, 1);
    let began = Instant::now();
    let result = database.write(&[&block], Duration::from_millis(200));
    assert!(matches!(result, Err(Error::TimedOut)), "{result:?}");
    assert!(began.elapsed() >= Duration::from_millis(200));
}

fn starts(directory: &mut Directory) -> (Vec<u32>, bool) {
    let mut starts = Vec::new();
    let damage = directory
        .visit(MATCH, EVERYTHING, &mut |block| {
            starts.push(block.start.0);
            ControlFlow::Continue(())
        })
        .unwrap();
    (starts, damage.is_some())
}

#[test]
fn a_torn_end_is_left_out_and_cut_off() {
    let folder = Folder::new("torn");
    let blocks = [1, 2, 3, 4].map(|start| a_block(MATCH, start));
    let write = |block: &Block| {
        // Each time as a process that starts.
        let mut directory = Directory::create(folder.path()).unwrap();
        assert_eq!(directory.write(&[block], LIMIT).unwrap(), 1);
    };
    blocks[..3].iter().for_each(write);
    let file = Directory::open(folder.path()).file(MATCH);
    let whole = fs::read(&file).unwrap();
    let record = 20 + blocks[2].payload.len();
    for left in 0..record {
        fs::write(&file, &whole[..whole.len() - record + left]).unwrap();
        let mut directory = Directory::open(folder.path());
        assert_eq!(starts(&mut directory), (vec![1, 2], left > 0), "{left}");
        write(&blocks[3]);
        assert_eq!(starts(&mut directory), (vec![1, 2, 4], false), "{left}");
    }
    // Not even the head of the file is whole.
    fs::write(&file, &whole[..10]).unwrap();
    write(&blocks[3]);
    assert_eq!(
        starts(&mut Directory::open(folder.path())),
        (vec![4], false)
    );
    // A byte in the middle: what is before it is good.
    let mut damaged = whole.clone();
    let middle = damaged.len() - record - 5;
    damaged[middle] ^= 1;
    fs::write(&file, &damaged).unwrap();
    assert_eq!(starts(&mut Directory::open(folder.path())), (vec![1], true));
}

#[test]
fn a_file_of_others_is_left_alone() {
    let folder = Folder::new("foreign");
    let mut directory = Directory::create(folder.path()).unwrap();
    let file = directory.file(MATCH);
    let text = "This is a diary, and no history of any match.";
    fs::write(&file, text).unwrap();
    let error = directory.write(&[&a_block(MATCH, 1)], LIMIT).unwrap_err();
    assert!(error.is_final(), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn the_replay_says_what_is_wrong() {
    let folder = Folder::new("wrong");
    let name = MATCH.to_string();
    let directory = folder.path().to_str().unwrap();
    let file = folder.path().join("url");
    fs::write(&file, "mysql://muster:s3cret@localhost/history").unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["list"], "no history is named"),
        (
            &["play", &name, "--directory", directory],
            "there is no history of match a1a1a1a1-",
        ),
        (&["list", "--directory", "/nowhere"], "/nowhere failed"),
        (
            &["list", "--database-url-file", file.to_str().unwrap()],
            "that is no URL as postgres://user:password@host:5432/database",
        ),
        (&["play", "me"], "a match is named by a UUID"),
    ];
    for (arguments, expected) in cases {
        let output = replay(arguments);
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("error: "), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    let help = String::from_utf8(replay(&["--help"]).stdout).unwrap();
    assert!(help.contains("Plays matches back"), "{help}");
}
