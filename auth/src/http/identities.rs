//! The ways into a player's account.

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use crate::error::{Code, Failure};
use crate::ids::IdentityHash;
use crate::service::identities::Elsewhere;

use super::State;
use super::body::{ConfirmBody, ErrorBody, IdentitiesBody, IdentityBody, LinkBody, PendingBody};
use super::caller::{Json, Optional, Path, Player, confirmation, password};

/// The ways to sign in of the account, oldest first.
#[utoipa::path(
    get, path = "/identities", tag = "accounts", security(("access_token" = [])),
    responses(
        (status = 200, body = IdentitiesBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn list(
    Shared(state): Shared<State>,
    player: Player,
) -> Result<axum::Json<IdentitiesBody>, Failure> {
    let identities = state.service.identities(&player.claims).await?;
    Ok(axum::Json(IdentitiesBody {
        identities: identities
            .into_iter()
            .map(|identity| IdentityBody {
                id: URL_SAFE_NO_PAD.encode(identity.hash.0),
                kind: identity.kind.name(),
                label: identity.label,
            })
            .collect(),
    }))
}

/// Adds a way to sign in: an account elsewhere, or a mail address. For an address a code is mailed
/// first, and comes back with a second call.
#[utoipa::path(
    post, path = "/identities", tag = "accounts", security(("access_token" = [])),
    request_body = LinkBody,
    responses(
        (status = 202, body = PendingBody, description = "A mail is on its way"),
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn link(
    Shared(state): Shared<State>,
    Player { claims, caller }: Player,
    Json(body): Json<LinkBody>,
) -> Result<Response, Failure> {
    let shown = confirmation(body.password.as_ref(), body.second_step)?;
    let begun = body.handle.as_ref().zip(body.secret.as_ref());
    let proof = match (&body.ticket, begun) {
        (Some(ticket), None) => Some(Elsewhere::Ticket(ticket.expose())),
        (None, Some((handle, secret))) => Some(Elsewhere::Begun {
            handle: handle.expose(),
            secret: secret.expose(),
            code: body.code.map(|code| (code, body.iss)),
        }),
        _ => None,
    };
    let proven = body.token.as_ref().zip(body.new_password.as_ref());
    let service = &state.service;
    match (body.provider, proof, body.email, proven) {
        (Some(provider), Some(proof), None, None) => {
            service
                .link_elsewhere(&caller, &claims, &shown, &provider, proof)
                .await?;
        }
        (None, None, Some(email), None) if body.token.is_none() => {
            service.send_link_code(&caller, &claims, &email).await?;
            let body = PendingBody { status: "pending" };
            return Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response());
        }
        (None, None, Some(email), Some((token, text))) => {
            let proven = (email.as_str(), token.expose());
            service
                .link_address(&caller, &claims, &shown, proven, &password(text)?)
                .await?;
        }
        _ => {
            return Err(Failure::new(
                Code::InvalidRequest,
                "one of: provider with ticket, provider with handle and secret, email, email with \
                 token and new_password",
            ));
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes a way to sign in; never the last one. With the address its password goes.
#[utoipa::path(
    delete, path = "/identities/{id}", tag = "accounts", security(("access_token" = [])),
    params(("id" = String, Path, description = "As in the list")),
    request_body = Option<ConfirmBody>,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn unlink(
    Shared(state): Shared<State>,
    player: Player,
    Path(id): Path,
    Optional(body): Optional<ConfirmBody>,
) -> Result<StatusCode, Failure> {
    let mut hash = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(&id, &mut hash) {
        Ok(length) if length == hash.len() => {}
        _ => return Err(Failure::field("id", "base64url, as in the list")),
    }
    let shown = confirmation(body.password.as_ref(), body.second_step)?;
    state
        .service
        .unlink(&player.caller, &player.claims, &shown, &IdentityHash(hash))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
