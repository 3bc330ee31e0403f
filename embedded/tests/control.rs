//! The controllers inside the API server, seen by its clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use embedded::Embedded;
use embedded::access::{MASTERS, User};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{
    BoundObjectReference, TokenRequest, TokenRequestSpec, TokenReview, TokenReviewSpec,
};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

/// An API server whose time is tokio's.
fn start() -> (Embedded, Client) {
    let start = Instant::now();
    let zero = Timestamp::from_second(1_767_225_600).unwrap();
    let clock = Arc::new(move || {
        let passed = i64::try_from((Instant::now() - start).as_nanos()).unwrap();
        zero + SignedDuration::from_nanos(passed)
    });
    let count = AtomicU64::new(0);
    let uids = Arc::new(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012}")
    });
    let embedded = Embedded::builder(clock, uids).start().unwrap();
    let client = embedded.client(User::authenticated("admin", &[MASTERS]));
    (embedded, client)
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

fn from<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn create<K>(api: &Api<K>, value: Value) -> K
where
    K: kube::Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    api.create(&PostParams::default(), &from(value))
        .await
        .unwrap()
}

fn config_map(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    })
}

fn node(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "status": {
            "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" },
            "capacity": { "cpu": "4", "memory": "8Gi", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

#[tokio::test(start_paused = true)]
async fn dependents_go_with_their_owner() {
    let (_embedded, client) = start();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let owner = create(&maps, config_map("owner")).await;
    let mut dependent = config_map("dependent");
    dependent["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner.metadata.uid,
        "blockOwnerDeletion": true,
    }]);
    create(&maps, dependent.clone()).await;
    settle().await;
    assert!(maps.get_opt("dependent").await.unwrap().is_some());
    maps.delete("owner", &DeleteParams::foreground())
        .await
        .unwrap();
    settle().await;
    assert!(maps.get_opt("owner").await.unwrap().is_none());
    assert!(maps.get_opt("dependent").await.unwrap().is_none());
    // An owner that is not there is as good as one that is gone.
    create(&maps, dependent).await;
    settle().await;
    assert!(maps.get_opt("dependent").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_lives_with_its_account_and_ends_with_its_content() {
    let (_embedded, client) = start();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    create(&namespaces, json!({ "metadata": { "name": "game" } })).await;
    settle().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "game");
    accounts.get("default").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "game");
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["test.dev/hold"]);
    create(&maps, held).await;
    create(&maps, config_map("plain")).await;
    namespaces
        .delete("game", &DeleteParams::default())
        .await
        .unwrap();
    settle().await;
    let ending = serde_json::to_value(namespaces.get("game").await.unwrap()).unwrap();
    assert_eq!(ending["status"]["phase"], "Terminating");
    let conditions = ending["status"]["conditions"].as_array().unwrap();
    let remaining = conditions
        .iter()
        .find(|condition| condition["type"] == "NamespaceFinalizersRemaining")
        .unwrap();
    assert_eq!(
        remaining["message"],
        "Some content in the namespace has finalizers remaining: test.dev/hold in 1 resource \
         instances"
    );
    assert!(maps.get_opt("plain").await.unwrap().is_none());
    let release = json!({ "metadata": { "finalizers": null } });
    maps.patch("held", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    settle().await;
    assert!(namespaces.get_opt("game").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn pods_are_bound_and_go_with_their_node() {
    let (_embedded, client) = start();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let nodes: Api<Node> = Api::all(client.clone());
    let events: Api<Event> = Api::namespaced(client, "default");
    create(&pods, pod("pod")).await;
    settle().await;
    let waiting = serde_json::to_value(pods.get("pod").await.unwrap()).unwrap();
    let condition = &waiting["status"]["conditions"][0];
    assert_eq!(condition["reason"], "Unschedulable");
    assert_eq!(condition["message"], "no nodes available to schedule pods");
    create(&nodes, node("node")).await;
    settle().await;
    let bound = pods.get("pod").await.unwrap();
    assert_eq!(bound.spec.unwrap().node_name.as_deref(), Some("node"));
    let told: Vec<String> = events
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .filter_map(|event| event.reason)
        .collect();
    assert!(told.contains(&"FailedScheduling".to_owned()), "{told:?}");
    assert!(told.contains(&"Scheduled".to_owned()), "{told:?}");
    nodes
        .delete("node", &DeleteParams::default())
        .await
        .unwrap();
    tokio::time::sleep(embedded::control::NODE_ABSENCE * 2).await;
    assert!(pods.get_opt("pod").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_definition_ends_after_its_objects() {
    let (_embedded, client) = start();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let definition = json!({
        "metadata": { "name": "things.test.dev" },
        "spec": {
            "group": "test.dev",
            "names": { "plural": "things", "singular": "thing", "kind": "Thing" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    });
    create(&definitions, definition).await;
    settle().await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("test.dev", "v1", "Thing"));
    let things: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    let thing = json!({
        "apiVersion": "test.dev/v1",
        "kind": "Thing",
        "metadata": { "name": "held", "finalizers": ["test.dev/hold"] },
    });
    things
        .create(&PostParams::default(), &from(thing))
        .await
        .unwrap();
    definitions
        .delete("things.test.dev", &DeleteParams::default())
        .await
        .unwrap();
    settle().await;
    assert!(
        definitions
            .get_opt("things.test.dev")
            .await
            .unwrap()
            .is_some()
    );
    let held = things.get("held").await.unwrap();
    assert!(held.metadata.deletion_timestamp.is_some());
    let release = json!({ "metadata": { "finalizers": null } });
    things
        .patch("held", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    settle().await;
    assert!(
        definitions
            .get_opt("things.test.dev")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn default_roles_are_made_of_their_parts() {
    let (_embedded, client) = start();
    let roles: Api<ClusterRole> = Api::all(client);
    settle().await;
    let count = |role: ClusterRole| role.rules.unwrap_or_default().len();
    let view = count(roles.get("view").await.unwrap());
    let edit = count(roles.get("edit").await.unwrap());
    let admin = count(roles.get("admin").await.unwrap());
    assert!(
        0 < view && view < edit && edit < admin,
        "{view} {edit} {admin}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_pod_ends_with_the_pod() {
    let (embedded, client) = start();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let made = create(&pods, pod("pod")).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec!["hub".to_owned()]),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some("pod".to_owned()),
                uid: made.metadata.uid.clone(),
            }),
            expiration_seconds: Some(600),
        }),
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request("default", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = answer.status.unwrap().token.unwrap();
    let reviews: Api<TokenReview> = Api::all(client);
    let review = TokenReview {
        spec: TokenReviewSpec {
            token,
            audiences: Some(vec!["hub".to_owned()]),
        },
        ..TokenReview::default()
    };
    let ask = async || {
        let answer = reviews.create(&PostParams::default(), &review).await;
        answer.unwrap().status.unwrap()
    };
    let status = ask().await;
    assert_eq!(status.authenticated, Some(true), "{:?}", status.error);
    let extra = status.user.unwrap().extra.unwrap();
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], ["pod"]);
    pods.delete("pod", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    let status = ask().await;
    assert_eq!(status.authenticated, None);
    assert_eq!(
        status.error.as_deref(),
        Some("[invalid bearer token, service account token has been invalidated]")
    );
    // Somebody without rights is refused before anything is looked up.
    let nobody = embedded.client(User::authenticated("nobody", &[]));
    let refused = Api::<Pod>::namespaced(nobody, "default").get("pod").await;
    let kube::Error::Api(status) = refused.unwrap_err() else {
        panic!("no answer of the API server");
    };
    assert_eq!(
        status.message,
        "pods \"pod\" is forbidden: User \"nobody\" cannot get resource \"pods\" in API group \
         \"\" in the namespace \"default\""
    );
}
