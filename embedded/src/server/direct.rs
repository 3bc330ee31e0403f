//! The objects for code in the process that is part of the API server: [`Objects`].

use std::sync::{Arc, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

use super::Api;
use super::catalog::Served;
use super::decode::complete;
use super::delete::DeleteOptions;
use super::write::Intent;
use crate::kinds::{Kind, Kinds};
use crate::object::Object;
use crate::objects::{CHANGES, Change, Deletion, Objects};
use crate::status::Status;
use crate::store::Query;

/// Who writes, as the observer hears it.
const USER: &str = "system:apiserver";

impl Api {
    fn served(&self, kind: &Kind) -> Result<Arc<Served>, Status> {
        self.catalog()
            .of(kind)
            .cloned()
            .ok_or_else(Status::no_such_path)
    }

    fn own(&self) -> Intent<'static> {
        Intent {
            user: USER,
            call: None,
            manager: None,
            subresource: None,
            dry_run: false,
            checked: false,
            now: self.now(),
        }
    }
}

impl Objects for Api {
    fn kinds(&self) -> Arc<Kinds> {
        Arc::clone(&self.catalog().kinds)
    }

    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let served = self.served(kind).ok()?;
        self.find(&served, namespace, name)
    }

    fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<Object>> {
        let Ok(served) = self.served(kind) else {
            return Vec::new();
        };
        let listed = self.store.list(&Query {
            resource: &served.resource,
            namespace,
            ..Query::default()
        });
        listed
            .unwrap_or_default()
            .objects
            .iter()
            .map(|(_, object)| served.show(object))
            .collect()
    }

    fn create(&self, kind: &Kind, namespace: &str, object: Value) -> Result<Arc<Object>, Status> {
        let served = self.served(kind)?;
        let mut value = object;
        complete(&served, &mut value)?;
        let mut writing = self.begin();
        self.create_in(&mut writing, &served, namespace, value, &self.own())
    }

    fn change(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        change: &mut dyn FnMut(&mut Value),
    ) -> Result<Option<Arc<Object>>, Status> {
        let served = self.served(kind)?;
        let mut writing = self.begin();
        let key = served.key(namespace, name);
        let Some(stored) = writing.get(&served.resource, &key) else {
            return Ok(None);
        };
        let old = served.show(&stored);
        let mut new = old.value().clone();
        change(&mut new);
        self.finish_update(&mut writing, &served, &key, &old, new, &self.own())
            .map(Some)
    }

    fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        deletion: &Deletion,
    ) -> Result<(), Status> {
        let served = self.served(kind)?;
        let options = DeleteOptions {
            deletion: deletion.clone(),
            ..DeleteOptions::default()
        };
        let mut writing = self.begin();
        self.delete_in(&mut writing, &served, namespace, name, &options, USER)?;
        Ok(())
    }

    fn changes(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(CHANGES);
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        receiver
    }
}
