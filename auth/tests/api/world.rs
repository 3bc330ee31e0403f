//! The service with its sockets, and calls to it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use auth::args::Args;
use auth::assemble::assemble;
use auth::config::Config;
use auth::metrics::Metrics;
use auth::service::Service;
use clap::Parser as _;
use http::{HeaderMap, Method};
use runtime::admin::Admin;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::document::{Document, Operation};
use crate::key::Key;
use crate::log::{self, Watched};

/// Where clients believe the service to be.
pub(crate) const ISSUER: &str = "http://localhost";

/// The token of a service.
pub(crate) const SERVICE: &str = "a-service-of-ours-0123456789";

/// A good password.
pub(crate) const PASSWORD: &str = "violet anchor 7 tundra";

/// For what must happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Numbers worlds, so that each has a folder of its own.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The service.
pub(crate) struct World {
    folder: Folder,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) service: Service,
    pub(crate) signing: std::sync::Arc<auth::signing::Signing>,
    pub(crate) live: std::sync::Arc<dyn auth::live::Live>,
    pub(crate) store: std::sync::Arc<dyn auth::store::Store>,
    pub(crate) document: Document,
    /// Operations that were done well.
    done: Mutex<BTreeSet<Operation>>,
    /// Mails that were read.
    read: Mutex<BTreeSet<PathBuf>>,
    client: reqwest::Client,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), auth::run::Error>>,
    _clock: runtime::clock::Guard,
    /// Nothing secret may be logged.
    _watched: Watched,
}

/// Tokens of a player.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) token_type: String,
    pub(crate) player_id: String,
    pub(crate) session_id: String,
}

/// A folder for the next world.
pub(crate) fn folder() -> PathBuf {
    let number = WORLDS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("muster-api-{}-{number}", std::process::id()));
    std::fs::create_dir_all(folder.join("secrets")).unwrap();
    folder
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&json!({})).await
    }

    /// With parts of the configuration file.
    pub(crate) async fn with(file: &Value) -> Self {
        Self::in_folder(folder(), file, &[("service.test", SERVICE)], &[]).await
    }

    /// With secrets and arguments.
    pub(crate) async fn in_folder(
        folder: PathBuf,
        file: &Value,
        secrets: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let watched = log::watch();
        let clock = runtime::clock::virtual_time(jiff::Timestamp::now());
        let mut merged = json!({
            "game": "Arena",
            "passwords": {"profile": "Scrypt14"},
            "limits": {"factor": 1000},
        });
        for (name, value) in file.as_object().unwrap() {
            merged[name] = value.clone();
        }
        std::fs::write(folder.join("config.json"), merged.to_string()).unwrap();
        for (name, secret) in secrets {
            std::fs::write(folder.join("secrets").join(name), secret).unwrap();
        }
        let config = config(&folder, arguments);
        let (http, grpc) = (listen().await, listen().await);
        let (http_address, grpc_address) = (http.local_addr().unwrap(), grpc.local_addr().unwrap());
        let admin = Admin::default();
        let metrics = Metrics::register(admin.registry()).unwrap();
        let stop = CancellationToken::new();
        let assembled = assemble(&config, metrics, &stop).await.unwrap();
        let (service, signing) = (assembled.service.clone(), assembled.signing.clone());
        let live = assembled.live.clone();
        let store = assembled.store.clone();
        let host_stop = stop.clone();
        let serving = tokio::spawn(async move {
            auth::run::host(config, assembled, admin, http, grpc, host_stop).await
        });
        Self {
            folder: Folder(folder),
            http: http_address,
            grpc: grpc_address,
            service,
            signing,
            live,
            store,
            document: Document::new(),
            done: Mutex::default(),
            read: Mutex::default(),
            // A connection of its own for each call: when time passes the idle ones are closed.
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            stop,
            serving,
            _clock: clock,
            _watched: watched,
        }
    }

    /// Rows of the database, which is a file.
    pub(crate) async fn rows(&self, query: &'static str) -> Vec<(Vec<u8>,)> {
        let file = self.folder.0.join("accounts.db");
        let url = format!("sqlite://{}", file.display());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        let rows = sqlx::query_as(query).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows
    }

    /// A secret as it is now.
    pub(crate) fn secret(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.0.join("secrets").join(name)).unwrap()
    }

    /// Replaces a secret, which is seen within a second.
    pub(crate) fn put_secret(&self, name: &str, secret: impl AsRef<[u8]>) {
        let folder = self.folder.0.join("secrets");
        std::fs::write(folder.join(".new"), secret).unwrap();
        std::fs::rename(folder.join(".new"), folder.join(name)).unwrap();
    }

    /// Runs a command beside it, over the same accounts.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Result<(), auth::run::Error> {
        let config = config(&self.folder.0, arguments);
        auth::run(config, CancellationToken::new()).await
    }

    /// Ends it, and waits for the end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.serving).await;
        ended.unwrap().unwrap().unwrap();
    }

    /// Tells it to end.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Time goes on by that much at once.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call {
            world: self,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub(crate) fn put(&self, path: &str) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    pub(crate) fn delete(&self, path: &str) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// The operations that were done well so far.
    pub(crate) fn done(&self) -> BTreeSet<Operation> {
        self.done.lock().unwrap().clone()
    }

    /// A guest, whom nothing is known of, with a token for its own account.
    pub(crate) async fn guest(&self, device: &str) -> Tokens {
        let body = json!({"device_id": device, "client": {"audiences": ["auth"]}});
        self.post("/register").json(&body).send().await.tokens()
    }

    /// A player with address and password, and a token for its own account.
    pub(crate) async fn player(&self, email: &str) -> Tokens {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = self.post("/register").json(&body).send().await;
        assert_eq!(answer.status, 202);
        let token = secret(&self.mail(email, "Confirm").await);
        let client = json!({"audiences": ["auth"]});
        let body = json!({"token": token, "password": PASSWORD, "client": client});
        self.post("/email/verify").json(&body).send().await.tokens()
    }

    /// For a token for its own account.
    pub(crate) fn login(&self, email: &str, password: &str) -> Call<'_> {
        let client = json!({"audiences": ["auth"]});
        self.post("/login")
            .json(&json!({"email": email, "password": password, "client": client}))
    }

    /// The next mail to somebody whose subject has this word.
    pub(crate) async fn mail(&self, to: &str, subject: &str) -> String {
        let folder = self.folder.0.join("mails");
        let look = async {
            loop {
                if let Some(found) = self.unread(&folder, to, subject) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, look)
            .await
            .unwrap_or_else(|_| panic!("no mail {subject:?} came to {to}"))
    }

    /// How many mails to somebody nobody has read.
    pub(crate) fn unread_mails(&self, to: &str) -> usize {
        let folder = self.folder.0.join("mails");
        let count = || self.unread(&folder, to, "");
        std::iter::from_fn(count).count()
    }

    fn unread(&self, folder: &Path, to: &str, subject: &str) -> Option<String> {
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .ok()?
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let mut read = self.read.lock().unwrap();
        paths.into_iter().find_map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            let is_it = lines.next() == Some(&format!("To: {to}"))
                && lines.next().is_some_and(|line| line.contains(subject))
                // The whole of it is written.
                && text.ends_with('\n');
            (is_it && read.insert(path)).then_some(text)
        })
    }
}

/// The configuration of a folder.
fn config(folder: &Path, arguments: &[&str]) -> Config {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut all = vec![
        "auth".to_owned(),
        format!("--issuer={ISSUER}"),
        format!("--sqlite={}", path("accounts.db")),
        format!("--secrets-dir={}", path("secrets")),
        format!("--config={}", path("config.json")),
        "--shutdown-delay-seconds=0".to_owned(),
    ];
    all.extend(arguments.iter().map(ToString::to_string));
    Config::try_from(Args::parse_from(all)).unwrap()
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// The secret that a mail's link carries.
pub(crate) fn secret(mail: &str) -> String {
    let (_, rest) = mail.split_once("#token=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

/// A call.
pub(crate) struct Call<'world> {
    world: &'world World,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Option<String>,
}

impl Call<'_> {
    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// By a bearer token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a fresh proof of a key, and no token.
    pub(crate) fn proof(self, key: &Key) -> Self {
        let proof = key.proof(self.method.as_str(), &self.path, None, None);
        self.header("dpop", &proof)
    }

    /// By a token that is bound to a key.
    pub(crate) fn bound(self, token: &str, key: &Key) -> Self {
        let proof = key.proof(self.method.as_str(), &self.path, Some(token), None);
        self.header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof)
    }

    pub(crate) async fn send(self) -> Reply {
        let Self {
            world,
            method,
            path,
            headers,
            body,
        } = self;
        let url = format!("http://{}{path}", world.http);
        let mut request = world.client.request(method.clone(), url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = tokio::time::timeout(SOON, request.send())
            .await
            .unwrap()
            .unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let reply = Reply {
            status,
            headers,
            text,
        };
        reply.is_hardened(&path);
        match world.document.find(method.as_str(), &path) {
            Some((name, operation)) => {
                let kind = reply.header("content-type");
                world.document.check(operation, status, kind, &reply.text);
                if status < 400 {
                    world.done.lock().unwrap().insert(name);
                }
            }
            None => world.document.check_failure(&reply.text),
        }
        reply
    }

    /// Sends a call that is refused; returns its code.
    pub(crate) async fn refused(self, status: u16) -> String {
        let reply = self.send().await;
        assert_eq!(reply.status, status, "{}", reply.text);
        reply.code()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The body of an answer that is good.
    pub(crate) fn good(&self) -> Value {
        assert!(self.status < 300, "{self:?}");
        self.json()
    }

    pub(crate) fn tokens(&self) -> Tokens {
        serde_json::from_value(self.good()).unwrap()
    }

    /// Fails unless it is good and says nothing.
    pub(crate) fn done(&self) {
        assert_eq!(self.status, 204, "{self:?}");
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    /// What every answer has.
    fn is_hardened(&self, path: &str) {
        let cache = if path == "/.well-known/jwks.json" && self.status == 200 {
            "public, max-age=300"
        } else {
            "no-store"
        };
        assert_eq!(self.header("cache-control"), Some(cache), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        let transport = self.header("strict-transport-security").unwrap();
        assert!(transport.starts_with("max-age=63072000"), "{transport}");
        assert_eq!(
            self.header("www-authenticate").is_some(),
            self.status == 401,
            "{self:?}"
        );
        if self.status == 429 || self.status == 503 {
            let after: u64 = self.header("retry-after").unwrap().parse().unwrap();
            assert!(after > 0);
        }
    }
}
