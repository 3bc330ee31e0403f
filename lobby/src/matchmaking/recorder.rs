//! Writes what happens in a queue to files, so that other rules can be tried on it
//! ([`replay`](super::replay)). Who owns the queue waits for no disk: what is too fast is left out.
//!
//! Sessions and traces of players are not written.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use super::replay::{Line, Recorded};
use super::ticket::Ticket;
use crate::ids::SessionId;

/// Lines that wait to be written.
const WAITING: usize = 8192;

/// Lines that are written at once.
const BATCH: usize = 256;

/// How long the last lines may take.
const CLOSE: Duration = Duration::from_secs(2);

/// How much is kept of each queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a file at most; a line may go beyond.
    pub bytes: u64,
    /// Files at most: the oldest go.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024 * 1024,
            files: 8,
        }
    }
}

/// Writes one queue's recording.
#[derive(Debug)]
pub struct Recorder {
    lines: mpsc::Sender<Line>,
    writing: JoinHandle<()>,
}

impl Recorder {
    /// Writes files "queue.1700000000000.jsonl" into a directory, which is made if it is not there.
    pub fn start(directory: PathBuf, queue: &str, limits: Limits) -> Self {
        let (lines, written) = mpsc::channel(WAITING);
        let writer = Writer {
            directory,
            queue: queue.to_owned(),
            limits,
            file: None,
        };
        let writing = tokio::spawn(writer.run(written));
        Self { lines, writing }
    }

    /// Notes what happened; drops it when too much waits.
    pub fn record(&self, at: Timestamp, event: Recorded) {
        let event = match event {
            Recorded::Entered(ticket) => Recorded::Entered(anonymous(ticket)),
            other => other,
        };
        if self.lines.try_send(Line { at, event }).is_err() {
            tracing::warn!("A recording of a queue lacks a line");
        }
    }

    /// Writes what waits, and ends.
    pub async fn close(self) {
        drop(self.lines);
        if timeout(CLOSE, self.writing).await.is_err() {
            tracing::warn!("A recording of a queue lacks its end");
        }
    }
}

/// Without what nobody needs to know who tries rules.
fn anonymous(mut ticket: Ticket) -> Ticket {
    for player in &mut ticket.players {
        player.session = SessionId(Uuid::nil());
        player.trace_context.clear();
    }
    ticket
}

struct Writer {
    directory: PathBuf,
    queue: String,
    limits: Limits,
    /// With its size; none before the first line, and after an error.
    file: Option<(File, u64)>,
}

impl Writer {
    async fn run(mut self, mut lines: mpsc::Receiver<Line>) {
        let mut batch = Vec::new();
        while lines.recv_many(&mut batch, BATCH).await > 0 {
            if let Err(error) = self.write(&batch).await {
                tracing::warn!(%error, queue = self.queue, "A queue is not recorded");
                self.file = None;
            }
            batch.clear();
        }
    }

    async fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let limit = self.limits.bytes;
        let (mut file, size) = match self.file.take() {
            Some((file, size)) if size < limit => (file, size),
            Some(_) | None => (self.open(lines).await?, 0),
        };
        file.write_all(&text).await?;
        file.flush().await?;
        let written = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.file = Some((file, size.saturating_add(written)));
        Ok(())
    }

    /// A new file, named by the time of its first line.
    async fn open(&self, lines: &[Line]) -> io::Result<File> {
        fs::create_dir_all(&self.directory).await?;
        let first = lines.first().map_or(0, |line| line.at.as_millisecond());
        let name = format!("{}.{first:013}.jsonl", self.queue);
        let path = self.directory.join(name);
        let file = File::options().append(true).create(true).open(path).await?;
        self.remove_oldest().await?;
        Ok(file)
    }

    async fn remove_oldest(&self) -> io::Result<()> {
        let prefix = format!("{}.", self.queue);
        let mut names: Vec<OsString> = Vec::new();
        let mut entries = fs::read_dir(&self.directory).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            // Names of queues have no dots.
            if text.starts_with(&prefix) && text.ends_with(".jsonl") {
                names.push(name);
            }
        }
        names.sort();
        let surplus = names.len().saturating_sub(self.limits.files);
        for name in names.drain(..surplus) {
            fs::remove_file(self.directory.join(name)).await?;
        }
        Ok(())
    }
}
