//! Whose SDK server is calling: checks the token of the pod.

use std::sync::Arc;

use crds::{GameServer, meta};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use proto::muster::hub::v1::Hello;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::world::World;

/// Token reviews at once.
static REVIEWS: Semaphore = Semaphore::const_new(32);

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Returns the game server that the caller's pod belongs to.
pub(crate) async fn authenticate(
    world: &World,
    metadata: &MetadataMap,
    hello: &Hello,
) -> Result<Arc<GameServer>, Status> {
    let token = bearer(metadata)?;
    let user = review(world, token).await?;
    // Before anything of that name is read: nobody learns of other namespaces' servers.
    let of_namespace = user
        .username
        .as_deref()
        .and_then(|name| name.strip_prefix("system:serviceaccount:"))
        .and_then(|rest| rest.split(':').next());
    let pod_uid = extra(&user, POD_UID);
    let claimed = of_namespace == Some(hello.namespace.as_str())
        && extra(&user, POD_NAME) == Some(hello.name.as_str());
    let (true, Some(pod_uid)) = (claimed, pod_uid) else {
        return Err(denied(hello));
    };
    admit(world, hello, pod_uid).await
}

/// Returns the game server that this pod belongs to.
pub(crate) async fn admit(
    world: &World,
    hello: &Hello,
    pod_uid: &str,
) -> Result<Arc<GameServer>, Status> {
    if !world.config.serves(&hello.namespace) {
        return Err(denied(hello));
    }
    let server = find_server(world, hello).await?;
    let pod = find_pod(world, hello).await?;
    let belongs =
        pod.metadata.uid.as_deref() == Some(pod_uid) && crate::gameserver::is_pod_of(&pod, &server);
    if belongs {
        Ok(server)
    } else {
        Err(denied(hello))
    }
}

fn denied(hello: &Hello) -> Status {
    Status::permission_denied(format!(
        "the token does not belong to the pod of game server {}/{}",
        hello.namespace, hello.name
    ))
}

fn bearer(metadata: &MetadataMap) -> Result<&str, Status> {
    metadata
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Status::unauthenticated("the call carries no bearer token"))
}

async fn review(world: &World, token: &str) -> Result<UserInfo, Status> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: Some(vec![meta::TOKEN_AUDIENCE.to_owned()]),
        },
        ..TokenReview::default()
    };
    let api: Api<TokenReview> = Api::all(world.api.client.clone());
    // After a restart every SDK server comes at once.
    let _turn = REVIEWS
        .acquire()
        .await
        .map_err(|_| Status::unavailable("shutting down"))?;
    let answer = world
        .api
        .call(
            "create",
            "TokenReview".to_owned(),
            api.create(&PostParams::default(), &review),
        )
        .await
        .map_err(|error| unavailable(&error))?;
    let status = answer.status.unwrap_or_default();
    let audience = meta::TOKEN_AUDIENCE.to_owned();
    let right_audience = status
        .audiences
        .as_ref()
        .is_some_and(|list| list.contains(&audience));
    match status.user {
        Some(user) if status.authenticated == Some(true) && right_audience => Ok(user),
        _ => Err(Status::unauthenticated(format!(
            "the token is not valid for audience {}",
            meta::TOKEN_AUDIENCE
        ))),
    }
}

async fn find_server(world: &World, hello: &Hello) -> Result<Arc<GameServer>, Status> {
    if let Some(server) = world.servers.get(&hello.namespace, &hello.name) {
        return Ok(server);
    }
    // The watch may be behind.
    let server: GameServer =
        world
            .api
            .get(&hello.namespace, &hello.name)
            .await
            .map_err(|error| {
                if error.is_not_found() {
                    let name = format!("{}/{}", hello.namespace, hello.name);
                    Status::not_found(format!("game server {name} does not exist"))
                } else {
                    unavailable(&error)
                }
            })?;
    world.servers.wrote(&server);
    Ok(Arc::new(server))
}

async fn find_pod(world: &World, hello: &Hello) -> Result<Arc<Pod>, Status> {
    if let Some(pod) = world.pods.get(&hello.namespace, &hello.name) {
        return Ok(pod);
    }
    let pod: Pod = world
        .api
        .get(&hello.namespace, &hello.name)
        .await
        .map_err(|error| {
            if error.is_not_found() {
                Status::permission_denied("the pod of the token does not exist")
            } else {
                unavailable(&error)
            }
        })?;
    world.pods.wrote(&pod);
    Ok(Arc::new(pod))
}

fn extra<'a>(user: &'a UserInfo, key: &str) -> Option<&'a str> {
    user.extra.as_ref()?.get(key)?.first().map(String::as_str)
}

/// The API server's error stays inside; the caller only learns to try again.
pub(crate) fn unavailable(error: &crate::error::Error) -> Status {
    tracing::warn!(
        error = runtime::service::chain(error),
        "Hub could not reach the API server"
    );
    Status::unavailable("the Kubernetes API does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_counts() {
        let mut metadata = MetadataMap::new();
        assert!(bearer(&metadata).is_err());
        metadata.insert("authorization", "Basic abc".parse().unwrap());
        assert!(bearer(&metadata).is_err());
        metadata.insert("authorization", "Bearer abc".parse().unwrap());
        assert_eq!(bearer(&metadata).unwrap(), "abc");
    }
}
