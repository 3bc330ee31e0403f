//! Packets as bytes: the request in the clear, and everything else sealed under its number.
//!
//! A sealed packet is one prefix byte (kind in the low half, bytes of the number in the high
//! half), the number without its high zero bytes, the sealed body and its tag. The prefix is
//! authenticated with the version and the protocol id, so a packet cannot change its kind.

use crate::aead::{Failed, PacketKey, TAG_BYTES, TOKEN_NONCE_BYTES};
use crate::bytes::Reader;
use crate::counters::Refusal;
use crate::token::{ConnectToken, PRIVATE_BYTES};
use crate::{VERSION, VERSION_BYTES};

/// Bytes of the challenge token inside a challenge and its response.
pub const CHALLENGE_BYTES: usize = 300;

/// Bytes of payload that every implementation takes.
pub const STANDARD_PAYLOAD_BYTES: usize = 1200;

/// Bytes of payload that we and renet take. Whoever may talk to others, or across links with an MTU
/// of 1280 bytes, stays within [`STANDARD_PAYLOAD_BYTES`].
pub const MAX_PAYLOAD_BYTES: usize = 1300;

/// Bytes of a request.
pub const REQUEST_BYTES: usize = 1 + VERSION_BYTES + 8 + 8 + TOKEN_NONCE_BYTES + PRIVATE_BYTES;

/// Bytes before the body of a sealed packet, at most.
pub const MAX_HEADER_BYTES: usize = 1 + 8;

/// Bytes of the longest packet.
pub const MAX_PACKET_BYTES: usize = MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES + TAG_BYTES;

/// Bytes of the shortest sealed packet; renet sends number 0 in none.
const MIN_SEALED_BYTES: usize = 1 + TAG_BYTES;

const ASSOCIATED_BYTES: usize = VERSION_BYTES + 8 + 1;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A client presents its token.
    Request = 0,
    /// The server has no place.
    Denied = 1,
    /// The server asks the client to prove that it holds the keys and its address.
    Challenge = 2,
    /// The client proves it.
    Response = 3,
    /// Nothing to say, but still there.
    KeepAlive = 4,
    /// A datagram of the game.
    Payload = 5,
    /// The sender is gone.
    Disconnect = 6,
}

impl Kind {
    fn of(prefix: u8) -> Option<Self> {
        Some(match prefix & 0x0f {
            0 => Self::Request,
            1 => Self::Denied,
            2 => Self::Challenge,
            3 => Self::Response,
            4 => Self::KeepAlive,
            5 => Self::Payload,
            6 => Self::Disconnect,
            _ => return None,
        })
    }

    /// Whether a body of this kind may have this length.
    fn takes(self, length: usize) -> bool {
        match self {
            Self::Request => false,
            Self::Denied | Self::Disconnect => length == 0,
            Self::Challenge | Self::Response => length == 8 + CHALLENGE_BYTES,
            Self::KeepAlive => length == 8,
            Self::Payload => (1..=MAX_PAYLOAD_BYTES).contains(&length),
        }
    }
}

/// What the clear part of a sealed packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the packet is for.
    pub kind: Kind,
    /// The packet's number in its direction of its connection.
    pub sequence: u64,
    /// Bytes before the body.
    pub length: usize,
    prefix: u8,
}

impl Header {
    /// Reads the header of a sealed packet and checks the packet's length.
    pub fn read(packet: &[u8]) -> Result<Self, Refusal> {
        if !(MIN_SEALED_BYTES..=MAX_PACKET_BYTES).contains(&packet.len()) {
            return Err(Refusal::Length);
        }
        let prefix = packet[0];
        let kind = Kind::of(prefix).ok_or(Refusal::Prefix)?;
        let count = usize::from(prefix >> 4);
        // The standard says 1 to 8. renet writes number 0 in no bytes, which is not ambiguous.
        if kind == Kind::Request || count > 8 {
            return Err(Refusal::Prefix);
        }
        let length = 1 + count;
        let body = packet.len().checked_sub(length + TAG_BYTES);
        if !body.is_some_and(|body| kind.takes(body)) {
            return Err(Refusal::Length);
        }
        let mut sequence = [0; 8];
        sequence[..count].copy_from_slice(&packet[1..length]);
        Ok(Self {
            kind,
            sequence: u64::from_le_bytes(sequence),
            length,
            prefix,
        })
    }

    fn new(kind: Kind, sequence: u64) -> Self {
        // At least one byte: conforming peers drop a packet without any.
        let zeros = (sequence.leading_zeros() / 8).min(7) as u8;
        let count = 8 - zeros;
        Self {
            kind,
            sequence,
            length: 1 + usize::from(count),
            prefix: kind as u8 | count << 4,
        }
    }

    fn write(&self, packet: &mut [u8]) {
        packet[0] = self.prefix;
        packet[1..self.length].copy_from_slice(&self.sequence.to_le_bytes()[..self.length - 1]);
    }
}

/// Seals and opens the packets of one protocol id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealer {
    /// All but the prefix, which is last.
    associated: [u8; ASSOCIATED_BYTES],
}

impl Sealer {
    pub(crate) fn new(protocol_id: u64) -> Self {
        let mut associated = [0; ASSOCIATED_BYTES];
        associated[..VERSION_BYTES].copy_from_slice(&VERSION);
        associated[VERSION_BYTES..VERSION_BYTES + 8].copy_from_slice(&protocol_id.to_le_bytes());
        Self { associated }
    }

    fn associated(&self, prefix: u8) -> [u8; ASSOCIATED_BYTES] {
        let mut associated = self.associated;
        associated[ASSOCIATED_BYTES - 1] = prefix;
        associated
    }

    /// Writes a sealed packet to the front of `packet`; answers its length, or nothing if `packet`
    /// is too short.
    pub(crate) fn seal(
        &self,
        key: &PacketKey,
        kind: Kind,
        sequence: u64,
        body: &[u8],
        packet: &mut [u8],
    ) -> Option<usize> {
        let header = Header::new(kind, sequence);
        let end = header.length + body.len();
        let packet = packet.get_mut(..end + TAG_BYTES)?;
        header.write(packet);
        packet[header.length..end].copy_from_slice(body);
        key.seal(
            sequence,
            &self.associated(header.prefix),
            &mut packet[header.length..],
        )
        .ok()?;
        Some(packet.len())
    }

    /// Opens a packet in place and answers its body.
    pub(crate) fn open<'packet>(
        &self,
        key: &PacketKey,
        header: &Header,
        packet: &'packet mut [u8],
    ) -> Result<&'packet mut [u8], Failed> {
        let sealed = packet.get_mut(header.length..).ok_or(Failed)?;
        key.open(header.sequence, &self.associated(header.prefix), sealed)
    }
}

/// A request, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Request<'packet> {
    /// Names the game, its build and its messages.
    pub protocol_id: u64,
    /// Seconds since 1970.
    pub expires: u64,
    /// The nonce of the private part.
    pub nonce: &'packet [u8; TOKEN_NONCE_BYTES],
    /// The sealed private part.
    pub private: &'packet [u8; PRIVATE_BYTES],
}

impl<'packet> Request<'packet> {
    /// Reads a request; nothing in it is authentic yet.
    pub fn read(packet: &'packet [u8]) -> Result<Self, Refusal> {
        if packet.len() != REQUEST_BYTES {
            return Err(Refusal::Length);
        }
        let mut reader = Reader::new(packet);
        if reader.u8() != Some(Kind::Request as u8) {
            return Err(Refusal::Prefix);
        }
        if reader.array() != Some(&VERSION) {
            return Err(Refusal::Version);
        }
        Self::read_fields(&mut reader).ok_or(Refusal::Length)
    }

    fn read_fields(reader: &mut Reader<'packet>) -> Option<Self> {
        Some(Self {
            protocol_id: reader.u64()?,
            expires: reader.u64()?,
            nonce: reader.array()?,
            private: reader.array()?,
        })
    }

    /// Writes the request that presents `token`; answers its length.
    pub fn write(token: &ConnectToken, packet: &mut [u8]) -> Option<usize> {
        let mut writer = crate::bytes::Writer::new(packet);
        writer.put(&[Kind::Request as u8]);
        writer.put(&VERSION);
        writer.put(&token.protocol_id.to_le_bytes());
        writer.put(&token.expires.to_le_bytes());
        writer.put(&token.nonce);
        writer.put(token.private.as_slice());
        writer.finish()
    }

    /// The tag of the private part, which tells tokens apart before any is opened.
    pub fn tag(&self) -> &'packet [u8; TAG_BYTES] {
        self.private.last_chunk().unwrap_or(&[0; TAG_BYTES])
    }
}
