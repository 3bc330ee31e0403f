mod rights;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::control::memory::Memory;

struct World {
    memory: Arc<Memory>,
    access: Access,
    admin: Identity,
}

fn world() -> World {
    let memory = Memory::new();
    plant(memory.as_ref()).unwrap();
    let mut credentials = Credentials::generate().unwrap();
    let admin = credentials.identity("admin", &[MASTERS]).unwrap();
    let access = access(&memory, credentials);
    memory.make("serviceaccounts", "game", named("builder"));
    World {
        memory,
        access,
        admin,
    }
}

fn access(memory: &Memory, credentials: Credentials) -> Access {
    let count = AtomicU64::new(0);
    Access::new(Settings {
        issuer: ISSUER.to_owned(),
        credentials,
        clock: memory.clock(),
        uids: Arc::new(move || format!("id-{}", count.fetch_add(1, Ordering::Relaxed))),
    })
    .unwrap()
}

fn named(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

impl World {
    fn request(&self, spec: &Value) -> Result<Value, Status> {
        let body = json!({ "spec": spec });
        let objects = self.memory.as_ref();
        self.access.request_token(objects, "game", "builder", &body)
    }

    fn token(&self, spec: &Value) -> String {
        let answer = self.request(spec).unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    fn review(&self, caller: &User, resource: (&str, &str), body: &Value) -> Result<Value, Status> {
        let objects = self.memory.as_ref();
        let review = self.access.review(objects, caller, resource, "", body);
        review.unwrap()
    }

    /// The status of a review of a token.
    fn review_token(&self, token: &str, audiences: &[&str]) -> Value {
        let mut spec = json!({ "token": token });
        if !audiences.is_empty() {
            spec["audiences"] = json!(audiences);
        }
        let resource = ("authentication.k8s.io", "tokenreviews");
        let review = self.review(&User::anonymous(), resource, &json!({ "spec": spec }));
        review.unwrap()["status"].clone()
    }

    fn error(&self, token: &str) -> String {
        let status = self.review_token(token, &[]);
        assert_eq!(status.get("authenticated"), None);
        assert_eq!(status["user"], json!({}));
        status["error"].as_str().unwrap().to_owned()
    }

    fn user(&self, header: Option<&str>) -> Result<User, Status> {
        self.access.authenticate(self.memory.as_ref(), header)
    }

    fn make_pod(&self, name: &str) -> Arc<crate::object::Object> {
        self.memory.make("nodes", "", named("node"));
        let spec = json!({ "serviceAccountName": "builder", "nodeName": "node" });
        let pod = json!({ "metadata": { "name": name }, "spec": spec });
        self.memory.make("pods", "game", pod)
    }

    fn allow(&self, rules: &Value, subject: &Value) {
        let role = json!({ "metadata": { "name": "r" }, "rules": rules });
        self.memory.make("clusterroles", "", role);
        let binding = json!({
            "metadata": { "name": "b" },
            "roleRef": { "kind": "ClusterRole", "name": "r" },
            "subjects": [subject],
        });
        self.memory.make("clusterrolebindings", "", binding);
    }

    fn may(&self, attributes: &Attributes) -> Result<(), String> {
        let result = self.access.authorize(self.memory.as_ref(), attributes);
        result.map_err(|status| status.message)
    }
}
