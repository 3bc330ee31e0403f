//! What callers are told: gRPC codes, and the HTTP status of each for REST.
//!
//! Agones answers a validation failure with a gRPC code that is numerically 422, which is no gRPC
//! code: clients see it as Unknown. Here it is `INVALID_ARGUMENT`, REST 400. All other codes are
//! Agones'.

use http::StatusCode;
use tonic::{Code, Status};

use crate::{allocate, commit, guard, keys, request, tokens};

/// The code for "no capacity" from the HTTP status that the user chose; Agones' table. None for
/// other numbers.
pub fn unallocated(http: u16) -> Option<Code> {
    Some(match http {
        200 => Code::Ok,
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::AlreadyExists,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        500 => Code::Internal,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => return None,
    })
}

/// The numbers that [`unallocated`] knows.
pub const UNALLOCATED: &str = "200, 400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504";

/// The HTTP status of a code; the table of grpc-gateway, which Agones' REST uses.
pub fn http(code: Code) -> StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<&request::Error> for Status {
    fn from(error: &request::Error) -> Self {
        let code = match error {
            request::Error::Invalid { .. } => Code::InvalidArgument,
            request::Error::Unsupported { .. } => Code::Unimplemented,
        };
        Self::new(code, error.to_string())
    }
}

/// The status of a failed allocation; `unallocated` is the code for "no capacity".
pub fn of(error: &allocate::Error, unallocated: Code) -> Status {
    let code = match error {
        allocate::Error::NotReady | allocate::Error::Busy(_) => Code::Unavailable,
        allocate::Error::Capacity { .. } => unallocated,
        allocate::Error::Unjoinable { .. } => Code::FailedPrecondition,
        allocate::Error::Ended => Code::AlreadyExists,
        allocate::Error::Contention | allocate::Error::Claimed => Code::Aborted,
        allocate::Error::Deadline => Code::DeadlineExceeded,
        allocate::Error::Commit(cause) => return of_commit(cause),
        allocate::Error::Guard(cause) => return of_guard(cause),
        allocate::Error::Interrupted => Code::Internal,
    };
    Status::new(code, error.to_string())
}

fn of_commit(error: &commit::Error) -> Status {
    match error {
        // The server's own rules, such as the size of an object: the request is at fault.
        commit::Error::Refused {
            code: 400 | 413 | 422,
            ..
        } => Status::invalid_argument(error.to_string()),
        // Permissions, such as a missing role: the log tells, the caller need not know.
        commit::Error::Refused { .. } => Status::internal(
            "the API server does not let the allocator write GameServers; its log tells more",
        ),
        commit::Error::Unavailable { .. } => Status::unavailable(
            "the API server was not available, retry later; a GameServer may have been allocated",
        ),
        commit::Error::Abandoned { .. } => Status::cancelled(error.to_string()),
    }
}

fn of_guard(error: &guard::Error) -> Status {
    match error {
        guard::Error::Refused { .. } => Status::internal(
            "the API server does not let the allocator guard request ids; its log tells more",
        ),
        guard::Error::Unavailable { .. } => Status::unavailable(
            "the API server was not available, retry later with the same request id",
        ),
    }
}

/// The status of tokens that could not be minted.
pub fn of_tokens(error: &tokens::Error) -> Status {
    match error {
        tokens::Error::Key(keys::Error::Unknown(_)) => Status::unavailable(error.to_string()),
        tokens::Error::Address { .. } | tokens::Error::Match(_) => {
            Status::failed_precondition(error.to_string())
        }
        tokens::Error::Key(keys::Error::Derive(_)) | tokens::Error::Mint(_) => {
            Status::internal("connect tokens could not be minted; the allocator's log tells more")
        }
    }
}

/// A time on the wire.
pub fn timestamp(time: jiff::Timestamp) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// The code's name, for metrics and logs.
pub const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "Allocated",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Contention",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
