//! Values of a few bits each, in a buffer of bytes: the alphabet of everything on the fast path.
//!
//! Bits fill a byte from its lowest upward, and values are written with their lowest bit first.
//! Neither end ever reads or writes outside of the buffer, whatever it is asked for.

/// Why bits could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The buffer has less room than the value needs. Nothing was written.
    #[error("no room is left in the buffer")]
    Full,
    /// The data has fewer bits left than the value needs. Nothing was read.
    #[error("the data ends too early")]
    Ended,
    /// A value was read that no writer writes.
    #[error("a value is out of its range")]
    Range,
}

/// The lowest `count` bits set; all of them from 64 on.
const fn mask(count: u32) -> u64 {
    if count >= 64 {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

/// Writes values into a buffer, up to its end.
#[derive(Debug)]
pub struct BitWriter<'a> {
    bytes: &'a mut [u8],
    mark: Mark,
}

/// A place to which a [`BitWriter`] can go back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    /// Whole bytes in the buffer; always a multiple of eight.
    stored: usize,
    /// Bits that are not in the buffer yet.
    pending: u64,
    /// How many; below 64.
    held: u32,
}

impl<'a> BitWriter<'a> {
    /// A writer at the start of a buffer.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            mark: Mark::default(),
        }
    }

    /// Bits written so far.
    pub const fn position(&self) -> usize {
        self.mark.stored * 8 + self.mark.held as usize
    }

    /// Bits that can still be written.
    pub const fn room(&self) -> usize {
        self.bytes.len() * 8 - self.position()
    }

    /// The place to which [`Self::rewind`] goes back.
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// Takes back what was written since a mark of this same writer.
    pub const fn rewind(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// Writes the lowest `count` bits of a value; at most 64.
    pub fn write(&mut self, value: u64, count: u32) -> Result<(), Error> {
        let count = count.min(64);
        if count as usize > self.room() {
            return Err(Error::Full);
        }
        let value = value & mask(count);
        let Mark {
            stored,
            pending,
            held,
        } = self.mark;
        let pending = pending | (value << held);
        if held + count < 64 {
            self.mark.pending = pending;
            self.mark.held = held + count;
        } else {
            self.bytes[stored..stored + 8].copy_from_slice(&pending.to_le_bytes());
            self.mark = Mark {
                stored: stored + 8,
                pending: if held == 0 { 0 } else { value >> (64 - held) },
                held: held + count - 64,
            };
        }
        Ok(())
    }

    /// Writes one bit.
    pub fn flag(&mut self, value: bool) -> Result<(), Error> {
        self.write(u64::from(value), 1)
    }

    /// Writes all bits of a [`Fragment`], or none of them.
    pub fn append(&mut self, fragment: &Fragment) -> Result<(), Error> {
        if fragment.count as usize > self.room() {
            return Err(Error::Full);
        }
        let (low, high) = fragment.halves();
        self.write(low, fragment.count.min(64))?;
        self.write(high, fragment.count.saturating_sub(64))
    }

    /// Fills the last byte with zeros. Returns how many bytes of the buffer are in use.
    pub fn finish(self) -> usize {
        let Mark {
            stored,
            pending,
            held,
        } = self.mark;
        let rest = held.div_ceil(8) as usize;
        self.bytes[stored..stored + rest].copy_from_slice(&pending.to_le_bytes()[..rest]);
        stored + rest
    }
}

/// Reads values from a buffer, up to its end.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the start of a buffer.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits that are left.
    pub const fn left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    /// Reads a value of `count` bits; at most 64.
    pub fn read(&mut self, count: u32) -> Result<u64, Error> {
        let count = count.min(64);
        if count as usize > self.left() {
            return Err(Error::Ended);
        }
        let from = &self.bytes[self.position / 8..];
        #[expect(clippy::cast_possible_truncation, reason = "below 8")]
        let shift = (self.position % 8) as u32;
        let low = if let Some(eight) = from.first_chunk::<8>() {
            u64::from_le_bytes(*eight)
        } else {
            let mut eight = [0; 8];
            eight[..from.len()].copy_from_slice(from);
            u64::from_le_bytes(eight)
        };
        let mut value = low >> shift;
        if shift + count > 64 {
            value |= from.get(8).copied().map_or(0, u64::from) << (64 - shift);
        }
        self.position += count as usize;
        Ok(value & mask(count))
    }

    /// Reads a value of at most 8 bits.
    pub fn read_u8(&mut self, count: u32) -> Result<u8, Error> {
        #[expect(clippy::cast_possible_truncation, reason = "8 bits were read")]
        self.read(count.min(8)).map(|value| value as u8)
    }

    /// Reads a value of at most 16 bits.
    pub fn read_u16(&mut self, count: u32) -> Result<u16, Error> {
        #[expect(clippy::cast_possible_truncation, reason = "16 bits were read")]
        self.read(count.min(16)).map(|value| value as u16)
    }

    /// Reads a value of at most 32 bits.
    pub fn read_u32(&mut self, count: u32) -> Result<u32, Error> {
        #[expect(clippy::cast_possible_truncation, reason = "32 bits were read")]
        self.read(count.min(32)).map(|value| value as u32)
    }

    /// Counts how many bits are set before the first that is not, up to `most`: a code of as many
    /// bits for each number but the highest, which needs no end.
    pub fn ones(&mut self, most: u32) -> Result<u32, Error> {
        let mut count = 0;
        while count < most && self.flag()? {
            count += 1;
        }
        Ok(count)
    }

    /// Reads one bit.
    pub fn flag(&mut self) -> Result<bool, Error> {
        self.read(1).map(|bit| bit == 1)
    }

    /// The whole bytes after the current one, which is left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position.div_ceil(8)..]
    }
}

/// At most 128 bits that were encoded once, to be appended to the packets of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fragment {
    bits: u128,
    count: u32,
}

impl Fragment {
    /// Most bits of a fragment.
    pub const CAPACITY: u32 = 128;

    /// Appends the lowest `count` bits of a value; at most 64. What exceeds
    /// [`Self::CAPACITY`] is lost: the layouts in `codec` are all shorter.
    pub fn push(&mut self, value: u64, count: u32) {
        let count = count.min(64);
        debug_assert!(
            self.count + count <= Self::CAPACITY,
            "the fragment overflows"
        );
        self.bits |= u128::from(value & mask(count))
            .checked_shl(self.count)
            .unwrap_or(0);
        self.count = (self.count + count).min(Self::CAPACITY);
    }

    /// Appends one bit.
    pub fn flag(&mut self, value: bool) {
        self.push(u64::from(value), 1);
    }

    /// How many bits it has.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The first 64 bits, and the others.
    fn halves(&self) -> (u64, u64) {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of it")]
        (self.bits as u64, (self.bits >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back(values in prop::collection::vec((any::<u64>(), 0_u32..=64), 0..60)) {
            let mut buffer = [0xaa; 600];
            let mut writer = BitWriter::new(&mut buffer);
            for (value, count) in &values {
                writer.write(*value, *count).unwrap();
            }
            let bits = writer.position();
            let used = writer.finish();
            prop_assert_eq!(used, bits.div_ceil(8));
            let mut reader = BitReader::new(&buffer[..used]);
            for (value, count) in &values {
                prop_assert_eq!(reader.read(*count).unwrap(), value & mask(*count));
            }
            prop_assert!(reader.left() < 8);
            prop_assert_eq!(reader.read(8), Err(Error::Ended));
        }

        #[test]
        fn a_full_buffer_refuses_and_stays_intact(
            size in 0_usize..40,
            values in prop::collection::vec((any::<u64>(), 0_u32..=64), 0..40),
        ) {
            let mut buffer = [0; 40];
            let mut writer = BitWriter::new(&mut buffer[..size]);
            let mut written = Vec::new();
            for (value, count) in values {
                match writer.write(value, count) {
                    Ok(()) => written.push((value, count)),
                    Err(error) => {
                        prop_assert_eq!(error, Error::Full);
                        prop_assert!(writer.room() < count as usize);
                    }
                }
            }
            let used = writer.finish();
            prop_assert!(used <= size);
            let mut reader = BitReader::new(&buffer[..used]);
            for (value, count) in written {
                prop_assert_eq!(reader.read(count).unwrap(), value & mask(count));
            }
        }

        #[test]
        fn fragments_come_back(
            before in 0_u32..64,
            values in prop::collection::vec((any::<u64>(), 0_u32..=40), 0..4),
        ) {
            let mut fragment = Fragment::default();
            let mut buffer = [0; 40];
            let mut writer = BitWriter::new(&mut buffer);
            writer.write(0, before).unwrap();
            for (value, count) in &values[..values.len().min(3)] {
                fragment.push(*value, *count);
            }
            writer.append(&fragment).unwrap();
            prop_assert_eq!(writer.position(), (before + fragment.count()) as usize);
            let used = writer.finish();
            let mut reader = BitReader::new(&buffer[..used]);
            reader.read(before).unwrap();
            for (value, count) in &values[..values.len().min(3)] {
                prop_assert_eq!(reader.read(*count).unwrap(), value & mask(*count));
            }
        }
    }

    #[test]
    fn a_rewound_writer_forgets() {
        let mut buffer = [0; 32];
        let mut writer = BitWriter::new(&mut buffer);
        writer.write(5, 3).unwrap();
        let mark = writer.mark();
        writer.write(u64::MAX, 64).unwrap();
        writer.write(u64::MAX, 64).unwrap();
        writer.rewind(mark);
        writer.write(1, 7).unwrap();
        assert_eq!(writer.finish(), 2);
        let mut reader = BitReader::new(&buffer[..2]);
        assert_eq!(reader.read(3).unwrap(), 5);
        assert_eq!(reader.read(13).unwrap(), 1);
    }
}
