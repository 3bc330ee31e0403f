//! The chart's admission policies: what they let in, and what they refuse with which message.
//!
//! Needs an installation with `podSecurity` and `devAddressPolicy` on, as they are by default.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use crds::GameServer;
use crds::gameserver::{GameServerPort, PortPolicy, Protocol};
use e2e::objects::{IMAGE, PORT, Sample, port};
use e2e::wait;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Error, Resource};
use serde_json::{Value, json};

use crate::harness::{Test, shared};

const POD_SECURITY: &str = "muster-gameserver-pod-security";
const DEV_ADDRESS: &str = "muster-dev-address";

/// A pod that complies.
fn good_pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "case", "labels": {} },
        "spec": {
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "game",
                "image": IMAGE,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
}

/// What to change in the good pod (a path, and the value there), and what the policy says to that.
fn bad_pods() -> Vec<(&'static str, Value, &'static str)> {
    const CONTAINER: &str = "/spec/containers/0/securityContext";
    const ESCALATES: &str = "securityContext.allowPrivilegeEscalation must be false and \
                             securityContext.privileged must not be true: containers game";
    const CAPABLE: &str = "securityContext.capabilities must drop ALL and add nothing but \
                           NET_BIND_SERVICE: containers game";
    const SHARES: &str = "spec.hostNetwork, spec.hostPID and spec.hostIPC must not be true";
    const POD_ROOT: &str = "spec.securityContext must not set runAsNonRoot false, runAsUser 0 or \
                            seccompProfile.type Unconfined";
    let drops = json!({ "drop": ["ALL"] });
    let dropped = || drops.clone();
    vec![
        (
            "/spec/containers/0/ports",
            json!([{ "containerPort": PORT, "hostPort": PORT }]),
            "ports[].hostPort is only for pods with the label muster.dev/role=gameserver: \
             containers game",
        ),
        ("/spec/hostNetwork", json!(true), SHARES),
        ("/spec/hostPID", json!(true), SHARES),
        ("/spec/hostIPC", json!(true), SHARES),
        (
            CONTAINER,
            json!({ "privileged": true, "capabilities": dropped() }),
            ESCALATES,
        ),
        (CONTAINER, json!({ "capabilities": dropped() }), ESCALATES),
        (
            "/spec/containers/0/securityContext/capabilities",
            json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }),
            CAPABLE,
        ),
        (
            "/spec/containers/0/securityContext/capabilities",
            json!({ "drop": ["NET_RAW"] }),
            CAPABLE,
        ),
        ("/spec/securityContext/runAsUser", json!(0), POD_ROOT),
        (
            "/spec/securityContext",
            json!({ "seccompProfile": { "type": "RuntimeDefault" } }),
            "securityContext.runAsNonRoot must be true, in the pod or the container: \
             containers game",
        ),
        (
            "/spec/containers/0/securityContext/runAsUser",
            json!(0),
            "securityContext.runAsUser must not be 0: containers game",
        ),
        (
            "/spec/securityContext",
            json!({ "runAsNonRoot": true }),
            "securityContext.seccompProfile.type must be RuntimeDefault or Localhost, in the pod \
             or the container: containers game",
        ),
        (
            "/spec/volumes",
            json!([{ "name": "host", "hostPath": { "path": "/" } }]),
            "spec.volumes must be of the types configMap, csi, downwardAPI, emptyDir, ephemeral, \
             image, persistentVolumeClaim, projected or secret: volumes host",
        ),
        (
            "/spec/securityContext/seLinuxOptions",
            json!({ "type": "spc_t" }),
            "securityContext.seLinuxOptions must not set user or role",
        ),
        (
            "/spec/securityContext/appArmorProfile",
            json!({ "type": "Unconfined" }),
            "securityContext.appArmorProfile.type must be RuntimeDefault or Localhost",
        ),
        (
            "/spec/securityContext/sysctls",
            json!([{ "name": "kernel.msgmax", "value": "65536" }]),
            "securityContext.sysctls must be among the safe ones",
        ),
        (
            "/spec/containers/0/livenessProbe",
            json!({ "tcpSocket": { "port": 1, "host": "192.0.2.1" } }),
            "probes and lifecycle handlers must not set httpGet.host or tcpSocket.host: \
             containers game",
        ),
    ]
}

/// The good pod with one value changed.
fn changed(path: &str, value: Value) -> Result<Pod> {
    let mut pod = good_pod();
    let (parent, key) = path.rsplit_once('/').context("the path has no slash")?;
    let parent = pod.pointer_mut(parent).context("the path leads nowhere")?;
    parent[key] = value;
    Ok(serde_json::from_value(pod)?)
}

/// Submits an object without storing it.
async fn submit<K>(api: &Api<K>, object: &K) -> Result<(), Error>
where
    K: wait::Watched + Resource<DynamicType = ()>,
{
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&dry_run, object).await.map(drop)
}

/// Checks that a policy refused something, and said this.
fn ensure_refused(answer: Result<(), Error>, policy: &str, code: u16, message: &str) -> Result<()> {
    match answer {
        Ok(()) => bail!("it was accepted; expected {message:?}"),
        Err(Error::Api(status)) => {
            ensure!(
                status.code == code
                    && status.message.contains(policy)
                    && status.message.contains(message),
                "expected {code} {message:?}, got {} {:?}",
                status.code,
                status.message
            );
            Ok(())
        }
        Err(error) => Err(error).context("there was no verdict"),
    }
}

/// Puts the test's namespace under the policy, and waits until the API server knows.
async fn hold_to_the_policy(test: &Test) -> Result<()> {
    let labels = json!({ "metadata": { "labels": { "muster.dev/pod-security": "gameserver" } } });
    Api::<Namespace>::all(test.cluster.client())
        .patch(
            &test.namespace,
            &PatchParams::default(),
            &Patch::Merge(labels),
        )
        .await?;
    let pods = test.api::<Pod>();
    let bad = changed("/spec/hostNetwork", json!(true))?;
    wait::poll(
        "the policy to hold (is podSecurity on?)",
        Duration::from_secs(10),
        Duration::from_millis(100),
        async || Ok(submit(&pods, &bad).await.is_err().then_some(())),
    )
    .await
}

#[test]
fn game_servers_run_under_the_pod_security_policy() {
    shared("restricted", async |test| {
        hold_to_the_policy(test).await?;
        let both = |name, policy| port(name, policy, Protocol::TcpUdp);
        let ports = vec![
            both("dynamic", PortPolicy::Dynamic),
            both("passed", PortPolicy::Passthrough),
        ];
        let servers = test
            .ready_fleet(&Sample::with_ports(ports).fleet("game", 1)?)
            .await?;
        let name = servers[0].metadata.name.as_deref().context("no name")?;
        let pod = test.api::<Pod>().get(name).await?;
        let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
        let has_host_port = containers
            .iter()
            .flat_map(|container| container.ports.iter().flatten())
            .any(|port| port.host_port.is_some());
        ensure!(has_host_port, "nothing was shown: the pod has no host port");
        Ok(())
    });
}

#[test]
fn pods_that_break_a_rule_of_the_pod_security_policy_are_refused() {
    shared("pod-rules", async |test| {
        hold_to_the_policy(test).await?;
        let pods = test.api::<Pod>();
        let good: Pod = serde_json::from_value(good_pod())?;
        submit(&pods, &good).await.context("the good pod")?;
        let mut game = changed(
            "/spec/containers/0/ports",
            json!([{ "containerPort": PORT, "hostPort": PORT }]),
        )?;
        game.metadata.labels = Some(BTreeMap::from([(
            crds::meta::ROLE_LABEL.to_owned(),
            crds::meta::ROLE_GAMESERVER.to_owned(),
        )]));
        submit(&pods, &game).await.context("the game server pod")?;

        let mut wrong = Vec::new();
        for (path, value, message) in bad_pods() {
            let title = format!("{path} = {value}");
            let answer = submit(&pods, &changed(path, value)?).await;
            if let Err(error) = ensure_refused(answer, POD_SECURITY, 403, message) {
                wrong.push(format!("{title}: {error:#}"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

/// A development server at an address, with a port.
fn dev_server(address: &str, port: GameServerPort) -> Result<GameServer> {
    let mut server = Sample::with_ports(vec![port]).game_server("case")?;
    server.metadata.annotations = Some(BTreeMap::from([(
        crds::meta::DEV_ADDRESS_ANNOTATION.to_owned(),
        address.to_owned(),
    )]));
    Ok(server)
}

#[test]
fn development_servers_have_an_address_and_static_ports() {
    const NOT_STATIC: &str = "spec.ports[].portPolicy must be Static, with a hostPort, for every \
                              port of a GameServer with the annotation muster.dev/dev-address";
    shared("dev-rules", async |test| {
        let servers = test.api::<GameServer>();
        let dynamic = || port("default", PortPolicy::Dynamic, Protocol::Udp);
        let mut fixed = port("default", PortPolicy::Static, Protocol::Udp);
        fixed.host_port = Some(PORT);

        let good = dev_server("192.0.2.7", fixed.clone())?;
        submit(&servers, &good).await.context("a good one")?;
        let ordinary = Sample::with_ports(vec![dynamic()]).game_server("case")?;
        submit(&servers, &ordinary).await.context("no annotation")?;

        let answer = submit(&servers, &dev_server("192.0.2.7", dynamic())?).await;
        ensure_refused(answer, DEV_ADDRESS, 422, NOT_STATIC)?;
        let answer = submit(&servers, &dev_server("", fixed)?).await;
        let empty = "metadata.annotations[muster.dev/dev-address] must be an address, and is empty";
        ensure_refused(answer, DEV_ADDRESS, 422, empty)
    });
}
