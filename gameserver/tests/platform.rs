//! The arena server under the platform: key, match, players and result, over a real connection to
//! an SDK server that is made up here.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser as _;
use gameserver::arena::args::Args;
use gameserver::arena::config::Config;
use gameserver::arena::{Error, PlatformError};
use proto::agones::dev::sdk::game_server::Status as ServerStatus;
use proto::agones::dev::sdk::game_server::status::Port;
use proto::agones::dev::sdk::sdk_server::{Sdk as Agones, SdkServer as AgonesServer};
use proto::agones::dev::sdk::{self, Empty, GameServer, KeyValue};
use proto::muster::sdk::v1::sdk_server::{Sdk as Muster, SdkServer as MusterServer};
use proto::muster::sdk::v1::{
    ConnectKey, EndMatchRequest, EndMatchResponse, GetConnectKeyRequest, GetConnectKeyResponse,
    Match, Player, PlayerJoinedRequest, PlayerJoinedResponse, PlayerLeftRequest,
    PlayerLeftResponse, WatchMatchRequest, WatchMatchResponse,
};
use runtime::trace::collector::Collector;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tracing_subscriber::layer::SubscriberExt as _;

const MATCH: [u8; 16] = [6; 16];

/// The trace in which the server was allocated.
const ALLOCATION: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Longest wait for anything here.
const LIMIT: Duration = Duration::from_secs(30);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// An SDK server that notes what it is told.
#[derive(Clone, Default)]
struct Fake {
    calls: Arc<Mutex<Vec<String>>>,
    /// How many reports of a result fail before one is taken.
    failures: Arc<Mutex<u32>>,
    /// How many labels fail before one is taken.
    label_failures: Arc<Mutex<u32>>,
    /// Whether labels are refused for good.
    refuses_labels: bool,
    /// Whether results are refused for good.
    refuses: bool,
    /// Told when the game sends its first sign of life.
    alive: Arc<Notify>,
}

/// The game server as the SDK server shows it.
fn game_server(address: &str) -> GameServer {
    let port = Port {
        name: "game".to_owned(),
        port: 7_000,
    };
    let status = ServerStatus {
        address: address.to_owned(),
        ports: vec![port],
        ..ServerStatus::default()
    };
    GameServer {
        status: Some(status),
        ..GameServer::default()
    }
}

impl Fake {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    fn empty(&self, call: &str) -> Response<Empty> {
        self.note(call);
        Response::new(Empty {})
    }
}

#[tonic::async_trait]
impl Agones for Fake {
    async fn ready(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(self.empty("Ready"))
    }

    async fn allocate(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(self.empty("Allocate"))
    }

    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(self.empty("Shutdown"))
    }

    async fn health(&self, _: Request<Streaming<Empty>>) -> Result<Response<Empty>, Status> {
        self.alive.notify_one();
        Ok(Response::new(Empty {}))
    }

    async fn get_game_server(&self, _: Request<Empty>) -> Result<Response<GameServer>, Status> {
        Ok(Response::new(game_server("")))
    }

    type WatchGameServerStream = Answers<GameServer>;

    async fn watch_game_server(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::WatchGameServerStream>, Status> {
        // As the platform does: the address comes with Ready.
        let servers = ["", "127.0.0.1"].map(|address| Ok(game_server(address)));
        Ok(Response::new(Box::pin(tokio_stream::iter(servers))))
    }

    async fn set_label(&self, request: Request<KeyValue>) -> Result<Response<Empty>, Status> {
        let KeyValue { key, value } = request.into_inner();
        if self.refuses_labels {
            return Err(Status::invalid_argument("no label of a game"));
        }
        let mut failures = self.label_failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(Status::unavailable("the SDK server is away"));
        }
        Ok(self.empty(&format!("SetLabel {key}={value}")))
    }

    async fn set_annotation(&self, _: Request<KeyValue>) -> Result<Response<Empty>, Status> {
        Ok(self.empty("SetAnnotation"))
    }

    async fn reserve(&self, _: Request<sdk::Duration>) -> Result<Response<Empty>, Status> {
        Ok(self.empty("Reserve"))
    }
}

#[tonic::async_trait]
impl Muster for Fake {
    async fn get_connect_key(
        &self,
        _: Request<GetConnectKeyRequest>,
    ) -> Result<Response<GetConnectKeyResponse>, Status> {
        self.note("GetConnectKey");
        let key = |version: u8| ConnectKey {
            version: version.into(),
            key: vec![version; 32],
        };
        Ok(Response::new(GetConnectKeyResponse {
            keys: vec![key(2), key(1)],
            boot_id: vec![0; 16],
        }))
    }

    type WatchMatchStream = Answers<WatchMatchResponse>;

    async fn watch_match(
        &self,
        _: Request<WatchMatchRequest>,
    ) -> Result<Response<Self::WatchMatchStream>, Status> {
        let (answers, stream) = mpsc::channel(2);
        let player = Player {
            player_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            team: 0,
            trace_context: String::new(),
        };
        let assigned = Match {
            match_id: MATCH.to_vec(),
            players: vec![player],
            allocation_time: None,
            trace_context: ALLOCATION.to_owned(),
        };
        for answer in [None, Some(assigned)] {
            let answer = WatchMatchResponse { r#match: answer };
            answers.send(Ok(answer)).await.unwrap();
        }
        // The stream stays open for as long as somebody reads it.
        tokio::spawn(async move { answers.closed().await });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn player_joined(
        &self,
        _: Request<PlayerJoinedRequest>,
    ) -> Result<Response<PlayerJoinedResponse>, Status> {
        self.note("PlayerJoined");
        Ok(Response::new(PlayerJoinedResponse {}))
    }

    async fn player_left(
        &self,
        _: Request<PlayerLeftRequest>,
    ) -> Result<Response<PlayerLeftResponse>, Status> {
        self.note("PlayerLeft");
        Ok(Response::new(PlayerLeftResponse {}))
    }

    async fn end_match(
        &self,
        request: Request<EndMatchRequest>,
    ) -> Result<Response<EndMatchResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.match_id, MATCH);
        if self.refuses {
            self.note("EndMatch refused");
            return Err(Status::failed_precondition("not the match of this server"));
        }
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(Status::unavailable("the hub is away"));
        }
        let result: serde_json::Value = serde_json::from_str(&request.result).unwrap();
        self.note(format!(
            "EndMatch {} {:?}",
            result["reason"],
            request.next()
        ));
        Ok(Response::new(EndMatchResponse {}))
    }
}

/// Serves the fake: Agones' part, and Muster's if it is to have one. Returns its port.
async fn serve(fake: &Fake, is_muster: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let muster = is_muster.then(|| MusterServer::new(fake.clone()));
    let router = Server::builder()
        .add_service(AgonesServer::new(fake.clone()))
        .add_optional_service(muster);
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

fn config(sdk_port: u16, flags: &[&str]) -> Config {
    let sdk = format!("--sdk-port={sdk_port}");
    let fixed = [
        "arena-server",
        "--port=0",
        "--admin-address=127.0.0.1:0",
        &sdk,
    ];
    let arguments = fixed.into_iter().chain(flags.iter().copied());
    Config::try_from(Args::try_parse_from(arguments).unwrap()).unwrap()
}

#[tokio::test]
async fn a_match_that_nobody_comes_to_is_reported_until_the_platform_has_it() {
    let fake = Fake::default();
    *fake.failures.lock().unwrap() = 2;
    let port = serve(&fake, true).await;
    let config = config(port, &["--wait-seconds=1"]);
    let run = gameserver::arena::run(config, CancellationToken::new());
    tokio::time::timeout(LIMIT, run).await.unwrap().unwrap();
    assert_eq!(
        *fake.calls.lock().unwrap(),
        [
            "GetConnectKey",
            "Ready",
            "SetLabel open=true",
            "SetLabel open=false",
            "EndMatch \"Abandoned\" Shutdown"
        ]
    );
}

#[tokio::test]
async fn a_match_is_a_part_of_the_trace_of_its_allocation() {
    let collector = Collector::start().await.unwrap();
    let (layer, exporter) = runtime::trace::pipeline("arena-server", &collector.args()).unwrap();
    // For this thread, where the control plane is.
    let subscriber = tracing_subscriber::registry().with(layer);
    // One subscriber alone would count as everybody's, and the first thread that comes by a call
    // site, of a test without traces, would turn it off for this one too.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traced = tracing::subscriber::set_default(subscriber);
    let fake = Fake::default();
    let port = serve(&fake, true).await;
    let config = config(port, &["--wait-seconds=1"]);
    let run = gameserver::arena::run(config, CancellationToken::new());
    let run = exporter.during(run);
    tokio::time::timeout(LIMIT, Box::pin(run))
        .await
        .unwrap()
        .unwrap();
    let span = collector.span("match").unwrap();
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128;
    assert_eq!(span.trace_id, trace.to_be_bytes());
    assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
}

#[tokio::test]
async fn a_platform_that_takes_no_labels_hears_of_the_end_all_the_same() {
    let fake = Fake {
        refuses_labels: true,
        ..Fake::default()
    };
    let port = serve(&fake, true).await;
    let config = config(port, &["--wait-seconds=1"]);
    let run = gameserver::arena::run(config, CancellationToken::new());
    tokio::time::timeout(LIMIT, run).await.unwrap().unwrap();
    assert_eq!(
        *fake.calls.lock().unwrap(),
        ["GetConnectKey", "Ready", "EndMatch \"Abandoned\" Shutdown"]
    );
}

#[tokio::test]
async fn a_platform_that_does_not_take_a_label_is_told_until_it_does() {
    let fake = Fake::default();
    *fake.label_failures.lock().unwrap() = 5;
    let port = serve(&fake, true).await;
    let config = config(port, &["--wait-seconds=60"]);
    let stop = CancellationToken::new();
    let run = gameserver::arena::run(config, stop.clone());
    let asked = async {
        let is_told = || {
            let calls = fake.calls.lock().unwrap();
            calls.iter().any(|call| call == "SetLabel open=true")
        };
        while !is_told() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let both = Box::pin(async { tokio::join!(run, asked).0 });
    tokio::time::timeout(LIMIT, both).await.unwrap().unwrap();
    let calls = fake.calls.lock().unwrap();
    let expected = [
        "GetConnectKey",
        "Ready",
        "SetLabel open=true",
        "SetLabel open=false",
        "EndMatch \"ServerEnded\" Shutdown",
    ];
    assert_eq!(*calls, expected);
}

#[tokio::test]
async fn a_server_without_a_match_ends_at_once_when_it_is_asked_to() {
    let fake = Fake::default();
    let port = serve(&fake, false).await;
    let stop = CancellationToken::new();
    let run = gameserver::arena::run(config(port, &["--connect=open"]), stop.clone());
    let asked = async {
        fake.alive.notified().await;
        stop.cancel();
    };
    let both = Box::pin(async { tokio::join!(run, asked).0 });
    tokio::time::timeout(LIMIT, both).await.unwrap().unwrap();
    assert_eq!(*fake.calls.lock().unwrap(), ["Ready", "Shutdown"]);
}

#[tokio::test]
async fn a_result_that_is_refused_leaves_no_server_allocated() {
    let refusing = || Fake {
        refuses: true,
        ..Fake::default()
    };
    let fake = refusing();
    let port = serve(&fake, true).await;
    let run = gameserver::arena::run(
        config(port, &["--wait-seconds=1"]),
        CancellationToken::new(),
    );
    tokio::time::timeout(LIMIT, run).await.unwrap().unwrap();
    let expected = [
        "GetConnectKey",
        "Ready",
        "SetLabel open=true",
        "SetLabel open=false",
        "EndMatch refused",
        "Shutdown",
    ];
    assert_eq!(*fake.calls.lock().unwrap(), expected);

    let fake = refusing();
    let port = serve(&fake, true).await;
    let stop = CancellationToken::new();
    let run = gameserver::arena::run(
        config(port, &["--wait-seconds=1", "--after-match=ready"]),
        stop.clone(),
    );
    let asked = async {
        while fake.calls.lock().unwrap().len() < 6 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let both = Box::pin(async { tokio::join!(run, asked).0 });
    tokio::time::timeout(LIMIT, both).await.unwrap().unwrap();
    let expected = [
        "GetConnectKey",
        "Ready",
        "SetLabel open=true",
        "SetLabel open=false",
        "EndMatch refused",
        "Ready",
        "Shutdown",
    ];
    assert_eq!(*fake.calls.lock().unwrap(), expected);
}

#[tokio::test]
async fn plain_agones_gives_no_key_and_the_error_says_what_to_do() {
    let fake = Fake::default();
    let port = serve(&fake, false).await;
    let run = gameserver::arena::run(config(port, &[]), CancellationToken::new());
    let error = tokio::time::timeout(LIMIT, run).await.unwrap().unwrap_err();
    assert!(matches!(
        error,
        Error::Platform(PlatformError::NoConnectKey)
    ));
    assert!(error.to_string().contains("--key-file"), "{error}");
}
