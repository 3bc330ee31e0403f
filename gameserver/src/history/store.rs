//! Where blocks are kept: what a store can do, and which there are.

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use simulation::tick::Tick;

use crate::history::block::{Block, MatchId};
use crate::history::database::{Database, DatabaseUrl};
use crate::history::directory::Directory;

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{} failed", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
    /// A file has the name of a history and is none.
    #[error("{} is not the history of this match", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The database failed, or could not be reached.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The database does not answer.
    #[error("the database did not answer in time")]
    TimedOut,
    /// It cannot be a database's.
    #[error("that is no URL as postgres://user:password@host:5432/database")]
    Url,
    /// The machine gave no event loop.
    #[error("the connection to a database could not be set up")]
    Runtime(#[source] std::io::Error),
}

impl Error {
    /// Whether another try cannot help: it is these blocks that are not wanted.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Foreign { .. } => true,
            // Data that is not valid, and constraints that somebody added.
            Self::Database(sqlx::Error::Database(error)) => error
                .code()
                .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
            Self::File { .. }
            | Self::Database(_)
            | Self::TimedOut
            | Self::Url
            | Self::Runtime(_) => false,
        }
    }
}

/// Takes blocks.
pub trait Store: Send {
    /// Writes the first of the blocks, of which there is at least one, and returns how many; trying
    /// no longer than `limit` where the system lets it. After an error none of them counts as
    /// written, and writing them again does no harm.
    fn write(&mut self, blocks: &[&Block], limit: Duration) -> Result<usize, Error>;
}

/// What is known of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub match_id: MatchId,
    /// When its first block begins.
    pub first: Timestamp,
    /// When its last block begins.
    pub last: Timestamp,
    /// Frames.
    pub ticks: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

/// Ticks, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: Tick,
    /// The last.
    pub to: Tick,
}

impl Range {
    /// Whether a block has any of these ticks.
    pub fn touches(&self, block: &Block) -> bool {
        let end = u64::from(block.start.0) + u64::from(block.ticks);
        block.start <= self.to && end > u64::from(self.from.0)
    }
}

/// Where the blocks of a match cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Bytes that are whole.
    pub position: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} is torn or damaged at byte {}: the rest is left out",
            self.path.display(),
            self.position
        )
    }
}

/// Gives blocks back.
pub trait Archive {
    /// Matches that were still recorded at `since` or later, the latest first, at most `most`.
    fn matches(&mut self, since: Option<Timestamp>, most: usize) -> Result<Vec<Summary>, Error>;

    /// Shows the blocks of a match that touch the range, in the order in which they were taken,
    /// until `visit` has seen enough; none if the match is not known. Returns what could not be
    /// shown, if that is known.
    fn visit(
        &mut self,
        match_id: MatchId,
        range: Range,
        visit: &mut dyn FnMut(&Block) -> ControlFlow<()>,
    ) -> Result<Option<Damage>, Error>;
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One file per match in a directory.
    Directory(PathBuf),
    /// TimescaleDB, or PostgreSQL alone.
    Database(DatabaseUrl),
}

impl Place {
    /// To write there. A database need not be reachable yet.
    pub fn store(&self) -> Result<Box<dyn Store>, Error> {
        Ok(match self {
            Self::Directory(path) => Box::new(Directory::create(path)?),
            Self::Database(url) => Box::new(Database::new(url)?),
        })
    }

    /// To read there.
    pub fn archive(&self) -> Result<Box<dyn Archive>, Error> {
        Ok(match self {
            Self::Directory(path) => Box::new(Directory::open(path)),
            Self::Database(url) => Box::new(Database::new(url)?),
        })
    }
}
