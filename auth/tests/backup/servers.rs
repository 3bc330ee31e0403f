//! A PostgreSQL and a Valkey of the test's own, in folders that are gone in the end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Nothing takes longer.
const LIMIT: Duration = Duration::from_mins(1);

/// Where Debian has the programs of the version that we test with.
pub(crate) const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// Numbers what must not meet.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A short path: that of a socket may have 107 bytes.
fn folder(kind: &str) -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!(
        "/tmp/muster-{kind}-{}-{number}",
        std::process::id()
    ))
}

/// A program that is not run as root: PostgreSQL insists.
fn unprivileged(program: &str) -> Command {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            program,
        ]);
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
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

/// Starts a server and waits until a line of its output says that it is ready.
fn start(command: &mut Command, ready: &str) -> Child {
    let mut server = command.spawn().unwrap();
    let output: Box<dyn std::io::Read + Send> = match server.stderr.take() {
        Some(errors) => Box::new(errors),
        None => Box::new(server.stdout.take().unwrap()),
    };
    let (say, said) = mpsc::channel();
    // Reads on: a server whose log nobody reads stops in the middle of it.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            say.send(line).ok();
        }
    });
    let mut log = String::new();
    while !log.contains(ready) {
        let line = said.recv_timeout(LIMIT);
        assert!(line.is_ok(), "it does not start:\n{log}");
        log.push_str(&line.unwrap());
        log.push('\n');
    }
    server
}

/// A database server.
pub(crate) struct Postgres {
    folder: PathBuf,
    pub(crate) server: Child,
}

impl Postgres {
    /// One that is quick: the machine does not crash.
    pub(crate) fn start() -> Self {
        Self::start_with("fsync=off")
    }

    /// One with a setting.
    pub(crate) fn start_with(setting: &str) -> Self {
        assert!(
            Path::new(BINARIES).join("postgres").exists(),
            "PostgreSQL is missing; run: apt-get install postgresql-15"
        );
        let folder = folder("pg");
        run(unprivileged("mkdir").arg(&folder));
        let data = folder.join("data");
        run(unprivileged(&format!("{BINARIES}/initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args(["--auth=trust", "--username=muster", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"]));
        let mut command = unprivileged(&format!("{BINARIES}/postgres"));
        command
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-c", "listen_addresses=", "-c", setting])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let server = start(
            &mut command,
            "database system is ready to accept connections",
        );
        Self { folder, server }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://muster@localhost/{database}?host={folder}")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, as a crash does: the children of the server end with it.
        let pid = self.server.id().to_string();
        run(Command::new("kill").args(["-QUIT", &pid]));
        self.server.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// The server of Valkey, or of the Redis that Debian has.
fn valkey_program() -> &'static str {
    let names = ["/usr/bin/valkey-server", "/usr/bin/redis-server"];
    let program = names.into_iter().find(|name| Path::new(name).exists());
    assert!(
        program.is_some(),
        "Valkey is missing; run: apt-get install valkey-server (bookworm-backports), \
         or redis-server"
    );
    program.unwrap()
}

/// Three nodes of a cluster that do not know each other yet.
pub(crate) struct Cluster {
    folder: PathBuf,
    address: Ipv4Addr,
    servers: Vec<Child>,
}

impl Cluster {
    pub(crate) const PORTS: [u16; 3] = [7001, 7002, 7003];

    pub(crate) fn start() -> Self {
        let folder = folder("cluster");
        fs::create_dir(&folder).unwrap();
        // Of its own, so that the ports are free.
        let [.., high, low] = std::process::id().to_be_bytes();
        let number = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()[3];
        let address = Ipv4Addr::new(127, 150 + number % 100, high, low.max(1));
        let node = |port: u16| {
            let mut command = Command::new(valkey_program());
            command
                .args(["--port", &port.to_string(), "--bind", &address.to_string()])
                .args([
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                    "--cluster-enabled",
                    "yes",
                ])
                .args(["--cluster-config-file", &format!("{port}.conf")])
                .args(["--cluster-port", &(port + 100).to_string()])
                .args(["--cluster-announce-ip", &address.to_string()])
                .arg("--dir")
                .arg(&folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped());
            start(&mut command, "eady to accept connections")
        };
        let servers = Self::PORTS.into_iter().map(node).collect();
        Self {
            folder,
            address,
            servers,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        let url = |port| format!("redis://{}:{port}", self.address);
        Self::PORTS.into_iter().map(url).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &mut self.servers {
            server.kill().ok();
            server.wait().ok();
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// One Valkey.
pub(crate) struct Valkey {
    folder: PathBuf,
    pub(crate) server: Child,
}

impl Valkey {
    pub(crate) fn start() -> Self {
        let folder = folder("valkey");
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new(valkey_program());
        command
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(folder.join("socket"))
            .arg("--dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let server = start(&mut command, "eady to accept connections");
        Self { folder, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.join("socket").display())
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}
