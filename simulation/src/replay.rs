//! Recorded matches: what an arena was told, and what became of it.
//!
//! A log is a [`Header`] and then, tick by tick, the commands, the inputs and the hash of the state
//! after the tick. It contains no positions: whoever has the same build gets them by playing it
//! back, and the hashes say whether they are the same. That makes a log the proof that the
//! simulation is deterministic, the reproduction of a crash, and the evidence against a cheat.
//! States are not stored, so that a log is played from its start.
//!
//! Inputs are written as differences to the last one of the same player: about five bytes per
//! player and tick.

mod bytes;
mod input;

use self::bytes::{Reader, Writer};
use self::input::Deltas;
use crate::arena::{Arena, ArenaConfig, Command, Inputs};
use crate::entity::PlayerSlot;
use crate::level::Level;
use crate::rules::{Rules, Team};
use crate::tick::Tick;

/// What a log begins with; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"MUSTER\x00\x01";

const TICK: u8 = 0;
const JOIN: u8 = 1;
const LEAVE: u8 = 2;
const LOST: u8 = 3;
const REWIND: u8 = 4;

/// Why a log cannot be played back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin as one.
    #[error("not a recorded match, or one of another version")]
    Magic,
    /// It ends within a record.
    #[error("cut short at byte {0}")]
    CutShort(usize),
    /// Something in it is out of range.
    #[error("malformed at byte {0}")]
    Malformed(usize),
    /// This build generates another level from the same seed.
    #[error("recorded in level {recorded:016x}, but this build has {generated:016x}")]
    OtherLevel {
        /// The hash of the level in the log.
        recorded: u64,
        /// The hash of the level that was generated.
        generated: u64,
    },
    /// A command that was accepted when recorded is refused.
    #[error("a recorded command is refused")]
    Refused(#[from] crate::arena::Error),
}

/// How a match was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The build of the server; only the same one is sure to play it back.
    pub build: u64,
    /// The hash of the level.
    pub level: u64,
    /// The configuration.
    pub config: ArenaConfig,
}

/// Writes a log beside the arena it is about.
#[derive(Debug)]
pub struct Recorder {
    writer: Writer,
    deltas: Deltas,
}

impl Recorder {
    /// Begins the log of an arena before its first tick.
    pub fn new(build: u64, arena: &Arena) -> Self {
        let mut writer = Writer::default();
        let config = arena.config();
        writer.raw(&MAGIC);
        writer.word(build);
        writer.word(arena.level().hash());
        write_config(&mut writer, config);
        Self {
            writer,
            deltas: Deltas::new(config.capacity),
        }
    }

    /// Records a command that the arena accepted.
    pub fn command(&mut self, command: Command) {
        let (kind, slot, value) = match command {
            Command::Join { slot, team } => {
                (JOIN, slot, team.map_or(0, |team| u32::from(team.0) + 1))
            }
            Command::Leave { slot } => (LEAVE, slot, 0),
            Command::Lost { slot, lost } => (LOST, slot, u32::from(lost)),
            Command::Rewind { slot, ticks } => (REWIND, slot, u32::from(ticks)),
        };
        self.writer.byte(kind);
        self.writer.number(u32::from(slot.0));
        self.writer.number(value);
    }

    /// Records a tick: its inputs, and [`Arena::hash`] after it.
    pub fn tick(&mut self, inputs: &Inputs, hash: u64) {
        self.writer.byte(TICK);
        self.deltas.write(&mut self.writer, inputs);
        self.writer.word(hash);
    }

    /// The log since its begin, or since the last [`Recorder::clear`].
    pub fn bytes(&self) -> &[u8] {
        self.writer.bytes()
    }

    /// Drops what was already stored; the buffer is used again.
    pub fn clear(&mut self) {
        self.writer.clear();
    }
}

/// A tick in which a match played back became another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divergence {
    /// Which.
    pub tick: Tick,
    /// The hash in the log.
    pub recorded: u64,
    /// The hash of the state now.
    pub replayed: u64,
}

/// What one step of a playback gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The tick went as recorded.
    Same,
    /// It did not, and nothing after it means anything.
    Diverged(Divergence),
    /// The log is at its end; there was no tick.
    End,
}

/// A match that is played back, tick by tick.
#[derive(Debug)]
pub struct Playback<'a> {
    header: Header,
    arena: Arena,
    inputs: Inputs,
    deltas: Deltas,
    reader: Reader<'a>,
}

impl<'a> Playback<'a> {
    /// Reads the header of a log and makes its arena.
    ///
    /// # Errors
    ///
    /// If it is not a log, or this build makes another level of it.
    pub fn open(log: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(log);
        if reader.raw(MAGIC.len()).is_none_or(|magic| magic != MAGIC) {
            return Err(Error::Magic);
        }
        let header = Header {
            build: reader.word()?,
            level: reader.word()?,
            config: read_config(&mut reader)?,
        };
        // The level alone first: an arena of a level that nobody recorded is not worth its time.
        let generated = Level::generate(header.config.seed, header.config.capacity).hash();
        if generated != header.level {
            return Err(Error::OtherLevel {
                recorded: header.level,
                generated,
            });
        }
        let arena = Arena::new(&header.config);
        Ok(Self {
            inputs: Inputs::new(arena.config().capacity),
            deltas: Deltas::new(arena.config().capacity),
            header,
            arena,
            reader,
        })
    }

    /// How the match was made.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The match after the last step.
    pub const fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Plays the next tick.
    ///
    /// # Errors
    ///
    /// If the log is damaged there. Playing on gives nothing of worth.
    pub fn step(&mut self) -> Result<Step, Error> {
        loop {
            if self.reader.is_at_end() {
                return Ok(Step::End);
            }
            let kind = self.reader.byte()?;
            if kind == TICK {
                break;
            }
            let command = self.command(kind)?;
            self.arena.apply(command)?;
        }
        self.deltas.read(&mut self.reader, &mut self.inputs)?;
        let recorded = self.reader.word()?;
        self.arena.step(&self.inputs);
        let replayed = self.arena.hash();
        Ok(if recorded == replayed {
            Step::Same
        } else {
            Step::Diverged(Divergence {
                tick: self.arena.tick(),
                recorded,
                replayed,
            })
        })
    }

    fn command(&mut self, kind: u8) -> Result<Command, Error> {
        let slot = PlayerSlot(self.reader.small()?);
        let value: u16 = self.reader.small()?;
        let malformed = self.reader.malformed();
        let byte = u8::try_from(value);
        Ok(match kind {
            JOIN if value == 0 => Command::Join { slot, team: None },
            JOIN => {
                let team = u8::try_from(value - 1).map_err(|_| malformed)?;
                let team = Some(Team(team));
                Command::Join { slot, team }
            }
            LEAVE => Command::Leave { slot },
            LOST => Command::Lost {
                slot,
                lost: value != 0,
            },
            REWIND => Command::Rewind {
                slot,
                ticks: byte.map_err(|_| malformed)?,
            },
            _ => return Err(malformed),
        })
    }
}

/// Plays a log to its end, or to where it diverges. Returns the match as it is then, and the
/// divergence.
///
/// # Errors
///
/// If the log cannot be played back.
pub fn replay(log: &[u8]) -> Result<(Arena, Option<Divergence>), Error> {
    let mut playback = Playback::open(log)?;
    let divergence = loop {
        match playback.step()? {
            Step::Same => {}
            Step::Diverged(divergence) => break Some(divergence),
            Step::End => break None,
        }
    };
    Ok((playback.arena, divergence))
}

fn write_config(writer: &mut Writer, config: &ArenaConfig) {
    let rules = &config.rules;
    writer.word(config.seed);
    for number in [
        u32::from(config.capacity),
        u32::from(config.props),
        u32::from(rules.min_players),
        rules.wait_ticks,
        rules.countdown_ticks,
        rules.time_limit_ticks,
        u32::from(rules.score_limit),
        rules.abandon_ticks,
        rules.respawn_ticks,
        u32::from(rules.late_join),
    ] {
        writer.number(number);
    }
}

fn read_config(reader: &mut Reader<'_>) -> Result<ArenaConfig, Error> {
    Ok(ArenaConfig {
        seed: reader.word()?,
        capacity: reader.small()?,
        props: reader.small()?,
        rules: Rules {
            min_players: reader.small()?,
            wait_ticks: reader.number()?,
            countdown_ticks: reader.number()?,
            time_limit_ticks: reader.number()?,
            score_limit: reader.small()?,
            abandon_ticks: reader.number()?,
            respawn_ticks: reader.number()?,
            late_join: reader.number()? != 0,
        },
    })
}
