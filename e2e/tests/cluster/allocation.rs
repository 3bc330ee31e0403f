//! The allocation API as matchmakers use it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use crds::GameServer;
use crds::state::State;
use e2e::cluster::ALLOCATOR;
use e2e::objects::{Sample, podless_fleet};
use e2e::{allocator, echo, wait};
use http::StatusCode;
use kube::ResourceExt as _;
use proto::allocation::game_server_selector::GameServerState;
use proto::allocation::label_match_expressions::Operator;
use proto::allocation::{AllocationRequest, GameServerSelector, LabelMatchExpressions, MetaPatch};
use serde_json::json;
use tonic::Code;

use crate::harness::{Test, alone, shared};

fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn selecting(test: &Test, selectors: Vec<GameServerSelector>) -> AllocationRequest {
    AllocationRequest {
        namespace: test.namespace.clone(),
        game_server_selectors: selectors,
        ..AllocationRequest::default()
    }
}

#[test]
fn a_server_is_allocated_by_grpc_with_metadata() {
    shared("grpc", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        // The kubelet may report the pod's address after the game said Ready.
        let servers = test.api::<GameServer>();
        wait::until_all(&servers, "", "until one has the pod's address", |all| {
            let status = all.values().filter_map(|it| it.status.as_ref());
            let mut addresses = status.flat_map(|status| &status.addresses);
            addresses.any(|it| it.type_ == "PodIP")
        })
        .await?;
        let mut request = allocator::from_fleet(&test.namespace, "game");
        request.metadata = Some(MetaPatch {
            labels: labels(&[("mode", "duel")]),
            annotations: labels(&[("map", "arena")]),
        });
        let answer = test.allocator().await?.allocate(request).await?;
        ensure!(
            !answer.node_name.is_empty() && answer.source == "local",
            "{answer:?}"
        );
        ensure!(answer.ports[0].name == "default", "{answer:?}");
        ensure!(
            answer.addresses.iter().any(|it| it.r#type == "PodIP"),
            "{answer:?}"
        );
        let metadata = answer
            .metadata
            .clone()
            .context("the answer has no metadata")?;
        ensure!(
            metadata.labels.get("mode").is_some_and(|it| it == "duel"),
            "{metadata:?}"
        );

        let server = test
            .in_state(&answer.game_server_name, State::Allocated)
            .await?;
        ensure!(server.labels().get("mode").is_some_and(|it| it == "duel"));
        ensure!(
            server
                .annotations()
                .get("map")
                .is_some_and(|it| it == "arena")
        );
        let (reply, _) = echo::udp(allocator::endpoint(&answer)?, "hello").await?;
        ensure!(reply == "ACK: hello", "{reply:?}");
        Ok(())
    });
}

#[test]
fn a_server_is_allocated_by_rest() {
    shared("rest", async |test| {
        test.ready_fleet(&Sample::default().fleet("game", 1)?)
            .await?;
        let allocator = test.allocator().await?;
        let request = json!({
            "namespace": test.namespace,
            "gameServerSelectors": [{ "matchLabels": { "muster.dev/fleet": "game" } }],
            "metadata": { "labels": { "mode": "duel" } },
        });
        let (status, answer) = allocator.rest(&request.to_string()).await?;
        ensure!(status == StatusCode::OK, "{status}: {answer}");
        let (name, endpoint) = allocator::rest_endpoint(&answer)?;
        let server = test.in_state(&name, State::Allocated).await?;
        ensure!(server.labels().get("mode").is_some_and(|it| it == "duel"));
        ensure!(echo::udp(endpoint, "hello").await?.0 == "ACK: hello");

        let (status, answer) = allocator.rest(&request.to_string()).await?;
        ensure!(
            status == StatusCode::TOO_MANY_REQUESTS,
            "{status}: {answer}"
        );
        ensure!(
            answer["code"] == i32::from(Code::ResourceExhausted),
            "{answer}"
        );
        ensure!(
            answer["message"].as_str().is_some_and(|it| !it.is_empty()),
            "{answer}"
        );
        Ok(())
    });
}

#[test]
fn selectors_are_tried_in_order_and_know_labels_expressions_and_states() {
    shared("selectors", async |test| {
        let two = |name: &str, map: &str| -> Result<_> {
            let mut fleet = podless_fleet(name, 1, "127.0.0.1")?;
            let metadata = fleet.spec.template.metadata.get_or_insert_default();
            metadata.labels = Some(labels(&[("map", map)]));
            Ok(fleet)
        };
        let arena = test.ready_fleet(&two("arena", "arena")?).await?[0].name_any();
        let desert = test.ready_fleet(&two("desert", "desert")?).await?[0].name_any();
        let mut client = test.allocator().await?.grpc().await?;
        let mut allocate = async |selectors| -> Result<String, tonic::Status> {
            let answer = client.allocate(selecting(test, selectors)).await?;
            Ok(answer.into_inner().game_server_name)
        };
        let with = |pairs| GameServerSelector {
            match_labels: labels(pairs),
            ..Default::default()
        };
        let expression = |operator: Operator, values: &[&str]| GameServerSelector {
            match_expressions: vec![LabelMatchExpressions {
                key: "map".to_owned(),
                operator: operator.into(),
                values: values.iter().map(|it| (*it).to_owned()).collect(),
            }],
            ..GameServerSelector::default()
        };

        let not_desert = expression(Operator::NotIn, &["desert"]);
        let first = allocate(vec![with(&[("map", "moon")]), not_desert.clone()]).await?;
        ensure!(first == arena, "{first} instead of {arena}");
        let none = allocate(vec![not_desert]).await.unwrap_err();
        ensure!(none.code() == Code::ResourceExhausted, "{none:?}");
        let second = allocate(vec![expression(Operator::Exists, &[])]).await?;
        ensure!(second == desert, "{second} instead of {desert}");

        // A server that hosts several matches is given out again, on request.
        let mut again = with(&[("map", "arena")]);
        again.game_server_state = GameServerState::Allocated.into();
        let third = allocate(vec![again]).await?;
        ensure!(third == arena, "{third} instead of {arena}");
        Ok(())
    });
}

#[test]
fn bad_requests_are_refused_with_a_code_and_a_message() {
    shared("refused", async |test| {
        let allocator = test.allocator().await?;
        let mut client = allocator.grpc().await?;
        let mut refused = async |request: AllocationRequest| -> Result<tonic::Status> {
            let error = client
                .allocate(request)
                .await
                .err()
                .context("it was accepted")?;
            ensure!(!error.message().is_empty(), "{error:?} has no message");
            Ok(error)
        };
        let nothing = refused(allocator::with_labels("no-such-namespace", &[])).await?;
        ensure!(nothing.code() == Code::ResourceExhausted, "{nothing:?}");
        let bad_key = allocator::with_labels(&test.namespace, &[("not/a/key", "x")]);
        let bad_key = refused(bad_key).await?;
        ensure!(bad_key.code() == Code::InvalidArgument, "{bad_key:?}");

        let (status, answer) = allocator.rest("{").await?;
        ensure!(status == StatusCode::BAD_REQUEST, "{status}: {answer}");
        ensure!(
            answer["message"].as_str().is_some_and(|it| !it.is_empty()),
            "{answer}"
        );
        Ok(())
    });
}

/// Fifty servers, ten clients, five allocations each, over all replicas.
#[test]
fn three_replicas_never_give_a_server_out_twice() {
    alone("replicas", async |test| {
        let before = test.cluster.replicas(ALLOCATOR).await?;
        let cluster = test.cluster.clone();
        test.at_the_end(move || async move { cluster.scale_deployment(ALLOCATOR, before).await });
        test.cluster.scale_deployment(ALLOCATOR, 3).await?;
        let servers = test
            .ready_fleet(&podless_fleet("game", 50, "127.0.0.1")?)
            .await?;

        let allocator = test.allocator().await?;
        let client = async |_| -> Result<Vec<String>> {
            // A connection of its own: the Service spreads connections over the replicas.
            let mut client = allocator.grpc().await?;
            let mut names = Vec::new();
            for _ in 0..5 {
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
        };
        let answers = futures::future::join_all((0..10).map(client)).await;
        let answers: Vec<_> = answers.into_iter().collect::<Result<Vec<_>>>()?.concat();
        let distinct: BTreeSet<_> = answers.iter().cloned().collect();
        ensure!(
            distinct.len() == 50,
            "{} distinct of {} answers",
            distinct.len(),
            answers.len()
        );
        let all: BTreeSet<_> = crate::harness::names(&servers).into_iter().collect();
        ensure!(distinct == all, "servers that do not exist");
        test.fleet_in("game", State::Allocated, 50).await?;

        // Nothing is left, and every replica knows.
        for _ in 0..6 {
            let request = allocator::from_fleet(&test.namespace, "game");
            let error = allocator.grpc().await?.allocate(request).await.err();
            let code = error.context("a server was given out twice")?.code();
            ensure!(code == Code::ResourceExhausted, "{code:?}");
        }
        Ok(())
    });
}
