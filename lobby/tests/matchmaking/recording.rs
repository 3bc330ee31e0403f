//! Recordings: what is written, what is left out, and how much is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lobby::ids::TicketId;
use lobby::matchmaking::recorder::{Limits, Recorder};
use lobby::matchmaking::replay::{self, Outcome, Recorded};
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

use crate::world::{World, at, join, pass};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("muster-recording-{}", Uuid::new_v4())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What was written about a queue: the files in order, and their text.
fn written(directory: &Path, queue: &str) -> (Vec<String>, String) {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(queue)).collect();
    names.sort();
    let texts = names
        .iter()
        .map(|name| fs::read_to_string(directory.join(name)).unwrap());
    let text = texts.collect();
    (names, text)
}

#[tokio::test(start_paused = true)]
async fn a_recording_tells_what_became_of_tickets_and_nothing_of_sessions() {
    let directory = Directory::new();
    let mut world = World::new();
    let lobby = world.recorded(Some(directory.0.clone()));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut players = Vec::new();
    for number in 1..=3 {
        let caller = world.connect(&lobby, number).await;
        let call = wire::JoinQueue {
            trace_context: trace.to_owned(),
            ..join("duel")
        };
        lobby.service.join_queue(&caller, call).await.unwrap();
        players.push(caller);
        pass(Duration::from_secs(2)).await;
    }
    world.ready(players[0].player).await;
    let leave = wire::LeaveQueue {};
    lobby.service.leave_queue(&players[2], leave).await.unwrap();
    pass(Duration::from_secs(1)).await;
    let queue = lobby.service.parts().queues["duel"].clone();
    lobby.stop().await;

    let (names, text) = written(&directory.0, "duel.");
    assert_eq!(names, ["duel.1700000000000.jsonl"]);
    assert!(!text.contains("0af7651916cd43dd8448eb211c80319c"));
    for caller in &players {
        assert!(!text.contains(&caller.session.to_string()));
    }
    let lines = replay::read(&text).unwrap();
    let outcome = Outcome::recorded(&lines);
    let counts = (outcome.matches, outcome.left, outcome.waiting);
    assert_eq!(counts, (1, 1, 0));
    assert_eq!(outcome.waits.len(), 2);
    let replayed = Outcome::replayed(&queue, &lines);
    assert_eq!((replayed.matches, replayed.left), (1, 1));
    assert_eq!(replayed.qualities, outcome.qualities);
}

#[tokio::test]
async fn recordings_are_kept_in_so_many_files_of_so_many_bytes() {
    let directory = Directory::new();
    let limits = Limits { bytes: 1, files: 2 };
    for second in 0..4 {
        let recorder = Recorder::start(directory.0.clone(), "duel", limits);
        let left = Recorded::Left(TicketId(Uuid::nil()));
        recorder.record(at(second), left);
        recorder.close().await;
    }
    let recorder = Recorder::start(directory.0.clone(), "full", limits);
    for second in 0..2_u8 {
        recorder.record(at(second.into()), Recorded::Left(TicketId(Uuid::nil())));
        // The next line comes when this one fills its file.
        let text = tokio::time::timeout(Duration::from_secs(10), async {
            while written(&directory.0, "full.").1.lines().count() <= usize::from(second) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        text.await.unwrap();
    }
    recorder.close().await;
    assert_eq!(written(&directory.0, "full.").0.len(), 2);
    let other = Recorder::start(directory.0.clone(), "duels", limits);
    other.record(at(9), Recorded::Left(TicketId(Uuid::nil())));
    other.close().await;
    let (names, _) = written(&directory.0, "duel.");
    assert_eq!(
        names,
        ["duel.1700000002000.jsonl", "duel.1700000003000.jsonl"]
    );
    assert_eq!(written(&directory.0, "duels.").0.len(), 1);
}
