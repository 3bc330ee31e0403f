//! The server's end: one tick of a match into one datagram for each client.

use super::cache::{Cache, Key};
use super::frames::{Frames, Space};
use super::hash::{HASH_BYTES, ViewHash};
use super::indexes::Indexes;
use super::keyframe::{self, KeyframeEncoder};
use super::view::{ClientView, Known};
use super::{Header, KEYFRAME_INTERVAL, MAX_BUDGET, MAX_ENTITIES, MAX_FORGOTTEN, OLDEST_BASELINE};
use crate::bits::{self, BitWriter, Fragment};
use crate::codec::{write_list_end, write_next_id};
use crate::entity::{EntityId, PlayerSlot};
use crate::frame::{EntityState, WorldFrame, quantize_ground};
use crate::interest::{Detail, Grid, Placed};
use crate::payload;

/// What the gap to the id before takes, as estimated when entities are counted.
const GAP_BITS: usize = 4;

/// Bits in the flags of a snapshot.
pub(super) const COMPRESSED: u8 = 1;
pub(super) const KEYFRAME: u8 = 1 << 1;
pub(super) const OWN: u8 = 1 << 2;
pub(super) const HASH: u8 = 1 << 3;

/// Why no snapshot was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Not even the header fits.
    #[error("the buffer is too small for a snapshot")]
    TooSmall(#[from] bits::Error),
    /// No frame was published yet.
    #[error("there is no frame to encode")]
    NoFrame,
}

/// For whom a snapshot is.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The player, whose entity is left out; none for spectators.
    pub own: Option<PlayerSlot>,
    /// What the client looks at, east and north in meters.
    pub center: (f32, f32),
    /// How far it sees, in meters; at most 450.
    pub radius: f32,
    /// Entities that it gets wherever they are, such as teammates.
    pub always: &'a [EntityId],
    /// How often it gets far entities.
    pub detail: Detail,
    /// Most bytes of the snapshot; never more than [`MAX_BUDGET`].
    pub budget: usize,
    /// Whether its build can decompress.
    pub decompresses: bool,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    priority: f32,
    index: u16,
    due: bool,
}

/// The server's end of all snapshots of one match.
///
/// In every tick: [`Self::publish`] once, then [`Self::encode`] for each client. All memory is
/// allocated at the start: per entity of the match about 3 kB.
#[derive(Debug)]
pub struct Encoder {
    frames: Frames,
    cache: Cache,
    grid: Grid,
    keyframes: KeyframeEncoder,
    candidates: Vec<Candidate>,
    /// What goes into the snapshot.
    chosen: Indexes,
    /// What is relevant for its client.
    seen: Indexes,
}

impl Encoder {
    /// An encoder for matches of this size.
    pub fn new(space: Space) -> Self {
        Self {
            frames: Frames::new(space),
            cache: Cache::new(space.len()),
            grid: Grid::new(space.len()),
            keyframes: KeyframeEncoder::default(),
            candidates: Vec::with_capacity(space.len()),
            chosen: Indexes::new(space.len()),
            seen: Indexes::new(space.len()),
        }
    }

    /// The newest frames.
    pub const fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Takes in the frame of a new tick, which the next snapshots show.
    pub fn publish(&mut self, frame: &WorldFrame) {
        self.frames.publish(frame);
        let space = self.frames.space();
        self.grid.rebuild(
            frame
                .entities
                .iter()
                .filter_map(|state| Some(Placed::new(space.index(state.id)?, state))),
        );
    }

    /// Encodes the newest frame for one client, as a whole payload with its kind. The tick of the
    /// header is set to that of the frame. Returns the length.
    ///
    /// A client without a baseline gets a keyframe, compressed if that makes it shorter, and until
    /// it has acknowledged one a new one every few ticks.
    pub fn encode(
        &mut self,
        view: &mut ClientView,
        recipient: &Recipient<'_>,
        header: &Header,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let now = self.frames.newest();
        if now.0 == 0 {
            return Err(EncodeError::NoFrame);
        }
        let length = out.len().min(recipient.budget).min(MAX_BUDGET);
        let out = &mut out[..length];
        let header = Header {
            tick: now,
            ..*header
        };
        self.gather(view, recipient);
        let waited = now.since(view.keyframe) >= i64::from(KEYFRAME_INTERVAL);
        if !view.has_baseline(now) && (view.keyframe.0 == 0 || waited) {
            return self.encode_keyframe(view, recipient, &header, out);
        }

        let mut hash = view
            .is_hash_due()
            .then(|| ViewHash::new(now, header.own.as_ref()));
        let own = if header.own.is_some() { OWN } else { 0 };
        let (flags, tail) = hash.as_ref().map_or((own, 0), |_| (own | HASH, HASH_BYTES));
        let body = out.len().saturating_sub(tail);
        let mut writer = start(&mut out[..body], flags, &header)?;
        if let Some(hash) = &mut hash {
            self.write_known(view, &mut writer, hash)?;
        }
        view.begin(now, hash.is_some());
        self.write_forgotten(view, &mut writer)?;
        let events_budget = writer.room() / 2;
        let mark = writer.mark();
        if let Ok(end) = view.events.write(&mut writer, now, events_budget) {
            view.record_events(end);
        } else {
            writer.rewind(mark);
            writer.flag(false)?;
        }
        let count = self.write_entities(view, &mut writer)?;
        let used = writer.finish();
        Ok(match hash {
            Some(hash) => self.append_hash(hash, count, out, used),
            None => used,
        })
    }

    /// Writes which ids the client may know, and folds those whose states are sure into the hash.
    /// If that takes more than half of the room, the snapshot's own entities have to do.
    fn write_known(
        &mut self,
        view: &ClientView,
        writer: &mut BitWriter<'_>,
        hash: &mut ViewHash,
    ) -> Result<(), EncodeError> {
        self.chosen.clear();
        for index in view.listed.iter() {
            self.chosen.insert(index);
        }
        let (mark, least_room) = (writer.mark(), writer.room() / 2);
        let listed = self.list_known(view, writer);
        if listed.is_err() || writer.room() < least_room {
            writer.rewind(mark);
            writer.flag(false)?;
            return Ok(());
        }
        for index in self.chosen.iter() {
            if let Some(state) = self.sure(view, index) {
                hash.known(state);
            }
        }
        Ok(())
    }

    /// Writes the list of those who were chosen, with a bit each: whether their state is sure.
    fn list_known(&self, view: &ClientView, writer: &mut BitWriter<'_>) -> Result<(), bits::Error> {
        writer.flag(true)?;
        let mut last = None;
        for index in self.chosen.iter() {
            let id = self.frames.space().id(index).0;
            write_next_id(writer, last, id)?;
            writer.flag(self.sure(view, index).is_some())?;
            last = Some(id);
        }
        write_list_end(writer)
    }

    /// The state of an entity that a client surely shows, as long as it is remembered.
    fn sure(&self, view: &ClientView, index: u16) -> Option<&EntityState> {
        let sent = view.known[usize::from(index)].sure()?;
        if sent >= self.frames.changed(index) {
            self.frames.get(self.frames.newest(), index)
        } else {
            self.frames.get(sent, index)
        }
    }

    /// Folds the first so many of those who were chosen, who are the snapshot's entities, into the
    /// hash, and puts it at the end. Returns the length.
    fn append_hash(&self, mut hash: ViewHash, count: usize, out: &mut [u8], used: usize) -> usize {
        let now = self.frames.newest();
        for index in self.chosen.iter().take(count) {
            if let Some(state) = self.frames.get(now, index) {
                hash.sent(state);
            }
        }
        out[used..used + HASH_BYTES].copy_from_slice(&hash.finish());
        used + HASH_BYTES
    }

    /// Finds what is relevant for a client, and raises the priority of each.
    fn gather(&mut self, view: &mut ClientView, recipient: &Recipient<'_>) {
        self.candidates.clear();
        self.seen.clear();
        let now = self.frames.newest();
        let space = self.frames.space();
        let own = recipient
            .own
            .and_then(|slot| space.index(EntityId::player(slot)));
        let center = (
            quantize_ground(recipient.center.0),
            quantize_ground(recipient.center.1),
        );
        let radius = quantize_ground(recipient.radius.clamp(0.0, 450.0) - 256.0);
        let limit = u64::from(radius) * u64::from(radius);
        // Who is at the border goes a little further before it is forgotten, so that it does not
        // come and go.
        let outer = radius.saturating_add(radius / 8);
        let always = recipient.always.iter().filter_map(|id| {
            let index = space.index(*id)?;
            let placed = Placed::new(index, self.frames.get(now, index)?);
            Some((placed, placed.distance_squared(center), true))
        });
        let near = self
            .grid
            .within(center, outer)
            .map(|(placed, distance)| (placed, distance, distance <= limit));
        for (placed, distance, inside) in near.chain(always) {
            let index = placed.index;
            let listed = view.listed.contains(index);
            if Some(index) == own || !(inside || listed) || !self.seen.insert(index) {
                continue;
            }
            let known = &mut view.known[usize::from(index)];
            if known.is_current(self.frames.changed(index)) {
                continue;
            }
            known.priority += placed.urgency(distance);
            // Spread over the ticks by index, so that not all far ones come in the same.
            let turn = (now.0 + u32::from(index)) % recipient.detail.interval(distance, radius);
            self.candidates.push(Candidate {
                priority: known.priority,
                index,
                due: turn == 0 || known.overdue || !listed,
            });
        }
    }

    /// Writes the ids of what the client may know and shall forget.
    fn write_forgotten(
        &mut self,
        view: &mut ClientView,
        writer: &mut BitWriter<'_>,
    ) -> Result<(), EncodeError> {
        let mut ids = [0_u16; MAX_FORGOTTEN];
        let mut count = 0;
        for (id, index) in ids.iter_mut().zip(view.listed.without(&self.seen)) {
            *id = index;
            count += 1;
        }
        let ids = &ids[..count];
        writer.flag(count > 0)?;
        if count > 0 {
            let mut last = None;
            for index in ids {
                let id = self.frames.space().id(*index).0;
                write_next_id(writer, last, id)?;
                view.record_forgotten(*index);
                last = Some(id);
            }
            write_list_end(writer)?;
        }
        Ok(())
    }

    /// Writes the most urgent entities that are due, as many as fit. Returns how many.
    fn write_entities(
        &mut self,
        view: &mut ClientView,
        writer: &mut BitWriter<'_>,
    ) -> Result<usize, EncodeError> {
        let now = self.frames.newest();
        let common = view
            .newest_acknowledged()
            .and_then(|newest| u32::try_from(now.since(newest)).ok())
            .filter(|age| *age <= OLDEST_BASELINE)
            .unwrap_or(0);
        writer.write(common.into(), 6)?;
        self.candidates.retain(|candidate| candidate.due);
        let mut count = self.count_fitting(view, common, writer.room());
        let mark = writer.mark();
        while self.write_first(view, writer, common, count).is_err() {
            // The gaps between ids took more than was estimated. Whoever is least urgent waits.
            writer.rewind(mark);
            if count == self.candidates.len() {
                sort_by_priority(&mut self.candidates);
            }
            count = count * 7 / 8;
            if count == 0 {
                write_list_end(writer)?;
                break;
            }
        }
        for index in self.chosen.iter().take(count) {
            view.record_entity(index);
        }
        Ok(count)
    }

    /// How many of the candidates fit into a number of bits, about. Unless all do, they are sorted
    /// by their priorities then.
    fn count_fitting(&mut self, view: &ClientView, common: u32, room: usize) -> usize {
        let Self {
            frames,
            cache,
            candidates,
            ..
        } = self;
        let mut cost = |candidate: &Candidate| {
            let known = &view.known[usize::from(candidate.index)];
            fetch(cache, frames, known, candidate.index).map_or(0, |(age, fragment)| {
                GAP_BITS + choice_bits(age, common).1 as usize + fragment.count() as usize
            })
        };
        let total: usize = candidates.iter().map(&mut cost).sum();
        if total <= room && candidates.len() <= MAX_ENTITIES {
            return candidates.len();
        }
        sort_by_priority(candidates);
        let mut bits = 0;
        candidates
            .iter()
            .take(MAX_ENTITIES)
            .take_while(|candidate| {
                bits += cost(candidate);
                bits <= room
            })
            .count()
    }

    /// Chooses the first so many of the candidates, and writes them in the order of their ids.
    fn write_first(
        &mut self,
        view: &ClientView,
        writer: &mut BitWriter<'_>,
        common: u32,
        count: usize,
    ) -> Result<(), bits::Error> {
        self.chosen.clear();
        for candidate in &self.candidates[..count] {
            self.chosen.insert(candidate.index);
        }
        let mut last = None;
        for index in self.chosen.iter() {
            let known = &view.known[usize::from(index)];
            // Every candidate is in the newest frame, so there is at least the full state.
            let Some((age, fragment)) = fetch(&mut self.cache, &self.frames, known, index) else {
                continue;
            };
            let id = self.frames.space().id(index).0;
            write_next_id(writer, last, id)?;
            let (choice, bits) = choice_bits(age, common);
            writer.write(choice, bits)?;
            writer.append(&fragment)?;
            last = Some(id);
        }
        write_list_end(writer)
    }

    fn encode_keyframe(
        &mut self,
        view: &mut ClientView,
        recipient: &Recipient<'_>,
        header: &Header,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let own = if header.own.is_some() { OWN } else { 0 };
        let body = out.len().saturating_sub(HASH_BYTES);
        let used = start(&mut out[..body], KEYFRAME | HASH | own, header)?.finish();
        sort_by_priority(&mut self.candidates);
        let mut count = self.candidates.len().min(MAX_ENTITIES);
        let encoded = loop {
            self.chosen.clear();
            for candidate in &self.candidates[..count] {
                self.chosen.insert(candidate.index);
            }
            let now = self.frames.newest();
            let states = self
                .chosen
                .iter()
                .filter_map(|index| self.frames.get(now, index));
            let room = &mut out[used..body];
            let encoded = self.keyframes.encode(states, room, recipient.decompresses);
            match encoded {
                Some(encoded) => break encoded,
                // With no entities there is nothing left to leave out.
                None if count == 0 => return Err(bits::Error::Full.into()),
                None => count = count * 3 / 4,
            }
        };
        if encoded.compressed {
            out[1] |= COMPRESSED;
        }
        view.begin_keyframe(header.tick);
        for index in self.chosen.iter() {
            view.record_entity(index);
        }
        debug_assert!(encoded.length <= keyframe::MAX_LENGTH);
        let hash = ViewHash::new(header.tick, header.own.as_ref());
        Ok(self.append_hash(hash, count, out, used + encoded.length))
    }
}

/// Starts a payload.
fn start<'a>(out: &'a mut [u8], flags: u8, header: &Header) -> Result<BitWriter<'a>, bits::Error> {
    let mut writer = BitWriter::new(out);
    writer.write(payload::Kind::Fast.byte().into(), 8)?;
    writer.write(flags.into(), 8)?;
    header.write(&mut writer)?;
    Ok(writer)
}

/// The fragment of an entity for a client, and the age of its baseline; 0 if it is the full state.
fn fetch(cache: &mut Cache, frames: &Frames, known: &Known, index: u16) -> Option<(u32, Fragment)> {
    let (age, span) = known.baseline(frames.newest()).unwrap_or((0, 0));
    if let Some(fragment) = cache.get(frames, Key { index, age, span }) {
        return Some((age, fragment));
    }
    let full = Key {
        index,
        age: 0,
        span: 0,
    };
    Some((0, cache.get(frames, full)?))
}

/// The bits that say which baseline an entity has, and how many: the common one, one of its own,
/// or none.
fn choice_bits(age: u32, common: u32) -> (u64, u32) {
    if age == 0 {
        (0b11, 2)
    } else if age == common {
        (0b0, 1)
    } else {
        (0b01 | u64::from(age) << 2, 8)
    }
}

fn sort_by_priority(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(|left, right| {
        let order = right.priority.total_cmp(&left.priority);
        order.then(left.index.cmp(&right.index))
    });
}
