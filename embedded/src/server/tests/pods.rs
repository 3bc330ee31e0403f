//! What only pods have: a graceful end, binding, eviction, logs.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{AsyncReadExt as _, StreamExt as _};
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, EvictParams, LogParams, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::{Value, json};

use super::{refusal, start};
use crate::kubelet::{Kubelet, LogQuery, Usage};
use crate::status::Status;

/// A pod that no scheduler looks at.
async fn make(client: &Client, name: &str, spec: Value) -> Api<Pod> {
    let mut object = json!({
        "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": {
            "schedulerName": "nobody",
            "containers": [{ "name": "main", "image": "image" }],
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    let api: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &pod).await.unwrap();
    api
}

#[tokio::test(start_paused = true)]
async fn a_pod_on_a_node_gets_its_grace_period() {
    let (_embedded, client) = start();
    let pods = make(&client, "one", json!({ "nodeName": "node" })).await;
    let deleted = pods.delete("one", &DeleteParams::default()).await.unwrap();
    let pod = deleted.left().expect("it has time to end");
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(30));
    let until = pod.metadata.deletion_timestamp.unwrap().0;
    assert_eq!(until.to_string(), "2026-01-01T00:00:30Z");
    let shorter = DeleteParams::default().grace_period(5);
    let pod = pods.delete("one", &shorter).await.unwrap().left().unwrap();
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(5));
    let longer = DeleteParams::default().grace_period(60);
    let pod = pods.delete("one", &longer).await.unwrap().left().unwrap();
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(5));
    let now = DeleteParams::default().grace_period(0);
    pods.delete("one", &now).await.unwrap();
    assert_eq!(refusal(&pods.get("one").await.unwrap_err()).0, 404);
    // On no node there is nothing to end.
    let pods = make(&client, "two", json!({})).await;
    pods.delete("two", &DeleteParams::default()).await.unwrap();
    assert_eq!(refusal(&pods.get("two").await.unwrap_err()).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_once() {
    let (_embedded, client) = start();
    let nodes: Api<Node> = Api::all(client.clone());
    let node = serde_json::from_value(json!({ "metadata": { "name": "node" } })).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let pods = make(&client, "one", json!({})).await;
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": "one" },
        "target": { "kind": "Node", "name": "node" },
    });
    let params = PostParams::default();
    let bind = || pods.create_subresource::<Value, Value>("binding", "one", &params, &binding);
    bind().await.unwrap();
    let pod = pods.get("one").await.unwrap();
    assert_eq!(pod.spec.unwrap().node_name.as_deref(), Some("node"));
    let conditions = pod.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|known| known.type_ == "PodScheduled" && known.status == "True")
    );
    assert_eq!(
        refusal(&bind().await.unwrap_err()),
        (
            409,
            "Operation cannot be fulfilled on pods/binding \"one\": pod one is already assigned \
             to node \"node\""
                .to_owned()
        )
    );
}

#[tokio::test(start_paused = true)]
async fn an_eviction_asks_the_budget() {
    let (_embedded, client) = start();
    let pods = make(&client, "one", json!({ "nodeName": "node" })).await;
    let running = Patch::Merge(json!({ "status": {
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "True" }],
    } }));
    pods.patch_status("one", &PatchParams::default(), &running)
        .await
        .unwrap();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client, "default");
    let budget = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    }))
    .unwrap();
    budgets
        .create(&PostParams::default(), &budget)
        .await
        .unwrap();
    let params = EvictParams::default();
    let evict = || pods.evict("one", &params);
    let cause = |error: &Error| match error {
        Error::Api(status) => (
            status.code,
            status.details.as_ref().unwrap().causes[0].message.clone(),
        ),
        other => panic!("not an answer of the API: {other}"),
    };
    assert_eq!(
        cause(&evict().await.unwrap_err()),
        (
            429,
            "The disruption budget web is still being processed by the server.".to_owned()
        )
    );
    let allow = async |allowed: i32| {
        let status = Patch::Merge(json!({ "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": 1,
            "desiredHealthy": 1,
            "expectedPods": 1,
        } }));
        budgets
            .patch_status("web", &PatchParams::default(), &status)
            .await
            .unwrap();
    };
    allow(0).await;
    assert_eq!(
        cause(&evict().await.unwrap_err()),
        (
            429,
            "The disruption budget web needs 1 healthy pods and has 1 currently".to_owned()
        )
    );
    allow(1).await;
    evict().await.unwrap();
    let pod = pods.get("one").await.unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some());
    let conditions = pod.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|known| known.type_ == "DisruptionTarget")
    );
    let status = budgets.get("web").await.unwrap().status.unwrap();
    assert_eq!(status.disruptions_allowed, Some(0));
    assert!(status.disrupted_pods.unwrap().contains_key("one"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_says_what_to_do_instead() {
    let (_embedded, client) = start();
    make(&client, "one", json!({ "nodeName": "node" })).await;
    let ask = async |method: &str, path: &str| {
        let path = format!("/api/v1/namespaces/default/pods/{path}");
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(Vec::new()).unwrap();
        match client.request::<Value>(request).await.unwrap_err() {
            Error::Api(status) => (status.code, status.reason.clone(), status.message.clone()),
            other => panic!("not an answer of the API: {other}"),
        }
    };
    for (method, path, words) in [
        ("GET", "one/exec?command=ls", ["pods/exec", "kubectl logs"]),
        ("POST", "one/attach", ["pods/attach", "kubectl logs"]),
        (
            "POST",
            "one/portforward?ports=80",
            ["pods/portforward", "hostPort"],
        ),
        (
            "GET",
            "one/proxy/some/page",
            ["pods/proxy", "the address itself"],
        ),
        (
            "PATCH",
            "one/ephemeralcontainers",
            ["pods/ephemeralcontainers", "another pod"],
        ),
        ("PATCH", "one/resize", ["pods/resize", "another pod"]),
    ] {
        let (code, reason, message) = ask(method, path).await;
        assert_eq!((code, reason.as_str()), (405, "MethodNotAllowed"), "{path}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
    let (code, _, message) = ask("POST", "none/exec?command=ls").await;
    assert_eq!((code, message.as_str()), (404, "pods \"none\" not found"));
    let (code, _, _) = ask("POST", "one/nothing").await;
    assert_eq!(code, 404);
}

/// Says what it is asked.
#[derive(Debug)]
struct Echo;

impl Kubelet for Echo {
    fn logs(
        &self,
        namespace: &str,
        pod: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Bytes>, Status> {
        let container = query.container.as_deref().unwrap_or_default();
        let lines = [
            format!("{namespace}/{pod}/{container}\n"),
            format!("{:?} {}\n", query.tail_lines, query.follow),
        ];
        Ok(stream::iter(lines.map(Bytes::from)).boxed())
    }

    fn usage(&self, _: &str, _: &str) -> Vec<Usage> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn logs_come_from_the_node() {
    let (embedded, client) = start();
    let pods = make(&client, "one", json!({ "nodeName": "node" })).await;
    let without = pods.logs("one", &LogParams::default()).await;
    assert_eq!(refusal(&without.unwrap_err()).0, 500);
    embedded.attach(Arc::new(Echo));
    let query = LogParams {
        tail_lines: Some(3),
        follow: true,
        ..LogParams::default()
    };
    let mut text = String::new();
    let mut log = pods.log_stream("one", &query).await.unwrap();
    log.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "default/one/main\nSome(3) true\n");
    let other = LogParams {
        container: Some("other".to_owned()),
        ..LogParams::default()
    };
    assert_eq!(
        refusal(&pods.logs("one", &other).await.unwrap_err()),
        (400, "container other is not valid for pod one".to_owned())
    );
}
