//! Tests of the writer, on a store that does what it is told.

use std::sync::mpsc::{self, Receiver, Sender};

use simulation::tick::Tick;

use super::*;
use crate::history::block::MatchId;

/// What the store answers next.
enum Answer {
    Written(usize),
    Failed,
    /// The block that starts at this tick is not wanted; anything without it is written.
    Unwanted(u32),
}

/// Shows every write and waits to be told what to answer; then writes everything.
struct Told {
    calls: Sender<Vec<u32>>,
    answers: Receiver<Answer>,
}

impl Store for Told {
    fn write(&mut self, blocks: &[&Block], _limit: Duration) -> Result<usize, Error> {
        let starts: Vec<_> = blocks.iter().map(|block| block.start.0).collect();
        self.calls.send(starts.clone()).ok();
        let foreign = || Error::Foreign {
            path: "unwanted".into(),
        };
        match self.answers.recv() {
            Ok(Answer::Failed) => Err(Error::TimedOut),
            Ok(Answer::Unwanted(start)) if starts.contains(&start) => Err(foreign()),
            Ok(Answer::Written(count)) => Ok(count),
            Ok(Answer::Unwanted(_)) | Err(_) => Ok(blocks.len()),
        }
    }
}

struct Setup {
    queue: Arc<Queue>,
    metrics: Metrics,
    calls: Receiver<Vec<u32>>,
    answers: Sender<Answer>,
    writer: thread::JoinHandle<()>,
}

/// A writer whose first write, of block 0, waits for its answer while blocks 1 to `last` come in.
fn setup(last: u32) -> Setup {
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let limits = Limits {
        backoff: Backoff {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(2),
        },
        ..Limits::default()
    };
    let queue = Arc::new(Queue::new(limits.bounds, metrics.clone()));
    let (call, calls) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let writer = Writer {
        store: Box::new(Told {
            calls: call,
            answers,
        }),
        queue: queue.clone(),
        limits,
        metrics: metrics.clone(),
    };
    let setup = Setup {
        queue,
        metrics,
        calls,
        answers: answer,
        writer: thread::spawn(move || writer.run()),
    };
    setup.push(0);
    assert_eq!(setup.call(), [0]);
    (1..=last).for_each(|start| setup.push(start));
    setup
}

impl Setup {
    fn push(&self, start: u32) {
        let block = Block {
            match_id: MatchId::default(),
            start: Tick(start),
            ticks: 1,
            taken_at: 0,
            format: 1,
            payload: vec![0; 10],
        };
        self.queue.push(Instant::now(), block);
    }

    fn call(&self) -> Vec<u32> {
        self.calls.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    fn answer(&self, answer: Answer) {
        self.answers.send(answer).unwrap();
    }

    /// Answers everything that still comes with success. Returns what was written and lost.
    fn end(self) -> (u64, u64) {
        self.queue.close();
        drop(self.answers);
        self.writer.join().unwrap();
        let lost = [Loss::Rejected, Loss::Shutdown, Loss::Full, Loss::Age];
        let lost = lost.map(|loss| self.metrics.dropped(loss).get());
        (self.metrics.written.get(), lost.iter().sum())
    }
}

#[test]
fn what_fails_is_tried_again_with_what_came_since() {
    let setup = setup(2);
    setup.answer(Answer::Failed);
    assert_eq!(setup.call(), [0, 1, 2]);
    setup.answer(Answer::Failed);
    assert_eq!(setup.call(), [0, 1, 2]);
    assert_eq!(setup.metrics.failures.get(), 2);
    assert_eq!(setup.end(), (3, 0));
}

#[test]
fn a_store_may_take_a_part() {
    let setup = setup(3);
    setup.answer(Answer::Written(1));
    assert_eq!(setup.call(), [1, 2, 3]);
    setup.answer(Answer::Written(2));
    assert_eq!(setup.call(), [3]);
    assert_eq!(setup.end(), (4, 0));
}

#[test]
fn only_what_is_not_wanted_is_dropped() {
    let setup = setup(3);
    setup.answer(Answer::Written(1));
    for expected in [vec![1, 2, 3], vec![1]] {
        assert_eq!(setup.call(), expected);
        setup.answer(Answer::Unwanted(2));
    }
    for expected in [vec![2, 3], vec![2]] {
        assert_eq!(setup.call(), expected);
        setup.answer(Answer::Unwanted(2));
    }
    assert_eq!(setup.call(), [3]);
    assert_eq!(setup.metrics.dropped(Loss::Rejected).get(), 1);
    assert_eq!(setup.end(), (3, 1));
}

#[test]
fn the_end_of_the_process_ends_the_tries() {
    let setup = setup(3);
    setup.queue.close();
    setup.queue.set_deadline(Instant::now());
    setup.answer(Answer::Failed);
    let metrics = setup.metrics.clone();
    assert_eq!(setup.end(), (0, 4));
    assert_eq!(metrics.dropped(Loss::Shutdown).get(), 4);
    assert_eq!(metrics.queue_bytes.get(), 0);
}

#[test]
fn the_share_of_a_pause_is_that_of_the_second() {
    for (nanoseconds, expected) in [(0, 0.0), (250_000_000, 0.25), (999_000_000, 0.999)] {
        let now = Timestamp::new(1_800_000_000, nanoseconds).unwrap();
        assert!((share(now) - expected).abs() < 1e-9, "{nanoseconds} ns");
    }
}
