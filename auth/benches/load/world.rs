//! Databases, secrets and replicas of the service, in folders that are gone in the end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proto::muster::auth::v1::auth_client::AuthClient;
use serde_json::json;
use testing::postgres::{self, Installation, Setup};
use testing::valkey;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::http::{self, Http, Socket};
use crate::process::{Process, SERVICE_CORE};

/// The service, as it is released.
const PROGRAM: &str = env!("CARGO_BIN_EXE_auth");

/// The token of the service that asks.
const SERVICE_TOKEN: &str = "a token that only this benchmark has";

/// Longest time for the service to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// What replicas share.
pub(crate) struct World {
    postgres: postgres::Server,
    valkey: valkey::Server,
    folder: PathBuf,
}

impl World {
    /// Starts databases.
    pub(crate) fn start() -> Self {
        // As in production: what is committed is on the disk.
        let setup = Setup {
            settings: vec!["fsync=on".to_owned()],
            ..Setup::of(Installation::newest().unwrap())
        };
        let postgres = postgres::Server::start_with(setup).unwrap();
        let valkey = valkey::Server::start().unwrap();
        let folder = std::env::temp_dir().join(format!("muster-auth-bench-{}", Uuid::new_v4()));
        let secrets = folder.join("secrets");
        fs::create_dir_all(&secrets).unwrap();
        for name in ["master.v1", "index.v1"] {
            let mut key = [0; 32];
            aws_lc_rs::rand::fill(&mut key).unwrap();
            fs::write(secrets.join(name), key).unwrap();
        }
        fs::write(secrets.join("database.url"), postgres.url("postgres")).unwrap();
        fs::write(secrets.join("valkey.urls"), valkey.socket_url()).unwrap();
        fs::write(secrets.join("service.bench"), SERVICE_TOKEN).unwrap();
        let config = json!({
            "emailVerification": "Optional",
            // Nobody listens there: mails wait.
            "mail": {
                "url": "smtp://127.0.0.1:9", "from": "Bench <bench@example.com>",
                "verifyPage": "https://example.com/", "resetPage": "https://example.com/",
            },
            // All clients have one address.
            "limits": { "factor": 100_000 },
        });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        Self {
            postgres,
            valkey,
            folder,
        }
    }

    /// PostgreSQL and Valkey.
    pub(crate) fn databases(&self) -> [Process; 2] {
        [self.postgres.id(), self.valkey.id()].map(|id| Process(id.unwrap()))
    }

    /// Starts a replica on the core of the service, and waits until it is ready.
    pub(crate) async fn replica(&self) -> Replica {
        let [address, grpc, admin] = [(); 3].map(|()| free_address());
        let log = self.folder.join(format!("auth-{}.log", address.port()));
        let log = File::create(log).unwrap();
        let child = Command::new("taskset")
            .args(["--cpu-list", SERVICE_CORE, PROGRAM])
            // The same for all: a token of one is good at another.
            .args(["--issuer", "http://auth.localhost"])
            .arg(format!("--address={address}"))
            .arg(format!("--grpc-address={grpc}"))
            .arg(format!("--admin-address={admin}"))
            .arg("--config")
            .arg(self.folder.join("config.json"))
            .arg("--secrets-dir")
            .arg(self.folder.join("secrets"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let replica = Replica {
            child,
            address,
            grpc,
        };
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let ready = async {
            while !is_ready(admin).await {
                looks.tick().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, ready).await;
        assert!(
            waited.is_ok(),
            "auth does not start: {}",
            self.folder.display()
        );
        replica
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Kept after a failure, for the logs in it.
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

async fn is_ready(admin: SocketAddr) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Ok(mut stream) = tokio::net::TcpStream::connect(admin).await else {
        return false;
    };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// A replica of the service. Ends with this value.
pub(crate) struct Replica {
    child: Child,
    address: SocketAddr,
    grpc: SocketAddr,
}

impl Replica {
    /// Its process.
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// A client of HTTP.
    pub(crate) async fn http(&self) -> Http {
        Http::connect(self.address).await
    }

    /// A socket of a service.
    pub(crate) async fn socket(&self) -> Socket {
        http::socket(self.address, SERVICE_TOKEN).await
    }

    /// A client of gRPC with a connection of its own.
    pub(crate) async fn grpc(&self) -> AuthClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        AuthClient::new(endpoint.connect().await.unwrap())
    }

    /// Signs in a device by that id; a guest is made the first time.
    pub(crate) async fn device(&self, http: &mut Http, id: &str) -> Session {
        let answer = http.post("/login", &json!({ "device_id": id })).await;
        assert!(
            answer.status.is_success(),
            "{}: {}",
            answer.status,
            answer.body
        );
        Session::read(&answer.body)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A message of a service.
pub(crate) fn as_service<Message>(message: Message) -> Request<Message> {
    let mut request = Request::new(message);
    let authorization = format!("Bearer {SERVICE_TOKEN}").parse().unwrap();
    request
        .metadata_mut()
        .insert("authorization", authorization);
    request
}

/// A session of a player.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) player: String,
    pub(crate) id: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Session {
    /// Reads tokens.
    pub(crate) fn read(body: &serde_json::Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self {
            player: text("player_id"),
            id: text("session_id"),
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}
