//! A private PostgreSQL: its data in a folder of its own, reached by a Unix socket there, gone in the
//! end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use auth::store::postgres::{Config, Postgres, Url};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// Numbers what must not meet.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A program, as somebody who is not root: PostgreSQL insists.
fn command(program: &str) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("chroot");
        command.args(["--userspec=postgres:postgres", "/", program]);
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

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

struct Server {
    child: Child,
    /// Reads the log until every process of the server is gone.
    log: JoinHandle<()>,
}

/// A database server with its own data.
pub(crate) struct Cluster {
    folder: PathBuf,
    server: Option<Server>,
}

impl Cluster {
    /// A new one that runs.
    pub(crate) fn start() -> Self {
        assert!(
            Path::new(BINARIES).join("postgres").exists(),
            "{BINARIES}/postgres is missing; run: apt-get install postgresql-15"
        );
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a socket may have 107 bytes.
        let folder = PathBuf::from(format!("/tmp/muster-auth-{}-{number}", std::process::id()));
        run(command("/bin/mkdir").arg(&folder));
        let mut cluster = Self {
            folder,
            server: None,
        };
        run(command(&format!("{BINARIES}/initdb"))
            .arg("--pgdata")
            .arg(cluster.data())
            .args(["--auth=trust", "--username=muster", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"]));
        cluster.run();
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the server, if it was stopped, on the data that it had.
    pub(crate) fn run(&mut self) {
        let mut child = command(&format!("{BINARIES}/postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder)
            .args(["-c", "listen_addresses="])
            .args(["-c", "dynamic_shared_memory_type=mmap"])
            // The machine does not crash, only the server does.
            .args(["-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        // Reads on: a server whose log nobody reads stops in the middle of it.
        let log = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                say.send(line).ok();
            }
        });
        self.server = Some(Server { child, log });
        let mut log = String::new();
        while !log.contains("database system is ready to accept connections") {
            let line = said.recv_timeout(LIMIT);
            assert!(line.is_ok(), "it does not start:\n{log}");
            log.push_str(&line.unwrap());
            log.push('\n');
        }
    }

    /// The processes of the server, its first one first.
    fn processes(&self) -> Vec<Pid> {
        let Some(server) = &self.server else {
            return Vec::new();
        };
        let first = Pid::from_child(&server.child);
        let number = first.as_raw_nonzero();
        let list = format!("/proc/{number}/task/{number}/children");
        let children = fs::read_to_string(list).unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|number| Pid::from_raw(number.parse().ok()?));
        std::iter::once(first).chain(children).collect()
    }

    /// Sends a signal to every process of the server.
    pub(crate) fn signal(&self, signal: Signal) {
        for process in self.processes() {
            // It may have ended meanwhile.
            kill_process(process, signal).ok();
        }
    }

    /// Ends every process of the server at once (`kill -9`), and returns when they are gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut server) = self.server.take() {
            server.child.wait().unwrap();
            server.log.join().unwrap();
        }
    }

    pub(crate) fn url(&self, database: &str) -> Url {
        self.address(database).parse().unwrap()
    }

    fn address(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://muster@localhost/{database}?host={folder}")
    }

    /// Makes a database with auth's tables.
    pub(crate) async fn migrate(&self, database: &str) -> Postgres {
        self.execute("postgres", &format!("CREATE DATABASE {database}"))
            .await;
        let store = self.store(database);
        store.migrate(None).await.unwrap();
        store
    }

    pub(crate) fn store(&self, database: &str) -> Postgres {
        Postgres::new(Config::new(self.url(database))).unwrap()
    }

    /// Does something as a client of its own.
    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        done.await.unwrap();
        connection.close().await.unwrap();
    }

    /// A client of its own.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        let options: PgConnectOptions = self.address(database).parse().unwrap();
        options.connect().await.unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.folder).ok();
    }
}
