//! The guarded write: makes a choice an allocation, or says why not.
//!
//! One merge patch sets labels, annotations and `status.state`. Its `metadata.resourceVersion` is the
//! guard: the API server applies it to that version of the server or not at all, so that of several
//! writers of one version only one wins.
//!
//! A call that failed on its way (time-out, lost connection, 5xx) may have been committed, or may
//! still be. The same patch can be sent again without harm, since it applies only once; and the
//! server itself tells whose write it was, by the annotation `muster.dev/allocation-id`. Until that
//! is known, no second server is given.
//!
//! kube's own retry is off (see `client`): it would repeat the call behind our back.

use std::collections::BTreeMap;

use crds::allocation::SelectorState;
use crds::meta;
use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::call::{Answer, Failure, Limits, answer};
use crate::index::Key;
use crate::object::{ALLOCATION_ID_ANNOTATION, Written};
use crate::request::Request;
use crate::select::Choice;

/// Name under which the API server records what the allocator wrote.
const FIELD_MANAGER: &str = "muster.dev/allocator";

/// Annotations that speak of the match which a server is in.
const OF_MATCH: [&str; 4] = [
    meta::MATCH_ANNOTATION,
    meta::MATCH_RESULT_ANNOTATION,
    meta::CLAIM_TIME_ANNOTATION,
    meta::PLAYER_COUNT_ANNOTATION,
];

/// What is written.
#[derive(Clone, Debug)]
pub struct Write {
    /// The chosen server.
    pub key: Key,
    /// The version of it that was chosen.
    pub version: u64,
    /// Identifies the request.
    pub id: String,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
    /// Annotations to set.
    pub annotations: BTreeMap<String, String>,
    /// What a request with an id leaves on the server.
    pub mark: Option<Mark>,
    /// The server may be in a match, which goes on: it was chosen Allocated, for a request without
    /// an id.
    pub keeps_match: bool,
    /// The time of the allocation.
    pub now: Timestamp,
}

/// What a request with an id leaves on its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The request id: a label, so that the server can be found by it.
    pub request_id: String,
    /// The match, as [`crds::matches::Match`] in JSON.
    pub of_match: String,
}

/// What became of a write.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The server is allocated, and looks like this.
    Committed(Box<Written>),
    /// The server had changed.
    Lost,
    /// The server is gone.
    Gone,
}

/// Why nothing can be said about a write, or why it cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server does not accept the change, and would not later.
    #[error("the API server refused to allocate {key}: {message}")]
    Refused {
        /// The chosen server.
        key: Key,
        /// HTTP status.
        code: u16,
        /// What the API server said.
        message: String,
        /// An earlier try got no answer: it may have been applied, or may be yet.
        may_apply: bool,
    },
    /// The API server did not answer, or could not.
    #[error("the API server was not available to allocate {key}")]
    Unavailable {
        /// The chosen server.
        key: Key,
        /// What the last call ended with.
        #[source]
        source: Failure,
    },
    /// Nobody waits for the outcome any more, and nothing has been written.
    #[error("the caller of the allocation of {key} is gone")]
    Abandoned {
        /// The chosen server.
        key: Key,
        /// An earlier try got no answer: it may be applied yet.
        may_apply: bool,
    },
}

impl Error {
    /// Whether the write has certainly not been made, and never will be.
    pub const fn wrote_nothing(&self) -> bool {
        match self {
            Self::Refused { may_apply, .. } | Self::Abandoned { may_apply, .. } => !*may_apply,
            Self::Unavailable { .. } => false,
        }
    }
}

/// Writes, and asks again until the outcome is known or the limits are reached.
///
/// `gone` says whether nobody waits for the outcome any more: then nothing new is begun, but what
/// may have been committed is still looked up, so that it is recorded.
pub async fn commit(
    api: &Api<Written>,
    write: &Write,
    limits: &Limits,
    gone: impl Fn() -> bool,
) -> Result<Outcome, Error> {
    let patch = Patch::Merge(write.patch());
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..Default::default()
    };
    let name = &*write.key.name;
    let mut doubtful = false;
    let mut failure = None;
    for attempt in 0..limits.tries {
        if attempt > 0 {
            if gone() && !doubtful {
                return Err(write.abandoned(false));
            }
            tokio::time::sleep(limits.pause(&write.id, attempt - 1)).await;
        }
        if doubtful {
            match answer(limits.call, api.get(name)).await {
                Answer::Object(seen) if write.is_on(&seen) => {
                    return Ok(Outcome::Committed(seen));
                }
                Answer::Object(seen) if seen.is_version(write.version) && gone() => {
                    return Err(write.abandoned(true));
                }
                Answer::Object(seen) if seen.is_version(write.version) => {}
                // Another version is there, and it is not ours: the guard has failed for good.
                Answer::Object(_) => return Ok(Outcome::Lost),
                Answer::Missing => return Ok(Outcome::Gone),
                Answer::Busy(cause) | Answer::Doubtful(cause) => {
                    failure = Some(cause);
                    continue;
                }
                Answer::Conflict => continue,
                Answer::Refused { code, message } => {
                    return Err(write.refused(code, message, doubtful));
                }
            }
        }
        match answer(limits.call, api.patch(name, &params, &patch)).await {
            Answer::Object(written) => return Ok(Outcome::Committed(written)),
            Answer::Conflict if doubtful => failure = Some(Failure::Unclear),
            Answer::Conflict => return Ok(Outcome::Lost),
            Answer::Missing => return Ok(Outcome::Gone),
            Answer::Busy(cause) => failure = Some(cause),
            Answer::Doubtful(cause) => {
                doubtful = true;
                failure = Some(cause);
            }
            Answer::Refused { code, message } => {
                return Err(write.refused(code, message, doubtful));
            }
        }
    }
    let source = failure.unwrap_or(Failure::Timeout(limits.call));
    Err(Error::Unavailable {
        key: write.key.clone(),
        source,
    })
}

/// Reads a server as it is now; none if it is gone.
pub async fn read(
    api: &Api<Written>,
    key: &Key,
    limits: &Limits,
) -> Result<Option<Box<Written>>, Error> {
    let mut failure = Failure::Timeout(limits.call);
    for attempt in 0..limits.tries {
        if attempt > 0 {
            tokio::time::sleep(limits.pause(&key.name, attempt - 1)).await;
        }
        failure = match answer(limits.call, api.get(&key.name)).await {
            Answer::Object(seen) => return Ok(Some(seen)),
            Answer::Missing => return Ok(None),
            Answer::Busy(cause) | Answer::Doubtful(cause) => cause,
            Answer::Conflict => Failure::Unclear,
            Answer::Refused { code, message } => {
                return Err(Error::Refused {
                    key: key.clone(),
                    code,
                    message,
                    may_apply: false,
                });
            }
        };
    }
    Err(Error::Unavailable {
        key: key.clone(),
        source: failure,
    })
}

impl Write {
    /// The write that makes a choice an allocation for a request, now.
    pub fn of(choice: &Choice, request: &Request, mark: Option<&Mark>, id: String) -> Self {
        Self {
            key: choice.key.clone(),
            version: choice.version,
            id,
            labels: request.labels.clone(),
            annotations: request.annotations.clone(),
            mark: mark.cloned(),
            keeps_match: mark.is_none() && choice.state == SelectorState::Allocated,
            now: runtime::clock::now(),
        }
    }

    /// The merge patch.
    pub fn patch(&self) -> Value {
        let mut annotations = self.annotations.clone();
        annotations.insert(
            meta::LAST_ALLOCATED_ANNOTATION.to_owned(),
            self.now.to_string(),
        );
        annotations.insert(ALLOCATION_ID_ANNOTATION.to_owned(), self.id.clone());
        // Of the match, nothing is the caller's to say.
        let mut labels = self.labels.clone();
        labels.remove(meta::REQUEST_LABEL);
        annotations.retain(|key, _| !OF_MATCH.contains(&key.as_str()));
        let (mut annotations, mut labels) = (json!(annotations), json!(labels));
        if !self.keeps_match {
            // A server that a former match left behind must not look like that match's own.
            for of_former in OF_MATCH {
                annotations[of_former] = Value::Null;
            }
            let mark = self.mark.as_ref();
            labels[meta::REQUEST_LABEL] = json!(mark.map(|mark| &mark.request_id));
            annotations[meta::MATCH_ANNOTATION] = json!(mark.map(|mark| &mark.of_match));
        }
        let metadata = json!({
            "resourceVersion": self.version.to_string(),
            "annotations": annotations,
            "labels": labels,
        });
        json!({ "metadata": metadata, "status": { "state": crds::State::Allocated } })
    }

    /// Whether a server was allocated by this write, or by another one for the same request.
    fn is_on(&self, server: &Written) -> bool {
        let is_of_request = self.mark.as_ref().is_some_and(|mark| {
            server.is_allocated() && server.request_id() == Some(&*mark.request_id)
        });
        is_of_request || server.allocation_id() == Some(&self.id)
    }

    fn abandoned(&self, may_apply: bool) -> Error {
        Error::Abandoned {
            key: self.key.clone(),
            may_apply,
        }
    }

    fn refused(&self, code: u16, message: String, may_apply: bool) -> Error {
        Error::Refused {
            key: self.key.clone(),
            code,
            message,
            may_apply,
        }
    }
}
