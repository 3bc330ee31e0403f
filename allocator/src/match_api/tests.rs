//! The API by request ids from outside, over gRPC.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use futures::StreamExt as _;
use k8s_openapi::ByteString;
use proto::muster::allocation::v1::allocator_client::AllocatorClient;
use proto::muster::allocation::v1::allocator_server::AllocatorServer;
use serde_json::json;

use super::*;
use crate::fake::Fake;
use crate::fake::harness::{BOUNDS, Core, fleet, until};
use crate::ids;
use crate::matches::BACKLOG;

const PLAYER: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "66666666-7777-8888-9999-aaaaaaaaaaaa";

type Client = AllocatorClient<AllocatorServer<MatchApi>>;

async fn start(fake: &Fake) -> (Core, MatchApi, Client) {
    let core = Core::start(fake, BOUNDS, 1).await;
    let data = [("key-1".to_owned(), ByteString(vec![1; 32]))];
    core.keys.replace(BTreeMap::from(data));
    let api = core.match_api();
    let client = AllocatorClient::new(AllocatorServer::new(api.clone()));
    (core, api, client)
}

/// Servers whose game has asked for its key.
fn joinable(count: usize) -> Fake {
    let fake = fleet(count);
    for number in 0..count {
        let connect = json!({"bootId": "00112233445566778899aabbccddeeff", "keyVersion": 1});
        let spec = json!({"connect": {"policy": "Token"}, "ports": [{"name": "default"}]});
        let patch = json!({"metadata": {"uid": "u"}, "spec": spec, "status": {"connect": connect}});
        fake.touch(&format!("gs-{number:02}"), &patch);
    }
    fake
}

fn players(ids: &[&str]) -> Vec<wire::Player> {
    let player = |id: &&str| wire::Player {
        player_id: (*id).to_owned(),
        team: 1,
        spectator: false,
        trace_context: String::new(),
    };
    ids.iter().map(player).collect()
}

fn request(request_id: &str, ids: &[&str]) -> wire::AllocateRequest {
    wire::AllocateRequest {
        namespace: "default".to_owned(),
        request_id: request_id.to_owned(),
        players: players(ids),
        ..wire::AllocateRequest::default()
    }
}

fn refusal<T>(result: Result<T, Status>, expected: &Expect) {
    let status = result.err().unwrap();
    expected.assert_eq(&format!("{:?}: {}", status.code(), status.message()));
}

#[tokio::test(start_paused = true)]
async fn players_get_tokens_and_a_retry_the_same_match() {
    let fake = joinable(2);
    let (core, _, mut client) = start(&fake).await;
    let first = client
        .allocate(request("r", &[PLAYER]))
        .await
        .unwrap()
        .into_inner();
    let second = client
        .allocate(request("r", &[PLAYER]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.allocation, second.allocation);
    assert_eq!(first.tokens[0].session_id, second.tokens[0].session_id);
    assert_ne!(
        first.tokens[0].connect_token,
        second.tokens[0].connect_token
    );
    assert_eq!(first.tokens[0].connect_token.len(), 2048);
    let allocation = first.allocation.unwrap();
    assert_eq!(allocation.game_server_name, "gs-00");
    assert_eq!(allocation.state(), State::Allocated);
    assert_eq!(allocation.players, players(&[PLAYER]));
    assert!(ids::parse(&allocation.match_id).is_some());

    let late = wire::MintTokensRequest {
        namespace: "default".to_owned(),
        request_id: "r".to_owned(),
        players: players(&[OTHER]),
        token_lifetime: None,
    };
    let minted = client.mint_tokens(late).await.unwrap().into_inner();
    assert_eq!(minted.tokens[0].player_id, OTHER);
    assert_eq!(core.counter("muster_allocator_connect_tokens_total"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_match_can_be_had_released_and_is_not_found_after_that() {
    let fake = fleet(1);
    let (core, _, mut client) = start(&fake).await;
    let get = || wire::GetRequest {
        namespace: "default".to_owned(),
        request_id: "r".to_owned(),
    };
    let missing = expect!["NotFound: no GameServer has this request id"];
    refusal(client.get(get()).await, &missing);
    // Open servers take no tokens.
    let answer = client
        .allocate(request("r", &[PLAYER]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.tokens, []);
    let got = client.get(get()).await.unwrap().into_inner();
    assert_eq!(got.allocation, answer.allocation);
    let release = || wire::ReleaseRequest {
        namespace: "default".to_owned(),
        request_id: "r".to_owned(),
        policy: ReleasePolicy::ReturnToReady.into(),
    };
    client.release(release()).await.unwrap();
    client.release(release()).await.unwrap();
    assert_eq!(fake.get("gs-00")["status"]["state"], "Ready");
    until(&core.servers, |_| {
        core.matches.find("default", "r").is_none()
    })
    .await;
    refusal(client.get(get()).await, &missing);
}

#[tokio::test(start_paused = true)]
async fn bad_requests_name_the_field() {
    let fake = joinable(1);
    fake.touch("gs-00", &json!({"status": {"connect": null}}));
    let (_core, _, mut client) = start(&fake).await;
    refusal(
        client.allocate(request("", &[])).await,
        &expect![
            "InvalidArgument: requestId: must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
        ],
    );
    refusal(
        client.allocate(request("r", &["x"])).await,
        &expect![
            "InvalidArgument: players[0].playerId: must be a UUID such as 0190a5b2-7c1e-7d3a-9f00-1234567890ab"
        ],
    );
    let mut selecting = request("r", &[]);
    selecting.selectors = vec![proto::allocation::GameServerSelector {
        match_labels: BTreeMap::from([("bad key!".to_owned(), String::new())]),
        ..Default::default()
    }];
    refusal(
        client.allocate(selecting).await,
        &expect![
            "InvalidArgument: selectors[0].matchLabels[bad key!]: the name part of a key must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
        ],
    );
    refusal(
        client.allocate(request("r", &[PLAYER])).await,
        &expect![[
            r#"FailedPrecondition: players could not join the GameServers that fit in namespace "default" with connect tokens: there is no key (the game must call GetConnectKey before Ready), its version is not known, or there is no IP address with a UDP port"#
        ]],
    );
    let release = wire::ReleaseRequest {
        namespace: "default".to_owned(),
        request_id: "r".to_owned(),
        policy: 7,
    };
    refusal(
        client.release(release).await,
        &expect!["InvalidArgument: policy: must be one of SHUTDOWN (1), RETURN_TO_READY (2)"],
    );
}

#[tokio::test(start_paused = true)]
async fn players_are_given_no_server_whose_tokens_cannot_be_minted() {
    let fake = joinable(2);
    let newer = json!({"status": {"connect": {"keyVersion": 2}}});
    fake.touch("gs-00", &newer);
    fake.touch(
        "gs-01",
        &json!({"status": {"address": "game.example", "addresses": []}}),
    );
    let (core, _, mut client) = start(&fake).await;
    let refused = client.allocate(request("r", &[PLAYER])).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(fake.patches(), 0);
    let keys = [1, 2].map(|number| (format!("key-{number}"), ByteString(vec![number; 32])));
    core.keys.replace(BTreeMap::from(keys));
    let answer = client.allocate(request("r", &[PLAYER])).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.allocation.unwrap().game_server_name, "gs-00");
    assert_eq!(answer.tokens.len(), 1);
    // Nobody needs a token.
    let answer = client.allocate(request("s", &[])).await.unwrap();
    let allocation = answer.into_inner().allocation.unwrap();
    assert_eq!(allocation.game_server_name, "gs-01");
}

#[tokio::test(start_paused = true)]
async fn a_watch_sees_allocations_and_their_end() {
    let fake = fleet(2);
    let (core, api, mut client) = start(&fake).await;
    client.allocate(request("r", &[])).await.unwrap();
    until(&core.servers, |_| {
        core.matches.find("default", "r").is_some()
    })
    .await;
    let watch = wire::WatchRequest {
        namespace: "default".to_owned(),
    };
    let mut watched = client.watch(watch).await.unwrap().into_inner();
    let told = |id: &str, state, result: &str| (id.to_owned(), state, result.to_owned());
    let mut next = async || {
        let response = watched.next().await.unwrap()?;
        let Some(allocation) = response.allocation else {
            assert!(response.synced);
            return Ok(told("that was all", State::Unspecified, ""));
        };
        assert!(!response.synced);
        let state = allocation.state();
        Ok::<_, Status>((allocation.request_id, state, allocation.result))
    };
    assert_eq!(next().await.unwrap(), told("r", State::Allocated, ""));
    let synced = told("that was all", State::Unspecified, "");
    assert_eq!(next().await.unwrap(), synced);
    client.allocate(request("s", &[])).await.unwrap();
    assert_eq!(next().await.unwrap(), told("s", State::Allocated, ""));
    let match_id = client
        .get(wire::GetRequest {
            namespace: "default".to_owned(),
            request_id: "r".to_owned(),
        })
        .await
        .unwrap()
        .into_inner()
        .allocation
        .unwrap()
        .match_id;
    let end = json!({"matchId": match_id, "result": "{\"winner\":1}"}).to_string();
    let annotations = json!({"muster.dev/match-result": end});
    let patch = json!({"metadata": {"annotations": annotations}, "status": {"state": "Shutdown"}});
    fake.touch("gs-00", &patch);
    assert_eq!(
        next().await.unwrap(),
        told("r", State::Ended, "{\"winner\":1}")
    );
    api.end_watches();
    let ended: Result<(), Status> = next().await.map(drop);
    refusal(
        ended,
        &expect!["Unavailable: the allocator is ending: watch again"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_ended_with_the_reason() {
    let fake = fleet(1);
    let (core, api, _client) = start(&fake).await;
    let watch = wire::WatchRequest {
        namespace: "default".to_owned(),
    };
    let mut watched = api.watch(Request::new(watch)).await.unwrap().into_inner();
    for number in 0..=BACKLOG {
        let mut object = fake.get("gs-00");
        object["metadata"]["labels"]["muster.dev/request"] = json!(format!("r-{number}"));
        core.matches
            .watched(&serde_json::from_value(object).unwrap());
    }
    // Nothing was known at its begin.
    assert!(watched.next().await.unwrap().unwrap().synced);
    refusal(
        watched.next().await.unwrap(),
        &expect!["ResourceExhausted: too slow: 1 changes were missed, watch again"],
    );
    assert!(watched.next().await.is_none());
    assert_eq!(core.counter("muster_allocator_slow_watchers_total"), 1);
}
