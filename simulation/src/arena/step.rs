//! One tick of an arena.

use glam::Vec3;

use super::{Arena, Event, Inputs, Life, Player};
use crate::combat::{DAMAGE, FIRE_TICKS, MUZZLE, Met, Scene, Shot, direction};
use crate::entity::{EntityId, PlayerSlot};
use crate::history::{History, Moment};
use crate::input::{Buttons, Input};
use crate::mover::{self, MoveState};
use crate::plausibility::{in_range, turn};
use crate::rules::{Facts, Phase, leader};
use crate::tick::Tick;

impl Arena {
    /// Steps the match by one tick.
    pub fn step(&mut self, inputs: &Inputs) {
        self.tick = self.tick.next();
        self.events.clear();
        self.shots.clear();
        self.move_players(inputs);
        self.props.step();
        self.judge_shots(inputs);
        self.count_shots();
        self.start_again();
        self.follow_rules();
        self.record();
    }

    fn move_players(&mut self, inputs: &Inputs) {
        let now = self.tick;
        for player in self.players.iter_mut().flatten() {
            let input = player.take_input(now, inputs.get(player.slot));
            let motion = mover::step(&self.level, &player.motion, &input);
            self.props
                .push(player.slot, player.motion.position, motion.position);
            player.motion = motion;
        }
    }

    /// Finds out what every shot of this tick meets. Nobody is harmed yet.
    fn judge_shots(&mut self, inputs: &Inputs) {
        if self.course.phase() != Phase::Playing {
            return;
        }
        let scene = Scene {
            level: &self.level,
            history: &self.history,
            props: self.props.centers(),
        };
        for player in self.players.iter().flatten() {
            if !player.fires(self.tick, inputs.get(player.slot)) {
                continue;
            }
            let shot = Shot {
                feet: player.motion.position,
                aim: player.aim,
                moment: History::bound(self.tick, player.view, player.rewind),
            };
            let (met, end) = scene.resolve(&shot, |slot| {
                slot != player.slot
                    && self
                        .player(slot)
                        .is_some_and(|other| other.is_up() && !other.friend_of(player.team))
            });
            self.shots.push((player.slot, shot, met, end));
        }
    }

    /// Lets the shots of this tick do what they do, in the order of the shooters' slots.
    fn count_shots(&mut self) {
        let shots = std::mem::take(&mut self.shots);
        let mut downs = false;
        for (by, shot, met, to) in &shots {
            let entity = match met {
                Met::Player(crossing) => Some(EntityId::player(crossing.slot)),
                Met::Prop(index) => Some(EntityId::prop(*index)),
                Met::Nothing => None,
            };
            self.events.push(Event::Shot {
                by: *by,
                from: shot.feet + Vec3::Y * MUZZLE,
                to: *to,
                met: entity,
            });
            let ready = self.tick.after(FIRE_TICKS);
            if let Ok(shooter) = self.player_mut(*by) {
                shooter.fire(ready, met);
            }
            match met {
                Met::Player(crossing) => downs |= self.hit(*by, crossing.slot),
                Met::Prop(index) => {
                    let toward = direction(shot.aim);
                    self.props.kick(*index, Vec3::new(toward.x, 0.2, toward.y));
                }
                Met::Nothing => {}
            }
        }
        self.shots = shots;
        if downs {
            self.leading = leader(self.all_standings()).0;
        }
    }

    /// Takes hit points from a player. Returns whether it went down.
    fn hit(&mut self, by: PlayerSlot, slot: PlayerSlot) -> bool {
        let until = self.tick.after(self.config.rules.respawn_ticks);
        let Ok(target) = self.player_mut(slot) else {
            return false;
        };
        // Two shots of one tick can meet a player whom the first one brings down.
        if !target.is_up() {
            return false;
        }
        target.health = target.health.saturating_sub(DAMAGE);
        let health = target.health;
        if health == 0 {
            target.go_down(until);
        }
        self.events.push(Event::Hit {
            by,
            target: slot,
            health,
        });
        if health > 0 {
            return false;
        }
        self.events.push(Event::Down { slot, by });
        if let Ok(shooter) = self.player_mut(by) {
            shooter.score = shooter.score.saturating_add(1);
        }
        true
    }

    fn start_again(&mut self) {
        for index in 0..self.config.capacity {
            let slot = PlayerSlot(index);
            let Some(team) = self.player(slot).and_then(|player| match player.life {
                Life::Down { until } if until <= self.tick => Some(player.team),
                Life::Down { .. } | Life::Up => None,
            }) else {
                continue;
            };
            let start = MoveState::standing(self.choose_start(slot, team));
            self.props.withdraw(slot);
            if let Ok(player) = self.player_mut(slot) {
                player.start(start);
            }
            self.events.push(Event::Spawned { slot });
        }
    }

    fn follow_rules(&mut self) {
        let there = self.players().filter(|player| !player.lost).count();
        let facts = Facts {
            tick: self.tick,
            players: u16::try_from(there).unwrap_or(u16::MAX),
            leading: self.leading,
        };
        let Some(phase) = self.course.step(&self.config.rules, &facts) else {
            return;
        };
        self.events.push(Event::Phase(phase));
        match phase {
            Phase::WaitingForPlayers | Phase::Countdown => {}
            Phase::Playing => self.started = Some(self.tick),
            Phase::Ended(reason) => self.finish(reason),
        }
    }

    fn record(&mut self) {
        self.history.start(self.tick);
        for player in self
            .players
            .iter()
            .flatten()
            .filter(|player| player.is_up())
        {
            self.history.record(player.slot, player.motion.position);
        }
    }
}

impl Player {
    /// Takes over the aim and the view of an input, and returns what it does: nothing for who is
    /// down, lost or silent.
    fn take_input(&mut self, now: Tick, input: Option<Input>) -> Input {
        self.fired = false;
        let neutral = Input {
            aim: self.aim,
            ..Input::default()
        };
        let Some(claimed) = input.filter(|_| !self.lost) else {
            self.turned = [0, self.turned[0]];
            self.suspicion.observe(now, 0, true);
            return neutral;
        };
        let input = in_range(claimed);
        let turned = turn(self.aim, input.aim);
        self.turned = [turned, self.turned[0]];
        self.suspicion.observe(now, turned, input == claimed);
        let claim = Moment {
            tick: input.view,
            fraction: input.view_fraction,
        };
        self.view = self.suspicion.view(now, self.view, claim);
        self.aim = input.aim;
        if self.is_up() { input } else { neutral }
    }

    /// Whether it fires in a tick.
    fn fires(&self, now: Tick, input: Option<Input>) -> bool {
        self.is_up()
            && !self.lost
            && self.ready <= now
            && input.is_some_and(|input| input.buttons.contains(Buttons::FIRE))
    }

    /// Notes that it fired and at whom, and when it can fire again.
    fn fire(&mut self, ready: Tick, met: &Met) {
        self.fired = true;
        self.ready = ready;
        let miss = match met {
            Met::Player(crossing) => Some(crossing.miss),
            Met::Prop(_) | Met::Nothing => None,
        };
        let [last, before] = self.turned;
        self.suspicion.observe_shot(miss, last.max(before));
    }
}
