//! A simulated link: one direction of a bad network, from a seed.
//!
//! Kernels do not always have `tc netem`, so bots carry their own: packets go in with the time,
//! and come out when they are due, if they do. The same seed and the same packets give the same
//! fate. Memory is bounded by [`QUEUE_BYTES`]; what finds it full is lost, as at a router.
//!
//! Loss follows the model of Gilbert and Elliott: a link is good or bad, changes between the two
//! with each packet, and loses packets at the rate of its state, so that losses come in bursts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use simulation::seeded::Random;

/// Bytes that a link holds back at most: two seconds at 1 Mbit/s.
pub const QUEUE_BYTES: usize = 256 * 1024;

/// How much of the last packet's deviation the next one keeps: delays of neighbors are alike.
const CORRELATION: f64 = 0.5;

/// What a link does to packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConfig {
    /// The least delay.
    pub delay: Duration,
    /// The standard deviation of the delay about `delay` plus three deviations, so that none is
    /// below `delay`; correlated from packet to packet.
    pub jitter: Duration,
    /// How packets are lost.
    pub loss: Loss,
    /// The chance that a packet comes twice.
    pub duplicated: f64,
    /// The chance that a packet passes those before it: it has no delay but half the least one.
    pub reordered: f64,
    /// Bits per second that pass, headers not counted; 0 for no limit.
    pub rate: u64,
    /// Packets above this many bytes are lost.
    pub mtu: usize,
    /// Delays that come and go.
    pub spikes: Option<Spikes>,
}

impl LinkConfig {
    /// A link without faults.
    pub const CLEAN: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Loss::NONE,
        duplicated: 0.0,
        reordered: 0.0,
        rate: 0,
        mtu: 1500,
        spikes: None,
    };
}

/// Loss in bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// The chance that a packet is lost while the link is good.
    pub good: f64,
    /// The chance that a packet is lost while the link is bad.
    pub bad: f64,
    /// The chance, with each packet, that a good link becomes bad.
    pub to_bad: f64,
    /// The chance, with each packet, that a bad link becomes good.
    pub to_good: f64,
}

impl Loss {
    /// No loss.
    pub const NONE: Self = Self::even(0.0);

    /// Each packet is lost with the same chance.
    pub const fn even(chance: f64) -> Self {
        Self {
            good: chance,
            bad: chance,
            to_bad: 0.0,
            to_good: 0.0,
        }
    }

    /// Bursts of `length` packets on average, `share` of all packets in the long run.
    pub const fn bursts(share: f64, length: f64) -> Self {
        let to_good = 1.0 / length;
        Self {
            good: 0.0,
            bad: 1.0,
            to_bad: to_good * share / (1.0 - share),
            to_good,
        }
    }
}

/// A delay on top that comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spikes {
    /// From the start of one to the start of the next.
    pub every: Duration,
    /// How long one lasts.
    pub length: Duration,
    /// The delay on top.
    pub delay: Duration,
}

/// What became of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Packets that went in.
    pub sent: u64,
    /// Packets lost by chance or size.
    pub lost: u64,
    /// Packets that found the queue full.
    pub overflowed: u64,
    /// Packets lost in a blackout.
    pub blacked_out: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that passed others.
    pub reordered: u64,
}

/// One direction of a link.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    random: Random,
    is_bad: bool,
    /// The last packet's deviation, in standard deviations.
    deviation: f64,
    /// When the line is free again.
    free_at: Duration,
    held: usize,
    queue: BinaryHeap<Reverse<Packet>>,
    number: u64,
    counters: LinkCounters,
}

/// A packet on its way, in the order of its time, then of its number.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Duration,
    number: u64,
    bytes: Vec<u8>,
}

impl Link {
    /// A link whose chances come from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            random: Random::new(seed),
            is_bad: false,
            deviation: 0.0,
            free_at: Duration::ZERO,
            held: 0,
            queue: BinaryHeap::new(),
            number: 0,
            counters: LinkCounters::default(),
        }
    }

    /// Puts a packet in at the time `now`. In a blackout it is lost.
    pub fn send(&mut self, now: Duration, bytes: &[u8], blackout: bool) {
        self.counters.sent += 1;
        let is_lost = self.chance_of_loss();
        if blackout {
            self.counters.blacked_out += 1;
        } else if is_lost || bytes.len() > self.config.mtu {
            self.counters.lost += 1;
        } else {
            self.pass(now, bytes);
            if self.happens(self.config.duplicated) {
                self.counters.duplicated += 1;
                self.pass(now, bytes);
            }
        }
    }

    /// Hands out a packet that is due at the time `now`, the earliest first.
    pub fn receive(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.queue.peek()?.0.due > now {
            return None;
        }
        let packet = self.queue.pop()?.0;
        self.held -= packet.bytes.len();
        Some(packet.bytes)
    }

    /// Loses what is on its way.
    pub fn clear(&mut self) {
        self.counters.lost += self.queue.len() as u64;
        self.queue.clear();
        self.held = 0;
    }

    /// When the next packet is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.queue.peek().map(|packet| packet.0.due)
    }

    /// What became of packets so far.
    pub const fn counters(&self) -> LinkCounters {
        self.counters
    }

    fn pass(&mut self, now: Duration, bytes: &[u8]) {
        if self.held + bytes.len() > QUEUE_BYTES {
            self.counters.overflowed += 1;
            return;
        }
        let sent = self.leave_line(now, bytes.len());
        let due = if self.happens(self.config.reordered) {
            self.counters.reordered += 1;
            sent + self.config.delay / 2
        } else {
            sent + self.config.delay + self.jitter() + self.spike(sent)
        };
        self.number += 1;
        self.held += bytes.len();
        self.queue.push(Reverse(Packet {
            due,
            number: self.number,
            bytes: bytes.to_vec(),
        }));
    }

    /// When the last bit of a packet is on the line.
    fn leave_line(&mut self, now: Duration, bytes: usize) -> Duration {
        let bits = bytes as u64 * 8 * 1_000_000_000;
        let Some(nanoseconds) = bits.checked_div(self.config.rate) else {
            return now;
        };
        self.free_at = self.free_at.max(now) + Duration::from_nanos(nanoseconds);
        self.free_at
    }

    fn jitter(&mut self) -> Duration {
        if self.config.jitter.is_zero() {
            return Duration::ZERO;
        }
        let fresh = self.normal();
        // Keeps the variance at one.
        self.deviation = CORRELATION.mul_add(
            self.deviation,
            (1.0 - CORRELATION * CORRELATION).sqrt() * fresh,
        );
        self.config
            .jitter
            .mul_f64((self.deviation + 3.0).clamp(0.0, 6.0))
    }

    fn spike(&self, now: Duration) -> Duration {
        let Some(spikes) = self.config.spikes else {
            return Duration::ZERO;
        };
        let phase = now.as_nanos() % spikes.every.as_nanos().max(1);
        if phase < spikes.length.as_nanos() {
            spikes.delay
        } else {
            Duration::ZERO
        }
    }

    fn chance_of_loss(&mut self) -> bool {
        let loss = self.config.loss;
        let turns = if self.is_bad {
            loss.to_good
        } else {
            loss.to_bad
        };
        if self.happens(turns) {
            self.is_bad = !self.is_bad;
        }
        self.happens(if self.is_bad { loss.bad } else { loss.good })
    }

    fn happens(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.unit() < chance
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn unit(&mut self) -> f64 {
        (self.random.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A standard normal deviate, near enough: twelve even ones, by the central limit theorem.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests;
