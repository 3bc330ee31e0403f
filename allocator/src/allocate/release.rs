//! Gives the server of a request back.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::once::carries;
use super::{Allocator, Error};
use crate::call::{Answer, Failure, answer};
use crate::commit;
use crate::guard::Claim;
use crate::index::Key;
use crate::object::{ALLOCATION_ID_ANNOTATION, Written};

impl Allocator {
    /// Ends the server of a request, or makes it Ready again. A server that is not Allocated for
    /// the request, or no more, is left alone.
    pub async fn release(&self, claim: &Claim, is_reused: bool) -> Result<(), Error> {
        let limits = &self.0.bounds.commit;
        let api = self.api(&claim.namespace);
        let params = PatchParams::default();
        let mut key = Key::new(&claim.namespace, "");
        let mut failure = Failure::Unclear;
        for attempt in 0..limits.tries {
            if attempt > 0 {
                tokio::time::sleep(limits.pause(&claim.request_id, attempt - 1)).await;
            }
            let Some(server) = self.find(claim).await? else {
                if self.forestall(claim).await? {
                    return Ok(());
                }
                continue;
            };
            if !server.is_allocated() {
                return Ok(());
            }
            // Once the label is gone, only the guard tells that the request has had its server.
            if !self.settle(claim).await? {
                continue;
            }
            let name = server.metadata.name.clone().unwrap_or_default();
            key = Key::new(&claim.namespace, &name);
            let patch = Patch::Merge(patch(&server, is_reused));
            failure = match answer(limits.call, api.patch(&name, &params, &patch)).await {
                Answer::Object(released) => {
                    self.0.servers.answered(released.sighting());
                    return Ok(());
                }
                Answer::Missing => return Ok(()),
                Answer::Conflict => Failure::Unclear,
                // What was done nevertheless shows when the server is looked at again.
                Answer::Busy(cause) | Answer::Doubtful(cause) => cause,
                Answer::Refused { code, message } => {
                    return Err(refused(key, code, message));
                }
            };
        }
        let source = failure;
        Err(commit::Error::Unavailable { key, source }.into())
    }

    /// Writes down in the guard that the request has had its server. False if another call has
    /// changed the guard meanwhile.
    async fn settle(&self, claim: &Claim) -> Result<bool, Error> {
        let guards = &self.0.once.guards;
        match guards.read(claim).await? {
            Some(guard) if !guard.is_done => Ok(guards.finish(guard).await?),
            Some(_) | None => Ok(true),
        }
    }

    /// Makes sure that a request without a server does not get one later. False if it has one now,
    /// or another call has changed the guard meanwhile.
    ///
    /// The one server that could still be given to it is the one that the guard names, at the
    /// version that it names. If that version is still there, the server is changed: a write that
    /// comes late fails. That the guard's time is up says only that nobody waits for that write.
    async fn forestall(&self, claim: &Claim) -> Result<bool, Error> {
        let guards = &self.0.once.guards;
        let guard = match guards.read(claim).await? {
            Some(guard) if !guard.is_done => guard,
            Some(_) | None => return Ok(true),
        };
        let now = runtime::clock::now();
        if now < guard.until {
            return Err(Error::Claimed);
        }
        let id = self.next_id();
        let change = guards.change(&guard, &id, guard.intent.clone(), now);
        // From here on nothing else is announced for the request.
        let Some(ours) = change.await? else {
            return Ok(false);
        };
        let limits = &self.0.bounds.commit;
        let key = Key::new(&claim.namespace, &ours.intent.game_server);
        let (api, params) = (self.api(&claim.namespace), PatchParams::default());
        let mut source = Failure::Unclear;
        for attempt in 0..limits.tries {
            if attempt > 0 {
                tokio::time::sleep(limits.pause(&id, attempt - 1)).await;
            }
            match self.look(claim, &key.name).await? {
                Some(server) if carries(&server, claim) => return Ok(false),
                Some(server) if server.is_version(ours.intent.version) => {
                    let bump = Patch::Merge(bump(&server, &id));
                    let bumped = api.patch(&key.name, &params, &bump);
                    source = match answer(limits.call, bumped).await {
                        Answer::Object(server) => {
                            self.0.servers.answered(server.sighting());
                            return Ok(guards.finish(ours).await?);
                        }
                        // The next look tells what has become of it.
                        Answer::Conflict | Answer::Missing => Failure::Unclear,
                        Answer::Busy(cause) | Answer::Doubtful(cause) => cause,
                        Answer::Refused { code, message } => {
                            return Err(refused(key, code, message));
                        }
                    };
                }
                Some(_) | None => return Ok(guards.finish(ours).await?),
            }
        }
        Err(commit::Error::Unavailable { key, source }.into())
    }
}

fn refused(key: Key, code: u16, message: String) -> Error {
    let may_apply = false;
    let cause = commit::Error::Refused {
        key,
        code,
        message,
        may_apply,
    };
    cause.into()
}

/// Changes nothing but the version: the id is of no allocation.
fn bump(server: &Written, id: &str) -> Value {
    json!({
        "metadata": {
            "resourceVersion": server.metadata.resource_version,
            "annotations": { ALLOCATION_ID_ANNOTATION: id },
        },
    })
}

/// Guarded by the version that was seen: a server that has changed is looked at again.
fn patch(server: &Written, is_reused: bool) -> Value {
    let version = &server.metadata.resource_version;
    if !is_reused {
        return json!({
            "metadata": { "resourceVersion": version },
            "status": { "state": crds::State::Shutdown },
        });
    }
    let mut metadata = json!(crds::matches::forget(&server.metadata));
    metadata["resourceVersion"] = json!(version);
    json!({ "metadata": metadata, "status": { "state": crds::State::Ready } })
}
