//! The authoritative match: all players, all props and the rules, stepped by the inputs of a tick.
//!
//! An [`Arena`] is a function of its configuration and of what it was told since: [`Command`]s and
//! inputs. The same sequence gives the same [`Arena::hash`] after every tick on every machine;
//! [`crate::replay`] is built on that. Players are visited in the order of their slots, and all
//! shots of a tick are judged before the first one does damage, so that the lower slot has no
//! advantage.
//!
//! A tick, in order: inputs are put in range and players move; rapier moves the props; shots are
//! judged against the past that their players saw; hits count; who was down long enough starts
//! again; the rules look at the outcome; positions enter the history.

mod player;
mod step;

use glam::{Vec2, Vec3, Vec3Swizzles};
use serde::{Deserialize, Serialize};

use crate::combat::{Met, Shot};
use crate::entity::{EntityId, MAX_PLAYERS, PlayerSlot};
use crate::frame::WorldFrame;
use crate::history::{History, REWIND_LIMIT};
use crate::input::Input;
use crate::level::Level;
use crate::mover::MoveState;
use crate::props::{MAX_PROPS, Props};
use crate::rules::{Course, EndReason, MatchResult, Phase, Rules, Standing, Team, leader};
use crate::seeded::{Random, StateHash};
use crate::tick::Tick;

pub use self::player::{Life, Player};

/// What a match is made from. Server, clients and replays have to agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaConfig {
    /// Where all randomness comes from: the level, and where players start.
    pub seed: u64,
    /// Most players, from 1 to [`MAX_PLAYERS`]. The level grows with it.
    pub capacity: u16,
    /// Balls and crates, at most [`MAX_PROPS`]; fewer if the level has no room for them.
    pub props: u16,
    /// How the match goes.
    pub rules: Rules,
}

/// What an arena is told besides inputs. It takes effect before the next tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A player enters.
    Join {
        /// Where.
        slot: PlayerSlot,
        /// For which side.
        team: Option<Team>,
    },
    /// A player leaves for good.
    Leave {
        /// Who.
        slot: PlayerSlot,
    },
    /// A player's connection is lost, or is back.
    Lost {
        /// Whose.
        slot: PlayerSlot,
        /// Whether it is lost.
        lost: bool,
    },
    /// How far the shots of a player may be rewound.
    Rewind {
        /// Whose.
        slot: PlayerSlot,
        /// In ticks; never more than [`REWIND_LIMIT`].
        ticks: u8,
    },
}

/// Why an arena refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such slot.
    #[error("slot {} is beyond the capacity", .0.0)]
    NoSuchSlot(PlayerSlot),
    /// Someone is in it.
    #[error("slot {} is taken", .0.0)]
    SlotTaken(PlayerSlot),
    /// Nobody is in it.
    #[error("slot {} is empty", .0.0)]
    SlotEmpty(PlayerSlot),
}

/// The inputs of one tick, by slot. Kept by the caller and filled again for every tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs(Vec<Option<Input>>);

impl Inputs {
    /// No input of anybody, for the slots below `capacity`.
    pub fn new(capacity: u16) -> Self {
        Self(vec![None; usize::from(capacity)])
    }

    /// Sets or takes back the input of a slot. Slots beyond the capacity have none.
    pub fn set(&mut self, slot: PlayerSlot, input: Option<Input>) {
        if let Some(place) = self.0.get_mut(usize::from(slot.0)) {
            *place = input;
        }
    }

    /// The input of a slot. Who has none does nothing and keeps the aim.
    pub fn get(&self, slot: PlayerSlot) -> Option<Input> {
        self.0.get(usize::from(slot.0)).copied().flatten()
    }

    /// Takes back all inputs.
    pub fn clear(&mut self) {
        self.0.fill(None);
    }

    /// All slots with their inputs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (PlayerSlot, Option<Input>)> {
        (0..).map(PlayerSlot).zip(self.0.iter().copied())
    }
}

/// What happened in a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// A shot was fired.
    Shot {
        /// By whom.
        by: PlayerSlot,
        /// Where it started.
        from: Vec3,
        /// Where it ended.
        to: Vec3,
        /// The player or prop that it met.
        met: Option<EntityId>,
    },
    /// A shot took hit points from a player.
    Hit {
        /// Who fired it.
        by: PlayerSlot,
        /// Who was hit.
        target: PlayerSlot,
        /// The hit points that are left.
        health: u8,
    },
    /// A player went down.
    Down {
        /// Who.
        slot: PlayerSlot,
        /// Whose shot it was.
        by: PlayerSlot,
    },
    /// A player started, or started again, somewhere.
    Spawned {
        /// Who.
        slot: PlayerSlot,
    },
    /// The match went on to another phase.
    Phase(Phase),
}

/// A match.
#[derive(Debug)]
pub struct Arena {
    config: ArenaConfig,
    level: Level,
    tick: Tick,
    random: Random,
    players: Vec<Option<Player>>,
    props: Props,
    history: History,
    course: Course,
    /// Players who left, as they stood. Bounded by the capacity; beyond it, teams are added up.
    departed: Vec<Standing>,
    events: Vec<Event>,
    /// Shots of the current tick, judged but not yet counted.
    shots: Vec<(PlayerSlot, Shot, Met, Vec3)>,
    /// The highest score of a player or team.
    leading: u16,
    /// When playing began.
    started: Option<Tick>,
    result: Option<MatchResult>,
}

impl Arena {
    /// A match before its first tick, with nobody in it. What is out of range in the
    /// configuration is put into range.
    pub fn new(config: &ArenaConfig) -> Self {
        let config = ArenaConfig {
            capacity: config.capacity.clamp(1, MAX_PLAYERS),
            props: config.props.min(MAX_PROPS),
            rules: Rules {
                respawn_ticks: config.rules.respawn_ticks.max(Rules::SHORTEST_RESPAWN),
                ..config.rules
            },
            ..*config
        };
        let level = Level::generate(config.seed, config.capacity);
        let capacity = usize::from(config.capacity);
        Self {
            tick: Tick(0),
            // Not the stream that the level came from.
            random: Random::new(!config.seed),
            players: vec![None; capacity],
            props: Props::new(&level, config.capacity, config.props),
            history: History::new(config.capacity),
            course: Course::new(Tick(0)),
            departed: Vec::with_capacity(capacity),
            // A player causes at most a shot, a hit, a down and a start in one tick.
            events: Vec::with_capacity(4 * capacity + 1),
            shots: Vec::with_capacity(capacity),
            leading: 0,
            started: None,
            result: None,
            level,
            config,
        }
    }

    /// Does what a command says.
    ///
    /// # Errors
    ///
    /// If there is no such slot, or its state does not allow it. Nothing is changed then.
    pub fn apply(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Join { slot, team } => self.add_player(slot, team),
            Command::Leave { slot } => self.remove_player(slot),
            Command::Lost { slot, lost } => self.set_lost(slot, lost),
            Command::Rewind { slot, ticks } => self.set_rewind(slot, ticks),
        }
    }

    /// A player enters at one of the starts.
    pub fn add_player(&mut self, slot: PlayerSlot, team: Option<Team>) -> Result<(), Error> {
        match self.players.get(usize::from(slot.0)) {
            None => return Err(Error::NoSuchSlot(slot)),
            Some(Some(_)) => return Err(Error::SlotTaken(slot)),
            Some(None) => {}
        }
        let start = MoveState::standing(self.choose_start(slot, team));
        self.history.forget(slot);
        if let Some(place) = self.players.get_mut(usize::from(slot.0)) {
            *place = Some(Player::new(slot, team, start, self.tick));
        }
        Ok(())
    }

    /// A player leaves for good; its standing stays in the result.
    pub fn remove_player(&mut self, slot: PlayerSlot) -> Result<(), Error> {
        let place = self
            .players
            .get_mut(usize::from(slot.0))
            .ok_or(Error::NoSuchSlot(slot))?;
        let player = place.take().ok_or(Error::SlotEmpty(slot))?;
        self.props.withdraw(slot);
        self.history.forget(slot);
        let standing = Standing {
            left: true,
            ..player.standing()
        };
        // Whoever joins and leaves again and again must not fill the memory; but a team keeps what
        // its players reached.
        if self.departed.len() < usize::from(self.config.capacity) {
            self.departed.push(standing);
        } else if let Some(before) = standing.team.and_then(|team| {
            let mut departed = self.departed.iter_mut();
            departed.find(|before| before.team == Some(team))
        }) {
            before.add(&standing);
        }
        Ok(())
    }

    /// Says that a player's connection is lost, or is back. The player stays, does nothing
    /// meanwhile, and can be hit.
    pub fn set_lost(&mut self, slot: PlayerSlot, lost: bool) -> Result<(), Error> {
        self.player_mut(slot)?.lost = lost;
        Ok(())
    }

    /// Bounds how far the shots of a player are rewound, in ticks: what its connection explains
    /// (half of the round trip, the interpolation, and two), and never beyond [`REWIND_LIMIT`].
    pub fn set_rewind(&mut self, slot: PlayerSlot, ticks: u8) -> Result<(), Error> {
        self.player_mut(slot)?.rewind = ticks.min(REWIND_LIMIT);
        Ok(())
    }

    /// The configuration, put into range.
    pub const fn config(&self) -> &ArenaConfig {
        &self.config
    }

    /// The level.
    pub const fn level(&self) -> &Level {
        &self.level
    }

    /// The last tick that was stepped.
    pub const fn tick(&self) -> Tick {
        self.tick
    }

    /// Where the match is in its course.
    pub const fn course(&self) -> &Course {
        &self.course
    }

    /// What happened in the last tick.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// A player, in full precision.
    pub fn player(&self, slot: PlayerSlot) -> Option<&Player> {
        self.players.get(usize::from(slot.0))?.as_ref()
    }

    /// All players, in the order of their slots.
    pub fn players(&self) -> impl Iterator<Item = &Player> + Clone {
        self.players.iter().flatten()
    }

    /// How many props move: what a tick costs besides its players.
    pub fn awake_props(&self) -> usize {
        self.props.awake()
    }

    /// The result, once the match ended.
    pub const fn result(&self) -> Option<&MatchResult> {
        self.result.as_ref()
    }

    /// How long it has been played, or was played until its end, in ticks.
    pub fn played_ticks(&self) -> u32 {
        let ended = self.result.as_ref().map(|result| result.duration_ticks);
        let so_far = || self.started.map_or(0, |started| self.tick.0 - started.0);
        ended.unwrap_or_else(so_far)
    }

    /// Everybody who plays or played, best first.
    pub fn standings(&self) -> Vec<Standing> {
        let mut standings: Vec<_> = self.all_standings().collect();
        standings.sort_by_key(|standing| {
            (
                std::cmp::Reverse(standing.score),
                standing.downs,
                standing.slot,
            )
        });
        standings
    }

    /// Writes what everybody can see into a frame, whose buffer is used again.
    pub fn frame(&self, frame: &mut WorldFrame) {
        frame.tick = self.tick;
        frame.entities.clear();
        frame.entities.extend(self.players().map(Player::entity));
        frame.entities.extend_from_slice(self.props.states());
    }

    /// 64 bits that differ if anything differs that the coming ticks depend on.
    pub fn hash(&self) -> u64 {
        let mut hash = StateHash::default();
        hash.word(u64::from(self.tick.0));
        hash.word(self.random.state());
        hash.word(u64::from(self.course.since().0));
        hash.word(match self.course.phase() {
            Phase::WaitingForPlayers => 0,
            Phase::Countdown => 1,
            Phase::Playing => 2,
            Phase::Ended(EndReason::ScoreLimit) => 3,
            Phase::Ended(EndReason::TimeLimit) => 4,
            Phase::Ended(EndReason::Abandoned) => 5,
        });
        for player in self.players() {
            player.fold(&mut hash);
        }
        for standing in &self.departed {
            hash.word(u64::from(standing.slot.0) << 32 | u64::from(standing.score));
        }
        self.props.fold(&mut hash);
        hash.finish()
    }

    fn all_standings(&self) -> impl Iterator<Item = Standing> {
        let departed = self.departed.iter().copied();
        self.players().map(Player::standing).chain(departed)
    }

    fn player_mut(&mut self, slot: PlayerSlot) -> Result<&mut Player, Error> {
        let place = self.players.get_mut(usize::from(slot.0));
        place
            .ok_or(Error::NoSuchSlot(slot))?
            .as_mut()
            .ok_or(Error::SlotEmpty(slot))
    }

    /// The start, of a few drawn ones, that is furthest from everybody else who can shoot.
    fn choose_start(&mut self, slot: PlayerSlot, team: Option<Team>) -> Vec2 {
        const DRAWN: usize = 4;
        let count = u16::try_from(self.level.spawns().len()).unwrap_or(u16::MAX);
        let mut best = (-1.0, Vec2::ZERO);
        for _ in 0..DRAWN {
            let index = usize::from(self.random.below(count));
            let Some(start) = self.level.spawns().get(index).copied() else {
                continue;
            };
            let alone = self
                .players()
                .filter(|other| other.is_up() && other.slot != slot && !other.friend_of(team))
                .map(|other| (other.motion.position.xz() - start).length_squared())
                .fold(f32::MAX, f32::min);
            if alone > best.0 {
                best = (alone, start);
            }
        }
        best.1
    }

    fn finish(&mut self, reason: EndReason) {
        let (_, winner) = leader(self.all_standings());
        self.result = Some(MatchResult {
            reason,
            winner,
            duration_ticks: self.played_ticks(),
            standings: self.standings(),
        });
    }
}

#[cfg(test)]
mod tests;
