//! Where players of the journey play: bots on a thread that keeps time, told by commands.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::session::{End, Way};
use tokio::sync::mpsc;

use super::Error;
use crate::bot::Bot;
use crate::profile::Profile;
use crate::swarm::{SeatId, Swarm};

/// How often the thread looks at its commands and its bots: times are late by this at most.
const SLICE: Duration = Duration::from_millis(5);

/// Commands that wait for the thread at most: more than all players give in a slice.
const COMMANDS: usize = 4096;

/// What is told of one bot at most, so that nothing is lost when nobody reads.
pub(super) const NEWS: usize = 4;

/// What a player's bot is to do.
pub(super) enum Command {
    /// Enters a match.
    Enter {
        /// Who.
        player: usize,
        /// The connect token.
        token: Vec<u8>,
        /// The network.
        profile: &'static Profile,
        /// Who wants to know what happens.
        news: mpsc::Sender<News>,
    },
    /// Vanishes without a word.
    Lose {
        /// Who.
        player: usize,
    },
}

/// What happened to a player's bot.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// It has its first snapshot.
    Playing(Instant),
    /// It plays again, so long after its network came back.
    Resumed(Duration),
    /// Its match is over.
    Over(Instant, End),
}

/// The thread.
#[derive(Debug)]
pub(super) struct Field {
    commands: SyncSender<Command>,
    thread: JoinHandle<Result<(), Error>>,
}

/// A bot, and what of it was told.
struct Seat {
    id: SeatId,
    news: mpsc::Sender<News>,
    is_playing: bool,
    has_resumed: bool,
}

impl Field {
    pub(super) fn start(seed: u64) -> Self {
        let (commands, inbox) = sync_channel(COMMANDS);
        let thread = std::thread::spawn(move || play(&inbox, seed));
        Self { commands, thread }
    }

    /// Commands of one more player; the thread ends when nobody has any.
    pub(super) fn commands(&self) -> SyncSender<Command> {
        self.commands.clone()
    }

    /// Ends the thread when all players are through.
    pub(super) fn end(self) -> Result<(), Error> {
        drop(self.commands);
        self.thread.join().map_err(|_| Error::Field)?
    }
}

fn play(inbox: &Receiver<Command>, seed: u64) -> Result<(), Error> {
    let mut swarm = Swarm::new(seed);
    let mut seats: BTreeMap<usize, Seat> = BTreeMap::new();
    let mut seeds = seed;
    loop {
        loop {
            match inbox.try_recv() {
                Ok(Command::Enter {
                    player,
                    token,
                    profile,
                    news,
                }) => {
                    seeds += 1;
                    let bot = Bot::new(&token, profile, seeds, swarm.now())?;
                    let id = swarm.add(bot).map_err(Error::Io)?;
                    let seat = Seat {
                        id,
                        news,
                        is_playing: false,
                        has_resumed: false,
                    };
                    seats.insert(player, seat);
                }
                Ok(Command::Lose { player }) => {
                    if let Some(seat) = seats.remove(&player) {
                        swarm.lose(seat.id);
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        swarm.run(SLICE, |_| false).map_err(Error::Io)?;
        let now = Instant::now();
        seats.retain(|_, seat| seat.look(&swarm, now));
    }
}

impl Seat {
    /// Tells what is new. False when there will be nothing any more.
    fn look(&mut self, swarm: &Swarm, now: Instant) -> bool {
        let Some(bot) = swarm.bot(self.id) else {
            return false;
        };
        let way = bot.session().way();
        if !self.is_playing && way == Way::Playing {
            self.is_playing = true;
            self.news.try_send(News::Playing(now)).ok();
        }
        if !self.has_resumed
            && let Some(after) = bot.resumed()
        {
            self.has_resumed = true;
            self.news.try_send(News::Resumed(after)).ok();
        }
        if let Way::Over(end) = way {
            self.news.try_send(News::Over(now, end)).ok();
            return false;
        }
        true
    }
}
