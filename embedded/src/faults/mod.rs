//! Scripted faults between one component and the API server.
//!
//! [`Faults`] is a tower layer around the service that a component's client calls, one for each
//! replica, so that it knows who calls. It knows nothing of how the API server works inside: what
//! goes wrong is what can go wrong on the way. Delays are tokio's, so that they cost nothing under
//! virtual time.
//!
//! Start reading at [`Faults`], then [`fault::Fault`].

mod call;
mod fault;
mod journal;
mod service;
mod traffic;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch as signal};
use tokio::time::Instant;

pub use call::{Call, Pattern, Verb, VerbPattern};
pub use fault::{Fault, ParseError, Rule, Seconds, WatchFault};
pub use journal::{Entry, Journal};
pub use service::{AnswerBody, FaultLayer, FaultService};
pub use traffic::Traffic;

/// Calls about these are part of being alive, and are counted only where they are named.
pub(crate) const LEASES: &str = "leases";

/// The faults of one replica of one component. Clones share the same faults.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    journal: Journal,
    state: Mutex<State>,
    mode: signal::Sender<Mode>,
    traffic: signal::Sender<Traffic>,
    /// Counts how often every watch was cut.
    cuts: signal::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Counted>,
    /// Watches that are open, and how their streams are told of new faults.
    open: Vec<(Call, mpsc::UnboundedSender<WatchFault>)>,
    writes: u64,
    /// After which of its writes the replica stops, and for how long; none for good.
    stops: Vec<(u64, Option<Duration>)>,
    /// Requests and events that are held back on their way from or to the replica.
    held: u64,
    /// Requests that are executed later, whatever becomes of the replica.
    late: u64,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    seen: u64,
}

/// Whether the replica can reach the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It can.
    Running,
    /// Its requests wait, and its watches deliver nothing.
    Paused,
    /// Nothing of it is ever answered or executed again.
    Crashed,
}

impl Faults {
    /// No faults yet, for a replica of this name. What it does is noted in the journal.
    pub fn new(name: impl Into<String>, journal: Journal) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            journal,
            state: Mutex::default(),
            mode: signal::Sender::new(Mode::Running),
            traffic: signal::Sender::new(Traffic::default()),
            cuts: signal::Sender::new(0),
        }))
    }

    /// The replica's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Adds a fault. Calls are counted from now on. Watches that are open are counted first, and
    /// their events from now on.
    pub fn add(&self, rule: Rule) {
        let mut state = self.lock();
        let mut counted = Counted { rule, seen: 0 };
        if let Fault::Watch(fault) = &counted.rule.fault {
            state.open.retain(|(_, stream)| !stream.is_closed());
            for (call, stream) in &state.open {
                if !counted.rule.pattern.fits(call) {
                    continue;
                }
                counted.seen += 1;
                if counted.seen == counted.rule.nth && stream.send(fault.clone()).is_ok() {
                    return;
                }
            }
        }
        state.rules.push(counted);
    }

    /// Forgets every fault of calls that has not happened yet.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.stops.clear();
    }

    /// Lets the replica crash when so many of its writes have been executed, counted from its
    /// start; the answer to the last one is lost. Writes of leases are not counted.
    pub fn crash_after(&self, writes: u64) {
        self.lock().stops.push((writes, None));
    }

    /// Pauses the replica when so many of its writes have been executed, counted as for
    /// [`Faults::crash_after`]; it is answered, and goes on, after this time.
    pub fn pause_after(&self, writes: u64, by: Duration) {
        self.lock().stops.push((writes, Some(by)));
    }

    /// Writes that were executed. Those of leases are not counted.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// What the replica has called, and its changes.
    pub fn traffic(&self) -> signal::Receiver<Traffic> {
        self.0.traffic.subscribe()
    }

    /// How many of the faults that have begun are not over: a pause, and every request and event
    /// that is held back. Of a replica that has crashed, only requests that may still be executed
    /// count. A fault that has not begun does not count, nor does an answer that never comes.
    pub fn pending(&self) -> u64 {
        let mode = *self.0.mode.borrow();
        let state = self.lock();
        match mode {
            Mode::Running => state.late + state.held,
            Mode::Paused => state.late + state.held + 1,
            Mode::Crashed => state.late,
        }
    }

    /// Cuts the replica off for good.
    pub fn crash(&self) {
        self.set(Mode::Crashed);
    }

    /// Holds every request and every watch until [`Faults::resume`].
    pub fn pause(&self) {
        self.set(Mode::Paused);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.set(Mode::Running);
    }

    /// Whether the replica can reach the API server, and its changes.
    pub fn mode(&self) -> signal::Receiver<Mode> {
        self.0.mode.subscribe()
    }

    /// Ends every watch that is open.
    pub fn cut_watches(&self) {
        self.note("cut watches");
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Puts the faults around a service.
    pub fn layer(&self) -> FaultLayer {
        FaultLayer::new(self.clone())
    }

    fn set(&self, next: Mode) {
        let changed = self.0.mode.send_if_modified(|mode| {
            // The dead do not wake.
            let changes = *mode != next && *mode != Mode::Crashed;
            if changes {
                *mode = next;
            }
            changes
        });
        if changed {
            self.count(|traffic| match next {
                Mode::Running => traffic.wake(Instant::now()),
                Mode::Paused => traffic.pauses += 1,
                Mode::Crashed => {}
            });
            self.note(match next {
                Mode::Running => "resumed",
                Mode::Paused => "paused",
                Mode::Crashed => "crashed",
            });
        }
    }

    /// Takes note of a watch that is open; returns how its stream is told of new faults.
    fn opened(&self, call: &Call) -> mpsc::UnboundedReceiver<WatchFault> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.lock();
        state.open.retain(|(_, stream)| !stream.is_closed());
        state.open.push((call.clone(), sender));
        receiver
    }

    /// The faults of a call, in the order in which they were added.
    fn due(&self, call: &Call) -> Vec<Fault> {
        let mut state = self.lock();
        let mut due = Vec::new();
        state.rules.retain_mut(|counted| {
            if !counted.rule.fits(call) {
                return true;
            }
            counted.seen += 1;
            let is_due = counted.seen == counted.rule.nth;
            if is_due {
                due.push(counted.rule.fault.clone());
            }
            !is_due
        });
        due
    }

    /// Takes note of an executed write; says whether the replica crashes by it.
    fn wrote(&self, call: &Call) -> bool {
        if call.resource == LEASES {
            return false;
        }
        let due: Vec<_> = {
            let mut state = self.lock();
            state.writes += 1;
            let writes = state.writes;
            state
                .stops
                .extract_if(.., |(after, _)| *after == writes)
                .collect()
        };
        for by in due.iter().filter_map(|(_, by)| *by) {
            self.pause();
            let faults = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(by).await;
                faults.resume();
            });
        }
        let crashes = due.iter().any(|(_, by)| by.is_none());
        if crashes {
            self.crash();
        }
        crashes
    }

    /// Something of the replica is held back for as long as this is kept.
    fn hold(&self) -> Pending {
        self.lock().held += 1;
        Pending {
            faults: self.clone(),
            outlives: false,
        }
    }

    /// A request is still to be executed for as long as this is kept.
    fn postpone(&self) -> Pending {
        self.lock().late += 1;
        Pending {
            faults: self.clone(),
            outlives: true,
        }
    }

    fn count(&self, change: impl FnOnce(&mut Traffic)) {
        self.0.traffic.send_modify(change);
    }

    fn note(&self, text: impl Into<String>) {
        self.0.journal.note(&self.0.name, text);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault that has begun and is not over.
#[derive(Debug)]
struct Pending {
    faults: Faults,
    /// Whether it goes on after a crash of the replica.
    outlives: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut state = self.faults.lock();
        if self.outlives {
            state.late -= 1;
        } else {
            state.held -= 1;
        }
    }
}
