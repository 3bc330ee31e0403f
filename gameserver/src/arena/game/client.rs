//! What the server keeps for one connected player or spectator besides the session.

use std::time::Duration;

use simulation::history::REWIND_LIMIT;
use simulation::inputs::InputBuffer;
use simulation::payload::Probe;
use simulation::snapshot::{Ack, Acks, ClientView, Space};
use simulation::tick::{TICK_RATE, Tick};

use crate::arena::link::Peer;
use crate::arena::sessions::SessionId;
use simulation::channels::{Channels, Side};

/// Offences after which a client is sent away; see [`Offence`]. A connection that hung for some
/// seconds and then delivers everything at once stays far below.
const MOST_OFFENCES: u32 = 600;

/// Ticks in which one offence is forgotten.
const FORGIVENESS: u32 = 6;

/// Packets besides inputs that a client may send at once, and per second.
const BURST: u32 = 60;

/// Ticks between two questions for the round trip.
const PROBE_INTERVAL: u32 = TICK_RATE;

/// Ticks that a client shows the others late, besides the round trip, and some for jitter.
const INTERPOLATION: u32 = 4;

/// Something that a client of ours does not do, or not that often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// A packet more than allowed.
    Excess,
    /// Bytes that mean nothing.
    Malformed,
}

impl Offence {
    const fn weight(self) -> u32 {
        match self {
            Self::Excess => 1,
            Self::Malformed => 20,
        }
    }
}

/// One seat that is taken.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) session: SessionId,
    /// The connection; none while it is lost.
    pub(crate) peer: Option<Peer>,
    pub(crate) name: String,
    pub(crate) decompresses: bool,
    pub(crate) inputs: InputBuffer,
    pub(crate) view: ClientView,
    /// What the client has decoded by its packets since the last snapshot, for the view to take note
    /// of when the next one is made: what it knows of the entities is fetched from memory once then.
    pub(crate) acks: Option<Acks>,
    pub(crate) channels: Channels,
    /// Whether a message was queued that does not wait for the client's turn.
    pub(crate) is_urgent: bool,
    /// The smoothed round trip.
    pub(crate) round_trip: Option<Duration>,
    /// The answer to the client's last question, to be sent with the next snapshot. It is one
    /// alone, so that no client has more of a tick than another.
    pub(crate) echo: Option<Probe>,
    /// The question that was asked last and has no answer yet.
    asked: Option<Duration>,
    offences: u32,
    allowance: u32,
    chats: u32,
}

impl Client {
    /// A client that has just come, in this seat.
    pub(crate) fn new(
        session: SessionId,
        peer: Peer,
        seat: u16,
        space: Space,
        now: Duration,
    ) -> Self {
        Self {
            session,
            peer: Some(peer),
            name: String::new(),
            decompresses: false,
            inputs: InputBuffer::default(),
            view: ClientView::new(space).in_turn(seat),
            acks: None,
            channels: Channels::new(Side::Server, now),
            is_urgent: false,
            round_trip: None,
            echo: None,
            asked: None,
            offences: 0,
            allowance: BURST,
            chats: 0,
        }
    }

    /// Another connection of the same player, who has forgotten everything.
    pub(crate) fn reconnect(&mut self, peer: Peer, now: Duration) {
        self.peer = Some(peer);
        self.decompresses = false;
        self.inputs.reset();
        self.view.reset();
        self.acks = None;
        self.channels = Channels::new(Side::Server, now);
        self.round_trip = None;
        self.echo = None;
        self.asked = None;
        self.allowance = BURST;
    }

    /// Keeps what the client has decoded until the next snapshot. After a stall many packets come at
    /// once, and what the oldest of them say is too long ago for the newest to say it again.
    pub(crate) fn acknowledge(&mut self, ack: Ack) {
        match &mut self.acks {
            Some(acks) => acks.merge(ack),
            None => self.acks = Some(ack.into()),
        }
    }

    /// Lets a tick pass for what is counted by time.
    pub(crate) fn pass(&mut self, tick: Tick) {
        self.allowance = (self.allowance + 1).min(BURST);
        if tick.0.is_multiple_of(FORGIVENESS) {
            self.offences = self.offences.saturating_sub(1);
        }
        if tick.0.is_multiple_of(TICK_RATE) {
            self.chats = self.chats.saturating_sub(1);
        }
    }

    /// Counts an offence. Returns whether it was the last straw.
    pub(crate) const fn offend(&mut self, offence: Offence) -> bool {
        self.offences = self.offences.saturating_add(offence.weight());
        self.offences >= MOST_OFFENCES
    }

    /// Whether another packet besides inputs is within what is allowed; if so it is counted.
    pub(crate) const fn allow(&mut self) -> bool {
        match self.allowance.checked_sub(1) {
            Some(rest) => {
                self.allowance = rest;
                true
            }
            None => false,
        }
    }

    /// Whether the player may say something now: a few lines at once, and one per second.
    pub(crate) const fn may_chat(&mut self) -> bool {
        let may = self.chats < 5;
        if may {
            self.chats += 1;
        }
        may
    }

    /// The question for the round trip, if it is time for one.
    pub(crate) fn probe(&mut self, tick: Tick, seat: u16, now: Duration) -> Option<Probe> {
        // Not everybody in the same tick.
        let turn = tick.0.wrapping_add(u32::from(seat));
        if !turn.is_multiple_of(PROBE_INTERVAL) {
            return None;
        }
        self.asked = Some(now);
        Some(Probe {
            answer: false,
            stamp: stamp(now),
        })
    }

    /// An answer to the last question. Returns how far shots may be rewound from now on, in ticks.
    pub(crate) fn answered(&mut self, now: Duration, probe: Probe) -> Option<u8> {
        let asked = self.asked.filter(|asked| stamp(*asked) == probe.stamp)?;
        self.asked = None;
        let sample = now.saturating_sub(asked);
        let round_trip = self
            .round_trip
            .map_or(sample, |smoothed| (smoothed * 7 + sample) / 8);
        self.round_trip = Some(round_trip);
        let half = round_trip.as_nanos() * u128::from(TICK_RATE) / 2_000_000_000;
        let ticks = u32::try_from(half)
            .unwrap_or(u32::MAX)
            .saturating_add(1 + INTERPOLATION);
        Some(u8::try_from(ticks).unwrap_or(u8::MAX).min(REWIND_LIMIT))
    }
}

fn stamp(now: Duration) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let peer = Peer {
            place: 0,
            serial: 1,
        };
        let space = Space::new(2, 0);
        Client::new(SessionId([1; 16]), peer, 0, space, Duration::ZERO)
    }

    #[test]
    fn the_rewind_is_what_the_connection_explains() {
        for (milliseconds, ticks) in [(0, 5), (50, 6), (200, 11), (1_000, REWIND_LIMIT)] {
            let mut client = client();
            let probe = client.probe(Tick(60), 0, Duration::from_secs(1)).unwrap();
            let now = Duration::from_secs(1) + Duration::from_millis(milliseconds);
            assert_eq!(
                client.answered(now, probe),
                Some(ticks),
                "{milliseconds} ms"
            );
            assert_eq!(client.answered(now, probe), None, "an answer counts once");
        }
        let forged = Probe {
            answer: true,
            stamp: 5,
        };
        assert_eq!(client().answered(Duration::from_secs(1), forged), None);
    }

    #[test]
    fn all_acknowledgments_of_a_tick_count_and_none_of_before_a_reconnection() {
        let mut client = client();
        // The last one is older than the one before, and knows of less.
        for (newest, earlier) in [(4, 1), (6, 0b1010), (6, 0)] {
            client.acknowledge(Ack {
                newest: Tick(newest),
                earlier,
            });
        }
        let ticks: Vec<_> = client.acks.unwrap().ticks().collect();
        assert_eq!(ticks, [2, 3, 4, 6].map(Tick));
        let peer = Peer {
            place: 0,
            serial: 2,
        };
        client.reconnect(peer, Duration::ZERO);
        assert_eq!(client.acks, None);
    }

    #[test]
    fn a_burst_after_a_stall_is_forgiven_and_a_flood_is_not() {
        let mut client = client();
        // Five seconds of inputs at once, four of them beyond the burst that is allowed.
        assert!(!(0..240).any(|_| client.offend(Offence::Excess)));
        for tick in 0..FORGIVENESS * 240 {
            client.pass(Tick(tick));
        }
        let flood = (1..=1_000).find(|_| client.offend(Offence::Excess));
        assert_eq!(flood, Some(MOST_OFFENCES));
        let mut other = self::client();
        let garbage = (1..=1_000).find(|_| other.offend(Offence::Malformed));
        assert_eq!(garbage, Some(30));
    }
}
