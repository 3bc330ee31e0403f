//! One second of a match as bytes: the first frame in full, each other as what changed.
//!
//! Pure. A block is decoded without any other, and within fixed bounds, whatever its bytes are.
//!
//! The payload, format 1, little-endian:
//!
//! ```text
//!  u32  CRC-32C of the block's other columns and of everything below
//!  u8   0: the body as it is; 1: compressed with zstd
//!  body:
//!    per frame: u16 removed, u16 added, then their ids, ascending, each as the gap to the one before
//!    per byte of an entity (x, z, y, yaw, health, flags): that byte of every entity of every frame,
//!    XOR the same byte of that entity one frame earlier, or as it is if it was not there
//! ```
//!
//! Bytes of the same meaning stand together, and what stays is zero: that is what makes a general
//! compressor good at it.

use std::fmt;
use std::str::FromStr;

use crc::{CRC_32_ISCSI, Crc};
use jiff::Timestamp;
use simulation::codec::ID_LIMIT;
use simulation::compression::{Compressor, Decompressor};
use simulation::entity::EntityId;
use simulation::frame::{EntityFlags, EntityState, WorldFrame};
use simulation::tick::{TICK_RATE, Tick};

/// Most frames of a block: one second.
pub const MOST_FRAMES: usize = TICK_RATE as usize;

/// Most entities of a frame.
pub const MOST_ENTITIES: usize = ID_LIMIT as usize;

/// The format that is written.
pub const FORMAT: u16 = 1;

/// Bytes of an entity without its id.
const PLANES: usize = 10;

/// Longest body: every frame as full as it can be, and all its ids new.
const MOST_BODY: usize = MOST_FRAMES * (4 + MOST_ENTITIES * (2 * 2 + PLANES));

/// Longest payload that is looked at.
pub const MOST_PAYLOAD: usize = HEAD + MOST_BODY;

/// Bytes before the body.
const HEAD: usize = 5;

const AS_IT_IS: u8 = 0;
const COMPRESSED: u8 = 1;

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Why there is no block, or no frames in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The checksum is that of something else.
    #[error("the block is damaged: its checksum is wrong")]
    Checksum,
    /// Written by a later version.
    #[error("the block has format {0}; this program reads format {FORMAT}")]
    Format(u16),
    /// The bytes make no sense.
    #[error("the block is malformed")]
    Malformed,
}

/// Names a match; written as a UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchId(pub [u8; 16]);

impl fmt::Display for MatchId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// It is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a match is named by a UUID, 32 hexadecimal digits with or without hyphens")]
pub struct NotAMatch;

impl FromStr for MatchId {
    type Err = NotAMatch;

    fn from_str(text: &str) -> Result<Self, NotAMatch> {
        let digits: String = text.chars().filter(|&sign| sign != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAMatch);
        }
        let number = u128::from_str_radix(&digits, 16).map_err(|_| NotAMatch)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Up to a second of a match, packed: a row of the table, a record of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose.
    pub match_id: MatchId,
    /// The tick of the first frame; the others follow without a gap.
    pub start: Tick,
    /// Frames, 1 to [`MOST_FRAMES`].
    pub ticks: u16,
    /// When the first frame was taken, in microseconds since 1970.
    pub taken_at: i64,
    /// How the payload is to be read.
    pub format: u16,
    /// The frames.
    pub payload: Vec<u8>,
}

impl Block {
    /// What follows the checksum, if that is right. Payloads of every format begin with one.
    fn checked(&self) -> Result<&[u8], Error> {
        let (checksum, rest) = self
            .payload
            .split_first_chunk::<4>()
            .ok_or(Error::Malformed)?;
        if u32::from_le_bytes(*checksum) != self.checksum(rest) {
            return Err(Error::Checksum);
        }
        Ok(rest)
    }

    /// Whether it is as it was written.
    pub fn verify(&self) -> Result<(), Error> {
        self.checked().map(drop)
    }

    fn checksum(&self, rest: &[u8]) -> u32 {
        let mut digest = CHECKSUM.digest();
        digest.update(&self.match_id.0);
        digest.update(&self.start.0.to_le_bytes());
        digest.update(&self.ticks.to_le_bytes());
        digest.update(&self.taken_at.to_le_bytes());
        digest.update(&self.format.to_le_bytes());
        digest.update(rest);
        digest.finalize()
    }
}

/// Up to a second of a match as it comes from the simulation, in memory that is used again.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// Whose.
    pub match_id: MatchId,
    /// When the first frame was taken.
    pub taken_at: Timestamp,
    start: Tick,
    lengths: Vec<usize>,
    entities: Vec<EntityState>,
}

impl Frames {
    /// Room for a second of this many entities.
    pub fn with_capacity(entities: usize) -> Self {
        Self {
            lengths: Vec::with_capacity(MOST_FRAMES),
            entities: Vec::with_capacity(MOST_FRAMES * entities),
            ..Self::default()
        }
    }

    /// Frames.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether a second is full.
    pub fn is_full(&self) -> bool {
        self.lengths.len() >= MOST_FRAMES
    }

    /// Whether a frame of this tick can be added: it is the next, and there is room.
    pub fn continues_with(&self, tick: Tick) -> bool {
        let count = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        self.is_empty() || (!self.is_full() && self.start.after(count) == tick)
    }

    /// Adds a frame. False, and nothing changed, if it does not continue the others or has entities
    /// that no match can have.
    pub fn push(&mut self, frame: &WorldFrame) -> bool {
        let is_sound = frame.entities.len() <= MOST_ENTITIES
            && frame.entities.is_sorted_by(|one, two| one.id < two.id);
        if !is_sound || !self.continues_with(frame.tick) {
            return false;
        }
        if self.is_empty() {
            self.start = frame.tick;
        }
        self.lengths.push(frame.entities.len());
        self.entities.extend_from_slice(&frame.entities);
        true
    }

    /// Removes all frames and keeps the memory.
    pub fn clear(&mut self) {
        self.lengths.clear();
        self.entities.clear();
    }

    fn iter(&self) -> impl Iterator<Item = &[EntityState]> {
        let mut rest = self.entities.as_slice();
        self.lengths.iter().map(move |&length| {
            let (frame, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            frame
        })
    }
}

fn bytes(state: &EntityState) -> [u8; PLANES] {
    let [east, east_high] = state.x.to_le_bytes();
    let [north, north_high] = state.z.to_le_bytes();
    let [height, height_high] = state.y.to_le_bytes();
    let [yaw, yaw_high] = state.yaw.to_le_bytes();
    let (health, flags) = (state.health, state.flags.0);
    [
        east,
        east_high,
        north,
        north_high,
        height,
        height_high,
        yaw,
        yaw_high,
        health,
        flags,
    ]
}

fn state(id: EntityId, bytes: [u8; PLANES]) -> EntityState {
    let [
        east,
        east_high,
        north,
        north_high,
        height,
        height_high,
        yaw,
        yaw_high,
        health,
        flags,
    ] = bytes;
    EntityState {
        id,
        x: u16::from_le_bytes([east, east_high]),
        z: u16::from_le_bytes([north, north_high]),
        y: u16::from_le_bytes([height, height_high]),
        yaw: u16::from_le_bytes([yaw, yaw_high]),
        health,
        flags: EntityFlags(flags),
    }
}

fn xor(one: [u8; PLANES], two: [u8; PLANES]) -> [u8; PLANES] {
    std::array::from_fn(|place| one[place] ^ two[place])
}

/// Packs blocks: one context of the compressor, and memory that is used again.
#[derive(Debug, Default)]
pub struct Encoder {
    compressor: Compressor,
    ids: Vec<(u16, bool)>,
    body: Vec<u8>,
    compressed: Vec<u8>,
}

impl Encoder {
    /// Packs the frames; nothing if there are none.
    pub fn encode(&mut self, frames: &Frames) -> Option<Block> {
        let ticks = u16::try_from(frames.len())
            .ok()
            .filter(|&ticks| ticks > 0)?;
        self.fill_body(frames);
        self.compressed.resize(self.body.len(), 0);
        let (encoding, body) = match self.compressor.compress(&self.body, &mut self.compressed) {
            Some(length) => (COMPRESSED, &self.compressed[..length]),
            None => (AS_IT_IS, self.body.as_slice()),
        };
        let mut block = Block {
            match_id: frames.match_id,
            start: frames.start,
            ticks,
            taken_at: frames.taken_at.as_microsecond(),
            format: FORMAT,
            payload: Vec::with_capacity(HEAD + body.len()),
        };
        block.payload.extend_from_slice(&[0; 4]);
        block.payload.push(encoding);
        block.payload.extend_from_slice(body);
        let checksum = block.checksum(&block.payload[4..]);
        block.payload[..4].copy_from_slice(&checksum.to_le_bytes());
        Some(block)
    }

    fn fill_body(&mut self, frames: &Frames) {
        self.body.clear();
        let mut previous: &[EntityState] = &[];
        for frame in frames.iter() {
            self.put_ids(previous, frame);
            previous = frame;
        }
        let count = frames.entities.len();
        let planes = self.body.len();
        self.body.resize(planes + PLANES * count, 0);
        let mut previous: &[EntityState] = &[];
        let mut place = planes;
        for frame in frames.iter() {
            let mut earlier = previous.iter().peekable();
            for entity in frame {
                while earlier.next_if(|other| other.id < entity.id).is_some() {}
                let before = earlier
                    .next_if(|other| other.id == entity.id)
                    .map_or([0; PLANES], bytes);
                let delta = xor(bytes(entity), before);
                for (plane, byte) in delta.into_iter().enumerate() {
                    self.body[place + plane * count] = byte;
                }
                place += 1;
            }
            previous = frame;
        }
    }

    /// Writes who left and who came between two frames.
    fn put_ids(&mut self, before: &[EntityState], now: &[EntityState]) {
        self.ids.clear();
        let (mut old, mut new) = (before.iter().peekable(), now.iter().peekable());
        loop {
            let (one, two) = (old.peek().map(|one| one.id), new.peek().map(|two| two.id));
            match (one, two) {
                (None, None) => break,
                (Some(one), two) if two.is_none_or(|two| one < two) => {
                    self.ids.push((one.0, false));
                    old.next();
                }
                (one, Some(two)) if one.is_none_or(|one| two < one) => {
                    self.ids.push((two.0, true));
                    new.next();
                }
                _ => {
                    old.next();
                    new.next();
                }
            }
        }
        for is_new in [false, true] {
            let count = self.ids.iter().filter(|(_, new)| *new == is_new).count();
            // At most the ids that there are.
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.body.extend_from_slice(&count.to_le_bytes());
        }
        for is_new in [false, true] {
            let mut last = 0;
            for &(id, _) in self.ids.iter().filter(|(_, new)| *new == is_new) {
                self.body.extend_from_slice(&(id - last).to_le_bytes());
                last = id;
            }
        }
    }
}

/// Unpacks blocks.
#[derive(Debug, Default)]
pub struct Decoder {
    decompressor: Decompressor,
    body: Vec<u8>,
}

impl Decoder {
    /// The frames of a block, in order.
    pub fn decode(&mut self, block: &Block) -> Result<Vec<WorldFrame>, Error> {
        let rest = block.checked()?;
        if block.format != FORMAT {
            return Err(Error::Format(block.format));
        }
        let (&encoding, body) = rest.split_first().ok_or(Error::Malformed)?;
        let ticks = usize::from(block.ticks);
        if !(1..=MOST_FRAMES).contains(&ticks) {
            return Err(Error::Malformed);
        }
        let body = match encoding {
            AS_IT_IS => body,
            COMPRESSED => {
                self.body.resize(MOST_BODY, 0);
                let length = self
                    .decompressor
                    .decompress(body, &mut self.body)
                    .ok_or(Error::Malformed)?;
                &self.body[..length]
            }
            _ => return Err(Error::Malformed),
        };
        decode_body(block.start, ticks, body)
    }
}

fn decode_body(start: Tick, ticks: usize, body: &[u8]) -> Result<Vec<WorldFrame>, Error> {
    let mut reader = Reader(body);
    let mut frames: Vec<Vec<EntityId>> = Vec::with_capacity(ticks);
    let mut count = 0;
    for _ in 0..ticks {
        let (removed, added) = (reader.number()?, reader.number()?);
        let (removed, added) = (reader.ids(removed)?, reader.ids(added)?);
        let before = frames.last().map_or(&[][..], Vec::as_slice);
        let now = apply(before, &removed, &added).ok_or(Error::Malformed)?;
        count += now.len();
        frames.push(now);
    }
    let planes = reader.0;
    if planes.len() != PLANES * count {
        return Err(Error::Malformed);
    }
    let mut decoded: Vec<WorldFrame> = Vec::with_capacity(ticks);
    let (mut place, mut tick) = (0, start);
    for ids in frames {
        let before = decoded.last().map_or(&[][..], |frame| &frame.entities);
        let mut earlier = before.iter().peekable();
        let mut entities = Vec::with_capacity(ids.len());
        for id in ids {
            while earlier.next_if(|other| other.id < id).is_some() {}
            let old = earlier
                .next_if(|other| other.id == id)
                .map_or([0; PLANES], bytes);
            let delta = std::array::from_fn(|plane| planes[place + plane * count]);
            entities.push(state(id, xor(delta, old)));
            place += 1;
        }
        decoded.push(WorldFrame { tick, entities });
        tick = tick.next();
    }
    Ok(decoded)
}

/// The ids of a frame, ascending: those before, without the removed, with the added.
fn apply(before: &[EntityId], removed: &[EntityId], added: &[EntityId]) -> Option<Vec<EntityId>> {
    let mut now: Vec<_> = before
        .iter()
        .filter(|id| removed.binary_search(id).is_err())
        .chain(added)
        .copied()
        .collect();
    now.sort_unstable();
    let is_sound = now.len() + removed.len() == before.len() + added.len()
        && now.len() <= MOST_ENTITIES
        && now.is_sorted_by(|one, two| one < two);
    is_sound.then_some(now)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Result<u16, Error> {
        let (number, rest) = self.0.split_first_chunk::<2>().ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(u16::from_le_bytes(*number))
    }

    fn ids(&mut self, count: u16) -> Result<Vec<EntityId>, Error> {
        let count = usize::from(count);
        if count > MOST_ENTITIES {
            return Err(Error::Malformed);
        }
        let mut last: Option<u16> = None;
        (0..count)
            .map(|_| {
                let gap = self.number()?;
                let id = match last {
                    Some(_) if gap == 0 => None,
                    Some(last) => last.checked_add(gap),
                    None => Some(gap),
                };
                last = id;
                id.map(EntityId).ok_or(Error::Malformed)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
