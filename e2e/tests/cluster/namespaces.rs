//! Game servers may live in any namespace, in new ones as well as in old ones.

use anyhow::{Result, ensure};
use crds::state::State;
use e2e::objects::Sample;
use e2e::wait;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use crate::harness::{CLEAN_UP, Test, command, shared};

async fn ready(test: &Test) -> Result<()> {
    test.create(&Sample::default().game_server("game")?).await?;
    let server = test.in_state("game", State::Ready).await?;
    command(&server, "hello").await
}

#[test]
fn a_namespace_that_was_deleted_and_made_again_works_as_before() {
    shared("again", async |test| {
        ready(test).await?;
        let namespaces = Api::<Namespace>::all(test.cluster.client());
        let before = namespaces.get(&test.namespace).await?;
        namespaces
            .delete(&test.namespace, &DeleteParams::default())
            .await?;
        wait::until_gone(&namespaces, &test.namespace, CLEAN_UP).await?;

        let mut again = Namespace::default();
        again.metadata.name = before.metadata.name;
        namespaces.create(&PostParams::default(), &again).await?;
        ready(test).await
    });
}

#[test]
fn game_pods_hold_no_kubernetes_credentials() {
    shared("credentials", async |test| {
        ready(test).await?;
        let pod = test.api::<Pod>().get("game").await?;
        let spec = pod.spec.unwrap_or_default();
        for container in &spec.containers {
            let mounts = container.volume_mounts.iter().flatten();
            let mut paths = mounts.map(|it| it.mount_path.as_str());
            let secret = paths.find(|it| it.starts_with("/var/run/secrets"));
            ensure!(secret.is_none(), "{} has {secret:?}", container.name);
        }
        Ok(())
    });
}
