//! The entities of a keyframe: whole bytes in columns, which zstd can shorten.
//!
//! A keyframe is sent when a client has no baseline, which is once per connection if all goes
//! well. Columns put what is alike side by side: in a match most heights, healths and flags are
//! equal, and vanish.

use crate::bits::Error;
use crate::codec::ID_LIMIT;
use crate::compression::{Compressor, Decompressor};
use crate::entity::EntityId;
use crate::frame::{EntityFlags, EntityState};

use super::MAX_ENTITIES;

/// Bytes per entity: id, x, z, y and yaw by their lower and higher bytes, health, flags.
const COLUMNS: usize = 12;

/// Most bytes of all columns.
pub(super) const MAX_LENGTH: usize = COLUMNS * MAX_ENTITIES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) length: usize,
    pub(super) compressed: bool,
}

#[derive(Debug)]
pub(super) struct KeyframeEncoder {
    compressor: Compressor,
    columns: Vec<u8>,
}

impl Default for KeyframeEncoder {
    fn default() -> Self {
        Self {
            compressor: Compressor::default(),
            columns: Vec::with_capacity(MAX_LENGTH),
        }
    }
}

impl KeyframeEncoder {
    /// Encodes states in ascending order of their ids; none if they do not fit.
    pub(super) fn encode<'a>(
        &mut self,
        states: impl Iterator<Item = &'a EntityState> + Clone,
        out: &mut [u8],
        compress: bool,
    ) -> Option<Encoded> {
        let count = states.clone().count().min(MAX_ENTITIES);
        self.columns.clear();
        self.columns.resize(COLUMNS * count, 0);
        let mut last = 0;
        for (row, state) in states.take(count).enumerate() {
            let step = state.id.0.wrapping_sub(last);
            last = state.id.0;
            let mut bytes = [0; COLUMNS];
            for (pair, value) in bytes
                .chunks_exact_mut(2)
                .zip([step, state.x, state.z, state.y, state.yaw])
            {
                pair.copy_from_slice(&value.to_le_bytes());
            }
            bytes[10] = state.health;
            bytes[11] = state.flags.0;
            for (column, byte) in bytes.into_iter().enumerate() {
                self.columns[column * count + row] = byte;
            }
        }
        if compress && let Some(length) = self.compressor.compress(&self.columns, out) {
            return Some(Encoded {
                length,
                compressed: true,
            });
        }
        out.get_mut(..self.columns.len())?
            .copy_from_slice(&self.columns);
        Some(Encoded {
            length: self.columns.len(),
            compressed: false,
        })
    }
}

#[derive(Debug)]
pub(super) struct KeyframeDecoder {
    decompressor: Decompressor,
    columns: Vec<u8>,
}

impl Default for KeyframeDecoder {
    fn default() -> Self {
        Self {
            decompressor: Decompressor::default(),
            columns: vec![0; MAX_LENGTH],
        }
    }
}

impl KeyframeDecoder {
    /// Decodes the states, in ascending order of their ids.
    pub(super) fn decode(
        &mut self,
        data: &[u8],
        compressed: bool,
        states: &mut Vec<EntityState>,
    ) -> Result<(), Error> {
        let columns = if compressed {
            let length = self
                .decompressor
                .decompress(data, &mut self.columns)
                .ok_or(Error::Range)?;
            &self.columns[..length]
        } else {
            data
        };
        let count = columns.len() / COLUMNS;
        if columns.len() % COLUMNS != 0 || count > MAX_ENTITIES {
            return Err(Error::Range);
        }
        let mut last: Option<u16> = None;
        for row in 0..count {
            let byte = |column: usize| columns[column * count + row];
            let pair = |column: usize| u16::from_le_bytes([byte(column), byte(column + 1)]);
            let id = last.unwrap_or(0).checked_add(pair(0)).ok_or(Error::Range)?;
            let state = EntityState {
                id: EntityId(id),
                x: pair(2),
                z: pair(4),
                y: pair(6),
                yaw: pair(8),
                health: byte(10),
                flags: EntityFlags(byte(11)),
            };
            if id >= ID_LIMIT || last.is_some_and(|last| last >= id) || !fits(&state) {
                return Err(Error::Range);
            }
            states.push(state);
            last = Some(id);
        }
        Ok(())
    }
}

/// Whether a state is one that the bits of a delta can hold.
fn fits(state: &EntityState) -> bool {
    state.y >> crate::frame::HEIGHT_BITS == 0
        && state.yaw >> crate::frame::YAW_BITS == 0
        && state.flags.0 >> EntityFlags::BITS == 0
}
