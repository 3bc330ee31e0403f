//! Objects to create: fleets and game servers of the sample server.

use std::collections::BTreeMap;

use anyhow::Result;
use crds::gameserver::{GameServerPort, Health, PortPolicy, Protocol};
use crds::gameserverset::GameServerTemplate;
use crds::{Fleet, FleetSpec, GameServer, GameServerSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

/// Image of the sample server, as `cargo xtask images` names it.
pub const IMAGE: &str = "muster/simple-server:0.1.0";
/// Port on which the sample server listens by default.
pub const PORT: i32 = 7654;

/// Game servers that run the sample server; small, and quick to end.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Flags of the sample server.
    pub flags: Vec<String>,
    /// Ports of the game server.
    pub ports: Vec<GameServerPort>,
    /// How its health is judged.
    pub health: Health,
    /// Time for the pod to end, in seconds.
    pub grace_seconds: u32,
    /// Labels of the game servers of a fleet.
    pub labels: BTreeMap<String, String>,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            flags: Vec::new(),
            ports: vec![port("default", PortPolicy::Dynamic, Protocol::Udp)],
            health: Health::default(),
            grace_seconds: 2,
            labels: BTreeMap::new(),
        }
    }
}

impl Sample {
    /// The sample server with these flags.
    pub fn with_flags(flags: &[&str]) -> Self {
        Self {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// The sample server with these ports.
    pub fn with_ports(ports: Vec<GameServerPort>) -> Self {
        Self {
            ports,
            ..Self::default()
        }
    }

    /// As it is, with a label on the game servers.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The spec of a game server.
    pub fn spec(&self) -> Result<GameServerSpec> {
        // What the Pod Security standard `restricted` demands.
        let template = json!({ "spec": {
            "terminationGracePeriodSeconds": self.grace_seconds,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "simple-server",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "args": self.flags,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
                "resources": { "requests": { "cpu": "1m", "memory": "4Mi" } },
            }],
        }});
        Ok(GameServerSpec {
            ports: Some(self.ports.clone()),
            health: self.health.clone(),
            immutable_replicas: 1,
            template: serde_json::from_value(template)?,
            ..GameServerSpec::default()
        })
    }

    /// A game server without a fleet.
    pub fn game_server(&self, name: &str) -> Result<GameServer> {
        let mut server = GameServer::new(name, self.spec()?);
        server.metadata.labels = Some(self.labels.clone());
        Ok(server)
    }

    /// A fleet.
    pub fn fleet(&self, name: &str, replicas: i32) -> Result<Fleet> {
        let metadata = ObjectMeta {
            labels: Some(self.labels.clone()),
            ..ObjectMeta::default()
        };
        let template = GameServerTemplate {
            metadata: Some(metadata),
            spec: self.spec()?,
        };
        Ok(Fleet::new(
            name,
            FleetSpec {
                replicas,
                template,
                ..FleetSpec::default()
            },
        ))
    }
}

/// A port of the sample server; the container port is its default where the policy wants one.
pub fn port(name: &str, port_policy: PortPolicy, protocol: Protocol) -> GameServerPort {
    GameServerPort {
        name: name.to_owned(),
        range: crds::gameserver::DEFAULT_RANGE.to_owned(),
        port_policy,
        container_port: (port_policy != PortPolicy::Passthrough).then_some(PORT),
        protocol,
        ..GameServerPort::default()
    }
}

/// A fleet of development servers: no pods, for tests of everything but pods.
pub fn podless_fleet(name: &str, replicas: i32, address: &str) -> Result<Fleet> {
    let mut default = port("default", PortPolicy::Static, Protocol::Udp);
    default.host_port = Some(PORT);
    let mut fleet = Sample::with_ports(vec![default]).fleet(name, replicas)?;
    let annotation = (
        crds::meta::DEV_ADDRESS_ANNOTATION.to_owned(),
        address.to_owned(),
    );
    fleet
        .spec
        .template
        .metadata
        .get_or_insert_default()
        .annotations = Some(BTreeMap::from([annotation]));
    Ok(fleet)
}
