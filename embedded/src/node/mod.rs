//! A node that runs pods as processes of this host, without containers.
//!
//! To the API server it is a kubelet: it registers a Node, keeps its Lease, runs the pods that
//! are bound to it, writes their statuses and events, and gives out their logs. It needs nothing
//! but a [`kube::Client`], so it works with any API server.
//!
//! # What is different from containers
//!
//! There are no images, no namespaces and no control groups. The differences are bridged by few
//! rules, which show in what a process is given:
//!
//! - **Images.** A program of the host stands for an image ([`Images`]); it takes the place of
//!   the image's entrypoint and of the first word of `command`. The rest of `command`, and
//!   `args`, follow. Without a program the container waits with `ErrImageNeverPull`.
//! - **Ports.** All pods share the host's network, and the node's address is that of all its
//!   pods. Each port `P` of a pod (declared by a container, named by number in a probe or hook,
//!   or in `AGONES_SDK_GRPC_PORT` or `AGONES_SDK_HTTP_PORT`) has a port `Q` of the host: the
//!   `hostPort`, or a free one. In arguments and in values of variables, `P` becomes `Q` where
//!   it is the whole text, the value of a flag (`--flag=P`) or the port of an address of the pod
//!   itself (`:P`, `localhost:P`, `http://127.0.0.1:P/path`). Probes and hooks go to `Q`.
//!   A container is told the `Q` of its first declared port as `PORT`, and a sidecar the `Q` of
//!   the undeclared port at which it is probed as `HEALTH_PORT`, unless the template sets these.
//!   Pods with `hostNetwork` keep their ports.
//! - **Volumes.** Each volume is a directory below the node's root. In arguments, variables,
//!   `workingDir` and commands of probes and hooks, mount paths become these directories where a
//!   path can begin and end. A path that is built into a program is not found. There are
//!   emptyDir, configMap, secret, downwardAPI, projected (with service-account tokens that are
//!   bound to the pod and renewed at 80 % of their life) and hostPath.
//! - **Environment.** A process sees the variables of its container and those that the node was
//!   given for all (such as `PATH`), nothing else; there are no variables for Services.
//! - **Working directory.** `workingDir`, if it is below a volume or exists on the host; else
//!   where the program lies.
//! - **Users, security contexts, limits.** Processes run as the user who runs the node; limits
//!   of CPU and memory are not enforced, so no container is `OOMKilled`.
//! - **Probes.** httpGet (HTTP), tcpSocket and exec. Others count as successful, with an event.
//!   Commands of probes and hooks run on the host with the container's environment.
//! - **Signals.** A container that is to end gets SIGTERM, and SIGKILL when its grace is over,
//!   as a whole process group, not only in its first process.
//! - **Absent.** exec, attach and port-forward; ephemeral containers; changes of resources in
//!   place; `terminationMessagePath` (`FallbackToLogsOnError` works).
//!
//! # No process is left behind
//!
//! Every process leads a group of its own, dies with the node's process by order of the kernel
//! where there is such an order (Linux), and is known to a [guard] that ends whatever is
//! left when the node has gone, be it by `kill -9`. Processes that left their group are known by
//! a variable in their environment, `MUSTER_PROCESS`. What even the guard could not end, the next
//! run of the node finds by its records.

mod cache;
mod container;
mod env;
mod events;
pub mod guard;
mod health;
mod image;
mod life;
mod logs;
mod marks;
mod pod;
mod ports;
mod probe;
mod processes;
mod register;
mod registry;
mod rewrite;
mod run;
pub mod shim;
pub mod simulated;
mod status;
mod storage;
mod usage;
mod volumes;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::SignedDuration;
use kube::Client;

use crate::Clock;

pub use image::{Images, Program};
pub use register::Capacity;
pub use run::Node;

/// Ports for pods that do not choose: below those that systems take for outgoing connections.
pub const PORTS: RangeInclusive<u16> = 20_000..=29_999;

/// How long a call to the API server may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between renewals of the node's lease, as with the kubelet.
const LEASE_PERIOD: Duration = Duration::from_secs(10);
/// Renewals between two writes of an unchanged status of the node: five minutes.
const BEATS_PER_STATUS: u32 = 30;
/// Pause before a container that cannot be started is tried again.
const START_RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Pause before volumes that cannot be made are tried again.
const PREPARE_RETRY: SignedDuration = SignedDuration::from_secs(2);
/// What processes get at most to end when the node ends.
const QUIT_GRACE: SignedDuration = SignedDuration::from_secs(5);

/// How a node is set up.
#[derive(Clone)]
pub struct Config {
    /// The API server.
    pub client: Client,
    /// Name of the node.
    pub name: String,
    /// Address of the node and of all its pods.
    pub address: IpAddr,
    /// Labels of the node besides those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Directory for pods' files and logs. One node at a time may use it.
    pub root: PathBuf,
    /// Which program stands for which image.
    pub images: Images,
    /// Program and leading arguments that run [`helper`], such as this program with a hidden
    /// subcommand. The program must be an absolute path.
    pub helper: Vec<OsString>,
    /// Variables that every process gets, such as `PATH`.
    pub environment: BTreeMap<String, String>,
    /// What the node can give to its pods.
    pub capacity: Capacity,
    /// Ports of the host for those ports of pods that have no `hostPort`: [`PORTS`] if nothing
    /// speaks against it.
    pub ports: RangeInclusive<u16>,
    /// Tells the time.
    pub clock: Clock,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Config")
            .field("name", &self.name)
            .field("address", &self.address)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be used.
    #[error("cannot use the node's directory {}", path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: io::Error,
    },
    /// Another node uses the directory.
    #[error("another node uses the directory {}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Processes cannot be started.
    #[error("cannot prepare to start processes")]
    Processes(#[source] io::Error),
}

/// The helper programs of the node, by their first argument: `shim` or `guard`.
///
/// The program whose path and leading arguments are in [`Config::helper`] must call this with
/// the arguments that follow, before it starts threads or touches its standard streams.
pub fn helper(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    match arguments
        .next()
        .as_deref()
        .and_then(std::ffi::OsStr::to_str)
    {
        Some("shim") => shim::main(arguments),
        Some("guard") => guard::main(arguments),
        _ => ExitCode::from(64),
    }
}

/// What an API server said, or why it said nothing, for a sentence.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
