//! Errors of a reconcile, and what is done about them.

use std::time::Duration;

use kube::core::Status;

/// How an error is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Tried again with backoff.
    Transient,
    /// The object changed meanwhile: tried again at once, then with backoff.
    Conflict,
    /// Something else must come first: looked at again after a fixed time.
    Waiting,
    /// The object itself is wrong: waits for a change of it.
    Invalid,
}

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server refused the call.
    #[error("{action} was refused")]
    Refused {
        /// What was tried, on which object.
        action: String,
        /// The API server's answer.
        #[source]
        status: Box<Status>,
    },
    /// The call did not get through.
    #[error("{action} failed")]
    Failed {
        /// What was tried, on which object.
        action: String,
        /// What went wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// Something that must come first is not there yet.
    #[error("{what}")]
    Waiting {
        /// What is missing.
        what: String,
    },
    /// The call took too long; it may have had its effect.
    #[error("{action} took longer than {limit:?}")]
    TimedOut {
        /// What was tried, on which object.
        action: String,
        /// The limit.
        limit: Duration,
    },
}

impl Error {
    pub(crate) fn new(action: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused { action, status },
            other => Self::Failed {
                action,
                source: Box::new(other),
            },
        }
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused { status, .. } => Some(status),
            Self::Failed { .. } | Self::TimedOut { .. } | Self::Waiting { .. } => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    pub(crate) fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.status()
            .is_some_and(|status| status.is_conflict() && !status.is_already_exists())
    }

    /// Whether it is certain that the call had no effect.
    pub(crate) fn is_without_effect(&self) -> bool {
        match self {
            Self::Refused { status, .. } => status.code < 500,
            Self::Waiting { .. } => true,
            Self::Failed { .. } | Self::TimedOut { .. } => false,
        }
    }

    /// Whether the namespace goes, so that nothing more can or need be made in it.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        self.status()
            .and_then(|status| status.details.as_ref())
            .is_some_and(|details| {
                details
                    .causes
                    .iter()
                    .any(|cause| cause.reason == "NamespaceTerminating")
            })
    }

    /// Whether the object that was sent is wrong, so that sending it again is useless.
    pub(crate) fn is_rejected(&self) -> bool {
        !self.is_namespace_terminating()
            && self.status().is_some_and(|status| {
                // 403 with quota is transient in principle, but Agones treats every 403 so, and the
                // set replaces the server after its backoff.
                status.code == 422 || status.code == 403 || status.code == 400
            })
    }

    /// The API server's own words, or ours.
    pub(crate) fn message(&self) -> String {
        self.status().map_or_else(
            || runtime::service::chain(self),
            |status| status.message.clone(),
        )
    }

    pub(crate) fn class(&self) -> Class {
        if matches!(self, Self::Waiting { .. }) {
            Class::Waiting
        } else if self.is_conflict() {
            Class::Conflict
        } else if self.status().is_some_and(|status| status.code == 422) {
            Class::Invalid
        } else {
            Class::Transient
        }
    }

    /// A stable name, for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { status, .. } => match status.code {
                403 => "Forbidden",
                404 => "NotFound",
                409 => "Conflict",
                422 => "Invalid",
                429 => "TooManyRequests",
                500.. => "ServerError",
                _ => "Refused",
            },
            Self::Failed { .. } => "Unreachable",
            Self::TimedOut { .. } => "TimedOut",
            Self::Waiting { .. } => "Waiting",
        }
    }
}
