//! A match as its server told of it: the level, the clocks, and the own player ahead of them.

use std::time::Duration;

use glam::Vec3;
use simulation::clock::{InputClock, ViewClock};
use simulation::entity::EntityId;
use simulation::input::Input;
use simulation::inputs::{InputSender, MAX_PACKET, MAX_REDUNDANCY};
use simulation::interpolation::{self, Pose};
use simulation::level::Level;
use simulation::message::Welcome;
use simulation::prediction::{Predictor, Reconciled};
use simulation::snapshot::{Decoder, Header, OwnState};
use simulation::tick::Tick;

use crate::statistics::Predictions;

/// How much earlier than measured inputs are sent at first.
const SLACK: Duration = Duration::from_millis(20);

/// An encoded input packet.
pub(crate) struct Payload {
    bytes: [u8; MAX_PACKET],
    length: usize,
}

impl Payload {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A match that this client takes part in, or watches.
#[derive(Debug)]
pub struct Joined {
    welcome: Welcome,
    level: Level,
    /// From the first snapshot on whose round trip is known.
    inputs_due: Option<InputClock>,
    view: ViewClock,
    sender: InputSender,
    predictor: Option<Predictor<Level>>,
    /// The first tick that was predicted; the server's states before it say nothing about that.
    predicted_from: Option<Tick>,
    newest: Header,
    advanced: Duration,
    predictions: Predictions,
}

impl Joined {
    pub(crate) fn new(welcome: Welcome, now: Duration) -> Self {
        Self {
            level: Level::generate(welcome.seed, welcome.capacity),
            welcome,
            inputs_due: None,
            view: ViewClock::default(),
            sender: InputSender::default(),
            predictor: None,
            predicted_from: None,
            newest: Header::default(),
            advanced: now,
            predictions: Predictions::default(),
        }
    }

    /// What the server said at the start.
    pub const fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// What does not move.
    pub const fn level(&self) -> &Level {
        &self.level
    }

    /// The newest header: the tick, the clock of the match, the own state.
    pub const fn newest(&self) -> &Header {
        &self.newest
    }

    /// Where the own player is now, as it is shown; none for spectators.
    pub fn own_position(&self) -> Option<Vec3> {
        let predictor = self.predictor.as_ref()?;
        // Who is down lies where the server says.
        let down = self.newest.own.filter(is_down);
        Some(down.map_or_else(|| predictor.shown(), |own| own.movement.position))
    }

    /// The newest tick for which an input was made.
    pub fn input_tick(&self) -> Option<Tick> {
        self.inputs_due.as_ref().map(InputClock::tick)
    }

    /// Where another entity is shown.
    pub fn pose(&self, decoder: &Decoder, id: EntityId) -> Option<Pose> {
        interpolation::pose(decoder, id, self.view.view())
    }

    pub(crate) const fn predictions(&self) -> Predictions {
        self.predictions
    }

    /// Takes in the header of a snapshot that was just decoded, and whether it was a keyframe.
    pub(crate) fn observe(
        &mut self,
        header: Header,
        is_keyframe: bool,
        round_trip: Option<Duration>,
    ) {
        self.view.observe(header.tick);
        if header.tick <= self.newest.tick {
            return;
        }
        let before = std::mem::replace(&mut self.newest, header);
        self.predictions.snapshots += 1;
        // With the first input came the first acknowledgment; until then, keyframes are repeated.
        self.predictions.resyncs += u64::from(is_keyframe && before.input.is_some());
        let Some(clock) = &mut self.inputs_due else {
            // One measurement says little: better too early at first than too late.
            self.inputs_due = round_trip
                .map(|measured| InputClock::new(header.tick, measured + measured / 4 + SLACK));
            return;
        };
        clock.observe(header.input, header.margin);
        let Some(own) = header.own else {
            return;
        };
        // Spectators send no inputs, and the first ones are still on their way.
        if let Some(input) = header.input {
            let executed = header.tick.since(before.tick).unsigned_abs();
            let missing = header.tick.since(input).unsigned_abs();
            self.predictions.executed += executed;
            self.predictions.starved += missing.min(executed);
        }
        self.reconcile(header.tick, &own, before.own.as_ref());
    }

    fn reconcile(&mut self, tick: Tick, own: &OwnState, before: Option<&OwnState>) {
        let Some(predictor) = &mut self.predictor else {
            let level = Level::generate(self.welcome.seed, self.welcome.capacity);
            self.predictor = Some(Predictor::new(level, tick, own.movement));
            return;
        };
        // Going down and starting again are what no client can know.
        let turned = before.is_none_or(|before| turns(before) != turns(own)) || is_down(own);
        let was_predicted = self.predicted_from.is_some_and(|first| first <= tick);
        if turned || !was_predicted {
            predictor.restart(tick, &own.movement);
            return;
        }
        match predictor.reconcile(tick, &own.movement) {
            Reconciled::Exact => self.predictions.exact += 1,
            Reconciled::Corrected(error) => {
                self.predictions.corrected += 1;
                self.predictions.worst = self.predictions.worst.max(error);
            }
            Reconciled::Old => {}
        }
    }

    /// Makes the inputs that are due. Returns the packet to send, if there is a new one.
    pub(crate) fn advance(
        &mut self,
        now: Duration,
        decoder: &Decoder,
        intent: &mut impl FnMut(Tick, &Self, &Decoder) -> Input,
    ) -> Option<Payload> {
        let elapsed = now.saturating_sub(self.advanced);
        self.advanced = now;
        self.view.advance(elapsed);
        if let Some(predictor) = &mut self.predictor {
            predictor.advance(elapsed);
        }
        let due = self.inputs_due.as_mut()?.advance(elapsed);
        let mut is_new = false;
        for tick in due {
            is_new = true;
            let mut input = intent(tick, self, decoder);
            (input.view, input.view_fraction) = self.view.view();
            self.sender.record(tick, input);
            // Also while the player is down: by the time the server has the input, it may be up.
            if let Some(predictor) = &mut self.predictor {
                predictor.predict(tick, input);
                self.predicted_from.get_or_insert(tick);
            }
        }
        if !is_new {
            return None;
        }
        let packet = self
            .sender
            .packet(decoder.ack(), self.newest.input, MAX_REDUNDANCY);
        let mut bytes = [0; MAX_PACKET];
        let length = packet.encode(&mut bytes).ok()?;
        Some(Payload { bytes, length })
    }
}

/// Counts how often the player went down or started, around a byte.
const fn turns(own: &OwnState) -> u8 {
    own.cooldowns[1]
}

/// Whether the player is down, and does nothing.
const fn is_down(own: &OwnState) -> bool {
    own.health == 0
}
