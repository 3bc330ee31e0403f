//! An unmodified kubectl against `muster dev`: everything that it prints, compared with a committed
//! transcript. `UPDATE_EXPECT=1` writes that anew.
//!
//! `cargo xtask cluster up` builds the kubectl, so this is behind the feature `kubectl`, which
//! `cargo xtask test` sets; with the feature and without the program the test fails and says why.
#![cfg(feature = "kubectl")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[expect(dead_code, reason = "the other suite uses the rest")]
mod harness;
#[path = "kubectl/mask.rs"]
mod mask;
#[path = "kubectl/transcript.rs"]
mod transcript;

use expect_test::expect_file;

use harness::{Directory, Muster};
use transcript::Transcript;

#[tokio::test]
async fn kubectl_says_what_it_always_says() {
    let directory = Directory::new();
    let muster = Muster::start(&directory, &["--no-examples"]).await;
    let mut kubectl = Transcript::new(&directory);

    kubectl.title("What was applied before is not changed");
    kubectl.run("apply -f examples/fleetautoscaler.yaml").await;
    kubectl.run("apply -f examples/fleetautoscaler.yaml").await;
    kubectl
        .run("apply --server-side -f examples/fleetautoscaler.yaml")
        .await;
    kubectl.run("delete -f examples/fleetautoscaler.yaml").await;

    // Its lists have defaults in them, which a client-side apply replaces: `configured` it says of
    // every such kind, on every cluster.
    kubectl.title("A fleet comes up");
    kubectl.run("apply -f examples/fleet.yaml").await;
    kubectl.run("apply -f examples/fleet.yaml").await;
    kubectl
        .run("wait fleet/simple-server --for=jsonpath={.status.readyReplicas}=3 --timeout=60s")
        .await;
    kubectl.run("get fleets").await;
    kubectl.run("get gameservers --output=wide").await;
    kubectl
        .run("describe fleet simple-server --show-events=false")
        .await;
    kubectl.run("get fleet simple-server --output=yaml").await;

    kubectl.title("It is scaled and changed");
    kubectl.run("scale fleet simple-server --replicas=1").await;
    kubectl
        .run("wait fleet/simple-server --for=jsonpath={.status.replicas}=1 --timeout=60s")
        .await;
    kubectl.run("get fleets").await;
    kubectl.run("scale fleet simple-server --replicas=-1").await;
    kubectl
        .run("patch fleet simple-server --type=merge --patch={\"spec\":{\"replicas\":2}}")
        .await;
    kubectl.run("label fleet simple-server season=summer").await;
    kubectl
        .run("get fleets --selector=season=summer --output=name")
        .await;

    kubectl.title("A plain object is made, changed in every way, and watched");
    kubectl
        .run("create configmap settings --from-literal=map=desert")
        .await;
    kubectl
        .run("create configmap settings --from-literal=map=desert")
        .await;
    kubectl.run("edit configmap settings").await;
    kubectl
        .run("patch configmap settings --type=json --patch=[{\"op\":\"add\",\"path\":\"/data/mode\",\"value\":\"duel\"}]")
        .await;
    kubectl
        .run("patch configmap settings --patch={\"data\":{\"players\":\"8\"}}")
        .await;
    kubectl
        .run("annotate configmap settings muster.dev/note=kept")
        .await;
    kubectl.run("get configmap settings --output=json").await;
    kubectl
        .follow(
            "get configmap settings --watch --output-watch-events",
            "ADDED",
            "patch configmap settings --type=merge --patch={\"data\":{\"mode\":\"race\"}}",
            "MODIFIED",
        )
        .await;
    kubectl.run("describe configmap settings").await;

    kubectl.title("A game server runs as a process");
    kubectl.run("apply -f examples/gameserver.yaml").await;
    kubectl
        .run("wait gameserver/simple-server --for=jsonpath={.status.state}=Ready --timeout=60s")
        .await;
    kubectl.until("get pod simple-server", "2/2").await;
    kubectl.run("get pods --selector=muster.dev/gameserver=simple-server --output=custom-columns=NAME:.metadata.name,NODE:.spec.nodeName").await;
    kubectl
        .run("describe gameserver simple-server --show-events=false")
        .await;
    kubectl
        .until("logs simple-server --container=simple-server", "Ready")
        .await;
    kubectl
        .run("logs simple-server --container=simple-server --tail=1")
        .await;
    kubectl
        .follow(
            "logs simple-server --container=simple-server --follow",
            "Listening",
            "annotate gameserver simple-server muster.dev/note=followed",
            "Ready",
        )
        .await;
    kubectl
        .until(
            "get events --field-selector=involvedObject.name=simple-server,reason=Scheduled",
            "Successfully",
        )
        .await;
    kubectl.until("top nodes", "this-machine").await;
    kubectl
        .until("top pod simple-server", "simple-server")
        .await;
    kubectl
        .run("exec simple-server --container=simple-server -- ls")
        .await;
    kubectl
        .run("attach simple-server --container=simple-server")
        .await;
    kubectl.run("port-forward pod/simple-server 9358").await;

    kubectl.title("What there is, and who may");
    kubectl.run("api-resources --api-group=muster.dev").await;
    kubectl.run("api-resources --namespaced=false").await;
    kubectl.run("explain fleet.spec").await;
    kubectl
        .run("explain gameserver.spec.ports.portPolicy")
        .await;
    kubectl.run("auth whoami").await;
    kubectl.run("auth can-i create fleets.muster.dev").await;
    kubectl
        .run("auth can-i create fleets.muster.dev --as=jane")
        .await;
    kubectl.run("auth can-i --list").await;
    kubectl.run("auth can-i --list --as=jane").await;
    kubectl.run("get --raw=/readyz").await;
    kubectl.run("get deployments").await;

    kubectl.title("It ends");
    kubectl.run("delete gameserver simple-server").await;
    kubectl
        .run("wait pod/simple-server --for=delete --timeout=60s")
        .await;
    kubectl.run("delete -f examples/fleet.yaml").await;
    kubectl.run("get fleet simple-server").await;
    kubectl.run("delete configmap settings").await;

    expect_file!["goldens/kubectl.txt"].assert_eq(&kubectl.text());
    drop(muster);
}
