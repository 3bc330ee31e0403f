//! The protobuf wire format: tags, integers and lengths, with the words of the code that Kubernetes
//! generates for what is wrong.
//!
//! Knows nothing of Kubernetes' messages.

/// What is wrong with a message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// It ends in the middle of something.
    #[error("unexpected EOF")]
    Truncated,
    /// An integer has more than ten bytes.
    #[error("proto: integer overflow")]
    Overflow,
    /// A length does not fit into an `int`.
    #[error("proto: negative length found during unmarshaling")]
    Length,
    /// A group ends that did not begin.
    #[error("proto: unexpected end of group")]
    EndOfGroup,
    /// There is no such type on the wire.
    #[error("proto: illegal wireType {0}")]
    IllegalType(u8),
    /// The field is there, as something else.
    #[error("proto: wrong wireType = {found} for field {field}")]
    WrongType {
        /// Type on the wire.
        found: u8,
        /// Name of the field in Go.
        field: String,
    },
    /// A group ends in a message that has none.
    #[error("proto: {0}: wiretype end group for non-group")]
    Group(&'static str),
    /// Fields are numbered from 1.
    #[error("proto: {message}: illegal tag {number} (wire type {tag})")]
    Tag {
        /// Name of the message.
        message: &'static str,
        /// Number of the field.
        number: i32,
        /// What was read.
        tag: u64,
    },
    /// Messages in messages; Kubernetes' own are never so deep.
    #[error("exceeded max depth")]
    Depth,
    /// JSON inside is not JSON.
    #[error("{0}")]
    Json(String),
    /// A time that RFC 3339 cannot write.
    #[error("Time.MarshalJSON: year outside of range [0,9999]")]
    Year,
    /// Neither an integer nor text.
    #[error("impossible IntOrString.Type")]
    IntOrString,
}

/// How a value is written.
pub(super) mod kind {
    /// As an integer.
    pub(crate) const VARINT: u8 = 0;
    /// As eight bytes.
    pub(crate) const FIXED64: u8 = 1;
    /// As a length and so many bytes.
    pub(crate) const BYTES: u8 = 2;
    /// As fields up to an end.
    pub(super) const GROUP: u8 = 3;
    /// As the end of a group.
    pub(super) const END: u8 = 4;
    /// As four bytes.
    pub(super) const FIXED32: u8 = 5;
}

/// What precedes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// Number of the field.
    pub(super) number: i32,
    /// How the value is written.
    pub(super) kind: u8,
}

impl Tag {
    /// Refuses a value that is written in another way than the field's.
    pub(super) fn expect(self, kind: u8, field: &str) -> Result<(), Error> {
        if self.kind == kind {
            return Ok(());
        }
        Err(Error::WrongType {
            found: self.kind,
            field: field.to_owned(),
        })
    }
}

/// The rest of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads a message from its beginning.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything is read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next tag of the message of this name; none at its end.
    pub(super) fn tag(&mut self, message: &'static str) -> Result<Option<Tag>, Error> {
        if self.is_done() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let kind = kind_of(tag);
        if kind == kind::END {
            return Err(Error::Group(message));
        }
        let number = low_bits(tag >> 3);
        if number <= 0 {
            return Err(Error::Tag {
                message,
                number,
                tag,
            });
        }
        Ok(Some(Tag { number, kind }))
    }

    /// An integer. Bits that do not fit are lost, as in Go.
    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Overflow)
    }

    /// Bytes after their length.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.varint()?;
        if i64::try_from(length).is_err() {
            return Err(Error::Length);
        }
        self.take(usize::try_from(length).map_err(|_| Error::Length)?)
    }

    /// A floating point number.
    pub(super) fn float(&mut self) -> Result<f64, Error> {
        let bytes = self.take(8)?;
        let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| Error::Truncated)?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// Passes over the value of an unknown field. Groups nest as deep as they like, at no cost.
    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), Error> {
        let mut depth = 0_usize;
        let mut kind = tag.kind;
        loop {
            match kind {
                kind::VARINT => {
                    self.varint()?;
                }
                kind::FIXED64 => {
                    self.take(8)?;
                }
                kind::BYTES => {
                    self.bytes()?;
                }
                kind::GROUP => depth += 1,
                kind::END => depth = depth.checked_sub(1).ok_or(Error::EndOfGroup)?,
                kind::FIXED32 => {
                    self.take(4)?;
                }
                other => return Err(Error::IllegalType(other)),
            }
            if depth == 0 {
                return Ok(());
            }
            kind = kind_of(self.varint()?);
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn kind_of(tag: u64) -> u8 {
    // Three bits always fit.
    u8::try_from(tag & 7).unwrap_or_default()
}

/// What Go makes of a wide integer for an `int32`: the lower half of its bits.
pub(super) fn low_bits(value: u64) -> i32 {
    let half = u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    half.cast_signed()
}

/// Writes an integer.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Writes a tag.
pub(super) fn put_tag(out: &mut Vec<u8>, number: u32, kind: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(kind));
}

/// Writes a field of bytes, text or a message.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, kind::BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field of an integer. Negative ones take ten bytes.
pub(super) fn put_integer(out: &mut Vec<u8>, number: u32, value: i64) {
    put_tag(out, number, kind::VARINT);
    put_varint(out, value.cast_unsigned());
}
