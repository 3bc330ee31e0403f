//! The provider `local`: a real single-node Kubernetes, run as plain processes on this host.
//!
//! Needs root and no Docker. Everything is in `<cache>/cluster`; what must be elsewhere (the
//! container runtime's socket, the CNI network) is named after us and removed by `down`.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::daemon::Daemons;
use super::{Up, build, config, leftovers, pki, prerequisites};
use crate::images::oci;
use crate::kubernetes::Kubectl;
use crate::process::{self, progress};
use crate::{digest, repository, wait};

/// The program that holds a pod's namespaces.
const PAUSE: &str = "pause";

/// Every process, in the order in which they are reported.
const PROCESSES: [&str; 8] = [
    "etcd",
    "apiserver",
    "controller-manager",
    "scheduler",
    "containerd",
    "kubelet",
    "proxy",
    "coredns",
];

/// How long one step of the start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Whether `down` keeps the objects of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Keep,
    Purge,
}

/// The cluster of this host; there is one per cache directory, and one per host can run.
#[derive(Debug)]
pub(crate) struct Local {
    state: PathBuf,
    daemons: Daemons,
}

impl Local {
    pub(crate) fn new() -> Result<Self> {
        let state = repository::cache()?.join("cluster");
        let daemons = Daemons::new(&state);
        Ok(Self { state, daemons })
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    fn kubectl(&self) -> Result<Kubectl> {
        Ok(Kubectl::new(
            build::bin()?.join("kubectl"),
            self.kubeconfig(),
        ))
    }

    /// Brings the cluster up, or repairs it, or finds it healthy.
    pub(crate) fn up(&self) -> Result<Up> {
        prerequisites::check()?;
        let bin = build::ensure(&[build::KUBERNETES, build::ETCD, build::COREDNS, build::HELM])?;
        let _lock = self.lock()?;
        let began = Instant::now();
        if self.problems()?.is_empty() {
            progress("the local cluster is up and healthy");
            return Ok(Up {
                kubeconfig: self.kubeconfig(),
                was_running: true,
            });
        }
        if self.is_anything_left() {
            progress("clearing the leftovers of a cluster that did not end properly");
            self.stop()?;
        }
        self.start(&bin)?;
        progress(&format!(
            "the local cluster is up ({:.1} s)",
            began.elapsed().as_secs_f64()
        ));
        Ok(Up {
            kubeconfig: self.kubeconfig(),
            was_running: false,
        })
    }

    /// Ends the cluster and removes everything of it but its images and, unless purged, its data.
    pub(crate) fn down(&self, data: Data) -> Result<()> {
        let _lock = self.lock()?;
        let is_left = self.is_anything_left();
        if is_left {
            self.stop()?;
        }
        if data == Data::Purge {
            leftovers::remove_tree(&self.state)?;
            progress("the local cluster is down, its data and images are deleted");
        } else if is_left {
            progress("the local cluster is down (its objects are kept; --purge deletes them)");
        } else {
            progress("the local cluster is not running");
        }
        Ok(())
    }

    /// Reports every process and the node; returns whether the cluster is healthy.
    pub(crate) fn status(&self) -> Result<bool> {
        for name in PROCESSES {
            let state = if self.daemons.is_alive(name) {
                "running"
            } else {
                "not running"
            };
            println!("{name:<20} {state}");
        }
        let problems = self.problems()?;
        if problems.is_empty() {
            println!("{:<20} Ready", config::NODE);
            println!("{:<20} {}", "kubeconfig", self.kubeconfig().display());
        } else {
            for problem in &problems {
                progress(&format!("not healthy: {problem}"));
            }
        }
        Ok(problems.is_empty())
    }

    /// Names what keeps the cluster from being healthy.
    fn problems(&self) -> Result<Vec<String>> {
        let mut problems: Vec<String> = PROCESSES
            .iter()
            .filter(|name| !self.daemons.is_alive(name))
            .map(|name| format!("{name} does not run"))
            .collect();
        if problems.is_empty() {
            let kubectl = self.kubectl()?;
            // A busy machine may answer late, and a restarted kubelet needs a moment.
            let is_ready = wait::until(Duration::from_secs(20), || {
                Ok(ready_report(&kubectl).starts_with("True").then_some(()))
            })?;
            if is_ready.is_none() {
                problems
                    .push("the node is not Ready, or the API server does not answer".to_owned());
            }
        }
        Ok(problems)
    }

    fn is_anything_left(&self) -> bool {
        PROCESSES.iter().any(|name| self.daemons.is_alive(name))
            || leftovers::has_tasks()
            || [config::RUNTIME, config::NETWORK_FILE]
                .iter()
                .any(|path| Path::new(path).exists())
            || fs::read_dir(self.state.join("run"))
                .is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Makes two of us wait for each other.
    fn lock(&self) -> Result<File> {
        let path = self.state.with_extension("lock");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        if file.try_lock().is_err() {
            progress("waiting for another xtask that starts or stops the cluster");
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(file)
    }

    fn start(&self, bin: &Path) -> Result<()> {
        for folder in ["etcd", "logs", "run", "kubelet"] {
            let path = self.state.join(folder);
            fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        // The API server refuses a data folder that others may read.
        fs::set_permissions(self.state.join("etcd"), fs::Permissions::from_mode(0o700))
            .context("cannot protect the folder of etcd")?;
        check_ports()?;
        let listing = process::output(
            Command::new("ip").args(["-4", "-o", "addr", "show", "scope", "global"]),
        )?;
        let address = config::node_address(&listing).context(
            "this host has no IPv4 address besides loopback; the node needs one (`ip addr add …`)",
        )?;
        self.write_file(
            "strangers",
            &leftovers::network_namespaces()
                .into_iter()
                .collect::<Vec<_>>()
                .join("\n"),
        )?;
        pki::ensure(&self.state, config::NODE, address)?;

        self.start_control_plane(bin, address)?;
        let kubectl = self.kubectl()?;
        let stale_report = ready_report(&kubectl);
        self.start_node(bin, address)?;
        process::output_with_input(
            kubectl
                .command()
                .args(["apply", "--server-side", "--force-conflicts", "-f", "-"]),
            &config::dns_service(address),
        )?;
        // What the last kubelet reported is still there, so the report must be a new one.
        self.await_condition("the node to be Ready", &PROCESSES, || {
            let report = ready_report(&kubectl);
            report.starts_with("True") && report != stale_report
        })?;
        // Pods are refused until the controller manager has made their service account.
        self.await_condition("the default service account", &PROCESSES, || {
            process::succeeds(kubectl.command().args(["get", "serviceaccount", "default"]))
        })
    }

    fn start_control_plane(&self, bin: &Path, address: &str) -> Result<()> {
        let daemons = &self.daemons;
        daemons.start("etcd", &bin.join("etcd"), &config::etcd(&self.state))?;
        daemons.start(
            "apiserver",
            &bin.join("kube-apiserver"),
            &config::api_server(address),
        )?;
        self.start_containerd()?;
        let kubectl = self.kubectl()?;
        self.await_condition("the API server", &["etcd", "apiserver"], || {
            process::succeeds(kubectl.command().args(["get", "--raw", "/readyz"]))
        })?;
        forget_first_version()?;
        daemons.start(
            "controller-manager",
            &bin.join("kube-controller-manager"),
            &config::controller_manager(),
        )?;
        daemons.start(
            "scheduler",
            &bin.join("kube-scheduler"),
            &config::scheduler(),
        )
    }

    fn start_containerd(&self) -> Result<()> {
        let program =
            process::find_program("containerd").context("the program containerd is missing")?;
        self.write_file(
            "containerd.toml",
            &config::containerd(&self.state, prerequisites::CNI_PLUGINS),
        )?;
        let file = self.state.join("containerd.toml").display().to_string();
        self.daemons
            .start("containerd", &program, &["--config".to_owned(), file])
    }

    fn await_containerd(&self) -> Result<()> {
        self.await_condition("containerd", &["containerd"], || {
            process::succeeds(leftovers::ctr().arg("version"))
        })
    }

    fn start_node(&self, bin: &Path, address: &str) -> Result<()> {
        let network = Path::new(config::NETWORK_FILE);
        if let Some(folder) = network.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(network, config::network())
            .with_context(|| format!("cannot write {}", network.display()))?;
        // The kubelet exits when its container runtime does not answer.
        self.await_containerd()?;
        self.load_pause_image()?;
        self.write_file("kubelet.yaml", &config::kubelet_configuration(&self.state))?;
        self.write_file("Corefile", &config::corefile(&self.state))?;
        let daemons = &self.daemons;
        daemons.start(
            "kubelet",
            &bin.join("kubelet"),
            &config::kubelet(&self.state, address),
        )?;
        daemons.start("proxy", &bin.join("kube-proxy"), &config::proxy())?;
        daemons.start(
            "coredns",
            &bin.join("coredns"),
            &["-conf".to_owned(), "Corefile".to_owned()],
        )
    }

    /// Builds the image of the process that holds a pod's namespaces, and loads it.
    fn load_pause_image(&self) -> Result<()> {
        let source = repository::root().join("xtask/cluster/pause/pause.c");
        let text =
            fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let archive = self
            .state
            .join(format!("pause-{}.tar", &digest::sha256(&text)[..12]));
        if !archive.is_file() {
            let binary = self.state.join(PAUSE);
            process::output(
                Command::new("gcc")
                    .args(["-static", "-O2", "-s", "-o"])
                    .arg(&binary)
                    .arg(&source),
            )?;
            let image = oci::Image {
                name: config::PAUSE_IMAGE,
                programs: &[PAUSE],
                folder: &self.state,
                authorities: None,
            };
            image.write(&archive)?;
        }
        let digest = oci::digest_of(&archive)?;
        Self::load(config::PAUSE_IMAGE, &digest, &archive).map(drop)
    }

    /// Imports an archive unless the runtime has that very image; returns whether it did.
    pub(crate) fn load(name: &str, digest: &str, archive: &Path) -> Result<bool> {
        let listing =
            process::output(leftovers::ctr().args(["images", "ls", &format!("name=={name}")]))?;
        if oci::is_listed(&listing, name, digest) {
            return Ok(false);
        }
        process::output(leftovers::ctr().args(["images", "import"]).arg(archive))?;
        let listing =
            process::output(leftovers::ctr().args(["images", "ls", &format!("name=={name}")]))?;
        if !oci::is_listed(&listing, name, digest) {
            bail!(
                "containerd imported {} but does not list {name} as {digest}:\n{listing}",
                archive.display()
            );
        }
        Ok(true)
    }

    /// Polls `check` while the named processes live.
    fn await_condition(
        &self,
        what: &str,
        needed: &[&str],
        mut check: impl FnMut() -> bool,
    ) -> Result<()> {
        let began = Instant::now();
        let met = wait::until(START_LIMIT, || {
            self.daemons
                .check_alive(needed)
                .with_context(|| format!("while waiting for {what}"))?;
            Ok(check().then_some(()))
        })?;
        if met.is_none() {
            let logs: Vec<String> = needed
                .iter()
                .map(|name| process::log_tail(&self.daemons.log(name)))
                .collect();
            bail!(
                "waited {} s in vain for {what}\n{}",
                START_LIMIT.as_secs(),
                logs.join("\n")
            );
        }
        progress(&format!("  {what}: {:.1} s", began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Ends everything, pods first, and removes what processes leave behind.
    fn stop(&self) -> Result<()> {
        let daemons = &self.daemons;
        daemons.stop(&["kubelet", "proxy", "coredns"])?;
        if leftovers::has_tasks() && !daemons.is_alive("containerd") {
            // Containers outlive their runtime; only it can end them in order.
            self.start_containerd()?;
        }
        if daemons.is_alive("containerd") {
            self.await_containerd()?;
            leftovers::delete_containers()?;
        }
        daemons.stop(&["containerd"])?;
        leftovers::end_shims()?;
        daemons.stop(&["scheduler", "controller-manager"])?;
        daemons.stop(&["apiserver"])?;
        daemons.stop(&["etcd"])?;
        leftovers::unmount(&self.state)?;
        let strangers = fs::read_to_string(self.state.join("strangers")).unwrap_or_default();
        leftovers::remove_network(&strangers.lines().map(str::to_owned).collect())?;
        leftovers::remove_cgroups();
        leftovers::remove_tree(&self.state.join("kubelet"))?;
        leftovers::remove_tree(Path::new(config::RUNTIME))
    }

    fn write_file(&self, name: &str, text: &str) -> Result<()> {
        let path = self.state.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Compacts away version 1, so that a list from it expires as on a cluster that has run for
/// a while: the API server compacts by itself only after ten minutes.
fn forget_first_version() -> Result<()> {
    let answer = process::output(Command::new("curl").args([
        "--silent",
        "--show-error",
        "--data",
        r#"{"revision":"2"}"#,
        "http://127.0.0.1:2379/v3/kv/compaction",
    ]))?;
    // The second is etcd's answer on every later start.
    ensure!(
        answer.contains(r#""revision""#) || answer.contains("has been compacted"),
        "etcd does not compact: {answer}"
    );
    Ok(())
}

/// The node's condition Ready and when the kubelet reported it, as in `True 2026-01-01T00:00:00Z`.
fn ready_report(kubectl: &Kubectl) -> String {
    process::output(kubectl.command().args([
        "get",
        "node",
        config::NODE,
        "--ignore-not-found",
        "--request-timeout=5s",
        "--output=jsonpath={range .status.conditions[?(@.type==\"Ready\")]}{.status} {.lastHeartbeatTime}{end}",
    ]))
    .unwrap_or_default()
}

/// Fails when another program has a port that a component needs.
fn check_ports() -> Result<()> {
    let taken: Vec<String> = config::PORTS
        .iter()
        .filter(|(port, _)| TcpListener::bind(("127.0.0.1", *port)).is_err())
        .map(|(port, user)| format!("{port} ({user})"))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    bail!(
        "these ports of the host are taken by other programs (another Kubernetes?): {}; \
         `ss -ltnp` shows by which",
        taken.join(", ")
    );
}
