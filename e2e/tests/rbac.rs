//! Operator and allocator may do what their code does, and nothing else: `deploy/muster.yaml`
//! against a table that was written by reading the code.
//!
//! Whoever adds a call to the API server adds its verb here and in the chart; whoever removes the
//! last one removes it in both. The tables in `SECURITY.md` must say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde_json::Value;

/// Where Muster is installed.
const SYSTEM: &str = "muster-system";

const CORE: &str = "";
const MUSTER: &str = "muster.dev";
const AUTOSCALING: &str = "autoscaling.muster.dev";

/// Which role a right stands in; that decides what it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// What has no namespace.
    Cluster,
    /// What lives in namespaces of game servers: all, or those of `gameservers.namespaces`.
    GameServers,
    /// Muster's own namespace.
    Own,
}

use Place::{Cluster, GameServers, Own};

/// What an account does: group, resource, verbs, and the only names it does that to (none: any).
type Row = (
    Place,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const OPERATOR: &[Row] = &[
    // world.rs: a cache of all nodes. hub/commit.rs: one that the cache does not have yet.
    (Cluster, CORE, "nodes", &["get", "list", "watch"], &[]),
    // hub/auth.rs
    (
        Cluster,
        "authentication.k8s.io",
        "tokenreviews",
        &["create"],
        &[],
    ),
    // world.rs: cache. hub/auth.rs and hub/commit.rs: get. gameserverset/apply.rs: create.
    // gameserver/apply.rs, hub/commit.rs, matchallocation/apply.rs: patch.
    // gameserver/apply.rs: delete.
    (
        GameServers,
        MUSTER,
        "gameservers",
        &["get", "list", "watch", "create", "patch", "delete"],
        &[],
    ),
    // world.rs: cache. fleet/apply.rs: create, patch, delete. api.rs: get, when a set exists
    // already that is to be created.
    (
        GameServers,
        MUSTER,
        "gameserversets",
        &["get", "list", "watch", "create", "patch", "delete"],
        &[],
    ),
    // gameserverset.rs
    (
        GameServers,
        MUSTER,
        "gameserversets/status",
        &["patch"],
        &[],
    ),
    // world.rs: cache. autoscaler.rs: patch.
    (
        GameServers,
        MUSTER,
        "fleets",
        &["list", "watch", "patch"],
        &[],
    ),
    // fleet.rs
    (GameServers, MUSTER, "fleets/status", &["patch"], &[]),
    // world.rs: cache. matchallocation/apply.rs: its finalizer.
    (
        GameServers,
        MUSTER,
        "matchallocations",
        &["list", "watch", "patch"],
        &[],
    ),
    // matchallocation.rs
    (
        GameServers,
        MUSTER,
        "matchallocations/status",
        &["patch"],
        &[],
    ),
    // gameserver/build.rs, `owner`: references that block the owner's deletion, which
    // OwnerReferencesPermissionEnforcement allows to those only who may set its finalizers.
    // fleet/apply.rs: of sets to fleets.
    (GameServers, MUSTER, "fleets/finalizers", &["update"], &[]),
    // gameserver/build.rs: of servers to sets.
    (
        GameServers,
        MUSTER,
        "gameserversets/finalizers",
        &["update"],
        &[],
    ),
    // gameserver/pod.rs: of pods to servers.
    (
        GameServers,
        MUSTER,
        "gameservers/finalizers",
        &["update"],
        &[],
    ),
    // world.rs: cache.
    (
        GameServers,
        AUTOSCALING,
        "fleetautoscalers",
        &["list", "watch"],
        &[],
    ),
    // autoscaler.rs
    (
        GameServers,
        AUTOSCALING,
        "fleetautoscalers/status",
        &["patch"],
        &[],
    ),
    // world.rs: cache. hub/auth.rs and hub/commit.rs: get. gameserver/apply.rs and (as a dry run)
    // fleet/accept.rs: create.
    (
        GameServers,
        CORE,
        "pods",
        &["get", "list", "watch", "create"],
        &[],
    ),
    // namespaces.rs: server-side apply, which is a patch and, of what is missing, a create; RBAC
    // cannot restrict the latter by name.
    (GameServers, CORE, "configmaps", &["create"], &[]),
    (
        GameServers,
        CORE,
        "configmaps",
        &["patch"],
        &["muster-hub-ca"],
    ),
    (
        GameServers,
        "policy",
        "poddisruptionbudgets",
        &["create"],
        &[],
    ),
    (
        GameServers,
        "policy",
        "poddisruptionbudgets",
        &["patch"],
        &["muster-gameserver-safe-to-evict-false"],
    ),
    // events.rs: kube's recorder creates them, and patches one that is repeated.
    (
        GameServers,
        "events.k8s.io",
        "events",
        &["create", "patch"],
        &[],
    ),
    // leader.rs: get, create, and replace.
    (Own, "coordination.k8s.io", "leases", &["create"], &[]),
    (
        Own,
        "coordination.k8s.io",
        "leases",
        &["get", "update"],
        &["muster-operator"],
    ),
    // matchallocation/tokens.rs
    (GameServers, CORE, "secrets", &["create"], &[]),
    // hub/certificates.rs: get, create, and replace.
    (Own, CORE, "secrets", &["create"], &[]),
    (Own, CORE, "secrets", &["get", "update"], &["muster-hub-ca"]),
    // hub/keys.rs: likewise, and a watch of this one object.
    (
        Own,
        CORE,
        "secrets",
        &["get", "list", "watch", "update"],
        &["muster-connect-keys"],
    ),
];

const ALLOCATOR: &[Row] = &[
    // cache.rs
    (Cluster, CORE, "nodes", &["list", "watch"], &[]),
    // cache.rs: list and watch. commit.rs: patch, and get when its answer was lost.
    (
        GameServers,
        MUSTER,
        "gameservers",
        &["get", "list", "watch", "patch"],
        &[],
    ),
    // guard.rs: get, list, create, replace, delete.
    (
        Own,
        "coordination.k8s.io",
        "leases",
        &["get", "list", "create", "update", "delete"],
        &[],
    ),
    // keys.rs: a watch of this one object.
    (
        Own,
        CORE,
        "secrets",
        &["list", "watch"],
        &["muster-connect-keys"],
    ),
];

/// A verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    place: Place,
    group: String,
    resource: String,
    names: BTreeSet<String>,
    verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            group,
            resource,
            names,
            verb,
        } = self;
        write!(formatter, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(formatter, ".{group}")?;
        }
        if !names.is_empty() {
            write!(formatter, " {names:?}")?;
        }
        write!(formatter, " ({place:?})")
    }
}

fn used(rows: &[Row]) -> BTreeSet<Right> {
    let rights = rows
        .iter()
        .flat_map(|(place, group, resource, verbs, names)| {
            verbs.iter().map(|verb| Right {
                place: *place,
                group: (*group).to_owned(),
                resource: (*resource).to_owned(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                verb: (*verb).to_owned(),
            })
        });
    rights.collect()
}

fn granted(place: Place, rules: &[PolicyRule]) -> Result<BTreeSet<Right>> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        ensure!(
            rule.non_resource_urls.iter().flatten().next().is_none(),
            "nobody asks for paths: {rule:?}"
        );
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    rights.insert(Right {
                        place,
                        group: group.clone(),
                        resource: resource.clone(),
                        names: rule.resource_names.iter().flatten().cloned().collect(),
                        verb: verb.clone(),
                    });
                }
            }
        }
    }
    Ok(rights)
}

/// What `deploy/muster.yaml` has to say about rights.
#[derive(Default)]
struct Manifests {
    cluster_roles: BTreeMap<String, ClusterRole>,
    roles: BTreeMap<(String, String), Role>,
    cluster_bindings: Vec<ClusterRoleBinding>,
    bindings: Vec<RoleBinding>,
}

impl Manifests {
    fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/muster.yaml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let mut found = Self::default();
        for document in text.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document)?;
            match value["kind"].as_str().unwrap_or_default() {
                "ClusterRole" => {
                    let role: ClusterRole = serde_json::from_value(value)?;
                    let name = role.metadata.name.clone().unwrap_or_default();
                    found.cluster_roles.insert(name, role);
                }
                "Role" => {
                    let role: Role = serde_json::from_value(value)?;
                    let meta = role.metadata.clone();
                    let key = (
                        meta.namespace.unwrap_or_default(),
                        meta.name.unwrap_or_default(),
                    );
                    found.roles.insert(key, role);
                }
                "ClusterRoleBinding" => found.cluster_bindings.push(serde_json::from_value(value)?),
                "RoleBinding" => found.bindings.push(serde_json::from_value(value)?),
                _ => {}
            }
        }
        Ok(found)
    }

    fn cluster_role(&self, reference: &RoleRef) -> Result<&ClusterRole> {
        let RoleRef { kind, name, .. } = reference;
        ensure!(kind == "ClusterRole", "bound to {kind} {name}");
        let role = self.cluster_roles.get(name);
        let role = role.with_context(|| format!("ClusterRole {name} is missing"))?;
        ensure!(
            role.aggregation_rule.is_none(),
            "what ClusterRole {name} grants depends on the cluster"
        );
        Ok(role)
    }

    /// Every right of a service account of ours.
    fn of(&self, account: &str) -> Result<BTreeSet<Right>> {
        let mut rights = BTreeSet::new();
        let own_name = format!("{account}-gameservers");
        for binding in &self.cluster_bindings {
            if !is_bound(binding.subjects.as_deref(), account)? {
                continue;
            }
            let name = &binding.role_ref.name;
            let place = if *name == own_name {
                GameServers
            } else {
                Cluster
            };
            let role = self.cluster_role(&binding.role_ref)?;
            rights.append(&mut granted(
                place,
                role.rules.as_deref().unwrap_or_default(),
            )?);
        }
        for binding in &self.bindings {
            if !is_bound(binding.subjects.as_deref(), account)? {
                continue;
            }
            let namespace = binding.metadata.namespace.clone().unwrap_or_default();
            let RoleRef { kind, name, .. } = &binding.role_ref;
            ensure!(
                namespace == SYSTEM && kind == "Role",
                "{account} is bound to {kind} {name} in {namespace:?}"
            );
            let role = self.roles.get(&(namespace, name.clone()));
            let role = role.with_context(|| format!("Role {name} is missing"))?;
            rights.append(&mut granted(
                Own,
                role.rules.as_deref().unwrap_or_default(),
            )?);
        }
        Ok(rights)
    }
}

/// Whether an account of ours is the subject of a binding, which has no other then.
fn is_bound(subjects: Option<&[Subject]>, account: &str) -> Result<bool> {
    let subjects = subjects.unwrap_or_default();
    let is_it = |subject: &Subject| {
        subject.kind == "ServiceAccount"
            && subject.name == account
            && subject.namespace.as_deref() == Some(SYSTEM)
    };
    let bound = subjects.iter().any(is_it);
    ensure!(
        !bound || subjects.iter().all(is_it),
        "others share a role with {account}: {subjects:?}"
    );
    Ok(bound)
}

fn listed<'a>(rights: impl IntoIterator<Item = &'a Right>) -> String {
    let lines: Vec<_> = rights
        .into_iter()
        .map(|right| format!("\n    {right}"))
        .collect();
    lines.concat()
}

fn check(account: &str, rows: &[Row]) -> Result<()> {
    let used = used(rows);
    let granted = Manifests::read()?.of(account)?;
    let missing = listed(used.difference(&granted));
    let surplus = listed(granted.difference(&used));
    ensure!(
        missing.is_empty() && surplus.is_empty(),
        "{account}\n  uses, and may not:{missing}\n  may, and does not use:{surplus}"
    );
    Ok(())
}

/// The rights in the table under an account's heading in `SECURITY.md`, which leaves out groups.
fn told(page: &str, account: &str) -> Result<BTreeSet<Right>> {
    let heading = format!("\n### {account}\n");
    let (_, section) = page
        .split_once(&heading)
        .with_context(|| format!("SECURITY.md has no {account}"))?;
    let section = section.split("\n#").next().unwrap_or(section);
    let words = |cell: &str| -> Vec<String> { cell.split(", ").map(str::to_owned).collect() };
    let mut rights = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [scope, resources, verbs, names, _] = cells[..] else {
            anyhow::bail!("SECURITY.md: {line} has not five cells");
        };
        let place = match scope {
            "cluster" => Cluster,
            "games" => GameServers,
            "own namespace" => Own,
            other => anyhow::bail!("SECURITY.md: there is no scope {other}"),
        };
        for resource in words(resources) {
            for verb in words(verbs) {
                rights.insert(Right {
                    place,
                    group: String::new(),
                    resource: resource.clone(),
                    names: match names {
                        "all" => BTreeSet::new(),
                        names => words(names).into_iter().collect(),
                    },
                    verb,
                });
            }
        }
    }
    Ok(rights)
}

#[test]
fn the_page_on_security_tells_every_right() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md");
    let page = std::fs::read_to_string(&path)?;
    for account in ["muster-operator", "muster-allocator"] {
        let told = told(&page, account)?;
        let granted = Manifests::read()?.of(account)?.into_iter();
        let granted = granted.map(|right| Right {
            group: String::new(),
            ..right
        });
        let granted: BTreeSet<_> = granted.collect();
        let missing = listed(granted.difference(&told));
        let surplus = listed(told.difference(&granted));
        ensure!(
            missing.is_empty() && surplus.is_empty(),
            "SECURITY.md, {account}\n  does not tell:{missing}\n  tells, and is not so:{surplus}"
        );
    }
    Ok(())
}

#[test]
fn the_operator_may_do_what_it_does_and_nothing_else() -> Result<()> {
    check("muster-operator", OPERATOR)
}

#[test]
fn the_allocator_may_do_what_it_does_and_nothing_else() -> Result<()> {
    check("muster-allocator", ALLOCATOR)
}

#[test]
fn no_cluster_role_shows_secrets_or_grants_everything() -> Result<()> {
    let roles = Manifests::read()?.cluster_roles;
    ensure!(!roles.is_empty(), "no ClusterRole was found");
    for (name, role) in &roles {
        for right in granted(Cluster, role.rules.as_deref().unwrap_or_default())? {
            let resource = right.resource.split('/').next().unwrap_or_default();
            // A patch would answer with what is in it.
            let shows = resource == "secrets" && right.verb != "create";
            ensure!(!shows, "ClusterRole {name} grants {right}");
            let all = [&*right.group, resource, &*right.verb];
            ensure!(!all.contains(&"*"), "ClusterRole {name} grants {right}");
        }
    }
    Ok(())
}
