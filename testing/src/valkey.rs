//! A private Valkey, or Redis where that is installed: one node, or a cluster of three.

use std::fmt;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::{Folder, LIMIT, Running};

/// The programs that do, the best first.
const PROGRAMS: [&str; 2] = ["/usr/bin/valkey-server", "/usr/bin/redis-server"];

/// How many ports are tried before it is not the ports' fault.
const PORTS: u16 = 16;

/// How far the port of a cluster's bus is from that of clients.
const BUS: u16 = 10_000;

/// The slots of a cluster's nodes.
const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10_922), (10_923, 16_383)];

/// Numbers ports.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Below what the system gives to clients, as is that of the bus.
fn some_port() -> u16 {
    let [.., high, low] = std::process::id().to_be_bytes();
    let process = u16::from_be_bytes([high, low]);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    BUS + process.wrapping_mul(61).wrapping_add(number) % BUS
}

/// A server that keeps nothing when it ends.
pub struct Server {
    program: &'static str,
    address: IpAddr,
    port: u16,
    /// What it is told besides.
    arguments: Vec<String>,
    /// Whether TCP is TLS alone, by the files of its folder.
    is_tls: bool,
    folder: Folder,
    running: Option<Running>,
}

/// What a server proves itself by, each in PEM.
#[derive(Clone)]
pub struct Tls {
    /// Its certificate.
    pub certificate: String,
    /// The key of that.
    pub key: String,
    /// The certificate of who issued it.
    pub authority: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls(…)")
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password may be among the arguments.
        formatter
            .debug_struct("Server")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server on loopback.
    pub fn start() -> io::Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), &[])
    }

    /// A server at an address, with arguments of its own.
    pub fn start_at(address: IpAddr, arguments: &[&str]) -> io::Result<Self> {
        Self::prepare(address, arguments)?.launch()
    }

    /// A server on loopback that takes TLS alone, and asks clients for no certificate.
    pub fn start_tls(tls: &Tls) -> io::Result<Self> {
        let mut server = Self::prepare(Ipv4Addr::LOCALHOST.into(), &["--tls-auth-clients", "no"])?;
        for (name, text) in [
            ("tls.crt", &tls.certificate),
            ("tls.key", &tls.key),
            ("ca.crt", &tls.authority),
        ] {
            fs::write(server.folder.path.join(name), text)?;
        }
        server.is_tls = true;
        server.launch()
    }

    fn prepare(address: IpAddr, arguments: &[&str]) -> io::Result<Self> {
        let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
        let program = program.ok_or_else(|| {
            io::Error::other(
                "there is no Valkey; run: apt-get install valkey-server (or redis-server)",
            )
        })?;
        Ok(Self {
            program,
            address,
            port: 0,
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            is_tls: false,
            folder: Folder::new(&mut Command::new("mktemp"), Path::new("/"))?,
            running: None,
        })
    }

    /// Runs on a port that is free.
    fn launch(mut self) -> io::Result<Self> {
        for _ in 1..PORTS {
            self.port = some_port();
            if self.run().is_ok() {
                return Ok(self);
            }
        }
        self.port = some_port();
        self.run()?;
        Ok(self)
    }

    /// Three servers that share the slots of a cluster.
    pub fn cluster() -> io::Result<Vec<Self>> {
        let mut nodes = Vec::new();
        for _ in SLOTS {
            nodes.push(Self::node()?);
        }
        let ports: Vec<u16> = nodes.iter().map(|node| node.port).collect();
        for ((node, (first, last)), epoch) in nodes.iter().zip(SLOTS).zip(1..) {
            let mut client = node.client()?;
            client.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"))?;
            client.ask(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"))?;
        }
        // Each meets each: gossip would bring them together too, but takes its time.
        for node in &nodes {
            let mut client = node.client()?;
            for port in &ports {
                let (address, bus) = (node.address, port + BUS);
                client.ask(&format!("CLUSTER MEET {address} {port} {bus}"))?;
            }
        }
        for node in &nodes {
            node.client()?.agrees()?;
        }
        Ok(nodes)
    }

    /// One that can be part of a cluster.
    fn node() -> io::Result<Self> {
        Self::start_at(
            Ipv4Addr::LOCALHOST.into(),
            &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"],
        )
    }

    /// Starts it where it was before, empty.
    pub fn run(&mut self) -> io::Result<()> {
        let mut command = Command::new(self.program);
        let port = self.port.to_string();
        if self.is_tls {
            let file = |name: &str| self.folder.path.join(name);
            command.args(["--port", "0", "--tls-port", &port]);
            command.arg("--tls-cert-file").arg(file("tls.crt"));
            command.arg("--tls-key-file").arg(file("tls.key"));
            command.arg("--tls-ca-cert-file").arg(file("ca.crt"));
        } else {
            command.args(["--port", &port]);
        }
        command
            .args(["--bind", &self.address.to_string()])
            .args(["--cluster-port", &(self.port + BUS).to_string()])
            .arg("--unixsocket")
            .arg(self.socket())
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&self.folder.path)
            .args(&self.arguments);
        self.running = Some(Running::start(command, "eady to accept connections")?);
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path.join("socket")
    }

    /// The port of its clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address by TCP.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        format!("{scheme}://{}", SocketAddr::new(self.address, self.port))
    }

    /// Its address by the socket in its folder.
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Its process, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Running::id)
    }

    /// Stands still with its connections open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            running.signal(signal);
        }
    }

    /// Ends without a word, as by `kill -9`.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    fn client(&self) -> io::Result<Client> {
        let stream = TcpStream::connect((self.address, self.port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Client(BufReader::new(stream)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// As much of a client as it takes to form a cluster.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Does a command that is one line, and returns its answer.
    fn ask(&mut self, command: &str) -> io::Result<String> {
        self.0
            .get_mut()
            .write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(length) = line.strip_prefix('$') {
            let length: usize = length.parse().map_err(io::Error::other)?;
            // With the end of its line.
            let mut text = vec![0; length + 2];
            self.0.read_exact(&mut text)?;
            return String::from_utf8(text).map_err(io::Error::other);
        }
        if line.starts_with('-') || line.is_empty() {
            return Err(io::Error::other(format!("{command}: {line}")));
        }
        Ok(line.to_owned())
    }

    /// Waits until the node knows all the others and their slots.
    fn agrees(&mut self) -> io::Result<()> {
        let (all, began) = (SLOTS.len(), Instant::now());
        let (known, size) = (
            format!("cluster_known_nodes:{all}"),
            format!("cluster_size:{all}"),
        );
        loop {
            let info = self.ask("CLUSTER INFO")?;
            let said = ["cluster_state:ok", &known, &size];
            if said.iter().all(|text| info.contains(text)) {
                return Ok(());
            }
            if began.elapsed() > LIMIT {
                return Err(io::Error::other(format!("no cluster:\n{info}")));
            }
            // Lets the nodes talk.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_empty_where_it_was() {
        let mut server = Server::start().unwrap();
        let ask = |server: &Server, command: &str| server.client()?.ask(command);
        assert_eq!(ask(&server, "SET key value").unwrap(), "+OK");
        server.kill();
        assert!(ask(&server, "PING").is_err());
        server.run().unwrap();
        assert_eq!(ask(&server, "DBSIZE").unwrap(), ":0");
        let (folder, id) = (server.folder.path.clone(), server.id().unwrap());
        server.pause();
        drop(server);
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn who_has_no_password_is_refused() {
        let guarded = Server::start_at(
            Ipv4Addr::LOCALHOST.into(),
            &["--requirepass", "a-password-of-its-own"],
        )
        .unwrap();
        let refused = guarded.client().unwrap().ask("PING").unwrap_err();
        assert!(refused.to_string().contains("NOAUTH"), "{refused}");
        assert!(!format!("{guarded:?}").contains("a-password-of-its-own"));
    }

    #[test]
    fn an_argument_that_is_none_is_told() {
        let error = Server::start_at(Ipv4Addr::LOCALHOST.into(), &["--no-such-argument", "1"]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no-such-argument"), "{error}");
    }

    #[test]
    fn three_nodes_share_the_slots() {
        let nodes = Server::cluster().unwrap();
        let moved = nodes.iter().filter(|node| {
            let answer = node.client().unwrap().ask("SET key value");
            answer.is_err_and(|error| error.to_string().contains("MOVED"))
        });
        assert_eq!(moved.count(), 2);
    }
}
