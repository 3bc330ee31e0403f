//! `arena-replay`: lists the matches of a history, and plays one back as lines of JSON.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use simulation::entity::MAX_PLAYERS;
use simulation::frame::{EntityFlags, EntityState, WorldFrame, YAW_BITS};
use simulation::tick::{TICK_RATE, Tick};

use crate::history::block::{Block, Decoder, MatchId};
use crate::history::database::DatabaseUrl;
use crate::history::store::{self, Archive, Place, Range};

/// Names the variable that has the URL of a database.
pub const URL_VARIABLE: &str = "ARENA_HISTORY_URL";

/// Longest pause between two frames at the speed of the match; what was not recorded is skipped.
const LONGEST_GAP: SignedDuration = SignedDuration::from_secs(1);

/// Plays matches back from their history.
///
/// The URL of a database has a password in it, so it is never an argument: it is read from a file,
/// or else from the variable ARENA_HISTORY_URL.
#[derive(Clone, Debug, Parser)]
#[command(name = "arena-replay", version)]
pub struct Args {
    /// Where the history is.
    #[command(flatten)]
    pub source: Source,
    /// What is done.
    #[command(subcommand)]
    pub command: Action,
}

/// Where the history is.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub struct Source {
    /// The directory with a file per match.
    #[arg(
        long,
        env = "ARENA_HISTORY_DIRECTORY",
        value_name = "DIRECTORY",
        global = true
    )]
    pub directory: Option<PathBuf>,
    /// A file with the URL of the database: postgres://user:password@host:5432/database.
    #[arg(
        long,
        env = "ARENA_HISTORY_URL_FILE",
        value_name = "FILE",
        global = true
    )]
    pub database_url_file: Option<PathBuf>,
}

/// What is done.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Lists matches, the latest first.
    List {
        /// Only matches that were still played at this moment or later, as 2026-01-31T18:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Most matches.
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
    },
    /// Prints the frames of a match, one line of JSON each.
    Play {
        /// The match, as `list` shows it.
        #[arg(value_name = "MATCH")]
        match_id: MatchId,
        /// The first tick; there are 60 in a second.
        #[arg(long, value_name = "TICK", default_value_t = 0)]
        from: u32,
        /// The last tick.
        #[arg(long, value_name = "TICK", default_value_t = u32::MAX)]
        to: u32,
        /// Prints every so many ticks only.
        #[arg(long, value_name = "TICKS", default_value_t = 1,
            value_parser = clap::value_parser!(u32).range(1..))]
        every: u32,
        /// How fast, 1 being the speed of the match; as fast as possible by default.
        #[arg(long, value_name = "FACTOR", value_parser = speed)]
        speed: Option<f64>,
    },
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No place was named.
    #[error("no history is named: use --directory or --database-url-file, or set {URL_VARIABLE}")]
    NoPlace,
    /// The variable is no text.
    #[error("{URL_VARIABLE} is not valid text")]
    Variable,
    /// The history could not be read.
    #[error("reading the history failed")]
    Store(#[from] store::Error),
    /// There is no such match, or nothing of it in this range.
    #[error("there is no history of match {0} in this range")]
    Unknown(MatchId),
    /// The result could not be written.
    #[error("writing the result failed")]
    Output(#[from] io::Error),
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.001..=1_000.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0.001 to 1000 is expected".to_owned()),
    }
}

impl Source {
    /// The place that was named. `url` is what [`URL_VARIABLE`] holds.
    pub fn place(self, url: Option<&str>) -> Result<Place, Error> {
        match (self.directory, self.database_url_file, url) {
            (Some(directory), _, _) => Ok(Place::Directory(directory)),
            (None, Some(file), _) => Ok(Place::Database(DatabaseUrl::read(&file)?)),
            (None, None, Some(url)) => Ok(Place::Database(url.parse()?)),
            (None, None, None) => Err(Error::NoPlace),
        }
    }
}

/// Does what the arguments say. Who reads the result may stop reading: that is no error.
pub fn run(args: Args, out: &mut impl Write, problems: &mut impl Write) -> Result<(), Error> {
    let url = match std::env::var(URL_VARIABLE) {
        Ok(url) => Some(zeroize::Zeroizing::new(url)),
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => return Err(Error::Variable),
    };
    let place = args.source.place(url.as_ref().map(|url| url.as_str()))?;
    let mut archive = place.archive()?;
    let result = match args.command {
        Action::List { since, limit } => list(archive.as_mut(), since, limit, out),
        Action::Play {
            match_id,
            from,
            to,
            every,
            speed,
        } => {
            let range = Range {
                from: Tick(from),
                to: Tick(to),
            };
            let mut player = Player {
                range,
                every,
                speed,
                decoder: Decoder::default(),
                last: None,
                out,
                problems,
            };
            play(archive.as_mut(), match_id, &mut player)
        }
    };
    match result.and_then(|()| Ok(out.flush()?)) {
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn list(
    archive: &mut dyn Archive,
    since: Option<Timestamp>,
    most: usize,
    out: &mut impl Write,
) -> Result<(), Error> {
    writeln!(
        out,
        "{:<36}  {:<20}  {:>9}  {:>10}",
        "MATCH", "STARTED", "SECONDS", "BYTES"
    )?;
    for summary in archive.matches(since, most)? {
        let started = Timestamp::from_second(summary.first.as_second()).unwrap_or(summary.first);
        let tenths = summary.ticks * 10 / u64::from(TICK_RATE);
        writeln!(
            out,
            "{}  {started:<20}  {:>7}.{}  {:>10}",
            summary.match_id,
            tenths / 10,
            tenths % 10,
            summary.bytes
        )?;
    }
    Ok(())
}

fn play<Out: Write, Problems: Write>(
    archive: &mut dyn Archive,
    match_id: MatchId,
    player: &mut Player<'_, Out, Problems>,
) -> Result<(), Error> {
    let mut result = Ok(());
    let mut is_known = false;
    let damage = archive.visit(match_id, player.range, &mut |block| {
        is_known = true;
        result = player.show(block);
        if result.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    result?;
    if let Some(damage) = damage {
        writeln!(player.problems, "warning: {damage}")?;
    }
    if is_known {
        Ok(())
    } else {
        Err(Error::Unknown(match_id))
    }
}

/// Prints frames at their time.
struct Player<'a, Out, Problems> {
    range: Range,
    every: u32,
    speed: Option<f64>,
    decoder: Decoder,
    /// When the frame before was due, and its own time.
    last: Option<(Instant, Timestamp)>,
    out: &'a mut Out,
    problems: &'a mut Problems,
}

impl<Out: Write, Problems: Write> Player<'_, Out, Problems> {
    fn show(&mut self, block: &Block) -> Result<(), Error> {
        let frames = match self.decoder.decode(block) {
            Ok(frames) => frames,
            Err(error) => {
                let (first, ticks) = (block.start.0, block.ticks);
                writeln!(
                    self.problems,
                    "warning: {ticks} ticks from {first} are left out: {error}"
                )?;
                return Ok(());
            }
        };
        for (place, frame) in frames.iter().enumerate() {
            let tick = frame.tick;
            let is_wanted = (self.range.from..=self.range.to).contains(&tick)
                && tick.since(self.range.from) % i64::from(self.every) == 0;
            if !is_wanted {
                continue;
            }
            let micros = i64::try_from(place).unwrap_or(0) * 1_000_000 / i64::from(TICK_RATE);
            let time = Timestamp::from_microsecond(block.taken_at.saturating_add(micros))
                .unwrap_or(Timestamp::MAX);
            self.wait(time)?;
            serde_json::to_writer(&mut *self.out, &Line::new(frame, time))
                .map_err(io::Error::from)?;
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Waits until a frame is due.
    fn wait(&mut self, time: Timestamp) -> io::Result<()> {
        let Some(speed) = self.speed else {
            return Ok(());
        };
        // Whoever watches sees everything up to here.
        self.out.flush()?;
        let due = self.last.map_or_else(Instant::now, |(due, before)| {
            let gap = time.duration_since(before).min(LONGEST_GAP);
            due + Duration::try_from(gap).unwrap_or_default().div_f64(speed)
        });
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.last = Some((due, time));
        Ok(())
    }
}

/// A frame as a line.
#[derive(Serialize)]
struct Line {
    tick: u32,
    time: String,
    entities: Vec<Entity>,
}

/// An entity, in meters and degrees.
#[derive(Serialize)]
struct Entity {
    #[serde(skip_serializing_if = "Option::is_none")]
    player: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prop: Option<u16>,
    x: f32,
    y: f32,
    z: f32,
    yaw: f32,
    health: u8,
    flags: Vec<&'static str>,
}

impl Line {
    fn new(frame: &WorldFrame, time: Timestamp) -> Self {
        Self {
            tick: frame.tick.0,
            time: format!("{time:.3}"),
            entities: frame.entities.iter().map(entity).collect(),
        }
    }
}

fn entity(state: &EntityState) -> Entity {
    const DEGREES: f32 = 360.0 / (1_u16 << YAW_BITS) as f32;
    let position = state.position();
    let player = state.id.as_player().map(|slot| slot.0);
    let flags = [
        (EntityFlags::GROUNDED, "grounded"),
        (EntityFlags::FIRING, "firing"),
        (EntityFlags::LOST, "lost"),
        (EntityFlags::ASLEEP, "asleep"),
    ];
    Entity {
        player,
        prop: state.id.0.checked_sub(MAX_PLAYERS),
        x: position.x,
        y: position.y,
        z: position.z,
        yaw: f32::from(state.yaw) * DEGREES,
        health: state.health,
        flags: flags
            .into_iter()
            .filter_map(|(flag, name)| state.flags.contains(flag).then_some(name))
            .collect(),
    }
}
