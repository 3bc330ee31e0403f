//! A match that plays itself, and a history that takes it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gameserver::arena::sink::HistorySink as _;
use gameserver::history::block::{Block, Decoder, Encoder, Frames, MatchId};
use gameserver::history::metrics::Metrics;
use gameserver::history::store::{Range, Store};
use gameserver::history::{Limits, Place, Recorder, Writing, start};
use jiff::Timestamp;
use prometheus::Registry;
use simulation::arena::{Arena, ArenaConfig, Inputs};
use simulation::entity::PlayerSlot;
use simulation::frame::WorldFrame;
use simulation::input::{Buttons, Input};
use simulation::rules::Rules;
use simulation::seeded::Random;
use simulation::tick::Tick;

/// Longest wait for anything here.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// All ticks.
pub(crate) const EVERYTHING: Range = Range {
    from: Tick(0),
    to: Tick(u32::MAX),
};

/// Players who run about and shoot.
pub(crate) struct Game {
    arena: Arena,
    inputs: Inputs,
    ways: Vec<(i8, i8)>,
    random: Random,
    frame: WorldFrame,
}

impl Game {
    pub(crate) fn new(players: u16, props: u16) -> Self {
        let mut arena = Arena::new(&ArenaConfig {
            seed: 1,
            capacity: players,
            props,
            rules: Rules {
                min_players: 1,
                ..Rules::default()
            },
        });
        for slot in 0..players {
            arena.add_player(PlayerSlot(slot), None).unwrap();
        }
        Self {
            arena,
            inputs: Inputs::new(players),
            ways: vec![(0, 0); usize::from(players)],
            random: Random::new(1),
            frame: WorldFrame::default(),
        }
    }

    pub(crate) fn step(&mut self) -> &WorldFrame {
        for (slot, way) in (0..).zip(&mut self.ways) {
            if self.random.below(30) == 0 {
                let [east, north, ..] = self.random.bits().to_le_bytes();
                *way = (east.cast_signed(), north.cast_signed());
            }
            let input = Input {
                east: way.0,
                north: way.1,
                buttons: Buttons::SPRINT.with(Buttons::FIRE),
                ..Input::default()
            };
            self.inputs.set(PlayerSlot(slot), Some(input));
        }
        self.arena.step(&self.inputs);
        self.arena.frame(&mut self.frame);
        &self.frame
    }
}

/// A history at work.
pub(crate) struct Recording {
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    writing: Writing,
}

impl Recording {
    pub(crate) fn start(store: Box<dyn Store>, limits: Limits) -> Self {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let (recorder, writing) = start(store, 104, limits, metrics.clone()).unwrap();
        Self {
            recorder,
            metrics,
            writing,
        }
    }

    /// Plays and records a tick.
    pub(crate) fn step(&mut self, game: &mut Game) -> WorldFrame {
        let frame = game.step().clone();
        self.recorder.offer(&frame);
        frame
    }

    /// Whether all was written in time.
    pub(crate) fn finish(self, limit: Duration) -> bool {
        drop(self.recorder);
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(self.writing.finish(limit))
    }
}

/// A block of one frame, of a given tick and always of the same moment.
pub(crate) fn a_block(match_id: MatchId, start: u32) -> Block {
    let mut frames = Frames::with_capacity(5);
    frames.match_id = match_id;
    frames.taken_at = Timestamp::from_microsecond(1_800_000_000_123_457).unwrap();
    let mut frame = Game::new(3, 2).step().clone();
    frame.tick = Tick(start);
    assert!(frames.push(&frame));
    Encoder::default().encode(&frames).unwrap()
}

/// All frames of a match.
pub(crate) fn read(place: &Place, match_id: MatchId) -> Vec<WorldFrame> {
    let mut frames = Vec::new();
    let mut decoder = Decoder::default();
    let damage = place
        .archive()
        .unwrap()
        .visit(match_id, EVERYTHING, &mut |block| {
            frames.extend(decoder.decode(block).unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(damage, None);
    frames
}

/// Waits until something holds.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to hold");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A folder that is removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("muster-history-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
