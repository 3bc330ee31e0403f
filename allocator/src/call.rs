//! One call of the API server: what its answer says about what was done.

use std::time::Duration;

use runtime::backoff::Backoff;

use crate::index::order::mix;

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

impl Limits {
    /// The pause before the next try; the share of the bound differs between `id`s.
    pub(crate) fn pause(&self, id: &str, attempt: u32) -> Duration {
        let hash = mix(crds::names::hash(id.as_bytes()) ^ u64::from(attempt));
        let share = f64::from(u8::try_from(hash >> 56).unwrap_or_default()) / f64::from(u8::MAX);
        self.backoff.delay(attempt, share)
    }
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
    /// The API server said that the object had changed, after a call without a clear answer.
    #[error("conflict after a call without an answer")]
    Unclear,
}

/// What one call says.
pub(crate) enum Answer<Object> {
    Object(Box<Object>),
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

/// Makes a call within its time.
pub(crate) async fn answer<Object>(
    limit: Duration,
    call: impl Future<Output = Result<Object, kube::Error>>,
) -> Answer<Object> {
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
