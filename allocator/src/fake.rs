//! A Kubernetes API for tests: the few verbs that the allocator uses, over a store with resource
//! versions and guarded writes, and faults by script. No network.

pub(crate) mod harness;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tower::BoxError;

/// What happens to a write instead of the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not executed, and answered with this status.
    Status(u16),
    /// Not executed, never answered.
    Silence,
    /// Executed, and answered with this status.
    CommitThenStatus(u16),
    /// Executed, never answered.
    CommitThenSilence,
    /// Never answered, and executed only when the next patch arrives, just before that one.
    CommitLate,
    /// Executed and answered after so many milliseconds, though the caller may have gone.
    CommitAfter(u64),
}

/// A write of an object.
#[derive(Clone, Debug)]
struct Write {
    /// `plural/namespace/name`.
    place: String,
    verb: Verb,
    body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Create,
    Replace,
    Patch,
    Delete,
}

/// The API and its store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
    /// Patches wait for a permit while it is there.
    gate: Mutex<Option<Arc<Semaphore>>>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// By collection path, then by namespace and name.
    objects: BTreeMap<String, Value>,
    log: Vec<(u64, &'static str, String, Value)>,
    /// Watches from before this version are told that it is gone, and open ones end.
    compacted: u64,
    faults: VecDeque<Fault>,
    lease_faults: VecDeque<Fault>,
    late: Option<Write>,
    patches: usize,
    away: bool,
    no_crd: bool,
}

pub(crate) const SERVERS: &str = "gameservers";
pub(crate) const NODES: &str = "nodes";
pub(crate) const LEASES: &str = "leases";

fn place(plural: &str, namespace: &str, name: &str) -> String {
    format!("{plural}/{namespace}/{name}")
}

impl Fake {
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request| {
            let fake = fake.clone();
            async move { fake.answer(request).await }
        });
        Client::new(service, "default")
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_waiters();
        result
    }

    /// Creates or replaces a Ready server on a node.
    pub(crate) fn ready(&self, name: &str, node: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        self.with(|state| {
            let server = json!({
                "metadata": {"namespace": "default", "name": name, "labels": labels},
                "spec": {"template": {}},
                "status": {
                    "state": "Ready", "nodeName": node, "address": "203.0.113.7",
                    "ports": [{"name": "default", "port": 7012}],
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
                },
            });
            state.put(&place(SERVERS, "default", name), server);
        });
    }

    pub(crate) fn node(&self, name: &str, ready: bool, cordoned: bool) {
        let status = if ready { "True" } else { "False" };
        let node = json!({
            "metadata": {"name": name}, "spec": {"unschedulable": cordoned},
            "status": {"conditions": [{"type": "Ready", "status": status}]},
        });
        self.with(|state| state.put(&place(NODES, "", name), node));
    }

    /// Changes a server as somebody else would.
    pub(crate) fn touch(&self, name: &str, patch: &Value) {
        self.with(|state| {
            let place = place(SERVERS, "default", name);
            let mut server = state.objects[&place].clone();
            merge(&mut server, patch);
            state.put(&place, server);
        });
    }

    pub(crate) fn delete(&self, plural: &str, namespace: &str, name: &str) {
        self.with(|state| state.delete(&place(plural, namespace, name)));
    }

    pub(crate) fn get(&self, name: &str) -> Value {
        self.with(|state| state.objects[&place(SERVERS, "default", name)].clone())
    }

    /// Names of the Allocated servers.
    pub(crate) fn allocated(&self) -> Vec<String> {
        self.with(|state| {
            let allocated = |object: &&Value| object["status"]["state"] == "Allocated";
            let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
            state.objects.values().filter(allocated).map(name).collect()
        })
    }

    pub(crate) fn patches(&self) -> usize {
        self.with(|state| state.patches)
    }

    /// The next patches meet these faults.
    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.faults.extend(faults));
    }

    /// The next writes of Leases meet these faults.
    pub(crate) fn lease_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|state| state.lease_faults.extend(faults));
    }

    /// No fault is left.
    pub(crate) fn heal(&self) {
        self.with(|state| {
            state.faults.clear();
            state.lease_faults.clear();
        });
    }

    /// The objects of a kind.
    pub(crate) fn all(&self, plural: &str) -> Vec<Value> {
        let prefix = format!("{plural}/");
        self.with(|state| {
            let objects = state.objects.iter();
            let of_kind = objects.filter(|(place, _)| place.starts_with(&prefix));
            of_kind.map(|(_, object)| object.clone()).collect()
        })
    }

    /// No call gets through.
    pub(crate) fn set_away(&self, away: bool) {
        self.with(|state| state.away = away);
    }

    pub(crate) fn set_crd(&self, exists: bool) {
        self.with(|state| state.no_crd = !exists);
    }

    /// Forgets the log: every watch ends and must list again.
    pub(crate) fn compact(&self) {
        self.with(|state| {
            state.log.clear();
            state.version += 1;
            state.compacted = state.version;
        });
    }

    /// Holds patches back until permits are added.
    pub(crate) fn hold_patches(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.0.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    /// Waits until this many patches have arrived.
    pub(crate) async fn patches_arrive(&self, count: usize) {
        loop {
            let arrived = self.0.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if self.patches() >= count {
                return;
            }
            arrived.await;
        }
    }

    pub(crate) async fn answer(
        &self,
        request: Request<kube::client::Body>,
    ) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        // Lets others in between any two calls.
        tokio::task::yield_now().await;
        if self.with(|state| state.away) {
            return Err("connection refused".into());
        }
        let query = parts.uri.query().unwrap_or_default();
        let words: Vec<&str> = parts
            .uri
            .path()
            .trim_start_matches('/')
            .split('/')
            .collect();
        match (&parts.method, &words[..]) {
            (&Method::GET, ["apis", "muster.dev", "v1"]) => {
                if self.with(|state| state.no_crd) {
                    return Ok(status(404, "not found"));
                }
                let resource = json!({
                    "name": "gameservers", "singularName": "", "namespaced": true,
                    "kind": "GameServer", "verbs": ["list"],
                });
                Ok(answer(
                    &json!({"groupVersion": "muster.dev/v1", "resources": [resource]}),
                ))
            }
            (&Method::GET, ["api", "v1", "nodes"]) => Ok(self.collection("nodes//", query)),
            (&Method::GET, ["apis", "muster.dev", "v1", "gameservers"]) => {
                Ok(self.collection("gameservers/", query))
            }
            (&Method::GET, ["apis", _, _, "namespaces", namespace, plural]) => {
                Ok(self.collection(&format!("{plural}/{namespace}/"), query))
            }
            (&Method::GET, ["apis", _, _, "namespaces", namespace, plural, name]) => {
                let path = place(plural, namespace, name);
                Ok(self.with(|state| match state.objects.get(&path) {
                    Some(object) => answer(object),
                    None => status(404, "not found"),
                }))
            }
            (&Method::PATCH, ["apis", _, _, "namespaces", namespace, plural, name]) => {
                assert_eq!(
                    parts.headers["content-type"],
                    "application/merge-patch+json"
                );
                self.write(Verb::Patch, place(plural, namespace, name), &body)
                    .await
            }
            (&Method::POST, ["apis", _, _, "namespaces", namespace, plural]) => {
                let object: Value = serde_json::from_slice(&body)?;
                let name = object["metadata"]["name"].as_str().unwrap();
                self.write(Verb::Create, place(plural, namespace, name), &body)
                    .await
            }
            (&Method::PUT, ["apis", _, _, "namespaces", namespace, plural, name]) => {
                self.write(Verb::Replace, place(plural, namespace, name), &body)
                    .await
            }
            (&Method::DELETE, ["apis", _, _, "namespaces", namespace, plural, name]) => {
                self.write(Verb::Delete, place(plural, namespace, name), &body)
                    .await
            }
            (method, _) => panic!("unexpected {method} {}", parts.uri),
        }
    }

    async fn write(
        &self,
        verb: Verb,
        place: String,
        body: &Bytes,
    ) -> Result<Response<Body>, BoxError> {
        let body = serde_json::from_slice(body)?;
        let is_patch = verb == Verb::Patch;
        let write = Write { place, verb, body };
        let fault = self.with(|state| {
            state.patches += usize::from(is_patch);
            if write.place.starts_with(LEASES) {
                state.lease_faults.pop_front()
            } else {
                state.faults.pop_front()
            }
        });
        if is_patch {
            self.0.arrived.notify_waiters();
            let gate = self.0.gate.lock().unwrap().clone();
            if let Some(gate) = gate {
                gate.acquire().await?.forget();
            }
            tokio::task::yield_now().await;
            if let Some(late) = self.with(|state| state.late.take()) {
                self.with(|state| drop(state.execute(&late)));
            }
        }
        match fault {
            Some(Fault::Status(code)) => return Ok(status(code, "fault")),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::CommitLate) => {
                self.with(|state| state.late = Some(write.clone()));
                std::future::pending::<()>().await;
            }
            Some(Fault::CommitAfter(milliseconds)) => {
                let (fake, write) = (self.clone(), write.clone());
                let executed = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    fake.with(|state| state.execute(&write))
                });
                return Ok(executed.await?);
            }
            Some(Fault::CommitThenStatus(_) | Fault::CommitThenSilence) | None => {}
        }
        let answer = self.with(|state| state.execute(&write));
        match fault {
            Some(Fault::CommitThenStatus(code)) => Ok(status(code, "fault")),
            Some(Fault::CommitThenSilence) => std::future::pending().await,
            _ => Ok(answer),
        }
    }

    fn collection(&self, prefix: &str, query: &str) -> Response<Body> {
        if query.contains("watch=true") {
            let version = query
                .split('&')
                .find_map(|part| part.strip_prefix("resourceVersion="));
            return self.watch(prefix.to_owned(), version.unwrap().parse().unwrap());
        }
        self.with(|state| {
            let value = |name| query.split('&').find_map(|part| part.strip_prefix(name));
            // Watched kinds come whole: pages of one version would need old versions.
            let limit = value("limit=").filter(|_| prefix.starts_with(LEASES));
            let limit = limit.map_or(usize::MAX, |limit| limit.parse().unwrap());
            let after = value("continue=").map(|path| path.replace("%2F", "/"));
            let mut objects = state.objects.iter().filter(|(path, _)| {
                path.starts_with(prefix) && after.as_ref().is_none_or(|after| *path > after)
            });
            let page: Vec<(&String, &Value)> = objects.by_ref().take(limit).collect();
            let mut metadata = json!({"resourceVersion": state.version.to_string()});
            if let (Some(_), Some((last, _))) = (objects.next(), page.last()) {
                metadata["continue"] = json!(last);
            }
            let items: Vec<&Value> = page.into_iter().map(|(_, object)| object).collect();
            answer(&json!({"metadata": metadata, "items": items}))
        })
    }

    fn watch(&self, prefix: String, from: u64) -> Response<Body> {
        let fake = self.clone();
        let stream = futures::stream::unfold(from, move |seen| {
            let (fake, prefix) = (fake.clone(), prefix.clone());
            async move {
                loop {
                    let changed = fake.0.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    let state = fake.0.state.lock().unwrap().next_event(&prefix, seen);
                    match state {
                        Next::Event(version, line) => {
                            return Some((Ok::<_, BoxError>(Bytes::from(line)), version));
                        }
                        Next::End => return None,
                        Next::Wait => changed.await,
                    }
                }
            }
        });
        Response::new(Body::from_stream(stream))
    }
}

enum Next {
    Event(u64, String),
    End,
    Wait,
}

impl State {
    fn put(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let known = self.objects.insert(path.to_owned(), object.clone());
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.log.push((self.version, kind, path.to_owned(), object));
    }

    fn delete(&mut self, path: &str) {
        self.version += 1;
        let mut object = self.objects.remove(path).unwrap();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.log
            .push((self.version, "DELETED", path.to_owned(), object));
    }

    fn execute(&mut self, write: &Write) -> Response<Body> {
        let Write { place, verb, body } = write;
        let known = self.objects.get(place);
        let version = match verb {
            Verb::Create if known.is_some() => return status(409, "it exists"),
            Verb::Create => &Value::Null,
            Verb::Patch | Verb::Replace => &body["metadata"]["resourceVersion"],
            Verb::Delete => &body["preconditions"]["resourceVersion"],
        };
        if *verb != Verb::Create {
            let Some(known) = known else {
                return status(404, "not found");
            };
            assert!(version.is_string(), "every write is guarded");
            if *version != known["metadata"]["resourceVersion"] {
                return status(409, "the object has been modified");
            }
        }
        let object = match verb {
            Verb::Delete => {
                self.delete(place);
                return answer(&json!({"kind": "Status", "status": "Success"}));
            }
            Verb::Patch => {
                let mut object = known.cloned().unwrap_or_default();
                merge(&mut object, body);
                object
            }
            Verb::Create | Verb::Replace => body.clone(),
        };
        self.put(place, object);
        answer(&self.objects[place])
    }

    fn next_event(&self, prefix: &str, seen: u64) -> Next {
        if self.away || seen == u64::MAX {
            return Next::End;
        }
        if seen < self.compacted {
            let gone = json!({"status": "Failure", "message": "too old", "code": 410});
            return Next::Event(
                u64::MAX,
                format!("{}\n", json!({"type": "ERROR", "object": gone})),
            );
        }
        let fits = |(version, _, path, _): &&(u64, _, String, _)| {
            *version > seen && path.starts_with(prefix)
        };
        match self.log.iter().find(fits) {
            Some((version, kind, _, object)) => Next::Event(
                *version,
                format!("{}\n", json!({"type": kind, "object": object})),
            ),
            None => Next::Wait,
        }
    }
}

/// JSON merge patch, RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().unwrap();
    for (key, value) in changes {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn answer(body: &Value) -> Response<Body> {
    Response::new(Body::from(body.to_string()))
}

fn status(code: u16, message: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "Test", "code": code,
    });
    let mut response = answer(&body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
