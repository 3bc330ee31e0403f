//! The binary `arena-server` as a process: its flags, a player from token to snapshot in real
//! time, and its end by SIGTERM.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use gameserver::arena::config::OPEN_KEY;
use gameserver::arena::reconnection::{LIFETIME, TIMEOUT_SECONDS};
use gameserver::history::directory::Directory;
use gameserver::history::store::Archive as _;
use netcode::client::{Event, Output, State};
use netcode::{Client, ConnectToken, Grant, Key, SystemRandom, UserData};
use rustix::process::{Pid, Signal, kill_process};
use simulation::payload::{self, Kind};
use simulation::snapshot::Decoder;

const PROTOCOL: u64 = 0x4d55_5354_4552_0001;

/// Longest wait for anything here.
const LIMIT: Duration = Duration::from_secs(30);

/// A server that is killed should the test fail.
struct Server {
    child: Child,
    admin: SocketAddr,
}

impl Server {
    /// The value of a counter without labels.
    fn counter(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let mut values = answer.lines().filter_map(|line| line.strip_prefix(name));
        values.find_map(|value| value.trim().parse().ok()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn start(flags: &[&str]) -> (Server, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_arena-server"))
        .args(["--platform=none", "--connect=open", "--port=0"])
        .args(["--admin-address=127.0.0.1:0", "--drain-timeout=1"])
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut admin = None;
    let address = lines
        .find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            if let Some(address) = line["address"].as_str() {
                admin = Some(address.parse().unwrap());
            }
            let list = line["addresses"].as_str()?.to_owned();
            list.trim_matches(['[', ']'])
                .split(',')
                .next()?
                .parse()
                .ok()
        })
        .unwrap();
    // Whoever logs to a closed pipe fails.
    std::thread::spawn(move || lines.for_each(drop));
    let admin = admin.unwrap();
    (Server { child, admin }, address)
}

fn unix_seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A player for whom anybody could have made this token.
fn client(address: SocketAddr, socket: &UdpSocket, now: Duration) -> Client {
    // Under a key that is older than the process, tokens of its first second are refused, as they
    // may be of the process before it.
    let ready = unix_seconds();
    while unix_seconds() == ready {
        socket.recv_from(&mut [0; 1]).ok();
    }
    let created = unix_seconds();
    let user_data = UserData {
        player_id: [7; 16],
        session_id: [8; 16],
        ..UserData::default()
    };
    let grant = Grant {
        protocol_id: PROTOCOL,
        client_id: 1,
        created,
        lifetime: LIFETIME,
        timeout_seconds: TIMEOUT_SECONDS,
        servers: &[address],
        user_data: &user_data.encode(),
    };
    let key = Key::new(OPEN_KEY).unwrap();
    let token = ConnectToken::generate(&grant, &key, &mut SystemRandom).unwrap();
    Client::new(token, now).unwrap()
}

/// A player, the socket, and when its time began.
fn player(address: SocketAddr) -> (Client, UdpSocket, Instant) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let begin = Instant::now();
    let client = client(address, &socket, begin.elapsed());
    (client, socket, begin)
}

/// Runs a client until something is true of it and of the snapshots it has decoded.
fn run(
    client: &mut Client,
    socket: &UdpSocket,
    start: Instant,
    until: impl Fn(&Client, u32) -> bool,
) {
    let mut decoder = Decoder::default();
    let mut snapshots = 0;
    let mut buffer = [0; 1_400];
    while !until(client, snapshots) {
        let now = start.elapsed();
        assert!(
            now < LIMIT,
            "{:?} after {snapshots} snapshots",
            client.state()
        );
        while let Some(Output::Transmit { to, packet }) = client.poll(now, &mut buffer) {
            socket.send_to(packet, to).unwrap();
        }
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Event::Payload { payload, .. } = client.receive(now, from, &mut buffer[..length])
            && let Some((Kind::Fast, rest)) = payload::split(payload)
        {
            snapshots += u32::from(decoder.decode(rest, &mut Vec::new()).is_ok());
        }
    }
}

fn play_and_end(threads: &str) {
    let name = format!("arena-process-{}-{threads}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let (mut server, address) = start(&[
        &format!("--threads={threads}"),
        &format!("--history-directory={}", folder.display()),
    ]);
    let (mut client, socket, begin) = player(address);
    // Nothing is acknowledged here, so these are keyframes, ten per second.
    run(&mut client, &socket, begin, |_, snapshots| snapshots >= 5);

    let pid = Pid::from_child(&server.child);
    kill_process(pid, Signal::TERM).unwrap();
    run(&mut client, &socket, begin, |client, _| {
        matches!(client.state(), State::Disconnected(_))
    });
    assert!(server.child.wait().unwrap().success());
    // Less than a second was played, so this was written at the end.
    let history = Directory::open(&folder).matches(None, 10).unwrap();
    assert_eq!(history.len(), 1);
    assert!(history[0].ticks >= 20, "{history:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_player_joins_and_a_signal_ends_the_server_with_one_thread() {
    play_and_end("one");
}

#[test]
fn a_player_joins_and_a_signal_ends_the_server_with_two_threads() {
    play_and_end("two");
}

#[test]
fn a_match_goes_on_while_the_database_of_its_history_is_down() {
    // A port that was just free: whoever connects is refused.
    let port = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let name = format!("arena-process-{}-url", std::process::id());
    let file = std::env::temp_dir().join(name);
    let url = format!("postgres://muster@127.0.0.1:{port}/history");
    std::fs::write(&file, url).unwrap();
    let flag = format!("--history-url-file={}", file.display());
    let (server, address) = start(&[&flag]);
    std::fs::remove_file(&file).unwrap();
    let (mut client, socket, begin) = player(address);
    let failures = || server.counter("muster_arena_history_write_failures_total");
    run(&mut client, &socket, begin, |_, snapshots| {
        snapshots > 0 && failures() > 0
    });
    let before = failures();
    // The match goes on, and it is tried again all the same.
    run(&mut client, &socket, begin, |client, snapshots| {
        assert_eq!(client.state(), State::Connected);
        snapshots >= 10 && failures() > before
    });
    assert_eq!(server.counter("muster_arena_history_written_total"), 0);
}

#[test]
fn what_the_kernel_drops_is_in_the_metrics() {
    let (server, address) = start(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    socket.send_to(b"junk", address).unwrap();
    let begin = Instant::now();
    while server.counter("muster_arena_datagrams_dropped_total") == 0 {
        assert!(begin.elapsed() < LIMIT);
        // Nobody answers.
        socket.recv_from(&mut [0; 1]).unwrap_err();
    }
}

#[test]
fn bad_flags_are_named_and_end_it_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_arena-server"))
        .args(["--platform=none", "--players=0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("--key-file") && text.contains("--players"),
        "{text}"
    );
}
