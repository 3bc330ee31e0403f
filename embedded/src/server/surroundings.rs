//! What admission asks of other objects: service accounts and priorities for pods, addresses for
//! services.

use jiff::Timestamp;
use serde_json::Value;

use super::Api;
use super::rules::{is_core, is_definition};
use super::write::time;
use crate::kinds::builtin::addresses::{self, Taken};
use crate::kinds::builtin::admission::Surroundings;
use crate::kinds::{Kind, builtin, definition};
use crate::object::meta;
use crate::objects::Objects;
use crate::status::Status;
use crate::store::{Query, Writing};

/// The objects around one that is written.
struct Near<'a> {
    api: &'a Api,
    namespace: &'a str,
}

impl Near<'_> {
    fn classes(&self) -> Vec<Value> {
        let kinds = self.api.kinds();
        let Some(kind) = kinds.resource("scheduling.k8s.io", "priorityclasses") else {
            return Vec::new();
        };
        Objects::list(self.api, kind, None)
            .iter()
            .map(|class| class.value().clone())
            .collect()
    }
}

impl Surroundings for Near<'_> {
    fn service_account(&self, name: &str) -> Option<Value> {
        let key = format!("{}/{name}", self.namespace);
        let account = self.api.store.get("serviceaccounts", &key)?;
        Some(account.value().clone())
    }

    fn priority_class(&self, name: &str) -> Option<Value> {
        self.classes()
            .into_iter()
            .find(|class| meta(class, "name") == name)
    }

    fn default_priority_class(&self) -> Option<Value> {
        self.classes().into_iter().find(|class| {
            class
                .get("globalDefault")
                .and_then(Value::as_bool)
                .unwrap_or_default()
        })
    }

    fn suffix(&self) -> String {
        self.api.suffix()
    }
}

impl Api {
    /// Lets admission complete or refuse an object.
    pub(super) fn admit(
        &self,
        kind: &Kind,
        namespace: &str,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let near = Near {
            api: self,
            namespace,
        };
        builtin::admit(kind, namespace, new, old, &near)
    }

    /// Settles the status of a definition at once, where a real API server has controllers.
    pub(super) fn settle_definition(&self, kind: &Kind, new: &mut Value, now: Timestamp) {
        if is_definition(kind) {
            let now = time(now);
            definition::settle(new, &self.kinds(), now.as_str().unwrap_or_default());
        }
    }

    /// Gives a service its addresses and ports.
    pub(super) fn allocate(
        &self,
        _writing: &Writing<'_>,
        kind: &Kind,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        if !is_core(kind, "services") {
            return Ok(());
        }
        let mut taken = Taken::default();
        let services = self
            .store
            .list(&Query {
                resource: "services",
                ..Query::default()
            })
            .unwrap_or_default();
        let own = old.map(|old| meta(old, "uid"));
        for (_, service) in &services.objects {
            if Some(service.meta("uid")) != own {
                taken.add(service.value());
            }
        }
        addresses::allocate(new, old, &taken)
            .map_err(|causes| Status::invalid("", "Service", meta(new, "name"), causes))
    }
}
