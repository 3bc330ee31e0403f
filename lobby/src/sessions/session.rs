//! One session: its events, its socket if it has one, and how it ends.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use proto::muster::lobby::v1 as wire;
use tokio::sync::watch;
use uuid::Uuid;

use access::jws::sha256;

use super::replay::Replay;
use crate::error::{Code, Failure};
use crate::rates::{Bucket, Rate};
use crate::service::Caller;

/// What a client shows to go on with a session: 128 random bits. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeToken(String);

impl ResumeToken {
    /// A new one.
    pub fn new() -> Result<Self, Failure> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| Failure::new(Code::Internal, "there is no randomness"))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// For its client alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResumeToken")
            .finish_non_exhaustive()
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// A newer session of the player has its place.
    Replaced,
    /// Another socket goes on with it; for the older socket alone.
    Resumed,
    /// Its client does not read events as fast as they come.
    Slow,
    /// Its access was revoked.
    Revoked,
    /// Its client left, or did not come back in time.
    Left,
}

/// What a socket has to do for its session.
#[derive(Clone, Debug)]
pub enum Next {
    /// Send this event, which has this number.
    Event(u32, Arc<wire::Event>),
    /// End.
    End(End),
    /// Wait until something changes.
    Wait,
}

/// A player who is connected, or was a moment ago.
#[derive(Debug)]
pub struct Session {
    id: Uuid,
    caller: Caller,
    began: Timestamp,
    token: [u8; 32],
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    replay: Replay,
    calls: Bucket,
    /// Counts sockets; the last one has the session.
    socket: u64,
    is_attached: bool,
    end: Option<End>,
}

impl Session {
    pub(super) fn new(caller: Caller, token: &ResumeToken, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4(),
            caller,
            began: now,
            token: sha256(token.0.as_bytes()),
            state: Mutex::default(),
            changes: watch::Sender::default(),
        }
    }

    /// Its name among lobbies; no secret, and no session of auth.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whose it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When it began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Tells of every change from now on; [`next`](Self::next) says what is to be done.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Numbers an event and keeps it for the client.
    pub fn push(&self, event: Arc<wire::Event>, bytes: usize) {
        let mut state = self.state();
        let is_whole = state.replay.push(event, bytes);
        // Without a socket nobody is slow: the client will not be able to resume, and gets the
        // state as it is then.
        if !is_whole && state.is_attached {
            state.end.get_or_insert(End::Slow);
        }
        drop(state);
        self.changes.send_replace(());
    }

    /// What this socket has to do.
    pub fn next(&self, socket: u64) -> Next {
        let mut state = self.state();
        if let Some(end) = state.end_of(socket) {
            return Next::End(end);
        }
        match state.replay.next_unsent() {
            Some((number, event)) => Next::Event(number, event),
            None => Next::Wait,
        }
    }

    /// Why this socket has lost the session, if it has.
    pub fn end_of(&self, socket: u64) -> Option<End> {
        self.state().end_of(socket)
    }

    /// Ends it; the first reason counts.
    pub fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changes.send_replace(());
    }

    /// The client has the events up to this number.
    pub fn seen(&self, number: u32) {
        self.state().replay.seen(number);
    }

    /// Counts a call, or says how long to wait with it.
    pub fn count_call(&self, now: Timestamp, rate: Rate) -> Result<(), Duration> {
        self.state().calls.take(now, rate)
    }

    pub(super) fn attach(&self) -> u64 {
        let mut state = self.state();
        state.socket += 1;
        state.is_attached = true;
        state.socket
    }

    /// The socket broke. False when another has the session by now.
    pub fn detach(&self, socket: u64) -> bool {
        let mut state = self.state();
        let is_ours = state.socket == socket;
        if is_ours {
            state.is_attached = false;
        }
        is_ours
    }

    pub(super) fn resume(&self, caller: &Caller, resume: &wire::Resume) -> Option<u64> {
        // A hash tells nothing by the time that it takes to compare it.
        let is_known = sha256(resume.resume_token.as_bytes()) == self.token;
        if !is_known || caller.player != self.caller.player || caller.session != self.caller.session
        {
            return None;
        }
        let mut state = self.state();
        if state.end.is_some() || !state.replay.resume(resume.seen) {
            return None;
        }
        state.socket += 1;
        state.is_attached = true;
        let socket = state.socket;
        drop(state);
        self.changes.send_replace(());
        Some(socket)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step that panics leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_of(&self, socket: u64) -> Option<End> {
        let is_lost = self.socket != socket;
        self.end.or_else(|| is_lost.then_some(End::Resumed))
    }
}
