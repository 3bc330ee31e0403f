//! The allocation API over REST: `POST /gameserverallocation`, with bodies after the protobuf JSON
//! mapping and errors in the shape of grpc-gateway, which Agones' REST uses.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use proto::allocation::AllocationRequest;
use serde::Serialize;
use tonic::{Code, Status};

use crate::api::{Api, timeout};
use crate::serve::BODY_SIZE;
use crate::status;

/// The REST route.
const PATH: &str = "/gameserverallocation";

/// The REST routes, and the answers for everything that is no route.
pub fn router(api: Api) -> Router {
    Router::new()
        .route(PATH, post(allocate))
        .layer(DefaultBodyLimit::max(BODY_SIZE))
        .method_not_allowed_fallback(method)
        .fallback(unknown)
        .with_state(api)
}

async fn allocate(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let message = match read(body) {
        Ok(message) => message,
        Err(Refused {
            http,
            code,
            message,
        }) => return error(http, code, &message),
    };
    match api.answer(message, timeout(&headers)).await {
        Ok(message) => json(StatusCode::OK, &message),
        Err(status) => error(status::http(status.code()), status.code(), status.message()),
    }
}

/// Why a body is no request.
struct Refused {
    http: StatusCode,
    code: Code,
    message: String,
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<AllocationRequest, Refused> {
    let body = body.map_err(|rejection| {
        let http = rejection.status();
        let code = match http {
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            _ => Code::InvalidArgument,
        };
        Refused {
            http,
            code,
            message: rejection.body_text(),
        }
    })?;
    // As in grpc-gateway: no body is the empty message.
    if body.trim_ascii().is_empty() {
        return Ok(AllocationRequest::default());
    }
    serde_json::from_slice(&body).map_err(|cause| Refused {
        http: StatusCode::BAD_REQUEST,
        code: Code::InvalidArgument,
        message: format!("the body is not an AllocationRequest: {cause}"),
    })
}

async fn method() -> Response {
    error(
        StatusCode::NOT_IMPLEMENTED,
        Code::Unimplemented,
        "Method Not Allowed",
    )
}

async fn unknown(request: Request) -> Response {
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return Status::unimplemented("unknown service").into_http::<axum::body::Body>();
    }
    error(StatusCode::NOT_FOUND, Code::NotFound, "Not Found")
}

#[derive(Serialize)]
struct Error<'a> {
    code: i32,
    message: &'a str,
    details: [(); 0],
}

fn error(http: StatusCode, code: Code, message: &str) -> Response {
    json(
        http,
        &Error {
            code: i32::from(code),
            message,
            details: [],
        },
    )
}

fn json(http: StatusCode, body: &impl Serialize) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    match serde_json::to_vec(body) {
        Ok(body) => (http, [(CONTENT_TYPE, JSON)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "Answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
