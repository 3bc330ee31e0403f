//! gRPC: every method, the codes of failures, and who may call what.

use proto::muster::auth::v1 as wire;
use serde_json::json;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use wire::auth_client::AuthClient;
use wire::login_request::Credential;
use wire::sign_in_response::Outcome;
use wire::watch_response::Event;

use crate::key::Key;
use crate::world::{PASSWORD, SERVICE, SOON, World, secret};

const ADA: &str = "ada@example.com";
const SERVER: &str = "203.0.113.7:7012";

/// Shows the token of a service.
#[derive(Clone)]
pub(crate) struct Shown;

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("Bearer {SERVICE}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

pub(crate) fn channel(world: &World) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", world.grpc)).unwrap();
    endpoint.connect_lazy()
}

/// A service of ours.
pub(crate) fn service(world: &World) -> AuthClient<InterceptedService<Channel, Shown>> {
    AuthClient::with_interceptor(channel(world), Shown)
}

pub(crate) fn player(world: &World) -> AuthClient<Channel> {
    AuthClient::new(channel(world))
}

/// The codes of a refusal: of gRPC, and ours.
fn codes(status: &Status) -> (Code, String) {
    let ours = status.metadata().get("muster-error").unwrap();
    (status.code(), ours.to_str().unwrap().to_owned())
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    codes(&answer.unwrap_err())
}

fn refused(code: Code, ours: &str) -> (Code, String) {
    (code, ours.to_owned())
}

fn by_device(device: &str) -> wire::LoginRequest {
    wire::LoginRequest {
        credential: Some(Credential::Device(wire::Device {
            device_id: device.to_owned(),
        })),
        ..Default::default()
    }
}

fn by_password(password: &str) -> wire::LoginRequest {
    wire::LoginRequest {
        credential: Some(Credential::Password(wire::Password {
            email: ADA.to_owned(),
            password: password.to_owned(),
        })),
        ..Default::default()
    }
}

fn tokens(answer: Result<tonic::Response<wire::SignInResponse>, Status>) -> wire::Tokens {
    match answer.unwrap().into_inner().outcome {
        Some(Outcome::Tokens(tokens)) => tokens,
        other => panic!("{other:?}"),
    }
}

async fn guest(world: &World) -> wire::Tokens {
    tokens(player(world).login(by_device("a device of nobody")).await)
}

#[tokio::test]
async fn a_player_registers_signs_in_and_refreshes() {
    let world = World::new().await;
    let mut client = player(&world);
    let register = wire::RegisterRequest {
        email: ADA.to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    let answer = client.register(register.clone()).await.unwrap();
    assert!(matches!(
        answer.into_inner().outcome,
        Some(Outcome::Pending(_))
    ));
    let token = secret(&world.mail(ADA, "Confirm").await);
    let body = json!({"token": token, "password": PASSWORD});
    world
        .post("/email/verify")
        .json(&body)
        .send()
        .await
        .tokens();
    let first = tokens(client.login(by_password(PASSWORD)).await);
    assert_eq!(first.token_type, "Bearer");
    let wrong = client.login(by_password("violet anchor 8 tundra")).await;
    let credentials = refused(Code::Unauthenticated, "invalid_credentials");
    assert_eq!(refusal(wrong), credentials);
    let step = wire::LoginRequest {
        credential: Some(Credential::SecondStep(wire::SecondStep {
            challenge: "made up".to_owned(),
            code: "000000".to_owned(),
        })),
        ..Default::default()
    };
    assert_eq!(refusal(client.login(step).await), credentials);
    let nothing = client.login(wire::LoginRequest::default()).await;
    let malformed = refused(Code::InvalidArgument, "invalid_request");
    assert_eq!(refusal(nothing), malformed);
    let weak = wire::RegisterRequest {
        password: "short".to_owned(),
        ..register
    };
    let weak = client.register(weak).await;
    assert_eq!(
        refusal(weak),
        refused(Code::InvalidArgument, "weak_password")
    );
    let refresh = |token: &str| wire::RefreshRequest {
        refresh_token: token.to_owned(),
        ..Default::default()
    };
    let second = tokens(client.refresh(refresh(&first.refresh_token)).await);
    assert_eq!(second.session_id, first.session_id);
    let reused = client.refresh(refresh(&first.refresh_token)).await;
    assert_eq!(
        refusal(reused),
        refused(Code::Unauthenticated, "invalid_token")
    );
}

#[tokio::test]
async fn proofs_bind_tokens_here_too() {
    let world = World::new().await;
    let mut client = player(&world);
    let key = Key::new();
    let with = |proof: String, message| {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("dpop", proof.parse().unwrap());
        request
    };
    let proof = key.proof("POST", "/muster.auth.v1.Auth/Login", None, None);
    let login = client
        .login(with(proof, by_device("a device of nobody")))
        .await;
    let bound = tokens(login);
    assert_eq!(bound.token_type, "DPoP");
    let validate = wire::ValidateRequest {
        access_token: bound.access_token.clone(),
        audience: String::new(),
    };
    let bare = client.validate(validate.clone()).await;
    let no_proof = refused(Code::Unauthenticated, "invalid_dpop_proof");
    assert_eq!(refusal(bare), no_proof);
    let path = "/muster.auth.v1.Auth/Validate";
    let proof = key.proof("POST", path, Some(&bound.access_token), None);
    let mut again = Request::new(validate.clone());
    again.metadata_mut().insert("dpop", proof.parse().unwrap());
    let mut proven = Request::new(validate.clone());
    *proven.metadata_mut() = again.metadata().clone();
    let claims = client.validate(proven).await.unwrap().into_inner();
    assert!(!claims.confirmation.is_empty());
    assert_eq!(refusal(client.validate(again).await), no_proof);
    let claims = service(&world).validate(validate).await.unwrap();
    assert_eq!(claims.into_inner().player_id, bound.player_id);
}

#[tokio::test]
async fn services_ask_about_tokens_and_sessions_and_end_them() {
    let world = World::new().await;
    let mut service = service(&world);
    let guest = guest(&world).await;
    let (player_id, session_id) = (guest.player_id.clone(), guest.session_id.clone());
    let introspect = |token: &str| wire::IntrospectRequest {
        access_token: token.to_owned(),
        audience: "game".to_owned(),
    };
    let active = service.introspect(introspect(&guest.access_token)).await;
    let active = active.unwrap().into_inner();
    assert!(active.active);
    assert_eq!(active.claims.unwrap().session_id, session_id);
    let forged = service.introspect(introspect("hunter22")).await.unwrap();
    assert_eq!(forged.into_inner(), wire::IntrospectResponse::default());

    let ask = |server: &str| wire::ValidateSessionRequest {
        player_id: player_id.clone(),
        session_key: session_id.clone(),
        game_server: server.to_owned(),
    };
    let bad = refused(Code::Unauthenticated, "invalid_token");
    assert_eq!(refusal(service.validate_session(ask(SERVER)).await), bad);
    let assign = |server: &str| wire::AssignServerRequest {
        player_id: player_id.clone(),
        session_id: session_id.clone(),
        game_server: server.to_owned(),
    };
    service.assign_server(assign(SERVER)).await.unwrap();
    let known = service.validate_session(ask(SERVER)).await.unwrap();
    assert_eq!(known.into_inner().player_id, player_id);
    let elsewhere = service.validate_session(ask("203.0.113.8:7012")).await;
    assert_eq!(refusal(elsewhere), bad);
    let nonsense = service.assign_server(assign("localhost")).await;
    let malformed = refused(Code::InvalidArgument, "invalid_request");
    assert_eq!(refusal(nonsense), malformed);
    service.assign_server(assign("")).await.unwrap();
    assert_eq!(refusal(service.validate_session(ask(SERVER)).await), bad);

    let issue = wire::IssueReconnectionRequest {
        player_id: player_id.clone(),
        session_id: session_id.clone(),
        game_server: SERVER.to_owned(),
    };
    let issued = service.issue_reconnection(issue.clone()).await.unwrap();
    let back = wire::ReconnectRequest {
        reconnection_token: issued.into_inner().reconnection_token,
    };
    let mut player = player(&world);
    let found = player.reconnect(back.clone()).await.unwrap().into_inner();
    assert_eq!(
        (&found.session_id, &*found.game_server),
        (&session_id, SERVER)
    );
    let spent = player.reconnect(back).await;
    assert_eq!(refusal(spent), refused(Code::Unauthenticated, "expired"));

    let revoke = |session: &str| wire::RevokeRequest {
        player_id: player_id.clone(),
        session_id: session.to_owned(),
    };
    let ended = service.revoke(revoke(&session_id)).await.unwrap();
    assert_eq!(ended.into_inner().ended, 1);
    let ended = service.revoke(revoke("")).await.unwrap();
    assert_eq!(ended.into_inner().ended, 0);
    let after = service.introspect(introspect(&guest.access_token)).await;
    assert!(!after.unwrap().into_inner().active);
    let missing = refused(Code::NotFound, "not_found");
    assert_eq!(refusal(service.issue_reconnection(issue).await), missing);
    let gone = service.assign_server(assign(SERVER)).await;
    assert_eq!(refusal(gone), missing);
    let nobody = wire::RevokeRequest {
        player_id: "ada".to_owned(),
        session_id: String::new(),
    };
    assert_eq!(refusal(service.revoke(nobody).await), malformed);
}

#[tokio::test]
async fn services_give_roles_and_data_and_read_what_happened() {
    let world = World::new().await;
    let mut service = service(&world);
    let guest = guest(&world).await;
    let set = |roles: Option<&[&str]>, data: Option<&str>| wire::SetPlayerRequest {
        player_id: guest.player_id.clone(),
        roles: roles.map(|roles| wire::Roles {
            roles: roles.iter().map(ToString::to_string).collect(),
        }),
        player_data: data.map(ToOwned::to_owned),
    };
    let mut now = async |request| {
        let answer = service.set_player(request).await?.into_inner();
        Ok::<_, Status>((answer.roles, answer.player_data))
    };
    let (moderator, level) = (vec!["moderator".to_owned()], r#"{"level":7}"#.to_owned());
    let given = now(set(Some(&["moderator"]), None)).await.unwrap();
    assert_eq!(given, (moderator.clone(), "{}".to_owned()));
    let given = now(set(None, Some(&level))).await.unwrap();
    assert_eq!(given, (moderator, level.clone()));
    let taken = now(set(Some(&[]), None)).await.unwrap();
    assert_eq!(taken, (Vec::new(), level));
    let malformed = refused(Code::InvalidArgument, "invalid_request");
    let many = vec!["role"; 33];
    for bad in [
        set(None, None),
        set(Some(&many), None),
        set(Some(&["x".repeat(65).as_str()]), None),
        set(None, Some("7")),
        set(None, Some("{")),
        set(None, Some(&json!({"x": "x".repeat(16_384)}).to_string())),
    ] {
        assert_eq!(refusal(now(bad).await), malformed);
    }
    let nobody = wire::SetPlayerRequest {
        player_id: uuid::Uuid::new_v4().to_string(),
        ..set(Some(&[]), None)
    };
    assert_eq!(
        refusal(now(nobody).await),
        refused(Code::NotFound, "not_found")
    );

    let mut list = async |before: &str, limit| {
        let request = wire::ListAuditRequest {
            player_id: guest.player_id.clone(),
            before: before.to_owned(),
            limit,
        };
        let answer = service.list_audit(request).await?;
        Ok::<_, Status>(answer.into_inner().lines)
    };
    let written = async {
        loop {
            let lines = list("", 0).await.unwrap();
            if lines
                .iter()
                .filter(|line| line.event == "account_changed")
                .count()
                == 3
            {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    };
    let lines = tokio::time::timeout(SOON, written).await.unwrap();
    let made = lines.iter().find(|line| line.event == "login").unwrap();
    assert_eq!((&*made.outcome, &*made.ip), ("success", "127.0.0.1"));
    let rest = list(&lines[0].id, 2).await.unwrap();
    assert_eq!(rest, lines[1..3]);
    assert_eq!(refusal(list("first", 0).await), malformed);
}

#[tokio::test]
async fn what_is_for_services_is_refused_to_players() {
    let world = World::new().await;
    let tokens = guest(&world).await;
    let mut strangers = vec![MetadataMap::new(), MetadataMap::new(), MetadataMap::new()];
    for (metadata, value) in strangers.iter_mut().skip(1).zip([
        format!("Bearer {}", tokens.access_token),
        format!("Bearer {SERVICE}x"),
    ]) {
        metadata.insert("authorization", value.parse().unwrap());
    }
    for metadata in strangers {
        let mut client =
            AuthClient::with_interceptor(channel(&world), |mut request: Request<()>| {
                *request.metadata_mut() = metadata.clone();
                Ok(request)
            });
        let answers = [
            client
                .introspect(wire::IntrospectRequest::default())
                .await
                .err(),
            client
                .assign_server(wire::AssignServerRequest::default())
                .await
                .err(),
            client
                .validate_session(wire::ValidateSessionRequest::default())
                .await
                .err(),
            client.revoke(wire::RevokeRequest::default()).await.err(),
            client
                .issue_reconnection(wire::IssueReconnectionRequest::default())
                .await
                .err(),
            client
                .set_player(wire::SetPlayerRequest::default())
                .await
                .err(),
            client
                .list_audit(wire::ListAuditRequest::default())
                .await
                .err(),
            client.watch(wire::WatchRequest {}).await.err(),
        ];
        for answer in answers {
            let expected = refused(Code::PermissionDenied, "forbidden");
            assert_eq!(codes(&answer.unwrap()), expected);
        }
    }
}

#[tokio::test]
async fn a_watch_begins_with_everything_and_goes_on_with_what_changes() {
    let world = World::new().await;
    let mut service = service(&world);
    let (early, late) = (guest(&world).await, guest(&world).await);
    let revoke = |tokens: &wire::Tokens| wire::RevokeRequest {
        player_id: tokens.player_id.clone(),
        session_id: tokens.session_id.clone(),
    };
    service.revoke(revoke(&early)).await.unwrap();
    let mut stream = service
        .watch(wire::WatchRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut next = async || {
        let message = tokio::time::timeout(SOON, stream.message()).await;
        message.unwrap().unwrap().unwrap().event.unwrap()
    };
    let Event::Keys(keys) = next().await else {
        panic!("keys come first");
    };
    assert_eq!(keys, world.service.jwks());
    let mut before = Vec::new();
    loop {
        match next().await {
            Event::Revocation(revocation) => before.push(revocation.session_id),
            Event::Synced(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(before, [early.session_id]);
    service.revoke(revoke(&late)).await.unwrap();
    let Event::Revocation(revocation) = next().await else {
        panic!("a revocation is told");
    };
    assert_eq!(revocation.session_id, late.session_id);
    let roles = vec!["moderator".to_owned()];
    let set = wire::SetPlayerRequest {
        player_id: late.player_id.clone(),
        roles: Some(wire::Roles {
            roles: roles.clone(),
        }),
        player_data: Some(r#"{"level":7}"#.to_owned()),
    };
    service.set_player(set).await.unwrap();
    let Event::PlayerChanged(changed) = next().await else {
        panic!("a change is told");
    };
    assert_eq!(
        (changed.roles, &*changed.player_data),
        (roles, r#"{"level":7}"#)
    );
    world.signing.rotate(runtime::clock::now()).await.unwrap();
    let Event::Keys(rotated) = next().await else {
        panic!("new keys are told");
    };
    assert_ne!(rotated, keys);
    // It ends with the service.
    world.begin_to_stop();
    let end = tokio::time::timeout(SOON, stream.message()).await.unwrap();
    assert!(matches!(end, Ok(None)), "{end:?}");
    world.stop().await;
}
