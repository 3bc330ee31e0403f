//! Finalizers, dry run and scale.

use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{config_map, config_maps, refusal, start};

#[tokio::test(start_paused = true)]
async fn an_object_with_a_finalizer_goes_when_that_goes() {
    let (_embedded, client) = start();
    let api = config_maps(&client);
    let mut object = config_map("kept", "1");
    object.metadata.finalizers = Some(vec!["muster.dev/test".to_owned()]);
    api.create(&PostParams::default(), &object).await.unwrap();
    let deleted = api.delete("kept", &DeleteParams::default()).await.unwrap();
    let pending = deleted.left().expect("it is still there");
    assert!(pending.metadata.deletion_timestamp.is_some());
    let again = api.delete("kept", &DeleteParams::default()).await.unwrap();
    let again = again.left().expect("it is still there");
    assert_eq!(
        again.metadata.resource_version, pending.metadata.resource_version,
        "a second deletion changes nothing"
    );
    let more = Patch::Merge(json!({ "metadata": { "finalizers": ["muster.dev/test", "x/y"] } }));
    let refused = api.patch("kept", &PatchParams::default(), &more).await;
    assert_eq!(refusal(&refused.unwrap_err()).0, 422);
    let none = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("kept", &PatchParams::default(), &none)
        .await
        .unwrap();
    assert_eq!(refusal(&api.get("kept").await.unwrap_err()).0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_answers_as_if_and_writes_nothing() {
    let (embedded, client) = start();
    let api = config_maps(&client);
    api.create(&PostParams::default(), &config_map("real", "1"))
        .await
        .unwrap();
    let before = embedded.revision();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let created = api.create(&dry, &config_map("dry", "1")).await.unwrap();
    assert!(created.metadata.uid.is_some());
    let taken = api.create(&dry, &config_map("real", "1")).await;
    assert_eq!(refusal(&taken.unwrap_err()).0, 409);
    let patched = api
        .patch(
            "real",
            &PatchParams {
                dry_run: true,
                ..PatchParams::default()
            },
            &Patch::Merge(json!({ "data": { "key": "2" } })),
        )
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap()["key"], "2");
    let deleted = api
        .delete(
            "real",
            &DeleteParams {
                dry_run: true,
                ..DeleteParams::default()
            },
        )
        .await
        .unwrap();
    assert!(deleted.is_right(), "it answers that it is gone");
    assert_eq!(embedded.revision(), before);
    assert_eq!(api.get("real").await.unwrap().data.unwrap()["key"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_is_scaled_and_its_replicas_are_owned() {
    let (_embedded, client) = start();
    let fleets: Api<crds::Fleet> = Api::namespaced(client, "default");
    let fleet: crds::Fleet = serde_json::from_value(json!({
        "apiVersion": "muster.dev/v1",
        "kind": "Fleet",
        "metadata": { "name": "simple" },
        "spec": { "replicas": 2, "template": { "spec": { "template": { "spec": {
            "containers": [{ "name": "server", "image": "simple" }],
        } } } } },
    }))
    .unwrap();
    fleets.create(&PostParams::default(), &fleet).await.unwrap();
    let shown = fleets.get_scale("simple").await.unwrap();
    assert_eq!(shown.spec.unwrap().replicas, Some(2));
    let five = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    let scaled = fleets
        .patch_scale("simple", &PatchParams::default(), &five)
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(5));
    let apply = |replicas: i32| {
        Patch::Apply(json!({
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "spec": { "replicas": replicas },
        }))
    };
    let manager = PatchParams::apply("scaler");
    let conflict = fleets.patch_scale("simple", &manager, &apply(7)).await;
    assert_eq!(refusal(&conflict.unwrap_err()).0, 409);
    let forced = fleets
        .patch_scale("simple", &manager.clone().force(), &apply(7))
        .await
        .unwrap();
    assert_eq!(forced.spec.unwrap().replicas, Some(7));
    let fleet = fleets.get("simple").await.unwrap();
    assert_eq!(fleet.spec.replicas, 7);
    assert_eq!(fleet.metadata.generation, Some(3));
    let owners = fleet.metadata.managed_fields.unwrap();
    let autoscaler = owners
        .iter()
        .find(|entry| entry.manager.as_deref() == Some("scaler"))
        .unwrap();
    assert_eq!(autoscaler.operation.as_deref(), Some("Apply"));
    assert_eq!(autoscaler.subresource.as_deref(), Some("scale"));
}
