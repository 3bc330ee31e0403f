//! A player's own account and sessions.

use axum::extract::State as Shared;
use http::StatusCode;

use crate::error::{Code, Failure};
use crate::ids::SessionId;
use crate::store::Which;

use super::State;
use super::body::{
    ChangePasswordBody, ConfirmBody, EndedBody, ErrorBody, ProfileBody, SessionBody, SessionsBody,
};
use super::caller::{Json, Optional, Path, Player, confirmation, password};

/// The account of the token's player.
#[utoipa::path(
    get, path = "/me", tag = "accounts", security(("access_token" = [])),
    responses(
        (status = 200, body = ProfileBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn profile(
    Shared(state): Shared<State>,
    player: Player,
) -> Result<axum::Json<ProfileBody>, Failure> {
    let profile = state.service.profile(&player.claims).await?;
    Ok(axum::Json(ProfileBody {
        player_id: profile.player.to_string(),
        email: profile.email,
        email_verified: profile.email_verified,
        guest: profile.guest,
        totp: profile.totp,
        identities: profile
            .identities
            .into_iter()
            .map(crate::ids::IdentityKind::name)
            .collect(),
        roles: profile.roles,
        created_at: profile.created,
    }))
}

/// Deletes the account with everything of it; what the audit log says stays.
#[utoipa::path(
    delete, path = "/me", tag = "accounts", security(("access_token" = [])),
    request_body = Option<ConfirmBody>,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    Shared(state): Shared<State>,
    player: Player,
    Optional(body): Optional<ConfirmBody>,
) -> Result<StatusCode, Failure> {
    let shown = confirmation(body.password.as_ref(), body.second_step)?;
    state
        .service
        .delete_account(&player.caller, &player.claims, &shown)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the password; every other session ends.
#[utoipa::path(
    put, path = "/password", tag = "accounts", security(("access_token" = [])),
    request_body = ChangePasswordBody,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn change_password(
    Shared(state): Shared<State>,
    player: Player,
    Json(body): Json<ChangePasswordBody>,
) -> Result<StatusCode, Failure> {
    let (current, new) = (password(&body.current)?, password(&body.new)?);
    state
        .service
        .change_password(&player.caller, &player.claims, &current, &new)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The live sessions of the player, newest first, at most 100.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions", security(("access_token" = [])),
    responses(
        (status = 200, body = SessionsBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn sessions(
    Shared(state): Shared<State>,
    player: Player,
) -> Result<axum::Json<SessionsBody>, Failure> {
    let sessions = state.service.sessions(player.claims.sub).await?;
    Ok(axum::Json(SessionsBody {
        sessions: sessions
            .into_iter()
            .map(|session| SessionBody {
                current: session.id == player.claims.sid,
                session_id: session.id.to_string(),
                client: session.client,
                ip: session.ip,
                methods: session.methods,
                created_at: session.created,
                used_at: session.used,
                expires_at: session.expires,
            })
            .collect(),
    }))
}

/// Ends every session but the one of the token.
#[utoipa::path(
    delete, path = "/sessions", tag = "sessions", security(("access_token" = [])),
    responses(
        (status = 200, body = EndedBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn end_other_sessions(
    Shared(state): Shared<State>,
    player: Player,
) -> Result<axum::Json<EndedBody>, Failure> {
    let which = Which::AllBut(player.claims.sid);
    let ip = player.caller.address.to_string();
    let ended = state
        .service
        .end_sessions(player.claims.sub, which, &ip)
        .await?;
    Ok(axum::Json(EndedBody { ended }))
}

/// Ends one session of the player.
#[utoipa::path(
    delete, path = "/sessions/{session_id}", tag = "sessions",
    security(("access_token" = [])),
    params(("session_id" = String, Path, description = "As in the list")),
    responses(
        (status = 200, body = EndedBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn end_session(
    Shared(state): Shared<State>,
    player: Player,
    Path(id): Path,
) -> Result<axum::Json<EndedBody>, Failure> {
    let session: SessionId = id
        .parse()
        .map_err(|_| Failure::field("session_id", "a UUID"))?;
    let ip = player.caller.address.to_string();
    let ended = state
        .service
        .end_sessions(player.claims.sub, Which::One(session), &ip)
        .await?;
    if ended == 0 {
        return Err(Failure::new(Code::NotFound, "no such live session"));
    }
    Ok(axum::Json(EndedBody { ended }))
}
