//! The loop that ticks: socket, game, socket, sixty times per second.
//!
//! One thread does it all, unless the socket has one of its own ([`crate::arena::queues`]). Between
//! two ticks it sleeps in slices of a millisecond and empties the socket after each, so that a
//! flood does not push the packets of players out of the kernel's buffer, and it spins through the
//! last moment before a tick, because no sleep is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use netcode::{Now, RandomSource};

use crate::arena::clock;
use crate::arena::host::Host;
use crate::arena::life::Stage;
use crate::arena::link::Link;
use crate::arena::load::Load;
use crate::arena::metrics::Metrics;

/// Time before a tick that is not slept through.
const SPIN: Duration = Duration::from_micros(200);

/// Longest sleep.
const SLICE: Duration = Duration::from_millis(1);

/// Ticks between two looks at the counters.
const METRICS_INTERVAL: u64 = 60;

/// Counts ticks, to tell a game that works from one that stands still.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Ticks so far.
    pub fn ticks(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The game's side, and what leads to the socket's side.
#[derive(Debug)]
pub struct Shell<Side, Random> {
    /// What leads to the socket's side.
    pub link: Side,
    /// The game's side.
    pub host: Host<Random>,
    metrics: Metrics,
    load: Load,
    progress: Progress,
}

impl<Side: Link, Random: RandomSource + Clone> Shell<Side, Random> {
    /// Puts both sides together.
    pub fn new(link: Side, host: Host<Random>, metrics: Metrics, progress: Progress) -> Self {
        Self {
            link,
            host,
            metrics,
            load: Load::default(),
            progress,
        }
    }

    /// Runs until the process has nothing more to do.
    pub fn run(mut self) {
        while self.host.stage() != Stage::Gone {
            let taken_in = self.wait();
            let start = clock::monotonic();
            let dropped = self.turn(clock::now());
            let work = taken_in + clock::monotonic().saturating_sub(start);
            self.metrics.tick_seconds.observe(work.as_secs_f64());
            let detail = self.load.observe(work, dropped);
            self.host.set_detail(detail);
        }
        self.link.say_goodbye();
    }

    /// Waits for the next tick, and empties the socket meanwhile. Returns how long that took: it is
    /// work of the tick, and under a flood most of it.
    fn wait(&mut self) -> Duration {
        let mut taken_in = Duration::ZERO;
        loop {
            let now = clock::monotonic();
            let deadline = self.host.deadline();
            let rest = deadline.saturating_sub(now);
            if rest.is_zero() {
                return taken_in;
            }
            let sleep = rest.saturating_sub(SPIN).min(SLICE);
            if sleep.is_zero() {
                std::hint::spin_loop();
            } else {
                clock::sleep_until(now + sleep);
                let start = clock::now();
                self.take_in(start, false);
                taken_in += clock::monotonic().saturating_sub(start.monotonic);
            }
        }
    }

    fn take_in(&mut self, now: Now, is_tick: bool) {
        let host = &mut self.host;
        self.link
            .receive(now, is_tick, &mut |inbound| host.receive(now, inbound));
    }

    /// Does one tick's work as of `now`. Returns how many ticks were given up.
    pub fn turn(&mut self, now: Now) -> u64 {
        self.take_in(now, true);
        let due = self.host.tick(now, &mut self.link);
        self.metrics
            .wake_lateness_seconds
            .observe(due.lateness.as_secs_f64());
        self.metrics.tick_debt_dropped.inc_by(due.dropped);
        if self.progress.ticks().is_multiple_of(METRICS_INTERVAL) {
            self.metrics.observe(&self.link.statistics());
        }
        self.progress.advance();
        due.dropped
    }
}

#[cfg(test)]
mod tests {
    use netcode::SystemRandom;

    use super::*;
    use crate::arena::game::tests::host_of_nobody;
    use crate::arena::link::{Inbound, Outbox, Peer, Statistics};

    /// A link that works for a while whenever it is asked, and knows for how long.
    struct Busy(Duration);

    impl Outbox for Busy {
        fn send(&mut self, _peer: Peer, _payload: &[u8]) {}

        fn disconnect(&mut self, _peer: Peer) {}
    }

    impl Link for Busy {
        fn receive(&mut self, now: Now, _is_tick: bool, _game: &mut dyn FnMut(Inbound<'_>)) {
            let mut worked = Duration::ZERO;
            while worked < Duration::from_micros(100) {
                worked = clock::monotonic().saturating_sub(now.monotonic);
            }
            self.0 += worked;
        }

        fn statistics(&self) -> Statistics {
            Statistics::default()
        }

        fn say_goodbye(&mut self) {}
    }

    #[test]
    fn packets_that_come_between_ticks_are_work_of_the_tick() {
        let (host, metrics) = host_of_nobody(clock::monotonic() + Duration::from_millis(500));
        let mut shell: Shell<Busy, SystemRandom> =
            Shell::new(Busy(Duration::ZERO), host, metrics, Progress::default());
        let taken_in = shell.wait();
        assert!(!shell.link.0.is_zero());
        assert!(
            taken_in >= shell.link.0,
            "{taken_in:?} of {:?}",
            shell.link.0
        );
    }
}
