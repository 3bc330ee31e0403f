//! What happened in a tick, told in snapshots and repeated until it is acknowledged.
//!
//! Each client has its own numbers for its events, without gaps, and a snapshot carries the oldest
//! ones that the client has not acknowledged. So every event arrives once and in order, whatever
//! is lost, as long as the client acknowledges anything within a second. After that it is no
//! longer news, and is dropped.

use std::collections::VecDeque;

use glam::Vec3;

use crate::bits::{BitReader, BitWriter, Error, Fragment};
use crate::entity::PlayerSlot;
use crate::frame::{HEIGHT_BITS, ground, height, quantize_ground, quantize_height};
use crate::tick::Tick;

/// Most events in one snapshot.
pub const MAX_EVENTS: usize = 31;

/// Events that wait for one client; the oldest give way.
const QUEUE: usize = 128;

/// Ticks after which an event is no longer news. Below 64, as its tick is sent with 6 bits.
const NEWS: u32 = 60;

const TICK_BITS: u32 = 6;
const KIND_BITS: u32 = 2;
/// Enough for all slots below [`crate::entity::MAX_PLAYERS`].
const SLOT_BITS: u32 = 10;

/// Something that others should see or hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireEvent {
    /// A shot, from where the shooter was at the tick.
    Shot {
        /// Who fired.
        by: PlayerSlot,
        /// Where it ended.
        end: Place,
    },
    /// A shot that hit a player.
    Hit {
        /// Who fired.
        by: PlayerSlot,
        /// Who was hit.
        target: PlayerSlot,
        /// The hit points that are left.
        health: u8,
    },
    /// A player went down.
    Down {
        /// Whose shot it was.
        by: PlayerSlot,
        /// Who went down.
        target: PlayerSlot,
    },
    /// A player started, or started again.
    Spawned {
        /// Who.
        slot: PlayerSlot,
    },
}

/// A quantized place, as in [`crate::frame::EntityState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// East.
    pub x: u16,
    /// Height.
    pub y: u16,
    /// North.
    pub z: u16,
}

impl Place {
    /// The nearest to a point in meters.
    pub fn quantize(point: Vec3) -> Self {
        Self {
            x: quantize_ground(point.x),
            y: quantize_height(point.y),
            z: quantize_ground(point.z),
        }
    }

    /// The point in meters.
    pub fn position(self) -> Vec3 {
        Vec3::new(ground(self.x), height(self.y), ground(self.z))
    }
}

impl WireEvent {
    /// What goes over the wire of an event of the arena. A change of the phase does not: it is in
    /// every header, and told by a reliable message.
    #[cfg(feature = "world")]
    pub fn from_arena(event: &crate::arena::Event) -> Option<Self> {
        use crate::arena::Event;
        match *event {
            Event::Shot { by, to, .. } => Some(Self::Shot {
                by,
                end: Place::quantize(to),
            }),
            Event::Hit { by, target, health } => Some(Self::Hit { by, target, health }),
            Event::Down { slot, by } => Some(Self::Down { by, target: slot }),
            Event::Spawned { slot } => Some(Self::Spawned { slot }),
            Event::Phase(_) => None,
        }
    }

    /// Who did it, and to whom, for the choice of who shall hear of it.
    pub const fn parties(&self) -> (PlayerSlot, PlayerSlot) {
        match *self {
            Self::Shot { by, .. } => (by, by),
            Self::Hit { by, target, .. } | Self::Down { by, target } => (by, target),
            Self::Spawned { slot } => (slot, slot),
        }
    }
}

/// An event that was encoded, for any number of clients.
#[derive(Debug, Clone, Copy)]
pub struct EncodedEvent {
    tick: Tick,
    fragment: Fragment,
}

impl EncodedEvent {
    /// Encodes an event of a tick.
    pub fn new(tick: Tick, event: &WireEvent) -> Self {
        let mut fragment = Fragment::default();
        fragment.push(tick.0.into(), TICK_BITS);
        match *event {
            WireEvent::Shot { by, end } => {
                fragment.push(0, KIND_BITS);
                fragment.push(by.0.into(), SLOT_BITS);
                fragment.push(end.x.into(), 16);
                fragment.push(end.y.into(), HEIGHT_BITS);
                fragment.push(end.z.into(), 16);
            }
            WireEvent::Hit { by, target, health } => {
                fragment.push(1, KIND_BITS);
                fragment.push(by.0.into(), SLOT_BITS);
                fragment.push(target.0.into(), SLOT_BITS);
                fragment.push(health.into(), 8);
            }
            WireEvent::Down { by, target } => {
                fragment.push(2, KIND_BITS);
                fragment.push(by.0.into(), SLOT_BITS);
                fragment.push(target.0.into(), SLOT_BITS);
            }
            WireEvent::Spawned { slot } => {
                fragment.push(3, KIND_BITS);
                fragment.push(slot.0.into(), SLOT_BITS);
            }
        }
        Self { tick, fragment }
    }
}

/// Reads an event from a snapshot of the given tick.
fn read_event(reader: &mut BitReader<'_>, snapshot: Tick) -> Result<(Tick, WireEvent), Error> {
    let low = reader.read_u32(TICK_BITS)?;
    let age = snapshot.0.wrapping_sub(low) % (1 << TICK_BITS);
    let kind = reader.read_u8(KIND_BITS)?;
    let by = PlayerSlot(reader.read_u16(SLOT_BITS)?);
    let event = match kind {
        0 => WireEvent::Shot {
            by,
            end: Place {
                x: reader.read_u16(16)?,
                y: reader.read_u16(HEIGHT_BITS)?,
                z: reader.read_u16(16)?,
            },
        },
        1 => WireEvent::Hit {
            by,
            target: PlayerSlot(reader.read_u16(SLOT_BITS)?),
            health: reader.read_u8(8)?,
        },
        2 => WireEvent::Down {
            by,
            target: PlayerSlot(reader.read_u16(SLOT_BITS)?),
        },
        _ => WireEvent::Spawned { slot: by },
    };
    Ok((snapshot.before(age), event))
}

/// The events that wait for one client.
#[derive(Debug)]
pub(super) struct EventQueue {
    waiting: VecDeque<EncodedEvent>,
    /// The number of the first one that waits.
    first: u16,
}

impl EventQueue {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::with_capacity(QUEUE),
            first: 0,
        }
    }

    /// The number of the oldest event that waits, or will.
    pub(super) const fn first(&self) -> u16 {
        self.first
    }

    pub(super) fn push(&mut self, event: EncodedEvent) {
        if self.waiting.len() == QUEUE {
            self.drop_first();
        }
        self.waiting.push_back(event);
    }

    /// Takes note that the client has all events before this number.
    pub(super) fn acknowledge(&mut self, end: u16) {
        let count = usize::from(end.wrapping_sub(self.first));
        // More than there are means that the acknowledgment is older than this queue.
        if count <= self.waiting.len() {
            self.waiting.drain(..count);
            self.first = end;
        }
    }

    /// Writes the oldest events, as many as fit into about `budget` bits. Returns the number of
    /// the first that was not written.
    pub(super) fn write(
        &mut self,
        writer: &mut BitWriter<'_>,
        now: Tick,
        budget: usize,
    ) -> Result<u16, Error> {
        while self
            .waiting
            .front()
            .is_some_and(|event| now.since(event.tick) >= i64::from(NEWS))
        {
            self.drop_first();
        }
        let mut bits = 0;
        let fitting = self
            .waiting
            .iter()
            // One that is about to happen is not of this tick, and waits.
            .take_while(|event| {
                bits += event.fragment.count() as usize;
                event.tick <= now && bits <= budget
            })
            .take(MAX_EVENTS)
            .count();
        writer.flag(fitting > 0)?;
        let mut end = self.first;
        if fitting > 0 {
            writer.write(self.first.into(), 16)?;
            writer.write(fitting as u64, 5)?;
            for event in self.waiting.iter().take(fitting) {
                writer.append(&event.fragment)?;
                end = end.wrapping_add(1);
            }
        }
        Ok(end)
    }

    fn drop_first(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.first = self.first.wrapping_add(1);
        }
    }
}

/// The order of events at a client.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct EventOrder {
    next: u16,
}

impl EventOrder {
    /// Reads the events of a snapshot and appends those that are new. Returns the order after
    /// them, to be kept if the rest of the snapshot is good.
    pub(super) fn read(
        mut self,
        reader: &mut BitReader<'_>,
        snapshot: Tick,
        events: &mut Vec<(Tick, WireEvent)>,
    ) -> Result<Self, Error> {
        if !reader.flag()? {
            return Ok(self);
        }
        let first = reader.read_u16(16)?;
        for place in 0..reader.read_u16(5)? {
            let event = read_event(reader, snapshot)?;
            let number = first.wrapping_add(place);
            // Ahead by less than half of the circle: events in between were dropped as old news.
            if number.wrapping_sub(self.next) < 1 << 15 {
                events.push(event);
                self.next = number.wrapping_add(1);
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn event()(
            kind in 0..4, by in 0_u16..1024, target in 0_u16..1024, x: u16, y in 0_u16..1024,
            z: u16, health: u8,
        ) -> WireEvent {
            let (by, target) = (PlayerSlot(by), PlayerSlot(target));
            match kind {
                0 => WireEvent::Shot { by, end: Place { x, y, z } },
                1 => WireEvent::Hit { by, target, health },
                2 => WireEvent::Down { by, target },
                _ => WireEvent::Spawned { slot: by },
            }
        }
    }

    proptest! {
        #[test]
        fn every_event_arrives_once_and_in_order(
            script in prop::collection::vec((prop::collection::vec(event(), 0..4), any::<bool>(), any::<bool>()), 1..80),
        ) {
            let mut queue = EventQueue::new();
            let mut order = EventOrder::default();
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (index, (events, arrives, acknowledged)) in script.into_iter().enumerate() {
                let now = Tick(u32::try_from(index).unwrap() + 1);
                for event in events {
                    queue.push(EncodedEvent::new(now, &event));
                    sent.push((now, event));
                }
                let mut buffer = [0; 400];
                let mut writer = BitWriter::new(&mut buffer);
                let end = queue.write(&mut writer, now, 2000).unwrap();
                if arrives || index % 8 == 0 {
                    let used = writer.finish();
                    let mut reader = BitReader::new(&buffer[..used]);
                    order = order.read(&mut reader, now, &mut received).unwrap();
                    if acknowledged || index % 8 == 0 {
                        queue.acknowledge(end);
                    }
                }
            }
            prop_assert!(received.len() + 8 * 4 + 100 >= sent.len());
            prop_assert_eq!(&received[..], &sent[..received.len()]);
        }
    }

    #[test]
    fn old_news_are_dropped_and_the_next_events_still_arrive() {
        let mut queue = EventQueue::new();
        let down = |id| WireEvent::Down {
            by: PlayerSlot(id),
            target: PlayerSlot(id),
        };
        queue.push(EncodedEvent::new(Tick(10), &down(1)));
        queue.push(EncodedEvent::new(Tick(69), &down(2)));
        let mut buffer = [0; 64];
        let mut writer = BitWriter::new(&mut buffer);
        queue.write(&mut writer, Tick(70), 400).unwrap();
        writer.finish();
        let mut received = Vec::new();
        EventOrder::default()
            .read(&mut BitReader::new(&buffer), Tick(70), &mut received)
            .unwrap();
        assert_eq!(received, [(Tick(69), down(2))]);
    }
}
