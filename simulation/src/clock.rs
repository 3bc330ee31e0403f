//! The two clocks of a client: when its inputs are due, and which moment of the others it shows.
//!
//! Neither ever jumps while it is nearly right; they run a little faster or slower instead, which
//! nobody sees. They are told how much time has passed, and never ask.

use std::time::Duration;

use crate::tick::{TICK_RATE, Tick};

/// How much faster or slower a clock runs to get where it should be.
const DILATION: f64 = 0.02;
/// How much faster the clock of the inputs runs while inputs come too late.
const STARVING: f64 = 0.05;
/// Ticks of error at which a clock stops running after its target, and jumps.
const JUMP: f64 = 16.0;
/// How much one observation moves an average.
const SMOOTHING: f64 = 1.0 / 16.0;
/// Jitter beyond this, in ticks, is no longer what the clocks themselves do. There the tail is long,
/// as packets are lost in bursts, and to be in time for 99 of 100 is not enough.
const STEADY: f64 = 1.5;
/// How much longer the tail is taken to be.
const TAIL: f64 = 3.0;
/// Least margin that is aimed at, in ticks.
const LEAST_MARGIN: f64 = 1.0;
/// Most margin that is aimed at: a quarter of a second. A player would rather lose an input now and
/// then than wait longer for each.
const MOST_MARGIN: f64 = 15.0;
/// Least distance between the newest snapshot and what is shown, in ticks: between two frames one
/// can interpolate, and the third may be lost.
const LEAST_DELAY: f64 = 2.0;
/// Most of it, so that others are never shown further back than the server rewinds.
const MOST_DELAY: f64 = 12.0;
/// Observations after which a jump that had no effect may be repeated.
const PATIENCE: u32 = 60;
/// How long all observations have to be far off before a clock jumps, in ticks: a burst of lost
/// packets or a spike of the delay is over by then, and a jump would be wrong.
const PERSISTENCE: f64 = 60.0;
/// What one call counts of it, in ticks: a client that hung sees afterwards, all at once, what came
/// of that, and is not off any more.
const MOST_COUNTED: f64 = 2.0;

fn ticks(time: Duration) -> f64 {
    time.as_secs_f64() * f64::from(TICK_RATE)
}

/// How far observations spread around their average.
#[derive(Debug, Clone)]
struct Spread {
    average: Option<f64>,
    /// How much less than the average the newest ones were, in eighths of a tick.
    shortfalls: [u8; Self::WINDOW],
    next: usize,
}

impl Spread {
    /// Two seconds, so that the 99th percentile is the second largest.
    const WINDOW: usize = 128;
    const UNITS: f64 = 8.0;

    const fn new() -> Self {
        Self {
            average: None,
            shortfalls: [0; Self::WINDOW],
            next: 0,
        }
    }

    /// Adds an observation. Returns the average.
    fn observe(&mut self, value: f64) -> f64 {
        let average = match self.average {
            Some(average) => average + (value - average) * SMOOTHING,
            None => value,
        };
        self.average = Some(average);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates at both ends"
        )]
        let shortfall = ((average - value) * Self::UNITS) as u8;
        self.shortfalls[self.next] = shortfall;
        self.next = (self.next + 1) % Self::WINDOW;
        average
    }

    /// How far below the average an observation is that 99 of 100 exceed.
    fn percentile(&self) -> f64 {
        let (mut first, mut second) = (0, 0);
        for shortfall in self.shortfalls {
            if shortfall > first {
                (first, second) = (shortfall, first);
            } else {
                second = second.max(shortfall);
            }
        }
        f64::from(second) / Self::UNITS
    }
}

/// Says for which tick a client makes its next input, so that it reaches the server just in time.
///
/// It aims at a margin as large as nearly all packets need, at least one tick.
#[derive(Debug, Clone)]
pub struct InputClock {
    /// In ticks.
    position: f64,
    /// The last tick for which an input was due.
    made: u32,
    speed: f64,
    margins: Spread,
    /// At the start and after a jump: inputs from here on were made after it, and how many
    /// observations to wait for one of them to be executed.
    settling: Option<(Tick, u32)>,
    /// Time that has passed, in ticks, without what the client hung.
    passed: f64,
    /// Since when all observations were far off, and how far the best of them, in ticks.
    off: Option<(f64, f64)>,
}

impl InputClock {
    /// A clock that has just seen the first snapshot, of the given tick.
    pub fn new(server: Tick, round_trip: Duration) -> Self {
        let position = f64::from(server.0) + ticks(round_trip) + LEAST_MARGIN + 1.0;
        Self {
            position,
            made: whole(position),
            speed: 1.0,
            margins: Spread::new(),
            settling: Some((Tick(whole(position).saturating_add(1)), PATIENCE)),
            passed: 0.0,
            off: None,
        }
    }

    /// Lets time pass. Returns the ticks for which inputs are due now, oldest first; mostly one or
    /// none, and never more than a quarter of a second.
    pub fn advance(&mut self, elapsed: Duration) -> impl Iterator<Item = Tick> + use<> {
        self.position += ticks(elapsed) * self.speed;
        self.passed += ticks(elapsed).min(MOST_COUNTED);
        let now = whole(self.position);
        let first = self
            .made
            .saturating_add(1)
            .max(now.saturating_sub(TICK_RATE / 4));
        self.made = self.made.max(now);
        (first..=now).map(Tick)
    }

    /// The last tick for which an input was due.
    pub const fn tick(&self) -> Tick {
        Tick(self.made)
    }

    /// How fast it runs, against real time.
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// Takes note of what the header of a snapshot says: the newest executed input, and the margin
    /// in quarters of a tick.
    pub fn observe(&mut self, executed: Option<Tick>, margin: i8) {
        if let Some((from, patience)) = self.settling {
            if executed.is_none_or(|executed| executed < from) && patience > 0 {
                self.settling = Some((from, patience - 1));
                return;
            }
            self.settling = None;
        }
        let margin = f64::from(margin) / 4.0;
        let average = self.margins.observe(margin);
        let needed = self.margins.percentile();
        let target = needed
            .max(STEADY + TAIL * (needed - STEADY))
            .clamp(LEAST_MARGIN, MOST_MARGIN);
        let error = average - target;
        if let Some(least) = self.far_off(margin - target) {
            self.position = (self.position - least).max(0.0);
            self.off = None;
            self.margins = Spread::new();
            self.speed = 1.0;
            // After a jump back there is nothing to make for a while.
            let made = whole(self.position).max(self.made);
            self.settling = Some((Tick(made.saturating_add(1)), PATIENCE));
        } else if margin < 0.0 {
            self.speed = 1.0 + STARVING;
        } else {
            self.speed = 1.0 - (error * DILATION).clamp(-DILATION, DILATION);
        }
    }
}

impl InputClock {
    /// Notes how far off the newest observation was. Returns how far the best one was, if all have
    /// been far off for so long that running faster or slower is not enough.
    fn far_off(&mut self, error: f64) -> Option<f64> {
        self.off = match self.off {
            _ if error.abs() <= JUMP => None,
            Some((since, least)) if least * error > 0.0 => {
                let nearer = if error.abs() < least.abs() {
                    error
                } else {
                    least
                };
                Some((since, nearer))
            }
            Some(_) | None => Some((self.passed, error)),
        };
        let (since, least) = self.off?;
        (self.passed >= since + PERSISTENCE).then_some(least)
    }
}

/// Says which moment of the others a client shows: late enough that the frames on both sides of it
/// have come, mostly.
#[derive(Debug, Clone)]
pub struct ViewClock {
    /// In ticks.
    position: f64,
    /// Time that has passed, in ticks.
    elapsed: f64,
    /// Ticks of the newest snapshots, less the time of their arrival.
    arrivals: Spread,
    started: bool,
}

impl Default for ViewClock {
    fn default() -> Self {
        Self {
            position: 0.0,
            elapsed: 0.0,
            arrivals: Spread::new(),
            started: false,
        }
    }
}

impl ViewClock {
    /// Takes note of a snapshot that has come just now.
    pub fn observe(&mut self, snapshot: Tick) {
        self.arrivals.observe(f64::from(snapshot.0) - self.elapsed);
    }

    /// Lets time pass.
    pub fn advance(&mut self, elapsed: Duration) {
        let passed = ticks(elapsed);
        self.elapsed += passed;
        let Some(average) = self.arrivals.average else {
            return;
        };
        let target = (self.elapsed + average - self.delay()).max(0.0);
        let error = target - self.position - passed;
        if self.started && error.abs() < JUMP {
            self.position += passed * (1.0 + (error * DILATION).clamp(-DILATION, DILATION));
        } else {
            self.position = target;
            self.started = true;
        }
    }

    /// How far behind the average snapshot this clock stays, in ticks.
    pub fn delay(&self) -> f64 {
        (LEAST_DELAY + self.arrivals.percentile()).min(MOST_DELAY)
    }

    /// The moment to show: the tick of the older frame, and how far beyond it, in 256ths of a
    /// tick. Inputs carry it, so that the server can rewind to it.
    pub fn view(&self) -> (Tick, u8) {
        let tick = whole(self.position);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 256"
        )]
        let fraction = ((self.position - f64::from(tick)) * 256.0) as u8;
        (Tick(tick), fraction)
    }
}

/// The tick in which a position is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position is never negative, and saturates"
)]
const fn whole(position: f64) -> u32 {
    position as u32
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::input::Input;
    use crate::inputs::{Arrival, InputBuffer, InputPacket};
    use crate::seeded::Random;

    const STEP: Duration = Duration::from_micros(16_667 / 4);

    /// How a client's inputs fare over a link: quarters of a tick of delay, and of jitter.
    struct Fared {
        starved: u64,
        margin: f64,
        slowest: f64,
        fastest: f64,
    }

    fn run(delay: u16, jitter: u16, guess: u64, server_lead: u32) -> Fared {
        let mut random = Random::new(7);
        let mut buffer = InputBuffer::default();
        let mut clock = InputClock::new(Tick(1000), Duration::from_millis(guess));
        let mut up: Vec<(u32, InputPacket)> = Vec::new();
        let mut down: VecDeque<(u32, Option<Tick>, i8)> = VecDeque::new();
        let mut fared = Fared {
            starved: 0,
            margin: 0.0,
            slowest: 1.0,
            fastest: 1.0,
        };
        let mut late_ticks = 0;
        for quarter in 0..4 * 3600_u32 {
            let next = Tick(1000 + server_lead + quarter / 4);
            for tick in clock.advance(STEP) {
                let mut packet = InputPacket::new(tick, None);
                for _ in 0..3 {
                    packet.push_older(Input::default());
                }
                let at = quarter + u32::from(delay + random.below(jitter + 1));
                up.push((at, packet));
            }
            let left = 4 - (quarter % 4);
            up.retain(|(at, packet)| {
                let arrived = *at <= quarter;
                if arrived {
                    let quarters = u8::try_from(left).unwrap();
                    buffer.receive(packet, Arrival { next, quarters });
                }
                !arrived
            });
            if left == 1 {
                let before = buffer.counters();
                buffer.take(next);
                let after = buffer.counters();
                let margin = buffer.take_margin(next.next());
                if quarter > 4 * 1200 {
                    late_ticks += 1;
                    fared.starved +=
                        after.repeated - before.repeated + after.neutral - before.neutral;
                    fared.margin += f64::from(margin) / 4.0;
                }
                down.push_back((quarter + u32::from(delay), buffer.executed(), margin));
            }
            while let Some((at, executed, margin)) = down.front().copied() {
                if at > quarter {
                    break;
                }
                down.pop_front();
                clock.observe(executed, margin);
                fared.slowest = fared.slowest.min(clock.speed());
                fared.fastest = fared.fastest.max(clock.speed());
            }
        }
        fared.margin /= f64::from(late_ticks);
        fared
    }

    #[test]
    fn inputs_come_just_in_time_on_a_steady_link() {
        for (delay, guess) in [(1, 8), (12, 100), (40, 0), (12, 700)] {
            let fared = run(delay, 0, guess, 0);
            assert_eq!(fared.starved, 0, "delay {delay}");
            assert!(
                (0.9..2.5).contains(&fared.margin),
                "delay {delay}: margin {}",
                fared.margin
            );
            assert!(fared.slowest >= 1.0 - DILATION && fared.fastest <= 1.0 + STARVING);
        }
    }

    #[test]
    fn jitter_widens_the_margin_until_few_come_late() {
        let steady = run(16, 0, 130, 0);
        let shaky = run(16, 12, 130, 0);
        assert!(shaky.margin > steady.margin);
        assert!(shaky.starved < 2400 / 100, "{} of 2400", shaky.starved);
    }

    #[test]
    fn a_clock_that_is_far_off_jumps() {
        let fared = run(12, 0, 100, 300);
        assert_eq!(fared.starved, 0);
        assert!((0.9..2.5).contains(&fared.margin), "{}", fared.margin);
    }

    #[test]
    fn no_tick_is_due_twice() {
        let mut clock = InputClock::new(Tick(100), Duration::ZERO);
        let mut last = clock.tick();
        for step in 0..2000_u32 {
            for tick in clock.advance(STEP * (step % 9)) {
                assert_eq!(tick, last.next());
                last = tick;
            }
            clock.observe(Some(last), if step % 100 < 50 { 100 } else { -100 });
            if clock.settling.is_some() {
                last = last.max(Tick(whole(clock.position)));
                clock.made = last.0;
            }
        }
        assert!(clock.advance(Duration::from_hours(1)).count() <= 16);
    }

    #[test]
    fn what_is_shown_lags_behind_by_the_delay_and_runs_evenly() {
        let mut random = Random::new(3);
        let mut clock = ViewClock::default();
        let mut arrivals: Vec<(u32, Tick)> = Vec::new();
        let mut last = 0.0;
        for quarter in 0..4 * 1200_u32 {
            if quarter % 4 == 0 {
                let at = quarter + 10 + u32::from(random.below(8));
                arrivals.push((at, Tick(500 + quarter / 4)));
            }
            arrivals.retain(|(at, tick)| {
                if *at <= quarter {
                    clock.observe(*tick);
                }
                *at > quarter
            });
            clock.advance(STEP);
            let (tick, fraction) = clock.view();
            let position = f64::from(tick.0) + f64::from(fraction) / 256.0;
            if quarter > 600 {
                let speed = (position - last) * 4.0;
                assert!((0.95..1.05).contains(&speed), "speed {speed}");
                let real = 500.0 + f64::from(quarter) / 4.0;
                let lag = real - position;
                // The delay of the link is 2.5 to 4.25 ticks.
                assert!((4.0..8.0).contains(&lag), "lag {lag}");
            }
            last = position;
        }
    }
}
