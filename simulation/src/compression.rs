//! zstd for what is sent once: keyframes and long messages.
//!
//! Never for ordinary snapshots: what is bit-packed already only becomes longer. A flag beside the
//! data says whether it is compressed, so that a build without the feature `compression` (a
//! browser, say) can still send to everyone, and tells its server in its Hello that it cannot
//! receive.

/// Whether this build can compress and decompress.
pub const AVAILABLE: bool = cfg!(feature = "compression");

#[cfg(feature = "compression")]
const LEVEL: i32 = 3;

/// Compresses, with memory that is used again each time.
#[derive(Default)]
pub struct Compressor {
    #[cfg(feature = "compression")]
    context: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// Compresses into a buffer. Returns the length, or nothing if the result would not be shorter
    /// or does not fit, or if this build cannot compress.
    #[cfg(feature = "compression")]
    pub fn compress(&mut self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        if self.context.is_none() {
            self.context = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        let length = self.context.as_mut()?.compress_to_buffer(data, out).ok()?;
        (length < data.len()).then_some(length)
    }

    /// Compresses nothing: this build cannot.
    #[cfg(not(feature = "compression"))]
    pub fn compress(&mut self, _data: &[u8], _out: &mut [u8]) -> Option<usize> {
        None
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Decompresses, with memory that is used again each time.
#[derive(Default)]
pub struct Decompressor {
    #[cfg(feature = "compression")]
    context: Option<zstd::bulk::Decompressor<'static>>,
}

impl Decompressor {
    /// Decompresses into a buffer. Returns the length, or nothing if the data is damaged or would
    /// be longer than the buffer, or if this build cannot decompress.
    #[cfg(feature = "compression")]
    pub fn decompress(&mut self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        if self.context.is_none() {
            self.context = zstd::bulk::Decompressor::new().ok();
        }
        self.context.as_mut()?.decompress_to_buffer(data, out).ok()
    }

    /// Decompresses nothing: this build cannot.
    #[cfg(not(feature = "compression"))]
    pub fn decompress(&mut self, _data: &[u8], _out: &mut [u8]) -> Option<usize> {
        None
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Decompressor")
            .finish_non_exhaustive()
    }
}
