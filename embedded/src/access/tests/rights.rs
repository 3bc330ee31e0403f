//! Who may what: roles, bindings, refusals and reviews.

use serde_json::{Value, json};

use super::super::*;
use super::world;

fn jane() -> User {
    User::authenticated("jane", &["players"])
}

fn wants(user: User, verb: &str, resource: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        user,
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: "game".to_owned(),
        name: "x".to_owned(),
        ..Attributes::default()
    }
}

fn wants_path(user: User, path: &str) -> Attributes {
    Attributes {
        user,
        verb: "get".to_owned(),
        path: path.to_owned(),
        ..Attributes::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_default_roles_allow() {
    let world = world();
    for (user, path, allowed) in [
        (User::anonymous(), "/version", true),
        (User::anonymous(), "/healthz", true),
        (User::anonymous(), "/readyz", true),
        (User::anonymous(), "/api", false),
        (User::anonymous(), "/metrics", false),
        (jane(), "/api", true),
        (jane(), "/apis/muster.dev/v1", true),
        (jane(), "/openapi/v3", true),
        (jane(), "/apisx", false),
        (jane(), "/metrics", false),
        (User::authenticated("admin", &[MASTERS]), "/anything", true),
    ] {
        let result = world.may(&wants_path(user.clone(), path));
        let refused = format!("forbidden: User {:?} cannot get path {path:?}", user.name);
        assert_eq!(result, if allowed { Ok(()) } else { Err(refused) });
    }
    let mut own = wants(jane(), "create", "selfsubjectaccessreviews");
    own.group = "authorization.k8s.io".to_owned();
    assert_eq!(world.may(&own), Ok(()));
    let planted = world.memory.writes();
    plant(world.memory.as_ref()).unwrap();
    assert_eq!(world.memory.writes(), planted);
}

#[tokio::test(start_paused = true)]
async fn rules_match_as_in_a_real_cluster() {
    let rule = |resources: &[&str], names: &[&str]| {
        let rule = json!({
            "verbs": ["get", "list"],
            "apiGroups": [""],
            "resources": resources,
            "resourceNames": names,
        });
        json!([rule])
    };
    for (resources, names, wanted, allowed) in [
        (&["pods"][..], &[][..], "pods", true),
        (&["pods"], &[], "pods/log", false),
        (&["pods/log"], &[], "pods/log", true),
        (&["pods/log"], &[], "pods", false),
        (&["*/log"], &[], "pods/log", true),
        (&["*/log"], &[], "pods/exec", false),
        (&["*"], &[], "pods/log", true),
        (&["pods"], &["x"], "pods", true),
        (&["pods"], &["y"], "pods", false),
        (&["pods"], &["y", "x"], "pods", true),
        (&["pod"], &[], "pods", false),
    ] {
        let world = world();
        let subject = json!({ "kind": "User", "name": "jane" });
        world.allow(&rule(resources, names), &subject);
        let result = world.may(&wants(jane(), "get", wanted));
        assert_eq!(result.is_ok(), allowed, "{resources:?} {names:?} {wanted}");
        assert!(world.may(&wants(jane(), "delete", "pods")).is_err());
        let mut grouped = wants(jane(), "get", "pods");
        grouped.group = "muster.dev".to_owned();
        assert!(world.may(&grouped).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn subjects_match_as_in_a_real_cluster() {
    let rules = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
    let account = User::authenticated("system:serviceaccount:game:builder", &[]);
    for (subject, user, allowed) in [
        (json!({ "kind": "User", "name": "jane" }), jane(), true),
        (json!({ "kind": "User", "name": "players" }), jane(), false),
        (json!({ "kind": "Group", "name": "players" }), jane(), true),
        (
            json!({ "kind": "Group", "name": AUTHENTICATED }),
            jane(),
            true,
        ),
        (
            json!({ "kind": "Group", "name": AUTHENTICATED }),
            User::anonymous(),
            false,
        ),
        (
            json!({ "kind": "ServiceAccount", "name": "builder", "namespace": "game" }),
            account.clone(),
            true,
        ),
        (
            json!({ "kind": "ServiceAccount", "name": "builder", "namespace": "gam" }),
            account.clone(),
            false,
        ),
        (
            json!({ "kind": "ServiceAccount", "name": "builder" }),
            account.clone(),
            false,
        ),
    ] {
        let world = world();
        world.allow(&rules, &subject);
        let result = world.may(&wants(user, "get", "pods"));
        assert_eq!(result.is_ok(), allowed, "{subject}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_of_a_namespace_ends_at_its_border() {
    let world = world();
    let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
    let role = json!({ "metadata": { "name": "reader" }, "rules": rules });
    world.memory.make("roles", "game", role);
    let binding = json!({
        "metadata": { "name": "readers" },
        "roleRef": { "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": "builder" }],
    });
    world.memory.make("rolebindings", "game", binding);
    let account = User::authenticated("system:serviceaccount:game:builder", &[]);
    let mut pods = wants(account, "get", "pods");
    assert_eq!(world.may(&pods), Ok(()));
    let spec = json!({
        "user": pods.user.name,
        "resourceAttributes": { "verb": "get", "resource": "pods", "namespace": "game" },
    });
    let resource = ("authorization.k8s.io", "subjectaccessreviews");
    let review = world
        .review(&jane(), resource, &json!({ "spec": spec }))
        .unwrap();
    assert_eq!(
        review["status"],
        json!({
            "allowed": true,
            "reason": "RBAC: allowed by RoleBinding \"readers/game\" of Role \"reader\" to \
                       ServiceAccount \"builder/game\"",
        })
    );
    pods.namespace = "other".to_owned();
    assert!(world.may(&pods).is_err());
    pods.namespace = String::new();
    assert!(world.may(&pods).is_err());
}

#[tokio::test(start_paused = true)]
async fn refusals_are_worded_as_in_a_real_cluster() {
    let world = world();
    let mut fleets = wants(jane(), "list", "fleets");
    fleets.group = "muster.dev".to_owned();
    fleets.namespace = "default".to_owned();
    fleets.name = String::new();
    let status = world
        .access
        .authorize(world.memory.as_ref(), &fleets)
        .unwrap_err();
    assert_eq!(
        status.to_value(),
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "fleets.muster.dev is forbidden: User \"jane\" cannot list resource \
                        \"fleets\" in API group \"muster.dev\" in the namespace \"default\"",
            "reason": "Forbidden",
            "details": { "group": "muster.dev", "kind": "fleets" },
            "code": 403,
        })
    );
    let mut scale = wants(jane(), "get", "deployments/scale");
    scale.group = "apps".to_owned();
    scale.namespace = String::new();
    assert_eq!(
        world.may(&scale).unwrap_err(),
        "deployments.apps \"x\" is forbidden: User \"jane\" cannot get resource \
         \"deployments/scale\" in API group \"apps\" at the cluster scope"
    );
    let mut odd = wants(jane(), "get", "pods");
    odd.user.name = "<b>&".to_owned();
    assert!(
        world
            .may(&odd)
            .unwrap_err()
            .contains("User \"&lt;b&gt;&amp;\" cannot")
    );
    // A binding of a role that is not there is told, for it may be the reason.
    let binding = json!({
        "metadata": { "name": "dangling" },
        "roleRef": { "kind": "ClusterRole", "name": "gone" },
        "subjects": [{ "kind": "User", "name": "jane" }],
    });
    world.memory.make("clusterrolebindings", "", binding);
    assert_eq!(
        world.may(&wants(jane(), "get", "pods")).unwrap_err(),
        "pods \"x\" is forbidden: User \"jane\" cannot get resource \"pods\" in API group \"\" in \
         the namespace \"game\": RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found"
    );
}

#[tokio::test(start_paused = true)]
async fn reviews_answer_as_in_a_real_cluster() {
    let world = world();
    let group = "authorization.k8s.io";
    let ask = |spec: Value| {
        let body = json!({ "metadata": {}, "spec": spec });
        world
            .review(&jane(), (group, "subjectaccessreviews"), &body)
            .unwrap()
    };
    let pods = json!({ "verb": "get", "resource": "pods" });
    let asked = json!({ "user": "jane", "resourceAttributes": pods });
    assert_eq!(
        ask(asked.clone()),
        json!({
            "kind": "SubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": asked,
            "status": { "allowed": false },
        })
    );
    let path = json!({ "verb": "get", "path": "/apis/x" });
    assert_eq!(
        ask(json!({ "groups": [AUTHENTICATED], "nonResourceAttributes": path }))["status"],
        json!({
            "allowed": true,
            "reason": "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \
                       \"system:discovery\" to Group \"system:authenticated\"",
        })
    );
    assert_eq!(
        ask(json!({ "groups": [MASTERS], "nonResourceAttributes": path }))["status"],
        json!({ "allowed": true })
    );
    let own = json!({ "spec": { "resourceAttributes": pods } });
    let admin = User::authenticated("admin", &[MASTERS]);
    for (user, allowed) in [(&admin, true), (&jane(), false)] {
        let review = world.review(user, (group, "selfsubjectaccessreviews"), &own);
        assert_eq!(review.unwrap()["status"]["allowed"], allowed);
    }
    let rules = world
        .review(
            &jane(),
            (group, "selfsubjectrulesreviews"),
            &json!({ "spec": { "namespace": "game" } }),
        )
        .unwrap();
    assert_eq!(
        rules["status"]["resourceRules"][0],
        json!({
            "verbs": ["create"],
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        })
    );
    assert_eq!(
        rules["status"]["nonResourceRules"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(rules["status"]["incomplete"], false);
    let me = world
        .review(
            &jane(),
            ("authentication.k8s.io", "selfsubjectreviews"),
            &json!({}),
        )
        .unwrap();
    assert_eq!(
        me,
        json!({
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" },
            "status": {
                "userInfo": { "username": "jane", "groups": ["players", AUTHENTICATED] },
            },
        })
    );
    let objects = world.memory.as_ref();
    let other = world
        .access
        .review(objects, &jane(), ("", "pods"), "", &json!({}));
    assert_eq!(other, None);
}

#[tokio::test(start_paused = true)]
async fn bad_reviews_are_refused_in_the_words_of_the_real_server() {
    let world = world();
    let path = json!({ "verb": "get", "path": "/x" });
    let pods = json!({ "verb": "get", "resource": "pods", "namespace": "other" });
    let invalid = |causes: &str| format!(".authorization.k8s.io \"\" is invalid: {causes}");
    let exactly = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    for (resource, body, message) in [
        (
            "subjectaccessreviews",
            json!({ "spec": { "nonResourceAttributes": path } }),
            invalid(
                "spec.user: Invalid value: \"\": at least one of user or group must be specified",
            ),
        ),
        (
            "subjectaccessreviews",
            json!({ "spec": { "user": "a" } }),
            invalid(&format!(
                "spec.resourceAttributes: Invalid value: null: {exactly}"
            )),
        ),
        (
            "subjectaccessreviews",
            json!({
                "metadata": { "name": "q" },
                "spec": { "user": "a", "nonResourceAttributes": path, "resourceAttributes": pods },
            }),
            invalid(
                "[spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"get\"}: \
                 cannot be specified in combination with resourceAttributes, metadata: Invalid \
                 value: {\"name\":\"q\"}: must be empty]",
            ),
        ),
        (
            "selfsubjectaccessreviews",
            json!({}),
            invalid(&format!(
                "spec.resourceAttributes: Invalid value: null: {exactly}"
            )),
        ),
        (
            "selfsubjectrulesreviews",
            json!({}),
            "no namespace on request".to_owned(),
        ),
    ] {
        let review = world.review(&jane(), ("authorization.k8s.io", resource), &body);
        assert_eq!(review.unwrap_err().message, message);
    }
    let local = |body: Value| {
        let resource = ("authorization.k8s.io", "localsubjectaccessreviews");
        let objects = world.memory.as_ref();
        let review = world
            .access
            .review(objects, &jane(), resource, "game", &body);
        review.unwrap().unwrap_err().message
    };
    assert_eq!(
        local(json!({ "metadata": { "namespace": "x" } })),
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    assert_eq!(
        local(json!({ "spec": { "user": "a", "resourceAttributes": pods } })),
        invalid(
            "spec.resourceAttributes.namespace: Invalid value: \"other\": must match \
             metadata.namespace"
        )
    );
    assert_eq!(
        local(json!({ "spec": { "user": "a", "nonResourceAttributes": path } })),
        invalid(
            "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"get\"}: \
             disallowed on this kind of request"
        )
    );
    let tokens = ("authentication.k8s.io", "tokenreviews");
    assert_eq!(
        world
            .review(&jane(), tokens, &json!({}))
            .unwrap_err()
            .message,
        "token is required for TokenReview in authentication"
    );
}

#[tokio::test(start_paused = true)]
async fn only_who_may_acts_as_somebody_else() {
    let world = world();
    let objects = world.memory.as_ref();
    let admin = User::authenticated("admin", &[MASTERS]);
    let as_jane = Impersonation {
        user: "jane".to_owned(),
        groups: vec!["players".to_owned()],
        ..Impersonation::default()
    };
    let user = world.access.impersonate(objects, &admin, &as_jane).unwrap();
    assert_eq!(user, jane());
    let refused = world
        .access
        .impersonate(objects, &jane(), &as_jane)
        .unwrap_err();
    assert_eq!(
        refused.message,
        "users \"jane\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API \
         group \"\" at the cluster scope"
    );
    let as_account = Impersonation {
        user: "system:serviceaccount:game:builder".to_owned(),
        ..Impersonation::default()
    };
    let user = world
        .access
        .impersonate(objects, &admin, &as_account)
        .unwrap();
    assert_eq!(
        user.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:game",
            AUTHENTICATED
        ]
    );
    let rules = json!([{ "verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"] }]);
    world.allow(&rules, &json!({ "kind": "User", "name": "jane" }));
    let refused = world
        .access
        .impersonate(objects, &jane(), &as_jane)
        .unwrap_err();
    assert!(
        refused
            .message
            .contains("cannot impersonate resource \"groups\"")
    );
    let nobody = Impersonation {
        uid: "7".to_owned(),
        groups: vec![MASTERS.to_owned()],
        extra: [("scopes".to_owned(), vec!["all".to_owned()])].into(),
        ..Impersonation::default()
    };
    assert_eq!(
        world.access.impersonate(objects, &admin, &nobody),
        Err(Status::bad_request(
            "requested [{Group  system:masters    } \
             {UserExtra  all  authentication.k8s.io/v1  scopes} \
             {UID  7  authentication.k8s.io/v1  }] without impersonating a user"
        ))
    );
}
