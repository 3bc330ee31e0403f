//! Eviction of pods: a deletion that asks the disruption budgets first.
//!
//! The status of a budget is data here: whoever writes it (on a real cluster a controller) says how
//! many pods may go. One that was never written allows none.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Api;
use super::super::call::Answer;
use super::super::catalog::Served;
use super::super::delete::DeleteOptions;
use super::super::request::Request;
use super::super::write::{Intent, time};
use super::{create_options, read};
use crate::control::selector::Labels;
use crate::object::{Object, meta};
use crate::objects::Deletion;
use crate::status::{Cause, Details, Status};
use crate::store::{Query, Writing};

/// Budgets as the store calls them.
const BUDGETS: &str = "poddisruptionbudgets.policy";
/// Evictions that a budget counts before anybody says that the pods are gone.
const MOST_DISRUPTED: usize = 2000;

impl Api {
    /// Deletes a pod if its disruption budget allows.
    pub(super) fn evict(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let options = create_options(request)?;
        let eviction = read(request)?;
        let served = request.served;
        let (namespace, name) = (request.namespace(), request.name());
        if meta(&eviction, "name") != name {
            return Err(Status::bad_request(
                "name in URL does not match name in Eviction object",
            ));
        }
        let delete = delete_options(&eviction, options.dry_run);
        let mut intent = Intent::of(self, request.call, &options, "eviction");
        // The server itself writes what follows.
        intent.manager = None;
        intent.checked = false;
        intent.dry_run = delete.dry_run;
        let mut writing = self.begin();
        let key = served.key(namespace, name);
        let missing = || Status::not_found("", "pods", name);
        let stored = writing.get(&served.resource, &key).ok_or_else(missing)?;
        let pod = served.show(&stored);
        super::super::delete::check_preconditions(served, &pod, &delete.deletion)?;
        if is_guarded(pod.value()) {
            self.ask_budget(&mut writing, &pod, &intent)?;
        }
        if !delete.dry_run {
            self.mark_target(&mut writing, served, &key, &pod, &intent)?;
        }
        let mut delete = delete;
        // It was that version; the mark made another.
        delete.deletion.resource_version = None;
        let user = &request.call.user.name;
        self.delete_in(&mut writing, served, namespace, name, &delete, user)?
            .ok_or_else(missing)?;
        Ok(super::done())
    }

    /// Takes one disruption out of the budget of a pod, if it has one.
    fn ask_budget(
        &self,
        writing: &mut Writing<'_>,
        pod: &Object,
        intent: &Intent<'_>,
    ) -> Result<(), Status> {
        let listed = self
            .store
            .list(&Query {
                resource: BUDGETS,
                namespace: Some(pod.meta("namespace")),
                ..Query::default()
            })
            .unwrap_or_default();
        let labels = Labels::of(pod.value());
        let mut budgets = listed
            .objects
            .iter()
            .filter(|(_, budget)| labels.match_selector(&budget.value()["spec"]["selector"]));
        let Some((key, budget)) = budgets.next() else {
            return Ok(());
        };
        if budgets.next().is_some() {
            return Err(Status::new(
                500,
                "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource \
                 does not support.",
            ));
        }
        if !is_ready(pod.value()) && spares_unready(budget.value()) {
            return Ok(());
        }
        let mut new = budget.value().clone();
        take(&mut new, pod.meta("name"), &time(intent.now))?;
        let catalog = self.catalog();
        let Some(served) = catalog.find("policy", "v1", "poddisruptionbudgets") else {
            return Ok(());
        };
        if !intent.dry_run {
            self.put(writing, served, key, new, intent.user);
        }
        Ok(())
    }

    /// Says in the status why the pod goes.
    fn mark_target(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        key: &str,
        pod: &Arc<Object>,
        intent: &Intent<'_>,
    ) -> Result<(), Status> {
        let mut new = pod.value().clone();
        super::set_condition(
            &mut new,
            json!({
                "type": "DisruptionTarget",
                "status": "True",
                "lastProbeTime": null,
                "lastTransitionTime": time(intent.now),
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }),
        );
        self.finish_update(writing, served, key, pod, new, intent)?;
        Ok(())
    }
}

fn delete_options(eviction: &Value, dry_run: bool) -> DeleteOptions {
    let options = eviction.get("deleteOptions").unwrap_or(&Value::Null);
    let precondition = |field: &str| {
        let text = options["preconditions"][field].as_str();
        text.map(ToOwned::to_owned)
    };
    let own_dry_run = options["dryRun"].as_array();
    DeleteOptions {
        deletion: Deletion {
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
            propagation: None,
            grace_period_seconds: options["gracePeriodSeconds"].as_i64(),
        },
        dry_run: dry_run || own_dry_run.is_some_and(|list| !list.is_empty()),
        orphan_dependents: None,
    }
}

/// Pods that do not run, or go already, disturb nobody.
fn is_guarded(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    !matches!(phase, "Succeeded" | "Failed" | "Pending")
        && meta(pod, "deletionTimestamp").is_empty()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a budget lets go what is not ready anyway.
fn spares_unready(budget: &Value) -> bool {
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
    let desired = count("desiredHealthy");
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (desired > 0 && count("currentHealthy") >= desired)
}

/// Counts a disruption, or says why there can be none.
fn take(budget: &mut Value, pod: &str, now: &Value) -> Result<(), Status> {
    let name = meta(budget, "name").to_owned();
    let status = budget.get("status").unwrap_or(&Value::Null);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let generation = budget["metadata"]["generation"].as_i64();
    if count("observedGeneration") < generation.unwrap_or_default() {
        let message =
            format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(message, 10));
    }
    let forbid = |why: &str| {
        Err(Status::forbidden(
            "policy",
            "poddisruptionbudget",
            &name,
            why,
        ))
    };
    let allowed = count("disruptionsAllowed");
    if allowed < 0 {
        return forbid("pdb disruptions allowed is negative");
    }
    let disrupted = status["disruptedPods"].as_object();
    if disrupted.is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
        return forbid(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        );
    }
    if allowed == 0 {
        return Err(too_many(refusal(&name, status), 0));
    }
    let status = &mut budget["status"];
    status["disruptionsAllowed"] = (allowed - 1).into();
    status["disruptedPods"][pod] = now.clone();
    if allowed == 1 {
        super::set_condition(
            budget,
            json!({
                "type": "DisruptionAllowed",
                "status": "False",
                "observedGeneration": generation,
                "lastTransitionTime": now,
                "reason": "InsufficientPods",
                "message": "",
            }),
        );
    }
    Ok(())
}

/// Why a budget allows no disruption.
fn refusal(name: &str, status: &Value) -> String {
    let conditions = status["conditions"].as_array();
    let denied = conditions.into_iter().flatten().find(|condition| {
        condition["type"] == "DisruptionAllowed" && condition["status"] == "False"
    });
    let explained = denied.and_then(|condition| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        (!text("message").is_empty()).then(|| (text("reason"), text("message")))
    });
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let (current, desired) = (count("currentHealthy"), count("desiredHealthy"));
    match explained {
        Some(("SyncFailed", message)) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed \
             sync: {message}"
        ),
        _ if current <= desired => format!(
            "The disruption budget {name} needs {desired} healthy pods and has {current} currently"
        ),
        Some((reason, message)) => format!(
            "The disruption budget {name} does not allow evicting pods currently ({reason}): \
             {message}"
        ),
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

fn too_many(message: String, retry_after_seconds: u32) -> Status {
    let mut status = Status::new(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    status.details = Some(Box::new(Details {
        causes: vec![Cause {
            reason: "DisruptionBudget",
            message,
            field: String::new(),
        }],
        retry_after_seconds,
        ..Details::default()
    }));
    status
}
