//! MatchAllocation objects: a server for a match by `kubectl apply`.

use anyhow::{Context as _, Result, ensure};
use crds::allocation::{GameServerSelector, MatchState, MetadataPatch, ReleasePolicy};
use crds::meta::{FLEET_LABEL, RELEASE_FINALIZER, REQUEST_LABEL};
use crds::state::State;
use crds::{MatchAllocation, MatchAllocationSpec, MatchAllocationStatus};
use e2e::objects::{Sample, podless_fleet};
use e2e::{allocator, echo, wait};
use kube::ResourceExt as _;
use kube::api::DeleteParams;

use crate::harness::{Test, shared};

fn request(name: &str, release_policy: ReleasePolicy) -> MatchAllocation {
    let labels = [(FLEET_LABEL.to_owned(), "game".to_owned())];
    let annotations = [("map".to_owned(), "arena".to_owned())];
    let spec = MatchAllocationSpec {
        selectors: vec![GameServerSelector {
            match_labels: labels.into(),
            ..GameServerSelector::default()
        }],
        metadata: Some(MetadataPatch {
            annotations: annotations.into(),
            ..MetadataPatch::default()
        }),
        release_policy,
        ..MatchAllocationSpec::default()
    };
    MatchAllocation::new(name, spec)
}

async fn in_state(test: &Test, name: &str, state: MatchState) -> Result<MatchAllocationStatus> {
    let what = format!("to be {state:?}");
    let found = wait::until(&test.api::<MatchAllocation>(), name, &what, |it| {
        it.status
            .as_ref()
            .is_some_and(|status| status.state == state)
    })
    .await?;
    found.status.context("no status")
}

async fn delete(test: &Test, name: &str) -> Result<()> {
    let matches = test.api::<MatchAllocation>();
    matches.delete(name, &DeleteParams::default()).await?;
    wait::until_gone(&matches, name, wait::PATIENCE).await
}

#[test]
fn an_applied_match_gets_a_server_and_deleting_it_shuts_that_down() {
    shared("match", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 2)?)
            .await?;
        let created = test
            .create(&request("duel", ReleasePolicy::Shutdown))
            .await?;
        let status = in_state(test, "duel", MatchState::Allocated).await?;
        ensure!(status.allocation_time.is_some() && status.expiration_time.is_none());
        ensure!(!status.node_name.is_empty());
        let allocated = status.conditions.iter().find(|it| it.type_ == "Allocated");
        ensure!(
            allocated.is_some_and(|it| it.status == "True"),
            "{:?}",
            status.conditions
        );

        let server = test
            .in_state(&status.game_server_name, State::Allocated)
            .await?;
        ensure!(
            server
                .annotations()
                .get("map")
                .is_some_and(|it| it == "arena")
        );
        ensure!(server.labels().get(REQUEST_LABEL) == created.metadata.uid.as_ref());
        let port = status.ports.first().context("no port")?;
        let address = allocator::join(&status.address, port.port)?;
        ensure!(echo::udp(address, "hello").await?.0 == "ACK: hello");

        let guarded = test.api::<MatchAllocation>().get("duel").await?;
        ensure!(
            guarded
                .finalizers()
                .iter()
                .any(|it| it == RELEASE_FINALIZER)
        );
        delete(test, "duel").await?;
        test.gone(&status.game_server_name).await?;
        test.fleet_in("game", State::Ready, 2).await?;
        Ok(())
    });
}

#[test]
fn a_match_can_return_its_server() {
    shared("return", async |test| {
        test.ready_fleet(&podless_fleet("game", 1, "127.0.0.1")?)
            .await?;
        for name in ["first", "second"] {
            test.create(&request(name, ReleasePolicy::ReturnToReady))
                .await?;
            let status = in_state(test, name, MatchState::Allocated).await?;
            delete(test, name).await?;
            let server = test
                .in_state(&status.game_server_name, State::Ready)
                .await?;
            ensure!(
                !server.labels().contains_key(REQUEST_LABEL),
                "it is still marked"
            );
        }
        Ok(())
    });
}

#[test]
fn a_match_ends_when_its_time_is_up() {
    shared("expiry", async |test| {
        test.ready_fleet(&podless_fleet("game", 1, "127.0.0.1")?)
            .await?;
        let mut short = request("short", ReleasePolicy::ReturnToReady);
        short.spec.max_duration_seconds = Some(2);
        test.create(&short).await?;
        let held = in_state(test, "short", MatchState::Allocated).await?;
        let ends = held.expiration_time.context("no expirationTime")?;
        let starts = held.allocation_time.context("no allocationTime")?;
        ensure!(
            ends.duration_since(starts).as_secs() == 2,
            "{starts} to {ends}"
        );

        let released = in_state(test, "short", MatchState::Released).await?;
        ensure!(jiff::Timestamp::now() >= ends, "released too early");
        ensure!(
            released.game_server_name == held.game_server_name,
            "{released:?}"
        );
        test.in_state(&held.game_server_name, State::Ready).await?;

        // The server may be in another match by now, which the end of this one must not touch.
        let request = allocator::from_fleet(&test.namespace, "game");
        let other = test.allocator().await?.allocate(request).await?;
        ensure!(other.game_server_name == held.game_server_name);
        delete(test, "short").await?;
        test.in_state(&held.game_server_name, State::Allocated)
            .await?;
        Ok(())
    });
}

#[test]
fn a_match_waits_for_capacity() {
    shared("waiting", async |test| {
        test.ready_fleet(&podless_fleet("game", 0, "127.0.0.1")?)
            .await?;
        test.create(&request("early", ReleasePolicy::Shutdown))
            .await?;
        let reason = |status: &MatchAllocationStatus| {
            let condition = status.conditions.iter().find(|it| it.type_ == "Allocated");
            condition.is_some_and(|it| it.status == "False" && !it.message.is_empty())
        };
        wait::until(
            &test.api::<MatchAllocation>(),
            "early",
            "to say why it waits",
            |it| it.status.as_ref().is_some_and(reason),
        )
        .await?;
        test.scale("game", 1).await?;
        in_state(test, "early", MatchState::Allocated).await?;
        Ok(())
    });
}

#[test]
fn a_match_whose_server_fails_is_lost() {
    shared("lost", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        test.create(&request("duel", ReleasePolicy::Shutdown))
            .await?;
        let status = in_state(test, "duel", MatchState::Allocated).await?;
        let port = status.ports.first().context("no port")?;
        drop(echo::send(allocator::join(&status.address, port.port)?, "CRASH").await?);
        in_state(test, "duel", MatchState::Lost).await?;
        delete(test, "duel").await?;
        test.fleet_in("game", State::Ready, 1).await?;
        Ok(())
    });
}
