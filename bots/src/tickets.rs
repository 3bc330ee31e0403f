//! Where the bots' connect tokens come from.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use netcode::{ConnectToken, Grant, Key, ProtocolId, RandomSource, SystemRandom, UserData};

use crate::allocation::{self, Order};

/// How long a token that we mint may be presented. As long as the server's own, the longest that
/// servers with a key from a file take.
const LIFETIME: Duration = Duration::from_mins(1);

/// Seconds without a packet after which either side gives up.
const TIMEOUT_SECONDS: i32 = 5;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("reading {path} failed")]
    Read {
        /// Which.
        path: String,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
    /// A line is no token.
    #[error("line {0} is no connect token in base64")]
    Line(usize),
    /// A file holds too few tokens.
    #[error("{wanted} tokens are needed, and {found} are left")]
    TooFew {
        /// How many are needed.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The file holds no key.
    #[error("the key cannot be used")]
    Key(#[from] netcode::keys::Error),
    /// No token could be minted.
    #[error("the token could not be minted")]
    Mint(#[from] netcode::token::Error),
    /// No random bytes for it.
    #[error("the token has no ids")]
    Random(#[from] netcode::random::Error),
    /// The platform gave none.
    #[error(transparent)]
    Allocation(#[from] allocation::Error),
}

/// Connect tokens, as many as there are.
#[derive(Debug)]
pub enum Tickets {
    /// Tokens that somebody else minted.
    Given(Vec<Vec<u8>>),
    /// The key of a server in development: the bots mint their own.
    Minted(Mint),
    /// The platform: whenever tokens are taken, they are those of a new allocation.
    Allocated(Order),
}

/// What is needed to mint tokens for a server.
#[derive(Debug)]
pub struct Mint {
    /// The key of the server.
    pub key: Key,
    /// Names the game; the server must say the same.
    pub protocol_id: ProtocolId,
    /// Where the server is.
    pub server: SocketAddr,
    /// The match; the first player brings it to a server without a platform.
    pub match_id: [u8; 16],
    /// What the game reads in every token: nothing, or [`netcode::user_data::SPECTATOR`].
    pub flags: u16,
}

impl Tickets {
    /// Reads tokens, one per line in base64; empty lines are none.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let text = String::from_utf8_lossy(&text);
        Ok(Self::Given(parse(&text)?))
    }

    /// The next tokens, each once.
    pub fn take(&mut self, count: usize, unix_seconds: u64) -> Result<Vec<Vec<u8>>, Error> {
        match self {
            Self::Given(tokens) if tokens.len() < count => Err(Error::TooFew {
                wanted: count,
                found: tokens.len(),
            }),
            Self::Given(tokens) => Ok(tokens.drain(..count).collect()),
            Self::Minted(mint) => (0..count).map(|_| mint.token(unix_seconds)).collect(),
            Self::Allocated(order) => Ok(allocation::allocate(order, count)?.tokens),
        }
    }
}

impl Mint {
    /// Reads the key from a file: 32 bytes, or 64 hexadecimal digits.
    pub fn read_key(path: &Path) -> Result<Key, Error> {
        Ok(Key::from_file(&read(path)?)?)
    }

    /// A new match for its players.
    pub fn new_match(&mut self) -> Result<(), Error> {
        SystemRandom.fill(&mut self.match_id)?;
        Ok(())
    }

    /// A token for a new player.
    fn token(&self, unix_seconds: u64) -> Result<Vec<u8>, Error> {
        let mut user_data = UserData {
            match_id: self.match_id,
            flags: self.flags,
            ..UserData::default()
        };
        SystemRandom.fill(&mut user_data.session_id)?;
        SystemRandom.fill(&mut user_data.player_id)?;
        let mut client_id = [0; 8];
        SystemRandom.fill(&mut client_id)?;
        let grant = Grant {
            protocol_id: self.protocol_id.0,
            client_id: u64::from_le_bytes(client_id),
            created: unix_seconds,
            lifetime: LIFETIME,
            timeout_seconds: TIMEOUT_SECONDS,
            servers: &[self.server],
            user_data: &user_data.encode(),
        };
        let token = ConnectToken::generate(&grant, &self.key, &mut SystemRandom)?;
        Ok(token.write_standard()?.to_vec())
    }
}

/// Tokens of a text, one per line.
pub fn parse(text: &str) -> Result<Vec<Vec<u8>>, Error> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| {
            let token = STANDARD.decode(line).map_err(|_| Error::Line(number))?;
            ConnectToken::read_standard(&token).map_err(|_| Error::Line(number))?;
            Ok(token)
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_minted_written_and_read_back_each_once() {
        let mut minted = Tickets::Minted(Mint {
            key: Key::new([3; 32]).unwrap(),
            protocol_id: ProtocolId(7),
            server: "127.0.0.1:7777".parse().unwrap(),
            match_id: [1; 16],
            flags: 0,
        });
        let tokens = minted.take(3, 1_000).unwrap();
        let lines: Vec<_> = tokens.iter().map(|token| STANDARD.encode(token)).collect();
        let text = format!("\n{}\n\n", lines.join("\n"));
        let mut given = Tickets::Given(parse(&text).unwrap());
        assert_eq!(given.take(2, 0).unwrap(), tokens[..2]);
        assert!(matches!(
            given.take(2, 0),
            Err(Error::TooFew {
                wanted: 2,
                found: 1
            })
        ));
        assert!(matches!(parse("\nabcd\n"), Err(Error::Line(2))));
    }
}
