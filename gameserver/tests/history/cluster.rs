//! A private PostgreSQL or TimescaleDB, and what the tests of the history do with it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use gameserver::history::Place;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use testing::postgres::{Installation, Server, Setup};

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// That of the machine.
    Postgresql,
    /// The one in the cache.
    #[cfg(feature = "timescaledb")]
    Timescaledb,
}

impl Kind {
    pub(crate) fn has_timescale(self) -> bool {
        self != Self::Postgresql
    }

    fn setup(self) -> Setup {
        match self {
            Self::Postgresql => Setup::of(Installation::newest().unwrap()),
            #[cfg(feature = "timescaledb")]
            Self::Timescaledb => Setup {
                settings: vec![
                    "shared_preload_libraries=timescaledb".to_owned(),
                    "timescaledb.telemetry_level=off".to_owned(),
                ],
                ..Setup::of(timescaledb())
            },
        }
    }
}

/// What scripts/timescaledb.sh brought.
#[cfg(feature = "timescaledb")]
fn timescaledb() -> Installation {
    let folder = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let cache = folder("MUSTER_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("muster")))
        .or_else(|| Some(folder("HOME")?.join(".cache/muster")))
        .unwrap();
    let system = cache.join("timescaledb-trixie");
    assert!(
        system.exists(),
        "{} is missing; run: scripts/timescaledb.sh",
        system.display()
    );
    Installation::newest_in(&system).unwrap()
}

/// An authority, and a certificate for an address with its key.
fn certificates(address: Ipv4Addr) -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let mut server = CertificateParams::default();
    server.subject_alt_names = vec![SanType::IpAddress(address.into())];
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    (root.pem(), certificate.pem(), key.serialize_pem())
}

/// A database server with its own data.
pub(crate) struct Cluster(Server);

/// Where a guarded database is, and what is needed to enter.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    /// The certificate of who issued the server's.
    pub(crate) authority: PathBuf,
}

pub(crate) const PASSWORD: &str = "s3cret";

impl Cluster {
    /// A new one that runs.
    pub(crate) fn start(kind: Kind) -> Self {
        let cluster = Self(Server::start_with(kind.setup()).unwrap());
        if kind.has_timescale() {
            cluster.execute("CREATE EXTENSION timescaledb");
        }
        cluster
    }

    /// Starts the server, if it was stopped, on the data that it had.
    pub(crate) fn run(&mut self) {
        self.0.run().unwrap();
    }

    /// Ends every process of the server at once.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    /// Lets clients in by TCP as well, with TLS and a password.
    pub(crate) fn guard(&mut self) -> Gate {
        let rule = "hostssl all all 127.0.0.0/8 scram-sha-256";
        self.0.admit(rule, PASSWORD).unwrap();
        self.kill();
        let (authority, certificate, key) = certificates(Ipv4Addr::LOCALHOST);
        let data = self.0.data();
        let owner = fs::metadata(&data).unwrap();
        for (name, text) in [
            ("server.crt", &certificate),
            ("server.key", &key),
            ("authority.crt", &authority),
        ] {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let settings = OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"));
        settings.unwrap().write_all(b"ssl = on\n").unwrap();
        self.0.listen(Some(Ipv4Addr::LOCALHOST.into())).unwrap();
        self.run();
        Gate {
            address: self.0.address().unwrap(),
            authority: data.join("authority.crt"),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.0.url("postgres")
    }

    pub(crate) fn place(&self) -> Place {
        Place::Database(self.url().parse().unwrap())
    }

    /// Does something as a client of its own, and returns the first column as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        self.connected(async |connection| {
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await;
            rows.unwrap().iter().map(|row| row.get(0)).collect()
        })
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connected(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(connection)
                .await
                .unwrap();
        });
    }

    fn connected<Output>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> Output) -> Output {
        let options: PgConnectOptions = self.url().parse().unwrap();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let mut connection = options.connect().await.unwrap();
                work(&mut connection).await
            })
    }
}
