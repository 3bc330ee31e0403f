//! Calls to the API server: each with a time limit and an error that says what was tried.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::ObjectMeta;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// Time limit of one call.
const LIMIT: Duration = Duration::from_secs(10);

/// Kinds that are cached.
pub(crate) trait Kind:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}

/// Kinds that live in a namespace and that we write.
pub(crate) trait Namespaced: Kind + Resource<Scope = NamespaceResourceScope> {}

impl<K: Kind + Resource<Scope = NamespaceResourceScope>> Namespaced for K {}

/// Which version of which object a write is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl Target {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// The API server, as the controllers and the hub use it.
#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) client: Client,
    pub(crate) metrics: crate::metrics::Metrics,
}

impl Debug for ApiServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ApiServer").finish_non_exhaustive()
    }
}

impl ApiServer {
    fn api<K: Namespaced>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Runs a call under the time limit, counts it, and names it in its error.
    pub(crate) async fn call<T>(
        &self,
        verb: &'static str,
        object: String,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        let kind = object.split(' ').next().unwrap_or_default().to_owned();
        let action = format!("{verb} {object}");
        let result = match tokio::time::timeout(LIMIT, call).await {
            Ok(result) => result.map_err(|error| Error::new(action, error)),
            Err(_) => Err(Error::TimedOut {
                action,
                limit: LIMIT,
            }),
        };
        let outcome = result.as_ref().err().map_or("Ok", Error::reason);
        self.metrics
            .api_calls
            .with_label_values(&[verb, kind.as_str(), outcome])
            .inc();
        result
    }

    pub(crate) async fn get<K: Namespaced>(&self, namespace: &str, name: &str) -> Result<K, Error> {
        self.call(
            "get",
            object::<K>(namespace, name),
            self.api::<K>(namespace).get(name),
        )
        .await
    }

    /// Creates an object. An object of that name that has `owned` true is a create of ours that
    /// was answered late, and counts as success.
    pub(crate) async fn create<K: Namespaced>(
        &self,
        object_to_create: &K,
        owned: impl Fn(&K) -> bool,
    ) -> Result<K, Error> {
        let namespace = object_to_create
            .meta()
            .namespace
            .clone()
            .unwrap_or_default();
        let name = object_to_create.meta().name.clone().unwrap_or_default();
        let api = self.api::<K>(&namespace);
        let params = PostParams::default();
        let created = self
            .call(
                "create",
                object::<K>(&namespace, &name),
                api.create(&params, object_to_create),
            )
            .await;
        match created {
            Err(error) if error.is_already_exists() => {
                let existing: K = self.get(&namespace, &name).await?;
                if owned(&existing) {
                    Ok(existing)
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    /// Sends an object as a create that changes nothing, to see whether it would be accepted.
    pub(crate) async fn dry_run<K: Namespaced>(&self, object_to_try: &K) -> Result<(), Error> {
        let namespace = object_to_try.meta().namespace.clone().unwrap_or_default();
        let name = object_to_try.meta().name.clone().unwrap_or_default();
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let api = self.api::<K>(&namespace);
        self.call(
            "dry-run",
            object::<K>(&namespace, &name),
            api.create(&params, object_to_try),
        )
        .await
        .map(drop)
    }

    /// Merges a patch into the version of the object that `target` names, and no other.
    pub(crate) async fn patch<K: Namespaced>(
        &self,
        target: &Target,
        patch: Value,
    ) -> Result<K, Error> {
        let patch = guarded(target, patch);
        let api = self.api::<K>(&target.namespace);
        let params = PatchParams::default();
        self.call(
            "patch",
            object::<K>(&target.namespace, &target.name),
            api.patch(&target.name, &params, &Patch::Merge(&patch)),
        )
        .await
    }

    /// Applies a status as its only writer, onto the version of the object that was seen.
    pub(crate) async fn apply_status<K: Namespaced>(
        &self,
        seen: &ObjectMeta,
        status: impl Serialize,
    ) -> Result<K, Error> {
        let Target {
            namespace,
            name,
            uid,
            resource_version,
        } = Target::of(seen);
        let kind = K::kind(&()).to_lowercase();
        let body = serde_json::json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": uid,
                "resourceVersion": resource_version,
            },
            "status": status,
        });
        let params = PatchParams::apply(&format!("{}/{kind}", crds::meta::GROUP)).force();
        let api = self.api::<K>(&namespace);
        self.call(
            "apply-status",
            object::<K>(&namespace, &name),
            api.patch_status(&name, &params, &Patch::Apply(&body)),
        )
        .await
    }

    /// Deletes exactly the object that `target` names; an object that is gone is a success.
    ///
    /// Returns the object with its deletion time if it stays until its children are gone.
    pub(crate) async fn delete<K: Namespaced>(
        &self,
        target: &Target,
        propagation: PropagationPolicy,
    ) -> Result<Option<K>, Error> {
        // The resource version matters: a server that was allocated meanwhile must survive.
        let version = &target.resource_version;
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(Preconditions {
                uid: Some(target.uid.clone()),
                resource_version: (!version.is_empty()).then(|| version.clone()),
            }),
            ..DeleteParams::default()
        };
        let api = self.api::<K>(&target.namespace);
        let result = self
            .call(
                "delete",
                object::<K>(&target.namespace, &target.name),
                api.delete(&target.name, &params),
            )
            .await;
        match result {
            Ok(answer) => Ok(answer.left()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Puts the guard into a merge patch: uid and version must still be those that were seen.
fn guarded(target: &Target, mut patch: Value) -> Value {
    if let Some(body) = patch.as_object_mut() {
        let metadata = body
            .entry("metadata")
            .or_insert_with(|| serde_json::json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert(
                "resourceVersion".to_owned(),
                target.resource_version.clone().into(),
            );
            metadata.insert("uid".to_owned(), target.uid.clone().into());
        }
    }
    patch
}

fn object<K: Namespaced>(namespace: &str, name: &str) -> String {
    format!("{} {namespace}/{name}", K::kind(&()))
}
