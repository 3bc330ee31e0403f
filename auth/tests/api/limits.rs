//! What nobody may do without end: calls, mails, time, and accounts.

use std::time::Duration;

use proto::muster::auth::v1 as wire;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::grpc;
use crate::world::{PASSWORD, SERVICE, SOON, World, folder};

const ADA: &str = "ada@example.com";

/// Takes what the rate of validation leaves until `done`.
async fn drain(world: &World, done: impl Future<Output = ()>) {
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let drain = async {
        loop {
            let spent = world.service.validate_for(address, "nothing", None, None);
            if spent.await.unwrap_err().code == auth::Code::Throttled {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        () = drain => {}
        () = done => {}
    }
}

#[tokio::test]
async fn who_is_no_service_validates_at_a_rate() {
    let world = World::with(&json!({"limits": {}})).await;
    let over_http = async {
        let body = json!({"access_token": "nothing"});
        loop {
            let reply = world.post("/validate").json(&body).send().await;
            if reply.status == 429 {
                return;
            }
        }
    };
    let over_grpc = async {
        let mut client = grpc::player(&world);
        loop {
            let body = wire::ValidateRequest {
                access_token: "nothing".to_owned(),
                audience: String::new(),
            };
            let refused = client.validate(body).await.unwrap_err();
            if refused.code() == tonic::Code::ResourceExhausted {
                return;
            }
        }
    };
    let both = async {
        over_http.await;
        over_grpc.await;
    };
    let limited = tokio::time::timeout(SOON, drain(&world, both)).await;
    limited.unwrap();
}

#[tokio::test]
async fn ending_sessions_and_coming_back_from_a_provider_have_rates() {
    let world = World::with(&json!({"limits": {}})).await;
    let body = json!({"refresh_token": "nothing"});
    let logout = async || world.post("/logout").json(&body).send().await.status;
    let back = async || {
        let reply = world.get("/oauth/it/callback?code=7&state=7").send().await;
        reply.status
    };
    let mut counts = [0; 2];
    for _ in 0..100 {
        counts[0] += u32::from(logout().await == 429);
        counts[1] += u32::from(back().await == 429);
    }
    // Some are let in again while this runs.
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

/// Whatever they are asked for by, and without a word to who asks.
#[tokio::test]
async fn one_address_gets_few_mails() {
    let world = World::with(&json!({"limits": {"factor": 2}})).await;
    let register = json!({"email": ADA, "password": PASSWORD});
    let forgot = json!({"email": ADA});
    world.post("/register").json(&register).send().await.good();
    world.mail(ADA, "Confirm").await;
    for _ in 0..4 {
        world.post("/register").json(&register).send().await.good();
        world.mail(ADA, "already").await;
    }
    world
        .post("/password/forgot")
        .json(&forgot)
        .send()
        .await
        .good();
    world.mail(ADA, "new password").await;
    // The seventh and eighth are dropped; another address is not held up.
    for _ in 0..2 {
        let answer = world.post("/password/forgot").json(&forgot).send().await;
        assert_eq!(answer.status, 202);
    }
    let other = json!({"email": "bob@example.com", "password": PASSWORD});
    world.post("/register").json(&other).send().await.good();
    world.mail("bob@example.com", "Confirm").await;
    assert_eq!(world.unread_mails(ADA), 0);
}

#[tokio::test]
async fn accounts_that_nobody_came_back_to_are_removed() {
    let world = World::new().await;
    let register = json!({"email": ADA, "password": PASSWORD});
    world.post("/register").json(&register).send().await.good();
    world.mail(ADA, "Confirm").await;
    let guest = world.guest("a device of a guest").await;
    let month = jiff::SignedDuration::from_hours(24 * 30);
    let remove = async || world.service.remove_abandoned(month).await.unwrap();
    world.pass(Duration::from_hours(24 * 29)).await;
    assert_eq!(remove().await, 0);
    world.post("/register").json(&register).send().await.good();
    world.mail(ADA, "already").await;
    world.pass(Duration::from_hours(24)).await;
    // The service may be quicker than this.
    remove().await;
    world.post("/register").json(&register).send().await.good();
    world.mail(ADA, "Confirm").await;
    // Its session is there still, as far as anybody can know.
    let again = world.guest("a device of a guest").await;
    assert_eq!(again.player_id, guest.player_id);
}

/// Calls that never come to their end are answered as every other failure, each in its way.
#[tokio::test]
async fn a_call_that_takes_too_long_fails_in_the_one_shape() {
    let secrets = [("service.test", SERVICE)];
    let hasty = ["--request-timeout-seconds=1"];
    let world = World::in_folder(folder(), &json!({}), &secrets, &hasty).await;
    let mut stream = TcpStream::connect(world.http).await.unwrap();
    let head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(SOON, read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for part in [
        "retry-after: 1\r\n",
        "cache-control: no-store\r\n",
        "\"unavailable\"",
    ] {
        assert!(answer.contains(part), "{answer}");
    }

    let channel = grpc::channel(&world);
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/muster.auth.v1.Auth/Login");
    let never = futures::stream::pending::<wire::LoginRequest>();
    let codec = tonic_prost::ProstCodec::<_, wire::SignInResponse>::default();
    let call = client.client_streaming(tonic::Request::new(never), path, codec);
    let refused = tokio::time::timeout(SOON, call).await.unwrap().unwrap_err();
    assert_eq!(refused.code(), tonic::Code::DeadlineExceeded);
    let code = refused.metadata().get("muster-error").unwrap();
    assert_eq!(code, "unavailable");
}
