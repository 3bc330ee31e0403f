//! The autoscaler follows allocations as they happen, and others can scale a Fleet too.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::autoscaler::{BufferPolicy, FixedInterval, Policy, PolicyType, Sync, SyncType};
use crds::state::State;
use crds::{Fleet, FleetAutoscaler, FleetAutoscalerSpec};
use e2e::objects::{Sample, podless_fleet};
use e2e::{allocator, wait};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::harness::{Test, shared};

/// An autoscaler whose timer does not come into it.
fn buffer(size: IntOrString, min_replicas: i32, max_replicas: i32) -> FleetAutoscaler {
    let policy = BufferPolicy {
        max_replicas,
        min_replicas,
        buffer_size: size,
    };
    let spec = FleetAutoscalerSpec {
        fleet_name: "game".to_owned(),
        policy: Policy {
            type_: PolicyType::Buffer,
            buffer: Some(policy),
        },
        sync: Sync {
            type_: SyncType::FixedInterval,
            fixed_interval: FixedInterval { seconds: 3600 },
        },
    };
    FleetAutoscaler::new("game", spec)
}

async fn sized(test: &Test, replicas: i32) -> Result<Fleet> {
    let what = format!("to want {replicas}");
    wait::until(&test.api::<Fleet>(), "game", &what, |it| {
        it.spec.replicas == replicas
    })
    .await
}

async fn allocate(test: &Test, count: usize) -> Result<Vec<String>> {
    let mut client = test.allocator().await?.grpc().await?;
    let mut names = Vec::new();
    for _ in 0..count {
        let request = allocator::from_fleet(&test.namespace, "game");
        names.push(
            client
                .allocate(request)
                .await?
                .into_inner()
                .game_server_name,
        );
    }
    Ok(names)
}

#[test]
fn a_burst_of_allocations_is_followed_as_it_happens() {
    shared("burst", async |test| {
        test.ready_fleet(&podless_fleet("game", 1, "127.0.0.1")?)
            .await?;
        test.create(&buffer(IntOrString::Int(5), 5, 20)).await?;
        sized(test, 5).await?;
        test.fleet_in("game", State::Ready, 5).await?;

        // The burst, and the moment at which the fleet wants 5 more than are allocated.
        let fleets = test.api::<Fleet>();
        let mut states = pin!(wait::states(&fleets, ""));
        let follow = async {
            while let Some(all) = states.next().await {
                if all.get("game").is_some_and(|it| it.spec.replicas == 10) {
                    return Some(Instant::now());
                }
            }
            None
        };
        let burst = async { allocate(test, 5).await.map(|_| Instant::now()) };
        let both = tokio::time::timeout(wait::PATIENCE, async { futures::join!(follow, burst) });
        let (followed, allocated) = both.await.context("the fleet was not scaled to 10")?;
        let delay = followed
            .context("the watch ended")?
            .saturating_duration_since(allocated?);
        eprintln!("the desired replicas followed {delay:?} after the burst's last answer");
        // The goal is a second; what is asserted is that no timer was waited for.
        ensure!(
            delay < Duration::from_secs(5),
            "followed only after {delay:?}"
        );
        test.fleet_in("game", State::Ready, 5).await?;
        Ok(())
    });
}

#[test]
fn a_buffer_in_percent_stays_within_its_limits() {
    shared("percent", async |test| {
        test.ready_fleet(&podless_fleet("game", 2, "127.0.0.1")?)
            .await?;
        let percent = IntOrString::String("50%".to_owned());
        test.create(&buffer(percent, 2, 6)).await?;
        sized(test, 2).await?;

        // ceil(2 × 100 / 50) = 4, and then 2 × 4 = 8, of which 6 are allowed.
        allocate(test, 2).await?;
        sized(test, 4).await?;
        test.fleet_in("game", State::Ready, 2).await?;
        allocate(test, 2).await?;
        sized(test, 6).await?;
        wait::until(
            &test.api::<FleetAutoscaler>(),
            "game",
            "to be limited",
            |it| {
                it.status.as_ref().is_some_and(|status| {
                    status.scaling_limited && status.able_to_scale && status.desired_replicas == 6
                })
            },
        )
        .await?;
        Ok(())
    });
}

#[test]
fn the_fleet_shrinks_again_when_matches_end() {
    shared("shrink", async |test| {
        test.ready_fleet(&podless_fleet("game", 2, "127.0.0.1")?)
            .await?;
        test.create(&buffer(IntOrString::Int(2), 0, 10)).await?;
        let names = allocate(test, 2).await?;
        sized(test, 4).await?;
        test.fleet_in("game", State::Ready, 2).await?;
        for name in &names {
            let delete = kube::api::DeleteParams::default();
            test.api::<crds::GameServer>().delete(name, &delete).await?;
        }
        sized(test, 2).await?;
        test.fleet_in("game", State::Ready, 2).await?;
        Ok(())
    });
}

#[test]
fn an_autoscaler_without_its_fleet_says_so() {
    shared("no-fleet", async |test| {
        test.create(&buffer(IntOrString::Int(1), 0, 5)).await?;
        wait::until(
            &test.api::<FleetAutoscaler>(),
            "game",
            "to say why it cannot scale",
            |it| {
                it.status.as_ref().is_some_and(|status| {
                    let condition = status.conditions.iter().find(|it| it.type_ == "Ready");
                    !status.able_to_scale && condition.is_some_and(|it| it.status == "False")
                })
            },
        )
        .await?;
        // It works as soon as there is one.
        test.create(&podless_fleet("game", 0, "127.0.0.1")?).await?;
        sized(test, 1).await?;
        Ok(())
    });
}

#[test]
fn a_horizontal_pod_autoscaler_can_read_the_scale_of_a_fleet() {
    shared("scale", async |test| {
        let servers = test
            .ready_fleet(&Sample::default().fleet("game", 2)?)
            .await?;
        wait::until(&test.api::<Fleet>(), "game", "to have a selector", |it| {
            it.status
                .as_ref()
                .is_some_and(|it| !it.label_selector.is_empty() && it.replicas == 2)
        })
        .await?;
        let scale = test.api::<Fleet>().get_scale("game").await?;
        let status = scale.status.context("the scale has no status")?;
        ensure!(scale.spec.and_then(|it| it.replicas) == Some(2) && status.replicas == 2);
        // The selector finds the fleet's pods, as an HPA does to read their metrics.
        let selector = status.selector.context("the scale has no selector")?;
        let pods = test
            .api::<Pod>()
            .list(&ListParams::default().labels(&selector))
            .await?;
        let mut pods: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
        pods.sort();
        ensure!(
            pods == crate::harness::names(&servers),
            "{selector} finds {pods:?}"
        );
        Ok(())
    });
}
