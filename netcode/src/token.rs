//! Connect tokens: a player's right to join, sealed for one server.
//!
//! The backend makes a [`ConnectToken`] and gives it to the player over a trusted channel. Its
//! private part is sealed with the key that backend and server share; the client passes it on
//! unread. The rest is for the client alone and never crosses the wire to the server.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_BYTES, TOKEN_NONCE_BYTES};
use crate::bytes::{Groups, Reader, Writer};
use crate::keys::Key;
use crate::random::{self, RandomSource};
use crate::user_data::USER_DATA_BYTES;
use crate::{VERSION, VERSION_BYTES};

/// Bytes of a token in the standard's form.
pub const TOKEN_BYTES: usize = 2048;

/// Bytes of the sealed private part.
pub const PRIVATE_BYTES: usize = 1024;

/// Server addresses that a token may list.
pub const MAX_SERVERS: usize = 32;

/// Bytes of a token without its server addresses and without padding.
const FIXED_BYTES: usize = VERSION_BYTES + 3 * 8 + TOKEN_NONCE_BYTES + PRIVATE_BYTES + 4 + 4 + 64;

/// Bytes of the longest address: kind, IPv6 address, port.
const ADDRESS_BYTES: usize = 1 + 16 + 2;

/// Why a token could not be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The bytes end too early or go on too long.
    #[error("the token has a wrong length")]
    Length,
    /// Not a token of netcode 1.02.
    #[error("the token is of another version of the protocol")]
    Version,
    /// A token lists 1 to 32 servers.
    #[error("the token lists {0} server addresses, not 1 to {MAX_SERVERS}")]
    Servers(usize),
    /// An address is neither of IPv4 nor of IPv6, or cut off.
    #[error("the token lists something that is no address")]
    Address,
    /// It would have expired before it was made.
    #[error("the token expires before it was created")]
    Times,
    /// No keys or nonce could be drawn.
    #[error(transparent)]
    Random(#[from] random::Error),
    /// The private part could not be sealed.
    #[error("the token could not be sealed")]
    Seal,
    /// The private part was not sealed with this key, or somebody changed it.
    #[error("the token is not authentic")]
    Forged,
}

/// What a token shall say.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'grant> {
    /// Names the game, its build and its messages; both sides must agree on it.
    pub protocol_id: u64,
    /// Unique for each connection attempt.
    pub client_id: u64,
    /// Seconds since 1970.
    pub created: u64,
    /// How long the token may be presented, in whole seconds.
    pub lifetime: Duration,
    /// Seconds without a packet after which either side gives up.
    pub timeout_seconds: i32,
    /// Where the client finds the server: the addresses of one server, in order of preference.
    pub servers: &'grant [SocketAddr],
    /// For the game server; see [`UserData`](crate::UserData).
    pub user_data: &'grant [u8; USER_DATA_BYTES],
}

/// A token as the client holds it.
///
/// One token makes one connection: it cannot be copied, so that its keys are never used twice.
#[derive(PartialEq, Eq)]
pub struct ConnectToken {
    /// Names the game, its build and its messages.
    pub protocol_id: u64,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970; the server takes the token before this second only.
    pub expires: u64,
    /// The nonce of the private part.
    pub nonce: [u8; TOKEN_NONCE_BYTES],
    /// The sealed private part.
    pub private: Box<[u8; PRIVATE_BYTES]>,
    /// Seconds without a packet after which the client gives up; 0 or less: never.
    pub timeout_seconds: i32,
    /// Where the client finds the server.
    pub servers: Vec<SocketAddr>,
    /// Seals what the client sends.
    pub client_to_server: Key,
    /// Seals what the server sends.
    pub server_to_client: Key,
}

impl ConnectToken {
    /// Makes a token that only the holder of `key` can open, with session keys from `random`.
    pub fn generate(
        grant: &Grant<'_>,
        key: &Key,
        random: &mut impl RandomSource,
    ) -> Result<Self, Error> {
        if !(1..=MAX_SERVERS).contains(&grant.servers.len()) {
            return Err(Error::Servers(grant.servers.len()));
        }
        let expires = grant.created.saturating_add(grant.lifetime.as_secs());
        let nonce = random::array(random)?;
        let private = PrivateToken {
            client_id: grant.client_id,
            timeout_seconds: grant.timeout_seconds,
            servers: grant.servers.to_vec(),
            client_to_server: Key::of_session(random::array(random)?),
            server_to_client: Key::of_session(random::array(random)?),
            user_data: *grant.user_data,
        };
        Ok(Self {
            protocol_id: grant.protocol_id,
            created: grant.created,
            expires,
            nonce,
            private: private.seal(grant.protocol_id, expires, &nonce, key)?,
            timeout_seconds: grant.timeout_seconds,
            servers: private.servers,
            client_to_server: private.client_to_server,
            server_to_client: private.server_to_client,
        })
    }

    /// Writes the standard's form, zero-padded.
    pub fn write_standard(&self) -> Result<Zeroizing<[u8; TOKEN_BYTES]>, Error> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let mut writer = Writer::new(bytes.as_mut_slice());
        self.write(&mut writer, Groups::Standard);
        writer.finish().ok_or(Error::Length)?;
        Ok(bytes)
    }

    /// Writes what renet's `ConnectToken::read` takes: the client id in front, no padding, and
    /// IPv6 addresses in network order.
    pub fn write_renet(&self, client_id: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
        let room = 8 + FIXED_BYTES + self.servers.len() * ADDRESS_BYTES;
        let mut bytes = Zeroizing::new(vec![0; room]);
        let mut writer = Writer::new(&mut bytes);
        writer.put(&client_id.to_le_bytes());
        self.write(&mut writer, Groups::Network);
        let length = writer.finish().ok_or(Error::Length)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Reads the standard's form.
    pub fn read_standard(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != TOKEN_BYTES {
            return Err(Error::Length);
        }
        Self::read(&mut Reader::new(bytes), Groups::Standard)
    }

    /// Reads renet's form: the client id and the token.
    pub fn read_renet(bytes: &[u8]) -> Result<(u64, Self), Error> {
        let mut reader = Reader::new(bytes);
        let client_id = reader.u64().ok_or(Error::Length)?;
        let token = Self::read(&mut reader, Groups::Network)?;
        if !reader.rest().is_empty() {
            return Err(Error::Length);
        }
        Ok((client_id, token))
    }

    fn write(&self, writer: &mut Writer<'_>, groups: Groups) {
        writer.put(&VERSION);
        writer.put(&self.protocol_id.to_le_bytes());
        writer.put(&self.created.to_le_bytes());
        writer.put(&self.expires.to_le_bytes());
        writer.put(&self.nonce);
        writer.put(self.private.as_slice());
        writer.put(&self.timeout_seconds.to_le_bytes());
        write_servers(writer, &self.servers, groups);
        writer.put(self.client_to_server.expose());
        writer.put(self.server_to_client.expose());
    }

    fn read(reader: &mut Reader<'_>, groups: Groups) -> Result<Self, Error> {
        if *reader.array::<VERSION_BYTES>().ok_or(Error::Length)? != VERSION {
            return Err(Error::Version);
        }
        let protocol_id = reader.u64().ok_or(Error::Length)?;
        let created = reader.u64().ok_or(Error::Length)?;
        let expires = reader.u64().ok_or(Error::Length)?;
        if created > expires {
            return Err(Error::Times);
        }
        Ok(Self {
            protocol_id,
            created,
            expires,
            nonce: *reader.array().ok_or(Error::Length)?,
            private: Box::new(*reader.array().ok_or(Error::Length)?),
            timeout_seconds: reader.i32().ok_or(Error::Length)?,
            servers: read_servers(reader, groups)?,
            client_to_server: Key::of_session(*reader.array().ok_or(Error::Length)?),
            server_to_client: Key::of_session(*reader.array().ok_or(Error::Length)?),
        })
    }
}

impl fmt::Debug for ConnectToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectToken")
            .field("protocol_id", &self.protocol_id)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("timeout_seconds", &self.timeout_seconds)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// What only backend and server can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateToken {
    /// Unique for each connection attempt.
    pub client_id: u64,
    /// Seconds without a packet after which either side gives up; 0 or less: never.
    pub timeout_seconds: i32,
    /// The addresses of the server that may take the token.
    pub servers: Vec<SocketAddr>,
    /// Seals what the client sends.
    pub client_to_server: Key,
    /// Seals what the server sends.
    pub server_to_client: Key,
    /// For the game server.
    pub user_data: [u8; USER_DATA_BYTES],
}

impl PrivateToken {
    /// Writes and seals the private part.
    pub fn seal(
        &self,
        protocol_id: u64,
        expires: u64,
        nonce: &[u8; TOKEN_NONCE_BYTES],
        key: &Key,
    ) -> Result<Box<[u8; PRIVATE_BYTES]>, Error> {
        // Until it is sealed this holds secrets, but sealing happens in place.
        let mut bytes = Box::new([0; PRIVATE_BYTES]);
        let mut writer = Writer::new(&mut bytes[..PRIVATE_BYTES - TAG_BYTES]);
        writer.put(&self.client_id.to_le_bytes());
        writer.put(&self.timeout_seconds.to_le_bytes());
        write_servers(&mut writer, &self.servers, Groups::Standard);
        writer.put(self.client_to_server.expose());
        writer.put(self.server_to_client.expose());
        writer.put(&self.user_data);
        writer.finish().ok_or(Error::Length)?;
        let associated = associated_data(protocol_id, expires);
        aead::seal_token(key, nonce, &associated, bytes.as_mut_slice()).map_err(|_| Error::Seal)?;
        Ok(bytes)
    }

    /// Opens and reads a sealed private part, which stays as it is.
    pub fn open(
        sealed: &[u8; PRIVATE_BYTES],
        protocol_id: u64,
        expires: u64,
        nonce: &[u8; TOKEN_NONCE_BYTES],
        key: &Key,
    ) -> Result<Self, Error> {
        let mut opened = Zeroizing::new([0; PRIVATE_BYTES - TAG_BYTES]);
        let associated = associated_data(protocol_id, expires);
        aead::open_token(key, nonce, &associated, sealed, opened.as_mut_slice())
            .map_err(|_| Error::Forged)?;
        Self::read(opened.as_slice())
    }

    /// Reads an opened private part; what follows the last field is padding.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new(bytes);
        Ok(Self {
            client_id: reader.u64().ok_or(Error::Length)?,
            timeout_seconds: reader.i32().ok_or(Error::Length)?,
            servers: read_servers(reader, Groups::Standard)?,
            client_to_server: Key::of_session(*reader.array().ok_or(Error::Length)?),
            server_to_client: Key::of_session(*reader.array().ok_or(Error::Length)?),
            user_data: *reader.array().ok_or(Error::Length)?,
        })
    }
}

/// Travels in the clear beside the private part, and cannot be changed without breaking its seal.
fn associated_data(protocol_id: u64, expires: u64) -> [u8; VERSION_BYTES + 16] {
    let mut bytes = [0; VERSION_BYTES + 16];
    bytes[..VERSION_BYTES].copy_from_slice(&VERSION);
    bytes[VERSION_BYTES..VERSION_BYTES + 8].copy_from_slice(&protocol_id.to_le_bytes());
    bytes[VERSION_BYTES + 8..].copy_from_slice(&expires.to_le_bytes());
    bytes
}

fn write_servers(writer: &mut Writer<'_>, servers: &[SocketAddr], groups: Groups) {
    // Longer lists than the standard allows do not fit and are reported by the writer.
    let count = u32::try_from(servers.len()).unwrap_or(u32::MAX);
    writer.put(&count.to_le_bytes());
    for server in servers {
        writer.address(*server, groups);
    }
}

fn read_servers(reader: &mut Reader<'_>, groups: Groups) -> Result<Vec<SocketAddr>, Error> {
    let count = reader.u32().ok_or(Error::Length)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if !(1..=MAX_SERVERS).contains(&count) {
        return Err(Error::Servers(count));
    }
    (0..count)
        .map(|_| reader.address(groups).ok_or(Error::Address))
        .collect()
}
