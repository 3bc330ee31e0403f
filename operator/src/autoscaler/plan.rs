//! To which size an autoscaler brings its fleet. Pure; called by the reconcile of autoscalers.
//!
//! Never goes beyond the policy's bounds, and never touches a fleet that is being deleted.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use crds::FleetAutoscalerSpec;
use crds::autoscaler::{BufferPolicy, PolicyType, SyncType};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What the autoscaler shall do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Desired {
    pub(crate) generation: Option<i64>,
    pub(crate) being_deleted: bool,
    pub(crate) spec: FleetAutoscalerSpec,
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The fleet, if there is one.
    pub(crate) fleet: Option<FleetView>,
    /// An older autoscaler of the same fleet: that one acts.
    pub(crate) rival: Option<String>,
}

/// The fleet to size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FleetView {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) being_deleted: bool,
    /// Servers that it shall have by its spec.
    pub(crate) replicas: i32,
    /// Servers that it has by its status.
    pub(crate) current: i32,
    /// Active matches: Allocated servers of all its sets.
    pub(crate) allocated: i32,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Change the size of a fleet, only if it is still the one that was seen.
    ScaleFleet {
        fleet: String,
        uid: String,
        resource_version: String,
        from: i32,
        to: i32,
        why: String,
    },
}

/// What is to be done, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) action: Option<Action>,
    /// When to look again besides on changes.
    pub(crate) requeue: Option<Duration>,
    pub(crate) verdict: Verdict,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The fleet shall have this many servers; `limited` if the policy asked for more than its
    /// maximum or less than its minimum.
    Size { desired: i32, limited: bool },
    /// There is no such fleet.
    FleetNotFound,
    /// An older autoscaler sizes the fleet; two would undo each other's work.
    FleetTaken,
    /// The fleet goes.
    FleetBeingDeleted,
    /// The policy's settings make no sense; the schema refuses such.
    PolicyInvalid,
}

/// Decides what is to be done. Nothing depends on the time; stabilization is not part of Buffer.
pub(crate) fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let requeue = match desired.spec.sync.type_ {
        SyncType::FixedInterval => u64::try_from(desired.spec.sync.fixed_interval.seconds.max(1))
            .ok()
            .map(Duration::from_secs),
    };
    let verdict = |verdict| Plan {
        action: None,
        requeue,
        verdict,
    };
    let fleet = match &observed.fleet {
        None => return verdict(Verdict::FleetNotFound),
        Some(fleet) if fleet.being_deleted => return verdict(Verdict::FleetBeingDeleted),
        Some(_) if observed.rival.is_some() => return verdict(Verdict::FleetTaken),
        Some(fleet) => fleet,
    };
    let size = match desired.spec.policy.type_ {
        PolicyType::Buffer => {
            let policy = desired.spec.policy.buffer.as_ref();
            policy.and_then(|policy| buffered(policy, fleet.allocated))
        }
    };
    let Some((size, limited)) = size else {
        return verdict(Verdict::PolicyInvalid);
    };
    let scales = size != fleet.replicas && !desired.being_deleted;
    let action = scales.then(|| Action::ScaleFleet {
        fleet: fleet.name.clone(),
        uid: fleet.uid.clone(),
        resource_version: fleet.resource_version.clone(),
        from: fleet.replicas,
        to: size,
        why: format!("{} active matches", fleet.allocated),
    });
    Plan {
        action,
        requeue,
        verdict: Verdict::Size {
            desired: size,
            limited,
        },
    }
}

/// The size with the buffer, and whether a bound held it back; none if the policy is malformed.
fn buffered(policy: &BufferPolicy, allocated: i32) -> Option<(i32, bool)> {
    let allocated = i64::from(allocated.max(0));
    let wanted = match &policy.buffer_size {
        IntOrString::Int(buffer) => allocated + i64::from((*buffer).max(0)),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let used = (1..100).contains(&percent).then_some(100 - percent)?;
            (allocated * 100).div_euclid(used) + i64::from((allocated * 100).rem_euclid(used) > 0)
        }
    };
    // Not `clamp`, which panics if the bounds are the wrong way round.
    let bounded = wanted
        .min(i64::from(policy.max_replicas))
        .max(i64::from(policy.min_replicas));
    Some((
        i32::try_from(bounded.max(0)).unwrap_or(i32::MAX),
        bounded != wanted,
    ))
}
