//! The client's end: its own inputs until the server has executed them.

use super::{InputPacket, MAX_REDUNDANCY};
use crate::input::Input;
use crate::snapshot::Ack;
use crate::tick::Tick;

/// The newest inputs of a client.
#[derive(Debug, Clone, Default)]
pub struct InputSender {
    newest: Tick,
    /// By tick, around a ring.
    recent: [(Tick, Input); MAX_REDUNDANCY],
}

impl InputSender {
    /// Adds the input of a new tick.
    pub fn record(&mut self, tick: Tick, input: Input) {
        self.newest = tick;
        self.recent[tick.0 as usize % MAX_REDUNDANCY] = (tick, input);
    }

    /// The packet for the newest tick: with all inputs that the server has not executed as far as
    /// this client knows, at most `limit`, and always with the newest.
    pub fn packet(&self, ack: Option<Ack>, executed: Option<Tick>, limit: usize) -> InputPacket {
        let mut packet = InputPacket::new(self.newest, ack);
        let limit = limit.clamp(1, MAX_REDUNDANCY);
        for age in (0..).take(limit) {
            let tick = self.newest.before(age);
            let (recorded, input) = self.recent[tick.0 as usize % MAX_REDUNDANCY];
            let is_news = age == 0 || executed.is_none_or(|executed| tick > executed);
            // After a leap of the clock there is a gap, which a packet cannot have.
            if recorded != tick || !is_news || !packet.push_older(input) {
                break;
            }
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(packet: &InputPacket) -> Vec<u32> {
        packet.inputs().map(|(tick, _)| tick.0).collect()
    }

    #[test]
    fn only_what_was_not_executed_is_sent_again() {
        let mut sender = InputSender::default();
        for tick in 1..=20 {
            sender.record(Tick(tick), Input::default());
        }
        assert_eq!(
            ticks(&sender.packet(None, Some(Tick(17)), 10)),
            [20, 19, 18]
        );
        assert_eq!(ticks(&sender.packet(None, Some(Tick(30)), 10)), [20]);
        assert_eq!(ticks(&sender.packet(None, None, 99)).len(), MAX_REDUNDANCY);
        assert_eq!(ticks(&sender.packet(None, None, 4)).len(), 4);
    }

    #[test]
    fn a_leap_of_the_clock_ends_the_packet() {
        let mut sender = InputSender::default();
        for tick in [1, 2, 3, 9, 10] {
            sender.record(Tick(tick), Input::default());
        }
        assert_eq!(ticks(&sender.packet(None, None, 10)), [10, 9]);
    }

    #[test]
    fn the_first_ticks_have_nothing_before_them() {
        let mut sender = InputSender::default();
        sender.record(Tick(1), Input::default());
        assert_eq!(ticks(&sender.packet(None, None, 10)), [1]);
    }
}
