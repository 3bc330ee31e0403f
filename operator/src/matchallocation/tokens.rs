//! Keeps the connect tokens of a match in a Secret that goes with the request.
//!
//! We create Secrets in namespaces of matches and have no other right to any there: a patch would
//! answer with what is in it. So the name is one that nobody else uses, and a Secret that exists is
//! one of ours, by an attempt that could not report it.

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

/// Writes the tokens down, and returns the name of the Secret.
pub(super) async fn keep(
    world: &World,
    request: &MatchAllocation,
    tokens: Vec<PlayerToken>,
) -> Result<String, Error> {
    let secret = secret(request, tokens);
    let namespace = request.namespace().unwrap_or_default();
    let name = secret.name_any();
    let api: Api<Secret> = Api::namespaced(world.api.client.clone(), &namespace);
    let params = PostParams::default();
    let create = api.create(&params, &secret);
    let created = world
        .api
        .call("create", format!("Secret {namespace}/{name}"), create)
        .await;
    match created {
        Ok(_) => Ok(name),
        Err(error) if error.is_already_exists() => Ok(name),
        Err(error) => Err(error),
    }
}

fn secret(request: &MatchAllocation, tokens: Vec<PlayerToken>) -> Secret {
    let uid = request.uid().unwrap_or_default();
    let stem = format!("{}-connect", request.name_any());
    let entry = |token: PlayerToken| (token.player_id, ByteString(token.connect_token));
    Secret {
        metadata: ObjectMeta {
            name: Some(crds::names::child_name(&stem, &uid, 0)),
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
    use super::*;

    #[test]
    fn the_secret_goes_with_its_request_and_has_a_key_per_player() {
        let mut request = MatchAllocation::default();
        request.metadata.name = Some("duel".to_owned());
        request.metadata.namespace = Some("games".to_owned());
        request.metadata.uid = Some("u-1".to_owned());
        let token = |player_id: &str| PlayerToken {
            player_id: player_id.to_owned(),
            connect_token: vec![7; 2048],
            ..PlayerToken::default()
        };
        let one = secret(&request, vec![token("a"), token("b")]);
        assert!(one.name_any().starts_with("duel-connect-"), "{one:?}");
        assert_eq!(one.owner_references()[0].uid, "u-1");
        let data = one.data.unwrap();
        assert!(data.values().all(|token| token.0.len() == 2048));
        assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "b"]);
        // Of a request of the same name that comes after it.
        request.metadata.uid = Some("u-2".to_owned());
        assert_ne!(
            secret(&request, Vec::new()).metadata.name,
            one.metadata.name
        );
    }
}
