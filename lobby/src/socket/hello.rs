//! The first call of a socket: who it is, and which session it goes on with.

use proto::muster::lobby::v1 as wire;
use wire::answer::Answer;
use wire::call::Call;

use super::talk::Over;
use super::{Heard, Line, PATH, answer, close};
use crate::edge::Shown;
use crate::error::{Code, Failure};
use crate::http::State;
use crate::live::Channel;
use crate::service::{Caller, duration};
use crate::sessions::notice::Notice;
use crate::sessions::online::{self, Online};
use crate::sessions::{Attached, End, ResumeToken, Session};

/// A socket that is signed in.
pub(super) struct Entered {
    pub(super) attached: Attached,
    /// The client's trace.
    pub(super) trace: Option<String>,
}

/// Hears Hello, and answers it.
pub(super) async fn hello(state: &State, line: &mut Line) -> Result<Entered, Over> {
    let limits = &state.edge.limits;
    let first = async {
        loop {
            match line.hear().await {
                Heard::Bytes(bytes) => break Ok(bytes),
                Heard::Alive => {}
                Heard::Over(over) => break Err(over),
            }
        }
    };
    let first = tokio::select! {
        first = tokio::time::timeout(limits.hello, first) => {
            first.map_err(|_| close::SIGN_IN)??
        }
        () = state.edge.stop.cancelled() => return Err(close::MOVING.into()),
    };
    let (id, entered) = match line.codec.read::<wire::Call>(&first) {
        Err(failure) => (0, Err(failure)),
        Ok(call) => {
            let entered = async {
                let Some(Call::Hello(hello)) = call.call else {
                    let message = "the first call of a socket is Hello";
                    return Err(Failure::new(Code::SignInFirst, message));
                };
                enter(state, hello).await
            };
            (call.id, entered.await)
        }
    };
    match entered {
        Ok((entered, welcome)) => {
            let welcome = answer(id, Ok(Answer::Welcome(welcome)));
            if let Err(over) = line.say(&welcome).await {
                super::end(state, &entered.attached, over).await;
                return Err(over);
            }
            Ok(entered)
        }
        Err(failure) => {
            line.say(&answer(id, Err(failure))).await?;
            Err(close::SIGN_IN.into())
        }
    }
}

async fn enter(state: &State, hello: wire::Hello) -> Result<(Entered, wire::Welcome), Failure> {
    let shown = Shown {
        token: &hello.access_token,
        proof: (!hello.dpop_proof.is_empty()).then_some(hello.dpop_proof.as_str()),
        method: "GET",
        path: PATH,
    };
    let caller = state.edge.caller(&state.service, shown).await?;
    let parts = state.service.parts();
    let mut welcome = wire::Welcome {
        player_id: caller.player.to_string(),
        heartbeat: Some(duration(state.edge.limits.silence * 2)),
        ..wire::Welcome::default()
    };
    let entered = |attached| Entered {
        attached,
        trace: runtime::trace::parse(&hello.trace_context),
    };
    if let Some(resume) = &hello.resume
        && let Some(attached) = parts.sessions.resume(&caller, resume)
    {
        parts.metrics.resumed();
        state.service.note_connection(caller.player, true).await;
        welcome.is_resumed = true;
        welcome.resume_token.clone_from(&resume.resume_token);
        return Ok((entered(attached), welcome));
    }
    let token = ResumeToken::new()?;
    let now = runtime::clock::now();
    let attached = parts.sessions.open(&caller, &token, now).await;
    let begun = tokio::time::timeout(
        state.edge.limits.call,
        begin(state, &caller, &attached.session),
    );
    let begun = begun.await.unwrap_or_else(|_| {
        let message = "the lobby's live state does not answer";
        Err(Failure::new(Code::Unavailable, message))
    });
    match begun {
        Ok(player_state) => {
            token.expose().clone_into(&mut welcome.resume_token);
            welcome.state = Some(player_state);
            Ok((entered(attached), welcome))
        }
        Err(failure) => {
            // Whoever was told of it is told of its end.
            attached.session.end(End::Left);
            super::end(state, &attached, Over::Left).await;
            Err(failure)
        }
    }
}

/// What a new session does before its first event: from here on it misses none.
async fn begin(state: &State, caller: &Caller, session: &Session) -> Result<wire::State, Failure> {
    let service = &state.service;
    let parts = service.parts();
    let own = Channel::Player(caller.player);
    parts.sessions.hear(caller.player, own.clone()).await?;
    let online = Online::new(parts.replica, session.id());
    if let Some(session) = online::claim(parts.live.as_ref(), caller.player, &online).await? {
        // When this is lost, the other lobby finds out by its next heartbeat.
        let notice = Notice::Superseded { session };
        parts.live.publish(&own, &notice.encode()).await?;
    }
    service.connected(caller.player).await
}
