//! What users do, from a fleet's creation to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use crds::{Fleet, MatchAllocation};
use futures::future::BoxFuture;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use proto::allocation::{AllocationRequest, GameServerSelector};
use serde_json::{Value, json};

use super::cluster::NAMESPACE;
use super::mirror::{Mirror, annotation, name, number, state, text};
use super::run::Lab;

/// A user's call that fails is repeated after this time.
const AGAIN: Duration = Duration::from_millis(500);
/// A caller of the allocator gives up after this time, as a matchmaker would.
const CALL_LIMIT: Duration = Duration::from_secs(8);

/// What a user does, and how it ends.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name, such as `rollout`.
    pub name: &'static str,
    /// What there is before anything goes wrong.
    pub setup: Step,
    /// What is done while things go wrong.
    pub act: Step,
    /// Whether the end is reached.
    pub done: fn(&Mirror) -> bool,
    /// The state in which the run without faults ends, and every other run too.
    pub end: &'static str,
}

/// Something that is done.
pub type Step = for<'a> fn(&'a Lab) -> BoxFuture<'a, Result<()>>;

impl std::fmt::Debug for Scenario {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Every scenario.
pub const ALL: [Scenario; 13] = [
    Scenario {
        name: "fleet_create",
        setup: |_| Box::pin(async { Ok(()) }),
        act: |lab| Box::pin(create_fleet(lab, 3)),
        done: |mirror| ready(mirror) == 3,
        end: include_str!("../../lab/fleet_create.txt"),
    },
    Scenario {
        name: "scale_up",
        setup: |lab| Box::pin(create_fleet(lab, 2)),
        act: |lab| Box::pin(scale(lab, 5)),
        done: |mirror| ready(mirror) == 5,
        end: include_str!("../../lab/scale_up.txt"),
    },
    Scenario {
        name: "scale_down",
        setup: |lab| Box::pin(create_fleet(lab, 5)),
        act: |lab| Box::pin(scale(lab, 2)),
        done: |mirror| ready(mirror) == 2,
        end: include_str!("../../lab/scale_down.txt"),
    },
    Scenario {
        name: "rollout",
        setup: |lab| Box::pin(create_fleet(lab, 3)),
        act: |lab| Box::pin(change_image(lab, "game:2")),
        done: |mirror| is_rolled_out(mirror, "game:2") && ready(mirror) == 3,
        end: include_str!("../../lab/rollout.txt"),
    },
    Scenario {
        name: "rollback",
        setup: |lab| Box::pin(create_fleet(lab, 3)),
        act: |lab| {
            Box::pin(async {
                change_image(lab, "game:2").await?;
                tokio::time::sleep(Duration::from_millis(600)).await;
                change_image(lab, "game:1").await
            })
        },
        done: |mirror| is_rolled_out(mirror, "game:1") && ready(mirror) == 3,
        end: include_str!("../../lab/rollback.txt"),
    },
    Scenario {
        name: "rollout_with_allocated",
        setup: |lab| {
            Box::pin(async {
                create_fleet(lab, 4).await?;
                allocate(lab, 2).await
            })
        },
        act: |lab| Box::pin(change_image(lab, "game:2")),
        done: |mirror| is_rolled_out(mirror, "game:2") && ready(mirror) == 2,
        end: include_str!("../../lab/rollout_with_allocated.txt"),
    },
    Scenario {
        name: "allocation",
        setup: |lab| Box::pin(create_fleet(lab, 4)),
        act: |lab| {
            Box::pin(async {
                let (first, second) = futures::join!(allocate(lab, 2), allocate(lab, 1));
                first.and(second)
            })
        },
        done: |mirror| ready(mirror) == 1,
        end: include_str!("../../lab/allocation.txt"),
    },
    Scenario {
        name: "match_allocation",
        setup: |lab| Box::pin(create_fleet(lab, 3)),
        act: |lab| {
            Box::pin(async {
                request(lab, "m-1", json!({})).await?;
                request(lab, "m-2", json!({})).await
            })
        },
        done: |mirror| matches(mirror, "Allocated") == 2,
        end: include_str!("../../lab/match_allocation.txt"),
    },
    Scenario {
        name: "release",
        setup: |lab| {
            Box::pin(async {
                create_fleet(lab, 3).await?;
                request(lab, "m-1", json!({})).await?;
                request(lab, "m-2", json!({ "releasePolicy": "ReturnToReady" })).await
            })
        },
        act: |lab| {
            Box::pin(async {
                delete_request(lab, "m-1").await?;
                delete_request(lab, "m-2").await
            })
        },
        done: |mirror| ready(mirror) == 3 && mirror.all("MatchAllocation").next().is_none(),
        end: include_str!("../../lab/release.txt"),
    },
    Scenario {
        name: "expiry",
        setup: |lab| Box::pin(create_fleet(lab, 2)),
        act: |lab| {
            Box::pin(async {
                request(lab, "m-1", json!({ "maxDurationSeconds": 20 })).await?;
                let spec = json!({ "maxDurationSeconds": 5, "releasePolicy": "ReturnToReady" });
                request(lab, "m-2", spec).await
            })
        },
        done: |mirror| matches(mirror, "Released") == 2 && ready(mirror) == 2,
        end: include_str!("../../lab/expiry.txt"),
    },
    Scenario {
        name: "node_loss",
        setup: |lab| {
            Box::pin(async {
                create_fleet(lab, 4).await?;
                request(lab, "m-1", json!({})).await
            })
        },
        act: |lab| {
            Box::pin(async {
                let node = lab
                    .read(|mirror| {
                        let held = mirror
                            .all("GameServer")
                            .find(|server| state(server) == crds::State::Allocated)?;
                        Some(text(held, "/status/nodeName").to_owned())
                    })
                    .context("no server is allocated")?;
                lab.machines().lose(&node).await
            })
        },
        done: |mirror| ready(mirror) == 4 && matches(mirror, "Lost") == 1,
        end: include_str!("../../lab/node_loss.txt"),
    },
    Scenario {
        name: "shutdown",
        setup: |lab| Box::pin(create_fleet(lab, 3)),
        act: |lab| {
            Box::pin(async {
                let servers = lab.read(|mirror| {
                    let ready = mirror
                        .all("GameServer")
                        .filter(|server| state(server) == crds::State::Ready);
                    ready
                        .take(2)
                        .map(|server| name(server).to_owned())
                        .collect::<Vec<_>>()
                });
                for server in servers {
                    lab.machines().shut_down(&server);
                }
                Ok(())
            })
        },
        done: |mirror| ready(mirror) == 3,
        end: include_str!("../../lab/shutdown.txt"),
    },
    Scenario {
        name: "deletion",
        setup: |lab| {
            Box::pin(async {
                create_fleet(lab, 3).await?;
                request(lab, "m-1", json!({})).await
            })
        },
        act: |lab| Box::pin(delete_fleet(lab)),
        done: |mirror| {
            mirror.all("Fleet").next().is_none()
                && mirror.all("GameServer").next().is_none()
                && matches(mirror, "Lost") == 1
        },
        end: include_str!("../../lab/deletion.txt"),
    },
];

/// The scenario of this name.
pub fn named(name: &str) -> Option<Scenario> {
    ALL.into_iter().find(|scenario| scenario.name == name)
}

fn fleet(replicas: i32) -> Result<Fleet> {
    let fleet = json!({
        "apiVersion": "muster.dev/v1", "kind": "Fleet", "metadata": { "name": "f" },
        "spec": {
            "replicas": replicas,
            "template": { "spec": {
                "ports": [{ "name": "game", "containerPort": 7654 }],
                "template": { "spec": { "containers": [{ "name": "game", "image": "game:1" }] } },
            }},
        },
    });
    serde_json::from_value(fleet).context("make the fleet")
}

async fn create_fleet(lab: &Lab, replicas: i32) -> Result<()> {
    let fleets: Api<Fleet> = Api::namespaced(lab.user(), NAMESPACE);
    fleets
        .create(&PostParams::default(), &fleet(replicas)?)
        .await?;
    Ok(())
}

async fn patch_fleet(lab: &Lab, patch: Value) -> Result<()> {
    let fleets: Api<Fleet> = Api::namespaced(lab.user(), NAMESPACE);
    let params = PatchParams::default();
    fleets.patch("f", &params, &Patch::Merge(patch)).await?;
    Ok(())
}

async fn scale(lab: &Lab, replicas: i32) -> Result<()> {
    patch_fleet(lab, json!({ "spec": { "replicas": replicas } })).await
}

async fn change_image(lab: &Lab, image: &str) -> Result<()> {
    let containers = json!([{ "name": "game", "image": image }]);
    let pod = json!({ "spec": { "containers": containers } });
    patch_fleet(
        lab,
        json!({ "spec": { "template": { "spec": { "template": pod } } } }),
    )
    .await
}

async fn delete_fleet(lab: &Lab) -> Result<()> {
    let fleets: Api<Fleet> = Api::namespaced(lab.user(), NAMESPACE);
    fleets.delete("f", &DeleteParams::default()).await?;
    Ok(())
}

async fn request(lab: &Lab, name: &str, spec: Value) -> Result<()> {
    let requests: Api<MatchAllocation> = Api::namespaced(lab.user(), NAMESPACE);
    let request = json!({
        "apiVersion": "muster.dev/v1", "kind": "MatchAllocation",
        "metadata": { "name": name }, "spec": spec,
    });
    let request = serde_json::from_value(request)?;
    requests.create(&PostParams::default(), &request).await?;
    Ok(())
}

async fn delete_request(lab: &Lab, name: &str) -> Result<()> {
    let requests: Api<MatchAllocation> = Api::namespaced(lab.user(), NAMESPACE);
    requests.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// Asks the allocators until so many servers were given. A call whose outcome is unknown is
/// followed by another, as a matchmaker without request ids does it; the game of a server that
/// nobody joins ends by itself.
async fn allocate(lab: &Lab, count: usize) -> Result<()> {
    for _ in 0..count {
        let server = allocate_one(lab).await?;
        lab.claim(&server);
    }
    Ok(())
}

async fn allocate_one(lab: &Lab) -> Result<String> {
    let selector = GameServerSelector {
        match_labels: [(crds::meta::FLEET_LABEL.to_owned(), "f".to_owned())].into(),
        ..GameServerSelector::default()
    };
    let request = AllocationRequest {
        namespace: NAMESPACE.to_owned(),
        game_server_selectors: vec![selector],
        ..AllocationRequest::default()
    };
    // By far more than any schedule of faults takes.
    for attempt in 0..600 {
        if let Some(allocator) = lab.replicas().allocator(attempt) {
            let answer = allocator.answer(request.clone(), Some(CALL_LIMIT));
            if let Ok(Ok(answer)) = tokio::time::timeout(CALL_LIMIT, answer).await {
                let server = answer.game_server_name;
                let is_there = lab.read(|mirror| {
                    mirror
                        .get("GameServer", NAMESPACE, &server)
                        .is_some_and(|server| {
                            state(server) == crds::State::Allocated
                                && !annotation(server, crds::meta::LAST_ALLOCATED_ANNOTATION)
                                    .is_empty()
                        })
                });
                if !is_there {
                    bail!("the allocator answered with {server}, which is not allocated");
                }
                return Ok(server);
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
    bail!("no server was allocated")
}

/// Servers that can be allocated.
fn ready(mirror: &Mirror) -> usize {
    let servers = mirror
        .all("GameServer")
        .filter(|server| state(server) == crds::State::Ready);
    servers.count()
}

fn matches(mirror: &Mirror, state: &str) -> usize {
    let requests = mirror
        .all("MatchAllocation")
        .filter(|request| text(request, "/status/state") == state);
    requests.count()
}

/// Whether only held servers have another image.
fn is_rolled_out(mirror: &Mirror, image: &str) -> bool {
    let images: BTreeSet<&str> = mirror
        .all("GameServer")
        .filter(|server| !state(server).is_held())
        .map(|server| text(server, "/spec/template/spec/containers/0/image"))
        .collect();
    let fleets = mirror.all("Fleet").all(|fleet| {
        number(fleet, "/status/observedGeneration") == number(fleet, "/metadata/generation")
    });
    fleets && images == BTreeSet::from([image])
}
