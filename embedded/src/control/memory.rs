//! Objects in memory with just enough of an API server's rules to test controllers and rights.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Clock;
use crate::kinds::{Kind, Kinds};
use crate::object::{Object, meta};
use crate::objects::{CHANGES, Change, Deletion, Objects, Propagation};
use crate::status::Status;

type Key = (String, String, String, String);

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    watchers: Vec<mpsc::Sender<Change>>,
    /// Writes that fail before one works again.
    failures: u32,
    /// Writes so far.
    writes: u64,
}

/// Objects in memory. Its clock follows tokio's, so that it stands still in tests.
pub(crate) struct Memory {
    kinds: Mutex<Arc<Kinds>>,
    clock: Clock,
    state: Mutex<State>,
}

/// A clock that begins in 2026 and follows tokio's.
pub(crate) fn clock() -> Clock {
    let start = Instant::now();
    let zero = Timestamp::from_second(1_767_225_600).unwrap();
    Arc::new(move || {
        let passed = i64::try_from((Instant::now() - start).as_nanos()).unwrap();
        zero + jiff::SignedDuration::from_nanos(passed)
    })
}

/// A kind that can be listed and deleted.
pub(crate) fn kind(group: &str, name: &str, plural: &str, namespaced: bool) -> Kind {
    Kind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: name.to_owned(),
        list_kind: format!("{name}List"),
        plural: plural.to_owned(),
        singular: name.to_lowercase(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced,
        verbs: ["create", "delete", "get", "list", "update", "watch"]
            .map(str::to_owned)
            .to_vec(),
        has_status: true,
        scale: None,
        selectable_fields: Vec::new(),
        printer_columns: Vec::new(),
        schema: None,
    }
}

fn kinds() -> Kinds {
    let rbac = "rbac.authorization.k8s.io";
    let mut kinds = Kinds::default();
    for (group, name, plural, namespaced) in [
        ("", "ConfigMap", "configmaps", true),
        ("", "Event", "events", true),
        ("", "Namespace", "namespaces", false),
        ("", "Node", "nodes", false),
        ("", "Pod", "pods", true),
        ("", "Secret", "secrets", true),
        ("", "ServiceAccount", "serviceaccounts", true),
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            false,
        ),
        (rbac, "ClusterRole", "clusterroles", false),
        (rbac, "ClusterRoleBinding", "clusterrolebindings", false),
        (rbac, "Role", "roles", true),
        (rbac, "RoleBinding", "rolebindings", true),
        ("muster.dev", "Fleet", "fleets", true),
        ("muster.dev", "GameServer", "gameservers", true),
    ] {
        kinds.insert(kind(group, name, plural, namespaced));
    }
    kinds
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            kinds: Mutex::new(Arc::new(kinds())),
            clock: clock(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Kind by plural, in whatever group.
    pub(crate) fn kind(&self, plural: &str) -> Arc<Kind> {
        let kinds = self.kinds();
        kinds
            .iter()
            .find(|kind| kind.plural == plural)
            .unwrap()
            .clone()
    }

    pub(crate) fn add_kind(&self, kind: Kind) {
        let mut kinds = self.kinds.lock().unwrap();
        Arc::make_mut(&mut kinds).insert(kind);
    }

    /// Creates an object from its metadata and the rest.
    pub(crate) fn make(&self, plural: &str, namespace: &str, object: Value) -> Arc<Object> {
        self.create(&self.kind(plural), namespace, object).unwrap()
    }

    pub(crate) fn read(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let found = self.get(&self.kind(plural), namespace, name);
        found.map(|object| object.value().clone())
    }

    /// Names of all objects of a kind.
    pub(crate) fn names(&self, plural: &str) -> Vec<String> {
        let all = self.list(&self.kind(plural), None);
        all.iter()
            .map(|object| object.meta("name").to_owned())
            .collect()
    }

    pub(crate) fn update(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        apply: impl Fn(&mut Value),
    ) {
        let kind = self.kind(plural);
        self.change(&kind, namespace, name, &mut |object| apply(object))
            .unwrap()
            .unwrap();
    }

    pub(crate) fn remove(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        propagation: Option<Propagation>,
    ) {
        let deletion = Deletion {
            propagation,
            ..Deletion::default()
        };
        self.delete(&self.kind(plural), namespace, name, &deletion)
            .unwrap();
    }

    /// Makes so many writes fail.
    pub(crate) fn fail(&self, writes: u32) {
        self.state().failures = writes;
    }

    /// Ends the queues of all watchers.
    pub(crate) fn drop_watchers(&self) {
        self.state().watchers.clear();
    }

    pub(crate) fn writes(&self) -> u64 {
        self.state().writes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> String {
        (self.clock)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl State {
    fn begin(&mut self) -> Result<(), Status> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(Status::internal("scripted"));
        }
        Ok(())
    }

    fn write(&mut self, kind: &Kind, key: Key, value: Option<Value>) -> Option<Arc<Object>> {
        self.revision += 1;
        self.writes += 1;
        let revision = self.revision;
        let before = self.objects.get(&key).cloned();
        let after = value.map(|mut value| {
            value["metadata"]["resourceVersion"] = revision.to_string().into();
            Arc::new(Object::new(value, revision))
        });
        match &after {
            Some(after) => self.objects.insert(key, after.clone()),
            None => self.objects.remove(&key),
        };
        let change = Change {
            kind: Arc::new(kind.clone()),
            before,
            after: after.clone(),
        };
        self.watchers
            .retain(|watcher| watcher.try_send(change.clone()).is_ok());
        after
    }
}

fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
    (
        kind.group.clone(),
        kind.plural.clone(),
        namespace.to_owned(),
        name.to_owned(),
    )
}

fn is_finished(kind: &Kind, object: &Value) -> bool {
    let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    !meta(object, "deletionTimestamp").is_empty()
        && is_empty(&object["metadata"]["finalizers"])
        && (kind.kind != "Namespace" || is_empty(&object["spec"]["finalizers"]))
        && object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
            == 0
}

impl Objects for Memory {
    fn kinds(&self) -> Arc<Kinds> {
        self.kinds.lock().unwrap().clone()
    }

    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.state()
            .objects
            .get(&key(kind, namespace, name))
            .cloned()
    }

    fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let state = self.state();
        let of_kind = state.objects.iter().filter(|((group, plural, of, _), _)| {
            *group == kind.group
                && *plural == kind.plural
                && namespace.is_none_or(|namespace| of == namespace)
        });
        of_kind.map(|(_, object)| object.clone()).collect()
    }

    fn create(&self, kind: &Kind, namespace: &str, object: Value) -> Result<Arc<Object>, Status> {
        let mut state = self.state();
        state.begin()?;
        let mut object = object;
        let name = meta(&object, "name").to_owned();
        let key = key(kind, namespace, &name);
        if state.objects.contains_key(&key) {
            return Err(Status::already_exists(&kind.group, &kind.plural, &name));
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.as_str().into();
        let metadata = &mut object["metadata"];
        if kind.namespaced {
            metadata["namespace"] = namespace.into();
        }
        metadata["uid"] = format!("uid-{}", state.revision + 1).into();
        metadata["creationTimestamp"] = self.now().into();
        metadata["generation"] = 1.into();
        if kind.kind == "Namespace" {
            object["spec"] = json!({ "finalizers": ["kubernetes"] });
            object["status"] = json!({ "phase": "Active" });
        }
        Ok(state.write(kind, key, Some(object)).unwrap())
    }

    fn change(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        change: &mut dyn FnMut(&mut Value),
    ) -> Result<Option<Arc<Object>>, Status> {
        let mut state = self.state();
        let key = key(kind, namespace, name);
        let Some(before) = state.objects.get(&key).cloned() else {
            return Ok(None);
        };
        let mut value = before.value().clone();
        change(&mut value);
        if value == *before.value() {
            return Ok(Some(before));
        }
        state.begin()?;
        if is_finished(kind, &value) {
            state.write(kind, key, None);
            return Ok(Some(Arc::new(Object::new(value, before.revision()))));
        }
        Ok(state.write(kind, key, Some(value)))
    }

    fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        deletion: &Deletion,
    ) -> Result<(), Status> {
        let mut state = self.state();
        let key = key(kind, namespace, name);
        let Some(before) = state.objects.get(&key).cloned() else {
            return Ok(());
        };
        state.begin()?;
        let differs = |wanted: &Option<String>, field| {
            wanted
                .as_ref()
                .is_some_and(|wanted| wanted != before.meta(field))
        };
        if differs(&deletion.uid, "uid") || differs(&deletion.resource_version, "resourceVersion") {
            return Err(Status::conflict(&kind.group, &kind.plural, name, "changed"));
        }
        let mut value = before.value().clone();
        let mut finalizers = value["metadata"]["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let wanted = match deletion.propagation {
            Some(Propagation::Foreground) => Some("foregroundDeletion"),
            Some(Propagation::Orphan) => Some("orphan"),
            Some(Propagation::Background) | None => None,
        };
        if deletion.propagation.is_some() {
            finalizers.retain(|known| known != "foregroundDeletion" && known != "orphan");
        }
        finalizers.extend(wanted.map(Value::from));
        value["metadata"]["finalizers"] = finalizers.into();
        let default = value["spec"]["terminationGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(30);
        let bound = value["spec"]["nodeName"]
            .as_str()
            .is_some_and(|node| !node.is_empty());
        if kind.kind == "Pod" && bound {
            let grace = deletion.grace_period_seconds.unwrap_or(default);
            value["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        }
        if meta(&value, "deletionTimestamp").is_empty() {
            value["metadata"]["deletionTimestamp"] = self.now().into();
        }
        if kind.kind == "Namespace" {
            value["status"]["phase"] = "Terminating".into();
        }
        if is_finished(kind, &value) {
            state.write(kind, key, None);
        } else if value != *before.value() {
            state.write(kind, key, Some(value));
        }
        Ok(())
    }

    fn changes(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(CHANGES);
        self.state().watchers.push(sender);
        receiver
    }
}

/// Lets everything happen that happens within a time; tokio's clock must be paused.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
