//! Making accounts, signing in and out, refreshing, coming back.

use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use crate::error::{Code, Failure};
use crate::service::login::SignIn;
use crate::service::register::Registered;
use crate::service::sessions::Tokens;
use crate::service::validate::Holder;
use crate::store::Which;

use super::State;
use super::body::{
    ChallengeBody, ClaimsBody, EndedBody, ErrorBody, ForgotBody, LoginBody, LogoutBody,
    PendingBody, ReconnectAnswer, ReconnectBody, ReconnectedBody, RefreshBody, RegisterBody,
    ResetBody, SignInBody, TokensBody, ValidateBody, VerifyEmailBody,
};
use super::caller::{Json, Known, Optional, Player, password};

/// Makes an account. By mail address the answer is the same whether the address was taken or not:
/// a mail tells its owner.
#[utoipa::path(
    post, path = "/register", tag = "accounts", request_body = RegisterBody,
    responses(
        (status = 200, body = SignInBody, description = "Signed in"),
        (status = 202, body = PendingBody, description = "A mail is on its way"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn register(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<RegisterBody>,
) -> Result<Response, Failure> {
    let mut caller = known.caller(body.client, body.captcha);
    match (body.email, body.password, body.device_id) {
        (Some(email), Some(text), None) => {
            let password = password(&text)?;
            match state.service.register(&caller, &email, &password).await? {
                Registered::Tokens(tokens) => Ok(axum::Json(to_body(*tokens)).into_response()),
                Registered::Pending => {
                    let body = PendingBody { status: "pending" };
                    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
                }
            }
        }
        (None, None, Some(device)) => {
            caller.client.device_id = Some(device);
            let signed_in = state.service.login_by_device(&caller).await?;
            Ok(axum::Json(sign_in(signed_in)).into_response())
        }
        _ => Err(Failure::new(
            Code::InvalidRequest,
            "either email with password, or device_id",
        )),
    }
}

/// Signs in, or says which second step is asked for.
#[utoipa::path(
    post, path = "/login", tag = "sessions", request_body = LoginBody,
    responses(
        (status = 200, body = SignInBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn login(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<LoginBody>,
) -> Result<axum::Json<SignInBody>, Failure> {
    let mut caller = known.caller(body.client, body.captcha);
    let by_password = body.email.zip(body.password);
    let by_step = body.challenge.zip(body.code);
    let by_ticket = body.provider.zip(body.ticket);
    let signed_in = match (by_password, body.device_id, by_step, by_ticket) {
        (Some((email, text)), None, None, None) => {
            let password = password(&text)?;
            state.service.login(&caller, &email, &password).await?
        }
        (None, Some(device), None, None) => {
            caller.client.device_id = Some(device);
            state.service.login_by_device(&caller).await?
        }
        (None, None, Some((challenge, code)), None) => SignIn::Tokens(Box::new(
            state
                .service
                .second_step(&caller, &challenge, &code)
                .await?,
        )),
        (None, None, None, Some((provider, ticket))) => {
            state
                .service
                .login_by_ticket(&caller, &provider, &ticket)
                .await?
        }
        _ => {
            return Err(Failure::new(
                Code::InvalidRequest,
                "one of: email with password, device_id, challenge with code, provider with ticket",
            ));
        }
    };
    Ok(axum::Json(sign_in(signed_in)))
}

/// Ends a session: of a refresh token in the body, or of the access token of the call.
#[utoipa::path(
    post, path = "/logout", tag = "sessions", request_body = Option<LogoutBody>,
    security((), ("access_token" = [])),
    responses(
        (status = 200, body = EndedBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn logout(
    Shared(state): Shared<State>,
    known: Known,
    player: Option<Player>,
    Optional(body): Optional<LogoutBody>,
) -> Result<axum::Json<EndedBody>, Failure> {
    let address = known.peer.address;
    let ended = match (body.refresh_token, player) {
        (Some(token), _) if !body.everywhere => {
            state
                .service
                .logout_by_refresh(address, token.expose())
                .await?
        }
        (_, Some(player)) => {
            let which = if body.everywhere {
                Which::All
            } else {
                Which::One(player.claims.sid)
            };
            state
                .service
                .end_sessions(player.claims.sub, which, &address.to_string())
                .await?
        }
        _ => return Err(Failure::token()),
    };
    Ok(axum::Json(EndedBody { ended }))
}

/// A new access token and the next refresh token; the one that is sent is spent.
#[utoipa::path(
    post, path = "/token/refresh", tag = "sessions", request_body = RefreshBody,
    responses(
        (status = 200, body = TokensBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn refresh(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<RefreshBody>,
) -> Result<axum::Json<TokensBody>, Failure> {
    let tokens = state
        .service
        .refresh(
            &known.caller(body.client, None),
            body.refresh_token.expose(),
            body.request_id.as_deref(),
        )
        .await?;
    Ok(axum::Json(to_body(tokens)))
}

/// Finds a session again after a loss: by a reconnection token (30 s, once), or by a refresh token.
#[utoipa::path(
    post, path = "/reconnect", tag = "sessions", request_body = ReconnectBody,
    responses(
        (status = 200, body = ReconnectAnswer),
        (status = 410, body = ErrorBody, description = "The reconnection token's time is over"),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn reconnect(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<ReconnectBody>,
) -> Result<axum::Json<ReconnectAnswer>, Failure> {
    let caller = known.caller(body.client, None);
    let answer = match (body.reconnection_token, body.refresh_token) {
        (Some(token), None) => {
            let found = state.service.reconnect(&caller, token.expose()).await?;
            ReconnectAnswer::Session(ReconnectedBody {
                player_id: found.player.to_string(),
                session_id: found.session.to_string(),
                game_server: found.game_server,
            })
        }
        (None, Some(token)) => ReconnectAnswer::Tokens(to_body(
            state
                .service
                .refresh(&caller, token.expose(), body.request_id.as_deref())
                .await?,
        )),
        _ => {
            return Err(Failure::new(
                Code::InvalidRequest,
                "either reconnection_token or refresh_token",
            ));
        }
    };
    Ok(axum::Json(answer))
}

/// The claims of an access token whose session is live.
#[utoipa::path(
    post, path = "/validate", tag = "sessions", request_body = ValidateBody,
    responses(
        (status = 200, body = ClaimsBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn validate(
    Shared(state): Shared<State>,
    parts: http::request::Parts,
    Json(body): Json<ValidateBody>,
) -> Result<axum::Json<ClaimsBody>, Failure> {
    let is_service = state
        .edge
        .service(&parts.extensions, &parts.headers)
        .is_ok();
    let token = body.access_token.expose();
    let proof = state.edge.proof(
        &parts.headers,
        parts.method.as_str(),
        parts.uri.path(),
        Some(token),
    )?;
    let audience = body.audience.as_deref();
    let claims = if is_service {
        state
            .service
            .validate(token, audience, Holder::Service)
            .await?
    } else {
        let peer = state.edge.peer(&parts.extensions, &parts.headers);
        state
            .service
            .validate_for(peer.address, token, audience, proof.as_ref())
            .await?
    };
    Ok(axum::Json(ClaimsBody {
        player_id: claims.sub.to_string(),
        session_id: claims.sid.to_string(),
        rights: claims.roles.clone(),
        audiences: claims.aud.clone(),
        expires_at: claims.exp,
    }))
}

/// Proves that the owner of an account reads its mail, and signs in.
#[utoipa::path(
    post, path = "/email/verify", tag = "accounts", request_body = VerifyEmailBody,
    responses(
        (status = 200, body = SignInBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn verify_email(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<VerifyEmailBody>,
) -> Result<axum::Json<SignInBody>, Failure> {
    let caller = known.caller(body.client, None);
    let signed_in = state
        .service
        .verify_email(&caller, body.token.expose(), &password(&body.password)?)
        .await?;
    Ok(axum::Json(sign_in(signed_in)))
}

/// Mails a secret that resets the password, if there is such an account; the answer is the same.
#[utoipa::path(
    post, path = "/password/forgot", tag = "accounts", request_body = ForgotBody,
    responses(
        (status = 202, body = PendingBody),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn forgot_password(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<ForgotBody>,
) -> Result<(StatusCode, axum::Json<PendingBody>), Failure> {
    let mut caller = known.anybody();
    caller.captcha = body.captcha;
    state.service.forgot_password(&caller, &body.email).await?;
    Ok((
        StatusCode::ACCEPTED,
        axum::Json(PendingBody { status: "pending" }),
    ))
}

/// Replaces a forgotten password; every session ends.
#[utoipa::path(
    post, path = "/password/reset", tag = "accounts", request_body = ResetBody,
    responses(
        (status = 204),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody),
    )
)]
pub(super) async fn reset_password(
    Shared(state): Shared<State>,
    known: Known,
    Json(body): Json<ResetBody>,
) -> Result<StatusCode, Failure> {
    state
        .service
        .reset_password(
            &known.anybody(),
            body.token.expose(),
            &password(&body.password)?,
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The answer to a sign-in.
pub(super) fn sign_in(signed_in: SignIn) -> SignInBody {
    match signed_in {
        SignIn::Tokens(tokens) => SignInBody::Tokens(to_body(*tokens)),
        SignIn::Challenge(challenge) => SignInBody::Challenge(ChallengeBody {
            challenge: challenge.handle.expose().to_owned(),
            methods: challenge.methods.to_vec(),
            expires_in: challenge.lifetime.as_secs(),
        }),
    }
}

/// Tokens as they are sent.
pub(super) fn to_body(tokens: Tokens) -> TokensBody {
    TokensBody {
        access_token: tokens.access,
        expires_in: tokens.access_lifetime.as_secs(),
        refresh_token: tokens.refresh,
        refresh_expires_in: tokens.refresh_lifetime.as_secs(),
        token_type: if tokens.bound { "DPoP" } else { "Bearer" },
        player_id: tokens.player.to_string(),
        session_id: tokens.session.to_string(),
    }
}
