//! Conditions of a status: a change of status sets the time, a repetition keeps it. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as ApiCondition, Time};

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Condition {
    /// A condition that holds.
    pub(crate) fn yes(type_: &'static str, reason: &str, message: String) -> Self {
        Self {
            type_,
            status: "True",
            reason: reason.to_owned(),
            message,
        }
    }

    /// A condition that does not hold.
    pub(crate) fn no(type_: &'static str, reason: &str, message: String) -> Self {
        Self {
            type_,
            status: "False",
            reason: reason.to_owned(),
            message,
        }
    }
}

/// Sets one condition in a list that has one per type, ordered by type.
pub(crate) fn set(
    conditions: &mut Vec<ApiCondition>,
    now: Timestamp,
    generation: Option<i64>,
    condition: Condition,
) {
    let before = conditions
        .iter()
        .find(|known| known.type_ == condition.type_);
    let since = before
        .filter(|known| known.status == condition.status)
        .map_or(Time(now), |known| known.last_transition_time.clone());
    let new = ApiCondition {
        type_: condition.type_.to_owned(),
        status: condition.status.to_owned(),
        reason: condition.reason,
        message: condition.message,
        observed_generation: generation,
        last_transition_time: since,
    };
    conditions.retain(|known| known.type_ != condition.type_);
    conditions.push(new);
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_changes_only_with_the_status() {
        let (early, late): (Timestamp, Timestamp) = (
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "2026-01-01T00:01:00Z".parse().unwrap(),
        );
        let mut conditions = Vec::new();
        set(
            &mut conditions,
            early,
            Some(1),
            Condition::no("Ready", "RollingOut", "a".to_owned()),
        );
        set(
            &mut conditions,
            late,
            Some(2),
            Condition::no("Ready", "ScalingUp", "b".to_owned()),
        );
        assert_eq!(conditions[0].last_transition_time.0, early);
        assert_eq!(conditions[0].reason, "ScalingUp");
        set(
            &mut conditions,
            late,
            Some(2),
            Condition::yes("Ready", "AllReady", "c".to_owned()),
        );
        assert_eq!(conditions[0].last_transition_time.0, late);
        assert_eq!(conditions.len(), 1);
    }
}
