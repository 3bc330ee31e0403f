//! ClusterRoles that are made of others: `rules` are those of all roles that the selectors of
//! `aggregationRule` match.

use serde_json::Value;
use tokio::time::Instant;

use super::drive::{Controller, Next};
use super::queue::Queue;
use super::selector::Labels;
use crate::objects::{Change, Objects};
use crate::status::Status;

const GROUP: &str = "rbac.authorization.k8s.io";
const RESOURCE: &str = "clusterroles";

/// Keeps aggregated roles. There are few roles, so that every change looks at all of them.
#[derive(Default)]
pub(super) struct Aggregator {
    queue: Queue<()>,
}

impl Aggregator {
    /// Sets the rules of all aggregated roles. A role may be made of aggregated ones: its own
    /// change looks at all again, until nothing changes.
    fn aggregate(objects: &dyn Objects) -> Result<(), Status> {
        let kinds = objects.kinds();
        let Some(kind) = kinds.resource(GROUP, RESOURCE) else {
            return Ok(());
        };
        let mut roles = objects.list(kind, None);
        roles.sort_by(|left, right| left.meta("name").cmp(right.meta("name")));
        for role in &roles {
            let Some(selectors) =
                role.value()["aggregationRule"]["clusterRoleSelectors"].as_array()
            else {
                continue;
            };
            let mut gathered: Vec<Value> = Vec::new();
            for selector in selectors {
                let matching = roles.iter().filter(|other| {
                    other.meta("name") != role.meta("name")
                        && Labels::of(other.value()).match_selector(selector)
                });
                for rule in matching
                    .filter_map(|other| other.value()["rules"].as_array())
                    .flatten()
                {
                    if !gathered.contains(rule) {
                        gathered.push(rule.clone());
                    }
                }
            }
            objects.change(kind, "", role.meta("name"), &mut |role| {
                let is_empty = role["rules"].as_array().is_none_or(Vec::is_empty);
                if !(is_empty && gathered.is_empty()) {
                    role["rules"] = gathered.clone().into();
                }
            })?;
        }
        Ok(())
    }
}

impl Controller for Aggregator {
    fn name(&self) -> &'static str {
        "aggregator of roles"
    }

    fn start(&mut self, _: &dyn Objects, now: Instant) {
        self.queue = Queue::default();
        self.queue.add((), now);
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        if change.kind.group == GROUP && change.kind.plural == RESOURCE {
            self.queue.add((), now);
        }
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        while self.queue.take(now).is_some() {
            match Self::aggregate(objects) {
                Ok(()) => self.queue.succeed(&()),
                Err(status) => {
                    tracing::warn!(%status, "Could not aggregate roles; trying again");
                    self.queue.retry((), now);
                }
            }
        }
        self.queue.next().into()
    }
}
