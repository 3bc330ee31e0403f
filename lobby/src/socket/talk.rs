//! A socket that is signed in: calls and answers, events, heartbeats, and why it ends.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use proto::muster::lobby::v1 as wire;
use tokio::sync::watch;
use tokio::time::Instant;

use super::close::{self, Close};
use super::hello::Entered;
use super::{Heard, Line, answer};
use crate::error::Failure;
use crate::http::State;
use crate::service::{calls, duration};
use crate::sessions::{Attached, End, Next};

use axum::extract::ws::Message;

/// How many calls in a row may be refused for their rate before the socket is ended.
const REFUSALS: u32 = 100;

/// Why a socket is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The client said goodbye.
    Left,
    /// It is gone without a word.
    Broken,
    /// We end it.
    Close(Close),
}

impl Over {
    /// For metrics.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Broken => "broken",
            Self::Close(close) => close.name,
        }
    }

    /// Whether the session waits for the client.
    pub(super) fn may_come_back(self) -> bool {
        match self {
            Self::Broken => true,
            Self::Left => false,
            Self::Close(close) => [close::KIND, close::MALFORMED, close::SLOW].contains(&close),
        }
    }
}

impl From<Close> for Over {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl From<End> for Over {
    fn from(end: End) -> Self {
        match end {
            End::Replaced => close::REPLACED.into(),
            End::Resumed => close::RESUMED.into(),
            End::Slow => close::SLOW.into(),
            End::Revoked => close::REVOKED.into(),
            End::Left => Self::Left,
        }
    }
}

/// The call that is being answered.
type Pending = BoxFuture<'static, Option<Box<wire::Message>>>;

/// A socket that is signed in.
pub(super) struct Talk<'a> {
    state: &'a State,
    line: &'a mut Line,
    attached: Attached,
    trace: Option<String>,
    changes: watch::Receiver<()>,
    pending: Option<Pending>,
    /// When the client was last heard.
    heard: Instant,
    is_pinged: bool,
    /// Calls in a row that were refused for their rate.
    refusals: u32,
    /// When the client is told to move, once the process ends.
    leaves_at: Option<Instant>,
    is_leaving: bool,
}

/// What happens next.
enum Turn {
    Changed,
    Answered(Option<Box<wire::Message>>),
    Heard(Heard),
    Silent,
    Stopping,
    Leave,
}

impl<'a> Talk<'a> {
    pub(super) fn new(state: &'a State, line: &'a mut Line, entered: Entered) -> Self {
        let changes = entered.attached.session.changes();
        Self {
            state,
            line,
            attached: entered.attached,
            trace: entered.trace,
            changes,
            pending: None,
            heard: Instant::now(),
            is_pinged: false,
            refusals: 0,
            leaves_at: None,
            is_leaving: false,
        }
    }

    /// Talks to the end.
    pub(super) async fn run(mut self) -> Over {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(over) => return over,
            }
        }
    }

    async fn step(&mut self) -> Result<(), Over> {
        self.changes.borrow_and_update();
        match self.attached.session.next(self.attached.socket) {
            Next::Event(number, event) => {
                let message = wire::Message {
                    number,
                    id: 0,
                    message: Some(wire::message::Message::Event((*event).clone())),
                };
                self.state.service.parts().metrics.sent();
                return self.say(&message).await;
            }
            Next::End(end) => return Err(end.into()),
            Next::Wait => {}
        }
        if self.is_leaving && self.pending.is_none() {
            return Err(close::MOVING.into());
        }
        match self.turn().await {
            Turn::Changed => Ok(()),
            Turn::Answered(message) => {
                self.pending = None;
                match message {
                    Some(message) => self.say(&message).await,
                    None => Ok(()),
                }
            }
            Turn::Heard(heard) => {
                self.heard = Instant::now();
                self.is_pinged = false;
                match heard {
                    Heard::Bytes(bytes) => self.call(&bytes).await,
                    Heard::Alive => Ok(()),
                    Heard::Over(over) => Err(over),
                }
            }
            Turn::Silent if self.is_pinged => Err(Over::Broken),
            Turn::Silent => {
                self.is_pinged = true;
                let ping = Message::Ping(axum::body::Bytes::new());
                self.line.send(ping).await
            }
            Turn::Stopping => {
                let share = fastrand::f64();
                let within = self.state.edge.drain.spread.mul_f64(share);
                self.leaves_at = Some(Instant::now() + within);
                Ok(())
            }
            Turn::Leave => {
                self.leave();
                Ok(())
            }
        }
    }

    /// Waits for what happens next.
    async fn turn(&mut self) -> Turn {
        let silence = self.state.edge.limits.silence;
        let silent_at = self.heard + if self.is_pinged { silence * 2 } else { silence };
        let is_idle = self.pending.is_none();
        let pending = async {
            match &mut self.pending {
                Some(pending) => pending.await,
                None => std::future::pending().await,
            }
        };
        let leave = async {
            match self.leaves_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.changes.changed() => Turn::Changed,
            message = pending => Turn::Answered(message),
            // One call at a time: the client's next one waits in its socket.
            heard = self.line.hear(), if is_idle => Turn::Heard(heard),
            () = tokio::time::sleep_until(silent_at), if is_idle => Turn::Silent,
            () = self.state.edge.stop.cancelled(), if self.leaves_at.is_none() => Turn::Stopping,
            () = leave, if !self.is_leaving => Turn::Leave,
        }
    }

    /// Sends a message, unless the session ends meanwhile.
    async fn say(&mut self, message: &wire::Message) -> Result<(), Over> {
        let Attached { session, socket } = &self.attached;
        let ended = async {
            // What this returns holds a lock; that it returns is enough.
            let changes = &mut self.changes;
            drop(
                changes
                    .wait_for(|()| session.end_of(*socket).is_some())
                    .await,
            );
        };
        tokio::select! {
            biased;
            said = self.line.say(message) => said,
            () = ended => Err(session.end_of(*socket).map_or(Over::Broken, Over::from)),
        }
    }

    /// Begins to answer a call.
    async fn call(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let session = &self.attached.session;
        let now = runtime::clock::now();
        let caller = session.caller();
        let verifier = &self.state.service.parts().verifier;
        if verifier.has_ended(caller.player, caller.session, session.began()) {
            session.end(End::Revoked);
            return Ok(());
        }
        let read = self.line.codec.read::<wire::Call>(bytes);
        let limits = self.state.edge.limits;
        // A new session does not begin anew.
        let player = self.state.edge.count_player(caller.player);
        let wait = player.err().and_then(|failure| failure.retry_after);
        if let Some(wait) = session.count_call(now, limits.calls).err().or(wait) {
            self.refusals += 1;
            if self.refusals > REFUSALS {
                return Err(close::FLOOD.into());
            }
            let id = read.map_or(0, |call| call.id);
            let refusal = answer(id, Err(Failure::throttled(wait)));
            return self.say(&refusal).await;
        }
        self.refusals = 0;
        let call = match read {
            Ok(call) => call,
            // Which call it was is not known: the answer has no id.
            Err(failure) => return self.say(&answer(0, Err(failure))).await,
        };
        session.seen(call.seen);
        self.pending = Some(self.begin(call));
        Ok(())
    }

    /// The answer to a call; none where none is wanted.
    fn begin(&self, call: wire::Call) -> Pending {
        let wire::Call {
            id,
            idempotency_key,
            call,
            ..
        } = call;
        let Some(call) = call else {
            let failure = Failure::field("call", "must be one of the calls");
            // A message that only says what was seen needs no call.
            return std::future::ready((id != 0).then(|| Box::new(answer(id, Err(failure)))))
                .boxed();
        };
        let span = runtime::span!(
            "lobby call",
            otel.kind = "server",
            call = calls::name(&call)
        );
        if let Some(context) = &self.trace {
            runtime::trace::continue_from(&span, context);
        }
        let caller = self.attached.session.caller().clone();
        let answered = span.in_scope(|| self.state.answer(caller, idempotency_key, call));
        async move {
            let answered = answered.await;
            (id != 0).then(|| Box::new(answer(id, answered)))
        }
        .boxed()
    }

    /// Tells the client to move; the socket ends when it has read everything.
    fn leave(&mut self) {
        self.is_leaving = true;
        let drain = &self.state.edge.drain;
        let moving = wire::Moving {
            url: drain.url.clone(),
            within: Some(duration(drain.spread)),
        };
        let event = wire::Event {
            event: Some(wire::event::Event::Moving(moving)),
        };
        self.attached.session.push(event.into(), 0);
    }
}
