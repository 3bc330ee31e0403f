//! The program over a PostgreSQL and a Valkey of the test's own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testing::{postgres, valkey};
use tokio::process::{Child, Command};
use uuid::Uuid;

/// The longest wait for anything.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) const PASSWORD: &str = "violet anvils hum at dusk 41";

/// Waits until it is so; fails when that takes absurdly long.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

/// Databases, and secrets and configuration for programs that use them.
pub(crate) struct World {
    postgres: postgres::Server,
    valkey: valkey::Server,
    folder: PathBuf,
}

impl World {
    pub(crate) fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("muster-commands-{}", Uuid::new_v4()));
        let secrets = folder.join("secrets");
        fs::create_dir_all(&secrets).unwrap();
        for name in ["master.v1", "index.v1"] {
            let mut key = [0; 32];
            aws_lc_rs::rand::fill(&mut key).unwrap();
            fs::write(secrets.join(name), key).unwrap();
        }
        let config = json!({
            "emailVerification": "Optional",
            "passwords": { "profile": "Argon2id" },
            // Nobody listens there: mails wait.
            "mail": {
                "url": "smtp://127.0.0.1:9", "from": "Test <test@example.com>",
                "verifyPage": "https://example.com/", "resetPage": "https://example.com/",
            },
            // All clients have one address.
            "limits": { "factor": 1000 },
        });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let world = Self {
            postgres: postgres::Server::start().unwrap(),
            valkey: valkey::Server::start().unwrap(),
            folder,
        };
        world.name_databases();
        world
    }

    fn name_databases(&self) {
        let secrets = self.folder.join("secrets");
        fs::write(secrets.join("database.url"), self.postgres.url("postgres")).unwrap();
        fs::write(secrets.join("valkey.urls"), self.valkey.url()).unwrap();
    }

    /// Both databases are gone with all that was in them; new ones are empty.
    pub(crate) fn lose_databases(&mut self) {
        self.postgres = postgres::Server::start().unwrap();
        self.valkey = valkey::Server::start().unwrap();
        self.name_databases();
    }

    /// Where backups go.
    pub(crate) fn archive(&self) -> String {
        format!("file://{}/archive", self.folder.display())
    }

    /// The program with the secrets and the configuration.
    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auth"));
        let programs = self.postgres.installation().programs();
        command
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .args(["--issuer", "http://auth.localhost"])
            .arg("--config")
            .arg(self.folder.join("config.json"))
            .arg("--secrets-dir")
            .arg(self.folder.join("secrets"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end: whether it succeeded, and what it said.
    pub(crate) async fn run(&self, words: &[&str]) -> (bool, String) {
        let output = self.program().args(words).output();
        let output = tokio::time::timeout(LIMIT, output).await;
        let output = output.expect("a command ends").unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Runs a command that must succeed; returns what it said.
    pub(crate) async fn good(&self, words: &[&str]) -> String {
        let (is_good, said) = self.run(words).await;
        assert!(is_good, "{words:?}: {said}");
        said
    }

    /// Starts a replica, and waits until it is ready.
    pub(crate) async fn replica(&self) -> Replica {
        let [address, grpc, admin] = [(); 3].map(|()| free_address());
        let log = self.folder.join(format!("auth-{}.log", address.port()));
        let file = File::create(&log).unwrap();
        let child = self
            .program()
            .arg(format!("--address={address}"))
            .arg(format!("--grpc-address={grpc}"))
            .arg(format!("--admin-address={admin}"))
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let replica = Replica {
            http: Client::new(),
            address,
            _child: child,
        };
        let ready = format!("http://{admin}/readyz");
        let what = format!("auth; see {}", log.display());
        until(&what, async || {
            let answer = replica.http.get(&ready).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
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

/// A program that serves. Ends without a word with this value.
pub(crate) struct Replica {
    http: Client,
    address: SocketAddr,
    _child: Child,
}

/// What somebody got who signed in.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) player: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Tokens {
    fn read(body: &Value) -> Self {
        let text = |name: &str| match body[name].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("no {name}: {body}"),
        };
        Self {
            player: text("player_id"),
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

impl Replica {
    /// Asks, and returns the answer.
    pub(crate) async fn post(
        &self,
        path: &str,
        bearer: Option<&str>,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request = self.http.post(format!("http://{}{path}", self.address));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let answer = request.json(body).send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Makes an account.
    pub(crate) async fn register(&self, email: &str) -> Tokens {
        let body = json!({ "email": email, "password": PASSWORD });
        let (status, answer) = self.post("/register", None, &body).await;
        assert!(status.is_success(), "{status} {answer}");
        Tokens::read(&answer)
    }

    /// Tries to sign in by password.
    pub(crate) async fn login(&self, email: &str) -> (StatusCode, Value) {
        let body = json!({ "email": email, "password": PASSWORD });
        self.post("/login", None, &body).await
    }

    /// Signs in.
    pub(crate) async fn enter(&self, email: &str) -> Tokens {
        let (status, answer) = self.login(email).await;
        assert!(status.is_success(), "{status} {answer}");
        Tokens::read(&answer)
    }

    /// Spends a refresh token; nothing when it is refused.
    pub(crate) async fn refresh(&self, token: &str) -> Option<Tokens> {
        // For account calls, which take a token for auth alone.
        let client = json!({ "audiences": ["auth"] });
        let body = json!({ "refresh_token": token, "client": client });
        let (status, answer) = self.post("/token/refresh", None, &body).await;
        if status == StatusCode::UNAUTHORIZED {
            return None;
        }
        assert!(status.is_success(), "{status} {answer}");
        Some(Tokens::read(&answer))
    }

    /// Whether an access token is good.
    pub(crate) async fn accepts(&self, token: &str) -> bool {
        let body = json!({ "access_token": token });
        let (status, answer) = self.post("/validate", None, &body).await;
        let is_known = status.is_success() || status == StatusCode::UNAUTHORIZED;
        assert!(is_known, "{status} {answer}");
        status.is_success()
    }

    /// The ids of the keys that it publishes.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let url = format!("http://{}/.well-known/jwks.json", self.address);
        let set: Value = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let keys = set["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }
}
