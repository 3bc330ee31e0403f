//! Players with connect tokens: allocation by request ids, and the tokens of a MatchAllocation.

use anyhow::{Context as _, Result, bail, ensure};
use crds::allocation::{GameServerSelector, MatchState};
use crds::matches::{Match, MatchEnd};
use crds::meta::{CONNECT_KEYS_SECRET, FLEET_LABEL, MATCH_ANNOTATION, MATCH_RESULT_ANNOTATION};
use crds::state::State;
use crds::{GameServer, MatchAllocation, MatchAllocationSpec};
use e2e::cluster::SYSTEM;
use e2e::objects::podless_fleet;
use e2e::wait;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use proto::muster::allocation::v1::allocation::State as MatchIs;
use proto::muster::allocation::v1::release_request::ReleasePolicy;
use proto::muster::allocation::v1::{
    AllocateRequest, GetRequest, MintTokensRequest, Player, ReleaseRequest, WatchRequest,
};
use serde_json::json;
use tonic::Code;

use crate::harness::{Test, shared};

const ALICE: &str = "11111111-2222-3333-4444-555555555555";
const BOB: &str = "66666666-7777-8888-9999-aaaaaaaaaaaa";

/// Name of the MatchAllocation.
const DUEL: &str = "duel";

/// Bytes of a connect token.
const TOKEN: usize = 2048;

/// Servers as they are when their games have asked for the connect key. Development servers have
/// no game that would ask.
async fn joinable_fleet(test: &Test, count: i32) -> Result<()> {
    let servers = test
        .ready_fleet(&podless_fleet("game", count, "127.0.0.1")?)
        .await?;
    let secrets = test.cluster.api::<Secret>(SYSTEM);
    let keys = secrets.get(CONNECT_KEYS_SECRET).await?;
    let keys = keys.data.unwrap_or_default();
    let current = keys.get("current").context("no master key is current")?;
    let version: i64 = std::str::from_utf8(&current.0)?.parse()?;
    for server in servers {
        let connect =
            json!({ "bootId": "00112233445566778899aabbccddeeff", "keyVersion": version });
        let patch = json!({ "status": { "connect": connect } });
        test.patch::<GameServer>(&server.name_any(), patch).await?;
    }
    Ok(())
}

/// Applies a MatchAllocation of two players, and returns the Secret with their tokens.
pub(crate) async fn duel(test: &Test, fleet: &str) -> Result<Secret> {
    let labels = [(FLEET_LABEL.to_owned(), fleet.to_owned())];
    let player = |id: &str| crds::matches::Player {
        player_id: id.to_owned(),
        team: 0,
    };
    let spec = MatchAllocationSpec {
        selectors: vec![GameServerSelector {
            match_labels: labels.into(),
            ..GameServerSelector::default()
        }],
        players: vec![player(ALICE), player(BOB)],
        ..MatchAllocationSpec::default()
    };
    test.create(&MatchAllocation::new(DUEL, spec)).await?;
    let objects = test.api::<MatchAllocation>();
    let allocated = wait::until(&objects, DUEL, "to be Allocated", |it| {
        let status = it.status.as_ref();
        status.is_some_and(|status| status.state == MatchState::Allocated)
    })
    .await?;
    let status = allocated.status.context("no status")?;
    let name = status.connect_tokens_secret_name;
    Ok(test.api::<Secret>().get(&name).await?)
}

fn players(ids: &[&str]) -> Vec<Player> {
    let player = |id: &&str| Player {
        player_id: (*id).to_owned(),
        ..Player::default()
    };
    ids.iter().map(player).collect()
}

fn request(test: &Test, request_id: &str) -> AllocateRequest {
    AllocateRequest {
        namespace: test.namespace.clone(),
        request_id: request_id.to_owned(),
        players: players(&[ALICE, BOB]),
        ..AllocateRequest::default()
    }
}

#[test]
fn players_get_tokens_and_a_retry_gets_the_same_server() {
    shared("tokens", async |test| {
        joinable_fleet(test, 3).await?;
        let allocator = test.allocator().await?;
        let mut matches = allocator.matches().await?;
        let first = matches.allocate(request(test, "r-1")).await?.into_inner();
        ensure!(first.tokens.len() == 2, "{} tokens", first.tokens.len());
        for token in &first.tokens {
            let length = token.connect_token.len();
            ensure!(length == TOKEN, "a token has {length} bytes");
        }
        let allocation = first.allocation.context("no allocation")?;
        let server = test
            .in_state(&allocation.game_server_name, State::Allocated)
            .await?;
        let of_match = server.annotations().get(MATCH_ANNOTATION);
        let of_match: Match = serde_json::from_str(of_match.context("no match")?)?;
        ensure!(of_match.match_id == allocation.match_id, "{of_match:?}");
        ensure!(of_match.players.len() == 2, "{of_match:?}");

        // Over connections of their own, perhaps to other replicas.
        for _ in 0..4 {
            let mut matches = allocator.matches().await?;
            let again = matches.allocate(request(test, "r-1")).await?.into_inner();
            let same = again.allocation.context("no allocation")?;
            ensure!(
                same.game_server_uid == allocation.game_server_uid,
                "{same:?}"
            );
            ensure!(again.tokens[0].session_id == first.tokens[0].session_id);
            ensure!(again.tokens[0].connect_token != first.tokens[0].connect_token);
        }
        let late = MintTokensRequest {
            namespace: test.namespace.clone(),
            request_id: "r-1".to_owned(),
            players: players(&[BOB]),
            token_lifetime: None,
        };
        let minted = matches.mint_tokens(late).await?.into_inner().tokens;
        ensure!(minted.len() == 1 && minted[0].player_id == BOB);
        ensure!(minted[0].session_id == first.tokens[1].session_id);

        let release = ReleaseRequest {
            namespace: test.namespace.clone(),
            request_id: "r-1".to_owned(),
            policy: ReleasePolicy::ReturnToReady.into(),
        };
        matches.release(release.clone()).await?;
        matches.release(release).await?;
        test.fleet_in("game", State::Ready, 3).await?;
        match matches.allocate(request(test, "r-1")).await {
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            other => bail!("a request that was released got {other:?}"),
        }
    });
}

#[test]
fn a_watch_sees_the_end_of_a_match_with_its_result() {
    shared("watch", async |test| {
        joinable_fleet(test, 1).await?;
        let mut matches = test.allocator().await?.matches().await?;
        let watch = WatchRequest {
            namespace: test.namespace.clone(),
        };
        let mut watched = matches.watch(watch).await?.into_inner();
        let first = watched.message().await?.context("the watch ended")?;
        ensure!(first.synced && first.allocation.is_none(), "{first:?}");
        let answer = matches.allocate(request(test, "r-1")).await?.into_inner();
        let allocation = answer.allocation.context("no allocation")?;
        let end = MatchEnd {
            match_id: allocation.match_id.clone(),
            result: r#"{"winner":0}"#.to_owned(),
        };
        let annotations = json!({ MATCH_RESULT_ANNOTATION: serde_json::to_string(&end)? });
        let patch = json!({
            "metadata": { "annotations": annotations }, "status": { "state": State::Shutdown },
        });
        test.patch::<GameServer>(&allocation.game_server_name, patch)
            .await?;
        let seen = async {
            let mut states = Vec::new();
            while let Some(change) = watched.message().await? {
                let change = change.allocation.context("an empty change")?;
                ensure!(change.request_id == "r-1", "{change:?}");
                states.push(change.state());
                if change.state() == MatchIs::Ended && !change.result.is_empty() {
                    ensure!(change.result == end.result, "{change:?}");
                    return Ok(states);
                }
            }
            bail!("the watch ended after {states:?}")
        };
        let states = tokio::time::timeout(wait::PATIENCE, seen).await??;
        ensure!(states.first() == Some(&MatchIs::Allocated), "{states:?}");
        Ok(())
    });
}

#[test]
fn fields_and_absence_are_told() {
    shared("refusals", async |test| {
        let mut matches = test.allocator().await?.matches().await?;
        let mut wrong = request(test, "r-1");
        wrong.players[1].player_id = "bob".to_owned();
        let status = matches.allocate(wrong).await.err().context("accepted")?;
        ensure!(status.code() == Code::InvalidArgument, "{status:?}");
        ensure!(
            status.message().starts_with("players[1].playerId"),
            "{status:?}"
        );
        let get = GetRequest {
            namespace: test.namespace.clone(),
            request_id: "r-1".to_owned(),
        };
        let status = matches.get(get).await.err().context("found")?;
        ensure!(status.code() == Code::NotFound, "{status:?}");
        Ok(())
    });
}

#[test]
fn the_tokens_of_a_match_are_in_a_secret_that_goes_with_it() {
    shared("match-tokens", async |test| {
        joinable_fleet(test, 1).await?;
        let secret = duel(test, "game").await?;
        let name = secret.name_any();
        let data = secret.data.context("no data")?;
        ensure!(data.keys().eq([ALICE, BOB]), "{:?}", data.keys());
        ensure!(data.values().all(|token| token.0.len() == TOKEN));
        let objects = test.api::<MatchAllocation>();
        objects.delete(DUEL, &DeleteParams::default()).await?;
        wait::until_gone(&test.api::<Secret>(), &name, wait::PATIENCE).await
    });
}
