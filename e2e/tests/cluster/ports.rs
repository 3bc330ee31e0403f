//! Every port policy and protocol, reached as players reach them, and no port given twice.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use anyhow::{Context as _, Result, ensure};
use crds::GameServer;
use crds::gameserver::{GameServerPort, PortPolicy, Protocol};
use crds::state::State;
use e2e::objects::{PORT, Sample, port};
use e2e::{allocator, echo, wait};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;

use crate::harness::{Test, endpoint, shared, udp};

/// Host ports of the tests with Static ports; the range of the operator ends below them.
const STATIC: i32 = 29_101;

async fn ready(
    test: &Test,
    name: &str,
    ports: Vec<GameServerPort>,
    flags: &[&str],
) -> Result<GameServer> {
    let sample = Sample {
        ports,
        ..Sample::with_flags(flags)
    };
    test.create(&sample.game_server(name)?).await?;
    let server = test.in_state(name, State::Ready).await?;
    let status = server.status.clone().unwrap_or_default();
    ensure!(
        !status.address.is_empty() && !status.node_name.is_empty(),
        "{status:?}"
    );
    Ok(server)
}

async fn pod(test: &Test, name: &str) -> Result<Pod> {
    Ok(test.api::<Pod>().get(name).await?)
}

/// Ports of a pod's containers on its node: (container port, host port, protocol).
fn host_ports(pod: &Pod) -> Vec<(i32, i32, String)> {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|it| it.ports.iter().flatten());
    let protocol = |it: Option<&String>| it.map_or_else(|| "TCP".to_owned(), Clone::clone);
    ports
        .filter_map(|it| {
            Some((
                it.container_port,
                it.host_port?,
                protocol(it.protocol.as_ref()),
            ))
        })
        .collect()
}

#[test]
fn dynamic_ports_are_reached_by_udp_and_tcp() {
    shared("dynamic", async |test| {
        let dynamic = |name, protocol| port(name, PortPolicy::Dynamic, protocol);
        let ports = vec![dynamic("a", Protocol::Udp), dynamic("b", Protocol::Tcp)];
        let server = ready(test, "dynamic", ports, &["--tcp"]).await?;
        ensure!(udp(&server, "hello").await? == "ACK: hello");
        let answer = echo::tcp(endpoint(&server, 1)?, "hello").await?;
        ensure!(answer == "ACK TCP: hello", "{answer:?}");
        let names: Vec<_> = server
            .status
            .iter()
            .flat_map(|it| &it.ports)
            .map(|it| it.name.as_str())
            .collect();
        ensure!(names == ["a", "b"], "{names:?}");
        Ok(())
    });
}

#[test]
fn both_protocols_share_one_host_port() {
    shared("tcpudp", async |test| {
        for policy in [PortPolicy::Dynamic, PortPolicy::Passthrough] {
            let name = if policy == PortPolicy::Dynamic {
                "dynamic"
            } else {
                "passthrough"
            };
            let both = vec![port("game", policy, Protocol::TcpUdp)];
            let flags = [
                "--tcp",
                &format!("--passthrough={}", policy == PortPolicy::Passthrough),
            ];
            let server = ready(test, name, both, &flags).await?;
            let status = server.status.clone().context("no status")?;
            let ports: Vec<_> = status.ports.iter().map(|it| it.name.as_str()).collect();
            ensure!(ports == ["game-tcp", "game-udp"], "{ports:?}");
            ensure!(
                status.ports[0].port == status.ports[1].port,
                "{:?}",
                status.ports
            );
            ensure!(udp(&server, "hello").await? == "ACK: hello");
            ensure!(echo::tcp(endpoint(&server, 0)?, "hello").await? == "ACK TCP: hello");
        }
        Ok(())
    });
}

#[test]
fn passthrough_gives_the_container_its_host_port() {
    shared("passthrough", async |test| {
        let passthrough = vec![port("game", PortPolicy::Passthrough, Protocol::Udp)];
        let server = ready(test, "passthrough", passthrough, &["--passthrough"]).await?;
        ensure!(udp(&server, "hello").await? == "ACK: hello");
        let given = i32::from(endpoint(&server, 0)?.port());
        let ports = host_ports(&pod(test, "passthrough").await?);
        ensure!(
            ports == [(given, given, "UDP".to_owned())],
            "{given} but {ports:?}"
        );
        Ok(())
    });
}

#[test]
fn static_ports_are_the_users_choice() {
    shared("static", async |test| {
        let mut chosen = port("game", PortPolicy::Static, Protocol::TcpUdp);
        chosen.host_port = Some(STATIC);
        let server = ready(test, "static", vec![chosen], &["--tcp"]).await?;
        ensure!(i32::from(endpoint(&server, 0)?.port()) == STATIC);
        ensure!(udp(&server, "hello").await? == "ACK: hello");
        ensure!(echo::tcp(endpoint(&server, 1)?, "hello").await? == "ACK TCP: hello");
        Ok(())
    });
}

#[test]
fn policy_none_opens_nothing_on_the_node() {
    shared("none", async |test| {
        let server = ready(
            test,
            "none",
            vec![port("game", PortPolicy::None, Protocol::Udp)],
            &[],
        )
        .await?;
        let status = server.status.clone().context("no status")?;
        ensure!(status.ports[0].port == PORT, "{:?}", status.ports);
        ensure!(
            host_ports(&pod(test, "none").await?).is_empty(),
            "a host port is open"
        );
        // The kubelet may report the pod's address after the game said Ready.
        let servers = test.api::<GameServer>();
        let server = wait::until(&servers, "none", "to have the pod's address", |it| {
            pod_address(it).is_some()
        })
        .await?;
        let inside = pod_address(&server).context("no PodIP")?;
        let address = allocator::join(inside, PORT)?;
        ensure!(echo::udp(address, "hello").await?.0 == "ACK: hello");
        Ok(())
    });
}

fn pod_address(server: &GameServer) -> Option<&str> {
    let addresses = &server.status.as_ref()?.addresses;
    let inside = addresses.iter().find(|it| it.type_ == "PodIP")?;
    Some(&inside.address)
}

#[test]
fn a_server_without_ports_becomes_ready() {
    shared("no-ports", async |test| {
        let server = ready(test, "no-ports", Vec::new(), &[]).await?;
        ensure!(server.status.unwrap_or_default().ports.is_empty());
        Ok(())
    });
}

#[test]
fn no_port_is_given_twice_while_a_pod_still_holds_it() {
    shared("unique", async |test| {
        // Servers that take their time to end, and whose successors come up meanwhile.
        let mut sample = Sample::with_flags(&["--gracefulTerminationDelaySec=4"]);
        sample.grace_seconds = 10;
        test.ready_fleet(&sample.fleet("game", 3)?).await?;

        let pods = test.api::<Pod>();
        let mut states = pin!(wait::states(&pods, crds::meta::ROLE_LABEL));
        let mut overlapped = false;
        let watch = async {
            while let Some(all) = states.next().await {
                check_unique(&all)?;
                let ending = all
                    .values()
                    .filter(|it| it.metadata.deletion_timestamp.is_some());
                let ending = ending.count();
                overlapped |= ending > 0 && all.len() > ending;
                if overlapped && ending == 0 && all.len() == 3 {
                    return Ok(());
                }
            }
            anyhow::bail!("the watch ended")
        };
        let churn = async {
            test.scale("game", 0).await?;
            test.fleet_in("game", State::Ready, 0).await?;
            test.scale("game", 3).await?;
            test.fleet_in("game", State::Ready, 3).await
        };
        let (watched, churned) = futures::join!(tokio::time::timeout(wait::PATIENCE, watch), churn);
        churned?;
        watched.context("the old pods did not go while new ones were there")?
    });
}

fn check_unique(pods: &BTreeMap<String, Pod>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (name, pod) in pods {
        for (_, host_port, protocol) in host_ports(pod) {
            ensure!(
                seen.insert((host_port, protocol)),
                "{host_port} of {name} is taken twice"
            );
        }
    }
    Ok(())
}
