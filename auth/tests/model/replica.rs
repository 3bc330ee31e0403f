//! Replicas of the service, over SQLite and memory, or over a PostgreSQL and a Valkey of the test's
//! own.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth::live::Live;
use auth::live::memory::Memory;
use auth::live::valkey::Valkey;
use auth::service::login::SignIn;
use auth::service::register::Registered;
use auth::service::sessions::Tokens;
use auth::service::validate::Holder;
use auth::service::{Service, Verification};
use auth::signing::Signing;
use auth::signing::plan::Policy;
use auth::store::Store;
use auth::store::postgres::Postgres;
use auth::store::sqlite::Sqlite;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use storage::{postgres, valkey};
use testing::valkey::Server;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::cluster::log::DATABASE_PASSWORD;
use crate::world::{caller, parts, password, pool, signing};

/// The longest wait for anything that must happen at some time.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// A replica with its background work, which ends when it is dropped.
pub(crate) struct Replica {
    pub(crate) service: Service,
    pub(crate) signing: Arc<Signing>,
    tasks: JoinSet<()>,
}

impl Replica {
    /// Starts as the process does.
    pub(crate) async fn start(store: Arc<dyn Store>, live: Arc<dyn Live>, policy: Policy) -> Self {
        let signing = signing(runtime::clock::now(), &store, &live, policy).await;
        let parts = parts(
            store,
            live,
            Arc::clone(&signing),
            Verification::Optional,
            pool(),
        );
        let service = Service::new(parts.await);
        service.catch_up().await.unwrap();
        let mut tasks = JoinSet::new();
        let background = service.clone();
        tasks.spawn(async move { background.run(CancellationToken::new()).await });
        Self {
            service,
            signing,
            tasks,
        }
    }

    /// Ends without a word.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    /// Makes an account; returns its address and its first tokens.
    pub(crate) async fn register(&self) -> (String, Tokens) {
        let email = format!("{}@example.com", Uuid::new_v4().simple());
        let registered = self.service.register(&caller(), &email, &password()).await;
        match registered.unwrap() {
            Registered::Tokens(tokens) => (email, *tokens),
            Registered::Pending => panic!("accounts need no verification here"),
        }
    }

    /// Signs in.
    pub(crate) async fn login(&self, email: &str) -> Result<Tokens, auth::Failure> {
        let entered = self.service.login(&caller(), email, &password()).await?;
        match entered {
            SignIn::Tokens(tokens) => Ok(*tokens),
            SignIn::Challenge(_) => panic!("nobody has a second factor here"),
        }
    }

    /// Spends a refresh token.
    pub(crate) async fn refresh(
        &self,
        token: &str,
        request: Option<&str>,
    ) -> Result<Tokens, auth::Failure> {
        self.service.refresh(&caller(), token, request).await
    }

    /// Whether an access token is good; fails unless that is known.
    pub(crate) async fn accepts(&self, access: &str) -> bool {
        let validated = self.service.validate(access, None, Holder::Player(None));
        match validated.await {
            Ok(_) => true,
            Err(failure) => {
                assert_eq!(failure.code, auth::Code::InvalidToken);
                false
            }
        }
    }
}

/// SQLite with memory beside it.
pub(crate) struct Embedded(PathBuf);

impl Embedded {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("muster-accounts-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// Opens its file.
    pub(crate) async fn clients(&self) -> (Arc<dyn Store>, Arc<dyn Live>) {
        let store = Sqlite::open(&self.0.join("accounts")).await.unwrap();
        (Arc::new(store), Arc::new(Memory::new(100_000)))
    }

    /// Somebody else who has its file.
    pub(crate) async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.0.join("accounts"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A PostgreSQL and a Valkey.
pub(crate) struct Servers {
    pub(crate) postgres: Cluster,
    pub(crate) valkey: Server,
    /// Whether calls give up early: for tests that stop a server and wait for what comes of it.
    is_hasty: bool,
    listeners: JoinSet<()>,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let postgres = Cluster::start();
        postgres.migrate("auth").await.database().close().await;
        Self {
            postgres,
            valkey: Server::start_at(
                Ipv4Addr::LOCALHOST.into(),
                &["--requirepass", DATABASE_PASSWORD],
            )
            .unwrap(),
            is_hasty: false,
            listeners: JoinSet::new(),
        }
    }

    /// The same for replicas whose calls give up early.
    pub(crate) async fn start_hasty() -> Self {
        Self {
            is_hasty: true,
            ..Self::start().await
        }
    }

    /// A store and live state of a replica of its own.
    pub(crate) async fn clients(&mut self) -> (Arc<dyn Store>, Arc<dyn Live>) {
        let mut config = postgres::Config::new(self.postgres.url("auth"));
        if self.is_hasty {
            config.acquire_timeout = Duration::from_millis(400);
            config.statement_timeout = Duration::from_millis(400);
            config.call_timeout = Duration::from_millis(800);
        }
        let store = Postgres::new(config);
        let port = self.valkey.port();
        let url = format!("redis://:{DATABASE_PASSWORD}@127.0.0.1:{port}");
        let valkey = Valkey::new(&valkey::Config::new(vec![url])).unwrap();
        let valkey = Arc::new(valkey);
        let listener = Arc::clone(&valkey);
        self.listeners
            .spawn(async move { listener.listen(&CancellationToken::new()).await });
        until("the news", async || valkey.gaps() > 0).await;
        (Arc::new(store.unwrap()), valkey)
    }

    /// A replica of its own.
    pub(crate) async fn replica(&mut self, policy: Policy) -> Replica {
        let (store, live) = self.clients().await;
        Replica::start(store, live, policy).await
    }
}

/// Waits until it is so; fails when that takes absurdly long.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}
