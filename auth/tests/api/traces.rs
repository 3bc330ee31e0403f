//! Traces: one over HTTP, gRPC and a WebSocket, at a collector that takes them as any other does,
//! and without anything that is secret.

use futures::{SinkExt as _, StreamExt as _};
use proto::muster::auth::v1 as wire;
use runtime::trace::collector::{Collector, Span, attribute};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tonic::Request;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::grpc;
use crate::world::{PASSWORD, SERVICE, World, secret};

/// The context of a lobby that calls.
const LOBBY: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const ADA: &str = "ada.of.london@example.com";
const DEVICE: &str = "device-of-ada-7d0f6f5d9a";
const ADDRESS: &str = "203.0.113.77";

/// What a player and its game server do. Returns what must not be told.
async fn journey(world: &World) -> Vec<String> {
    let post = |path| {
        let call = world.post(path).header("traceparent", LOBBY);
        call.header("x-forwarded-for", ADDRESS)
    };
    let account = json!({"email": ADA, "password": PASSWORD});
    post("/register").json(&account).send().await;
    let mailed = secret(&world.mail(ADA, "Confirm").await);
    let verify = json!({"token": mailed, "password": PASSWORD});
    post("/email/verify").json(&verify).send().await;
    let login = json!({"email": ADA, "password": PASSWORD, "client": {"device_id": DEVICE}});
    let tokens = post("/login").json(&login).send().await.tokens();

    let mut validate = Request::new(wire::ValidateRequest {
        access_token: tokens.access_token.clone(),
        ..Default::default()
    });
    let context = LOBBY.parse().unwrap();
    validate.metadata_mut().insert("traceparent", context);
    let valid = grpc::service(world).validate(validate).await.unwrap();
    assert_eq!(valid.into_inner().player_id, tokens.player_id);

    let stream = TcpStream::connect(world.http).await.unwrap();
    let url = format!("ws://{}/validate", world.http);
    let mut upgrade = url.into_client_request().unwrap();
    for (name, value) in [
        ("authorization", format!("Bearer {SERVICE}")),
        ("traceparent", LOBBY.to_owned()),
    ] {
        upgrade.headers_mut().insert(name, value.parse().unwrap());
    }
    let (mut socket, _) = tokio_tungstenite::client_async(upgrade, stream)
        .await
        .unwrap();
    let ask = json!({
        "type": "validate_token", "id": 1, "access_token": tokens.access_token,
        "audience": "game",
    });
    socket.send(Message::text(ask.to_string())).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains(&tokens.player_id));

    let texts = [ADA, PASSWORD, DEVICE, ADDRESS, SERVICE].map(ToOwned::to_owned);
    let mut secrets = texts.to_vec();
    secrets.extend([mailed, tokens.access_token, tokens.refresh_token]);
    secrets
}

#[tokio::test]
async fn one_trace_over_http_grpc_and_a_socket_holds_no_secret() {
    let collector = Collector::start().await.unwrap();
    let (layer, exporter) = runtime::trace::pipeline("auth", &collector.args()).unwrap();
    // For this thread, on which everything is.
    let subscriber = tracing_subscriber::registry().with(layer);
    // One subscriber alone would count as everybody's, and the first thread that comes by a call
    // site, of a test without traces, would turn it off for this one too.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traced = tracing::subscriber::set_default(subscriber);
    let world = World::new().await;
    let secrets = exporter
        .during(async {
            let secrets = journey(&world).await;
            world.stop().await;
            secrets
        })
        .await;

    let ours =
        |span: &Span| span.trace_id == 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    let mut named: Vec<_> = collector
        .spans()
        .into_iter()
        .filter(ours)
        .map(|span| {
            assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
            let status = attribute(&span.attributes, "http.response.status_code");
            let code = attribute(&span.attributes, "rpc.grpc.status_code");
            format!("{} {status}{code}", span.name)
        })
        .collect();
    named.sort();
    assert_eq!(
        named,
        [
            "GET /validate 101",
            "POST /email/verify 200",
            "POST /login 200",
            "POST /register 202",
            "WebSocket /validate ",
            "muster.auth.v1.Auth/Validate 0",
        ]
    );
    let exported = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for secret in secrets {
        assert!(!exported.contains(&secret), "{secret} is in a trace");
    }
}
