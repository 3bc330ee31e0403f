//! A client's own player, before the server has answered.
//!
//! A client steps its own player at once, remembers what came out, and compares when the server's
//! own state of that tick arrives. On a clean link the two are equal bit for bit. If not (an input
//! came too late, or something happened that only the server knows), the server is right: later
//! inputs are replayed on its state, and what is shown glides to where it should be.

use std::time::Duration;

use glam::Vec3;

use crate::input::Input;
use crate::level::Level;
use crate::mover::{self, MoveState};
use crate::tick::Tick;

/// Predicted ticks that are remembered: a second of round trip.
const REMEMBERED: u32 = 64;
/// Corrections below this are smoothed, in meters; others are a jump, and are shown as one.
const SMOOTHED: f32 = 0.25;
/// How long a correction takes to be smoothed away.
const GLIDE: Duration = Duration::from_millis(100);

/// How an own player moves: the same function that the server runs.
pub trait Predict {
    /// All that the next state depends on, but the input.
    type State: Copy + PartialEq;

    /// The state after one tick.
    fn step(&self, state: &Self::State, input: &Input) -> Self::State;

    /// Where the player is.
    fn position(state: &Self::State) -> Vec3;
}

impl Predict for Level {
    type State = MoveState;

    fn step(&self, state: &MoveState, input: &Input) -> MoveState {
        mover::step(self, state, input)
    }

    fn position(state: &MoveState) -> Vec3 {
        state.position
    }
}

/// What came of a comparison with the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reconciled {
    /// The prediction was exact.
    Exact,
    /// The prediction was wrong, or there was none. Now the player is this many meters from where
    /// it was predicted to be.
    Corrected(f32),
    /// The state is older than one that was compared before, and was ignored.
    Old,
}

#[derive(Debug, Clone, Copy)]
struct Predicted<S> {
    tick: Tick,
    input: Input,
    state: S,
}

/// The predicted states of a client's own player.
#[derive(Debug, Clone)]
pub struct Predictor<M: Predict> {
    model: M,
    /// By tick, around a ring.
    ring: Vec<Option<Predicted<M::State>>>,
    newest: Tick,
    state: M::State,
    /// The newest tick that was compared.
    compared: Tick,
    /// What is added to the position that is shown, at the start of a glide.
    offset: Vec3,
    glide: Duration,
    exact: u64,
    corrected: u64,
}

impl<M: Predict> Predictor<M> {
    /// A predictor that starts from the server's state at the end of a tick.
    pub fn new(model: M, tick: Tick, state: M::State) -> Self {
        Self {
            model,
            ring: vec![None; REMEMBERED as usize],
            newest: tick,
            state,
            compared: tick,
            offset: Vec3::ZERO,
            glide: Duration::ZERO,
            exact: 0,
            corrected: 0,
        }
    }

    /// Steps the player into a tick. Returns its state at the end of it.
    pub fn predict(&mut self, tick: Tick, input: Input) -> M::State {
        self.state = self.model.step(&self.state, &input);
        self.newest = tick;
        self.ring[(tick.0 % REMEMBERED) as usize] = Some(Predicted {
            tick,
            input,
            state: self.state,
        });
        self.state
    }

    /// Compares with the server's state at the end of a tick, and corrects what followed.
    pub fn reconcile(&mut self, tick: Tick, authoritative: &M::State) -> Reconciled {
        if tick < self.compared {
            return Reconciled::Old;
        }
        self.compared = tick;
        if self
            .predicted(tick)
            .is_some_and(|predicted| predicted.state == *authoritative)
        {
            self.exact += 1;
            return Reconciled::Exact;
        }
        self.corrected += 1;
        let before = M::position(&self.state);
        let mut state = *authoritative;
        if let Some(predicted) = self.predicted(tick) {
            predicted.state = state;
        }
        // Not more than the ring holds, however far ahead the client is.
        let before_first = tick.0.max(self.newest.before(REMEMBERED).0);
        for later in (before_first..self.newest.0).map(|tick| tick + 1) {
            let slot = &mut self.ring[(later % REMEMBERED) as usize];
            if let Some(predicted) = slot
                && predicted.tick.0 == later
            {
                state = self.model.step(&state, &predicted.input);
                predicted.state = state;
            }
        }
        self.state = state;
        self.newest = self.newest.max(tick);
        let error = before - M::position(&state);
        let shown = error + self.shown_offset();
        if shown.length() < SMOOTHED {
            self.offset = shown;
            self.glide = GLIDE;
        } else {
            self.glide = Duration::ZERO;
        }
        Reconciled::Corrected(error.length())
    }

    /// Starts again from the server's state, where it did what no client can know: the player went
    /// down, or was put somewhere else. Counts as neither exact nor corrected.
    pub fn restart(&mut self, tick: Tick, authoritative: &M::State) {
        let (exact, corrected) = (self.exact, self.corrected);
        if self.reconcile(tick, authoritative) != Reconciled::Old {
            self.glide = Duration::ZERO;
        }
        (self.exact, self.corrected) = (exact, corrected);
    }

    /// The newest state.
    pub const fn state(&self) -> &M::State {
        &self.state
    }

    /// What the player moves in.
    pub const fn model(&self) -> &M {
        &self.model
    }

    /// Lets time pass for what is shown.
    pub const fn advance(&mut self, elapsed: Duration) {
        self.glide = self.glide.saturating_sub(elapsed);
    }

    /// Where to show the player.
    pub fn shown(&self) -> Vec3 {
        M::position(&self.state) + self.shown_offset()
    }

    /// How many comparisons were exact so far, and how many were not.
    pub const fn counts(&self) -> (u64, u64) {
        (self.exact, self.corrected)
    }

    fn shown_offset(&self) -> Vec3 {
        self.offset * (self.glide.as_secs_f32() / GLIDE.as_secs_f32())
    }

    fn predicted(&mut self, tick: Tick) -> Option<&mut Predicted<M::State>> {
        self.ring[(tick.0 % REMEMBERED) as usize]
            .as_mut()
            .filter(|predicted| predicted.tick == tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves along x by the input, in centimeters; the second part is what only the server does.
    #[derive(Debug, Clone)]
    struct Rail;

    impl Predict for Rail {
        type State = i32;

        fn step(&self, state: &i32, input: &Input) -> i32 {
            state + i32::from(input.east)
        }

        fn position(state: &i32) -> Vec3 {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            Vec3::new(*state as f32 / 100.0, 0.0, 0.0)
        }
    }

    fn east(east: i8) -> Input {
        Input {
            east,
            ..Input::default()
        }
    }

    #[test]
    fn a_server_that_agrees_corrects_nothing() {
        let mut predictor = Predictor::new(Rail, Tick(10), 0);
        let mut server = 0;
        for tick in 11..500 {
            predictor.predict(Tick(tick), east(3));
            if tick > 20 {
                server += 3;
                assert_eq!(
                    predictor.reconcile(Tick(tick - 10), &server),
                    Reconciled::Exact
                );
            }
        }
        assert_eq!(predictor.counts(), (479, 0));
    }

    #[test]
    fn a_correction_replays_what_followed_and_glides() {
        let mut predictor = Predictor::new(Rail, Tick(10), 0);
        for tick in 11..=20 {
            predictor.predict(Tick(tick), east(2));
        }
        // The server pushed the player by 10 cm in tick 15.
        assert!(matches!(
            predictor.reconcile(Tick(15), &20),
            Reconciled::Corrected(by) if (by - 0.1).abs() < 1e-5
        ));
        assert_eq!(*predictor.state(), 30);
        assert!((predictor.shown().x - 0.2).abs() < 1e-5);
        predictor.advance(Duration::from_millis(50));
        assert!((predictor.shown().x - 0.25).abs() < 1e-5);
        predictor.advance(Duration::from_millis(60));
        assert!((predictor.shown().x - 0.3).abs() < 1e-5);
        assert_eq!(predictor.reconcile(Tick(18), &26), Reconciled::Exact);
        assert_eq!(predictor.reconcile(Tick(16), &99), Reconciled::Old);
        assert_eq!(predictor.counts(), (1, 1));
    }

    #[test]
    fn a_large_correction_is_shown_at_once() {
        let mut predictor = Predictor::new(Rail, Tick(10), 0);
        predictor.predict(Tick(11), east(2));
        predictor.reconcile(Tick(11), &500);
        assert!((predictor.shown().x - 5.0).abs() < 1e-5);
    }

    #[test]
    fn a_restart_is_no_misprediction() {
        let mut predictor = Predictor::new(Rail, Tick(10), 0);
        predictor.predict(Tick(11), east(2));
        predictor.predict(Tick(12), east(2));
        predictor.restart(Tick(11), &10);
        assert_eq!(*predictor.state(), 12);
        assert!((predictor.shown().x - 0.12).abs() < 1e-5);
        assert_eq!(predictor.counts(), (0, 0));
    }

    #[test]
    fn a_state_without_a_prediction_is_taken_as_it_is() {
        let mut predictor = Predictor::new(Rail, Tick(10), 0);
        predictor.reconcile(Tick(5000), &7);
        assert_eq!(predictor.predict(Tick(5001), east(1)), 8);
        assert_eq!(predictor.reconcile(Tick(5001), &8), Reconciled::Exact);
    }
}
