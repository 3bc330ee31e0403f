//! The authoritative arena: players join by connect tokens over sealed UDP, and play.
//!
//! Three parts that know each other by queues and traits alone:
//!
//! ```text
//!  socket's side                    game's side                       control plane
//!  net: open, seal, rate   ─link─▶  host: one match after another  ◀─ orders ── platform: SDK,
//!  (netcode)               ◀──────  game: sessions, arena, snapshots ── reports ▶ health, metrics
//! ```
//!
//! The first two tick, on one thread or two ([`shell`]), and never wait for the third. What decides
//! is pure and takes the time as a value: [`sessions`], [`life`], [`pace`], [`load`].
//!
//! Start reading at [`game`], then [`host`].

pub mod args;
pub mod clock;
pub mod config;
pub mod game;
pub mod host;
pub mod life;
pub mod link;
pub mod load;
pub mod metrics;
pub mod net;
pub mod pace;
mod platform;
pub mod queues;
pub mod reconnection;
pub mod report;
pub mod sessions;
pub mod shell;
pub mod sink;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use netcode::server::{KeyScope, ServerConfig};
use netcode::{Key, SystemRandom};
use runtime::admin::Admin;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::args::Threads;
use self::config::{Config, KeySource, OPEN_KEY};
use self::host::{Control, Host, HostConfig, Order, Report};
use self::link::Link;
use self::metrics::Metrics;
use self::net::Net;
use self::net::drops::Drops;
pub use self::platform::Error as PlatformError;
use self::platform::Platform;
use self::reconnection::Minter;
use self::shell::{Progress, Shell};
use self::sink::HistorySink;
use crate::history;

/// Tokens of the allocator live up to ten minutes; its clock may be ahead of ours.
const PLATFORM_LIFETIME: Duration = Duration::from_secs(10 * 60 + 30);

/// Reports that wait for the control plane.
const REPORTS: usize = 4_096;

/// Time that the control plane has to tell the platform the last things.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// Time that the last seconds of history have to be written.
const LAST_HISTORY: Duration = Duration::from_secs(10);

/// The gate of the admin server.
const GATE: &str = "game";

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The platform does not give what the server needs.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The UDP port could not be opened.
    #[error("listening on UDP port {port} failed")]
    Listen {
        /// The port.
        port: u16,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
    /// Connections cannot be served.
    #[error(transparent)]
    Net(#[from] net::OpenError),
    /// The key cannot be used.
    #[error("the connect key cannot be used")]
    Key(#[from] netcode::keys::Error),
    /// The metrics could not be set up.
    #[error("the metrics could not be set up")]
    Metrics(#[from] prometheus::Error),
    /// No thread for the game.
    #[error("the thread of the game could not be started")]
    Thread(#[source] std::io::Error),
    /// The thread that ticks has ended by itself.
    #[error("the game ended unexpectedly")]
    Game,
    /// The history has no place to go.
    #[error("the history could not be opened")]
    History(#[from] history::OpenError),
}

/// Runs the server until `stop` is cancelled and the match is over, or until the course of its
/// matches ends it.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    let admin = Admin::default();
    admin.close(GATE, "starting");
    let metrics = Metrics::new(admin.registry())?;
    let entities = config.game.arena.capacity + config.game.arena.props;
    let (sink, writing) = history::open(
        config.history.as_ref(),
        usize::from(entities),
        admin.registry(),
    )?;
    let admin_stop = CancellationToken::new();
    let address = config.admin_address;
    let watched = async {
        let served = admin.clone().serve(address, admin_stop.clone());
        // Players can do without it.
        if let Err(error) = served.await {
            tracing::warn!(%error, "Health and metrics are not served");
        }
    };
    let played = async {
        let result = serve(config, stop, &admin, metrics, sink).await;
        if let Some(writing) = writing {
            writing.finish(LAST_HISTORY).await;
        }
        admin_stop.cancel();
        result
    };
    let ((), result) = tokio::join!(watched, played);
    result
}

/// A game that ticks, and what its control plane needs.
struct Started {
    platform: Option<Platform>,
    /// Resolves when the game ends.
    ended: oneshot::Receiver<()>,
    orders: std::sync::mpsc::Sender<Order>,
    reports: mpsc::Receiver<Report>,
    progress: Progress,
    drops: Drops,
}

async fn serve(
    config: Config,
    stop: CancellationToken,
    admin: &Admin,
    metrics: Metrics,
    sink: Box<dyn HistorySink>,
) -> Result<(), Error> {
    let dropped = metrics.datagrams_dropped.clone();
    let started = tokio::select! {
        started = start(&config, metrics, sink) => started?,
        // Nobody plays yet.
        () = stop.cancelled() => return Ok(()),
    };
    let Started {
        platform,
        mut ended,
        orders,
        reports,
        progress,
        drops,
    } = started;
    admin.open(GATE);
    let drain = orders.clone();
    let told = async {
        match platform {
            Some(platform) => Box::pin(platform.serve(orders, reports, progress)).await,
            None => platform::serve_alone(orders, reports).await,
        }
    };
    let mut control = Box::pin(async {
        tokio::select! {
            () = told => {}
            never = drops.add_to(dropped) => match never {},
        }
    });
    let mut is_draining = false;
    let result = loop {
        tokio::select! {
            result = &mut ended => break result.map_err(|_| Error::Game),
            // It ends only after the game, whose last reports it has told then.
            () = &mut control => return ended.await.map_err(|_| Error::Game),
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                admin.close(GATE, "draining");
                // If the game is gone already, so is what there was to drain.
                drain.send(Order::Drain).ok();
            }
        }
    };
    if tokio::time::timeout(LAST_REPORTS, control).await.is_err() {
        tracing::warn!("Platform was not told everything");
    }
    result
}

async fn start(
    config: &Config,
    metrics: Metrics,
    sink: Box<dyn HistorySink>,
) -> Result<Started, Error> {
    let mut platform = match config.sdk_port {
        Some(port) => Some(Platform::connect(port).await?),
        None => None,
    };
    let mut keys = match (&config.key, &mut platform) {
        (KeySource::Given(key), _) => vec![key.clone()],
        (KeySource::Open, _) => {
            tracing::warn!("Anybody can play here under any name: --connect=open is no protection");
            vec![Key::new(OPEN_KEY)?]
        }
        (KeySource::Platform, Some(platform)) => platform.connect_keys().await?,
        (KeySource::Platform, None) => Vec::new(),
    }
    .into_iter();
    let key = keys.next().ok_or(PlatformError::NoConnectKey)?;
    let is_assigned = match &mut platform {
        Some(platform) => platform.assigns_matches().await?,
        None => false,
    };
    let socket = listen(config.port)?;
    // From here on packets wait in the socket until the game ticks, a moment later.
    if let Some(platform) = &mut platform {
        platform.say_ready().await?;
    }
    let addresses = addresses(config, platform.as_ref(), &socket).await?;
    let server = server_config(config, &addresses, &key, keys.next());
    let port = config.port;
    let drops = Drops::of(&socket).map_err(|source| Error::Listen { port, source })?;
    let net = Net::new(socket, server, clock::now(), &mut SystemRandom)?;
    tracing::info!(?addresses, is_assigned, "Serving players");

    let (orders, received) = std::sync::mpsc::channel();
    let (report, reports) = mpsc::channel(REPORTS);
    let host = Host::new(
        HostConfig {
            game: config.game,
            after: config.after,
            is_assigned,
            drain_timeout: config.drain_timeout,
        },
        clock::monotonic(),
        Minter {
            protocol_id: config.protocol_id.0,
            key,
            addresses,
            lifetime: reconnection::LIFETIME,
            random: SystemRandom,
        },
        Control {
            orders: received,
            reports: report,
        },
        sink,
        metrics.clone(),
    );
    let progress = Progress::default();
    let ended = match config.threads {
        Threads::One => tick(Shell::new(net, host, metrics, progress.clone()))?,
        Threads::Two => {
            let queues = queues::spawn(net).map_err(Error::Thread)?;
            tick(Shell::new(queues, host, metrics, progress.clone()))?
        }
    };
    Ok(Started {
        platform,
        ended,
        orders,
        reports,
        progress,
        drops,
    })
}

/// Starts the thread that ticks. What is returned resolves when it ends, to an error if it fails.
fn tick(
    shell: Shell<impl Link + Send + 'static, SystemRandom>,
) -> Result<oneshot::Receiver<()>, Error> {
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("arena".to_owned())
        .spawn(move || {
            shell.run();
            // Whoever waited for it may be gone at the end of the process.
            end.send(()).ok();
        })
        .map_err(Error::Thread)?;
    Ok(ended)
}

/// What the packet layer is told: `key` mints now, and tokens of `other` are taken too.
fn server_config(
    config: &Config,
    addresses: &[SocketAddr],
    key: &Key,
    other: Option<Key>,
) -> ServerConfig {
    let seats = u32::from(config.game.arena.capacity) + u32::from(config.game.spectators);
    let (key_scope, listed, longest_lifetime) = match config.key {
        KeySource::Platform => (KeyScope::Process, Vec::new(), PLATFORM_LIFETIME),
        // They outlive this process, and others may have them.
        KeySource::Given(_) | KeySource::Open => {
            (KeyScope::Shared, addresses.to_vec(), reconnection::LIFETIME)
        }
    };
    ServerConfig {
        other_key: other,
        key_scope,
        addresses: listed,
        longest_lifetime,
        // Everybody can come back before the connection that was lost has timed out.
        max_clients: 2 * seats,
        ..ServerConfig::new(config.protocol_id.0, key.clone())
    }
}

/// Every address of both families, or of IPv4 where the host has no IPv6.
fn listen(port: u16) -> Result<UdpSocket, Error> {
    let any: [SocketAddr; 2] = [
        (Ipv6Addr::UNSPECIFIED, port).into(),
        (Ipv4Addr::UNSPECIFIED, port).into(),
    ];
    UdpSocket::bind(any.as_slice()).map_err(|source| Error::Listen { port, source })
}

/// Where players reach this server.
async fn addresses(
    config: &Config,
    platform: Option<&Platform>,
    socket: &UdpSocket,
) -> Result<Vec<SocketAddr>, Error> {
    if !config.addresses.is_empty() {
        return Ok(config.addresses.clone());
    }
    if let Some(platform) = platform {
        return Ok(vec![platform.address().await?]);
    }
    let port = config.port;
    let bound = socket
        .local_addr()
        .map_err(|source| Error::Listen { port, source })?;
    Ok(vec![
        (Ipv4Addr::LOCALHOST, bound.port()).into(),
        (Ipv6Addr::LOCALHOST, bound.port()).into(),
    ])
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arena::args::Args;

    #[test]
    fn a_second_key_is_taken_only_if_there_is_one() {
        let args = Args::try_parse_from(["arena-server", "--sdk-port=1"]).unwrap();
        let config = Config::try_from(args).unwrap();
        let [first, second] = [1, 2].map(|byte| Key::new([byte; 32]).unwrap());
        let of = |other| server_config(&config, &[], &first, other).other_key;
        // One key twice would have every forged token opened twice.
        assert!(of(None).is_none());
        assert!(of(Some(second)).is_some());
    }
}
