//! Restoring: everything is read and compared first, then the database is replaced in one
//! transaction, then the sessions that are still live go back to Valkey.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use tokio::io::BufReader;

use super::sessions::{Imported, Keep};
use super::{Archive, Database, Error, File, Manifest, Valkey};

/// What is to be restored, and where to.
#[derive(Clone, Copy)]
pub struct Restore<'a> {
    /// Where backups are.
    pub archive: &'a Archive,
    /// Which; the newest when there is no name.
    pub name: Option<&'a str>,
    /// Where the database goes; it is left out when there is none.
    pub database: Option<&'a Database>,
    /// The database may have tables already: those of the backup are replaced.
    pub replace: bool,
    /// Where the sessions go; they are left out when there is none.
    pub valkey: Option<&'a Valkey>,
    /// Whether a session is still live, asked of the database after it was restored.
    pub keep: Keep<'a>,
    /// A folder with room for the dump.
    pub scratch: &'a Path,
}

impl std::fmt::Debug for Restore<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Restore")
            .field("name", &self.name)
            .field("replace", &self.replace)
            .finish_non_exhaustive()
    }
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Which backup.
    pub name: String,
    /// What it is.
    pub manifest: Manifest,
    /// What became of the sessions.
    pub sessions: Option<Imported>,
}

/// A file that is gone when this is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "A scratch file could not be removed");
        }
    }
}

/// Numbers the scratch files of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Restore<'_> {
    /// Copies a file of the backup here; it is whole and as it was written.
    async fn fetch(&self, name: &str, manifest: &Manifest, file: File) -> Result<Scratch, Error> {
        let written = manifest
            .file(file)
            .ok_or_else(|| Error::Invalid("the backup", format!("it has no {}", file.name())))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let path = self
            .scratch
            .join(format!("muster-{process}-{number}-{}", file.name()));
        // New and ours alone: it holds what the database holds.
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let opened = options.open(&path).await;
        let mut copy = opened.map_err(|error| Error::Io("a scratch file", error))?;
        let scratch = Scratch(path);
        self.archive.read(name, written, &mut copy).await?;
        Ok(scratch)
    }
}

/// Restores; nothing is touched unless all that is asked for is there and whole.
pub async fn restore(now: Timestamp, restore: &Restore<'_>) -> Result<Restored, Error> {
    let name = match restore.name {
        Some(name) => name.to_owned(),
        None => restore.archive.newest().await?,
    };
    let manifest = restore.archive.manifest(&name).await?;
    let dump = match restore.database {
        Some(database) => {
            let dump = restore.fetch(&name, &manifest, File::Database).await?;
            Some((database, dump))
        }
        None => None,
    };
    let sessions = match restore.valkey {
        Some(valkey) => {
            let sessions = restore.fetch(&name, &manifest, File::Sessions).await?;
            Some((valkey, sessions))
        }
        None => None,
    };
    tracing::info!(name, "Read a backup and found it whole");
    if let Some((database, dump)) = &dump {
        let relations = database.relations().await?;
        if relations != 0 && !restore.replace {
            return Err(Error::NotEmpty(relations));
        }
        database.restore(&dump.0, restore.replace).await?;
        tracing::info!(name, "Restored the database");
    }
    let mut imported = None;
    if let Some((valkey, sessions)) = &sessions {
        let file = tokio::fs::File::open(&sessions.0).await;
        let file = file.map_err(|error| Error::Io("a scratch file", error))?;
        let sessions = valkey
            .import(now, &mut BufReader::new(file), restore.keep)
            .await?;
        tracing::info!(name, ?sessions, "Restored the sessions");
        imported = Some(sessions);
    }
    Ok(Restored {
        name,
        manifest,
        sessions: imported,
    })
}
