//! A private Valkey, or Redis where that is installed: one node on loopback, gone in the end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

/// How many ports are tried before it is not the ports' fault.
const PORTS: u32 = 16;

pub(crate) struct Server {
    program: PathBuf,
    pub(crate) folder: PathBuf,
    /// Its own, and that of the cluster's bus.
    pub(crate) ports: (u16, u16),
    clustered: bool,
    /// Whether it takes TLS alone, by the files of its folder.
    pub(crate) tls: bool,
    child: Option<Child>,
}

impl Server {
    /// A server alone.
    pub(crate) fn start() -> Self {
        Self::on_free_ports(false)
    }

    /// One that can be part of a cluster, or alone.
    pub(crate) fn on_free_ports(clustered: bool) -> Self {
        let mut server = Self::prepare(clustered);
        server.find_ports();
        server
    }

    pub(crate) fn prepare(clustered: bool) -> Self {
        let program = ["valkey-server", "redis-server"]
            .iter()
            .map(|name| PathBuf::from("/usr/bin").join(name))
            .find(|path| path.exists())
            .expect("no Valkey is installed; run: apt-get install valkey-server (or redis-server)");
        let folder = std::env::temp_dir().join(format!("muster-valkey-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        Self {
            program,
            folder,
            ports: (0, 0),
            clustered,
            tls: false,
            child: None,
        }
    }

    pub(crate) fn find_ports(&mut self) {
        for _ in 0..PORTS {
            // Below what the system gives to clients.
            let (port, _) = Uuid::new_v4().as_u64_pair();
            let port = u16::try_from(10_000 + port % 10_000).unwrap();
            self.ports = (port, port + 10_000);
            if self.run() {
                return;
            }
        }
        panic!("the server does not start; try: {}", self.program.display());
    }

    /// Starts it where it was before, empty. Whether it came up.
    pub(crate) fn run(&mut self) -> bool {
        let (port, bus) = self.ports;
        let mut command = Command::new(&self.program);
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&self.folder);
        if self.tls {
            let file = |name: &str| self.folder.join(name).display().to_string();
            command
                .args(["--port", "0", "--tls-port", &port.to_string()])
                .args(["--tls-cert-file", &file("tls.crt")])
                .args(["--tls-key-file", &file("tls.key")])
                .args(["--tls-ca-cert-file", &file("ca.crt")])
                .args(["--tls-auth-clients", "no"]);
        } else {
            command.args(["--port", &port.to_string()]);
        }
        if self.clustered {
            command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
            command.args(["--cluster-port", &bus.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().contains("Ready to accept connections"));
        std::thread::spawn(move || lines.for_each(drop));
        if ready {
            self.child = Some(child);
        } else {
            child.wait().unwrap();
        }
        ready
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.ports.0)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// Stands still with its connections open.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends without a word, as by `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.folder).ok();
    }
}
