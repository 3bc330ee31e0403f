//! Where the metrics of an arena server are, as this host reaches them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use serde_json::Value;
use tokio::net::TcpStream;

/// The game's container in `examples/arena.yaml`.
const CONTAINER: &str = "arena-server";

/// What the server says of its admin port.
const SERVING: &str = "Serving health and metrics";

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);

/// Finds the metrics of the server in a pod: at the pod's address, and at the port that the server
/// names in its log, since `muster dev` gives pods other ports than they ask for.
pub(crate) async fn find(pods: &Api<Pod>, name: &str) -> Result<SocketAddr> {
    let status = pods.get(name).await?.status.unwrap_or_default();
    let address: IpAddr = status
        .pod_ip
        .context("its pod has no address")?
        .parse()
        .context("its pod's address is none")?;
    let container = LogParams {
        container: Some(CONTAINER.to_owned()),
        ..LogParams::default()
    };
    let log = pods.logs(name, &container).await?;
    let port = port(&log).context("its log names no port for them")?;
    let address = SocketAddr::new(address, port);
    tokio::time::timeout(CONNECT, TcpStream::connect(address))
        .await
        .with_context(|| format!("{address} does not answer"))?
        .with_context(|| format!("{address} cannot be reached"))?;
    Ok(address)
}

/// The admin port, from lines of JSON.
fn port(log: &str) -> Option<u16> {
    log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_it = line["message"] == SERVING;
        let address: SocketAddr = line["address"].as_str()?.parse().ok()?;
        is_it.then_some(address.port())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_line_about_metrics() {
        let log = concat!(
            "no JSON\n",
            r#"{"message":"Serving players","addresses":"[10.0.0.1:7777]"}"#,
            "\n",
            r#"{"message":"Something else","address":"0.0.0.0:1"}"#,
            "\n",
            r#"{"message":"Serving health and metrics","address":"0.0.0.0:20004"}"#,
        );
        assert_eq!(port(log), Some(20_004));
        assert_eq!(port("{}"), None);
    }
}
