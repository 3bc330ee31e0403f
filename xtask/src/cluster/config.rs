//! The texts that configure the local cluster's components. Pure.

use std::path::Path;

use serde_json::json;

/// The name of the only node.
pub(crate) const NODE: &str = "node-1";

/// Where containerd keeps what must not outlive the cluster.
pub(crate) const RUNTIME: &str = "/run/muster-containerd";

/// Where containerd answers.
pub(crate) const SOCKET: &str = "/run/muster-containerd/containerd.sock";

/// The CNI network: its file, and the name by which its rules and addresses are found again.
pub(crate) const NETWORK_FILE: &str = "/etc/cni/net.d/10-muster.conflist";
pub(crate) const NETWORK: &str = "muster";
pub(crate) const BRIDGE: &str = "cni0";

/// The image that holds a pod's namespaces open.
pub(crate) const PAUSE_IMAGE: &str = "docker.io/local/pause:1";

const PODS: &str = "10.244.0.0/16";
const NODE_PODS: &str = "10.244.0.0/24";
const SERVICES: &str = "10.96.0.0/16";
const DNS: &str = "10.96.0.10";
const DNS_PORT: u16 = 1053;

/// The ports on the host that the components listen on.
pub(crate) const PORTS: [(u16, &str); 10] = [
    (2379, "etcd"),
    (2380, "etcd"),
    (6443, "API server"),
    (10248, "kubelet"),
    (10249, "kube-proxy"),
    (10250, "kubelet"),
    (10256, "kube-proxy"),
    (10257, "controller manager"),
    (10259, "scheduler"),
    (DNS_PORT, "CoreDNS"),
];

pub(crate) fn etcd(state: &Path) -> Vec<String> {
    words(&[
        &format!("--data-dir={}", state.join("etcd").display()),
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ])
}

pub(crate) fn api_server(address: &str) -> Vec<String> {
    words(&[
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        &format!("--advertise-address={address}"),
        "--tls-cert-file=pki/apiserver.crt",
        "--tls-private-key-file=pki/apiserver.key",
        "--client-ca-file=pki/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=pki/sa.pub",
        "--service-account-signing-key-file=pki/sa.key",
        &format!("--service-cluster-ip-range={SERVICES}"),
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--requestheader-client-ca-file=pki/ca.crt",
        "--proxy-client-cert-file=pki/front-proxy.crt",
        "--proxy-client-key-file=pki/front-proxy.key",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--enable-aggregator-routing=true",
        // Otherwise the node's name is looked up in the host's DNS, and logs and exec fail.
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-client-certificate=pki/kubelet-client.crt",
        "--kubelet-client-key=pki/kubelet-client.key",
        "--kubelet-certificate-authority=pki/ca.crt",
    ])
}

pub(crate) fn controller_manager() -> Vec<String> {
    words(&[
        "--kubeconfig=controller-manager.kubeconfig",
        "--authorization-kubeconfig=controller-manager.kubeconfig",
        "--authentication-kubeconfig=controller-manager.kubeconfig",
        "--service-account-private-key-file=pki/sa.key",
        "--root-ca-file=pki/ca.crt",
        "--use-service-account-credentials",
        "--allocate-node-cidrs",
        &format!("--cluster-cidr={PODS}"),
        "--cluster-signing-cert-file=pki/ca.crt",
        "--cluster-signing-key-file=pki/ca.key",
        "--leader-elect=false",
    ])
}

pub(crate) fn scheduler() -> Vec<String> {
    words(&[
        "--kubeconfig=scheduler.kubeconfig",
        "--authorization-kubeconfig=scheduler.kubeconfig",
        "--authentication-kubeconfig=scheduler.kubeconfig",
        "--leader-elect=false",
    ])
}

pub(crate) fn kubelet(state: &Path, address: &str) -> Vec<String> {
    words(&[
        "--config=kubelet.yaml",
        "--kubeconfig=node.kubeconfig",
        &format!("--hostname-override={NODE}"),
        &format!("--node-ip={address}"),
        &format!("--root-dir={}", state.join("kubelet").display()),
    ])
}

pub(crate) fn proxy() -> Vec<String> {
    words(&[
        "--kubeconfig=proxy.kubeconfig",
        "--proxy-mode=nftables",
        &format!("--cluster-cidr={PODS}"),
        &format!("--hostname-override={NODE}"),
    ])
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
}

pub(crate) fn containerd(state: &Path, plugins: &str) -> String {
    // Without CAP_SYS_RESOURCE (nested or sandboxed root) runc cannot lower oom_score_adj, and
    // every sandbox would fail: hence restrict_oom_score_adj.
    format!(
        r#"version = 2
root = "{root}"
state = "{RUNTIME}"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
    max_conf_num = 1
"#,
        root = state.join("containerd").display(),
    )
}

/// The pod network: a bridge, and host ports that answer on every local address.
///
/// `snat` (the default, stated because we depend on it) masquerades what comes from the host
/// itself, so that a host port answers on 127.0.0.1 too.
pub(crate) fn network() -> String {
    json!({
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": NODE_PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
        ],
    })
    .to_string()
}

pub(crate) fn kubelet_configuration(state: &Path) -> String {
    let pki = state.join("pki");
    // failCgroupV1: hosts that still have cgroup v1 are welcome.
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": pki.join("ca.crt")},
            "webhook": {"enabled": true},
            "anonymous": {"enabled": false},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.join("node.crt"),
        "tlsPrivateKeyFile": pki.join("node.key"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "maxPods": 400,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "2s",
        "serializeImagePulls": false,
    })
    .to_string()
}

pub(crate) fn corefile(state: &Path) -> String {
    format!(
        ".:{DNS_PORT} {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
    }}
    cache 5
}}
",
        state.join("admin.kubeconfig").display()
    )
}

/// The Service through which pods reach the CoreDNS that runs on the host.
pub(crate) fn dns_service(address: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {
                    "clusterIP": DNS,
                    "ports": [
                        {"name": "dns", "port": 53, "targetPort": DNS_PORT, "protocol": "UDP"},
                        {"name": "dns-tcp", "port": 53, "targetPort": DNS_PORT, "protocol": "TCP"},
                    ],
                },
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns-host",
                    "namespace": "kube-system",
                    "labels": {"kubernetes.io/service-name": "kube-dns"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
                "ports": [
                    {"name": "dns", "port": DNS_PORT, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": DNS_PORT, "protocol": "TCP"},
                ],
            },
        ],
    })
    .to_string()
}

/// The first address of the host that pods and clients can reach, from `ip -4 -o addr`.
pub(crate) fn node_address(listing: &str) -> Option<&str> {
    listing.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let interface = fields.next()?;
        if ["cni", "veth", "docker", "br-", "virbr"]
            .iter()
            .any(|own| interface.starts_with(own))
        {
            return None;
        }
        let address = fields.skip_while(|field| *field != "inet").nth(1)?;
        address.split('/').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_address_is_not_a_bridge() {
        let listing = "\
3: cni0    inet 10.244.0.1/24 brd 10.244.0.255 scope global cni0\\       valid_lft forever
2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever
";
        assert_eq!(node_address(listing), Some("192.0.2.2"));
        assert_eq!(node_address(""), None);
    }

    #[test]
    fn configurations_are_valid_json() {
        for text in [
            network(),
            kubelet_configuration(Path::new("/state")),
            dns_service("192.0.2.2"),
        ] {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}
