//! Clients of the sample server: one message, one answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UdpSocket};

/// A server that is Ready answers at once; commands wait for the SDK, which may wait for the hub.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends one packet and returns the answer's text, with its trailing line break removed, and the
/// time that it took.
///
/// The packet is sent once: a server that is Ready must answer the first one.
pub async fn udp(address: SocketAddr, message: &str) -> Result<(String, Duration)> {
    let socket = send(address, message).await?;
    let sent = Instant::now();
    let mut buffer = [0; 2048];
    let length = tokio::time::timeout(TIMEOUT, socket.recv(&mut buffer))
        .await
        .with_context(|| format!("{address} did not answer {message:?} within {TIMEOUT:?}"))?
        .with_context(|| format!("{address} did not answer {message:?}"))?;
    let text = String::from_utf8_lossy(&buffer[..length])
        .trim_end()
        .to_owned();
    Ok((text, sent.elapsed()))
}

/// Sends one packet and waits for nothing: the commands that end the process have no answer.
pub async fn send(address: SocketAddr, message: &str) -> Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket
        .connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    socket
        .send(message.as_bytes())
        .await
        .with_context(|| format!("sending to {address}"))?;
    Ok(socket)
}

/// Sends one line over TCP and returns the line that comes back.
pub async fn tcp(address: SocketAddr, message: &str) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{message}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        std::io::Result::Ok(line.trim_end().to_owned())
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .with_context(|| format!("{address} did not answer {message:?} within {TIMEOUT:?}"))?
        .with_context(|| format!("{address} did not answer {message:?} over TCP"))
}
