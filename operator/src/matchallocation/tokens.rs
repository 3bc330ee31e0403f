//! Keeps the connect tokens of a match in a Secret that goes with the request.
//!
//! We create Secrets in namespaces of matches and have no other right to any there: a patch would
//! answer with what is in it. So a Secret that exists is never used again. It may be somebody
//! else's, or one of ours, by an attempt that could not report it: the tokens in that one have
//! aged, and those of the allocator's last answer go into a Secret of the next name. Whatever was
//! made goes with the request.

use std::collections::BTreeMap;

use crds::MatchAllocation;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use proto::muster::allocation::v1::PlayerToken;

use crate::error::Error;
use crate::gameserver::build::owner;
use crate::world::World;

/// The type of the Secret.
const TYPE: &str = "muster.dev/connect-tokens";

/// Most names that are tried for one request. Each that is taken stands for an attempt whose
/// status was not written, of which there are few; the bound keeps a fault from filling a
/// namespace with Secrets.
const MOST_NAMES: u32 = 64;

/// Writes the tokens down, and returns the name of the Secret.
pub(super) async fn keep(
    world: &World,
    request: &MatchAllocation,
    tokens: Vec<PlayerToken>,
) -> Result<String, Error> {
    let mut secret = secret(request, tokens);
    let namespace = request.namespace().unwrap_or_default();
    let uid = request.uid().unwrap_or_default();
    let stem = format!("{}-connect", request.name_any());
    let api: Api<Secret> = Api::namespaced(world.api.client.clone(), &namespace);
    let params = PostParams::default();
    let mut number = 0;
    loop {
        let name = crds::names::child_name(&stem, &uid, number);
        secret.metadata.name = Some(name.clone());
        let create = api.create(&params, &secret);
        let created = world
            .api
            .call("create", format!("Secret {namespace}/{name}"), create)
            .await;
        number += 1;
        match created {
            Ok(_) => return Ok(name),
            Err(error) if error.is_already_exists() && number < MOST_NAMES => {}
            Err(error) => return Err(error),
        }
    }
}

/// The Secret without its name.
fn secret(request: &MatchAllocation, tokens: Vec<PlayerToken>) -> Secret {
    let entry = |token: PlayerToken| (token.player_id, ByteString(token.connect_token));
    Secret {
        metadata: ObjectMeta {
            namespace: request.namespace(),
            owner_references: Some(vec![OwnerReference {
                // The match may go first: nothing of it depends on its tokens.
                block_owner_deletion: None,
                ..owner(request)
            }]),
            ..ObjectMeta::default()
        },
        data: Some(tokens.into_iter().map(entry).collect::<BTreeMap<_, _>>()),
        immutable: Some(true),
        type_: Some(TYPE.to_owned()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use http::Method;
    use serde_json::{Value, json};

    use super::*;

    fn request(uid: &str) -> MatchAllocation {
        let mut request = MatchAllocation::default();
        request.metadata.name = Some("duel".to_owned());
        request.metadata.namespace = Some("games".to_owned());
        request.metadata.uid = Some(uid.to_owned());
        request
    }

    fn token(player_id: &str) -> PlayerToken {
        PlayerToken {
            player_id: player_id.to_owned(),
            connect_token: vec![7; 2048],
            ..PlayerToken::default()
        }
    }

    /// An API server that takes each name of a Secret once; returns the names, too.
    fn api_server() -> (Arc<World>, Arc<Mutex<BTreeSet<String>>>) {
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let taken = Arc::clone(&names);
        let world = crate::fake::world(move |method: &Method, path: &str, body: Value| {
            assert_eq!(
                (method, path),
                (&Method::POST, "/api/v1/namespaces/games/secrets")
            );
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            if taken.lock().unwrap().insert(name) {
                return (201, body);
            }
            let refusal = json!({
                "kind": "Status", "status": "Failure", "reason": "AlreadyExists", "code": 409,
            });
            (409, refusal)
        });
        (world, names)
    }

    #[test]
    fn the_secret_goes_with_its_request_and_has_a_key_per_player() {
        let one = secret(&request("u-1"), vec![token("a"), token("b")]);
        assert_eq!(one.owner_references()[0].uid, "u-1");
        let data = one.data.unwrap();
        assert!(data.values().all(|token| token.0.len() == 2048));
        assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[tokio::test]
    async fn every_attempt_keeps_its_own_tokens_in_a_secret_of_its_own() {
        let (world, names) = api_server();
        // The second attempt is another leader's; the request "u-2" comes after "u-1" under the
        // same name.
        let mut kept = BTreeSet::new();
        for uid in ["u-1", "u-1", "u-2"] {
            let name = keep(&world, &request(uid), vec![token("a")]).await.unwrap();
            assert!(name.starts_with("duel-connect-"), "{name}");
            kept.insert(name);
        }
        assert_eq!(kept.len(), 3);
        assert_eq!(*names.lock().unwrap(), kept);
    }

    #[tokio::test]
    async fn the_secrets_of_a_request_are_bounded() {
        let (world, names) = api_server();
        for _ in 0..MOST_NAMES {
            keep(&world, &request("u-1"), Vec::new()).await.unwrap();
        }
        let error = keep(&world, &request("u-1"), Vec::new()).await.unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert_eq!(names.lock().unwrap().len(), MOST_NAMES as usize);
    }
}
