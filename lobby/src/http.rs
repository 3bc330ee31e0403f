//! HTTP: the socket, and the same calls without one.
//!
//! `POST /v1/<name of the call>` takes the call's own message as JSON or Protobuf, by its content
//! type, and answers with the message of its answer in the same form. The access token comes in
//! `Authorization: Bearer …`, or `DPoP …` with a proof in `DPoP`; the idempotency key in
//! `Idempotency-Key`. A failure is the message `Error`, with the status that goes with its code.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use proto::muster::lobby::v1::answer::Answer;
use proto::muster::lobby::v1::call::Call;
use tracing::Instrument as _;

use crate::edge::{Edge, Shown};
use crate::error::{Code, Failure};
use crate::service::{Caller, Service, calls};
use crate::socket;
use crate::socket::codec::Codec;

/// Where a client puts its proof.
const PROOF: &str = "dpop";

/// Where a client puts the key of a call that is to be made once.
const KEY: &str = "idempotency-key";

/// What handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) edge: Edge,
}

impl State {
    /// Answers a call within its time. It is done to its end also when that is over or the client
    /// goes meanwhile: half of a call would be neither done nor undone. What it waits for has limits
    /// of its own.
    pub(crate) fn answer(
        &self,
        caller: Caller,
        key: String,
        call: Call,
    ) -> impl Future<Output = Result<Answer, Failure>> + use<> {
        let service = self.service.clone();
        let limit = self.edge.limits.call;
        let answered = async move { service.answer(&caller, &key, call).await };
        let task = self.edge.sockets.spawn(answered.in_current_span());
        async move {
            match tokio::time::timeout(limit, task).await {
                Ok(Ok(answered)) => answered,
                Ok(Err(error)) => Err(Failure::defect("A call panicked", &error)),
                Err(_) => Err(late()),
            }
        }
    }
}

fn late() -> Failure {
    Failure::new(Code::Unavailable, "the call takes too long")
}

/// The routes over a service.
pub fn router(service: Service, edge: Edge) -> Router {
    let limit = edge.limits.call;
    // What a client may do without a token costs next to nothing.
    let calls = Router::new()
        .route("/v1/{call}", post(call))
        .layer(axum::middleware::from_fn_with_state(limit, in_time));
    Router::new()
        .route(socket::PATH, get(socket::open))
        .route("/v1/echo", get(|| async { StatusCode::NO_CONTENT }))
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .merge(calls)
        .fallback(|| async { Failure::new(Code::NotFound, "nothing is served here") })
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::map_response(harden))
        .layer(DefaultBodyLimit::max(socket::LARGEST))
        .layer(runtime::trace::ServerSpans)
        .with_state(State { service, edge })
}

/// Whether the lobby may be sent players; why not is for operators, at the admin port.
async fn ready(Shared(state): Shared<State>) -> (StatusCode, &'static str) {
    if state.edge.admin.closed().is_empty() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// A call.
async fn call(
    Shared(state): Shared<State>,
    Path(name): Path<String>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let address = state.edge.address(&parts.extensions, &parts.headers);
    state.edge.count_address(address)?;
    let caller = caller(&state, &parts).await?;
    state.edge.count_player(caller.player)?;
    let codec = Codec::of_content_type(text(&parts.headers, &CONTENT_TYPE)?).ok_or_else(|| {
        let message = "the body is JSON or Protobuf: Content-Type: application/json";
        Failure::new(Code::InvalidRequest, message)
    })?;
    let body = body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Failure::new(Code::TooLarge, "a body of at most 16 KiB")
        } else {
            Failure::new(Code::InvalidRequest, "the body could not be read")
        }
    })?;
    let body = match codec {
        // A message without fields may be left out.
        Codec::Json if body.is_empty() => Bytes::from_static(b"{}"),
        _ => body,
    };
    let call = calls::read(&name, codec, &body)?
        .ok_or_else(|| Failure::new(Code::NotFound, "there is no such call"))?;
    let key = text(&parts.headers, &HeaderName::from_static(KEY))?.unwrap_or_default();
    let answer = state.answer(caller, key.to_owned(), call).await?;
    let bytes = calls::write(&answer, codec)?;
    let kind = HeaderValue::from_static(codec.content_type());
    Ok(([(CONTENT_TYPE, kind)], bytes).into_response())
}

/// Who calls, by the head of the call.
async fn caller(state: &State, parts: &Parts) -> Result<Caller, Failure> {
    let refused = || Failure::new(Code::InvalidToken, "an access token is wanted");
    let (scheme, token) = text(&parts.headers, &AUTHORIZATION)?
        .and_then(|value| value.split_once(' '))
        .ok_or_else(refused)?;
    let proof = text(&parts.headers, &HeaderName::from_static(PROOF))?;
    let is_dpop = scheme.eq_ignore_ascii_case("DPoP");
    if !is_dpop && !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(refused());
    }
    // A bound token that is sent as a bearer token was not sent by who holds the key.
    if is_dpop != proof.is_some() {
        return Err(refused());
    }
    let shown = Shown {
        token,
        proof,
        method: "POST",
        path: parts.uri.path(),
    };
    state.edge.caller(&state.service, shown).await
}

/// The one value of a header.
fn text<'head>(
    headers: &'head HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'head str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    let refused = || {
        Failure::new(
            Code::InvalidRequest,
            format!("one text in the header {name}"),
        )
    };
    if values.next().is_some() {
        return Err(refused());
    }
    value
        .map(|value| value.to_str().map_err(|_| refused()))
        .transpose()
}

async fn wrong_method() -> Response {
    let failure = Failure::new(Code::InvalidRequest, "another method is served here");
    (StatusCode::METHOD_NOT_ALLOWED, failure).into_response()
}

/// A call that takes too long fails as every other does.
async fn in_time(Shared(limit): Shared<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| late().into_response())
}

/// Answers are about one player, and nobody keeps them.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let retry = self.retry_after;
        let mut response = (status, axum::Json(calls::error(&self))).into_response();
        let headers = response.headers_mut();
        if let Some(retry) = retry {
            // Whole seconds, and never too early.
            let seconds = retry.as_secs() + u64::from(retry.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("DPoP algs=\"EdDSA ES256\", Bearer");
            headers.insert(WWW_AUTHENTICATE, schemes);
        }
        response
    }
}
