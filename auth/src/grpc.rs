//! gRPC: `muster.auth.v1.Auth`.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::middleware::Next;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use proto::muster::auth::v1 as wire;
use tokio_stream::wrappers::BroadcastStream;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::edge::{Edge, Peer};
use crate::error::{AGAIN, Failure};
use crate::ids::{PlayerId, SessionId};
use crate::live::{News, Revocation};
use crate::passwords::Password;
use crate::service::Service;
use crate::service::caller::{Caller, Client};
use crate::service::login::SignIn;
use crate::service::register::Registered;
use crate::service::sessions::Tokens;
use crate::service::validate::Holder;
use crate::store::{Audit, Which};

/// The trailer with the stable code of a failure.
const ERROR: &str = "muster-error";

/// The API over a service.
#[derive(Clone, Debug)]
pub struct Api {
    service: Service,
    edge: Edge,
}

impl Api {
    /// Serves `service` to callers as `edge` knows them.
    pub const fn new(service: Service, edge: Edge) -> Self {
        Self { service, edge }
    }

    /// Who calls, with its proof for this method.
    fn caller<T>(
        &self,
        request: &Request<T>,
        method: &str,
        client: Option<wire::Client>,
        captcha: String,
    ) -> Result<Caller, Failure> {
        let peer = self
            .edge
            .peer(request.extensions(), request.metadata().as_ref());
        let proof = self.edge.proof(
            request.metadata().as_ref(),
            "POST",
            &format!("/muster.auth.v1.Auth/{method}"),
            None,
        )?;
        let client = client.unwrap_or_default();
        Ok(Caller {
            address: peer.address,
            proof,
            client: Client {
                name: client.name,
                device_id: filled(client.device_id),
                audiences: client.audiences,
                class: filled(client.class),
            },
            captcha: filled(captcha),
        })
    }

    fn service_only<T>(&self, request: &Request<T>) -> Result<Peer, Failure> {
        self.edge
            .service(request.extensions(), request.metadata().as_ref())
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl wire::auth_server::Auth for Api {
    async fn register(
        &self,
        request: Request<wire::RegisterRequest>,
    ) -> Answer<wire::SignInResponse> {
        let (client, captcha) = (
            request.get_ref().client.clone(),
            request.get_ref().captcha.clone(),
        );
        let caller = self
            .caller(&request, "Register", client, captcha)
            .map_err(status)?;
        let body = request.into_inner();
        let registered = self
            .service
            .register(&caller, &body.email, &password(&body.password)?)
            .await
            .map_err(status)?;
        let outcome = match registered {
            Registered::Pending => wire::sign_in_response::Outcome::Pending(wire::Pending {}),
            Registered::Tokens(tokens) => wire::sign_in_response::Outcome::Tokens(to_wire(*tokens)),
        };
        Ok(Response::new(wire::SignInResponse {
            outcome: Some(outcome),
        }))
    }

    async fn login(&self, request: Request<wire::LoginRequest>) -> Answer<wire::SignInResponse> {
        let (client, captcha) = (
            request.get_ref().client.clone(),
            request.get_ref().captcha.clone(),
        );
        let mut caller = self
            .caller(&request, "Login", client, captcha)
            .map_err(status)?;
        let signed_in = match request.into_inner().credential {
            Some(wire::login_request::Credential::Password(body)) => {
                self.service
                    .login(&caller, &body.email, &password(&body.password)?)
                    .await
            }
            Some(wire::login_request::Credential::Device(body)) => {
                caller.client.device_id = Some(body.device_id);
                self.service.login_by_device(&caller).await
            }
            Some(wire::login_request::Credential::SecondStep(body)) => self
                .service
                .second_step(&caller, &body.challenge, &body.code)
                .await
                .map(|tokens| SignIn::Tokens(Box::new(tokens))),
            None => Err(Failure::field("credential", "missing")),
        };
        let outcome = match signed_in.map_err(status)? {
            SignIn::Tokens(tokens) => wire::sign_in_response::Outcome::Tokens(to_wire(*tokens)),
            SignIn::Challenge(challenge) => {
                wire::sign_in_response::Outcome::Challenge(wire::Challenge {
                    challenge: challenge.handle.expose().to_owned(),
                    methods: challenge
                        .methods
                        .iter()
                        .map(|&method| method.to_owned())
                        .collect(),
                    expires_in: Some(duration(challenge.lifetime)),
                })
            }
        };
        Ok(Response::new(wire::SignInResponse {
            outcome: Some(outcome),
        }))
    }

    async fn refresh(
        &self,
        request: Request<wire::RefreshRequest>,
    ) -> Answer<wire::SignInResponse> {
        let client = request.get_ref().client.clone();
        let caller = self
            .caller(&request, "Refresh", client, String::new())
            .map_err(status)?;
        let body = request.into_inner();
        let request_id = filled(body.request_id);
        let tokens = self
            .service
            .refresh(&caller, &body.refresh_token, request_id.as_deref())
            .await
            .map_err(status)?;
        Ok(Response::new(wire::SignInResponse {
            outcome: Some(wire::sign_in_response::Outcome::Tokens(to_wire(tokens))),
        }))
    }

    async fn validate(
        &self,
        request: Request<wire::ValidateRequest>,
    ) -> Answer<wire::ValidateResponse> {
        let is_service = self.service_only(&request).is_ok();
        let proof = self
            .edge
            .proof(
                request.metadata().as_ref(),
                "POST",
                "/muster.auth.v1.Auth/Validate",
                Some(&request.get_ref().access_token),
            )
            .map_err(status)?;
        let body = request.get_ref();
        let audience = Some(body.audience.as_str()).filter(|audience| !audience.is_empty());
        let claims = if is_service {
            self.service
                .validate(&body.access_token, audience, Holder::Service)
                .await
        } else {
            let peer = self
                .edge
                .peer(request.extensions(), request.metadata().as_ref());
            self.service
                .validate_for(peer.address, &body.access_token, audience, proof.as_ref())
                .await
        };
        let claims = claims.map_err(status)?;
        Ok(Response::new(claims_to_wire(&claims)))
    }

    async fn introspect(
        &self,
        request: Request<wire::IntrospectRequest>,
    ) -> Answer<wire::IntrospectResponse> {
        self.service_only(&request).map_err(status)?;
        let body = request.get_ref();
        let audience = Some(body.audience.as_str()).filter(|audience| !audience.is_empty());
        let claims = self
            .service
            .validate(&body.access_token, audience, Holder::Service)
            .await;
        let answer = match claims {
            Ok(claims) => wire::IntrospectResponse {
                active: true,
                claims: Some(claims_to_wire(&claims)),
            },
            Err(failure) if failure.code.is_about_tokens() => wire::IntrospectResponse::default(),
            Err(failure) => return Err(status(failure)),
        };
        Ok(Response::new(answer))
    }

    async fn assign_server(
        &self,
        request: Request<wire::AssignServerRequest>,
    ) -> Answer<wire::AssignServerResponse> {
        self.service_only(&request).map_err(status)?;
        let body = request.into_inner();
        let player = player(&body.player_id).map_err(status)?;
        let session = session(&body.session_id).map_err(status)?;
        let game_server = filled(body.game_server);
        self.service
            .assign_server(player, session, game_server.as_deref())
            .await
            .map_err(status)?;
        Ok(Response::new(wire::AssignServerResponse {}))
    }

    async fn validate_session(
        &self,
        request: Request<wire::ValidateSessionRequest>,
    ) -> Answer<wire::ValidateSessionResponse> {
        self.service_only(&request).map_err(status)?;
        let body = request.into_inner();
        let player = player(&body.player_id).map_err(status)?;
        let session = session(&body.session_key).map_err(status)?;
        let known = self
            .service
            .validate_session(player, session, &body.game_server)
            .await
            .map_err(status)?;
        Ok(Response::new(wire::ValidateSessionResponse {
            player_id: known.player.to_string(),
            roles: known.roles,
            player_data: known.data.to_string(),
        }))
    }

    async fn revoke(&self, request: Request<wire::RevokeRequest>) -> Answer<wire::RevokeResponse> {
        let peer = self.service_only(&request).map_err(status)?;
        let body = request.into_inner();
        let player = player(&body.player_id).map_err(status)?;
        let which = match filled(body.session_id) {
            Some(id) => Which::One(session(&id).map_err(status)?),
            None => Which::All,
        };
        let ended = self
            .service
            .end_sessions(player, which, &peer.address.to_string())
            .await
            .map_err(status)?;
        Ok(Response::new(wire::RevokeResponse { ended }))
    }

    async fn set_player(
        &self,
        request: Request<wire::SetPlayerRequest>,
    ) -> Answer<wire::SetPlayerResponse> {
        self.service_only(&request).map_err(status)?;
        let body = request.into_inner();
        let player = player(&body.player_id).map_err(status)?;
        let data = body.player_data.map(|text| object(&text)).transpose();
        let roles = body.roles.map(|roles| roles.roles);
        let (roles, data) = self
            .service
            .set_data(player, roles, data.map_err(status)?)
            .await
            .map_err(status)?;
        Ok(Response::new(wire::SetPlayerResponse {
            roles,
            player_data: data.to_string(),
        }))
    }

    async fn list_audit(
        &self,
        request: Request<wire::ListAuditRequest>,
    ) -> Answer<wire::ListAuditResponse> {
        self.service_only(&request).map_err(status)?;
        let body = request.into_inner();
        let player = player(&body.player_id).map_err(status)?;
        let before = filled(body.before)
            .map(|id| id.parse().map_err(|_| Failure::field("before", "a UUID")))
            .transpose()
            .map_err(status)?;
        let limit = u16::try_from(body.limit).unwrap_or(u16::MAX);
        let lines = self
            .service
            .audit_of(player, before, limit)
            .await
            .map_err(status)?;
        Ok(Response::new(wire::ListAuditResponse {
            lines: lines.into_iter().map(line_to_wire).collect(),
        }))
    }

    async fn issue_reconnection(
        &self,
        request: Request<wire::IssueReconnectionRequest>,
    ) -> Answer<wire::IssueReconnectionResponse> {
        self.service_only(&request).map_err(status)?;
        let body = request.into_inner();
        let player = player(&body.player_id).map_err(status)?;
        let session = session(&body.session_id).map_err(status)?;
        let (token, lifetime) = self
            .service
            .issue_reconnection(player, session, &body.game_server)
            .await
            .map_err(status)?;
        Ok(Response::new(wire::IssueReconnectionResponse {
            reconnection_token: token.expose().to_owned(),
            expires_in: Some(duration(lifetime)),
        }))
    }

    async fn reconnect(
        &self,
        request: Request<wire::ReconnectRequest>,
    ) -> Answer<wire::ReconnectResponse> {
        let caller = self
            .caller(&request, "Reconnect", None, String::new())
            .map_err(status)?;
        let found = self
            .service
            .reconnect(&caller, &request.get_ref().reconnection_token)
            .await
            .map_err(status)?;
        Ok(Response::new(wire::ReconnectResponse {
            player_id: found.player.to_string(),
            session_id: found.session.to_string(),
            game_server: found.game_server,
        }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        use wire::watch_response::Event;

        self.service_only(&request).map_err(status)?;
        let following = self.service.follow().await.map_err(status)?;
        let first = std::iter::once(Event::Keys(following.keys))
            .chain(
                following
                    .revocations
                    .iter()
                    .map(|revocation| Event::Revocation(revocation_to_wire(revocation))),
            )
            .chain([Event::Synced(wire::Synced {})]);
        let service = self.service.clone();
        let open = self.service.metrics().follower();
        let rest = BroadcastStream::new(following.news).map(move |news| {
            let _ = &open;
            match news {
                Ok(News::Revoked(revocation)) => {
                    Ok(Event::Revocation(revocation_to_wire(&revocation)))
                }
                Ok(News::PlayerChanged {
                    user_id,
                    user_data,
                    roles,
                }) => Ok(Event::PlayerChanged(wire::PlayerChanged {
                    player_id: user_id.to_string(),
                    player_data: user_data.to_string(),
                    roles,
                })),
                Ok(News::KeysChanged) => Ok(Event::Keys(service.jwks())),
                // Missed some: a new call begins with everything.
                Ok(News::Missed) | Err(_) => {
                    Err(Status::data_loss("news were missed; follow anew"))
                }
            }
        });
        let stream = futures::stream::iter(first.map(Ok).collect::<Vec<_>>())
            .chain(rest)
            .map(|event| event.map(|event| wire::WatchResponse { event: Some(event) }));
        Ok(Response::new(Box::pin(self.edge.until_stop(stream))))
    }
}

/// A failure as gRPC says it, with the stable code beside.
fn status(failure: Failure) -> Status {
    let retry = failure.retry_seconds();
    let mut status = Status::new(failure.code.grpc(), failure.message.clone().into_owned());
    status
        .metadata_mut()
        .insert(ERROR, MetadataValue::from_static(failure.code.name()));
    if let Some(nonce) = failure.nonce.and_then(|nonce| nonce.parse().ok()) {
        status.metadata_mut().insert("dpop-nonce", nonce);
    }
    if let Some(seconds) = retry {
        status
            .metadata_mut()
            .insert("retry-after", MetadataValue::from(seconds));
    }
    status
}

/// Answers a call that takes longer than `limit`, as every other failure is told.
pub async fn in_time(
    Shared(limit): Shared<Duration>,
    request: http::Request<Body>,
    next: Next,
) -> http::Response<Body> {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| late().into_http())
}

/// Clients know calls that took too long by a code of their own.
fn late() -> Status {
    let mut late = status(Failure::unavailable(AGAIN));
    let metadata = std::mem::take(late.metadata_mut());
    Status::with_metadata(tonic::Code::DeadlineExceeded, late.message(), metadata)
}

fn to_wire(tokens: Tokens) -> wire::Tokens {
    wire::Tokens {
        access_token: tokens.access,
        expires_in: Some(duration(tokens.access_lifetime)),
        refresh_token: tokens.refresh,
        refresh_expires_in: Some(duration(tokens.refresh_lifetime)),
        player_id: tokens.player.to_string(),
        session_id: tokens.session.to_string(),
        token_type: if tokens.bound { "DPoP" } else { "Bearer" }.to_owned(),
    }
}

fn claims_to_wire(claims: &access::Claims) -> wire::ValidateResponse {
    wire::ValidateResponse {
        player_id: claims.sub.to_string(),
        session_id: claims.sid.to_string(),
        roles: claims.roles.clone(),
        expires_at: Some(pbjson_types::Timestamp {
            seconds: claims.exp,
            nanos: 0,
        }),
        confirmation: claims
            .cnf
            .as_ref()
            .map(|cnf| cnf.jkt.clone())
            .unwrap_or_default(),
        audiences: claims.aud.clone(),
    }
}

fn revocation_to_wire(revocation: &Revocation) -> wire::Revocation {
    wire::Revocation {
        player_id: revocation.player.to_string(),
        session_id: revocation
            .session
            .map(|session| session.to_string())
            .unwrap_or_default(),
        at: Some(timestamp(revocation.at)),
    }
}

fn line_to_wire(line: Audit) -> wire::AuditLine {
    wire::AuditLine {
        id: line.id.to_string(),
        at: Some(timestamp(line.at)),
        event: line.event,
        outcome: line.outcome,
        ip: line.ip,
        detail: line.detail.to_string(),
    }
}

fn timestamp(at: Timestamp) -> pbjson_types::Timestamp {
    pbjson_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

fn duration(of: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(of.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

fn password(text: &str) -> Result<Password, Status> {
    Password::new(text).map_err(status)
}

fn player(text: &str) -> Result<PlayerId, Failure> {
    text.parse()
        .map_err(|_| Failure::field("player_id", "a UUID"))
}

fn object(text: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(text).map_err(|_| Failure::field("player_data", "a JSON object"))
}

fn session(text: &str) -> Result<SessionId, Failure> {
    text.parse()
        .map_err(|_| Failure::field("session_id", "a UUID"))
}

/// An empty string on the wire is an absent one.
fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
