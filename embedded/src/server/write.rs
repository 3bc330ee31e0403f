//! The way of every write: what is filled in, checked and committed, under one lock.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::call::Call;
use super::catalog::Served;
use super::params::WriteOptions;
use super::rules;
use crate::kinds::{Kind, alias, builtin};
use crate::merge::managed::{self, Writer};
use crate::object::{Object, meta};
use crate::objects::Change;
use crate::schema::{metadata, resource};
use crate::status::{Cause, Status};
use crate::store::{Event, Writing};

/// Who writes, and how.
#[derive(Debug)]
pub(crate) struct Intent<'a> {
    /// Who asks, for the observer.
    pub(crate) user: &'a str,
    /// The request, which gets the warnings.
    pub(crate) call: Option<&'a Call>,
    /// Who owns the fields that change; none leaves ownership as it is.
    pub(crate) manager: Option<String>,
    /// Through which subresource.
    pub(crate) subresource: Option<&'a str>,
    /// Everything but the write itself.
    pub(crate) dry_run: bool,
    /// Whether the object is checked; what the API server itself settles is not.
    pub(crate) checked: bool,
    /// When.
    pub(crate) now: Timestamp,
}

impl<'a> Intent<'a> {
    /// As a request says.
    pub(crate) fn of(
        api: &Api,
        call: &'a Call,
        options: &WriteOptions,
        subresource: &'a str,
    ) -> Self {
        Self {
            user: &call.user.name,
            call: Some(call),
            manager: Some(options.manager.clone().unwrap_or_else(|| call.agent())),
            subresource: (!subresource.is_empty()).then_some(subresource),
            dry_run: options.dry_run,
            checked: true,
            now: api.now(),
        }
    }

    fn warn(&self, kind: &Kind, new: &Value, old: Option<&Value>) {
        if let Some(call) = self.call {
            for warning in metadata::warnings(kind, new, old) {
                call.warn(warning);
            }
        }
    }

    /// The writer for ownership of fields.
    pub(crate) fn writer(&self, kind: &Kind) -> Option<Writer> {
        self.manager.as_ref().map(|manager| Writer {
            manager: manager.clone(),
            subresource: self.subresource.map(ToOwned::to_owned),
            api_version: kind.api_version(),
            now: self.now,
        })
    }
}

/// A time as objects show it: in whole seconds.
pub(crate) fn time(now: Timestamp) -> Value {
    Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
        .into()
}

/// Sets a field of the metadata.
pub(crate) fn set_meta(object: &mut Value, field: &str, value: Value) {
    if !object.get("metadata").is_some_and(Value::is_object) {
        object["metadata"] = json!({});
    }
    object["metadata"][field] = value;
}

/// Removes a field of the metadata.
pub(crate) fn remove_meta(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

impl Api {
    /// Creates an object that is complete as [`complete`](super::decode::complete) leaves it.
    pub(crate) fn create_in(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        namespace: &str,
        mut value: Value,
        intent: &Intent<'_>,
    ) -> Result<Arc<Object>, Status> {
        const ATTEMPTS: usize = 8;
        let kind = &served.kind;
        let generated = meta(&value, "name").is_empty() && !meta(&value, "generateName").is_empty();
        let version = meta(&value, "resourceVersion");
        if !version.is_empty() && version != "0" {
            return Err(Status::new(
                500,
                "",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        for field in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
        ] {
            remove_meta(&mut value, field);
        }
        set_meta(&mut value, "creationTimestamp", time(intent.now));
        set_meta(&mut value, "uid", self.uid().into());
        if let Some(writer) = intent.writer(kind) {
            managed::record_update(None, &mut value, &writer, &served.shape);
        }
        check_namespace(writing, kind, namespace, &value)?;
        self.admit(kind, namespace, &mut value, None)?;
        self.confirm_grant(intent, (kind, namespace), &value, None)?;
        rules::prepare_create(kind, &mut value);
        let mut key = String::new();
        for attempt in 0..ATTEMPTS {
            if generated {
                let base: String = meta(&value, "generateName").chars().take(58).collect();
                let name = format!("{base}{}", self.suffix());
                set_meta(&mut value, "name", name.into());
            }
            key = served.key(namespace, meta(&value, "name"));
            let taken = generated && writing.get(&served.resource, &key).is_some();
            if !taken || attempt + 1 == ATTEMPTS {
                break;
            }
        }
        let causes = validate(served, &value, None, None);
        if !causes.is_empty() {
            return Err(invalid(kind, &value, causes));
        }
        intent.warn(kind, &value, None);
        if let Some(existing) = writing.get(&served.resource, &key) {
            return Err(taken(kind, meta(&value, "name"), generated, &existing));
        }
        self.allocate(writing, kind, &mut value, None)?;
        self.settle_definition(kind, &mut value, intent.now);
        if intent.dry_run {
            return Ok(Arc::new(Object::new(value, 0)));
        }
        served.store(&mut value);
        let event = self.put(writing, served, &key, value, intent.user);
        Ok(served.show(
            event
                .after
                .as_ref()
                .ok_or_else(|| Status::internal("a written object is gone"))?,
        ))
    }

    /// Changes an object. `make` gets it as this version shows it, and gives it as it should be,
    /// complete as [`complete`](super::decode::complete) leaves it.
    pub(crate) fn update_in(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        namespace: &str,
        name: &str,
        intent: &Intent<'_>,
        make: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Arc<Object>, Status> {
        let kind = &served.kind;
        let key = served.key(namespace, name);
        let stored = writing
            .get(&served.resource, &key)
            .ok_or_else(|| Status::not_found(&kind.group, &kind.plural, name))?;
        let old = served.show(&stored);
        let mut new = make(old.value())?;
        if let Some(writer) = intent.writer(kind) {
            managed::record_update(Some(old.value()), &mut new, &writer, &served.shape);
        }
        check_version(served, old.value(), &mut new)?;
        if intent.subresource.is_none() {
            self.admit(kind, namespace, &mut new, Some(old.value()))?;
        }
        rules::prepare_update(kind, intent.subresource, &mut new, old.value());
        managed::keep_times(old.value(), &mut new);
        self.finish_update(writing, served, &key, &old, new, intent)
    }

    /// Checks, commits or drops a change whose fields are owned already.
    pub(crate) fn finish_update(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        key: &str,
        old: &Arc<Object>,
        mut new: Value,
        intent: &Intent<'_>,
    ) -> Result<Arc<Object>, Status> {
        let kind = &served.kind;
        let namespace = old.meta("namespace");
        self.confirm_grant(intent, (kind, namespace), &new, Some(old.value()))?;
        let causes = if intent.checked {
            validate(served, &new, Some(old.value()), intent.subresource)
        } else {
            Vec::new()
        };
        if !causes.is_empty() {
            return Err(invalid(kind, &new, causes));
        }
        intent.warn(kind, &new, Some(old.value()));
        if rules::is_finished(kind, &new, old.value()) {
            if !intent.dry_run {
                self.remove(writing, served, key, intent.user);
            }
            return Ok(Arc::new(Object::new(new, old.revision())));
        }
        if intent.subresource.is_none() {
            self.allocate(writing, kind, &mut new, Some(old.value()))?;
            self.settle_definition(kind, &mut new, intent.now);
        }
        if new == *old.value() {
            return Ok(Arc::clone(old));
        }
        if intent.dry_run {
            return Ok(Arc::new(Object::new(new, old.revision())));
        }
        served.store(&mut new);
        let event = self.put(writing, served, key, new, intent.user);
        Ok(served.show(
            event
                .after
                .as_ref()
                .ok_or_else(|| Status::internal("a written object is gone"))?,
        ))
    }

    /// What the API server writes itself grants whatever it likes.
    fn confirm_grant(
        &self,
        intent: &Intent<'_>,
        target: (&Kind, &str),
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        match intent.call {
            Some(call) => self
                .access
                .confirm_grant(self, &call.user, target, new, old),
            None => Ok(()),
        }
    }

    /// Commits an object, and tells everybody in the process.
    pub(crate) fn put(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        key: &str,
        value: Value,
        user: &str,
    ) -> Arc<Event> {
        let event = writing.put(&served.resource, key, value);
        self.committed(writing, served, &event, user);
        event
    }

    /// Commits a removal, and tells everybody in the process.
    pub(crate) fn remove(
        &self,
        writing: &mut Writing<'_>,
        served: &Arc<Served>,
        key: &str,
        user: &str,
    ) -> Option<Arc<Event>> {
        let event = writing.remove(&served.resource, key)?;
        self.committed(writing, served, &event, user);
        Some(event)
    }

    fn committed(
        &self,
        writing: &Writing<'_>,
        served: &Arc<Served>,
        event: &Arc<Event>,
        user: &str,
    ) {
        if rules::is_definition(&served.kind) {
            self.reload(writing);
        }
        self.tell(
            &Change {
                kind: Arc::clone(&served.kind),
                before: event.before.clone(),
                after: event.after.clone(),
            },
            event.revision,
            user,
        );
    }
}

/// Everything that is wrong with a new object, or with a change through a subresource.
pub(crate) fn validate(
    served: &Served,
    new: &Value,
    old: Option<&Value>,
    subresource: Option<&str>,
) -> Vec<Cause> {
    let kind = &served.kind;
    let Some(schema) = &served.schema else {
        let mut causes = match old {
            None => metadata::validate_create(kind, new),
            Some(old) => metadata::validate_update(kind, new, old),
        };
        causes.extend(builtin::validate(kind, new, old));
        return causes;
    };
    let causes = check_own_type(kind, new);
    if !causes.is_empty() {
        return causes;
    }
    match (old, subresource) {
        (None, _) => resource::validate_create(kind, schema, new),
        (Some(old), Some("status")) => resource::validate_status(kind, schema, new, old),
        (Some(old), _) => resource::validate_update(kind, schema, new, old),
    }
}

/// 422 with what is wrong. A custom resource is called what it calls itself, and an object that
/// several groups serve is of the group that stores it.
fn invalid(kind: &Kind, value: &Value, causes: Vec<Cause>) -> Status {
    let own = value.get("kind").and_then(Value::as_str);
    let own = own.unwrap_or(&kind.kind);
    let group = alias::storage(kind).map_or(kind.group.as_str(), |(group, ..)| group);
    Status::invalid(group, own, meta(value, "name"), causes)
}

fn check_own_type(kind: &Kind, object: &Value) -> Vec<Cause> {
    let own = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if own == kind.kind {
        return Vec::new();
    }
    vec![Cause::invalid(
        "kind",
        &format!("{own:?}"),
        &format!("must be {}", kind.kind),
    )]
}

fn taken(kind: &Kind, name: &str, generated: bool, existing: &Object) -> Status {
    let mut status = Status::already_exists(&kind.group, &kind.plural, name);
    if generated {
        status
            .message
            .push_str(", the server was not able to generate a unique name for the object");
        if let Some(details) = &mut status.details {
            details.retry_after_seconds = 1;
        }
    }
    if !existing.meta("deletionTimestamp").is_empty() {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

/// The uid that an update names is that of the object.
pub(crate) fn check_uid(
    served: &Served,
    key: &str,
    old: &Value,
    new: &Value,
) -> Result<(), Status> {
    let kind = &served.kind;
    let uid = meta(new, "uid");
    if uid.is_empty() || uid == meta(old, "uid") {
        return Ok(());
    }
    let prefix = if served.is_custom() {
        format!("{}/{}", kind.group, kind.plural)
    } else {
        kind.plural.clone()
    };
    Err(Status::conflict(
        &kind.group,
        &kind.plural,
        meta(old, "name"),
        &format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{prefix}/{key}, \
             ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: \
             {uid}, UID in object meta: {}",
            meta(old, "uid")
        ),
    ))
}

/// The version that an update names, if it must, is that of the object.
pub(crate) fn check_version(served: &Served, old: &Value, new: &mut Value) -> Result<(), Status> {
    let kind = &served.kind;
    let name = meta(old, "name");
    let version = meta(new, "resourceVersion");
    let unset = version.is_empty() || version == "0";
    if unset {
        if !builtin::updates_unconditionally(kind) {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                "0",
                "must be specified for an update",
            );
            return Err(Status::invalid(
                &kind.group,
                &kind.plural,
                name,
                vec![cause],
            ));
        }
    } else if version != meta(old, "resourceVersion") {
        if version.parse::<u64>().is_err() {
            return Err(Status::new(
                500,
                "",
                format!("strconv.ParseUint: parsing {version:?}: invalid syntax"),
            ));
        }
        return Err(Status::conflict(
            &kind.group,
            &kind.plural,
            name,
            "the object has been modified; please apply your changes to the latest version \
             and try again",
        ));
    }
    let version = meta(old, "resourceVersion").to_owned();
    set_meta(new, "resourceVersion", version.into());
    Ok(())
}

/// Refuses to create in namespaces that are not there, or about to go.
fn check_namespace(
    writing: &Writing<'_>,
    kind: &Kind,
    namespace: &str,
    value: &Value,
) -> Result<(), Status> {
    if kind.schema.is_some() {
        let name = format!("{}.{}", kind.plural, kind.group);
        let definition = writing.get("customresourcedefinitions.apiextensions.k8s.io", &name);
        if definition.is_some_and(|found| !found.meta("deletionTimestamp").is_empty()) {
            return Err(Status::forbidden(
                &kind.group,
                &kind.plural,
                meta(value, "name"),
                "create not allowed while custom resource definition is terminating",
            ));
        }
    }
    if !kind.namespaced {
        return Ok(());
    }
    let Some(found) = writing.get("namespaces", namespace) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    let terminating = found
        .value()
        .pointer("/status/phase")
        .and_then(Value::as_str)
        == Some("Terminating");
    if terminating || !found.meta("deletionTimestamp").is_empty() {
        let name = meta(value, "name");
        let mut status = Status::forbidden(
            &kind.group,
            &kind.plural,
            name,
            &format!(
                "unable to create new content in namespace {namespace} because it is being \
                 terminated"
            ),
        );
        if let Some(details) = &mut status.details {
            details.causes.push(Cause {
                reason: "NamespaceTerminating",
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            });
        }
        return Err(status);
    }
    Ok(())
}
