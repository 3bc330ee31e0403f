//! What waits to be written: bounded in blocks, bytes and age. The oldest goes first.
//!
//! Between the packer and the writer; the thread that ticks never touches it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::history::block::Block;
use crate::history::metrics::{Loss, Metrics};

/// What may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most blocks.
    pub blocks: usize,
    /// Most bytes of payload.
    pub bytes: usize,
    /// Longest wait.
    pub age: Duration,
}

/// Blocks with the moment that they came in.
pub type Batch = VecDeque<(Instant, Block)>;

/// The queue.
#[derive(Debug)]
pub struct Queue {
    bounds: Bounds,
    metrics: Metrics,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    bytes: usize,
    is_closed: bool,
    /// When whoever waits for the rest gives up.
    deadline: Option<Instant>,
}

impl Queue {
    /// An empty queue.
    pub fn new(bounds: Bounds, metrics: Metrics) -> Self {
        Self {
            bounds,
            metrics,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds a block; older ones make room.
    pub fn push(&self, now: Instant, block: Block) {
        let mut state = self.lock();
        state.bytes += block.payload.len();
        state.waiting.push_back((now, block));
        self.trim(&mut state, now);
        self.changed.notify_all();
    }

    /// Puts back what could not be written, before everything else.
    pub fn give_back(&self, now: Instant, mut batch: Batch) {
        let mut state = self.lock();
        while let Some((since, block)) = batch.pop_back() {
            state.bytes += block.payload.len();
            state.waiting.push_front((since, block));
        }
        self.trim(&mut state, now);
    }

    /// Takes the oldest blocks, at most `blocks` and not much more than `bytes`, as soon as there
    /// are any. Nothing once the queue is closed and empty.
    pub fn take(&self, blocks: usize, bytes: usize) -> Option<Batch> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Batch::new();
        let mut taken = 0;
        while batch.len() < blocks && taken < bytes {
            let Some((since, block)) = state.waiting.pop_front() else {
                break;
            };
            taken += block.payload.len();
            batch.push_back((since, block));
        }
        state.bytes -= taken;
        self.show(&state);
        Some(batch)
    }

    /// Waits before the next try; shorter if the process wants to end before.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let end = state.deadline.map_or(until, |deadline| until.min(deadline));
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Says that nothing more will come.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Says when whoever waits for the rest gives up.
    pub fn set_deadline(&self, deadline: Instant) {
        self.lock().deadline = Some(deadline);
        self.changed.notify_all();
    }

    /// When whoever waits for the rest gives up, if somebody does.
    pub fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    /// Throws away everything.
    pub fn abandon(&self) {
        let mut state = self.lock();
        let lost = u64::try_from(state.waiting.len()).unwrap_or(u64::MAX);
        self.metrics.dropped(Loss::Shutdown).inc_by(lost);
        state.waiting.clear();
        state.bytes = 0;
        self.show(&state);
    }

    fn trim(&self, state: &mut State, now: Instant) {
        while let Some((since, block)) = state.waiting.front() {
            let loss =
                if state.waiting.len() > self.bounds.blocks || state.bytes > self.bounds.bytes {
                    Loss::Full
                } else if now.saturating_duration_since(*since) > self.bounds.age {
                    Loss::Age
                } else {
                    break;
                };
            state.bytes -= block.payload.len();
            state.waiting.pop_front();
            self.metrics.dropped(loss).inc();
        }
        self.show(state);
    }

    fn show(&self, state: &State) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.queue_blocks.set(number(state.waiting.len()));
        self.metrics.queue_bytes.set(number(state.bytes));
    }

    /// Every change is whole, so what a thread that failed left behind can be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::history::block::MatchId;
    use simulation::tick::Tick;

    fn block(start: u32, bytes: usize) -> Block {
        Block {
            match_id: MatchId::default(),
            start: Tick(start),
            ticks: 1,
            taken_at: 0,
            format: 1,
            payload: vec![0; bytes],
        }
    }

    fn queue(blocks: usize, bytes: usize) -> (Queue, Metrics) {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let bounds = Bounds {
            blocks,
            bytes,
            age: Duration::from_mins(1),
        };
        (Queue::new(bounds, metrics.clone()), metrics)
    }

    fn starts(batch: &Batch) -> Vec<u32> {
        batch.iter().map(|(_, block)| block.start.0).collect()
    }

    #[test]
    fn the_oldest_make_room() {
        let (queue, metrics) = queue(3, 100);
        let now = Instant::now();
        for start in 0..5 {
            queue.push(now, block(start, 10));
        }
        assert_eq!(metrics.dropped(Loss::Full).get(), 2);
        assert_eq!(metrics.queue_blocks.get(), 3);
        // One that takes all the room that there is.
        queue.push(now, block(5, 95));
        assert_eq!(metrics.dropped(Loss::Full).get(), 5);
        assert_eq!(metrics.queue_bytes.get(), 95);
        assert_eq!(starts(&queue.take(10, 1_000).unwrap()), [5]);
    }

    #[test]
    fn what_waited_too_long_goes() {
        let (queue, metrics) = queue(10, 100);
        let now = Instant::now();
        queue.push(now, block(1, 1));
        queue.push(now + Duration::from_secs(40), block(2, 1));
        queue.push(now + Duration::from_secs(61), block(3, 1));
        assert_eq!(metrics.dropped(Loss::Age).get(), 1);
        assert_eq!(starts(&queue.take(10, 1_000).unwrap()), [2, 3]);
    }

    #[test]
    fn what_failed_is_next_again_and_within_the_bounds() {
        let (queue, metrics) = queue(3, 100);
        let now = Instant::now();
        for start in 0..3 {
            queue.push(now, block(start, 10));
        }
        let batch = queue.take(2, 1_000).unwrap();
        assert_eq!(starts(&batch), [0, 1]);
        queue.push(now, block(3, 10));
        queue.give_back(now, batch);
        assert_eq!(metrics.dropped(Loss::Full).get(), 1);
        assert_eq!(starts(&queue.take(10, 15).unwrap()), [1, 2]);
        queue.close();
        assert_eq!(starts(&queue.take(10, 15).unwrap()), [3]);
        assert_eq!(queue.take(10, 15), None);
        assert_eq!(metrics.queue_bytes.get(), 0);
    }

    #[test]
    fn a_pause_ends_when_the_process_must() {
        let (queue, _) = queue(3, 100);
        let began = Instant::now();
        queue.set_deadline(began);
        queue.pause(Duration::from_hours(1));
        assert!(began.elapsed() < Duration::from_mins(1));
    }
}
