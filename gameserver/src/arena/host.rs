//! Hosts one match after another: from an assignment to the reported result.
//!
//! It runs on the thread that ticks. What takes time, such as telling the platform, goes through
//! queues to the control plane and comes back as [`Order`]s.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use netcode::{Now, RandomSource};
use simulation::interest::Detail;
use tokio::sync::mpsc;

use crate::arena::game::{Match, MatchConfig, News};
use crate::arena::life::{Action, AfterMatch, Event, Life, Stage};
use crate::arena::link::{Inbound, Outbox, Peer};
use crate::arena::metrics::Metrics;
use crate::arena::pace::{Due, Pace};
use crate::arena::reconnection::Minter;
use crate::arena::report::result_json;
use crate::arena::sessions::{PlayerId, Presented, Refusal};
use crate::arena::sink::HistorySink;

/// How long players look at the result before they are disconnected.
const LOOK: Duration = Duration::from_secs(5);

/// How long they are told that the server ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Time after the end of a drain in which the result can still be reported.
const LAST_REPORT: Duration = Duration::from_secs(5);

/// How long a player with a token waits for the assignment that must be on its way. Who waits
/// longer has a token of another match.
const PATIENCE: Duration = Duration::from_secs(2);

/// Players who may wait for it.
const MOST_WAITING: usize = 1024;

/// What the control plane tells the game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The platform assigned a match to this server.
    Assigned {
        /// Which one.
        match_id: [u8; 16],
        /// Whom it expects; nobody if it does not say.
        players: Vec<PlayerId>,
    },
    /// The assignment is over, that of a match which has not begun included. Another assignment
    /// says so of the one before.
    Withdrawn,
    /// The platform has the result.
    Reported,
    /// The process is asked to end.
    Drain,
}

/// What the game tells the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A player has joined.
    Joined(PlayerId),
    /// A player's session is over.
    Left(PlayerId),
    /// The match is over.
    Ended {
        /// Which one.
        match_id: [u8; 16],
        /// The result, as JSON.
        result: String,
        /// What this server does next.
        next: AfterMatch,
    },
    /// Whether a match is on that has places for more players than are there or expected. A match
    /// that was open is not when its [`Report::Ended`] comes.
    Open(bool),
    /// The server ends, though the platform was told last that it is ready.
    Leaving,
}

/// How a server hosts.
#[derive(Clone, Copy, Debug)]
pub struct HostConfig {
    /// What matches are made of. Each gets the seed after that of the one before.
    pub game: MatchConfig,
    /// What follows a match.
    pub after: AfterMatch,
    /// Whether a platform assigns matches. If not, the first player brings one; if so, no token
    /// ever does: it may be one that was left over from a match before.
    pub is_assigned: bool,
    /// How long a match may go on after the process was asked to end.
    pub drain_timeout: Duration,
}

/// The queues between the game and the control plane.
#[derive(Debug)]
pub struct Control {
    /// What the game is told.
    pub orders: Receiver<Order>,
    /// What it tells.
    pub reports: mpsc::Sender<Report>,
}

/// One match after another.
pub struct Host<Random> {
    config: HostConfig,
    life: Life,
    game: Option<Match<Random>>,
    /// The match before, whose tokens lead nowhere.
    last_match: Option<[u8; 16]>,
    minter: Minter<Random>,
    pace: Pace,
    control: Control,
    sink: Box<dyn HistorySink>,
    metrics: Metrics,
    waiting: Vec<(Duration, Peer, Box<Presented>)>,
    closing: Vec<Peer>,
    /// The assigned match, and whom it expects, until it begins.
    next: Option<([u8; 16], Vec<PlayerId>)>,
    seen_at: Option<Duration>,
    drain_at: Option<Duration>,
    detail: Detail,
    /// What the platform was told last about the time after a match.
    told: AfterMatch,
    /// The report about a match's end, until the queue has room for it.
    unsent: Option<Report>,
    /// What the control plane was told last about places.
    told_open: bool,
}

impl<Random: RandomSource + Clone> Host<Random> {
    /// An idle host, whose first tick is due at `first`.
    pub fn new(
        config: HostConfig,
        first: Duration,
        minter: Minter<Random>,
        control: Control,
        sink: Box<dyn HistorySink>,
        metrics: Metrics,
    ) -> Self {
        Self {
            life: Life::new(config.after),
            config,
            game: None,
            last_match: None,
            minter,
            pace: Pace::new(first),
            control,
            sink,
            metrics,
            waiting: Vec::new(),
            closing: Vec::new(),
            next: None,
            seen_at: None,
            drain_at: None,
            detail: Detail::Full,
            // A server says so before its first tick.
            told: AfterMatch::Ready,
            unsent: None,
            told_open: false,
        }
    }

    /// When the next tick is due.
    pub fn deadline(&self) -> Duration {
        self.pace.deadline()
    }

    /// How far it is.
    pub const fn stage(&self) -> Stage {
        self.life.stage()
    }

    /// The match, while there is one.
    pub const fn game(&self) -> Option<&Match<Random>> {
        self.game.as_ref()
    }

    /// How often far entities are sent from now on.
    pub fn set_detail(&mut self, detail: Detail) {
        if detail != self.detail {
            tracing::info!(?detail, "Detail of snapshots was changed");
        }
        self.detail = detail;
        if let Some(game) = &mut self.game {
            game.set_detail(detail);
        }
    }

    /// Takes in what the packet layer opened.
    pub fn receive(&mut self, now: Now, inbound: Inbound<'_>) {
        let inbound = match inbound {
            Inbound::Connected(peer, presented) if self.is_early(&presented) => {
                self.waiting.push((now.monotonic, peer, presented));
                return;
            }
            other => other,
        };
        if let Inbound::Disconnected(peer, _) = inbound {
            self.waiting.retain(|(_, waiting, _)| *waiting != peer);
        }
        match (&mut self.game, inbound) {
            (Some(game), inbound) => {
                let arrival = self.pace.arrival(now.monotonic, game.next_tick());
                game.receive(now, arrival, inbound);
            }
            (None, Inbound::Connected(peer, _)) => self.closing.push(peer),
            // Reliable messages are sent again, and inputs are repeated.
            (None, Inbound::Payload(..) | Inbound::Alive(_) | Inbound::Disconnected(..)) => {}
        }
    }

    /// Whether a token of the platform is for the match that comes next: its player is faster than
    /// the assignment, or the match before is still looked at.
    fn is_early(&self, presented: &Presented) -> bool {
        let token = &presented.user_data;
        let may_follow = match self.life.stage() {
            Stage::Idle => self.last_match != Some(token.match_id),
            Stage::Over { .. } => {
                let current = self.game.as_ref().map(Match::id);
                !self.life.is_draining() && current != Some(token.match_id)
            }
            Stage::Hosting | Stage::Gone => false,
        };
        may_follow && token.epoch == 0 && self.waiting.len() < MOST_WAITING
    }

    /// Does everything that is due: orders, ticks, and what goes out after them.
    pub fn tick(&mut self, now: Now, outbox: &mut impl Outbox) -> Due {
        while let Ok(order) = self.control.orders.try_recv() {
            self.obey(now, order, outbox);
        }
        self.let_in(now, outbox);
        let due = self.pace.due(now.monotonic);
        if let Some(game) = &mut self.game {
            for _ in 0..due.ticks {
                game.step(now);
                self.sink.offer(game.frame());
            }
            if due.ticks > 0 {
                game.send(now, outbox);
            }
        }
        for peer in self.closing.drain(..) {
            outbox.disconnect(peer);
        }
        // Before the end of a match, after which the server may be gone.
        self.tell_open();
        self.spread_news(now, outbox);
        self.watch_clock(now, outbox);
        self.resend();
        due
    }

    fn obey(&mut self, now: Now, order: Order, outbox: &mut impl Outbox) {
        match order {
            Order::Assigned { match_id, players } => {
                let is_known = self.game.as_ref().is_some_and(|game| game.id() == match_id);
                if !is_known && self.last_match != Some(match_id) {
                    self.next = Some((match_id, players));
                    // The platform has taken the current match away, or who still looks at the last
                    // result makes room.
                    let event = match self.life.stage() {
                        Stage::Hosting => Event::Withdrawn,
                        Stage::Idle | Stage::Over { .. } | Stage::Gone => Event::Seen,
                    };
                    self.on(now, event, outbox);
                }
            }
            Order::Withdrawn => {
                self.next = None;
                self.on(now, Event::Withdrawn, outbox);
            }
            Order::Reported => self.on(now, Event::Reported, outbox),
            Order::Drain => {
                self.drain_at
                    .get_or_insert(now.monotonic + self.config.drain_timeout);
                self.on(now, Event::Drain, outbox);
            }
        }
    }

    /// Begins the assigned match, or one for who waits if nobody assigns any, and lets in who
    /// came before it.
    fn let_in(&mut self, now: Now, outbox: &mut impl Outbox) {
        if self.config.is_assigned && self.next.is_none() {
            self.lose_patience(now);
        }
        if self.life.stage() == Stage::Idle {
            let first = self.waiting.first().filter(|_| !self.config.is_assigned);
            let wished = first.map(|(_, _, presented)| (presented.user_data.match_id, Vec::new()));
            if let Some((match_id, players)) = self.next.take().or(wished) {
                self.begin(now, match_id, players, outbox);
            }
        }
        if self.life.stage() != Stage::Hosting || self.waiting.is_empty() {
            return;
        }
        let Some(game) = &mut self.game else {
            return;
        };
        let arrival = self.pace.arrival(now.monotonic, game.next_tick());
        for (_, peer, presented) in self.waiting.drain(..) {
            game.receive(now, arrival, Inbound::Connected(peer, presented));
        }
    }

    /// Refuses who waits for an assignment that should have come by now.
    fn lose_patience(&mut self, now: Now) {
        let too_long = |(since, _, _): &mut (Duration, Peer, _)| now.monotonic >= *since + PATIENCE;
        for (_, peer, _) in self.waiting.extract_if(.., too_long) {
            self.closing.push(peer);
            count_refusal(&self.metrics, Refusal::WrongMatch);
        }
    }

    fn begin(
        &mut self,
        now: Now,
        match_id: [u8; 16],
        players: Vec<PlayerId>,
        outbox: &mut impl Outbox,
    ) {
        let mut config = self.config.game;
        let count = u16::try_from(players.len()).unwrap_or(u16::MAX);
        if count > 0 {
            config.arena.rules.min_players = count.min(config.arena.capacity);
        }
        self.on(now, Event::Assigned, outbox);
        if self.life.stage() != Stage::Hosting {
            return;
        }
        tracing::info!(players = count, "Match begins");
        let mut game = Match::new(match_id, config, self.minter.clone());
        game.expect(players);
        self.game = Some(game);
        self.config.game.arena.seed = config.arena.seed.wrapping_add(1);
        self.set_detail(self.detail);
        self.sink.begin(match_id);
    }

    /// Tells the platform whether there are places, if it does not know.
    fn tell_open(&mut self) {
        let is_hosting = self.life.stage() == Stage::Hosting;
        let game = self.game.as_ref().filter(|_| is_hosting);
        self.say_open(game.is_some_and(Match::is_open));
    }

    /// What the queue has no room for is due again in the next tick.
    fn say_open(&mut self, is_open: bool) {
        if is_open != self.told_open && self.control.reports.try_send(Report::Open(is_open)).is_ok()
        {
            self.told_open = is_open;
        }
    }

    fn spread_news(&mut self, now: Now, outbox: &mut impl Outbox) {
        let Some(mut game) = self.game.take() else {
            return;
        };
        let mut has_ended = false;
        for news in game.drain_news() {
            match news {
                News::Joined(player) => self.report(Report::Joined(player)),
                News::Resumed(silence) => {
                    let milliseconds = silence.as_secs_f64() * 1_000.0;
                    self.metrics.reconnect_milliseconds.observe(milliseconds);
                }
                News::Left(player) => {
                    self.metrics.sessions_ended.inc();
                    self.report(Report::Left(player));
                }
                News::SpectatorLeft => self.metrics.sessions_ended.inc(),
                News::Refused(refusal) => count_refusal(&self.metrics, refusal),
                News::Kicked(_) => self.metrics.kicked.inc(),
                News::Ended => has_ended = true,
            }
        }
        let is_empty = game.sessions().is_empty();
        self.game = Some(game);
        if has_ended {
            self.metrics.matches_ended.inc();
            let look = if is_empty { Duration::ZERO } else { LOOK };
            self.seen_at = Some(now.monotonic + look);
            self.on(now, Event::Ended, outbox);
        }
        if self.life.is_draining() && is_empty && self.life.stage() == Stage::Hosting {
            self.on(now, Event::DrainDeadline, outbox);
        }
    }

    fn watch_clock(&mut self, now: Now, outbox: &mut impl Outbox) {
        if self.seen_at.is_some_and(|at| at <= now.monotonic) {
            self.seen_at = None;
            self.on(now, Event::Seen, outbox);
        }
        if self.drain_at.is_some_and(|at| at <= now.monotonic) {
            // Should the platform not take the result by then, the process ends without.
            self.drain_at = Some(now.monotonic + LAST_REPORT);
            self.on(now, Event::DrainDeadline, outbox);
        }
    }

    fn on(&mut self, now: Now, event: Event, outbox: &mut impl Outbox) {
        let before = self.life.stage();
        for action in self.life.on(event) {
            match action {
                // Else players would be sent to a server that is about to be gone.
                Action::Exit if self.told == AfterMatch::Ready => self.report(Report::Leaving),
                Action::Begin | Action::Exit => {}
                Action::CloseDoor => {
                    if let Some(game) = &mut self.game {
                        game.close_door();
                    }
                }
                Action::Abort => {
                    if let Some(game) = &mut self.game {
                        game.abort();
                    }
                    self.seen_at = Some(now.monotonic + LAST_WORDS);
                }
                Action::Report => self.report_result(),
                Action::Disband => self.disband(outbox),
            }
        }
        if self.life.stage() != before {
            tracing::info!(?event, stage = ?self.life.stage(), "Stage was changed");
        }
    }

    fn report_result(&mut self) {
        let Some(game) = &self.game else {
            return;
        };
        let report = Report::Ended {
            match_id: game.id(),
            result: result_json(
                game.result(),
                game.arena().played_ticks(),
                &game.standings(),
            ),
            next: self.life.after(),
        };
        self.told = self.life.after();
        self.say_open(false);
        self.unsent = Some(report);
        self.resend();
    }

    fn disband(&mut self, outbox: &mut impl Outbox) {
        let Some(mut game) = self.game.take() else {
            return;
        };
        game.disband(outbox);
        let left: Vec<_> = game.drain_news().collect();
        for news in left {
            if matches!(news, News::Left(_) | News::SpectatorLeft) {
                self.metrics.sessions_ended.inc();
            }
            if let News::Left(player) = news {
                self.report(Report::Left(player));
            }
        }
        self.last_match = Some(game.id());
        self.seen_at = None;
        self.sink.end();
    }

    /// Hands a report to the control plane, which does without what the queue has no room for.
    fn report(&mut self, report: Report) {
        if self.control.reports.try_send(report).is_err() {
            self.metrics.reports_dropped.inc();
        }
    }

    /// Hands over the report about a match's end, which is kept until there is room for it, and for
    /// the news before it that the match is not open any more.
    fn resend(&mut self) {
        if !self.told_open
            && let Some(report) = self.unsent.take()
            && let Err(error) = self.control.reports.try_send(report)
        {
            self.unsent = Some(error.into_inner());
        }
    }
}

fn count_refusal(metrics: &Metrics, refusal: Refusal) {
    let reason = [refusal.name()];
    metrics.sessions_refused.with_label_values(&reason).inc();
}

impl<Random> std::fmt::Debug for Host<Random> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Host")
            .field("config", &self.config)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
