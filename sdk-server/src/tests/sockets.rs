//! Over real sockets, in local mode, so that nothing waits for time.

use futures::{SinkExt as _, StreamExt as _};
use proto::agones::dev::sdk::sdk_client::SdkClient;
use proto::agones::dev::sdk::{Duration, Empty, GameServer, KeyValue};
use proto::muster::sdk::v1::end_match_request::Next;
use proto::muster::sdk::v1::sdk_client::SdkClient as MusterClient;
use proto::muster::sdk::v1::{
    EndMatchRequest, GetConnectKeyRequest, PlayerJoinedRequest, PlayerLeftRequest,
    WatchMatchRequest,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

use crate::{Config, Error, LocalConfig, Mode, Server};

struct Running {
    grpc: u16,
    http: u16,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    async fn start(local: LocalConfig) -> Self {
        let config = Config {
            address: "localhost".into(),
            grpc_port: 0,
            http_port: 0,
            delay: std::time::Duration::ZERO,
            mode: Mode::Local(local),
            ignored: vec!["feature-gates"],
        };
        let server = Server::bind(config).await.unwrap();
        let (grpc, http, probes) = server.ports();
        assert_eq!(probes, None);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.serve(shutdown.clone()));
        Self {
            grpc,
            http,
            shutdown,
            task,
        }
    }

    async fn sdk(&self) -> SdkClient<Channel> {
        SdkClient::new(self.channel().await)
    }

    async fn channel(&self) -> Channel {
        let address = format!("http://127.0.0.1:{}", self.grpc);
        Channel::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    async fn stop(self) -> Result<(), Error> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }

    /// Sends one raw HTTP/1.1 request and returns the answer up to the end of the connection.
    async fn http(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).await.unwrap();
        let length = body.len();
        let head = format!(
            "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

fn state(object: &GameServer) -> &str {
    &object.status.as_ref().unwrap().state
}

fn key_value(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: value.into(),
    }
}

#[tokio::test]
async fn a_conformance_client_passes_over_grpc() {
    let expected = "ready,allocate,setlabel,setannotation,gameserver,health,shutdown,watch,reserve";
    let expected = expected.split(',').map(str::to_owned).collect();
    let running = Running::start(LocalConfig {
        expected: Some(expected),
        ..LocalConfig::default()
    })
    .await;
    let mut sdk = running.sdk().await;
    let mut watch = sdk.watch_game_server(Empty {}).await.unwrap().into_inner();
    assert_eq!(state(&watch.message().await.unwrap().unwrap()), "Ready");
    sdk.ready(Empty {}).await.unwrap();
    assert_eq!(state(&watch.message().await.unwrap().unwrap()), "Ready");
    sdk.allocate(Empty {}).await.unwrap();
    assert_eq!(state(&watch.message().await.unwrap().unwrap()), "Allocated");
    sdk.reserve(Duration { seconds: 60 }).await.unwrap();
    sdk.health(futures::stream::iter([Empty {}, Empty {}]))
        .await
        .unwrap();
    let meta = sdk
        .get_game_server(Empty {})
        .await
        .unwrap()
        .into_inner()
        .object_meta
        .unwrap();
    let created = meta.creation_timestamp.to_string();
    sdk.set_label(key_value("creationTimestamp", &created))
        .await
        .unwrap();
    sdk.set_annotation(key_value("UID", &meta.uid))
        .await
        .unwrap();
    sdk.shutdown(Empty {}).await.unwrap();
    running.stop().await.unwrap();
    // The end of the process ends the watch in good order.
    while watch.message().await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_conformance_test_fails_with_the_list_of_what_is_missing() {
    let expected = Some(vec!["ready".to_owned(), "health".to_owned()]);
    let running = Running::start(LocalConfig {
        expected,
        ..LocalConfig::default()
    })
    .await;
    running.sdk().await.ready(Empty {}).await.unwrap();
    let error = running.stop().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "conformance test failed: expected but not received: [health]; \
         received but not expected: []"
    );
}

#[tokio::test]
async fn grpc_refuses_bad_input_with_the_codes_of_agones() {
    let running = Running::start(LocalConfig::default()).await;
    let mut sdk = running.sdk().await;
    let status = sdk.set_label(key_value("a b", "c")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("muster.dev/sdk-a b"), "{status}");
    assert_eq!(
        sdk.reserve(Duration { seconds: -5 })
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
    let status = sdk
        .set_annotation(key_value("a", &"v".repeat(5 * 1024 * 1024)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status.message().contains("message length too large"),
        "{status}"
    );
    // The connection is as good as before.
    sdk.ready(Empty {}).await.unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn services_that_are_not_built_are_unimplemented() {
    let running = Running::start(LocalConfig::default()).await;
    let mut client = tonic::client::Grpc::new(running.channel().await);
    for path in [
        "/agones.dev.sdk.beta.SDK/GetCounter",
        "/agones.dev.sdk.alpha.SDK/PlayerConnect",
    ] {
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = tonic_prost::ProstCodec::<Empty, Empty>::default();
        let result = client
            .unary(tonic::Request::new(Empty {}), path, codec)
            .await;
        assert_eq!(result.map(|_| ()).unwrap_err().code(), Code::Unimplemented);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn rest_answers_over_a_socket() {
    let running = Running::start(LocalConfig::default()).await;
    let answer = running.http("POST /allocate", b"{}").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: application/json\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    let answer = running.http("GET /gameserver", b"").await;
    assert!(answer.contains("\"state\":\"Allocated\""), "{answer}");
    let answer = running
        .http("PUT /metadata/label", &vec![b' '; 5 * 1024 * 1024])
        .await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(
        answer.contains("{\"code\":8,\"message\":\"the body is larger"),
        "{answer}"
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_watch_streams_lines() {
    let running = Running::start(LocalConfig::default()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", running.http))
        .await
        .unwrap();
    stream
        .write_all(b"GET /watch/gameserver HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    read_until(&mut stream, &mut answer, "\"state\":\"Ready\"").await;
    running.sdk().await.allocate(Empty {}).await.unwrap();
    read_until(&mut stream, &mut answer, "\"state\":\"Allocated\"").await;
    running.stop().await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    let lines: Vec<_> = answer
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    assert_eq!(lines.len(), 2, "{answer}");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("{\"result\":{\"object_meta\":"))
    );
}

async fn read_until(stream: &mut TcpStream, answer: &mut String, text: &str) {
    let mut buffer = [0; 4096];
    while !answer.contains(text) {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
}

#[tokio::test]
async fn a_watch_over_websocket_has_a_frame_per_message() {
    let running = Running::start(LocalConfig::default()).await;
    let stream = TcpStream::connect(("127.0.0.1", running.http))
        .await
        .unwrap();
    let url = format!("ws://127.0.0.1:{}/watch/gameserver", running.http);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    socket.send(Message::Ping("there?".into())).await.unwrap();
    let mut texts = Vec::new();
    let mut pongs = 0;
    while texts.is_empty() || pongs == 0 {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => texts.push(text),
            Message::Pong(_) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    let mut sdk = running.sdk().await;
    sdk.reserve(Duration { seconds: 0 }).await.unwrap();
    let second = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(
        texts[0].starts_with("{\"result\":{\"object_meta\":"),
        "{texts:?}"
    );
    assert!(second.contains("\"state\":\"Reserved\""), "{second}");
    running.stop().await.unwrap();
    assert!(matches!(
        socket.next().await.unwrap().unwrap(),
        Message::Close(Some(_))
    ));
}

#[tokio::test]
async fn our_own_service_shares_the_port() {
    let running = Running::start(LocalConfig::default()).await;
    let mut sdk = MusterClient::new(running.channel().await);
    let mut keys = Vec::new();
    for _ in 0..2 {
        let answer = sdk.get_connect_key(GetConnectKeyRequest {}).await.unwrap();
        let answer = answer.into_inner();
        let [key] = &answer.keys[..] else {
            panic!("{} keys", answer.keys.len())
        };
        assert_eq!((key.key.len(), answer.boot_id.len()), (32, 16));
        keys.push((key.key.clone(), answer.boot_id));
    }
    assert!(keys[0].0 != keys[1].0 && keys[0].1 != keys[1].1);

    let player_id = || "0a0b0c0d-0e0f-4011-8213-141516171819".to_owned();
    let joined = PlayerJoinedRequest {
        player_id: player_id(),
    };
    sdk.player_joined(joined).await.unwrap();
    let left = PlayerLeftRequest {
        player_id: player_id(),
    };
    sdk.player_left(left).await.unwrap();
    // A UUID among a megabyte of hyphens is none.
    for player_id in ["ada".to_owned(), "-".repeat(1 << 20) + &player_id()] {
        let joined = PlayerJoinedRequest {
            player_id: player_id.clone(),
        };
        let status = sdk.player_joined(joined).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let status = sdk.player_left(PlayerLeftRequest { player_id }).await;
        assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
    }

    let end = |bytes| EndMatchRequest {
        match_id: vec![1; bytes],
        result: "{}".into(),
        next: Next::Shutdown.into(),
    };
    let status = sdk.end_match(end(15)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    sdk.end_match(end(16)).await.unwrap();
    let mut agones = running.sdk().await;
    let object = agones.get_game_server(Empty {}).await.unwrap();
    assert_eq!(state(&object.into_inner()), "Shutdown");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_match_of_a_file_is_shown_while_its_server_is_allocated() {
    let file = super::TestFile::new(
        r#"{metadata: {annotations: {muster.dev/match: '{"matchId":"0a0b0c0d0e0f40118213141516171819","players":[{"playerId":"p"}]}'}}, status: {state: Ready}}"#,
    );
    let running = Running::start(LocalConfig {
        file: Some(file.0.clone()),
        ..LocalConfig::default()
    })
    .await;
    let mut sdk = MusterClient::new(running.channel().await);
    let mut watch = sdk.watch_match(WatchMatchRequest {}).await.unwrap();
    let watch = watch.get_mut();
    assert_eq!(watch.message().await.unwrap().unwrap().r#match, None);
    running.sdk().await.allocate(Empty {}).await.unwrap();
    let found = watch.message().await.unwrap().unwrap().r#match.unwrap();
    assert_eq!(found.match_id[..2], [10, 11]);
    assert_eq!(found.players[0].player_id, "p");
    running.stop().await.unwrap();
    // The end of the process ends the watch in good order.
    while watch.message().await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = Running::start(LocalConfig::default()).await;
    let config = Config {
        address: "localhost".into(),
        grpc_port: running.grpc,
        http_port: 0,
        delay: std::time::Duration::ZERO,
        mode: Mode::Local(LocalConfig::default()),
        ignored: Vec::new(),
    };
    let error = Server::bind(config).await.unwrap_err();
    let expected = format!(
        "could not listen on \"localhost\" port {} for gRPC",
        running.grpc
    );
    assert_eq!(error.to_string(), expected);
    running.stop().await.unwrap();
}
