//! Whole bytes in and out of a log.

use super::Error;

/// Appends to a log.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Eight bytes, the lowest first: for what is evenly spread.
    pub(super) fn word(&mut self, word: u64) {
        self.raw(&word.to_le_bytes());
    }

    /// Seven bits per byte, the lowest first: for what is mostly small.
    pub(super) fn number(&mut self, mut number: u32) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                self.byte(low);
                return;
            }
            self.byte(low | 0x80);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Reads a log, which may be damaged.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    log: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(log: &'a [u8]) -> Self {
        Self { log, at: 0 }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.log.len()
    }

    pub(super) const fn malformed(&self) -> Error {
        Error::Malformed(self.at)
    }

    pub(super) fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.log.get(self.at..self.at + length)?;
        self.at += length;
        Some(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        let cut = Error::CutShort(self.at);
        self.raw(1)
            .and_then(|bytes| bytes.first().copied())
            .ok_or(cut)
    }

    pub(super) fn word(&mut self) -> Result<u64, Error> {
        let cut = Error::CutShort(self.at);
        let bytes = self.raw(8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or(cut)
    }

    pub(super) fn number(&mut self) -> Result<u32, Error> {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.malformed())
    }

    pub(super) fn small(&mut self) -> Result<u16, Error> {
        self.number()?.try_into().map_err(|_| self.malformed())
    }
}
