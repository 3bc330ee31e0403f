//! The players' side: an address from an allocation, one packet, one answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::echo;

/// A server that was allocated, and how.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    /// How it was allocated.
    pub(crate) by: &'static str,
    /// Name of the server.
    pub(crate) server: String,
    /// Where its players go.
    pub(crate) endpoint: SocketAddr,
    /// Time from the request to the answer.
    pub(crate) took: Duration,
}

/// Greets a server as a player would, and returns its answer and the time that it took.
pub(crate) async fn greet(server: &Match, loopback: bool) -> Result<(String, Duration)> {
    let mut address = server.endpoint;
    if loopback {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let message = format!("hello from a player, by {}", server.by);
    let (answer, took) = echo::udp(address, &message).await?;
    ensure!(
        answer == format!("ACK: {message}"),
        "{} answered {answer:?}",
        server.server
    );
    // The address leads to the server that was allocated, and to no other.
    let (name, _) = echo::udp(address, "GAMESERVER").await?;
    ensure!(
        name == format!("NAME: {}", server.server),
        "{address} was given as {}, but there is {name}",
        server.server
    );
    Ok((answer, took))
}
