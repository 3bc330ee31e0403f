//! Tables of [`super`]: what is decided for which input.

use std::net::Ipv4Addr;

use expect_test::expect;
use serde_json::{Value, json};

use super::*;

#[derive(Debug, Default)]
struct Known {
    config_maps: BTreeMap<String, Arc<ConfigMap>>,
    secrets: BTreeMap<String, Arc<Secret>>,
    allocatable: BTreeMap<String, Quantity>,
}

impl Sources for Known {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        self.config_maps.get(name).cloned()
    }
    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.secrets.get(name).cloned()
    }
    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
    fn allocatable(&self) -> &BTreeMap<String, Quantity> {
        &self.allocatable
    }
}

fn known() -> Known {
    let map = json!({ "data": { "mode": "duel", "port": "7654" } });
    let secret = json!({ "data": { "key": "c2VjcmV0" } });
    Known {
        config_maps: [("settings".to_owned(), Arc::new(from(map)))].into(),
        secrets: [("keys".to_owned(), Arc::new(from(secret)))].into(),
        allocatable: [
            ("cpu".to_owned(), Quantity("4".to_owned())),
            ("memory".to_owned(), Quantity("8Gi".to_owned())),
        ]
        .into(),
    }
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn invoke(container: &Value) -> Result<Invocation, String> {
    let mut first = json!({ "name": "game" });
    first
        .as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    let pod: Pod = from(json!({
        "metadata": {
            "name": "gs-1", "namespace": "games", "uid": "u-1",
            "labels": { "app": "duel", "tier": "a\"b" },
        },
        "spec": {
            "nodeName": "local", "serviceAccountName": "default",
            "containers": [first],
        },
    }));
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let ports = [(7654, 7001), (8080, 20_000)].into_iter().collect();
    let mounts = Mounts::new([("/data".to_owned(), "/r/data".into())]);
    let program = Program {
        path: "/bin/game".into(),
        args: vec!["serve".to_owned()],
    };
    let place = Place {
        ports: &ports,
        mounts: &mounts,
    };
    let base = [("PATH".to_owned(), "/bin".to_owned())].into();
    invocation(&pod, container, &program, place, (&base, &known()))
}

fn shown(invocation: &Invocation) -> String {
    let env = invocation.env.iter();
    let lines: Vec<_> = env
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    format!("{:?}\n{}", invocation.args, lines.concat())
}

#[test]
fn values_come_from_everywhere() {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let resource = |name: &str, divisor: &str| json!({ "resourceFieldRef": { "resource": name, "divisor": divisor } });
    let invocation = invoke(&json!({
        "command": ["/app/game", "--port=7654", "$(MODE)"],
        "args": ["--save", "/data/$(NAME).bin", "$(UNKNOWN) $$(MODE)", "7654"],
        "ports": [{ "containerPort": 7654 }],
        "envFrom": [
            { "prefix": "CM_", "configMapRef": { "name": "settings" } },
            { "secretRef": { "name": "keys" } },
            { "configMapRef": { "name": "none", "optional": true } },
        ],
        "env": [
            { "name": "NAME", "valueFrom": field("metadata.name") },
            { "name": "UID", "valueFrom": field("metadata.uid") },
            { "name": "APP", "valueFrom": field("metadata.labels['app']") },
            { "name": "LABELS", "valueFrom": field("metadata.labels") },
            { "name": "POD_IPS", "valueFrom": field("status.podIPs") },
            { "name": "NODE", "valueFrom": field("spec.nodeName") },
            { "name": "MODE", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "mode" } } },
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "key" } } },
            { "name": "NONE", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "x", "optional": true } } },
            { "name": "BOTH", "value": "$(NAME)-$(MODE) /data" },
            { "name": "LISTEN", "value": ":7654" },
            { "name": "CPU", "valueFrom": resource("limits.cpu", "1") },
            { "name": "MEMORY", "valueFrom": resource("requests.memory", "1Mi") },
            { "name": "ALL_MEMORY", "valueFrom": resource("limits.memory", "1Mi") },
        ],
        "resources": { "limits": { "cpu": "1500m" }, "requests": { "memory": "100M" } },
    }))
    .unwrap();
    expect![[r#"
        ["serve", "--port=7001", "duel", "--save", "/r/data/gs-1.bin", "$(UNKNOWN) $(MODE)", "7001"]
        ALL_MEMORY=8192
        APP=duel
        BOTH=gs-1-duel /r/data
        CM_mode=duel
        CM_port=7654
        CPU=2
        HOSTNAME=gs-1
        KEY=secret
        LABELS=app="duel"
        tier="a\"b"
        LISTEN=:7001
        MEMORY=96
        MODE=duel
        NAME=gs-1
        NODE=local
        PATH=/bin
        POD_IPS=127.0.0.1
        PORT=7001
        UID=u-1
        key=secret
    "#]]
    .assert_eq(&shown(&invocation));
}

#[test]
fn a_port_that_the_template_sets_is_kept() {
    let port = |container: Value| invoke(&container).unwrap().env.get("PORT").cloned();
    let ports = json!([{ "containerPort": 7654 }]);
    let set = json!({ "ports": ports, "env": [{ "name": "PORT", "value": "80" }] });
    assert_eq!(port(set), Some("80".to_owned()));
    let same = json!({ "ports": ports, "env": [{ "name": "PORT", "value": "7654" }] });
    assert_eq!(port(same), Some("7001".to_owned()));
    assert_eq!(port(json!({})), None);
}

#[test]
fn a_sidecar_is_told_the_port_at_which_it_is_probed() {
    let told = |container: Value| invoke(&container).unwrap().env.get("HEALTH_PORT").cloned();
    let probe = json!({ "httpGet": { "port": 8080 } });
    let sidecar = json!({ "restartPolicy": "Always", "livenessProbe": probe });
    assert_eq!(told(sidecar), Some("20000".to_owned()));
    assert_eq!(told(json!({ "livenessProbe": probe })), None);
    let declared = json!({
        "restartPolicy": "Always", "livenessProbe": probe, "ports": [{ "containerPort": 8080 }],
    });
    assert_eq!(told(declared), None);
}

#[test]
fn what_is_missing_is_named() {
    let problem = |source: Value| {
        invoke(&json!({ "env": [{ "name": "A", "valueFrom": source }] })).unwrap_err()
    };
    for (source, expected) in [
        (
            json!({ "configMapKeyRef": { "name": "no", "key": "a" } }),
            "configmap \"no\" not found",
        ),
        (
            json!({ "configMapKeyRef": { "name": "settings", "key": "a" } }),
            "couldn't find key a in ConfigMap games/settings",
        ),
        (
            json!({ "secretKeyRef": { "name": "no", "key": "a" } }),
            "secret \"no\" not found",
        ),
        (
            json!({ "secretKeyRef": { "name": "keys", "key": "a" } }),
            "couldn't find key a in Secret games/keys",
        ),
        (
            json!({ "fieldRef": { "fieldPath": "spec.nothing" } }),
            "unsupported fieldPath: spec.nothing",
        ),
    ] {
        assert_eq!(problem(source), expected);
    }
    let from = invoke(&json!({ "envFrom": [{ "secretRef": { "name": "no" } }] }));
    assert_eq!(from.unwrap_err(), "secret \"no\" not found");
}

#[test]
fn references_expand() {
    let variables = [
        ("A".to_owned(), "1".to_owned()),
        ("B".to_owned(), String::new()),
    ]
    .into();
    for (text, expected) in [
        ("$(A)", "1"),
        ("$(A)$(B)$(A)", "11"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A", "$A"),
        ("$(C)", "$(C)"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("a$", "a$"),
        ("$()", "$()"),
        ("ä$(A)ö", "ä1ö"),
    ] {
        assert_eq!(expand(text, &variables), expected, "{text}");
    }
}

#[test]
fn quantities_are_read() {
    for (text, expected) in [
        ("1", Some(1000)),
        ("100m", Some(100)),
        ("1.5", Some(1500)),
        (".5", Some(500)),
        ("1Ki", Some(1_024_000)),
        ("0.5Mi", Some(524_288_000)),
        ("2k", Some(2_000_000)),
        ("1G", Some(1_000_000_000_000)),
        ("x", None),
        ("1X", None),
    ] {
        assert_eq!(milli(&Quantity(text.to_owned())), expected, "{text}");
    }
}
