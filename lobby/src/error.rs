//! What goes wrong, in one shape for sockets and HTTP.

use std::borrow::Cow;
use std::time::Duration;

use crate::{live, matchmaking, store};

/// Stable names of failures: clients decide by them, never by the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A field is missing or malformed; `field` names it.
    InvalidRequest,
    /// The token is malformed, expired or revoked, or its proof does not fit.
    InvalidToken,
    /// Hello comes first.
    SignInFirst,
    /// The caller may not do this.
    Forbidden,
    /// There is nothing of that name among what the caller may see.
    NotFound,
    /// What the caller asks for is already so in a way that excludes it.
    Conflict,
    /// There is no more room.
    Full,
    /// The message breaks the rules of the channel.
    Refused,
    /// The player may not write for a while.
    Muted,
    /// Too much at once; `retry_after` says when to come back.
    Throttled,
    /// The message is larger than allowed.
    TooLarge,
    /// No server is free.
    NoServer,
    /// Something that the lobby needs does not answer.
    Unavailable,
    /// A defect of ours; the log has it.
    Internal,
}

impl Code {
    /// All of them.
    const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::InvalidToken,
        Self::SignInFirst,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Full,
        Self::Refused,
        Self::Muted,
        Self::Throttled,
        Self::TooLarge,
        Self::NoServer,
        Self::Unavailable,
        Self::Internal,
    ];

    /// By its name; a name of another version is a defect.
    pub fn from_name(name: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|code| code.name() == name)
            .unwrap_or(Self::Internal)
    }

    /// As in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::SignInFirst => "sign_in_first",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Muted => "muted",
            Self::Throttled => "throttled",
            Self::TooLarge => "too_large",
            Self::NoServer => "no_server",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> http::StatusCode {
        use http::StatusCode;
        match self {
            Self::InvalidRequest | Self::Refused => StatusCode::BAD_REQUEST,
            Self::InvalidToken | Self::SignInFirst => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::Muted => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::Full => StatusCode::CONFLICT,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoServer | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A failed call, as its caller learns of it: holds no secret and no detail of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Failure {
    /// What went wrong.
    pub code: Code,
    /// For a person who reads a log.
    pub message: Cow<'static, str>,
    /// The path of the field that is wrong.
    pub field: Option<Cow<'static, str>>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a field.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
        }
    }

    /// A field is wrong; says what would be right.
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::InvalidRequest, message)
        }
    }

    /// Too much at once.
    pub fn throttled(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::Throttled, "too much at once")
        }
    }

    /// A defect of ours: the log has the cause, the caller has not.
    pub fn defect(what: &'static str, error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(Code::Internal, "a defect of the lobby")
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) => {
                tracing::warn!(%error, "The database failed");
                Self::new(Code::Unavailable, "the lobby's database does not answer")
            }
            store::Error::Defect(_) => Self::defect("The database makes no sense", &error),
        }
    }
}

impl From<live::Error> for Failure {
    fn from(error: live::Error) -> Self {
        tracing::warn!(%error, "The live state failed");
        Self::new(Code::Unavailable, "the lobby's live state does not answer")
    }
}

impl From<matchmaking::queue::Invalid> for Failure {
    fn from(invalid: matchmaking::queue::Invalid) -> Self {
        Self::field(invalid.path, invalid.problem)
    }
}
