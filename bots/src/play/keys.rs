//! Which keys are held, as far as a terminal tells.
//!
//! Most terminals tell of a key that is pressed and repeat it while it is held, and never tell that
//! it was released. So a key counts as held for a moment after it was heard of. Where a terminal
//! tells of releases too, they count at once.

use std::collections::BTreeMap;
use std::f32::consts::TAU;
use std::time::Duration;

use simulation::input::{Buttons, Input};

/// How long a key counts as held after it was pressed: as long as terminals wait until they repeat
/// it for the first time.
const FIRST: Duration = Duration::from_millis(350);

/// The same after a repetition.
const REPEATED: Duration = Duration::from_millis(120);

/// Turns per second of an aim that is turned by keys.
const TURN: f32 = 0.35;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Walk north.
    North,
    /// Walk south.
    South,
    /// Walk west.
    West,
    /// Walk east.
    East,
    /// Turn the aim counterclockwise.
    TurnLeft,
    /// Turn the aim clockwise.
    TurnRight,
    /// Shoot.
    Fire,
    /// Jump.
    Jump,
    /// Run.
    Sprint,
}

/// The keys that are held, and the aim.
#[derive(Debug, Default)]
pub struct Keys {
    /// Until when each counts as held; for ever where releases are told.
    held: BTreeMap<Action, Duration>,
    tells_releases: bool,
    aim: f32,
    advanced: Duration,
}

impl Keys {
    /// The keys of a terminal that tells of releases, or does not.
    pub fn new(tells_releases: bool) -> Self {
        Self {
            tells_releases,
            ..Self::default()
        }
    }

    /// A key was pressed, or is repeated because it is held.
    pub fn press(&mut self, now: Duration, action: Action) {
        let lasts = match self.held.get(&action) {
            _ if self.tells_releases => Duration::MAX,
            Some(until) if *until >= now => now + REPEATED.max(until.saturating_sub(now)),
            Some(_) | None => now + FIRST,
        };
        self.held.insert(action, lasts);
    }

    /// A key was released.
    pub fn release(&mut self, action: Action) {
        self.held.remove(&action);
    }

    /// The aim was set by the mouse, in turns.
    pub const fn set_aim(&mut self, aim: f32) {
        self.aim = aim;
    }

    /// The aim, in turns, counterclockwise from east.
    pub const fn aim(&self) -> f32 {
        self.aim
    }

    /// Lets time pass: keys that turn the aim turn it.
    pub fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.advanced).as_secs_f32();
        self.advanced = now;
        self.held.retain(|_, until| *until >= now);
        let turns = f32::from(self.sign(Action::TurnLeft, Action::TurnRight));
        self.aim = (self.aim + turns * TURN * passed).rem_euclid(1.0);
    }

    /// What the player wants.
    pub fn input(&self) -> Input {
        let mut buttons = Buttons::default();
        for (action, button) in [
            (Action::Fire, Buttons::FIRE),
            (Action::Jump, Buttons::JUMP),
            (Action::Sprint, Buttons::SPRINT),
        ] {
            if self.held.contains_key(&action) {
                buttons = buttons.with(button);
            }
        }
        Input {
            east: 127 * self.sign(Action::East, Action::West),
            north: 127 * self.sign(Action::North, Action::South),
            aim: crate::behavior::aim(glam::Vec2::from_angle(self.aim * TAU)),
            buttons,
            ..Input::default()
        }
    }

    fn sign(&self, plus: Action, minus: Action) -> i8 {
        i8::from(self.held.contains_key(&plus)) - i8::from(self.held.contains_key(&minus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_key_is_held_until_its_repetitions_stop() {
        let mut keys = Keys::default();
        keys.press(at(0), Action::North);
        keys.advance(at(340));
        assert_eq!(keys.input().north, 127);
        for time in (340..1_000).step_by(30) {
            keys.press(at(time), Action::North);
        }
        keys.advance(at(1_050));
        assert_eq!(keys.input().north, 127);
        keys.advance(at(1_200));
        assert_eq!(keys.input().north, 0);
    }

    #[test]
    fn a_terminal_that_tells_of_releases_is_believed() {
        let mut keys = Keys::new(true);
        keys.press(at(0), Action::West);
        keys.press(at(0), Action::Fire);
        keys.advance(at(60_000));
        assert_eq!(keys.input().east, -127);
        assert!(keys.input().buttons.contains(Buttons::FIRE));
        keys.release(Action::Fire);
        keys.release(Action::West);
        assert_eq!(keys.input(), Input::default());
    }

    #[test]
    fn an_aim_is_turned_by_keys_and_set_by_the_mouse() {
        let mut keys = Keys::new(true);
        keys.press(at(0), Action::TurnLeft);
        keys.advance(at(1_000));
        assert!((keys.aim() - TURN).abs() < 1e-5);
        keys.set_aim(0.25);
        assert!(keys.input().aim.abs_diff(16_384) < 2);
    }
}
