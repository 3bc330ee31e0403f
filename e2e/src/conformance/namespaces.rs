//! Namespaces for cases. A real cluster takes long to delete one, so a case leaves its namespace
//! to a later one if nothing of it can remain there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::case::Case;
use super::server::{Answer, Server};

/// Longest time until the objects of a case are gone.
const EMPTY: Duration = Duration::from_secs(5);

/// Kinds of which nothing remains when they are deleted, with the words that show that a case uses
/// them. Roles are not among them: authorizers may remember them for a while.
const PLAIN: [(&str, &str); 11] = [
    ("$CORE/secrets", "/api/v1/namespaces/$NS/secrets"),
    (
        "$CORE/configmaps",
        // Every namespace has this one.
        "/api/v1/namespaces/$NS/configmaps?fieldSelector=metadata.name!%3Dkube-root-ca.crt",
    ),
    (
        "$CORE/pods",
        "/api/v1/namespaces/$NS/pods?gracePeriodSeconds=0",
    ),
    ("$CORE/services", "/api/v1/namespaces/$NS/services"),
    (
        "$CORE/serviceaccounts",
        "/api/v1/namespaces/$NS/serviceaccounts?fieldSelector=metadata.name!%3Ddefault",
    ),
    ("widgets", "/apis/$GROUP/v1/namespaces/$NS/widgets"),
    (
        "/gameservers",
        "/apis/muster.$GROUP/v1/namespaces/$NS/gameservers",
    ),
    ("/fleets", "/apis/muster.$GROUP/v1/namespaces/$NS/fleets"),
    (
        "/matchallocations",
        "/apis/muster.$GROUP/v1/namespaces/$NS/matchallocations",
    ),
    (
        "/fleetautoscalers",
        "/apis/autoscaling.muster.dev/v1/namespaces/$NS/fleetautoscalers",
    ),
    (
        "/leases",
        "/apis/coordination.k8s.io/v1/namespaces/$NS/leases",
    ),
];

/// What shows that a case does more than that, or that it could see what was there before.
const LEAVES_TRACES: [&str; 9] = [
    "/events",
    "/roles",
    "/rolebindings",
    "/endpointslices",
    "/poddisruptionbudgets",
    "/horizontalpodautoscalers",
    "/namespaces/$NS\"",
    "resourceVersion=0",
    "customresourcedefinitions",
];

/// The namespaces of a run.
#[derive(Debug)]
pub(super) struct Namespaces {
    /// Begins every name.
    prefix: String,
    /// Group of the kind Widget.
    group: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    made: Vec<String>,
    free: Vec<String>,
}

impl Namespaces {
    pub(super) fn new(prefix: String, group: String) -> Self {
        Self {
            prefix,
            group,
            state: Mutex::default(),
        }
    }

    /// A namespace for a case: an empty one.
    pub(super) async fn take(&self, server: &Server, case: &Case) -> Result<String> {
        let (name, is_new) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let free = if is_plain(case) {
                state.free.pop()
            } else {
                None
            };
            let is_new = free.is_none();
            let name = free.unwrap_or_else(|| format!("{}-{}", self.prefix, state.made.len()));
            if is_new {
                state.made.push(name.clone());
            }
            (name, is_new)
        };
        if is_new {
            let object = json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": { "name": name },
            });
            let answer = server.create("/api/v1/namespaces", &object).await?;
            ensure!(answer.is_success(), "{}", answer.body);
        }
        if case.source.contains("/pods") {
            // Pods are refused until it is there.
            let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
            server.poll(&path, EMPTY, Answer::is_success).await?;
        }
        Ok(name)
    }

    /// Takes back the namespace of a case that is over. What the case forgot is an error, but does
    /// not stay.
    pub(super) async fn give_back(&self, server: &Server, case: &Case, name: &str) -> Result<()> {
        let mut result = Ok(());
        for (word, path) in PLAIN {
            if !case.source.contains(word) && !case.source.contains(&word.to_uppercase()) {
                continue;
            }
            let path = path.replace("$NS", name).replace("$GROUP", &self.group);
            server.delete(&path).await?;
            let emptied = server.poll(&path, EMPTY, |answer| {
                answer.body["items"] == Value::Array(Vec::new())
            });
            if let Err(error) = emptied.await {
                release(server, &path).await?;
                result = Err(error);
            }
        }
        if result.is_ok() && is_plain(case) {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.free.push(name.to_owned());
        }
        result
    }

    /// Deletes all.
    pub(super) async fn delete(&self, server: &Server) -> Result<()> {
        let made = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.free.clear();
            std::mem::take(&mut state.made)
        };
        for name in made {
            let path = format!("/api/v1/namespaces/{name}");
            server.delete(&path).await?;
        }
        Ok(())
    }
}

/// Takes the finalizers away from every object of a collection.
async fn release(server: &Server, collection: &str) -> Result<()> {
    let objects = server.get(collection).await?.body;
    let path = collection.split('?').next().unwrap_or_default();
    for object in objects["items"].as_array().into_iter().flatten() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let freed = json!({ "metadata": { "finalizers": null } });
        server.merge(&format!("{path}/{name}"), &freed).await?;
    }
    Ok(())
}

/// Whether everything that a case leaves in its namespace is known.
fn is_plain(case: &Case) -> bool {
    !LEAVES_TRACES
        .iter()
        .any(|trace| case.source.contains(trace))
}
