//! Makes the cluster's certificates and kubeconfigs with the program `openssl`.
//!
//! The authority and the key of service-account tokens live as long as the state directory; the
//! leaf certificates are made anew when the node's address has changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Names the kubeconfigs `<user>.kubeconfig` that [`ensure`] writes.
const USERS: [&str; 5] = ["admin", "controller-manager", "scheduler", "node", "proxy"];

/// Makes what is missing in `<state>/pki`, and the kubeconfigs in `<state>`.
pub(crate) fn ensure(state: &Path, node: &str, node_address: &str) -> Result<()> {
    let pki = state.join("pki");
    fs::create_dir_all(&pki).with_context(|| format!("cannot create {}", pki.display()))?;
    fs::set_permissions(&pki, Permissions::from_mode(0o700))
        .with_context(|| format!("cannot protect {}", pki.display()))?;
    let stamp = pki.join("complete");
    let made_for = format!("{node} {node_address}\n");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == made_for) {
        return Ok(());
    }
    if !pki.join("ca.crt").is_file() {
        authority(&pki)?;
    }
    leaves(&pki, node, node_address)?;
    for user in USERS {
        let path = state.join(format!("{user}.kubeconfig"));
        fs::write(&path, kubeconfig(&pki, user)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .with_context(|| format!("cannot protect {}", path.display()))?;
    }
    fs::write(&stamp, made_for).with_context(|| format!("cannot write {}", stamp.display()))
}

fn openssl(pki: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(pki);
    command
}

fn new_key(pki: &Path, file: &str) -> Result<()> {
    let made = openssl(pki)
        .args([
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            file,
        ])
        .output();
    let made = made.context("cannot start openssl")?;
    anyhow::ensure!(
        made.status.success(),
        "openssl cannot make {file}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}

/// The authority and the pair that signs service-account tokens.
fn authority(pki: &Path) -> Result<()> {
    new_key(pki, "sa.key")?;
    process::output(openssl(pki).args(["pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub"]))?;
    new_key(pki, "ca.key")?;
    process::output(openssl(pki).args([
        "req",
        "-x509",
        "-new",
        "-key",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        "3650",
        "-subj",
        "/CN=muster-local-ca",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]))?;
    Ok(())
}

fn leaves(pki: &Path, node: &str, address: &str) -> Result<()> {
    let server = format!(
        "IP:127.0.0.1,IP:10.96.0.1,IP:{address},DNS:localhost,DNS:kubernetes,\
         DNS:kubernetes.default,DNS:kubernetes.default.svc,\
         DNS:kubernetes.default.svc.cluster.local"
    );
    let node_subject = format!("/O=system:nodes/CN=system:node:{node}");
    let node_names = format!("DNS:{node},IP:{address},IP:127.0.0.1");
    let client = "DNS:client";
    for (name, subject, names) in [
        ("apiserver", "/CN=kube-apiserver", server.as_str()),
        ("admin", "/O=system:masters/CN=admin", client),
        (
            "controller-manager",
            "/CN=system:kube-controller-manager",
            client,
        ),
        ("scheduler", "/CN=system:kube-scheduler", client),
        ("node", &node_subject, &node_names),
        ("proxy", "/CN=system:kube-proxy", client),
        ("front-proxy", "/CN=front-proxy-client", client),
        (
            "kubelet-client",
            "/O=system:masters/CN=kube-apiserver-kubelet-client",
            client,
        ),
    ] {
        leaf(pki, name, subject, names).with_context(|| format!("cannot make {name}.crt"))?;
    }
    Ok(())
}

fn leaf(pki: &Path, name: &str, subject: &str, alternative_names: &str) -> Result<()> {
    let [key, request, extensions, certificate] =
        ["key", "csr", "ext", "crt"].map(|ending| format!("{name}.{ending}"));
    new_key(pki, &key)?;
    process::output(openssl(pki).args([
        "req", "-new", "-key", &key, "-out", &request, "-subj", subject,
    ]))?;
    fs::write(
        pki.join(&extensions),
        format!(
            "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n\
             extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={alternative_names}\n"
        ),
    )
    .with_context(|| format!("cannot write {extensions}"))?;
    process::output(openssl(pki).args([
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        &certificate,
        "-days",
        "3650",
        "-extfile",
        &extensions,
    ]))?;
    for used in [request, extensions] {
        let _ = fs::remove_file(pki.join(used));
    }
    Ok(())
}

/// A kubeconfig that needs no other file.
fn kubeconfig(pki: &Path, user: &str) -> Result<String> {
    let encoded =
        |file: String| process::output(Command::new("base64").arg("-w0").arg(pki.join(file)));
    let authority = encoded("ca.crt".to_owned())?;
    let certificate = encoded(format!("{user}.crt"))?;
    let key = encoded(format!("{user}.key"))?;
    Ok(format!(
        "apiVersion: v1
kind: Config
clusters:
- name: muster-local
  cluster: {{server: https://127.0.0.1:6443, certificate-authority-data: {authority}}}
users:
- name: {user}
  user: {{client-certificate-data: {certificate}, client-key-data: {key}}}
contexts:
- name: muster-local
  context: {{cluster: muster-local, user: {user}}}
current-context: muster-local
"
    ))
}
