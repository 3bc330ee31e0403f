//! What the user is told at the start: where everything is, what to try, and when fleets are ready.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crds::Fleet;
use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::args::Ports;
use super::folder;

/// A password for trying out: one that is accepted.
const PASSWORD: &str = "violet-anvil-tundra";

/// Prints the welcome.
#[expect(
    clippy::print_stdout,
    reason = "what the user asked for is told on stdout"
)]
pub(crate) fn print_welcome(
    ports: Ports,
    kubeconfig: &Path,
    accounts: Option<&Accounts>,
    took: Duration,
) {
    println!("{}", welcome(ports, kubeconfig, accounts, took));
}

/// The text that is printed once everything runs.
fn welcome(ports: Ports, kubeconfig: &Path, accounts: Option<&Accounts>, took: Duration) -> String {
    let mut text = String::new();
    let kubeconfig = kubeconfig.display();
    let allocator = ports.allocator();
    // Writing into a text does not fail.
    let _ = write!(
        text,
        "\nMuster runs, {:.1} s after its start. Ctrl-C ends it and everything it started.\n\n",
        took.as_secs_f64()
    );
    for (what, address) in ports.all() {
        let _ = writeln!(text, "  {what:<20} {address}");
    }
    let _ = write!(
        text,
        "\nTry:\n\n  \
         export KUBECONFIG={kubeconfig}\n  \
         kubectl get fleets,gameservers\n  \
         kubectl scale fleet arena --replicas=3\n  \
         kubectl logs --follow NAME --container simple-server\n  \
         curl --json @examples/allocation-request.json http://{allocator}/gameserverallocation\n\n\
         Then send UDP to the address and port in the answer.\n"
    );
    if let Some(accounts) = accounts {
        let issuer = accounts.issuer();
        let mails = accounts.mails().map_or_else(String::new, |folder| {
            format!(", and mails to them in {}", folder.display())
        });
        let _ = write!(
            text,
            "\nAccounts of players are at {issuer}{mails}:\n\n  \
             curl --json '{{\"email\":\"ada@example.com\",\"password\":\"{PASSWORD}\"}}' \
             {issuer}/register\n"
        );
    }
    if let Some(lobby) = ports.lobby() {
        let _ = write!(
            text,
            "\nThe lobby is at {}: parties, queues, chat. Eight players go the whole way with\n\n  \
             cargo run --release --package bots -- journey\n\n\
             What runs is shown at {}/console\n",
            folder::url(lobby.http),
            folder::url(ports.operator_admin())
        );
    }
    text
}

/// Tells when a fleet has as many Ready servers as it wants, until the token is cancelled.
pub(crate) async fn follow_fleets(client: Client, began: Instant, stop: CancellationToken) {
    let fleets: Api<Fleet> = Api::all(client);
    let mut changes = watcher(fleets, watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut told: BTreeMap<String, (i32, i32)> = BTreeMap::new();
    while let Some(Some(change)) = stop.run_until_cancelled(changes.next()).await {
        // The watch goes on by itself after an error.
        let Ok(fleet) = change else { continue };
        let uid = fleet.uid().unwrap_or_default();
        let status = fleet.status.clone().unwrap_or_default();
        let now = (status.ready_replicas, status.allocated_replicas);
        let before = told.insert(uid, now).unwrap_or_default();
        if now == before {
            continue;
        }
        tracing::info!(
            fleet = fleet.name_any(),
            ready = now.0,
            allocated = now.1,
            wanted = fleet.spec.replicas,
            after = format!("{:.1} s", began.elapsed().as_secs_f64()),
            "Fleet changed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::config;
    use super::super::manifests::EXAMPLES;
    use super::*;

    #[test]
    fn the_welcome_names_fleets_of_the_examples_only() {
        let ports = config("--dir /tmp/state").unwrap().ports;
        let text = welcome(
            ports,
            Path::new("/tmp/state/kubeconfig"),
            None,
            Duration::ZERO,
        );
        let words: Vec<_> = text.split_whitespace().collect();
        let named: Vec<_> = words
            .windows(2)
            .filter(|pair| pair[0] == "fleet")
            .map(|pair| pair[1])
            .collect();
        assert!(!named.is_empty(), "{text}");
        for fleet in named {
            let start = format!("kind: Fleet\nmetadata:\n  name: {fleet}\n");
            let applied = EXAMPLES.iter().any(|(_, text)| text.contains(&start));
            assert!(applied, "{fleet} is in no example");
        }
    }
}
