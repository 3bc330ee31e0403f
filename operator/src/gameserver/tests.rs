//! Tables for the plan of one server and for its pod.

use std::collections::BTreeMap;

use crds::gameserver::{
    GameServer, GameServerPort, GameServerSpec, GameServerStatus, GameServerStatusPort, PortPolicy,
    Protocol, Scheduling,
};
use crds::meta;
use crds::state::State;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use kube::core::ObjectMeta;

use super::plan::{Action, Observed, Place, PodAlive, PodState, plan};
use super::{build, pod};
use crate::config::SdkConfig;

fn place() -> Place {
    Place {
        node_name: "node-1".to_owned(),
        address: "203.0.113.7".to_owned(),
        addresses: Vec::new(),
    }
}

fn alive(scheduled_at: &str) -> PodState {
    PodState::Alive(PodAlive {
        scheduled_at: Some(scheduled_at.parse().unwrap()),
        place: Some(place()),
        ..PodAlive::default()
    })
}

fn server(state: State, pod: PodState) -> Observed {
    Observed {
        state,
        pod,
        node_name: if state == State::Creating {
            String::new()
        } else {
            "node-1".to_owned()
        },
        has_address: state != State::Creating,
        ..Observed::default()
    }
}

/// The step at 00:00:10, as a word.
fn step(observed: &Observed) -> String {
    let plan = plan("2026-01-01T00:00:10Z".parse().unwrap(), observed);
    match (plan.action, plan.requeue) {
        (None, None) => "wait".to_owned(),
        (None, Some(delay)) => format!("wait {delay:?}"),
        (Some(Action::AssignPorts), _) => "assign ports".to_owned(),
        (Some(Action::CreatePod), _) => "create pod".to_owned(),
        (Some(Action::Locate { state, .. }), _) => format!("locate as {state}"),
        (Some(Action::MarkUnhealthy { why }), _) => format!("unhealthy: {why}"),
        (Some(Action::MarkShutdown { .. }), _) => "shutdown".to_owned(),
        (Some(Action::MarkError { .. }), _) => "error".to_owned(),
        (Some(Action::Delete), _) => "delete".to_owned(),
    }
}

#[test]
fn a_server_walks_from_ports_to_pod_to_place() {
    let early = alive("2026-01-01T00:00:09.8Z");
    let late = alive("2026-01-01T00:00:05Z");
    let cases = [
        (
            server(State::PortAllocation, PodState::Missing),
            "assign ports",
        ),
        (server(State::Creating, PodState::Missing), "create pod"),
        (
            server(State::Creating, PodState::Alive(PodAlive::default())),
            "wait",
        ),
        (server(State::Creating, early), "wait 1.8s"),
        (server(State::Creating, late.clone()), "locate as Scheduled"),
        (server(State::Scheduled, late.clone()), "wait"),
        (server(State::RequestReady, late.clone()), "locate as Ready"),
        (server(State::Ready, late), "wait"),
    ];
    for (observed, expected) in cases {
        assert_eq!(step(&observed), expected, "{observed:?}");
    }
    let mut in_flight = server(State::Creating, PodState::Missing);
    in_flight.pod_in_flight = true;
    assert_eq!(step(&in_flight), "wait");
}

#[test]
fn a_lost_pod_gives_a_server_up_in_every_state_after_its_creation() {
    for state in [
        State::Starting,
        State::Scheduled,
        State::Ready,
        State::Allocated,
        State::Reserved,
    ] {
        assert_eq!(
            step(&server(state, PodState::Missing)),
            "unhealthy: Pod is missing"
        );
        let failed = PodState::Failed("Evicted".to_owned());
        assert_eq!(step(&server(state, failed)), "unhealthy: Evicted");
        assert_eq!(step(&server(state, PodState::Succeeded)), "shutdown");
    }
}

#[test]
fn a_pod_on_its_way_out_ends_a_ready_server_and_spares_a_held_one() {
    let leaving = PodState::Alive(PodAlive {
        being_deleted: true,
        place: Some(place()),
        ..PodAlive::default()
    });
    assert_eq!(
        step(&server(State::Ready, leaving.clone())),
        "unhealthy: Pod is being deleted"
    );
    assert_eq!(step(&server(State::Allocated, leaving.clone())), "wait");
    assert_eq!(step(&server(State::Reserved, leaving)), "wait");
}

#[test]
fn ended_servers_are_left_alone_but_for_shutdown() {
    assert_eq!(step(&server(State::Shutdown, PodState::Missing)), "delete");
    assert_eq!(step(&server(State::Unhealthy, PodState::Missing)), "wait");
    assert_eq!(step(&server(State::Error, PodState::Missing)), "wait");
    let mut deleted = server(State::Shutdown, PodState::Missing);
    deleted.being_deleted = true;
    assert_eq!(step(&deleted), "wait");
}

#[test]
fn a_development_server_needs_no_pod() {
    let mut observed = server(State::Ready, PodState::Missing);
    observed.dev_address = Some("192.0.2.1".to_owned());
    assert_eq!(step(&observed), "wait");
    observed.state = State::PortAllocation;
    assert_eq!(step(&observed), "assign ports");
    observed.state = State::Shutdown;
    assert_eq!(step(&observed), "delete");
}

#[test]
fn only_servers_that_are_shut_down_are_deleted() {
    for state in State::ALL {
        for pod in [PodState::Missing, PodState::Foreign, PodState::Succeeded] {
            let deletes = step(&server(state, pod)) == "delete";
            assert_eq!(deletes, state == State::Shutdown, "{state}");
        }
    }
}

fn game_server(ports: Vec<GameServerPort>, chosen: &[u16]) -> GameServer {
    let container = |name: &str| Container {
        name: name.to_owned(),
        ..Container::default()
    };
    let spec = GameServerSpec {
        container: Some("game".to_owned()),
        ports: Some(ports),
        template: PodTemplateSpec {
            spec: Some(PodSpec {
                containers: vec![container("game"), container("log")],
                ..PodSpec::default()
            }),
            ..PodTemplateSpec::default()
        },
        ..GameServerSpec::default()
    };
    let status = build::initial_status(&spec, None, chosen);
    GameServer {
        metadata: ObjectMeta {
            name: Some("fleet-a-bcdfg".to_owned()),
            namespace: Some("games".to_owned()),
            uid: Some("uid-1".to_owned()),
            labels: Some(BTreeMap::from([(
                meta::FLEET_LABEL.to_owned(),
                "fleet".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec,
        status: Some(status),
    }
}

fn sdk() -> SdkConfig {
    SdkConfig {
        image: "muster/sdk-server:1".to_owned(),
        pull_policy: "IfNotPresent".to_owned(),
        hub_endpoint: "https://hub:9443".to_owned(),
        requests: vec![("cpu", "1m".to_owned())],
        limits: Vec::new(),
    }
}

fn built(server: &GameServer) -> Pod {
    pod::build(server, &sdk()).unwrap()
}

fn open_ports(pod: &Pod, container: &str) -> Vec<(i32, Option<i32>, String)> {
    let spec = pod.spec.as_ref().unwrap();
    let container = spec
        .containers
        .iter()
        .find(|found| found.name == container)
        .unwrap();
    container
        .ports
        .iter()
        .flatten()
        .map(|port| {
            (
                port.container_port,
                port.host_port,
                port.protocol.clone().unwrap(),
            )
        })
        .collect()
}

fn port(policy: PortPolicy, protocol: Protocol) -> GameServerPort {
    GameServerPort {
        name: "game".to_owned(),
        range: "default".to_owned(),
        port_policy: policy,
        protocol,
        container_port: (policy != PortPolicy::Passthrough).then_some(7654),
        host_port: (policy == PortPolicy::Static).then_some(7777),
        container: None,
    }
}

#[test]
fn every_policy_opens_its_ports() {
    let udp = || "UDP".to_owned();
    let tcp = || "TCP".to_owned();
    let cases = [
        (
            PortPolicy::Dynamic,
            Protocol::Udp,
            vec![(7654, Some(7001), udp())],
        ),
        (
            PortPolicy::Static,
            Protocol::Tcp,
            vec![(7654, Some(7777), tcp())],
        ),
        (
            PortPolicy::Passthrough,
            Protocol::Udp,
            vec![(7001, Some(7001), udp())],
        ),
        (PortPolicy::None, Protocol::Udp, vec![(7654, None, udp())]),
        (
            PortPolicy::Dynamic,
            Protocol::TcpUdp,
            vec![(7654, Some(7001), tcp()), (7654, Some(7001), udp())],
        ),
    ];
    for (policy, protocol, expected) in cases {
        let server = game_server(vec![port(policy, protocol)], &[7001]);
        assert_eq!(
            open_ports(&built(&server), "game"),
            expected,
            "{policy:?} {protocol:?}"
        );
    }
}

#[test]
fn status_shows_what_players_use() {
    let spec = GameServerSpec {
        ports: Some(vec![
            port(PortPolicy::Dynamic, Protocol::TcpUdp),
            port(PortPolicy::None, Protocol::Udp),
            port(PortPolicy::Static, Protocol::Udp),
        ]),
        ..GameServerSpec::default()
    };
    let status = |name: &str, port| GameServerStatusPort {
        name: name.to_owned(),
        port,
    };
    assert_eq!(
        build::status_ports(&spec, &[7001]),
        [
            status("game-tcp", 7001),
            status("game-udp", 7001),
            status("game", 7654),
            status("game", 7777)
        ]
    );
    assert_eq!(build::wanted_ranges(&spec), ["default"]);
}

#[test]
fn passed_through_ports_are_told_by_annotation() {
    let server = game_server(vec![port(PortPolicy::Passthrough, Protocol::Udp)], &[7001]);
    let annotations = built(&server).metadata.annotations.unwrap();
    assert_eq!(annotations[meta::PASSTHROUGH_ANNOTATION], r#"{"game":[0]}"#);
}

#[test]
fn the_sdk_server_is_a_sidecar_that_alone_holds_the_token() {
    let pod = built(&game_server(Vec::new(), &[]));
    let spec = pod.spec.unwrap();
    let sidecar = &spec.init_containers.as_ref().unwrap()[0];
    assert_eq!(sidecar.name, pod::SDK_CONTAINER);
    assert_eq!(sidecar.restart_policy.as_deref(), Some("Always"));
    assert_eq!(sidecar.volume_mounts.as_ref().unwrap().len(), 1);
    for container in &spec.containers {
        assert_eq!(container.volume_mounts, None);
        let env: Vec<_> = container
            .env
            .iter()
            .flatten()
            .map(|e| e.name.as_str())
            .collect();
        assert_eq!(env, ["AGONES_SDK_GRPC_PORT", "AGONES_SDK_HTTP_PORT"]);
    }
    assert_eq!(spec.automount_service_account_token, Some(false));
    assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
    assert_eq!(spec.hostname.as_deref(), Some("fleet-a-bcdfg"));
}

#[test]
fn health_gives_a_probe_to_the_game_alone_and_none_when_disabled() {
    let mut server = game_server(Vec::new(), &[]);
    let probes = |pod: &Pod| {
        let containers = &pod.spec.as_ref().unwrap().containers;
        containers
            .iter()
            .map(|container| container.liveness_probe.is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(probes(&built(&server)), [true, false]);
    server.spec.health.disabled = true;
    assert_eq!(probes(&built(&server)), [false, false]);
}

#[test]
fn packed_servers_are_drawn_together() {
    let mut server = game_server(Vec::new(), &[]);
    assert!(built(&server).spec.unwrap().affinity.is_some());
    server.spec.scheduling = Scheduling::Distributed;
    assert!(built(&server).spec.unwrap().affinity.is_none());
}

#[test]
fn a_wrong_container_is_named_with_its_field() {
    let mut bad = port(PortPolicy::Dynamic, Protocol::Udp);
    bad.container = Some("nobody".to_owned());
    let error = pod::build(&game_server(vec![bad], &[7001]), &sdk()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "spec.ports[0].container: there is no container nobody in spec.template.spec"
    );
}

#[test]
fn a_status_without_ports_still_makes_a_pod() {
    let mut server = game_server(vec![port(PortPolicy::None, Protocol::Udp)], &[]);
    server.status = Some(GameServerStatus::default());
    assert_eq!(
        open_ports(&built(&server), "game"),
        [(7654, None, "UDP".to_owned())]
    );
}
