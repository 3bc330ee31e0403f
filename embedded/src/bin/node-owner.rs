//! For the tests of the process-based node: its helper program, and a cluster that can be killed.
//!
//! - `node-owner __node …` is the [helper](embedded::node::helper).
//! - `node-owner ROOT POD` runs an API server and a node in `ROOT`, creates the pod in the file
//!   `POD`, says `ready` when it is ready, and ends when its input does.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use embedded::Embedded;
use embedded::access::{MASTERS, User};
use embedded::node::{Capacity, Config, Node, PORTS, Program};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(first) = arguments.next() else {
        return ExitCode::from(64);
    };
    if first == "__node" {
        return embedded::node::helper(arguments);
    }
    let Some(pod) = arguments.next() else {
        return ExitCode::from(64);
    };
    match own(first.into(), pod.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody reads it but a developer whose test fails.
            let said = writeln!(std::io::stderr(), "node-owner: {error}");
            if said.is_ok() {
                ExitCode::FAILURE
            } else {
                ExitCode::from(2)
            }
        }
    }
}

#[tokio::main]
async fn own(root: PathBuf, pod: PathBuf) -> Result<(), Box<dyn Error>> {
    let counter = AtomicU64::new(1);
    let uids = Arc::new(move || {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012}")
    });
    let embedded = Embedded::builder(Arc::new(jiff::Timestamp::now), uids).start()?;
    let client = embedded.client(User::authenticated("admin", &[MASTERS]));
    let helper: Vec<OsString> = vec![std::env::current_exe()?.into(), "__node".into()];
    let node = Node::new(Config {
        client: client.clone(),
        name: "local".to_owned(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        labels: std::collections::BTreeMap::new(),
        root,
        images: [("sh", Program::new("/bin/sh"))].into_iter().collect(),
        helper,
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        capacity: Capacity::of_host(110),
        ports: PORTS,
        clock: Arc::new(jiff::Timestamp::now),
    });
    let stop = CancellationToken::new();
    let watching = async {
        let pod: Pod = serde_json::from_slice(&std::fs::read(pod)?)?;
        let pods: Api<Pod> = Api::namespaced(client, "default");
        let pod = pods.create(&PostParams::default(), &pod).await?;
        let name = pod.metadata.name.unwrap_or_default();
        await_condition(pods, &name, conditions::is_pod_running()).await?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "ready")?;
        stdout.flush()?;
        let until_end = || std::io::read_to_string(std::io::stdin());
        tokio::task::spawn_blocking(until_end).await??;
        stop.cancel();
        Ok::<(), Box<dyn Error>>(())
    };
    let (ran, watched) = tokio::join!(node.run(stop.clone()), watching);
    watched?;
    ran?;
    Ok(())
}
