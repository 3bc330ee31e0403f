//! Nobody grants more than he has.

use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{refusal, start};
use crate::access::User;

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn role(name: &str, rules: &Value) -> Role {
    object(json!({ "metadata": { "name": name }, "rules": rules }))
}

fn binding(name: &str, role: &str) -> RoleBinding {
    object(json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane" }],
    }))
}

#[tokio::test(start_paused = true)]
async fn a_user_grants_only_what_he_holds() {
    let (embedded, admin) = start();
    let params = PostParams::default();
    let roles: Api<Role> = Api::namespaced(admin.clone(), "default");
    let bindings: Api<RoleBinding> = Api::namespaced(admin, "default");
    let held = json!([
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["roles", "rolebindings"],
            "verbs": ["create", "patch", "get"],
        },
        { "apiGroups": [""], "resources": ["pods", "*/status"], "verbs": ["get", "list"] },
    ]);
    let secrets =
        json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"] }]);
    roles.create(&params, &role("jane", &held)).await.unwrap();
    roles
        .create(&params, &role("secrets", &secrets))
        .await
        .unwrap();
    bindings
        .create(&params, &binding("jane", "jane"))
        .await
        .unwrap();

    let jane = embedded.client(User::authenticated("jane", &["players"]));
    let roles: Api<Role> = Api::namespaced(jane.clone(), "default");
    let bindings: Api<RoleBinding> = Api::namespaced(jane, "default");
    let less = json!([
        { "apiGroups": [""], "resources": ["pods"], "resourceNames": ["one"], "verbs": ["get"] },
        { "apiGroups": [""], "resources": ["nodes/status"], "verbs": ["get"] },
    ]);
    roles.create(&params, &role("less", &less)).await.unwrap();
    bindings
        .create(&params, &binding("less", "less"))
        .await
        .unwrap();
    let refused = |name: &str| {
        (
            403,
            format!(
                "{name} is forbidden: user \"jane\" (groups=[\"players\" \
                 \"system:authenticated\"]) is attempting to grant RBAC permissions not currently \
                 held:\n{{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}}"
            ),
        )
    };
    let more = roles.create(&params, &role("more", &secrets)).await;
    assert_eq!(
        refusal(&more.unwrap_err()),
        refused("roles.rbac.authorization.k8s.io \"more\"")
    );
    let bound = bindings.create(&params, &binding("more", "secrets")).await;
    assert_eq!(
        refusal(&bound.unwrap_err()),
        refused("rolebindings.rbac.authorization.k8s.io \"more\"")
    );
    let widen = Patch::Merge(json!({ "rules": secrets }));
    let widened = roles.patch("less", &PatchParams::default(), &widen).await;
    assert_eq!(
        refusal(&widened.unwrap_err()),
        refused("roles.rbac.authorization.k8s.io \"less\"")
    );
    // What grants nothing new is no grant.
    let owned = Patch::Merge(json!({ "metadata": { "finalizers": ["muster.dev/test"] } }));
    roles
        .patch("jane", &PatchParams::default(), &owned)
        .await
        .unwrap();
    let missing = bindings.create(&params, &binding("none", "none")).await;
    assert_eq!(refusal(&missing.unwrap_err()).0, 404);
}

#[tokio::test(start_paused = true)]
async fn who_may_bind_or_escalate_may_grant() {
    let (embedded, admin) = start();
    let params = PostParams::default();
    let roles: Api<Role> = Api::namespaced(admin.clone(), "default");
    let cluster: Api<ClusterRole> = Api::all(admin.clone());
    let aggregated: ClusterRole = object(json!({
        "metadata": { "name": "sum" },
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "part": "sum" } }] },
        "rules": [],
    }));
    cluster.create(&params, &aggregated).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(admin, "default");
    let held = json!([{
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"],
        "verbs": ["create", "bind", "escalate"],
    }]);
    roles.create(&params, &role("jane", &held)).await.unwrap();
    bindings
        .create(&params, &binding("jane", "jane"))
        .await
        .unwrap();
    let jane = embedded.client(User::authenticated("jane", &[]));
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let roles: Api<Role> = Api::namespaced(jane.clone(), "default");
    roles
        .create(&params, &role("all", &everything))
        .await
        .unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(jane, "default");
    bindings
        .create(&params, &binding("all", "all"))
        .await
        .unwrap();
}
