//! The sockets, and what is done for each message.
//!
//! One message is one command or an echo. An answer starts with `ACK: ` over UDP and with
//! `ACK TCP: ` over TCP, or with `ERROR: `, as Agones' simple-game-server writes it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::echo::command::{self, Command};
use crate::echo::config::Config;
use crate::echo::{Error, lifecycle};
use crate::sdk::{self, Sdk};

/// Longest message over either protocol, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// Commands that wait for the SDK server at once, and TCP connections at once.
const MOST_TASKS: usize = 64;

/// A server whose sockets are open.
#[derive(Debug)]
pub struct Server {
    config: Config,
    shared: Shared,
    ended: mpsc::Receiver<Result<(), Error>>,
    udp: Option<Arc<UdpSocket>>,
    tcp: Option<TcpListener>,
    period: std::time::Duration,
}

/// What every task of the server shares.
#[derive(Clone, Debug)]
struct Shared {
    sdk: Sdk,
    health: CancellationToken,
    watched: Arc<AtomicBool>,
    background: TaskTracker,
    end: mpsc::Sender<Result<(), Error>>,
}

/// What a client gets for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// The message itself, acknowledged.
    Acknowledged,
    /// As it is.
    Text(String),
    /// A failure.
    Failed(String),
}

impl Answer {
    fn text(&self, message: &str, acknowledgment: &str) -> String {
        match self {
            Self::Acknowledged => format!("{acknowledgment}: {message}\n"),
            Self::Text(text) => format!("{text}\n"),
            Self::Failed(text) => format!("ERROR: {text}\n"),
        }
    }
}

impl Server {
    /// Connects to the SDK server and opens the sockets.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let (client, server) = sdk::connect(config.sdk_port).await?;
        let port = if config.passthrough {
            sdk::first_port(&server).ok_or(Error::NoPort)?
        } else {
            config.port
        };
        let udp = if config.udp {
            Some(Arc::new(listen_udp(port).await?))
        } else {
            None
        };
        let tcp = if config.tcp {
            Some(listen_tcp(port).await?)
        } else {
            None
        };
        tracing::info!(port, udp = config.udp, tcp = config.tcp, "Listening");
        let (end, ended) = mpsc::channel(1);
        let shared = Shared {
            sdk: client,
            health: CancellationToken::new(),
            watched: Arc::new(AtomicBool::new(false)),
            background: TaskTracker::new(),
            end,
        };
        Ok(Self {
            config,
            shared,
            ended,
            udp,
            tcp,
            period: sdk::health_period(&server),
        })
    }

    /// The address of the UDP socket, if there is one.
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp.as_ref()?.local_addr().ok()
    }

    /// The address of the TCP socket, if there is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop` is cancelled, and then for the grace period; or until a command or a
    /// failure ends it.
    pub async fn serve(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut tasks = JoinSet::new();
        if let Some(socket) = self.udp.take() {
            tasks.spawn(serve_udp(self.shared.clone(), socket));
        }
        if let Some(listener) = self.tcp.take() {
            tasks.spawn(serve_tcp(self.shared.clone(), listener));
        }
        if self.config.health {
            let (sdk, health) = (self.shared.sdk.clone(), self.shared.health.clone());
            let period = self.period;
            tasks.spawn(async move {
                sdk::send_health(sdk, period, health, || true).await;
                Ok(())
            });
        }
        if let Some(delay) = self.config.automatic_shutdown_delay {
            let sdk = self.shared.sdk.clone();
            let iterations = self.config.ready_iterations;
            tasks.spawn(async move {
                lifecycle::end_after_allocations(sdk, delay, iterations).await?;
                Ok(())
            });
        }
        if self.config.ready {
            let (sdk, delay) = (self.shared.sdk.clone(), self.config.ready_delay);
            tasks.spawn(async move {
                lifecycle::say_ready(sdk, delay).await;
                Ok(())
            });
        }
        let end = async {
            stop.cancelled().await;
            let delay = self.config.graceful_termination_delay;
            tracing::info!(seconds = delay.as_secs(), "Waiting before the end");
            tokio::time::sleep(delay).await;
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                Some(result) = self.ended.recv() => return result,
                Some(Ok(result)) = tasks.join_next(), if !tasks.is_empty() => result?,
            }
        }
    }
}

impl Shared {
    /// Does what a message asks for. None if the process ends by it.
    async fn obey(&self, message: &str) -> Option<Answer> {
        let command = match command::parse(message) {
            Ok(command) => command,
            Err(text) => return Some(Answer::Failed(text)),
        };
        let mut sdk = self.sdk.clone();
        let now = runtime::clock::now();
        let result = match command {
            Command::Echo | Command::Exit => Ok(()),
            Command::Crash => return self.end(Err(Error::Crash)).await,
            Command::Quit => return self.end(Ok(())).await,
            Command::Unhealthy => {
                self.health.cancel();
                Ok(())
            }
            Command::GameServer => match sdk.game_server().await {
                Ok(server) => return Some(Answer::Text(format!("NAME: {}", sdk::name(&server)))),
                Err(error) => Err(error),
            },
            Command::Ready => sdk.ready().await,
            Command::Allocate => sdk.allocate().await,
            Command::Reserve(time) => sdk.reserve(time).await,
            Command::Watch => {
                if !self.watched.swap(true, Ordering::Relaxed) {
                    self.background.spawn(log_changes(sdk));
                }
                Ok(())
            }
            Command::Label(pair) => {
                let (key, value) =
                    pair.unwrap_or_else(|| ("timestamp".to_owned(), now.as_second().to_string()));
                sdk.set_label(key, value).await
            }
            Command::Annotation(pair) => {
                let (key, value) =
                    pair.unwrap_or_else(|| ("timestamp".to_owned(), now.to_string()));
                sdk.set_annotation(key, value).await
            }
        };
        Some(match result {
            Ok(()) => Answer::Acknowledged,
            Err(error) => {
                let text = runtime::service::chain(&error);
                tracing::warn!(message, error = text, "Command failed");
                Answer::Failed(text)
            }
        })
    }

    async fn end(&self, result: Result<(), Error>) -> Option<Answer> {
        tracing::info!("Ending by command");
        // The receiver lives as long as the process; if it is gone the end is near anyway.
        drop(self.end.send(result).await);
        None
    }

    /// The SDK's Shutdown, after the client of EXIT got its answer.
    async fn shut_down(&self) {
        tracing::info!("Saying Shutdown");
        if let Err(error) = self.sdk.clone().shutdown().await {
            tracing::error!(%error, "Saying Shutdown failed");
        }
    }
}

async fn log_changes(mut sdk: Sdk) {
    let mut changes = match sdk.watch().await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::error!(%error, "Watching the game server failed");
            return;
        }
    };
    while let Ok(Some(server)) = changes.message().await {
        tracing::info!(?server, "GameServer changed");
    }
}

async fn serve_udp(shared: Shared, socket: Arc<UdpSocket>) -> Result<(), Error> {
    let mut buffer = vec![0; LONGEST_MESSAGE];
    let mut commands = JoinSet::new();
    let failed = |source| Error::Serve("UDP", source);
    loop {
        let (length, sender) = tokio::select! {
            received = socket.recv_from(&mut buffer) => received.map_err(failed)?,
            Some(_) = commands.join_next() => continue,
        };
        let message = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
        tracing::debug!(%sender, message, "Received UDP");
        // Echoes go out at once and in order, however long the SDK server takes for commands.
        if command::parse(&message) == Ok(Command::Echo) {
            reply(&socket, sender, &Answer::Acknowledged.text(&message, "ACK")).await;
        } else if commands.len() >= MOST_TASKS {
            reply(&socket, sender, "ERROR: too many commands at once\n").await;
        } else {
            commands.spawn(obey_udp(
                shared.clone(),
                Arc::clone(&socket),
                sender,
                message,
            ));
        }
    }
}

async fn obey_udp(shared: Shared, socket: Arc<UdpSocket>, sender: SocketAddr, message: String) {
    let Some(answer) = shared.obey(&message).await else {
        return;
    };
    reply(&socket, sender, &answer.text(&message, "ACK")).await;
    if command::parse(&message) == Ok(Command::Exit) {
        shared.shut_down().await;
    }
}

async fn reply(socket: &UdpSocket, to: SocketAddr, text: &str) {
    if let Err(error) = socket.send_to(text.as_bytes(), to).await {
        tracing::warn!(%to, %error, "Answering by UDP failed");
    }
}

async fn serve_tcp(shared: Shared, listener: TcpListener) -> Result<(), Error> {
    let connections = Arc::new(Semaphore::new(MOST_TASKS));
    let mut tasks = JoinSet::new();
    loop {
        let (stream, sender) = tokio::select! {
            accepted = listener.accept() => {
                accepted.map_err(|source| Error::Serve("TCP", source))?
            }
            Some(_) = tasks.join_next() => continue,
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(%sender, "Refused a TCP connection: there are too many");
            continue;
        };
        let shared = shared.clone();
        tasks.spawn(async move {
            if let Err(error) = serve_connection(shared, stream).await {
                tracing::debug!(%sender, %error, "TCP connection ended");
            }
            drop(permit);
        });
    }
}

async fn serve_connection(shared: Shared, stream: TcpStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(LONGEST_MESSAGE).unwrap_or(u64::MAX);
        if (&mut reader)
            .take(limit)
            .read_until(b'\n', &mut line)
            .await?
            == 0
        {
            return Ok(());
        }
        if line.len() == LONGEST_MESSAGE && line.last() != Some(&b'\n') {
            return writer.write_all(b"ERROR: message too long\n").await;
        }
        let message = String::from_utf8_lossy(&line).trim().to_owned();
        let Some(answer) = shared.obey(&message).await else {
            return Ok(());
        };
        writer
            .write_all(answer.text(&message, "ACK TCP").as_bytes())
            .await?;
        if command::parse(&message) == Ok(Command::Exit) {
            shared.shut_down().await;
        }
    }
}

/// Every address of both families, or of IPv4 where the host has no IPv6.
fn any_address(port: u16) -> [SocketAddr; 2] {
    [
        (Ipv6Addr::UNSPECIFIED, port).into(),
        (Ipv4Addr::UNSPECIFIED, port).into(),
    ]
}

async fn listen_udp(port: u16) -> Result<UdpSocket, Error> {
    let result = UdpSocket::bind(any_address(port).as_slice()).await;
    result.map_err(|source| Error::Listen {
        protocol: "UDP",
        port,
        source,
    })
}

async fn listen_tcp(port: u16) -> Result<TcpListener, Error> {
    let result = TcpListener::bind(any_address(port).as_slice()).await;
    result.map_err(|source| Error::Listen {
        protocol: "TCP",
        port,
        source,
    })
}
