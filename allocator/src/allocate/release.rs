//! Gives the server of a request back.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Allocator, Error};
use crate::call::{Answer, Failure, answer};
use crate::commit;
use crate::guard::Claim;
use crate::index::Key;
use crate::object::Written;

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
                return self.nobody_allocates(claim).await;
            };
            let is_allocated = server
                .status
                .as_ref()
                .is_some_and(|status| status.state == "Allocated");
            if !is_allocated {
                return Ok(());
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
                    return Err(commit::Error::Refused { key, code, message }.into());
                }
            };
        }
        let source = failure;
        Err(commit::Error::Unavailable { key, source }.into())
    }

    /// A request without a server is released, unless a server may be on its way.
    async fn nobody_allocates(&self, claim: &Claim) -> Result<(), Error> {
        match self.0.once.guards.read(claim).await? {
            Some(guard) if !guard.is_done && runtime::clock::now() < guard.until => {
                Err(Error::Claimed)
            }
            Some(_) | None => Ok(()),
        }
    }
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
    json!({
        "metadata": {
            "resourceVersion": version,
            "labels": { crds::meta::REQUEST_LABEL: null },
            "annotations": { crds::meta::MATCH_ANNOTATION: null },
        },
        "status": { "state": crds::State::Ready },
    })
}
