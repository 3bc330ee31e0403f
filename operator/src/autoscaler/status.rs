//! What the status of an autoscaler says. Pure; called by the reconcile of autoscalers.
//!
//! Never changes `lastScaleTime` unless the fleet was scaled.
#![deny(clippy::wildcard_enum_match_arm)]

use crds::FleetAutoscalerStatus;
use crds::autoscaler::PolicyType;
use jiff::Timestamp;

use super::plan::{Desired, Observed, Plan, Verdict};
use crate::conditions::{Condition, set};

/// What became of the plan's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// There was none, or it failed.
    Nothing,
    /// The fleet was scaled.
    Scaled,
}

/// Returns the new status.
pub(crate) fn status(
    now: Timestamp,
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    applied: Applied,
    previous: &FleetAutoscalerStatus,
) -> FleetAutoscalerStatus {
    let policy = match desired.spec.policy.type_ {
        PolicyType::Buffer => "Buffer",
    };
    let mut status = FleetAutoscalerStatus {
        observed_generation: desired.generation,
        current_replicas: observed.fleet.as_ref().map_or(0, |fleet| fleet.current),
        last_scale_time: match applied {
            Applied::Nothing => previous.last_scale_time,
            Applied::Scaled => Some(now),
        },
        last_applied_policy: previous.last_applied_policy.clone(),
        conditions: previous.conditions.clone(),
        ..FleetAutoscalerStatus::default()
    };
    let fleet = &desired.spec.fleet_name;
    let no = |reason, message| Condition::no("Ready", reason, message);
    let condition = match plan.verdict {
        Verdict::Size { desired, limited } => {
            status.able_to_scale = true;
            status.desired_replicas = desired;
            status.scaling_limited = limited;
            policy.clone_into(&mut status.last_applied_policy);
            let message = format!("the policy {policy} is applied to Fleet {fleet}");
            Condition::yes("Ready", "PolicyApplied", message)
        }
        Verdict::FleetNotFound => no("FleetNotFound", format!("there is no Fleet {fleet}")),
        Verdict::FleetTaken => {
            let rival = observed.rival.as_deref().unwrap_or_default();
            no(
                "FleetTaken",
                format!("Fleet {fleet} is sized by FleetAutoscaler {rival}"),
            )
        }
        Verdict::FleetBeingDeleted => no(
            "FleetBeingDeleted",
            format!("Fleet {fleet} is being deleted"),
        ),
        Verdict::PolicyInvalid => no(
            "PolicyInvalid",
            format!("the settings of the policy {policy} cannot be used"),
        ),
    };
    set(&mut status.conditions, now, desired.generation, condition);
    status
}
