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
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use runtime::backoff::Backoff;
use serde_json::{Value, json};

use crate::index::Key;
use crate::index::order::mix;
use crate::object::{ALLOCATION_ID_ANNOTATION, Written};

/// Name under which the API server records what the allocator wrote.
const FIELD_MANAGER: &str = "muster.dev/allocator";

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
    /// The time of the allocation.
    pub now: Timestamp,
}

/// How long and how often the API server is asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for one call.
    pub call: Duration,
    /// Calls of one write, the first included.
    pub tries: u32,
    /// Time between them.
    pub backoff: Backoff,
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
    },
}

/// A call that failed, and could succeed later.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The API server answered with an error of its own, or the call did not reach it.
    #[error(transparent)]
    Call(#[from] Box<kube::Error>),
    /// The API server said that the server had changed, after a call without a clear answer.
    #[error("conflict after a call without an answer")]
    Unclear,
}

/// What one call says.
enum Answer {
    Object(Box<Written>),
    Conflict,
    Missing,
    /// Certainly not executed.
    Busy(Failure),
    /// Perhaps executed.
    Doubtful(Failure),
    Refused {
        code: u16,
        message: String,
    },
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
                return Err(Error::Abandoned {
                    key: write.key.clone(),
                });
            }
            tokio::time::sleep(limits.pause(&write.id, attempt - 1)).await;
        }
        if doubtful {
            match answer(limits.call, api.get(name)).await {
                Answer::Object(seen) if seen.allocation_id() == Some(&write.id) => {
                    return Ok(Outcome::Committed(seen));
                }
                Answer::Object(seen) if write.guards(&seen) && gone() => {
                    return Err(Error::Abandoned {
                        key: write.key.clone(),
                    });
                }
                Answer::Object(seen) if write.guards(&seen) => {}
                // Another version is there, and it is not ours: the guard has failed for good.
                Answer::Object(_) => return Ok(Outcome::Lost),
                Answer::Missing => return Ok(Outcome::Gone),
                Answer::Busy(cause) | Answer::Doubtful(cause) => {
                    failure = Some(cause);
                    continue;
                }
                Answer::Conflict => continue,
                Answer::Refused { code, message } => return Err(write.refused(code, message)),
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
            Answer::Refused { code, message } => return Err(write.refused(code, message)),
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
                });
            }
        };
    }
    Err(Error::Unavailable {
        key: key.clone(),
        source: failure,
    })
}

async fn answer(
    limit: Duration,
    call: impl Future<Output = Result<Written, kube::Error>>,
) -> Answer {
    let error = match tokio::time::timeout(limit, call).await {
        Ok(Ok(object)) => return Answer::Object(Box::new(object)),
        Ok(Err(error)) => error,
        Err(_) => return Answer::Doubtful(Failure::Timeout(limit)),
    };
    let code = match &error {
        kube::Error::Api(status) => status.code,
        _ => return Answer::Doubtful(Failure::Call(Box::new(error))),
    };
    match code {
        409 => Answer::Conflict,
        404 | 410 => Answer::Missing,
        429 => Answer::Busy(Failure::Call(Box::new(error))),
        408 | 500.. => Answer::Doubtful(Failure::Call(Box::new(error))),
        _ => Answer::Refused {
            code,
            message: message(&error),
        },
    }
}

fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl Limits {
    /// The pause before the next try; the share of the bound differs between `id`s.
    fn pause(&self, id: &str, attempt: u32) -> Duration {
        let hash = mix(crds::names::hash(id.as_bytes()) ^ u64::from(attempt));
        let share = f64::from(u8::try_from(hash >> 56).unwrap_or_default()) / f64::from(u8::MAX);
        self.backoff.delay(attempt, share)
    }
}

impl Write {
    /// The merge patch.
    pub fn patch(&self) -> Value {
        let mut annotations = self.annotations.clone();
        annotations.insert(
            crds::meta::LAST_ALLOCATED_ANNOTATION.to_owned(),
            self.now.to_string(),
        );
        annotations.insert(ALLOCATION_ID_ANNOTATION.to_owned(), self.id.clone());
        let mut metadata = json!({
            "resourceVersion": self.version.to_string(),
            "annotations": annotations,
        });
        // A server that a former match left behind must not look like that match's own.
        let mut labels = json!({ crds::meta::MATCH_ALLOCATION_LABEL: null });
        for (key, value) in &self.labels {
            labels[key] = json!(value);
        }
        metadata["labels"] = labels;
        json!({ "metadata": metadata, "status": { "state": crds::State::Allocated } })
    }

    /// Whether the object is the version that was chosen, so that the write may still apply.
    fn guards(&self, seen: &Written) -> bool {
        seen.metadata.resource_version.as_deref() == Some(self.version.to_string().as_str())
    }

    fn refused(&self, code: u16, message: String) -> Error {
        Error::Refused {
            key: self.key.clone(),
            code,
            message,
        }
    }
}
