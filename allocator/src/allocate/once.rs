//! Exactly once by request id: the life of a request that may come again.
//!
//! 1. A server that carries the request id is the answer.
//! 2. Else a server is chosen, and the [guard](crate::guard) of the request says so before the
//!    server is written. A guard that is there already belongs to another call.
//! 3. That call is followed: its server becomes the answer as soon as it carries the request id.
//! 4. When its time is up without that, the guard is taken over. If the server that it names could
//!    still be written by the other call, we write that same server: whoever comes first, the
//!    request has this server and no other. Else that write has failed for good, and another
//!    server may be chosen.

use std::time::Duration;

use crds::allocation::SelectorState;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Allocated, Allocator, Cover, Error};
use crate::commit::{self, Mark, Outcome, Write};
use crate::guard::{Claim, Guard, Guards, Intent};
use crate::index::Key;
use crate::matches::{Allocation, Matches};
use crate::object::Written;
use crate::request::Request;
use crate::select::Choice;

/// Pauses between two looks at another call's guard.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// What is needed for requests with ids.
#[derive(Clone, Debug)]
pub struct Once {
    /// Where guards are kept.
    pub guards: Guards,
    /// Where request ids are looked up first.
    pub matches: Matches,
}

/// The answer to a request with an id.
#[derive(Clone, Debug)]
pub enum Had {
    /// Allocated by this call.
    Now(Allocated),
    /// Allocated by an earlier call, or one at the same time.
    Before(Box<Written>),
}

/// Our place in front of the server of one request.
#[derive(Debug)]
pub(super) struct Hold<'request> {
    guards: &'request Guards,
    claim: &'request Claim,
    /// Identifies this call.
    id: String,
    until: Timestamp,
    /// The guard, once it is ours.
    pub(super) guard: Option<Guard>,
}

impl Hold<'_> {
    /// Announces the write of a choice. False if another call guards the request.
    pub(super) async fn announce(&mut self, choice: &Choice) -> Result<bool, Error> {
        let intent = Intent {
            game_server: choice.key.name.to_string(),
            version: choice.version,
        };
        let (id, until) = (&self.id, self.until);
        let span = runtime::span!("guard request", otel.kind = "client");
        self.guard = if let Some(guard) = &self.guard {
            let change = self.guards.change(guard, id, intent, until);
            change.instrument(span).await?
        } else {
            let create = self.guards.create(self.claim, id, intent, until);
            create.instrument(span).await?
        };
        Ok(self.guard.is_some())
    }
}

/// What became of another call's guard.
enum Followed {
    /// The request has this server.
    Had(Box<Written>),
    /// Nobody writes for the request any more: we may.
    Free,
}

impl Allocator {
    /// Allocates a server for a request id, or finds the one that it has.
    pub async fn allocate_once(
        &self,
        request: &Request,
        mark: &Mark,
        deadline: Instant,
    ) -> Result<Had, Error> {
        let _place = self.place()?;
        let once = self.once(request, mark, deadline);
        tokio::time::timeout_at(deadline, once)
            .await
            .unwrap_or(Err(Error::Deadline))
    }

    /// The server of a request id as it is now, in whatever state; none if there is none.
    pub async fn find(&self, claim: &Claim) -> Result<Option<Box<Written>>, Error> {
        let once = &self.0.once;
        let known = once.matches.find(&claim.namespace, &claim.request_id);
        let name = match known {
            Some(known) => known.server.name.to_string(),
            None => match once.guards.read(claim).await? {
                Some(guard) => guard.intent.game_server,
                None => return Ok(None),
            },
        };
        Ok(self
            .look(claim, &name)
            .await?
            .filter(|server| carries(server, claim)))
    }

    async fn once(&self, request: &Request, mark: &Mark, deadline: Instant) -> Result<Had, Error> {
        let claim = &Claim {
            namespace: request.wanted.namespace.clone(),
            request_id: mark.request_id.clone(),
        };
        let once = &self.0.once;
        if let Some(known) = once.matches.find(&claim.namespace, &claim.request_id)
            && let Some(server) = self.look(claim, &known.server.name).await?
            && carries(&server, claim)
        {
            return self.had(server).map(Had::Before);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX);
        let until = runtime::clock::now().checked_add(left);
        let mut hold = Hold {
            guards: &once.guards,
            claim,
            id: self.next_id(),
            until: until.unwrap_or(Timestamp::MAX),
            guard: None,
        };
        loop {
            match self
                .choose_and_write(request, Some((mark, &mut hold)))
                .await
            {
                Ok(allocated) => return Ok(Had::Now(allocated)),
                Err(Error::Claimed) => {}
                Err(
                    error @ (Error::Capacity { .. } | Error::Unjoinable { .. } | Error::Contention),
                ) => {
                    // Every server that was announced is known not to have been written.
                    if let Some(guard) = hold.guard.take() {
                        once.guards.remove(guard).await;
                        return Err(error);
                    }
                    // Another call may have taken the last one for this very request.
                    if once.guards.read(claim).await?.is_none() {
                        return Err(error);
                    }
                }
                Err(Error::Commit(cause)) if cause.wrote_nothing() => {
                    if let Some(guard) = hold.guard.take() {
                        once.guards.remove(guard).await;
                    }
                    return Err(cause.into());
                }
                Err(error) => return Err(error),
            }
            let span = runtime::span!("follow other call");
            match self
                .follow(request, mark, &mut hold)
                .instrument(span)
                .await?
            {
                Followed::Had(server) => return self.had(server).map(Had::Before),
                Followed::Free => {}
            }
        }
    }

    /// Waits for the outcome of another call, or takes its place.
    async fn follow(
        &self,
        request: &Request,
        mark: &Mark,
        hold: &mut Hold<'_>,
    ) -> Result<Followed, Error> {
        let once = &self.0.once;
        let claim = hold.claim;
        let mut pause = FIRST_LOOK;
        loop {
            let Some(guard) = once.guards.read(claim).await? else {
                return Ok(Followed::Free);
            };
            let server = self.look(claim, &guard.intent.game_server).await?;
            if let Some(server) = &server
                && carries(server, claim)
            {
                if !guard.is_done && guard.until <= runtime::clock::now() {
                    self.finish(guard);
                }
                return Ok(Followed::Had(server.clone()));
            }
            if guard.is_done {
                return Err(Error::Ended);
            }
            if runtime::clock::now() < guard.until {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_LOOK);
                continue;
            }
            let intent = guard.intent.clone();
            let change = once.guards.change(&guard, &hold.id, intent, hold.until);
            let Some(ours) = change.await? else {
                continue;
            };
            self.0.metrics.guard_taken_over();
            let intent = ours.intent.clone();
            hold.guard = Some(ours);
            let Some(server) = server.filter(|server| server.is_version(intent.version)) else {
                return Ok(Followed::Free);
            };
            let choice = Choice {
                key: Key::new(&claim.namespace, &intent.game_server),
                version: intent.version,
                state: if server.is_allocated() {
                    SelectorState::Allocated
                } else {
                    SelectorState::Ready
                },
            };
            match self
                .write_again(request, mark, hold, choice.clone())
                .await?
            {
                Outcome::Committed(server) => return Ok(Followed::Had(server)),
                Outcome::Lost | Outcome::Gone => {}
            }
            // If the other call was faster, its mark is there now; if not, it never will be.
            return match self.look(claim, &choice.key.name).await? {
                Some(server) if carries(&server, claim) => {
                    if let Some(guard) = hold.guard.take() {
                        self.finish(guard);
                    }
                    Ok(Followed::Had(server))
                }
                // A conflict though nothing has changed (an admission webhook may say so): the
                // write of the other call may come yet.
                Some(server) if server.is_version(choice.version) => Err(Error::Contention),
                Some(_) | None => Ok(Followed::Free),
            };
        }
    }

    /// Writes the server that another call was about to write for the same request.
    async fn write_again(
        &self,
        request: &Request,
        mark: &Mark,
        hold: &Hold<'_>,
        choice: Choice,
    ) -> Result<Outcome, Error> {
        let permit = self.permit().await?;
        let write = Write::of(&choice, request, Some(mark), hold.id.clone());
        let reservation = self.0.servers.reserve_known(choice);
        let cover = hold.guard.clone().map(Cover::TakenOver);
        let finished = self.spawn(write, reservation, permit, cover);
        let (outcome, _) = finished.await.map_err(|_| Error::Interrupted)?;
        Ok(outcome?)
    }

    pub(super) async fn look(
        &self,
        claim: &Claim,
        name: &str,
    ) -> Result<Option<Box<Written>>, Error> {
        let key = Key::new(&claim.namespace, name);
        let api = self.api(&claim.namespace);
        Ok(commit::read(&api, &key, &self.0.bounds.commit).await?)
    }

    fn had(&self, server: Box<Written>) -> Result<Box<Written>, Error> {
        let is_live = Allocation::written(&server).is_some_and(|allocation| allocation.is_live);
        if !is_live {
            return Err(Error::Ended);
        }
        self.0.metrics.request_known();
        Ok(server)
    }
}

/// Whether a server was allocated for this request.
pub(super) fn carries(server: &Written, claim: &Claim) -> bool {
    server.request_id() == Some(&*claim.request_id)
}

#[cfg(test)]
mod tests;
