//! Device logins, refreshes with rotation, and validation by gRPC and WebSocket.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use proto::muster::auth::v1 as wire;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::http::{Http, Socket};
use crate::load::drive;
use crate::report::{Report, number};
use crate::world::{Replica, Session, World, as_service};

/// Clients at once.
const CLIENTS: usize = 40;

/// Connections that calls of gRPC share.
const CHANNELS: usize = 4;

/// Sessions whose tokens are validated.
const SESSIONS: usize = 1000;

/// Refreshes in a second of CPU of the service.
const REFRESHES: f64 = 1200.0;

/// Whose CPU is told.
const NAMES: [&str; 3] = ["service", "PostgreSQL", "Valkey"];

/// A client of HTTP with a session.
struct Player {
    http: Http,
    device: String,
    session: Session,
}

/// Measures one replica.
pub(crate) async fn measure(report: &mut Report, world: &World, replica: &Replica, span: Duration) {
    let [postgres, valkey] = world.databases();
    let watched = [replica.process(), postgres, valkey];
    let mut players = Vec::new();
    for number in 0..CLIENTS {
        let mut http = replica.http().await;
        let device = format!("a device of the benchmark {number}");
        let session = replica.device(&mut http, &device).await;
        players.push(Player {
            http,
            device,
            session,
        });
    }

    let mut load = drive(&mut players, span, &watched, async |player| {
        player.session = replica.device(&mut player.http, &player.device).await;
    })
    .await;
    report.note("device login, 40 clients, in a second", number(load.rate()));
    load.tell(report, "device login", &NAMES);

    let mut load = drive(&mut players, span, &watched, async |player| {
        let body = json!({ "refresh_token": player.session.refresh });
        let answer = player.http.post("/token/refresh", &body).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        player.session = Session::read(&answer.body);
    })
    .await;
    report.note("refresh, 40 clients, in a second", number(load.rate()));
    report.at_least(
        "refresh: in a second of CPU of the service",
        load.per_core(),
        REFRESHES,
    );
    load.tell(report, "refresh", &NAMES);

    let mut tokens = Vec::new();
    for index in 0..SESSIONS {
        let player = &mut players[index % CLIENTS];
        let session = replica.device(&mut player.http, &player.device).await;
        tokens.push(session.access);
    }
    by_grpc(report, replica, &tokens, span).await;
    by_socket(report, replica, &tokens, span).await;
}

/// A client that validates one token after the other.
struct Validator<'tokens, Connection> {
    connection: Connection,
    tokens: std::iter::Cycle<std::slice::Iter<'tokens, String>>,
}

impl<'tokens, Connection> Validator<'tokens, Connection> {
    /// The clients begin at different tokens.
    fn new(connection: Connection, tokens: &'tokens [String], number: usize) -> Self {
        let mut tokens = tokens.iter().cycle();
        tokens.nth(number * SESSIONS / CLIENTS);
        Self { connection, tokens }
    }
}

async fn by_grpc(report: &mut Report, replica: &Replica, tokens: &[String], span: Duration) {
    let mut channels = Vec::new();
    for _ in 0..CHANNELS {
        channels.push(replica.grpc().await);
    }
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|number| Validator::new(channels[number % CHANNELS].clone(), tokens, number))
        .collect();
    let mut load = drive(&mut clients, span, &[replica.process()], async |client| {
        let request = wire::ValidateRequest {
            access_token: client.tokens.next().unwrap().clone(),
            audience: String::new(),
        };
        client
            .connection
            .validate(as_service(request))
            .await
            .unwrap();
    })
    .await;
    load.tell(report, "Validate by gRPC", &NAMES[..1]);
}

async fn by_socket(report: &mut Report, replica: &Replica, tokens: &[String], span: Duration) {
    let mut clients: Vec<Validator<'_, Socket>> = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Validator::new(replica.socket().await, tokens, number));
    }
    let mut load = drive(&mut clients, span, &[replica.process()], async |client| {
        let token = client.tokens.next().unwrap();
        let ask = json!({ "type": "validate_token", "id": 1, "access_token": token });
        client
            .connection
            .send(Message::text(ask.to_string()))
            .await
            .unwrap();
        let answer = client.connection.next().await.unwrap().unwrap();
        assert!(answer.to_text().unwrap().contains("\"ok\""), "{answer}");
    })
    .await;
    load.tell(report, "validate_token by WebSocket", &NAMES[..1]);
}
