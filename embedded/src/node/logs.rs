//! Logs of containers: files with one time-stamped line per line of output, as the kubelet's
//! runtimes write them (`TIME stdout F text`), and reading them back while they grow.
//!
//! Each run of a container has its own file, `NUMBER.log`. A file that has grown to
//! [`LIMIT`] becomes `NUMBER.log.1`, in place of an earlier one, and a new one begins: a
//! container that talks a lot keeps at most two files per run.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures::Stream;
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;

use crate::Clock;
use crate::kubelet::LogQuery;

/// Size at which a file is put aside.
const LIMIT: u64 = 10 << 20;
/// Longest line; the rest goes on in the next one, marked as a part.
const LONGEST_LINE: usize = 16 << 10;
/// How much is handed out at once.
const CHUNK: usize = 32 << 10;

/// Where the file of a run is.
pub(super) fn path(directory: &Path, number: i32) -> PathBuf {
    directory.join(format!("{number}.log"))
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// How far a log has come, for those who follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// How often a new file was begun.
    generation: u64,
    /// Size of the file.
    size: u64,
    /// Whether nothing comes any more.
    ended: bool,
}

/// The log of one run, for those who write it.
pub(super) struct Log {
    path: PathBuf,
    clock: Clock,
    limit: u64,
    file: Mutex<File>,
    progress: watch::Sender<Progress>,
}

impl Log {
    /// Begins the log of a run.
    pub(super) fn create(path: PathBuf, clock: Clock) -> io::Result<Self> {
        Self::with_limit(path, clock, LIMIT)
    }

    fn with_limit(path: PathBuf, clock: Clock, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let size = file.metadata()?.len();
        let progress = watch::Sender::new(Progress {
            size,
            ..Progress::default()
        });
        Ok(Self {
            path,
            clock,
            limit,
            file: Mutex::new(file),
            progress,
        })
    }

    /// For those who follow it.
    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Writes lines of one stream. `text` is whole lines, the last of which may lack its end.
    fn write(&self, stream: &str, tag: char, text: &[u8]) -> io::Result<()> {
        let time = stamp((self.clock)());
        let mut lines = Vec::with_capacity(text.len() + 64);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            lines.extend_from_slice(format!("{time} {stream} {tag} ").as_bytes());
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut progress = *self.progress.borrow();
        if progress.size > 0 && progress.size + lines.len() as u64 > self.limit {
            std::fs::rename(&self.path, aside(&self.path))?;
            *file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            progress.generation += 1;
            progress.size = 0;
        }
        file.write_all(&lines)?;
        progress.size += lines.len() as u64;
        self.progress.send_replace(progress);
        Ok(())
    }

    /// Copies what a process writes, until it ends.
    pub(super) async fn copy(&self, stream: &str, mut from: impl AsyncRead + Unpin) {
        let mut buffer: Vec<u8> = Vec::with_capacity(4096);
        let mut failed = false;
        let mut write = |tag: char, text: &[u8]| {
            if let Err(error) = self.write(stream, tag, text)
                && !failed
            {
                failed = true;
                tracing::warn!(path = %self.path.display(), %error, "Log could not be written");
            }
        };
        while let Ok(count) = from.read_buf(&mut buffer).await {
            if count == 0 {
                break;
            }
            if let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') {
                write('F', &buffer[..=end]);
                buffer.drain(..=end);
            }
            while buffer.len() >= LONGEST_LINE {
                write('P', &buffer[..LONGEST_LINE]);
                buffer.drain(..LONGEST_LINE);
            }
        }
        if !buffer.is_empty() {
            write('F', &buffer);
        }
    }

    /// The last lines, for the message of a container that failed.
    pub(super) fn tail(&self, lines: usize, bytes: usize) -> String {
        let query = LogQuery {
            tail_lines: Some(lines),
            ..LogQuery::default()
        };
        let mut text = Vec::new();
        if let Ok(mut reader) = Reader::open(&self.path, &query, (self.clock)(), None) {
            while let Ok(Some(chunk)) = reader.read() {
                text.extend_from_slice(&chunk);
            }
        }
        let start = text.len().saturating_sub(bytes);
        String::from_utf8_lossy(&text[start..]).into_owned()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }
}

fn stamp(now: Timestamp) -> String {
    format!("{now:.9}")
}

/// One line of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    time: &'a str,
    /// Whether the line of the container ends here.
    whole: bool,
    text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line without its end; none if it is not of our form.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let _stream = parts.next()?;
        let whole = parts.next()? == b"F";
        let text = parts.next()?;
        Some(Self { time, whole, text })
    }
}

/// Reads a log as a query wants it.
#[derive(Debug)]
struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    /// The file that comes after this one, to begin with.
    next: Option<File>,
    since: Option<Timestamp>,
    timestamps: bool,
    /// Bytes that may still be given.
    rest: Option<u64>,
    /// Generation of the file being read.
    generation: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    /// Whether the next line continues one that was given.
    continues: bool,
}

impl Reader {
    fn open(
        path: &Path,
        query: &LogQuery,
        now: Timestamp,
        progress: Option<Progress>,
    ) -> io::Result<Self> {
        let current = File::open(path)?;
        let older = File::open(aside(path)).ok();
        let since = query.since_seconds.and_then(|seconds| {
            let span = SignedDuration::from_secs(i64::try_from(seconds).ok()?);
            now.checked_sub(span).ok()
        });
        let files: Vec<File> = older.into_iter().chain([current]).collect();
        let mut files = match query.tail_lines {
            Some(lines) => tail(files, lines)?,
            None => files,
        };
        let (first, next) = if files.len() > 1 {
            let next = files.pop();
            (files.pop(), next)
        } else {
            (files.pop(), None)
        };
        let first = first.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::new(first),
            next,
            since,
            timestamps: query.timestamps,
            rest: query.limit_bytes,
            generation: progress.map_or(0, |progress| progress.generation),
            partial: Vec::new(),
            continues: false,
        })
    }

    /// The next lines; none at the end of what is there.
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut out = Vec::new();
        while out.len() < CHUNK && self.rest != Some(0) {
            let mut line = std::mem::take(&mut self.partial);
            self.file.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                self.partial = line;
                match self.next.take() {
                    Some(next) => {
                        self.partial.clear();
                        self.file = BufReader::new(next);
                        continue;
                    }
                    None => break,
                }
            }
            line.pop();
            let start = out.len();
            self.render(&line, &mut out);
            if let Some(rest) = &mut self.rest {
                let fresh = (out.len() - start) as u64;
                if fresh > *rest {
                    // The rest is smaller than what is in memory.
                    out.truncate(start + usize::try_from(*rest).unwrap_or(0));
                }
                *rest = rest.saturating_sub(fresh);
            }
        }
        Ok((!out.is_empty()).then(|| Bytes::from(out)))
    }

    fn render(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(line) = Line::parse(line) else {
            return;
        };
        if let Some(since) = self.since
            && line
                .time
                .parse::<Timestamp>()
                .is_ok_and(|time| time < since)
        {
            return;
        }
        if self.timestamps && !self.continues {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if line.whole {
            out.push(b'\n');
        }
        self.continues = !line.whole;
    }

    /// Goes on to the file that was begun since, if there is one.
    fn advance(&mut self, progress: Progress) -> io::Result<bool> {
        if progress.generation == self.generation {
            return Ok(false);
        }
        // Whoever is two files behind has lost the one between them.
        self.next = None;
        self.partial.clear();
        self.file = if progress.generation == self.generation + 1 {
            BufReader::new(File::open(&self.path)?)
        } else {
            self.next = File::open(&self.path).ok();
            BufReader::new(File::open(aside(&self.path))?)
        };
        self.generation = progress.generation;
        Ok(true)
    }
}

/// Positions files so that only the last lines remain; files before that are left out.
fn tail(files: Vec<File>, lines: usize) -> io::Result<Vec<File>> {
    let mut wanted = lines;
    let mut kept = Vec::new();
    for mut file in files.into_iter().rev() {
        let length = file.seek(SeekFrom::End(0))?;
        let (start, found) = last_lines(&mut file, length, wanted)?;
        file.seek(SeekFrom::Start(start))?;
        wanted -= found;
        kept.push(file);
        if wanted == 0 {
            break;
        }
    }
    kept.reverse();
    Ok(kept)
}

/// Where the last lines of a file begin, and how many there are of them.
fn last_lines(file: &mut File, length: u64, wanted: usize) -> io::Result<(u64, usize)> {
    if wanted == 0 || length == 0 {
        return Ok((length, 0));
    }
    let mut found = 0;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        io::Read::read_to_end(&mut io::Read::take(&mut *file, end - start), &mut block)?;
        for (index, byte) in block.iter().enumerate().rev() {
            let position = start + index as u64;
            // The end of the last line begins no other.
            if *byte == b'\n' && position + 1 < length {
                found += 1;
                if found == wanted {
                    return Ok((position + 1, found));
                }
            }
        }
        end = start;
    }
    Ok((0, found + 1))
}

/// Streams a log as a query wants it. `progress` is given while the log is being written.
pub(super) fn stream(
    path: &Path,
    query: &LogQuery,
    now: Timestamp,
    progress: Option<watch::Receiver<Progress>>,
) -> io::Result<impl Stream<Item = Bytes> + Send + use<>> {
    let seen = progress.as_ref().map(|progress| *progress.borrow());
    let reader = Reader::open(path, query, now, seen)?;
    let follow = progress.filter(|_| query.follow);
    Ok(futures::stream::unfold(
        (reader, follow),
        |(mut reader, mut follow)| async move {
            loop {
                // What is known to be written before reading is certain to be read.
                let known = follow
                    .as_mut()
                    .map(|progress| *progress.borrow_and_update());
                match reader.read() {
                    Ok(Some(bytes)) => return Some((bytes, (reader, follow))),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(path = %reader.path.display(), %error, "Log could not be read");
                        return None;
                    }
                }
                let progress = follow.as_mut()?;
                let known = known?;
                if reader.rest == Some(0) {
                    return None;
                }
                if reader.advance(known).ok()? {
                    continue;
                }
                if known.ended || progress.changed().await.is_err() {
                    // One more look: the last lines may have come with the end.
                    follow = None;
                }
            }
        },
    ))
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
