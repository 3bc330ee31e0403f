//! Programs that run until they are told to end, and the folders that they live in.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The longest wait for a server to start.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// Runs a program to its end, and returns what it printed.
pub(crate) fn output(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{} failed: {said}",
        name(command)
    )))
}

/// The arguments are left out: there may be passwords in them.
fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// A port of an address that nobody has. Should somebody take it before the server does, the server
/// says so.
pub(crate) fn free_port(address: IpAddr) -> io::Result<u16> {
    let listener = TcpListener::bind((address, 0))?;
    Ok(listener.local_addr()?.port())
}

/// A folder that goes with this value.
pub(crate) struct Folder {
    /// Where the machine sees it.
    pub(crate) path: PathBuf,
}

impl Folder {
    /// A new one, made by `mktemp` as whoever that runs as. The path is short: that of a socket in
    /// it may have 107 bytes.
    pub(crate) fn new(mktemp: &mut Command, root: &Path) -> io::Result<Self> {
        let made = output(mktemp.args(["-d", "/tmp/muster-XXXXXXXX"]))?;
        Ok(Self {
            path: root.join(made.trim_start_matches('/')),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// A server that runs. It has to be ended by [`Running::end`].
pub(crate) struct Running {
    child: Child,
    /// Reads the log until every process of the server is gone.
    log: JoinHandle<()>,
}

impl Running {
    /// Starts a server, and waits until a line of its output says that it is ready.
    pub(crate) fn start(mut command: Command, ready: &str) -> io::Result<Self> {
        let (output, ours) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(ours.try_clone()?)
            .stderr(ours);
        let child = command.spawn()?;
        let name = name(&command);
        // It holds the other end of the pipe, too: the log would never end.
        drop(command);
        let (say, said) = mpsc::channel();
        // Reads on: a server whose log nobody reads stops in the middle of it.
        let log = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                say.send(line).ok();
            }
        });
        let running = Self { child, log };
        let mut text = String::new();
        while !text.contains(ready) {
            let Ok(line) = said.recv_timeout(LIMIT) else {
                running.end(Signal::KILL);
                return Err(io::Error::other(format!("{name} does not start:\n{text}")));
            };
            text.push_str(&line);
            text.push('\n');
        }
        Ok(running)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processes of the server, its first one first.
    fn processes(&self) -> Vec<Pid> {
        let first = Pid::from_child(&self.child);
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

    /// Sends the first process a signal that ends it, and returns when all are gone.
    pub(crate) fn end(mut self, signal: Signal) {
        // One that stands still hears of nothing else.
        self.signal(Signal::CONT);
        kill_process(Pid::from_child(&self.child), signal).ok();
        self.child.wait().ok();
        self.log.join().ok();
    }

    /// Ends every process at once, and returns when they are gone.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        self.end(Signal::KILL);
    }
}
