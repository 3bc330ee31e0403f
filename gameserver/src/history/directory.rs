//! A directory with one file per match, `<match>.history`.
//!
//! ```text
//!  file:    "MUSTERH1", the match's 16 bytes, records
//!  record:  u32 length of the payload, u32 start tick, u16 ticks, u16 format, i64 microseconds,
//!           payload, which begins with a checksum of all of it but the length
//! ```
//!
//! Little-endian. A record is appended by one write. What a crash left of one is cut off before the
//! next is appended, and a reader stops before it. Nothing is forced to the disk: a process that
//! dies loses nothing, a machine that does may lose the last seconds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use simulation::tick::Tick;

use crate::history::block::{Block, MOST_PAYLOAD, MatchId};
use crate::history::store::{Archive, Damage, Error, Range, Store, Summary};

const MAGIC: &[u8; 8] = b"MUSTERH1";
const FILE_HEAD: usize = 24;
const RECORD_HEAD: usize = 20;
const EXTENSION: &str = "history";

/// The directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The file that was written last, whole up to its end.
    current: Option<(MatchId, File)>,
    record: Vec<u8>,
}

impl Directory {
    /// To write; makes the directory.
    pub fn create(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|source| failed(path, source))?;
        Ok(Self::open(path))
    }

    /// To read.
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            current: None,
            record: Vec::new(),
        }
    }

    /// The file of a match.
    pub fn file(&self, match_id: MatchId) -> PathBuf {
        self.path.join(format!("{match_id}.{EXTENSION}"))
    }

    /// Opens the file of a match at the end of its last whole record.
    fn append_to(&self, match_id: MatchId) -> Result<File, Error> {
        let path = self.file(match_id);
        let fail = |source| failed(&path, source);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let end = match Records::open(&path, match_id)? {
            Some(mut records) => {
                while records.next(Depth::Whole).map_err(fail)?.is_some() {}
                records.position
            }
            None => 0,
        };
        if end < length {
            tracing::warn!(
                path = %path.display(),
                bytes = length - end,
                "Torn end of a history file was cut off"
            );
            file.set_len(end).map_err(fail)?;
        }
        if end == 0 {
            let mut head = MAGIC.to_vec();
            head.extend_from_slice(&match_id.0);
            file.write_all(&head).map_err(fail)?;
        }
        Ok(file)
    }
}

impl Store for Directory {
    fn write(&mut self, blocks: &[&Block], _limit: Duration) -> Result<usize, Error> {
        let Some(block) = blocks.first() else {
            return Ok(0);
        };
        // After a failure the file is opened anew, which cuts off what was written of the record.
        let mut file = match self.current.take() {
            Some((match_id, file)) if match_id == block.match_id => file,
            _ => self.append_to(block.match_id)?,
        };
        self.record.clear();
        let length = u32::try_from(block.payload.len()).unwrap_or(u32::MAX);
        self.record.extend_from_slice(&length.to_le_bytes());
        self.record.extend_from_slice(&block.start.0.to_le_bytes());
        self.record.extend_from_slice(&block.ticks.to_le_bytes());
        self.record.extend_from_slice(&block.format.to_le_bytes());
        self.record.extend_from_slice(&block.taken_at.to_le_bytes());
        self.record.extend_from_slice(&block.payload);
        file.write_all(&self.record)
            .map_err(|source| failed(&self.file(block.match_id), source))?;
        self.current = Some((block.match_id, file));
        Ok(1)
    }
}

impl Archive for Directory {
    fn matches(&mut self, since: Option<Timestamp>, most: usize) -> Result<Vec<Summary>, Error> {
        let fail = |source| failed(&self.path, source);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let is_history = path.extension().is_some_and(|end| end == EXTENSION);
            let Some(match_id) = name
                .and_then(|name| name.parse().ok())
                .filter(|_| is_history)
            else {
                continue;
            };
            let summary = summary(&path, match_id)?;
            found.extend(summary.filter(|found| since.is_none_or(|since| found.last >= since)));
        }
        found.sort_by_key(|summary| std::cmp::Reverse((summary.first, summary.match_id)));
        found.truncate(most);
        Ok(found)
    }

    fn visit(
        &mut self,
        match_id: MatchId,
        range: Range,
        visit: &mut dyn FnMut(&Block) -> ControlFlow<()>,
    ) -> Result<Option<Damage>, Error> {
        let path = self.file(match_id);
        let Some(mut records) = Records::open(&path, match_id)? else {
            return Ok(None);
        };
        loop {
            let next = records.next(Depth::Whole);
            let Some((block, _)) = next.map_err(|source| failed(&path, source))? else {
                let position = records.position;
                return Ok((position < records.length).then_some(Damage { path, position }));
            };
            if range.touches(&block) && visit(&block).is_break() {
                return Ok(None);
            }
        }
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

fn summary(path: &Path, match_id: MatchId) -> Result<Option<Summary>, Error> {
    let Some(mut records) = Records::open(path, match_id)? else {
        return Ok(None);
    };
    let mut summary: Option<Summary> = None;
    while let Some((block, length)) = records
        .next(Depth::Head)
        .map_err(|source| failed(path, source))?
    {
        // Out of range means damaged, and so not to be trusted.
        let Ok(taken_at) = Timestamp::from_microsecond(block.taken_at) else {
            break;
        };
        let sum = summary.get_or_insert(Summary {
            match_id,
            first: taken_at,
            last: taken_at,
            ticks: 0,
            bytes: 0,
        });
        sum.last = taken_at;
        sum.ticks += u64::from(block.ticks);
        sum.bytes += u64::from(length);
    }
    Ok(summary)
}

/// How much of a record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// Only what says how long it is; the payload is left empty.
    Head,
    /// All of it, and its checksum is verified.
    Whole,
}

/// The records of a file, up to the first that is not whole.
struct Records {
    match_id: MatchId,
    file: BufReader<File>,
    /// End of the last whole record.
    position: u64,
    length: u64,
}

impl Records {
    /// None if there is no such file, or nothing in it.
    fn open(path: &Path, match_id: MatchId) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(path, source)),
        };
        let fail = |source| failed(path, source);
        let length = file.metadata().map_err(fail)?.len();
        let mut file = BufReader::new(file);
        let Some(head) = read::<FILE_HEAD>(&mut file).map_err(fail)? else {
            return Ok(None);
        };
        if !head.starts_with(MAGIC) || !head.ends_with(&match_id.0) {
            return Err(Error::Foreign {
                path: path.to_owned(),
            });
        }
        Ok(Some(Self {
            match_id,
            file,
            position: FILE_HEAD as u64,
            length,
        }))
    }

    /// The next record and the length of its payload.
    fn next(&mut self, depth: Depth) -> io::Result<Option<(Block, u32)>> {
        let Some(head) = read::<RECORD_HEAD>(&mut self.file)? else {
            return Ok(None);
        };
        let [
            l0,
            l1,
            l2,
            l3,
            s0,
            s1,
            s2,
            s3,
            t0,
            t1,
            f0,
            f1,
            taken_at @ ..,
        ] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let end = self.position + (RECORD_HEAD as u64) + u64::from(length);
        if end > self.length || length as usize > MOST_PAYLOAD {
            return Ok(None);
        }
        let mut block = Block {
            match_id: self.match_id,
            start: Tick(u32::from_le_bytes([s0, s1, s2, s3])),
            ticks: u16::from_le_bytes([t0, t1]),
            taken_at: i64::from_le_bytes(taken_at),
            format: u16::from_le_bytes([f0, f1]),
            payload: Vec::new(),
        };
        match depth {
            Depth::Head => {
                self.file.seek_relative(i64::from(length))?;
            }
            Depth::Whole => {
                block.payload.resize(length as usize, 0);
                if !fill(&mut self.file, &mut block.payload)? || block.verify().is_err() {
                    return Ok(None);
                }
            }
        }
        self.position = end;
        Ok(Some((block, length)))
    }
}

fn read<const LENGTH: usize>(file: &mut impl Read) -> io::Result<Option<[u8; LENGTH]>> {
    let mut bytes = [0; LENGTH];
    Ok(fill(file, &mut bytes)?.then_some(bytes))
}

/// False if the file ends before.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
