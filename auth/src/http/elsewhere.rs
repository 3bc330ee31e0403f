//! Signing in at a provider by a browser.

use std::net::IpAddr;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State as Shared};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use storage::Confidential;

use crate::error::{Code, Failure};

use super::State;
use super::body::{BeginElsewhereBody, ElsewhereBody, ErrorBody, FinishElsewhereBody, SignInBody};
use super::caller::{Address, Json, Known, Optional, Path};
use super::sign_in::sign_in;

/// What a provider sends a browser back with.
#[derive(Deserialize, utoipa::IntoParams, utoipa::ToSchema)]
#[into_params(parameter_in = Query)]
pub(super) struct Back {
    /// Which sign-in.
    state: Option<String>,
    /// What it is finished with.
    code: Option<String>,
    /// The provider's name (RFC 9207).
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// Begins to sign in at a provider: open the address in a browser, then finish with handle and
/// secret.
#[utoipa::path(
    post, path = "/oauth/{provider}", tag = "sessions", request_body = Option<BeginElsewhereBody>,
    params(("provider" = String, Path, description = "As configured: \"google\"")),
    responses(
        (status = 200, body = ElsewhereBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn begin(
    Shared(state): Shared<State>,
    Path(provider): Path,
    known: Known,
    Optional(body): Optional<BeginElsewhereBody>,
) -> Result<axum::Json<ElsewhereBody>, Failure> {
    let caller = known.caller(body.client, None);
    let begun = state
        .service
        .begin_elsewhere(&caller, &provider, body.return_to)
        .await?;
    Ok(axum::Json(ElsewhereBody {
        authorization_url: begun.url,
        handle: begun.handle.expose().to_owned(),
        secret: begun.secret.expose().to_owned(),
        expires_in: begun.lifetime.as_secs(),
    }))
}

/// Where a provider sends the browser back to.
#[utoipa::path(
    get, path = "/oauth/{provider}/callback", tag = "sessions",
    params(("provider" = String, Path, description = "As configured"), Back),
    responses(
        (status = 200, description = "A page for the person", content_type = "text/html"),
        (status = 303, description = "On to the client's own address"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn callback(
    Shared(state): Shared<State>,
    Address(address): Address,
    back: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(back) = back.map_err(|_| malformed())?;
    take_back(&state, address, back).await
}

/// As `GET`, for providers that post a form (Apple).
#[utoipa::path(
    post, path = "/oauth/{provider}/callback", tag = "sessions",
    params(("provider" = String, Path, description = "As configured")),
    request_body(content = Back, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A page for the person", content_type = "text/html"),
        (status = 303, description = "On to the client's own address"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn posted_callback(
    Shared(state): Shared<State>,
    Address(address): Address,
    back: Result<Form<Back>, FormRejection>,
) -> Result<Response, Failure> {
    let Form(back) = back.map_err(|_| malformed())?;
    take_back(&state, address, back).await
}

fn malformed() -> Failure {
    Failure::new(
        Code::InvalidRequest,
        "state and code as the provider gave them",
    )
}

async fn take_back(state: &State, address: IpAddr, back: Back) -> Result<Response, Failure> {
    let Some(of) = back.state else {
        return Err(malformed());
    };
    let came = match (back.code, back.error) {
        (Some(code), _) => Ok((code, back.iss)),
        (None, error) => Err(error.unwrap_or_default()),
    };
    let goes_to = state.service.returned_elsewhere(address, &of, came).await?;
    Ok(match goes_to {
        Some(to) => Redirect::to(&to).into_response(),
        None => Html(
            "<!doctype html><meta charset=utf-8><title>Signed in</title>\
             <p>You are signed in. Close this window and go back to the game.",
        )
        .into_response(),
    })
}

/// Finishes a sign-in at a provider. `not_found` while the browser has not come back.
#[utoipa::path(
    post, path = "/oauth/{provider}/finish", tag = "sessions",
    request_body = FinishElsewhereBody,
    params(("provider" = String, Path, description = "As configured")),
    responses(
        (status = 200, body = SignInBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn finish(
    Shared(state): Shared<State>,
    Path(provider): Path,
    known: Known,
    Json(body): Json<FinishElsewhereBody>,
) -> Result<axum::Json<SignInBody>, Failure> {
    let caller = known.caller(body.client, None);
    let code = body.code.map(|code: Confidential| (code, body.iss));
    let signed_in = state
        .service
        .finish_elsewhere(
            &caller,
            &provider,
            body.handle.expose(),
            body.secret.expose(),
            code,
        )
        .await?;
    Ok(axum::Json(sign_in(signed_in)))
}
