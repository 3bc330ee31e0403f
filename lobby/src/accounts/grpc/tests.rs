//! The client against an auth on loopback that answers as a test says, and the way to it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response};
use uuid::Uuid;
use wire::auth_server::AuthServer;

use super::*;
use crate::upstream::{self, Upstream};

/// An auth that notes what it is asked.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Script>);

#[derive(Debug, Default)]
struct Script {
    refusal: Mutex<Option<Status>>,
    /// It never answers.
    hangs: Mutex<bool>,
    /// Calls, each with who showed which token.
    asked: Mutex<Vec<String>>,
}

impl Fake {
    async fn begin<Message: std::fmt::Debug>(
        &self,
        request: &Request<Message>,
        what: String,
    ) -> Result<(), Status> {
        let shown = request.metadata().get("authorization");
        let shown = shown.map_or("nobody", |value| value.to_str().unwrap());
        self.0
            .asked
            .lock()
            .unwrap()
            .push(format!("{shown}: {what}"));
        if *self.0.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        self.0.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.asked.lock().unwrap())
    }

    /// Serves on loopback; the way to it.
    async fn start(&self, token_file: Option<&Path>) -> Route {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder();
        let service = AuthServer::new(self.clone());
        tokio::spawn(server.serve_with_incoming(service, TcpIncoming::from(listener)));
        let upstream = Upstream {
            url,
            token_file: token_file.map(Path::to_owned),
            ..Upstream::default()
        };
        Route::new(upstream).unwrap()
    }
}

macro_rules! fake_auth {
    ($($name:ident($request:ident) -> $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl wire::auth_server::Auth for Fake {
            type WatchStream =
                futures::stream::Pending<Result<wire::WatchResponse, Status>>;

            async fn assign_server(
                &self,
                request: Request<wire::AssignServerRequest>,
            ) -> Result<Response<wire::AssignServerResponse>, Status> {
                let asked = request.get_ref();
                let what = format!(
                    "assign {} {} {:?}",
                    asked.player_id, asked.session_id, asked.game_server
                );
                self.begin(&request, what).await?;
                Ok(Response::new(wire::AssignServerResponse {}))
            }

            async fn issue_reconnection(
                &self,
                request: Request<wire::IssueReconnectionRequest>,
            ) -> Result<Response<wire::IssueReconnectionResponse>, Status> {
                let asked = request.get_ref();
                let what = format!(
                    "issue {} {} {:?}",
                    asked.player_id, asked.session_id, asked.game_server
                );
                self.begin(&request, what).await?;
                Ok(Response::new(wire::IssueReconnectionResponse {
                    reconnection_token: "back".to_owned(),
                    expires_in: None,
                }))
            }

            async fn reconnect(
                &self,
                request: Request<wire::ReconnectRequest>,
            ) -> Result<Response<wire::ReconnectResponse>, Status> {
                let what = format!("reconnect {}", request.get_ref().reconnection_token);
                self.begin(&request, what).await?;
                Ok(Response::new(wire::ReconnectResponse {
                    player_id: ADA.0.to_string(),
                    session_id: request.get_ref().reconnection_token.clone(),
                    game_server: SERVER.to_owned(),
                }))
            }

            $(async fn $name(
                &self,
                _: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Status> {
                Err(Status::unimplemented("nobody asks for it"))
            })+

            async fn watch(
                &self,
                _: Request<wire::WatchRequest>,
            ) -> Result<Response<Self::WatchStream>, Status> {
                Err(Status::unimplemented("nobody asks for it"))
            }
        }
    };
}

fake_auth!(
    register(RegisterRequest) -> SignInResponse,
    login(LoginRequest) -> SignInResponse,
    refresh(RefreshRequest) -> SignInResponse,
    validate(ValidateRequest) -> ValidateResponse,
    introspect(IntrospectRequest) -> IntrospectResponse,
    validate_session(ValidateSessionRequest) -> ValidateSessionResponse,
    revoke(RevokeRequest) -> RevokeResponse,
    set_player(SetPlayerRequest) -> SetPlayerResponse,
    list_audit(ListAuditRequest) -> ListAuditResponse,
);

const ADA: PlayerId = PlayerId(Uuid::from_u128(1));
const SESSION: SessionId = SessionId(Uuid::from_u128(2));
const SERVER: &str = "203.0.113.7:7012";

#[tokio::test]
async fn auth_is_told_and_asked_about_sessions() {
    let fake = Fake::default();
    let auth = Auth::new(fake.start(None).await);
    auth.assign(ADA, SESSION, SERVER).await.unwrap();
    auth.disconnected(ADA, SESSION).await.unwrap();
    let token = auth.reconnection_token(ADA, SESSION, SERVER).await;
    assert_eq!(token.unwrap(), "back");
    let playing = auth.reconnect(&SESSION.to_string()).await.unwrap();
    let expected = Playing {
        player: ADA,
        session: SESSION,
        game_server: SERVER.to_owned(),
    };
    assert_eq!(playing, expected);
    let expected = [
        format!("nobody: assign {ADA} {SESSION} {SERVER:?}"),
        format!("nobody: assign {ADA} {SESSION} \"\""),
        format!("nobody: issue {ADA} {SESSION} {SERVER:?}"),
        format!("nobody: reconnect {SESSION}"),
    ];
    assert_eq!(fake.asked(), expected);
    let strange = auth.reconnect("no session").await.unwrap_err();
    assert!(matches!(strange, Error::Unavailable(_)), "{strange}");
}

#[tokio::test]
async fn each_status_is_the_error_that_it_means() {
    let fake = Fake::default();
    let auth = Auth::new(fake.start(None).await);
    for (code, is_refusal) in [
        (Code::NotFound, true),
        (Code::Unauthenticated, true),
        (Code::InvalidArgument, true),
        (Code::FailedPrecondition, true),
        (Code::PermissionDenied, false),
        (Code::ResourceExhausted, false),
        (Code::Unavailable, false),
        (Code::Internal, false),
    ] {
        *fake.0.refusal.lock().unwrap() = Some(Status::new(code, "why"));
        for error in [
            auth.assign(ADA, SESSION, SERVER).await.unwrap_err(),
            auth.reconnection_token(ADA, SESSION, SERVER)
                .await
                .unwrap_err(),
            auth.reconnect("token").await.unwrap_err(),
        ] {
            assert_eq!(matches!(error, Error::Refused(_)), is_refusal, "{error}");
        }
    }
}

#[tokio::test]
async fn a_service_that_hangs_is_given_up() {
    let fake = Fake::default();
    *fake.0.hangs.lock().unwrap() = true;
    let route = fake.start(None).await;
    let request = wire::ReconnectRequest::default();
    let limit = Duration::from_millis(100);
    let answer: Result<wire::ReconnectResponse, Status> = route
        .call(
            (SERVICE, "Reconnect"),
            limit,
            request,
            async |channel, request| AuthClient::new(channel).reconnect(request).await,
        )
        .await;
    assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_token_of_the_lobby_is_shown_and_follows_its_file() {
    let folder = std::env::temp_dir().join(format!("lobby-token-{}", Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("token");
    let fake = Fake::default();
    let auth = Auth::new(fake.start(Some(&file)).await);
    let unread = auth.assign(ADA, SESSION, "").await.unwrap_err();
    assert!(
        unread.to_string().contains("AssignServer: read "),
        "{unread}"
    );

    std::fs::write(&file, "first\n").unwrap();
    auth.assign(ADA, SESSION, "").await.unwrap();
    std::fs::write(&file, "second\n").unwrap();
    auth.assign(ADA, SESSION, "").await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    auth.assign(ADA, SESSION, "").await.unwrap();
    let shown: Vec<String> = fake.asked();
    let shown: Vec<&str> = shown
        .iter()
        .filter_map(|asked| asked.split(':').next())
        .collect();
    assert_eq!(shown, ["Bearer first", "Bearer first", "Bearer second"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_at_once() {
    let upstream = Upstream {
        url: "not a url".to_owned(),
        ..Upstream::default()
    };
    let refused = Route::new(upstream);
    assert!(matches!(refused, Err(upstream::Error::Endpoint { .. })));
    // Nobody listens there: it is away, and may come.
    let auth = Auth::new(
        Route::new(Upstream {
            url: "http://127.0.0.1:1".to_owned(),
            ..Upstream::default()
        })
        .unwrap(),
    );
    let away = auth.assign(ADA, SESSION, "").await.unwrap_err();
    assert!(matches!(away, Error::Unavailable(_)), "{away}");
}
