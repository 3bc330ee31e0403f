//! What the server knows of what one client knows.

use super::event::{EncodedEvent, EventQueue};
use super::frames::Space;
use super::indexes::Indexes;
use super::{Ack, Acks, HASH_INTERVAL, MAX_ENTITIES, MAX_FORGOTTEN, OLDEST_BASELINE, REMEMBERED};
use crate::codec::SPANS;
use crate::entity::EntityId;
use crate::interest::LOSS_PRIORITY;
use crate::tick::Tick;

/// A snapshot that is not acknowledged this many ticks after a later one was is taken for lost.
const LOSS_AFTER: u32 = 3;

/// What is asked of [`Known::earlier`] must fit into it.
const _: () = assert!(SPANS[SPANS.len() - 1] < u16::BITS);

/// What a client knows of one entity.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Newest acknowledged snapshot with it; 0 for none.
    pub(super) acknowledged: Tick,
    /// Which snapshots before that had it and were acknowledged: bit n is n ticks earlier.
    earlier: u16,
    /// Newest snapshot with it; 0 for none.
    sent: Tick,
    /// Whether a later snapshot made the client forget it.
    dropped: bool,
    /// Grows until it is sent.
    pub(super) priority: f32,
    /// Whether a snapshot with it was lost, and no later one was acknowledged.
    pub(super) overdue: bool,
}

impl Known {
    /// Takes note of an acknowledged snapshot with it.
    fn acknowledge(&mut self, tick: Tick) {
        if let Some(behind) = self.acknowledged.0.checked_sub(tick.0) {
            self.earlier |= 1_u16.checked_shl(behind).unwrap_or(0);
        } else {
            let ahead = tick.0 - self.acknowledged.0;
            self.earlier = self.earlier.checked_shl(ahead).unwrap_or(0) | 1;
            self.acknowledged = tick;
        }
    }

    /// The tick of the state that the client surely has and shows: it has acknowledged it, and was
    /// not sent anything later.
    pub(super) fn sure(&self) -> Option<Tick> {
        let known = self.sent != Tick(0) && self.acknowledged == self.sent;
        (known && !self.dropped).then_some(self.sent)
    }

    /// Whether the client has the state as it is, and has not been sent another one.
    pub(super) fn is_current(&self, changed: Tick) -> bool {
        self.sure().is_some_and(|sent| sent >= changed)
    }

    /// The age of the baseline and the number of the span of the prediction: all that the client
    /// is known to have.
    pub(super) fn baseline(&self, now: Tick) -> Option<(u32, usize)> {
        let age = u32::try_from(now.since(self.acknowledged)).ok()?;
        if self.acknowledged == Tick(0) || age > OLDEST_BASELINE {
            return None;
        }
        let span = (1..SPANS.len())
            .rev()
            .find(|number| self.earlier >> SPANS[*number] & 1 == 1)
            .unwrap_or(0);
        Some((age, span))
    }
}

/// A snapshot that was sent.
#[derive(Debug)]
struct Sent {
    tick: Tick,
    settled: bool,
    /// The indexes of its entities.
    entities: Vec<u16>,
    /// The indexes of the entities that it made the client forget.
    forgotten: Vec<u16>,
    /// The number after that of its last event.
    events_end: u16,
}

/// What the server knows of what one client knows: one per connected client and match.
///
/// All memory is allocated at the start: about 35 kB and 16 bytes per entity of the match.
#[derive(Debug)]
pub struct ClientView {
    space: Space,
    pub(super) known: Vec<Known>,
    /// All that the client may know.
    pub(super) listed: Indexes,
    sent: Vec<Sent>,
    newest_sent: Tick,
    acknowledged: Option<Ack>,
    pub(super) events: EventQueue,
    /// When the last keyframe was sent; 0 for never.
    pub(super) keyframe: Tick,
    /// Snapshots since the last with a hash, as if a keyframe had come `turn` of them later.
    unhashed: u32,
    /// Below [`HASH_INTERVAL`].
    turn: u32,
    lost: u64,
}

impl ClientView {
    /// The view of a client that knows nothing.
    pub fn new(space: Space) -> Self {
        let sent = || Sent {
            tick: Tick(0),
            settled: true,
            entities: Vec::with_capacity(MAX_ENTITIES),
            forgotten: Vec::with_capacity(MAX_FORGOTTEN),
            events_end: 0,
        };
        Self {
            space,
            known: vec![Known::default(); space.len()],
            listed: Indexes::new(space.len()),
            sent: (0..REMEMBERED).map(|_| sent()).collect(),
            newest_sent: Tick(0),
            acknowledged: None,
            events: EventQueue::new(),
            keyframe: Tick(0),
            unhashed: 0,
            turn: 0,
            lost: 0,
        }
    }

    /// Has the hashes come at another time than those of views with other numbers: clients that
    /// entered together would all have them in the same tick, and make it the slowest.
    #[must_use]
    pub const fn in_turn(mut self, number: u16) -> Self {
        self.turn = number as u32 % HASH_INTERVAL;
        self
    }

    /// Takes note of what the client has decoded. Ticks that were never sent are ignored: a client
    /// that lies spoils its own picture alone.
    pub fn acknowledge(&mut self, acks: impl Into<Acks>) {
        let acks = acks.into();
        if acks.newest() > self.newest_sent || acks.newest() == Tick(0) {
            return;
        }
        let before = self.acknowledged;
        let mut acknowledged = before.unwrap_or_else(|| Ack {
            newest: acks.newest(),
            earlier: 0,
        });
        for tick in acks.ticks() {
            let known = before.is_some_and(|before| before.contains(tick));
            if !known {
                self.settle(tick);
                acknowledged.insert(tick);
            }
        }
        self.acknowledged = Some(acknowledged);
        let newest = acknowledged.newest.before(LOSS_AFTER);
        let from = before.map_or(newest, |before| before.newest.before(LOSS_AFTER));
        for tick in from.0.max(newest.0.saturating_sub(REMEMBERED))..newest.0 {
            self.take_for_lost(Tick(tick + 1));
        }
    }

    /// The newest snapshot that the client has acknowledged.
    pub fn newest_acknowledged(&self) -> Option<Tick> {
        self.acknowledged.map(|ack| ack.newest)
    }

    /// Whether a snapshot that the client has acknowledged is still good as a baseline.
    pub fn has_baseline(&self, now: Tick) -> bool {
        self.newest_acknowledged()
            .is_some_and(|newest| now.since(newest) <= i64::from(OLDEST_BASELINE))
    }

    /// Whether the client may know an entity, and should hear of what it does.
    pub fn knows(&self, id: EntityId) -> bool {
        self.space
            .index(id)
            .is_some_and(|index| self.listed.contains(index))
    }

    /// Adds an event for this client. It is repeated until it is acknowledged.
    pub fn push_event(&mut self, event: EncodedEvent) {
        self.events.push(event);
    }

    /// Snapshots that were taken for lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Forgets everything: for a client that has reconnected, and has forgotten everything too.
    pub fn reset(&mut self) {
        self.known.fill(Known::default());
        self.listed.clear();
        for sent in &mut self.sent {
            sent.tick = Tick(0);
            sent.settled = true;
        }
        self.newest_sent = Tick(0);
        self.acknowledged = None;
        self.events = EventQueue::new();
        self.keyframe = Tick(0);
        self.unhashed = 0;
    }

    /// Whether the next snapshot shall have a hash.
    pub(super) const fn is_hash_due(&self) -> bool {
        self.unhashed + 1 >= HASH_INTERVAL
    }

    /// Starts the record of a snapshot, with a hash or without.
    pub(super) fn begin(&mut self, tick: Tick, has_hash: bool) {
        self.unhashed = if has_hash { 0 } else { self.unhashed + 1 };
        let sent = &mut self.sent[(tick.0 % REMEMBERED) as usize];
        sent.tick = tick;
        sent.settled = false;
        sent.entities.clear();
        sent.forgotten.clear();
        // Nothing before this number is waiting, so acknowledging it changes nothing.
        sent.events_end = self.events.first();
        self.newest_sent = tick;
    }

    /// Starts the record of a keyframe, whose hash is none that waits for its turn.
    pub(super) fn begin_keyframe(&mut self, tick: Tick) {
        self.begin(tick, true);
        self.keyframe = tick;
        self.unhashed = self.turn;
    }

    /// Records an entity in the snapshot that was begun.
    pub(super) fn record_entity(&mut self, index: u16) {
        let tick = self.newest_sent;
        self.sent[(tick.0 % REMEMBERED) as usize]
            .entities
            .push(index);
        let known = &mut self.known[usize::from(index)];
        known.sent = tick;
        known.dropped = false;
        known.priority = 0.0;
        known.overdue = false;
        self.listed.insert(index);
    }

    /// Records an id to forget in the snapshot that was begun.
    pub(super) fn record_forgotten(&mut self, index: u16) {
        let row = (self.newest_sent.0 % REMEMBERED) as usize;
        self.sent[row].forgotten.push(index);
        self.known[usize::from(index)].dropped = true;
    }

    /// Records the events in the snapshot that was begun.
    pub(super) fn record_events(&mut self, end: u16) {
        let row = (self.newest_sent.0 % REMEMBERED) as usize;
        self.sent[row].events_end = end;
    }

    fn settle(&mut self, tick: Tick) {
        let sent = &mut self.sent[(tick.0 % REMEMBERED) as usize];
        if sent.tick != tick || sent.settled {
            return;
        }
        sent.settled = true;
        for index in &sent.entities {
            self.known[usize::from(*index)].acknowledge(tick);
        }
        for index in &sent.forgotten {
            let known = &mut self.known[usize::from(*index)];
            if known.dropped && known.sent < tick {
                *known = Known::default();
                self.listed.remove(*index);
            }
        }
        self.events.acknowledge(sent.events_end);
    }

    /// Makes up for a snapshot, unless it was acknowledged.
    fn take_for_lost(&mut self, tick: Tick) {
        let sent = &self.sent[(tick.0 % REMEMBERED) as usize];
        if sent.tick != tick || sent.settled {
            return;
        }
        self.lost += 1;
        for index in &sent.entities {
            let known = &mut self.known[usize::from(*index)];
            // Even if it was sent again since: that may be lost as well.
            if known.acknowledged < tick {
                known.overdue = true;
                known.priority += LOSS_PRIORITY;
            }
        }
    }
}
