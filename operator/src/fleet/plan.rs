//! How a fleet divides its replicas among its sets: one per revision of its template. Pure; called
//! by the reconcile of fleets.
//!
//! Never deletes a set that has servers, so no held server is ever lost to a rollout, and never
//! sizes a set of an old template up.
//!
//! The set with the fleet's template is *active*, all others are *rest*. What a rolling update
//! keeps, with `replicas` R, surge S and unavailable U:
//! - there are never more than R + S servers, unless more than that are held;
//! - servers that players can use (Ready and held) never become fewer than R - U by our doing;
//! - the active set gets R less the held servers of the rest, which nothing can remove.
//!
//! It cannot stall: servers of old sets that are not Ready are removed at once, so that the rest
//! consists of usable servers; whenever S is used up by the active set, either its servers become
//! Ready and as many old ones can go, or they never do and it stops at S + U.
#![deny(clippy::wildcard_enum_match_arm)]

use crds::fleet::{Rounding, StrategyType, resolve};
use crds::{FleetSpec, GameServerSetSpec, GameServerSetStatus};
use jiff::Timestamp;

use crate::ordinals::Ordinals;

/// What the fleet shall be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Desired {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) generation: Option<i64>,
    pub(crate) being_deleted: bool,
    pub(crate) spec: FleetSpec,
}

/// A set of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SetView {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) generation: Option<i64>,
    pub(crate) created: Timestamp,
    pub(crate) being_deleted: bool,
    pub(crate) spec: GameServerSetSpec,
    pub(crate) status: GameServerSetStatus,
}

/// What is known about the fleet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    /// Sets whose controller is this fleet, in any order.
    pub(crate) sets: Vec<SetView>,
    /// [`Plan::next_ordinal`] of the plan before; none after a restart.
    pub(crate) next_ordinal: Option<u32>,
}

/// One write to a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create a set with the fleet's template, scheduling, overflow and priorities.
    Create {
        name: String,
        replicas: i32,
        why: &'static str,
    },
    /// Change the number of a set.
    Scale {
        name: String,
        uid: String,
        resource_version: String,
        replicas: i32,
        why: &'static str,
    },
    /// Change the number of a set, and its scheduling, overflow and priorities to the fleet's.
    Update {
        name: String,
        uid: String,
        resource_version: String,
        replicas: i32,
        why: &'static str,
    },
    /// Delete an empty set, only if it is still the one that was seen.
    Delete {
        name: String,
        uid: String,
        resource_version: String,
        why: &'static str,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In the order in which they are done: what makes room goes first.
    pub(crate) actions: Vec<Action>,
    /// For [`Observed::next_ordinal`] of the next plan.
    pub(crate) next_ordinal: u32,
}

/// Decides what is to be done. Nothing waits for time: every step is woken by a set's status.
pub(crate) fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let names = observed.sets.iter().map(|set| set.name.as_str());
    let ordinals = Ordinals::new(&desired.name, &desired.uid, names, observed.next_ordinal);
    let next_ordinal = ordinals.next();
    // The garbage collector deletes the sets of a fleet that goes.
    if desired.being_deleted {
        return Plan {
            actions: Vec::new(),
            next_ordinal,
        };
    }
    let Division { active, mut rest } = divide(desired, &observed.sets);
    let replicas = match desired.spec.strategy.type_ {
        StrategyType::RollingUpdate => roll(desired, active.as_ref(), &mut rest),
        StrategyType::Recreate => recreate(desired, active.as_ref(), &mut rest),
    };
    let outdated = "template is not the fleet's";
    let mut actions: Vec<_> = rest
        .iter()
        .filter_map(|set| set.write(desired, outdated))
        .collect();
    match active {
        Some(set) => {
            let set = Member {
                target: replicas,
                ..set
            };
            let why = if set.target < set.replicas {
                "scale down"
            } else {
                "scale up"
            };
            actions.extend(set.write(desired, why));
        }
        None => actions.extend(ordinals.names(1).into_iter().map(|name| Action::Create {
            name,
            replicas: narrow(replicas),
            why: "no set has the fleet's template",
        })),
    }
    actions.extend(
        rest.iter()
            .filter(|set| set.is_empty())
            .map(|set| Action::Delete {
                name: set.view.name.clone(),
                uid: set.view.uid.clone(),
                resource_version: set.view.resource_version.clone(),
                why: "template is not the fleet's, and no server is left",
            }),
    );
    Plan {
        actions,
        next_ordinal,
    }
}

/// The sets of a fleet.
#[derive(Debug)]
pub(super) struct Division<'a> {
    /// The set with the fleet's template.
    pub(super) active: Option<Member<'a>>,
    /// The others, oldest first.
    pub(super) rest: Vec<Member<'a>>,
}

/// A set with its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) view: &'a SetView,
    /// Servers that it shall have by its spec.
    pub(super) replicas: i64,
    /// Servers that it has.
    pub(super) live: i64,
    /// Allocated and Reserved servers.
    pub(super) held: i64,
    /// Ready servers.
    pub(super) ready: i64,
    /// Whether the numbers describe a set that has seen its present spec. If not, more servers may
    /// be gone or on their way than they tell.
    pub(super) current: bool,
    /// Servers that it is to have by its spec.
    target: i64,
}

/// Divides the sets; those that are being deleted belong to the garbage collector and are left out.
///
/// Should several sets have the fleet's template, the oldest is active, as long as it exists.
pub(super) fn divide<'a>(desired: &Desired, sets: &'a [SetView]) -> Division<'a> {
    let mut rest: Vec<_> = sets
        .iter()
        .filter(|set| !set.being_deleted)
        .map(Member::new)
        .collect();
    rest.sort_by(|a, b| (a.view.created, &a.view.name).cmp(&(b.view.created, &b.view.name)));
    let index = rest
        .iter()
        .position(|set| set.view.spec.template == desired.spec.template);
    let active = index.map(|index| rest.remove(index));
    Division { active, rest }
}

/// Servers of the active set in the end: held servers of the rest take their part of `replicas`.
pub(super) fn final_size(desired: &Desired, rest: &[Member<'_>]) -> i64 {
    (i64::from(desired.spec.replicas) - rest.iter().map(|set| set.held).sum::<i64>()).max(0)
}

impl<'a> Member<'a> {
    fn new(view: &'a SetView) -> Self {
        let status = &view.status;
        let replicas = i64::from(view.spec.replicas);
        Self {
            view,
            replicas,
            live: i64::from(status.replicas),
            held: i64::from(status.allocated_replicas) + i64::from(status.reserved_replicas),
            ready: i64::from(status.ready_replicas),
            current: status.observed_generation == view.generation,
            target: replicas,
        }
    }

    /// Servers that players can use and that the set keeps if it is sized to `size`: it removes
    /// those that are not Ready first, and never held ones.
    fn usable_at(&self, size: i64) -> i64 {
        let ready = if self.current { self.ready } else { 0 };
        self.held + ready.min(size - self.held).max(0)
    }

    /// The size up to which no server would be created for it.
    fn assured(&self) -> i64 {
        if self.current {
            self.replicas.max(self.held)
        } else {
            self.replicas
        }
    }

    /// Servers that there may be until the set has done what its target asks for: meanwhile it may
    /// still fill up to its present spec.
    fn present(&self) -> i64 {
        self.replicas.max(self.live).max(self.held)
    }

    /// Whether nothing, not even evidence of failures, would be lost with the set.
    fn is_empty(&self) -> bool {
        let ending = self.view.status.shutdown_replicas;
        self.current && self.replicas == 0 && self.live == 0 && self.held == 0 && ending == 0
    }

    /// The write that takes the set to its target and to the fleet's settings, if there is one.
    fn write(&self, desired: &Desired, why: &'static str) -> Option<Action> {
        let (fleet, set) = (&desired.spec, &self.view.spec);
        let same_settings = set.scheduling == fleet.scheduling
            && set.allocation_overflow == fleet.allocation_overflow
            && set.priorities == fleet.priorities;
        let name = self.view.name.clone();
        let uid = self.view.uid.clone();
        let resource_version = self.view.resource_version.clone();
        let replicas = narrow(self.target);
        if !same_settings {
            let why = if self.target == self.replicas {
                "settings of the fleet changed"
            } else {
                why
            };
            return Some(Action::Update {
                name,
                uid,
                resource_version,
                replicas,
                why,
            });
        }
        (self.target != self.replicas).then_some(Action::Scale {
            name,
            uid,
            resource_version,
            replicas,
            why,
        })
    }
}

/// Plans one step of a rolling update; returns the active set's size.
fn roll(desired: &Desired, active: Option<&Member<'_>>, rest: &mut [Member<'_>]) -> i64 {
    let total = i64::from(desired.spec.replicas);
    let bounds = &desired.spec.strategy.rolling_update;
    let surge = i64::from(resolve(
        &bounds.max_surge,
        desired.spec.replicas,
        Rounding::Up,
    ));
    let unavailable = i64::from(resolve(
        &bounds.max_unavailable,
        desired.spec.replicas,
        Rounding::Down,
    ))
    .max(1);
    let size = final_size(desired, rest);
    let mut own = active.map_or(0, |set| set.assured().min(size));

    // Servers of old sets that are not Ready are of no use to anybody.
    for set in rest.iter_mut().filter(|set| set.current) {
        set.target = set.target.min(set.held + set.ready);
    }
    let usable = rest
        .iter()
        .map(|set| set.usable_at(set.target))
        .sum::<i64>()
        + active.map_or(0, |set| set.usable_at(own));
    let mut spare = usable - (total - unavailable).max(0);
    for set in &mut *rest {
        let removed = (set.target - set.held).min(spare).max(0);
        set.target -= removed;
        spare -= removed;
        // What is held stays anyway; once it ends, nothing shall take its place.
        if set.current && set.target <= set.held {
            set.target = 0;
        }
    }

    // The bound may have come down. Of the active set, only servers of no use yet may go for it.
    let over = rest.iter().map(|set| set.target.max(set.held)).sum::<i64>()
        + active.map_or(0, |set| own.max(set.held))
        - (total + surge);
    if let Some(set) = active.filter(|set| set.current && over > 0) {
        return own.min((own - over).max(set.held + set.ready));
    }
    own = own.max(size.min(room(total + surge, rest)));
    own
}

/// Plans one step of a replacement at once; returns the active set's size.
fn recreate(desired: &Desired, active: Option<&Member<'_>>, rest: &mut [Member<'_>]) -> i64 {
    for set in &mut *rest {
        set.target = 0;
    }
    let size = final_size(desired, rest);
    let own = active.map_or(0, |set| set.assured().min(size));
    own.max(size.min(room(i64::from(desired.spec.replicas), rest)))
}

/// How many servers the active set may have beside the rest; none while that is not known.
fn room(bound: i64, rest: &[Member<'_>]) -> i64 {
    if rest.iter().any(|set| !set.current) {
        return 0;
    }
    bound - rest.iter().map(Member::present).sum::<i64>()
}

fn narrow(number: i64) -> i32 {
    i32::try_from(number.max(0)).unwrap_or(i32::MAX)
}
