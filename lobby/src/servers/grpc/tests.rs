//! The client against an allocator on loopback that answers as a test says.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::Stream;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response};
use uuid::Uuid;
use wire::allocator_server::{Allocator as Service, AllocatorServer};

use super::*;
use crate::ids::PlayerId;
use crate::upstream::Upstream;

/// An allocator that answers with what it was given.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Script>);

#[derive(Debug, Default)]
struct Script {
    refusal: Mutex<Option<Status>>,
    allocated: Mutex<wire::AllocateResponse>,
    watched: Mutex<Vec<Result<wire::WatchResponse, Status>>>,
    asked: Mutex<Vec<wire::AllocateRequest>>,
    minted: Mutex<Vec<wire::MintTokensRequest>>,
    released: Mutex<Vec<wire::ReleaseRequest>>,
}

impl Fake {
    fn check(&self) -> Result<(), Status> {
        self.0.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    /// Serves on loopback; the client of it.
    async fn start(&self) -> Allocator {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder();
        let service = AllocatorServer::new(self.clone());
        tokio::spawn(server.serve_with_incoming(service, TcpIncoming::from(listener)));
        let route = Route::new(Upstream {
            url,
            ..Upstream::default()
        });
        Allocator::new(route.unwrap(), Duration::from_millis(45_500))
    }
}

#[tonic::async_trait]
impl Service for Fake {
    async fn allocate(
        &self,
        request: Request<wire::AllocateRequest>,
    ) -> Result<Response<wire::AllocateResponse>, Status> {
        self.0.asked.lock().unwrap().push(request.into_inner());
        self.check()?;
        Ok(Response::new(self.0.allocated.lock().unwrap().clone()))
    }

    async fn get(
        &self,
        _: Request<wire::GetRequest>,
    ) -> Result<Response<wire::GetResponse>, Status> {
        Err(Status::unimplemented("nobody asks for it"))
    }

    async fn release(
        &self,
        request: Request<wire::ReleaseRequest>,
    ) -> Result<Response<wire::ReleaseResponse>, Status> {
        self.0.released.lock().unwrap().push(request.into_inner());
        Ok(Response::new(wire::ReleaseResponse {}))
    }

    async fn mint_tokens(
        &self,
        request: Request<wire::MintTokensRequest>,
    ) -> Result<Response<wire::MintTokensResponse>, Status> {
        self.0.minted.lock().unwrap().push(request.into_inner());
        self.check()?;
        let tokens = self.0.allocated.lock().unwrap().tokens.clone();
        Ok(Response::new(wire::MintTokensResponse { tokens }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.check()?;
        let watched = std::mem::take(&mut *self.0.watched.lock().unwrap());
        Ok(Response::new(Box::pin(futures::stream::iter(watched))))
    }
}

fn id() -> MatchId {
    MatchId(Uuid::from_u128(7))
}

fn ada() -> Player {
    Player {
        id: PlayerId(Uuid::from_u128(1)),
        team: 1,
        trace_context: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    }
}

fn wanted() -> Wanted {
    let text = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    Wanted {
        id: id(),
        namespace: "games".to_owned(),
        selectors: vec![text("muster.dev/fleet", "arena")],
        players: vec![ada()],
        annotations: text("muster.dev/queue", "duel"),
    }
}

fn port(name: &str, port: i32) -> GameServerStatusPort {
    GameServerStatusPort {
        name: name.to_owned(),
        port,
    }
}

fn token(number: u128) -> wire::PlayerToken {
    wire::PlayerToken {
        player_id: Uuid::from_u128(number).to_string(),
        session_id: Uuid::nil().to_string(),
        connect_token: vec![1, 2, 3],
        expire_time: Some(pbjson_types::Timestamp {
            seconds: 60,
            nanos: 5,
        }),
    }
}

fn answer() -> wire::AllocateResponse {
    wire::AllocateResponse {
        allocation: Some(wire::Allocation {
            namespace: "games".to_owned(),
            request_id: id().to_string(),
            game_server_name: "arena-x7k".to_owned(),
            address: "203.0.113.7".to_owned(),
            ports: vec![port("default", 7012)],
            ..wire::Allocation::default()
        }),
        tokens: vec![token(1)],
    }
}

#[tokio::test]
async fn a_match_is_asked_for_under_its_id_and_answered_with_server_and_tokens() {
    let fake = Fake::default();
    *fake.0.allocated.lock().unwrap() = answer();
    let allocator = fake.start().await;
    let allocated = allocator.allocate(&wanted()).await.unwrap();
    let expected = Allocated {
        server: Server {
            namespace: "games".to_owned(),
            name: "arena-x7k".to_owned(),
            endpoint: "203.0.113.7:7012".to_owned(),
        },
        tokens: vec![Token {
            player: ada().id,
            connect_token: vec![1, 2, 3],
            expires_at: Timestamp::new(60, 5).unwrap(),
        }],
    };
    assert_eq!(allocated, expected);
    assert!(!format!("{allocated:?}").contains("[1, 2, 3]"));

    let lifetime = Some(pbjson_types::Duration {
        seconds: 45,
        nanos: 500_000_000,
    });
    let player = wire::Player {
        player_id: ada().id.to_string(),
        team: 1,
        spectator: false,
        trace_context: ada().trace_context,
    };
    let asked = fake.0.asked.lock().unwrap().remove(0);
    let expected = wire::AllocateRequest {
        namespace: "games".to_owned(),
        request_id: id().to_string(),
        match_id: id().to_string(),
        players: vec![player.clone()],
        selectors: vec![selector(&wanted().selectors[0])],
        scheduling: 0,
        metadata: Some(MetaPatch {
            labels: BTreeMap::new(),
            annotations: wanted().annotations,
        }),
        token_lifetime: lifetime,
    };
    assert_eq!(asked, expected);

    let minted = allocator.mint("games", id(), &[ada()]).await.unwrap();
    assert_eq!(minted, allocated.tokens);
    let asked = fake.0.minted.lock().unwrap().remove(0);
    let expected = wire::MintTokensRequest {
        namespace: "games".to_owned(),
        request_id: id().to_string(),
        players: vec![player],
        token_lifetime: lifetime,
    };
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn each_status_is_the_error_that_it_means() {
    let fake = Fake::default();
    let allocator = fake.start().await;
    let away = |text: &str| Error::Unavailable(text.to_owned());
    let table = [
        (Code::ResourceExhausted, Error::NoServer),
        (Code::AlreadyExists, Error::Unknown),
        (Code::NotFound, Error::Unknown),
        (Code::InvalidArgument, Error::Refused("why".to_owned())),
        (Code::Unimplemented, Error::Refused("why".to_owned())),
        (Code::Aborted, away("The operation was aborted: why")),
        (
            Code::PermissionDenied,
            away("The caller does not have permission to execute the specified operation: why"),
        ),
        (
            Code::Unavailable,
            away("The service is currently unavailable: why"),
        ),
        (Code::Internal, away("Internal error: why")),
    ];
    for (code, expected) in table {
        *fake.0.refusal.lock().unwrap() = Some(Status::new(code, "why"));
        let refused = allocator.allocate(&wanted()).await.unwrap_err();
        assert_eq!(refused, expected);
        let refused = allocator.mint("games", id(), &[ada()]).await.unwrap_err();
        assert_eq!(refused, expected);
        let watch = allocator.watch("games").await;
        assert_eq!(watch.err(), Some(expected));
    }
    assert!(fake.0.released.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_nobody_can_join_is_given_back() {
    let fake = Fake::default();
    *fake.0.refusal.lock().unwrap() = Some(Status::failed_precondition("no key"));
    let allocator = fake.start().await;
    let refused = allocator.allocate(&wanted()).await.unwrap_err();
    assert_eq!(refused, Error::NoServer);
    let released = fake.0.released.lock().unwrap().remove(0);
    assert_eq!(released.request_id, id().to_string());
    assert_eq!(released.policy(), ReleasePolicy::Shutdown);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_refused() {
    let fake = Fake::default();
    let allocator = fake.start().await;
    let mut nowhere = answer();
    nowhere.allocation.as_mut().unwrap().ports.clear();
    let mut of_another = answer();
    of_another.tokens = vec![token(2)];
    let mut too_many = answer();
    too_many.tokens.push(token(2));
    let mut never = answer();
    never.tokens[0].expire_time = Some(pbjson_types::Timestamp {
        seconds: i64::MAX,
        nanos: 0,
    });
    let strange = Error::Unavailable("it answered with tokens of other players".to_owned());
    let table = [
        (
            nowhere,
            Error::Refused("arena-x7k has no address and port".to_owned()),
        ),
        (of_another, strange.clone()),
        (too_many, strange.clone()),
        (never, strange),
    ];
    for (answer, expected) in table {
        *fake.0.allocated.lock().unwrap() = answer;
        assert_eq!(allocator.allocate(&wanted()).await, Err(expected));
    }
    // Servers that take no tokens get none.
    let mut open = answer();
    open.tokens.clear();
    *fake.0.allocated.lock().unwrap() = open;
    let allocated = allocator.allocate(&wanted()).await.unwrap();
    assert_eq!(allocated.tokens, []);
}

#[tokio::test]
async fn a_watch_tells_of_matches_and_leaves_out_other_requests() {
    let told = |request_id: String, state: State, result: &str| {
        Ok(wire::WatchResponse {
            allocation: Some(wire::Allocation {
                request_id,
                state: state.into(),
                result: result.to_owned(),
                ..wire::Allocation::default()
            }),
            synced: false,
        })
    };
    let synced = wire::WatchResponse {
        allocation: None,
        synced: true,
    };
    let fake = Fake::default();
    *fake.0.watched.lock().unwrap() = vec![
        told(id().to_string(), State::Allocated, ""),
        told("of-somebody-else".to_owned(), State::Allocated, ""),
        Ok(synced),
        Ok(wire::WatchResponse::default()),
        told(id().to_string(), State::Ended, "{}"),
        Err(Status::resource_exhausted("too slow")),
    ];
    let allocator = fake.start().await;
    let changes = allocator.watch("games").await.unwrap();
    let changes: Vec<_> = changes.collect().await;
    let change = |has_ended, result: &str| {
        Ok(Change::Allocation {
            id: id(),
            has_ended,
            result: result.to_owned(),
        })
    };
    let expected = [
        change(false, ""),
        Ok(Change::Synced),
        change(true, "{}"),
        Err(Error::NoServer),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn players_connect_to_the_port_of_the_game() {
    let both = [port("web", 80), port("game", 7012)];
    let halves = [port("play-tcp", 7011), port("play-udp", 7012)];
    let game = [port("game-tcp", 7011), port("game-udp", 7012)];
    let table: [(&str, &[GameServerStatusPort], Option<&str>); 7] = [
        ("203.0.113.7", &both, Some("203.0.113.7:7012")),
        ("203.0.113.7", &halves, Some("203.0.113.7:7012")),
        ("203.0.113.7", &game, Some("203.0.113.7:7012")),
        ("2001:db8::7", &both, Some("[2001:db8::7]:7012")),
        ("node.example", &both, Some("node.example:7012")),
        ("203.0.113.7", &[port("game", 70_000)], None),
        ("", &both, None),
    ];
    for (address, ports, expected) in table {
        assert_eq!(endpoint(address, ports).as_deref(), expected, "{address}");
    }
}
