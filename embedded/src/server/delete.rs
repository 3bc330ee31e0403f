//! The verbs delete and deletecollection.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Api;
use super::call::{Answer, Call, Page};
use super::catalog::Served;
use super::list::Selection;
use super::params::{ListOptions, check_dry_run, unsupported};
use super::request::Request;
use super::rules;
use super::write::{set_meta, time};
use super::{body, protobuf};
use crate::control::begin_definition_deletion;
use crate::object::Object;
use crate::objects::{Deletion, Propagation};
use crate::status::{Cause, Status};
use crate::store::{Query, Writing};

/// Finalizer of an object whose dependents go first.
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object whose dependents stay.
const ORPHAN: &str = "orphan";
/// Namespaces that are always there.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];
/// Seconds that a pod gets if nobody says.
const POD_GRACE: i64 = 30;

/// What a delete request says.
#[derive(Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) deletion: Deletion,
    pub(crate) dry_run: bool,
    /// The old form of the propagation policy.
    pub(crate) orphan_dependents: Option<bool>,
}

/// What became of an object.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// It is gone; this was it.
    Gone(Arc<Object>),
    /// It goes when its finalizers or its grace period are over.
    Pending(Arc<Object>),
}

impl DeleteOptions {
    /// Reads the body, or the query if there is no body.
    fn read(call: &Call) -> Result<Self, Status> {
        if call.body.is_empty() {
            let params = &call.params;
            let dry_run: Vec<&str> = params.all("dryRun").collect();
            return Self::check(
                &dry_run,
                params.flag("orphanDependents"),
                params.text("propagationPolicy"),
                Deletion {
                    grace_period_seconds: params.number("gracePeriodSeconds")?,
                    ..Deletion::default()
                },
            );
        }
        let content_type = call.header(CONTENT_TYPE);
        let options = if protobuf::is_sent(content_type) {
            protobuf::decode(&call.body, ("v1", "DeleteOptions"))
                .map_err(|refusal| Status::bad_request(refusal.problem))?
        } else {
            let format = body::Format::of(content_type)?;
            let decoded = body::decode(format, &call.body).map_err(|error| {
                Status::bad_request(format!(
                    "couldn't get version/kind; json parse error: {error}"
                ))
            })?;
            decoded.value
        };
        let own = |field: &str| options.get(field).and_then(Value::as_str);
        if let Some(kind) = own("kind").filter(|kind| *kind != "DeleteOptions") {
            return Err(Status::bad_request(format!(
                "no kind {kind:?} is registered for version {:?} in scheme \
                 \"pkg/runtime/scheme.go:111\"",
                own("apiVersion").unwrap_or_default()
            )));
        }
        let dry_run = options.get("dryRun").and_then(Value::as_array);
        let dry_run: Vec<&str> = dry_run
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let text = |path: &str| options.pointer(path).and_then(Value::as_str);
        Self::check(
            &dry_run,
            options.get("orphanDependents").and_then(Value::as_bool),
            text("/propagationPolicy"),
            Deletion {
                uid: text("/preconditions/uid").map(ToOwned::to_owned),
                resource_version: text("/preconditions/resourceVersion").map(ToOwned::to_owned),
                propagation: None,
                grace_period_seconds: options.get("gracePeriodSeconds").and_then(Value::as_i64),
            },
        )
    }

    fn check(
        dry_run: &[&str],
        orphan_dependents: Option<bool>,
        policy: Option<&str>,
        mut deletion: Deletion,
    ) -> Result<Self, Status> {
        let field = "propagationPolicy";
        let mut causes = Vec::new();
        if let (Some(_), Some(policy)) = (orphan_dependents, policy) {
            causes.push(Cause::invalid(
                field,
                &format!("{policy:?}"),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        deletion.propagation = match (policy, orphan_dependents) {
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(other), _) => {
                causes.push(unsupported(
                    field,
                    &format!("{other:?}"),
                    &["Foreground", "Background", "Orphan", "nil"],
                ));
                None
            }
            (None, None) => None,
        };
        check_dry_run(dry_run, &mut causes);
        if !causes.is_empty() {
            return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", causes));
        }
        Ok(Self {
            deletion,
            dry_run: !dry_run.is_empty(),
            orphan_dependents,
        })
    }
}

impl Api {
    /// `DELETE` of an object.
    pub(super) fn delete(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let options = DeleteOptions::read(call)?;
        let kind = &served.kind;
        let mut writing = self.begin();
        let deleted = self
            .delete_in(
                &mut writing,
                served,
                request.namespace(),
                request.name(),
                &options,
                &call.user.name,
            )?
            .ok_or_else(|| Status::not_found(&kind.group, &kind.plural, request.name()))?;
        match deleted {
            Deleted::Gone(object) if rules::returns_deleted(kind) => {
                Ok(request.object(200, object))
            }
            Deleted::Gone(object) => {
                let mut details = json!({ "name": request.name(), "kind": kind.plural });
                if !kind.group.is_empty() {
                    details["group"] = kind.group.as_str().into();
                }
                if !object.meta("uid").is_empty() {
                    details["uid"] = object.meta("uid").into();
                }
                Ok(Answer::ok(json!({
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Success",
                    "details": details,
                })))
            }
            Deleted::Pending(object) => {
                let code = if options.orphan_dependents == Some(false) {
                    202
                } else {
                    200
                };
                Ok(request.object(code, object))
            }
        }
    }

    /// `DELETE` of a collection.
    pub(super) fn delete_collection(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let Request { call, served, .. } = request;
        let list = ListOptions::read(&call.params, false)?;
        let selection = Selection::parse(served, &list)?;
        let options = DeleteOptions::read(call)?;
        let namespace = request.namespace();
        let mut writing = self.begin();
        let listed = self
            .store
            .list(&Query {
                resource: &served.resource,
                namespace: (!namespace.is_empty()).then_some(namespace),
                ..Query::default()
            })
            .unwrap_or_default();
        let mut objects = Vec::new();
        for (_, object) in &listed.objects {
            let shown = served.show(object);
            if !selection.matches(&served.kind, shown.value()) {
                continue;
            }
            self.delete_in(
                &mut writing,
                served,
                object.meta("namespace"),
                object.meta("name"),
                &options,
                &call.user.name,
            )?;
            objects.push(shown);
        }
        Ok(Answer::List(Page {
            served: Arc::clone(served),
            objects,
            revision: listed.revision,
            next: None,
            remaining: None,
        }))
    }

    /// Deletes an object, or begins to; none if there is no such object.
    pub(crate) fn delete_in(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
        user: &str,
    ) -> Result<Option<Deleted>, Status> {
        let kind = &served.kind;
        let key = served.key(namespace, name);
        let Some(stored) = writing.get(&served.resource, &key) else {
            return Ok(None);
        };
        if rules::is_core(kind, "namespaces") && IMMORTAL.contains(&name) {
            return Err(Status::forbidden(
                "",
                "namespaces",
                name,
                "this namespace may not be deleted",
            ));
        }
        let now = self.now();
        let old = served.show(&stored);
        check_preconditions(served, &old, &options.deletion)?;
        let mut new = old.value().clone();
        let grace = match grace(served, &old, &options.deletion, now) {
            Grace::None => None,
            Grace::Pending => return Ok(Some(Deleted::Pending(old))),
            Grace::Until(until, seconds) => {
                if old.meta("deletionTimestamp").is_empty() {
                    count_generation(&mut new);
                }
                set_meta(&mut new, "deletionTimestamp", time(until));
                set_meta(&mut new, "deletionGracePeriodSeconds", seconds.into());
                Some(seconds)
            }
        };
        set_finalizers(&mut new, options.deletion.propagation);
        if rules::is_core(kind, "namespaces") {
            begin_namespace(&mut new);
        }
        if rules::is_definition(kind) && old.meta("deletionTimestamp").is_empty() {
            let time = time(now);
            begin_definition_deletion(&mut new, time.as_str().unwrap_or_default());
        }
        let kept = rules::has_finalizers(kind, &new);
        if !kept && grace.unwrap_or_default() == 0 {
            if options.dry_run {
                return Ok(Some(Deleted::Gone(old)));
            }
            if grace.is_some() {
                // Whoever watches learns of the end of the grace period first.
                self.put(writing, served, &key, new, user);
            }
            let gone = self
                .remove(writing, served, &key, user)
                .and_then(|event| event.last.clone());
            return Ok(Some(Deleted::Gone(
                gone.map_or(old, |last| served.show(&last)),
            )));
        }
        if grace.is_none() {
            if old.meta("deletionTimestamp").is_empty() {
                count_generation(&mut new);
                set_meta(&mut new, "deletionTimestamp", time(now));
            }
            if !rules::is_core(kind, "namespaces") {
                set_meta(&mut new, "deletionGracePeriodSeconds", 0.into());
            }
        }
        if new == *old.value() {
            return Ok(Some(Deleted::Pending(old)));
        }
        if options.dry_run {
            return Ok(Some(Deleted::Pending(Arc::new(Object::new(
                new,
                old.revision(),
            )))));
        }
        served.store(&mut new);
        let event = self.put(writing, served, &key, new, user);
        let after = event.after.clone().map_or(old, |after| served.show(&after));
        Ok(Some(Deleted::Pending(after)))
    }
}

/// The uid and the version that a deletion names are those of the object.
pub(super) fn check_preconditions(
    served: &Served,
    old: &Object,
    deletion: &Deletion,
) -> Result<(), Status> {
    let kind = &served.kind;
    let conflict = |detail: String| {
        // The kind stands here where other conflicts name the resource.
        Err(Status::conflict(
            &kind.group,
            &kind.kind,
            old.meta("name"),
            &detail,
        ))
    };
    if let Some(uid) = &deletion.uid
        && uid != old.meta("uid")
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The \
             object might have been deleted and then recreated",
            old.meta("uid")
        ));
    }
    if let Some(version) = &deletion.resource_version
        && version != old.meta("resourceVersion")
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the \
             ResourceVersion in record ({}). The object might have been modified",
            old.meta("resourceVersion")
        ));
    }
    Ok(())
}

/// What a deletion does about a grace period.
enum Grace {
    /// The object has none, or it is over.
    None,
    /// It runs already, and is not shortened.
    Pending,
    /// It ends then, and is so many seconds long.
    Until(Timestamp, i64),
}

/// Only pods have a grace period.
fn grace(served: &Served, old: &Object, deletion: &Deletion, now: Timestamp) -> Grace {
    if !rules::is_core(&served.kind, "pods") {
        return Grace::None;
    }
    let pod = old.value();
    let wanted = deletion
        .grace_period_seconds
        .map(|seconds| if seconds < 0 { 1 } else { seconds });
    let running = pod
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    if let Ok(until) = old.meta("deletionTimestamp").parse::<Timestamp>() {
        let Some(running) = running.filter(|seconds| *seconds != 0) else {
            return Grace::None;
        };
        let Some(wanted) = wanted.filter(|wanted| *wanted < running) else {
            return Grace::Pending;
        };
        let moved = until + SignedDuration::from_secs(wanted - running);
        if moved >= now {
            return Grace::Until(moved, wanted);
        }
        return Grace::Until(now, wanted.min(1));
    }
    let text = |path: &str| {
        pod.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut seconds = wanted
        .or_else(|| {
            pod.pointer("/spec/terminationGracePeriodSeconds")
                .and_then(Value::as_i64)
        })
        .unwrap_or(POD_GRACE);
    // Nobody runs it, or it runs no more.
    if text("/spec/nodeName").is_empty() || matches!(text("/status/phase"), "Failed" | "Succeeded")
    {
        seconds = 0;
    }
    Grace::Until(
        now + SignedDuration::from_secs(seconds.max(0)),
        seconds.max(0),
    )
}

fn count_generation(object: &mut Value) {
    let generation = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64);
    if let Some(generation) = generation.filter(|generation| *generation > 0) {
        set_meta(object, "generation", (generation + 1).into());
    }
}

/// Says by finalizers how dependents are treated.
fn set_finalizers(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let old: Vec<Value> = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut new: Vec<Value> = old
        .iter()
        .filter(|name| *name != FOREGROUND && *name != ORPHAN)
        .cloned()
        .collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => new.push(FOREGROUND.into()),
        Propagation::Orphan => new.push(ORPHAN.into()),
    }
    let same = old.len() == new.len() && old.iter().all(|name| new.contains(name));
    if !same {
        set_meta(object, "finalizers", new.into());
    }
}

/// A namespace first becomes unusable; its content goes, and then its finalizer.
fn begin_namespace(namespace: &mut Value) {
    namespace["status"]["phase"] = "Terminating".into();
}
