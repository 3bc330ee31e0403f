//! A PostgreSQL and a Valkey on this host that pods reach by the node's address, behind passwords.
//! Everything of them is gone in the end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// Nothing takes longer.
const LIMIT: Duration = Duration::from_mins(1);

/// Where Debian has the programs of the version that we test with.
const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// Numbers what must not meet.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Both of them.
pub(crate) struct Databases {
    host: IpAddr,
    password: String,
    postgres: Server,
    valkey: Server,
    // Last: it goes when nobody uses it anymore.
    _folder: Folder,
}

impl Databases {
    /// Starts both at an address of this host.
    pub(crate) fn start(host: IpAddr) -> Result<Self> {
        let password = std::iter::repeat_with(fastrand::alphanumeric)
            .take(32)
            .collect::<String>();
        let folder = Folder::new()?;
        Ok(Self {
            host,
            postgres: postgres(&folder.0, host, &password)?,
            valkey: valkey(&folder.0, host, &password)?,
            password,
            _folder: folder,
        })
    }

    pub(crate) fn postgres_url(&self) -> String {
        let Self { host, password, .. } = self;
        let port = self.postgres.port;
        format!("postgres://muster:{password}@{host}:{port}/postgres?sslmode=disable")
    }

    pub(crate) fn valkey_url(&self) -> String {
        let Self { host, password, .. } = self;
        format!("redis://:{password}@{host}:{}", self.valkey.port)
    }
}

fn postgres(folder: &Path, host: IpAddr, password: &str) -> Result<Server> {
    let program = format!("{BINARIES}/postgres");
    ensure!(
        Path::new(&program).exists(),
        "PostgreSQL is missing; run: apt-get install postgresql-15"
    );
    let data = folder.join("data");
    run(unprivileged("mkdir").arg(&data))?;
    let word = folder.join("password");
    fs::write(&word, password)?;
    run(unprivileged(&format!("{BINARIES}/initdb"))
        .arg("--pgdata")
        .arg(&data)
        .arg("--pwfile")
        .arg(&word)
        .args(["--auth=scram-sha-256", "--username=muster", "--no-sync"])
        .args(["--encoding=UTF8", "--locale=C"]))?;
    let mut rules = fs::OpenOptions::new()
        .append(true)
        .open(data.join("pg_hba.conf"))?;
    writeln!(rules, "host all all all scram-sha-256")?;
    let port = free_port(host)?;
    let mut command = unprivileged(&program);
    command
        .arg("-D")
        .arg(&data)
        .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
        .arg("-c")
        .arg(format!("listen_addresses={host}"))
        .args(["-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // At once, as a crash does: the children of the server end with it.
    Server::start(&mut command, port, "QUIT")
}

fn valkey(folder: &Path, host: IpAddr, password: &str) -> Result<Server> {
    let names = ["/usr/bin/valkey-server", "/usr/bin/redis-server"];
    let program = names
        .into_iter()
        .find(|name| Path::new(name).exists())
        .context("Valkey is missing; run: apt-get install valkey-server (or redis-server)")?;
    let port = free_port(host)?;
    let mut command = Command::new(program);
    command
        .args(["--port", &port.to_string(), "--bind", &host.to_string()])
        .args([
            "--requirepass",
            password,
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Server::start(&mut command, port, "KILL")
}

/// A port that nobody has. Should somebody take it before the server does, the server says so.
fn free_port(host: IpAddr) -> Result<u16> {
    let listener = TcpListener::bind((host, 0)).with_context(|| {
        format!(
            "the node's address {host} is not one of this host; this test needs the local \
             provider (`cargo xtask cluster up`)"
        )
    })?;
    Ok(listener.local_addr()?.port())
}

/// A server that ends with this.
struct Server {
    port: u16,
    signal: &'static str,
    child: Child,
}

impl Server {
    /// Starts it and waits until a line of its output says that it is ready.
    fn start(command: &mut Command, port: u16, signal: &'static str) -> Result<Self> {
        let mut child = command.spawn()?;
        let output: Option<Box<dyn Read + Send>> = match child.stderr.take() {
            Some(errors) => Some(Box::new(errors)),
            None => child.stdout.take().map(|output| Box::new(output) as _),
        };
        let server = Self {
            port,
            signal,
            child,
        };
        let (say, said) = mpsc::channel();
        let output = output.context("the server's output is not ours")?;
        // Reads on: a server whose log nobody reads stops in the middle of it.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                say.send(line).ok();
            }
        });
        let mut log = String::new();
        while !log.contains("eady to accept connections") {
            let line = said.recv_timeout(LIMIT);
            log.push_str(&line.with_context(|| format!("it does not start:\n{log}"))?);
            log.push('\n');
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        if let Err(error) = run(Command::new("kill").args(["-s", self.signal, &pid])) {
            eprintln!("{error:#}");
        }
        self.child.wait().ok();
    }
}

/// A folder that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("muster-e2e-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        run(unprivileged("mkdir").arg(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// A program that is not run as root: PostgreSQL insists.
fn unprivileged(program: &str) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(program);
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

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
