//! A build that crashes at once must not flood the API, and a good build must not wait for it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::state::State;
use crds::{Fleet, GameServer, GameServerSet};
use e2e::objects::Sample;
use e2e::wait;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::json;

use crate::harness::{Test, of_fleet, shared};

/// How long the crashes are observed.
const OBSERVED: Duration = Duration::from_secs(45);

/// Most servers that may be created in that time. A crash takes about a second here, so without
/// backoff there would be more than 60; with delays of 1, 2, 4, … seconds it is about 12.
const MOST: usize = 20;

#[test]
fn a_crash_looping_build_is_created_ever_more_slowly() {
    shared("crash-loop", async |test| {
        let fleet = Sample::with_flags(&["--crashAtStart"]).fleet("game", 2)?;
        test.create(&fleet).await?;
        let created = observe(test).await?;
        let first = *created.first().context("nothing was created")?;
        let times: Vec<_> = created
            .iter()
            .map(|it| it.as_second() - first.as_second())
            .collect();
        eprintln!(
            "created {} servers in {OBSERVED:?}, at seconds {times:?}",
            times.len()
        );
        ensure!(
            times.len() <= MOST,
            "{} creations in {OBSERVED:?}: {times:?}",
            times.len()
        );
        ensure!(times.len() > 2, "a crashed server was never replaced");
        let sets = test.api::<GameServerSet>();
        wait::until_all(
            &sets,
            &of_fleet("game"),
            "until one tells of its backoff",
            |all| {
                let failures = all
                    .values()
                    .filter_map(|it| it.status.as_ref()?.backoff.as_ref());
                failures
                    .map(|backoff| backoff.failures)
                    .max()
                    .is_some_and(|most| most > 1)
            },
        )
        .await?;

        // The backoff is the template's: a good one starts at once.
        let container = Sample::default().spec()?.template;
        let template = json!({ "spec": { "template": container } });
        test.patch::<Fleet>("game", json!({ "spec": { "template": template } }))
            .await?;
        test.fleet_in("game", State::Ready, 2).await?;
        Ok(())
    });
}

/// Follows the fleet for a while, and returns when each of its servers was created, in order.
async fn observe(test: &Test) -> Result<Vec<Timestamp>> {
    let servers = test.api::<GameServer>();
    let labels = of_fleet("game");
    let mut states = pin!(wait::states(&servers, &labels));
    let mut created = BTreeMap::new();
    let follow = async {
        while let Some(all) = states.next().await {
            for server in all.into_values() {
                let metadata = server.metadata;
                if let (Some(uid), Some(time)) = (metadata.uid, metadata.creation_timestamp) {
                    created.insert(uid, time.0);
                }
            }
        }
    };
    let ended = tokio::time::timeout(OBSERVED, follow).await;
    ensure!(ended.is_err(), "the watch ended");
    let mut times: Vec<_> = created.into_values().collect();
    times.sort();
    Ok(times)
}
