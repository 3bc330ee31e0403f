//! Bots over real sockets, all of them on one thread.
//!
//! Every bot does its work on deadlines of its own, four times per tick and from a random phase on.
//! The deadlines are absolute and wait for nobody: a server that answers late finds the next input
//! on its way all the same, and what a bot does late is counted from when it was due.

use std::io::Error;
use std::time::{Duration, Instant};

use client::udp::Sockets;
use simulation::seeded::Random;
use simulation::tick::TICK_RATE;

use crate::bot::Bot;
use crate::record::Record;

/// Deadlines of a bot per second.
const RATE: u32 = 4 * TICK_RATE;

/// From one deadline of a bot to its next.
pub const STEP: Duration = Duration::from_nanos(1_000_000_000 / RATE as u64);

/// Waits shorter than this are not slept through.
const SHORTEST_SLEEP: Duration = Duration::from_micros(60);

/// How long bots go on after they said that they leave, so that the server hears of it.
const FAREWELL: Duration = Duration::from_millis(300);

/// Names a bot of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatId(u64);

/// A bot and its sockets.
#[derive(Debug)]
struct Seat {
    id: SeatId,
    bot: Bot,
    sockets: Sockets,
    /// After the start of every round.
    phase: Duration,
    /// The first deadline that was not met yet.
    deadline: Duration,
}

/// Bots that play side by side.
#[derive(Debug)]
pub struct Swarm {
    origin: Instant,
    /// In the order of their phases.
    seats: Vec<Seat>,
    random: Random,
    rounds: u64,
    /// Bots that there ever were.
    added: u64,
}

impl Swarm {
    /// A swarm without bots; the phases come from a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            origin: Instant::now(),
            seats: Vec::new(),
            random: Random::new(seed),
            rounds: 0,
            added: 0,
        }
    }

    /// The time, as bots are told it.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Adds a bot, which starts with the next round.
    pub fn add(&mut self, bot: Bot) -> Result<SeatId, Error> {
        let nanoseconds = self.random.bits() % u64::try_from(STEP.as_nanos()).unwrap_or(1);
        let sockets = Sockets::open(bot.server())?;
        let phase = Duration::from_nanos(nanoseconds);
        let place = self.seats.partition_point(|seat| seat.phase <= phase);
        let id = SeatId(self.added);
        self.added += 1;
        let seat = Seat {
            id,
            bot,
            sockets,
            phase,
            deadline: Duration::ZERO,
        };
        self.seats.insert(place, seat);
        Ok(id)
    }

    /// Takes a bot out without a word to its server, as when its program dies.
    pub fn lose(&mut self, id: SeatId) {
        self.seats.retain(|seat| seat.id != id);
    }

    /// A bot.
    pub fn bot(&self, id: SeatId) -> Option<&Bot> {
        let mut seats = self.seats.iter();
        seats.find(|seat| seat.id == id).map(|seat| &seat.bot)
    }

    /// Lets the bots play for a while, or until `is_enough` says so; it is asked once per round.
    pub fn run(
        &mut self,
        length: Duration,
        mut is_enough: impl FnMut(&Self) -> bool,
    ) -> Result<(), Error> {
        let end = self.now() + length;
        self.skip_missed_rounds();
        while self.now() < end && !is_enough(self) {
            self.round()?;
            self.skip_missed_rounds();
        }
        Ok(())
    }

    /// Every bot leaves its match.
    pub fn leave(&mut self) -> Result<(), Error> {
        for seat in &mut self.seats {
            seat.bot.leave();
        }
        self.run(FAREWELL, |_| false)?;
        for seat in &mut self.seats {
            seat.bot.hang_up();
        }
        self.run(3 * STEP, |_| false)
    }

    /// What the bots of a profile measured so far.
    pub fn records(&self, profile: &str) -> Vec<Record> {
        let bots = self.bots().filter(|bot| bot.profile().name == profile);
        bots.map(Bot::record).collect()
    }

    /// The bots.
    pub fn bots(&self) -> impl Iterator<Item = &Bot> {
        self.seats.iter().map(|seat| &seat.bot)
    }

    /// One deadline of every bot.
    fn round(&mut self) -> Result<(), Error> {
        let start = start_of(self.rounds);
        self.rounds += 1;
        let next = start_of(self.rounds);
        for seat in &mut self.seats {
            let now = wait_until(self.origin, start + seat.phase);
            let (bot, sockets) = (&mut seat.bot, &mut seat.sockets);
            sockets.receive(|from, packet| bot.receive(now, from, packet));
            let intended = if seat.deadline.is_zero() {
                start + seat.phase
            } else {
                seat.deadline
            };
            let mut result = Ok(());
            bot.step(now, intended, |outgoing| {
                let sent = sockets.send(outgoing.socket, outgoing.to, outgoing.packet);
                if sent.is_err() {
                    result = sent;
                }
            });
            result?;
            seat.deadline = next + seat.phase;
        }
        if self.seats.is_empty() {
            wait_until(self.origin, next);
        }
        Ok(())
    }

    /// A swarm that cannot keep up does several deadlines' work at once, and is charged for it.
    fn skip_missed_rounds(&mut self) {
        let now = self.now();
        while start_of(self.rounds + 1) < now {
            self.rounds += 1;
        }
    }
}

fn start_of(round: u64) -> Duration {
    let rate = u64::from(RATE);
    Duration::from_secs(round / rate) + STEP * u32::try_from(round % rate).unwrap_or(0)
}

/// Sleeps until a moment, unless it is over. Returns the time then.
fn wait_until(origin: Instant, moment: Duration) -> Duration {
    loop {
        let now = origin.elapsed();
        let Some(rest) = moment.checked_sub(now).filter(|rest| !rest.is_zero()) else {
            return now;
        };
        if rest > SHORTEST_SLEEP {
            // Nobody unparks this thread; should it wake up early, it looks at the clock again.
            std::thread::park_timeout(rest.saturating_sub(SHORTEST_SLEEP));
        } else {
            std::hint::spin_loop();
        }
    }
}
