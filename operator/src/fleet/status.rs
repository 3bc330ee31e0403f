//! What the status of a fleet says. Pure; called by the reconcile of fleets.
//!
//! Never names single servers, so that its size is bounded.
#![deny(clippy::wildcard_enum_match_arm)]

use crds::{FleetStatus, meta};
use jiff::Timestamp;

use super::plan::{Desired, Division, Member, Observed, divide, final_size};
use crate::conditions::{Condition, set};

/// What the API server said to a dry run of the fleet's first pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// Not asked yet: the condition stays as it is.
    Unknown,
    /// The pod could be created.
    Accepted,
    /// It could not.
    Refused {
        reason: &'static str,
        message: String,
    },
}

/// Returns the new status.
pub(crate) fn status(
    now: Timestamp,
    desired: &Desired,
    observed: &Observed,
    acceptance: &Acceptance,
    previous: &FleetStatus,
) -> FleetStatus {
    let mut status = FleetStatus {
        observed_generation: desired.generation,
        label_selector: label_selector(&desired.name),
        conditions: previous.conditions.clone(),
        ..FleetStatus::default()
    };
    for set in &observed.sets {
        status.replicas += set.status.replicas;
        status.ready_replicas += set.status.ready_replicas;
        status.reserved_replicas += set.status.reserved_replicas;
        status.allocated_replicas += set.status.allocated_replicas;
    }
    let generation = desired.generation;
    set(
        &mut status.conditions,
        now,
        generation,
        ready(desired, observed),
    );
    match acceptance {
        Acceptance::Unknown => {}
        Acceptance::Accepted => {
            let message = "pods can be made from the template".to_owned();
            let condition = Condition::yes("Accepted", "TemplateAccepted", message);
            set(&mut status.conditions, now, generation, condition);
        }
        Acceptance::Refused { reason, message } => {
            let condition = Condition::no("Accepted", reason, message.clone());
            set(&mut status.conditions, now, generation, condition);
        }
    }
    status
}

/// The selector of the fleet's pods, for the scale subresource.
pub(crate) fn label_selector(fleet: &str) -> String {
    let (fleet_label, role_label) = (meta::FLEET_LABEL, meta::ROLE_LABEL);
    format!(
        "{fleet_label}={fleet},{role_label}={}",
        meta::ROLE_GAMESERVER
    )
}

fn ready(desired: &Desired, observed: &Observed) -> Condition {
    let no = |reason: &str, message: String| Condition::no("Ready", reason, message);
    let Division { active, rest } = divide(desired, &observed.sets);
    let wanted = final_size(desired, &rest);
    let old: i64 = rest
        .iter()
        .map(|set| (set.live - set.held).max(set.replicas - set.held))
        .sum();
    let old = old.max(0);
    let Some(active) = active else {
        let reason = if rest.is_empty() {
            "ScalingUp"
        } else {
            "RollingOut"
        };
        return no(reason, "no set has the fleet's template yet".to_owned());
    };
    let Member {
        live,
        held,
        ready,
        replicas,
        ..
    } = active;
    let usable = ready + held;
    let failures = active
        .view
        .status
        .backoff
        .as_ref()
        .map_or(0, |backoff| backoff.failures);
    let name = &active.view.name;
    if usable < wanted && failures > 1 {
        let message = format!(
            "servers of set {name} fail ({failures} times in a row); {usable} of {wanted} are up"
        );
        no("CrashLooping", message)
    } else if old > 0 {
        let message = format!(
            "{usable} of {wanted} servers of the current template are up, {old} of older ones remain"
        );
        no("RollingOut", message)
    } else if usable < wanted || !active.current || replicas < wanted {
        no("ScalingUp", format!("{usable} of {wanted} servers are up"))
    } else if live > wanted.max(held) || replicas > wanted {
        no(
            "ScalingDown",
            format!("{live} servers are there, {wanted} shall be"),
        )
    } else {
        Condition::yes(
            "Ready",
            "AllReady",
            format!("{wanted} servers of the current template are up"),
        )
    }
}
