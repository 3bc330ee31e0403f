//! What a namespace of game servers needs before its first pod: the hub's CA certificates and a
//! PodDisruptionBudget that protects servers from eviction.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crds::meta;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::ObjectMeta;
use tokio::time::Instant;

use crate::error::Error;
use crate::gameserver::pod::{CA_CONFIG_MAP, CA_KEY};
use crate::world::World;

/// The budget that no eviction of a protected server passes.
const BUDGET: &str = "muster-gameserver-safe-to-evict-false";

/// What was furnished is looked at again after this time, in case somebody took it away.
const RECHECK: Duration = Duration::from_mins(5);

const FIELD_MANAGER: &str = "muster.dev/namespaces";

/// Which namespaces are furnished, and with which certificates.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    bundle: Mutex<String>,
    furnished: Mutex<HashMap<String, (String, Instant)>>,
}

impl Namespaces {
    /// Sets the certificates by which SDK servers know the hub, PEM.
    pub(crate) fn set_bundle(&self, bundle: String) {
        *self.bundle.lock().unwrap_or_else(PoisonError::into_inner) = bundle;
    }

    fn bundle(&self) -> String {
        self.bundle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes what is missing in a namespace.
    pub(crate) async fn ensure(&self, world: &World, namespace: &str) -> Result<(), Error> {
        let bundle = self.bundle();
        if bundle.is_empty() {
            return Err(Error::Waiting {
                what: "the hub has no CA certificate yet".to_owned(),
            });
        }
        {
            let furnished = self
                .furnished
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some((with, at)) = furnished.get(namespace)
                && *with == bundle
                && at.elapsed() < RECHECK
            {
                return Ok(());
            }
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let config_map = ConfigMap {
            metadata: named(CA_CONFIG_MAP, namespace),
            data: Some(BTreeMap::from([(CA_KEY.to_owned(), bundle.clone())])),
            ..ConfigMap::default()
        };
        let api: Api<ConfigMap> = Api::namespaced(world.api.client.clone(), namespace);
        world
            .api
            .call(
                "apply",
                format!("ConfigMap {namespace}/{CA_CONFIG_MAP}"),
                api.patch(CA_CONFIG_MAP, &params, &Patch::Apply(&config_map)),
            )
            .await?;
        let budget = PodDisruptionBudget {
            metadata: named(BUDGET, namespace),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::String("0%".to_owned())),
                selector: Some(LabelSelector {
                    match_labels: Some(BTreeMap::from([(
                        meta::SAFE_TO_EVICT_LABEL.to_owned(),
                        "false".to_owned(),
                    )])),
                    ..LabelSelector::default()
                }),
                ..PodDisruptionBudgetSpec::default()
            }),
            ..PodDisruptionBudget::default()
        };
        let api: Api<PodDisruptionBudget> = Api::namespaced(world.api.client.clone(), namespace);
        world
            .api
            .call(
                "apply",
                format!("PodDisruptionBudget {namespace}/{BUDGET}"),
                api.patch(BUDGET, &params, &Patch::Apply(&budget)),
            )
            .await?;
        let mut furnished = self
            .furnished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        furnished.insert(namespace.to_owned(), (bundle, Instant::now()));
        Ok(())
    }

    /// Forgets a namespace that has no game servers any more: it may be made anew.
    pub(crate) fn forget(&self, namespace: &str) {
        let mut furnished = self
            .furnished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        furnished.remove(namespace);
    }
}

fn named(name: &str, namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectMeta::default()
    }
}
