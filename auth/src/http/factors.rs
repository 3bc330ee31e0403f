//! Authenticator codes and passkeys.

use axum::extract::State as Shared;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use crate::error::Failure;

use super::State;
use super::body::{
    CeremonyBody, CodeBody, ConfirmBody, EnrollmentBody, ErrorBody, NewPasskeyBody, PasskeyBody,
    PasskeyLoginBody, PasskeysBody, TokensBody,
};
use super::caller::{Json, Known, Optional, Path, Player, confirmation};
use super::sign_in::to_body;

/// Begins to set up an authenticator: it counts when a first code was good.
#[utoipa::path(
    post, path = "/totp", tag = "factors", security(("access_token" = [])),
    request_body = Option<ConfirmBody>,
    responses(
        (status = 200, body = EnrollmentBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn enroll_totp(
    Shared(state): Shared<State>,
    player: Player,
    Optional(body): Optional<ConfirmBody>,
) -> Result<axum::Json<EnrollmentBody>, Failure> {
    let shown = confirmation(body.password.as_ref(), body.second_step)?;
    let enrollment = state
        .service
        .enroll_totp(&player.caller, &player.claims, &shown)
        .await?;
    Ok(axum::Json(EnrollmentBody {
        uri: enrollment.uri,
        secret: enrollment.secret,
        recovery_codes: enrollment.recovery_codes,
    }))
}

/// Confirms an authenticator by its first code.
#[utoipa::path(
    post, path = "/totp/confirm", tag = "factors", security(("access_token" = [])),
    request_body = CodeBody,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn confirm_totp(
    Shared(state): Shared<State>,
    player: Player,
    Json(body): Json<CodeBody>,
) -> Result<StatusCode, Failure> {
    state
        .service
        .confirm_totp(&player.caller, &player.claims, &body.code)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the authenticator, by a code of it or a recovery code.
#[utoipa::path(
    delete, path = "/totp", tag = "factors", security(("access_token" = [])),
    request_body = CodeBody,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn remove_totp(
    Shared(state): Shared<State>,
    player: Player,
    Json(body): Json<CodeBody>,
) -> Result<StatusCode, Failure> {
    state
        .service
        .remove_totp(&player.caller, &player.claims, &body.code)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins to add a passkey.
#[utoipa::path(
    post, path = "/passkeys", tag = "factors", security(("access_token" = [])),
    request_body = Option<ConfirmBody>,
    responses(
        (status = 200, body = CeremonyBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn begin_passkey(
    Shared(state): Shared<State>,
    player: Player,
    Optional(body): Optional<ConfirmBody>,
) -> Result<axum::Json<CeremonyBody>, Failure> {
    let shown = confirmation(body.password.as_ref(), body.second_step)?;
    let (options, handle) = state
        .service
        .begin_passkey(&player.caller, &player.claims, &shown)
        .await?;
    Ok(axum::Json(CeremonyBody {
        handle: handle.expose().to_owned(),
        options,
    }))
}

/// Adds the passkey that the authenticator made.
#[utoipa::path(
    post, path = "/passkeys/finish", tag = "factors", security(("access_token" = [])),
    request_body = NewPasskeyBody,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn finish_passkey(
    Shared(state): Shared<State>,
    player: Player,
    Json(body): Json<NewPasskeyBody>,
) -> Result<StatusCode, Failure> {
    state
        .service
        .finish_passkey(
            &player.caller,
            &player.claims,
            &body.handle,
            &body.name,
            &body.response,
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The passkeys of the account.
#[utoipa::path(
    get, path = "/passkeys", tag = "factors", security(("access_token" = [])),
    responses(
        (status = 200, body = PasskeysBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn passkeys(
    Shared(state): Shared<State>,
    player: Player,
) -> Result<axum::Json<PasskeysBody>, Failure> {
    let passkeys = state.service.passkeys(&player.claims).await?;
    Ok(axum::Json(PasskeysBody {
        passkeys: passkeys
            .into_iter()
            .map(|passkey| PasskeyBody {
                id: URL_SAFE_NO_PAD.encode(passkey.credential),
                name: passkey.name,
                created_at: passkey.created,
                used_at: passkey.used,
            })
            .collect(),
    }))
}

/// Removes a passkey.
#[utoipa::path(
    delete, path = "/passkeys/{id}", tag = "factors", security(("access_token" = [])),
    params(("id" = String, Path, description = "As in the list")),
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn remove_passkey(
    Shared(state): Shared<State>,
    player: Player,
    Path(id): Path,
) -> Result<StatusCode, Failure> {
    let credential = URL_SAFE_NO_PAD
        .decode(&id)
        .map_err(|_| Failure::field("id", "base64url, as in the list"))?;
    state
        .service
        .remove_passkey(&player.caller, &player.claims, &credential)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begins to sign in by a passkey.
#[utoipa::path(
    post, path = "/passkeys/login", tag = "sessions",
    responses(
        (status = 200, body = CeremonyBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn begin_passkey_login(
    Shared(state): Shared<State>,
    known: Known,
) -> Result<axum::Json<CeremonyBody>, Failure> {
    let (options, handle) = state.service.begin_passkey_login(&known.anybody()).await?;
    Ok(axum::Json(CeremonyBody {
        handle: handle.expose().to_owned(),
        options,
    }))
}

/// Signs in by a passkey.
#[utoipa::path(
    post, path = "/passkeys/login/finish", tag = "sessions", request_body = PasskeyLoginBody,
    responses(
        (status = 200, body = TokensBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn finish_passkey_login(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<PasskeyLoginBody>,
) -> Result<axum::Json<TokensBody>, Failure> {
    let caller = known.caller(body.client, None);
    let tokens = state
        .service
        .finish_passkey_login(&caller, &body.handle, &body.response)
        .await?;
    Ok(axum::Json(to_body(tokens)))
}
