//! HTTP: what players' clients call, and the WebSocket of game servers.
//!
//! Routes and their description are one list, so that [`document`] cannot say what is not served.

mod account;
mod body;
mod caller;
pub mod decode;
mod elsewhere;
mod factors;
mod identities;
mod keys;
mod sign_in;
mod socket;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
};
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::edge::Edge;
use crate::error::{AGAIN, Failure};
use crate::service::Service;

use body::{ErrorBody, ErrorDetail};

/// Largest body of a request: a passkey's attestation is the largest, at a few kB.
const BODY_SIZE: usize = 64 * 1024;

/// Sockets of game servers and lobbies at once.
const SOCKETS: usize = 20_000;

/// What handlers work with.
#[derive(Clone, Debug)]
struct State {
    service: Service,
    edge: Edge,
    sockets: std::sync::Arc<Semaphore>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster auth",
        description = "Accounts, tokens and sessions of players. Every failure has the body \
            `{\"error\":{\"code\",\"message\",\"field\"}}`; decide by `code`."
    ),
    modifiers(&Schemes)
)]
struct Description;

/// How callers show who they are.
struct Schemes;

impl utoipa::Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "An access token; `Authorization: DPoP …` with a proof (RFC 9449) where it is bound \
                 to a key.",
            ))
            .build();
        components.add_security_scheme("access_token", SecurityScheme::Http(bearer));
        let service = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token of a service, or a client certificate."))
            .build();
        components.add_security_scheme("service", SecurityScheme::Http(service));
    }
}

fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(sign_in::register))
        .routes(routes!(sign_in::login))
        .routes(routes!(sign_in::logout))
        .routes(routes!(sign_in::refresh))
        .routes(routes!(sign_in::reconnect))
        .routes(routes!(sign_in::validate, socket::validate))
        .routes(routes!(sign_in::verify_email))
        .routes(routes!(sign_in::forgot_password))
        .routes(routes!(sign_in::reset_password))
        .routes(routes!(account::change_password))
        .routes(routes!(account::profile, account::delete))
        .routes(routes!(account::sessions, account::end_other_sessions))
        .routes(routes!(account::end_session))
        .routes(routes!(identities::list, identities::link))
        .routes(routes!(identities::unlink))
        .routes(routes!(factors::enroll_totp, factors::remove_totp))
        .routes(routes!(factors::confirm_totp))
        .routes(routes!(factors::begin_passkey, factors::passkeys))
        .routes(routes!(factors::finish_passkey))
        .routes(routes!(factors::remove_passkey))
        .routes(routes!(factors::begin_passkey_login))
        .routes(routes!(factors::finish_passkey_login))
        .routes(routes!(elsewhere::begin))
        .routes(routes!(elsewhere::callback, elsewhere::posted_callback))
        .routes(routes!(elsewhere::finish))
        .routes(routes!(keys::jwks))
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

/// The routes over a service; a call that takes longer than `limit` is answered without them.
pub fn router(service: Service, edge: Edge, limit: Duration) -> Router {
    let state = State {
        service,
        edge,
        sockets: std::sync::Arc::new(Semaphore::new(SOCKETS)),
    };
    let (router, _) = routes().split_for_parts();
    router
        .fallback(caller::nothing_here)
        .method_not_allowed_fallback(caller::wrong_method)
        .layer(axum::middleware::from_fn_with_state(limit, in_time))
        .layer(axum::middleware::map_response(harden))
        .layer(DefaultBodyLimit::max(BODY_SIZE))
        .layer(runtime::trace::ServerSpans)
        .with_state(state)
}

/// A call that takes too long fails as every other does, with a body that says so.
async fn in_time(Shared(limit): Shared<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| Failure::unavailable(AGAIN).into_response())
}

/// Answers hold tokens: nobody keeps them, and browsers come by TLS alone.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=63072000; includeSubDomains"),
    );
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let retry = self.retry_seconds();
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code,
                message: self.message.into_owned(),
                field: self.field.map(std::borrow::Cow::into_owned),
            },
        };
        let mut response = (self.code.status(), axum::Json(body)).into_response();
        if let Some(seconds) = retry {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(nonce) = self
            .nonce
            .and_then(|nonce| HeaderValue::from_str(&nonce).ok())
        {
            response
                .headers_mut()
                .insert(HeaderName::from_static("dpop-nonce"), nonce);
        }
        if self.code.status() == http::StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("DPoP algs=\"EdDSA ES256\", Bearer"),
            );
        }
        response
    }
}
