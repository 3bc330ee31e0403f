//! The side of the thread that ticks: copies frames into memory that it has, and hands over full
//! seconds. It never waits, and in a steady match it allocates nothing.

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use rtrb::{Consumer, Producer, RingBuffer};
use simulation::frame::WorldFrame;

use crate::arena::sink::HistorySink;
use crate::history::block::{Encoder, Frames, MatchId};
use crate::history::metrics::{Loss, Metrics};
use crate::history::queue::Queue;

/// Seconds that are on their way between the two threads, or empty; a packer that is later than
/// this many seconds loses some.
const BUFFERS: usize = 4;

/// The packer is woken for everything; this is for what nobody thought of.
const LONGEST_PARK: Duration = Duration::from_secs(1);

/// Takes the frames of a match.
#[derive(Debug)]
pub struct Recorder {
    match_id: Option<MatchId>,
    current: Frames,
    /// None only while it is dropped.
    full: Option<Producer<Frames>>,
    empty: Consumer<Frames>,
    packer: Thread,
    lost: IntCounter,
}

/// Starts the thread that packs what the recorder takes. `entities` is how many a frame is expected
/// to have: more cost an allocation.
pub(super) fn start(
    entities: usize,
    queue: Arc<Queue>,
    metrics: &Metrics,
) -> std::io::Result<Recorder> {
    let (full, full_end) = RingBuffer::new(BUFFERS);
    let (mut empty_end, empty) = RingBuffer::new(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for as many.
        empty_end.push(Frames::with_capacity(entities)).ok();
    }
    let lost = metrics.dropped(Loss::Recorder);
    let packer = Packer {
        full: full_end,
        empty: empty_end,
        closing: Closing(queue),
        encoder: Encoder::default(),
    };
    let packer = thread::Builder::new()
        .name("history-packer".to_owned())
        .spawn(move || packer.run())?;
    Ok(Recorder {
        match_id: None,
        current: Frames::with_capacity(entities),
        full: Some(full),
        empty,
        packer: packer.thread().clone(),
        lost,
    })
}

impl Recorder {
    /// Hands over what was taken.
    fn hand_over(&mut self) {
        if self.current.is_empty() {
            return;
        }
        let (Some(full), Ok(next)) = (&mut self.full, self.empty.pop()) else {
            self.lost.inc();
            self.current.clear();
            return;
        };
        let second = std::mem::replace(&mut self.current, next);
        if full.push(second).is_err() {
            self.lost.inc();
        }
        self.packer.unpark();
    }
}

impl HistorySink for Recorder {
    fn begin(&mut self, match_id: [u8; 16]) {
        self.hand_over();
        self.match_id = Some(MatchId(match_id));
    }

    fn offer(&mut self, frame: &WorldFrame) {
        let Some(match_id) = self.match_id else {
            return;
        };
        if !self.current.continues_with(frame.tick) {
            self.hand_over();
        }
        if self.current.is_empty() {
            self.current.match_id = match_id;
            self.current.taken_at = runtime::clock::now();
        }
        if !self.current.push(frame) {
            self.lost.inc();
        }
        if self.current.is_full() {
            self.hand_over();
        }
    }

    fn end(&mut self) {
        self.hand_over();
        self.match_id = None;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.hand_over();
        // Only then can the packer see that nothing more will come.
        self.full = None;
        self.packer.unpark();
    }
}

/// Closes the queue when the packer ends, however it does.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Packer {
    full: Consumer<Frames>,
    empty: Producer<Frames>,
    closing: Closing,
    encoder: Encoder,
}

impl Packer {
    fn run(mut self) {
        loop {
            // Asked before the last look: what is pushed before the end is seen.
            let is_last = self.full.is_abandoned();
            while let Ok(mut frames) = self.full.pop() {
                if let Some(block) = self.encoder.encode(&frames) {
                    self.closing.0.push(Instant::now(), block);
                }
                frames.clear();
                // There is room for all that there are; or the recorder is gone.
                self.empty.push(frames).ok();
            }
            if is_last {
                return;
            }
            thread::park_timeout(LONGEST_PARK);
        }
    }
}
