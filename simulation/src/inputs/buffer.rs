//! The server's end: inputs wait here for their tick.

use super::InputPacket;
use crate::input::{Buttons, Input};
use crate::tick::Tick;

/// Inputs for this many ticks ahead, or more, are dropped.
pub const MAX_LEAD: u32 = 32;

const SLOTS: u32 = 64;
/// Ticks without an input in which the last one is repeated.
const REPEATS: u32 = 3;
/// Packets that a client may send per tick, in twentieths: 1.05.
const ALLOWANCE: u32 = 21;
const PACKET: u32 = 20;
/// Packets that may come at once, after a second of silence.
const BURST: u32 = 60 * PACKET;

/// When a packet has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The tick that is executed next.
    pub next: Tick,
    /// Quarters of a tick until then, at most 4.
    pub quarters: u8,
}

/// What has gone wrong for one client so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputCounters {
    /// Inputs that were executed.
    pub executed: u64,
    /// Ticks for which the last input was repeated.
    pub repeated: u64,
    /// Ticks in which the player did nothing, as no input came for long.
    pub neutral: u64,
    /// Inputs that came after their tick.
    pub late: u64,
    /// Inputs for ticks too far ahead.
    pub early: u64,
    /// Packets above the allowed rate.
    pub excess: u64,
}

/// The inputs of one client that wait for their tick.
///
/// One input is executed per tick, whatever was sent, so nobody gains by sending more. Packets
/// beyond 1.05 per tick, after a burst of 60, are not even looked into.
#[derive(Debug, Clone)]
pub struct InputBuffer {
    /// By tick, around a ring. Tick 0 is an empty slot.
    slots: [(Tick, Input); SLOTS as usize],
    /// The newest tick for which an input has come, even if it was dropped.
    newest: Tick,
    executed: Option<Tick>,
    last: Input,
    /// Ticks since `last` was executed.
    missing: u32,
    /// The smallest margin since it was last asked for.
    margin: Option<i64>,
    /// In twentieths of a packet.
    allowance: u32,
    counters: InputCounters,
}

impl Default for InputBuffer {
    fn default() -> Self {
        Self {
            slots: [(Tick(0), Input::default()); SLOTS as usize],
            newest: Tick(0),
            executed: None,
            last: Input::default(),
            missing: REPEATS,
            margin: None,
            allowance: BURST,
            counters: InputCounters::default(),
        }
    }
}

impl InputBuffer {
    /// Takes in a packet. Returns whether it was within the allowed rate; if not, its
    /// acknowledgment should be ignored as well.
    pub fn receive(&mut self, packet: &InputPacket, arrival: Arrival) -> bool {
        if self.allowance < PACKET {
            self.counters.excess += 1;
            return false;
        }
        self.allowance -= PACKET;
        for (tick, input) in packet.inputs() {
            let ahead = tick.since(arrival.next);
            if ahead >= i64::from(MAX_LEAD) {
                self.counters.early += 1;
                continue;
            }
            let slot = &mut self.slots[(tick.0 % SLOTS) as usize];
            // It is there already, or so old that its slot has a newer one.
            if slot.0 >= tick {
                continue;
            }
            if ahead < 0 {
                self.counters.late += 1;
                // A late input stays, so that its copies in other packets are not counted again;
                // its tick is over, so it is never executed.
            }
            *slot = (tick, *input);
        }
        if packet.inputs().next().is_some() {
            self.newest = self.newest.max(packet.newest);
            let margin = packet.newest.since(arrival.next) * 4 + i64::from(arrival.quarters);
            self.margin = Some(self.margin.map_or(margin, |least| least.min(margin)));
        }
        true
    }

    /// The input to execute in a tick. If it has not come, the last one is repeated for three
    /// ticks; after that the player stands still and looks where it looked.
    pub fn take(&mut self, tick: Tick) -> Input {
        self.allowance = (self.allowance + ALLOWANCE).min(BURST);
        let (recorded, input) = self.slots[(tick.0 % SLOTS) as usize];
        if recorded == tick {
            self.counters.executed += 1;
            self.executed = Some(tick);
            self.last = input;
            self.missing = 0;
            return input;
        }
        self.missing = self.missing.saturating_add(1);
        let view = self.last.view.after(self.missing);
        if self.missing <= REPEATS {
            self.counters.repeated += 1;
            return Input { view, ..self.last };
        }
        self.counters.neutral += 1;
        Input {
            east: 0,
            north: 0,
            buttons: Buttons::default(),
            view,
            ..self.last
        }
    }

    /// The newest tick whose own input was executed, for the header of snapshots.
    pub const fn executed(&self) -> Option<Tick> {
        self.executed
    }

    /// How early the inputs came since this was last asked, in quarters of a tick, and negative if
    /// too late: the least of them. If none came, how long those that are there will
    /// last; 0 before the first.
    pub fn take_margin(&mut self, next: Tick) -> i8 {
        if self.newest == Tick(0) {
            return 0;
        }
        let margin = self.margin.take();
        let margin = margin.unwrap_or_else(|| self.newest.since(next) * 4);
        let margin = margin.clamp(i8::MIN.into(), i8::MAX.into());
        #[expect(clippy::cast_possible_truncation, reason = "clamped before")]
        let margin = margin as i8;
        margin
    }

    /// What has gone wrong so far.
    pub const fn counters(&self) -> InputCounters {
        self.counters
    }

    /// Forgets all inputs, but not the counters: for a player who has reconnected.
    pub fn reset(&mut self) {
        *self = Self {
            counters: self.counters,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(east: i8) -> Input {
        Input {
            east,
            buttons: Buttons::FIRE,
            aim: 9,
            ..Input::default()
        }
    }

    fn packet(newest: u32, inputs: &[i8]) -> InputPacket {
        let mut packet = InputPacket::new(Tick(newest), None);
        for east in inputs {
            assert!(packet.push_older(input(*east)));
        }
        packet
    }

    const fn before(next: u32) -> Arrival {
        Arrival {
            next: Tick(next),
            quarters: 2,
        }
    }

    #[test]
    fn inputs_wait_for_their_tick() {
        let mut buffer = InputBuffer::default();
        buffer.receive(&packet(103, &[3, 2, 1]), before(100));
        assert_eq!(buffer.take(Tick(100)).east, 0);
        for (tick, east) in [(101, 1), (102, 2), (103, 3)] {
            assert_eq!(buffer.take(Tick(tick)).east, east);
        }
        assert_eq!(buffer.executed(), Some(Tick(103)));
    }

    #[test]
    fn a_lost_packet_costs_nothing_if_the_next_one_comes_in_time() {
        let mut buffer = InputBuffer::default();
        buffer.receive(&packet(100, &[1]), before(99));
        buffer.take(Tick(99));
        // The packet of tick 101 was lost.
        buffer.receive(&packet(102, &[3, 2, 1]), before(100));
        assert_eq!(buffer.take(Tick(100)), input(1));
        assert_eq!(buffer.take(Tick(101)), input(2));
        assert_eq!(buffer.counters().repeated, 0);
    }

    #[test]
    fn a_missing_input_is_repeated_thrice_and_then_nothing_is_done() {
        let mut buffer = InputBuffer::default();
        buffer.receive(&packet(100, &[5]), before(100));
        for tick in 100..=103 {
            let taken = buffer.take(Tick(tick));
            assert_eq!((taken.east, taken.buttons), (5, Buttons::FIRE));
            assert_eq!(taken.view, Tick(tick - 100));
        }
        let neutral = buffer.take(Tick(104));
        assert_eq!((neutral.east, neutral.aim), (0, 9));
        assert_eq!(neutral.buttons, Buttons::default());
        assert_eq!(
            (buffer.counters().repeated, buffer.counters().neutral),
            (3, 1)
        );
        assert_eq!(buffer.executed(), Some(Tick(100)));
    }

    #[test]
    fn late_and_early_inputs_are_dropped_and_counted_once() {
        let mut buffer = InputBuffer::default();
        buffer.receive(&packet(102, &[3, 2, 1]), before(102));
        buffer.receive(&packet(103, &[4, 3, 2, 1]), before(103));
        assert_eq!(buffer.counters().late, 2);
        buffer.receive(&packet(103 + MAX_LEAD, &[9]), before(103));
        assert_eq!(buffer.counters().early, 1);
        assert_eq!(buffer.take(Tick(103)).east, 4);
    }

    #[test]
    fn the_margin_is_the_least_and_falls_when_nothing_comes() {
        let mut buffer = InputBuffer::default();
        buffer.receive(&packet(103, &[1]), before(100));
        buffer.receive(&packet(104, &[1]), before(103));
        assert_eq!(buffer.take_margin(Tick(103)), 4 + 2);
        assert_eq!(buffer.take_margin(Tick(104)), 0);
        assert_eq!(buffer.take_margin(Tick(105)), -4);
        assert_eq!(buffer.take_margin(Tick(5000)), i8::MIN);
    }

    #[test]
    fn packets_beyond_the_rate_are_ignored() {
        let mut buffer = InputBuffer::default();
        let mut taken = 0;
        for tick in 100..700 {
            for _ in 0..10 {
                taken += u32::from(buffer.receive(&packet(tick, &[1]), before(tick)));
            }
            buffer.take(Tick(tick));
        }
        assert!((60 + 628..=60 + 630).contains(&taken), "{taken}");
        assert_eq!(buffer.counters().excess, 6000 - u64::from(taken));
        assert_eq!(buffer.counters().executed, 600);
    }

    #[test]
    fn a_reset_forgets_the_inputs() {
        let mut buffer = InputBuffer::default();
        buffer.receive(&packet(100, &[5]), before(100));
        buffer.reset();
        assert_eq!(buffer.take(Tick(100)).east, 0);
    }
}
