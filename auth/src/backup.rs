//! Backups: `auth backup DEST` and `auth restore SRC`, as library functions, and the copies of the
//! live sessions that every few minutes go to object storage.
//!
//! A backup is a folder of an [`Archive`]: the database as PostgreSQL's own tools write it, the
//! sessions of Valkey, and a [`Manifest`] with their checksums that is written last. A folder
//! without a manifest is not a backup. Restoring reads everything and compares the checksums
//! before it touches anything.
//!
//! What a backup cannot bring back is time: sessions that were ended after it was made would be
//! live again. The sessions are therefore asked about before they are put back
//! ([`restore::Restore::keep`]); the database is the truth.

pub mod archive;
pub mod copies;
pub mod database;
pub mod restore;
pub mod sessions;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use archive::Archive;
pub use database::Database;
pub use sessions::Valkey;

/// Why a backup or its restoration failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A place or an address is not one.
    #[error("{0} is not valid: {1}")]
    Invalid(&'static str, String),
    /// The archive does not do what it should.
    #[error("the archive failed")]
    Archive(#[from] object_store::Error),
    /// A file or a program's pipe does not do what it should.
    #[error("reading or writing failed: {0}")]
    Io(&'static str, #[source] std::io::Error),
    /// The database does not answer, or not well.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Valkey does not answer, or not well.
    #[error("Valkey failed")]
    Valkey(#[from] redis::RedisError),
    /// The store could not say which sessions are live.
    #[error("the store failed")]
    Store(#[from] crate::store::Error),
    /// PostgreSQL's program is missing or of another version than the server.
    #[error(
        "{program}: {problem}; the server is PostgreSQL {server}: install its client programs, or name their folder"
    )]
    Program {
        /// Which.
        program: &'static str,
        /// The major version of the server.
        server: u32,
        /// What is wrong.
        problem: String,
    },
    /// PostgreSQL's program failed.
    #[error("{program} failed ({status}): {text}")]
    Failed {
        /// Which.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it said.
        text: String,
    },
    /// It took longer than allowed.
    #[error("it took longer than {0:?}")]
    TimeLimit(Duration),
    /// There is more than allowed.
    #[error("there are more than {0} {1}")]
    TooMuch(u64, &'static str),
    /// There is no backup of that name, or none at all.
    #[error("there is no backup there")]
    NoBackup,
    /// The manifest is of a version that we do not know, or no manifest.
    #[error("the manifest cannot be read: {0}")]
    Manifest(String),
    /// A file is not what was written.
    #[error("{0} is damaged: its checksum is another")]
    Damaged(&'static str),
    /// The database has tables, and nobody said that they may go.
    #[error("the database is not empty: it has {0} tables and the like")]
    NotEmpty(i64),
}

/// A file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum File {
    /// PostgreSQL's custom format.
    #[serde(rename = "database.dump")]
    Database,
    /// One line of JSON for each key.
    #[serde(rename = "sessions.jsonl")]
    Sessions,
}

impl File {
    /// Its name in the folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database.dump",
            Self::Sessions => "sessions.jsonl",
        }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Where.
    pub file: File,
    /// How much.
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Where in the write-ahead log the dump is: it shows the state of a moment between the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wal {
    /// Before the dump began.
    pub from: String,
    /// After it ended.
    pub to: String,
}

/// What a backup is. `manifest.json` of its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form: [`Manifest::FORMAT`].
    pub format: u32,
    /// When it was begun.
    pub made: Timestamp,
    /// The major version of the PostgreSQL that was dumped.
    pub postgresql: Option<u32>,
    /// The position of the dump.
    pub wal: Option<Wal>,
    /// How many keys of Valkey.
    pub keys: Option<u64>,
    /// The files.
    pub files: Vec<Written>,
}

impl Manifest {
    /// The form that is written, and the only one that is read.
    pub const FORMAT: u32 = 1;

    /// What was written of a file.
    pub fn file(&self, file: File) -> Option<&Written> {
        self.files.iter().find(|written| written.file == file)
    }
}

/// Writes a backup of what is given, and returns its name and manifest.
pub async fn backup(
    now: Timestamp,
    archive: &Archive,
    database: Option<&Database>,
    valkey: Option<&Valkey>,
) -> Result<(String, Manifest), Error> {
    let name = archive::name(now);
    let mut manifest = Manifest {
        format: Manifest::FORMAT,
        made: now,
        postgresql: None,
        wal: None,
        keys: None,
        files: Vec::new(),
    };
    if let Some(database) = database {
        let mut sink = archive.create(&name, File::Database);
        let dumped = database.dump(&mut sink).await;
        let (version, wal) = sink.keep_if(dumped, &mut manifest.files).await?;
        manifest.postgresql = Some(version);
        manifest.wal = Some(wal);
    }
    if let Some(valkey) = valkey {
        let mut sink = archive.create(&name, File::Sessions);
        let exported = valkey.export(&mut sink).await;
        manifest.keys = Some(sink.keep_if(exported, &mut manifest.files).await?);
    }
    archive.put_manifest(&name, &manifest).await?;
    tracing::info!(name, keys = manifest.keys, "Made a backup");
    Ok((name, manifest))
}
