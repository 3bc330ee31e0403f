//! The client's end: datagrams into states, whatever is lost, doubled or out of order.

use super::encoder::{COMPRESSED, HASH, KEYFRAME, OWN};
use super::event::{EventOrder, WireEvent};
use super::hash::{HASH_BYTES, HashCounters, ViewHash};
use super::keyframe::KeyframeDecoder;
use super::{Ack, Header, MAX_ENTITIES, MAX_FORGOTTEN, REMEMBERED};
use crate::bits::{BitReader, Error};
use crate::codec::{self, DeltaError, Past, decode_delta, decode_full, read_next_id};
use crate::entity::EntityId;
use crate::frame::EntityState;
use crate::tick::Tick;

/// Why a snapshot was not taken in. The decoder is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is no snapshot of this version.
    #[error("the snapshot is damaged")]
    Damaged(#[from] Error),
    /// It was decoded before.
    #[error("the snapshot came twice")]
    Double,
    /// It is older than all that is remembered.
    #[error("the snapshot is too old")]
    Old,
    /// It builds on a snapshot that this client does not have. If that goes on, the server is
    /// wrong about what was acknowledged, and only a new connection helps.
    #[error("the snapshot builds on a state that is not there")]
    MissingBaseline,
}

impl From<DeltaError> for DecodeError {
    fn from(error: DeltaError) -> Self {
        match error {
            DeltaError::Bits(error) => Self::Damaged(error),
            DeltaError::MissingEarlier => Self::MissingBaseline,
        }
    }
}

/// A snapshot that was decoded.
#[derive(Debug, Default, Clone)]
struct Frame {
    tick: Tick,
    /// In ascending order of their ids.
    entities: Vec<EntityState>,
}

impl Frame {
    fn get(&self, id: EntityId) -> Option<&EntityState> {
        let place = self.entities.binary_search_by_key(&id, |state| state.id);
        place.ok().map(|place| &self.entities[place])
    }
}

/// The newest that is known of an entity.
#[derive(Debug, Clone, Copy)]
struct Newest {
    state: EntityState,
    tick: Tick,
    /// Cleared when it was to be forgotten: then this stays for a while, so that a late snapshot
    /// does not bring it back.
    alive: bool,
}

/// The client's end of all snapshots of one connection.
#[derive(Debug)]
pub struct Decoder {
    frames: Vec<Frame>,
    /// In ascending order of their ids.
    newest: Vec<Newest>,
    acks: Option<Ack>,
    order: EventOrder,
    keyframes: KeyframeDecoder,
    hashes: HashCounters,
    /// What is being decoded.
    entities: Vec<EntityState>,
    forgotten: Vec<EntityId>,
    /// What the server thinks that was known before, and whether it is sure.
    known: Vec<(EntityId, bool)>,
}

/// What was read of a snapshot, besides what is being decoded.
struct Read {
    header: Header,
    order: EventOrder,
    /// What came of the hash, if there was one to compare.
    compared: Option<Compared>,
}

/// A hash that was compared.
struct Compared {
    is_same: bool,
    /// Whether it covered what was known before.
    is_listed: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            frames: vec![Frame::default(); REMEMBERED as usize],
            newest: Vec::new(),
            acks: None,
            order: EventOrder::default(),
            keyframes: KeyframeDecoder::default(),
            entities: Vec::with_capacity(MAX_ENTITIES),
            forgotten: Vec::with_capacity(MAX_FORGOTTEN),
            hashes: HashCounters::default(),
            known: Vec::with_capacity(MAX_ENTITIES),
        }
    }
}

/// What the decoder knows of one entity at one tick.
struct Remembered<'a> {
    frames: &'a [Frame],
    base: Tick,
    state: EntityState,
}

impl Past for Remembered<'_> {
    fn state(&self) -> EntityState {
        self.state
    }

    fn earlier(&self, span: u32) -> Option<EntityState> {
        let tick = Tick(self.base.0.checked_sub(span)?);
        find(self.frames, tick)?.get(self.state.id).copied()
    }
}

fn find(frames: &[Frame], tick: Tick) -> Option<&Frame> {
    let frame = &frames[(tick.0 % REMEMBERED) as usize];
    (frame.tick == tick && tick != Tick(0)).then_some(frame)
}

impl Decoder {
    /// Decodes what follows the payload's kind, and appends the events that are new, with the
    /// ticks in which they happened.
    pub fn decode(
        &mut self,
        rest: &[u8],
        events: &mut Vec<(Tick, WireEvent)>,
    ) -> Result<Header, DecodeError> {
        let before = events.len();
        let decoded = self.read(rest, events);
        match decoded {
            Ok(read) => {
                self.order = read.order;
                self.take_in(read.header.tick);
                if let Some(compared) = read.compared {
                    self.hashes.compared += 1;
                    self.hashes.listed += u64::from(compared.is_listed);
                    self.hashes.different += u64::from(!compared.is_same);
                }
                Ok(read.header)
            }
            Err(error) => {
                events.truncate(before);
                Err(error)
            }
        }
    }

    /// What the server shall know of what was decoded; none before the first snapshot.
    pub const fn ack(&self) -> Option<Ack> {
        self.acks
    }

    /// How often what is known was compared with what the server meant, since the start.
    pub const fn hashes(&self) -> HashCounters {
        self.hashes
    }

    /// All entities that this client knows, each with the tick of its newest state. What has not
    /// changed since then was not sent again.
    pub fn entities(&self) -> impl Iterator<Item = (&EntityState, Tick)> {
        self.newest
            .iter()
            .filter(|newest| newest.alive)
            .map(|newest| (&newest.state, newest.tick))
    }

    /// The newest state of an entity, if this client knows it.
    pub fn entity(&self, id: EntityId) -> Option<(&EntityState, Tick)> {
        let place = self.place(id).ok()?;
        let newest = &self.newest[place];
        newest.alive.then_some((&newest.state, newest.tick))
    }

    /// The entities of one snapshot, while it is remembered.
    pub fn snapshot(&self, tick: Tick) -> Option<&[EntityState]> {
        find(&self.frames, tick).map(|frame| frame.entities.as_slice())
    }

    /// The state of an entity in one snapshot.
    pub fn state_at(&self, id: EntityId, tick: Tick) -> Option<&EntityState> {
        find(&self.frames, tick)?.get(id)
    }

    /// Forgets everything: for a new connection.
    pub fn reset(&mut self) {
        for frame in &mut self.frames {
            frame.tick = Tick(0);
            frame.entities.clear();
        }
        self.newest.clear();
        self.acks = None;
        self.order = EventOrder::default();
    }

    /// Whether a tick is so long ago that nothing is remembered of what has been forgotten since.
    fn is_too_old(&self, tick: Tick) -> bool {
        self.acks
            .is_some_and(|acks| acks.newest.since(tick) >= i64::from(REMEMBERED))
    }

    fn is_newest(&self, tick: Tick) -> bool {
        self.acks.is_none_or(|acks| acks.newest < tick)
    }

    fn place(&self, id: EntityId) -> Result<usize, usize> {
        self.newest
            .binary_search_by_key(&id, |newest| newest.state.id)
    }

    /// Reads everything into what is being decoded, and changes nothing else.
    fn read(
        &mut self,
        rest: &[u8],
        events: &mut Vec<(Tick, WireEvent)>,
    ) -> Result<Read, DecodeError> {
        let flags = *rest.first().ok_or(Error::Ended)?;
        if flags & !(COMPRESSED | KEYFRAME | OWN | HASH) != 0 {
            return Err(Error::Range.into());
        }
        let (body, expected) = if flags & HASH == 0 {
            (rest, None)
        } else {
            let split = rest.split_last_chunk::<HASH_BYTES>();
            let (body, expected) = split.ok_or(Error::Ended)?;
            (body, Some(*expected))
        };
        let mut reader = BitReader::new(body);
        reader.read_u8(8)?;
        let header = Header::read(&mut reader, flags & OWN != 0)?;
        let known = &self.frames[(header.tick.0 % REMEMBERED) as usize];
        if header.tick == Tick(0) {
            return Err(Error::Range.into());
        } else if known.tick == header.tick {
            return Err(DecodeError::Double);
        } else if known.tick > header.tick || self.is_too_old(header.tick) {
            return Err(DecodeError::Old);
        }
        self.entities.clear();
        self.forgotten.clear();
        let mut hash = ViewHash::new(header.tick, header.own.as_ref());
        let mut is_same = true;
        let mut is_listed = false;
        let mut order = self.order;
        if flags & KEYFRAME != 0 {
            let compressed = flags & COMPRESSED != 0;
            self.keyframes
                .decode(reader.rest(), compressed, &mut self.entities)?;
        } else if flags & COMPRESSED != 0 {
            return Err(Error::Range.into());
        } else {
            if expected.is_some() && reader.flag()? {
                self.read_known(&mut reader)?;
                is_listed = true;
                is_same = self.fold_known(&mut hash);
            }
            self.read_forgotten(&mut reader)?;
            order = order.read(&mut reader, header.tick, events)?;
            self.read_entities(&mut reader, header.tick)?;
        }
        for state in &self.entities {
            hash.sent(state);
        }
        let comparable = expected.filter(|_| self.is_newest(header.tick));
        Ok(Read {
            header,
            order,
            compared: comparable.map(|expected| Compared {
                is_same: is_same && hash.finish() == expected,
                is_listed,
            }),
        })
    }

    fn read_known(&mut self, reader: &mut BitReader<'_>) -> Result<(), DecodeError> {
        self.known.clear();
        let mut last = None;
        while let Some(id) = read_next_id(reader, last)? {
            self.known.push((EntityId(id), reader.flag()?));
            last = Some(id);
        }
        Ok(())
    }

    /// Folds what is known and sure into the hash. Returns whether that is all that should be, and
    /// whether nothing is known that should be forgotten.
    fn fold_known(&self, hash: &mut ViewHash) -> bool {
        let mut sure = 0;
        for newest in self.newest.iter().filter(|newest| newest.alive) {
            let place = self
                .known
                .binary_search_by_key(&newest.state.id, |(id, _)| *id);
            match place.map(|place| self.known[place].1) {
                Ok(true) => {
                    hash.known(&newest.state);
                    sure += 1;
                }
                Ok(false) => {}
                Err(_) => return false,
            }
        }
        sure == self.known.iter().filter(|(_, is_sure)| *is_sure).count()
    }

    fn read_forgotten(&mut self, reader: &mut BitReader<'_>) -> Result<(), DecodeError> {
        if !reader.flag()? {
            return Ok(());
        }
        let mut last = None;
        while let Some(id) = read_next_id(reader, last)? {
            if self.forgotten.len() == MAX_FORGOTTEN {
                return Err(Error::Range.into());
            }
            self.forgotten.push(EntityId(id));
            last = Some(id);
        }
        Ok(())
    }

    fn read_entities(&mut self, reader: &mut BitReader<'_>, now: Tick) -> Result<(), DecodeError> {
        let common = reader.read_u32(6)?;
        let mut last = None;
        while let Some(id) = read_next_id(reader, last)? {
            if self.entities.len() == MAX_ENTITIES {
                return Err(Error::Range.into());
            }
            last = Some(id);
            let id = EntityId(id);
            let age = match reader.ones(2)? {
                0 => common,
                1 => reader.read_u32(6)?,
                _ => {
                    self.entities.push(decode_full(reader, id)?);
                    continue;
                }
            };
            if age == 0 || age >= now.0 {
                return Err(Error::Range.into());
            }
            let base = now.before(age);
            let state = find(&self.frames, base).and_then(|frame| frame.get(id));
            let past = Remembered {
                frames: &self.frames,
                base,
                state: *state.ok_or(DecodeError::MissingBaseline)?,
            };
            let state = decode_delta(reader, &past, age)?;
            self.entities.push(state);
        }
        Ok(())
    }

    /// Makes what was decoded part of what is known.
    fn take_in(&mut self, tick: Tick) {
        for id in &self.forgotten {
            if let Ok(place) = self
                .newest
                .binary_search_by_key(id, |newest| newest.state.id)
            {
                let newest = &mut self.newest[place];
                if newest.tick < tick {
                    newest.tick = tick;
                    newest.alive = false;
                }
            }
        }
        for state in &self.entities {
            let found = Newest {
                state: *state,
                tick,
                alive: true,
            };
            match self
                .newest
                .binary_search_by_key(&state.id, |newest| newest.state.id)
            {
                Ok(place) if self.newest[place].tick < tick => self.newest[place] = found,
                Ok(_) => {}
                Err(place) => self.newest.insert(place, found),
            }
        }
        match &mut self.acks {
            Some(acks) => acks.insert(tick),
            None => {
                self.acks = Some(Ack {
                    newest: tick,
                    earlier: 0,
                });
            }
        }
        let now = self.acks.map_or(tick, |acks| acks.newest);
        self.newest
            .retain(|newest| newest.alive || now.since(newest.tick) < i64::from(REMEMBERED));
        let frame = &mut self.frames[(tick.0 % REMEMBERED) as usize];
        frame.tick = tick;
        std::mem::swap(&mut frame.entities, &mut self.entities);
    }
}

const _: () = assert!(codec::SPANS[3] < REMEMBERED);

#[cfg(test)]
mod tests;
