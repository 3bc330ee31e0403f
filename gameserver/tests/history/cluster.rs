//! A private PostgreSQL: its data in a folder of its own, reached by a Unix socket there, gone in the
//! end.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use gameserver::history::Place;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use super::recording::LIMIT;

/// Where the programs of a PostgreSQL are.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    /// The system that they belong to; `/` for that of the machine.
    root: PathBuf,
    binaries: &'static str,
    pub(crate) has_timescale: bool,
}

impl Installation {
    /// That of the machine.
    pub(crate) fn postgresql() -> Self {
        let this = Self {
            root: "/".into(),
            binaries: "/usr/lib/postgresql/15/bin",
            has_timescale: false,
        };
        this.check("apt-get install postgresql-15");
        this
    }

    /// The one in the cache.
    #[cfg(feature = "timescaledb")]
    pub(crate) fn timescaledb() -> Self {
        let folder = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(PathBuf::from)
        };
        let cache = folder("MUSTER_CACHE")
            .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("muster")))
            .or_else(|| Some(folder("HOME")?.join(".cache/muster")))
            .unwrap();
        let this = Self {
            root: cache.join("timescaledb-trixie"),
            binaries: "/usr/lib/postgresql/17/bin",
            has_timescale: true,
        };
        this.check("scripts/timescaledb.sh");
        assert!(is_root(), "a system in a folder is entered as root");
        this
    }

    fn check(&self, remedy: &str) {
        let postgres = self.on_host(Path::new(self.binaries)).join("postgres");
        assert!(
            postgres.exists(),
            "{} is missing; run: {remedy}",
            postgres.display()
        );
    }

    /// A path of the system as the machine sees it.
    fn on_host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap())
    }

    /// A program of the system, as somebody who is not root: PostgreSQL insists.
    fn command(&self, program: &str) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("chroot");
            command
                .arg("--userspec=postgres:postgres")
                .arg(&self.root)
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    fn binary(&self, name: &str) -> Command {
        self.command(&format!("{}/{name}", self.binaries))
    }
}

/// Numbers what must not meet.
static NEXT: AtomicU32 = AtomicU32::new(0);

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

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A database server with its own data.
pub(crate) struct Cluster {
    installation: Installation,
    /// In the system of the installation.
    folder: PathBuf,
    /// Where it listens besides; empty for nowhere.
    address: String,
    server: Option<Child>,
}

/// Where a guarded database is, and what is needed to enter.
pub(crate) struct Gate {
    pub(crate) address: Ipv4Addr,
    /// The certificate of who issued the server's.
    pub(crate) authority: PathBuf,
}

pub(crate) const PASSWORD: &str = "s3cret";

impl Cluster {
    /// A new one that runs.
    pub(crate) fn start(installation: Installation) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a socket may have 107 bytes.
        let folder = PathBuf::from(format!("/tmp/muster-pg-{}-{number}", std::process::id()));
        run(installation.command("/bin/mkdir").arg(&folder));
        let mut cluster = Self {
            installation,
            folder,
            address: String::new(),
            server: None,
        };
        let mut initialize = cluster.installation.binary("initdb");
        run(initialize
            .arg("--pgdata")
            .arg(cluster.data())
            .args(["--auth=trust", "--username=muster", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"]));
        cluster.run();
        if cluster.installation.has_timescale {
            cluster.execute("CREATE EXTENSION timescaledb");
        }
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the server, if it was stopped, on the data that it had.
    pub(crate) fn run(&mut self) {
        let mut command = self.installation.binary("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder)
            .args(["-c", &format!("listen_addresses={}", self.address)])
            .args(["-c", "fsync=off"])
            // In a system of its own there is no /dev/shm.
            .args(["-c", "dynamic_shared_memory_type=mmap"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if self.installation.has_timescale {
            command
                .args(["-c", "shared_preload_libraries=timescaledb"])
                .args(["-c", "timescaledb.telemetry_level=off"]);
        }
        let mut server = command.spawn().unwrap();
        let lines = BufReader::new(server.stderr.take().unwrap()).lines();
        self.server = Some(server);
        let (say, said) = mpsc::channel();
        // Reads on: a server whose log nobody reads stops in the middle of it.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                say.send(line).ok();
            }
        });
        let mut log = String::new();
        while !log.contains("database system is ready to accept connections") {
            let line = said.recv_timeout(LIMIT);
            assert!(line.is_ok(), "it does not start:\n{log}");
            log.push_str(&line.unwrap());
            log.push('\n');
        }
    }

    /// Lets clients in by TCP as well, with TLS and a password.
    pub(crate) fn guard(&mut self) -> Gate {
        self.execute(&format!("ALTER USER muster PASSWORD '{PASSWORD}'"));
        self.kill();
        // Of its own, so that the port is free.
        let [.., high, low] = std::process::id().to_be_bytes();
        let number = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()[3];
        let address = Ipv4Addr::new(127, 100 + number % 100, high, low.max(1));
        let (authority, certificate, key) = certificates(address);
        let data = self.installation.on_host(&self.data());
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
        let rules = "local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let settings = OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"));
        settings.unwrap().write_all(b"ssl = on\n").unwrap();
        self.address = address.to_string();
        self.run();
        Gate {
            address,
            authority: data.join("authority.crt"),
        }
    }

    /// Ends every process of the server at once, without a word to anybody, as a crash does.
    pub(crate) fn kill(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let pid = Pid::from_child(&server);
        kill_process(pid, Signal::QUIT).unwrap();
        server.wait().unwrap();
    }

    pub(crate) fn url(&self) -> String {
        let folder = self.installation.on_host(&self.folder);
        format!(
            "postgres://muster@localhost/postgres?host={}",
            folder.display()
        )
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

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(self.installation.on_host(&self.folder)).ok();
    }
}
