//! What goes wrong, in one shape for HTTP, WebSocket and gRPC.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// When to ask again what does not answer.
pub const AGAIN: Duration = Duration::from_secs(1);

/// Stable names of failures: clients decide by them, never by the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Code {
    /// A field is missing or malformed; `field` names it.
    InvalidRequest,
    /// The password is too short, too long, common or known from a breach.
    WeakPassword,
    /// Name and password, code or proof do not fit, or there is no such account: never told apart.
    InvalidCredentials,
    /// A token is malformed, forged, expired, spent or revoked: never told apart, except that a
    /// reconnection token that was good until lately is `expired`.
    InvalidToken,
    /// A DPoP proof is missing or does not fit the call.
    InvalidDpopProof,
    /// The DPoP proof must carry the nonce in the header `DPoP-Nonce`.
    UseDpopNonce,
    /// A captcha must be solved first.
    CaptchaRequired,
    /// Too many attempts; `Retry-After` says when to come back.
    Throttled,
    /// The caller may not do this.
    Forbidden,
    /// This takes a sign-in within five minutes.
    SignInAgain,
    /// There is nothing of that name among what the caller may see.
    NotFound,
    /// What the caller asks for is already so in a way that excludes it.
    Conflict,
    /// The reconnection token's time is over.
    Expired,
    /// The body is larger than allowed.
    TooLarge,
    /// An identity provider refused or could not be asked.
    ProviderFailed,
    /// Too much work at once; `Retry-After` says when to come back.
    Overloaded,
    /// Something that auth needs does not answer.
    Unavailable,
    /// A defect of ours; the log has it.
    Internal,
}

impl Code {
    /// Whether it says that a token or its proof is bad.
    pub const fn is_about_tokens(self) -> bool {
        matches!(
            self,
            Self::InvalidToken | Self::InvalidDpopProof | Self::UseDpopNonce | Self::Expired
        )
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> http::StatusCode {
        use http::StatusCode;
        match self {
            Self::InvalidRequest | Self::WeakPassword => StatusCode::BAD_REQUEST,
            Self::InvalidCredentials
            | Self::InvalidToken
            | Self::InvalidDpopProof
            | Self::UseDpopNonce => StatusCode::UNAUTHORIZED,
            Self::CaptchaRequired | Self::Forbidden | Self::SignInAgain => StatusCode::FORBIDDEN,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Expired => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ProviderFailed => StatusCode::BAD_GATEWAY,
            Self::Overloaded | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC code that goes with it.
    pub const fn grpc(self) -> tonic::Code {
        match self {
            Self::InvalidRequest | Self::WeakPassword | Self::TooLarge => {
                tonic::Code::InvalidArgument
            }
            Self::InvalidCredentials
            | Self::InvalidToken
            | Self::InvalidDpopProof
            | Self::UseDpopNonce
            | Self::Expired => tonic::Code::Unauthenticated,
            Self::CaptchaRequired | Self::Conflict | Self::SignInAgain => {
                tonic::Code::FailedPrecondition
            }
            Self::Forbidden => tonic::Code::PermissionDenied,
            Self::Throttled | Self::Overloaded => tonic::Code::ResourceExhausted,
            Self::NotFound => tonic::Code::NotFound,
            Self::ProviderFailed | Self::Unavailable => tonic::Code::Unavailable,
            Self::Internal => tonic::Code::Internal,
        }
    }

    /// As in bodies and trailers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::WeakPassword => "weak_password",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidToken => "invalid_token",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::CaptchaRequired => "captcha_required",
            Self::Throttled => "throttled",
            Self::Forbidden => "forbidden",
            Self::SignInAgain => "sign_in_again",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::ProviderFailed => "provider_failed",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A failed call, as its caller learns of it: holds no secret and no detail of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub struct Failure {
    /// What kind of failure.
    pub code: Code,
    /// For people: what to do.
    pub message: Cow<'static, str>,
    /// The path of the field that is wrong: `client.name`.
    pub field: Option<Cow<'static, str>>,
    /// When to come back, at the earliest.
    pub retry_after: Option<Duration>,
    /// What the next DPoP proof must carry.
    pub nonce: Option<String>,
}

impl Failure {
    /// A failure with its message for people.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
            nonce: None,
        }
    }

    /// A field that is missing or malformed.
    pub fn field(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::InvalidRequest, message)
        }
    }

    /// Too many attempts.
    pub fn throttled(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::Throttled, "too many attempts; try again later")
        }
    }

    /// Too much work at once.
    pub fn overloaded(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(Code::Overloaded, "busy; try again shortly")
        }
    }

    /// The one answer to every wrong name, password, code or proof.
    pub fn credentials() -> Self {
        Self::new(Code::InvalidCredentials, "the credentials are not valid")
    }

    /// A defect of ours, which the log has.
    pub fn defect(what: &'static str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "Defect: {what}");
        Self::internal()
    }

    /// Something went wrong that its caller can do nothing about.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "internal error")
    }

    /// Something that auth needs does not answer; when to come back.
    pub fn unavailable(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                Code::Unavailable,
                "the service is not ready; try again shortly",
            )
        }
    }

    /// When to come back, in whole seconds as headers and trailers have it: rounded up, for who
    /// comes too early is refused again.
    pub fn retry_seconds(&self) -> Option<u64> {
        self.retry_after
            .map(|after| (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    /// The one answer to every bad token.
    pub fn token() -> Self {
        Self::new(Code::InvalidToken, "the token is not valid")
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        match error {
            crate::store::Error::Unavailable(cause) => {
                tracing::warn!(cause, "The database does not answer");
                Self::unavailable(AGAIN)
            }
            crate::store::Error::Corrupt(cause) => {
                tracing::error!(cause, "The database holds what it must not");
                Self::internal()
            }
        }
    }
}

impl From<crate::live::Error> for Failure {
    fn from(error: crate::live::Error) -> Self {
        tracing::warn!(%error, "Valkey does not answer");
        Self::unavailable(AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_as_told_does_not_come_too_early() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_500, 60)] {
            let failure = Failure::throttled(Duration::from_millis(millis));
            assert_eq!(failure.retry_seconds(), Some(seconds), "{millis} ms");
        }
        assert_eq!(Failure::token().retry_seconds(), None);
    }

    #[test]
    fn a_code_is_written_by_its_one_name() {
        use utoipa::PartialSchema as _;
        let schema = serde_json::to_value(Code::schema()).unwrap();
        let described = schema["enum"].as_array().unwrap();
        for code in [Code::InvalidRequest, Code::InvalidDpopProof, Code::Internal] {
            let written = serde_json::to_value(code).unwrap();
            assert_eq!(written, code.name());
            assert!(described.contains(&written), "{described:?}");
        }
    }
}
