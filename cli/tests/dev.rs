//! `muster dev` as its user meets it: the real binary, real processes, real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

mod harness;

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bots::allocation::{self, Order};
use bots::command;
use bots::profile::FLOOD;
use crds::state::State;
use crds::{Fleet, GameServer, MatchAllocation};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use harness::{Directory, Muster, echo, game, is_alive, processes, signal};

#[tokio::test]
async fn a_server_is_allocated_and_answers_and_everything_ends_with_the_command() {
    let directory = Directory::new();
    let mut muster = Muster::start(&directory, &[]).await;
    let fleets: Api<Fleet> = muster.api();
    for fleet in ["simple-server", "arena"] {
        muster
            .until(&fleets, fleet, |fleet| {
                fleet
                    .status
                    .as_ref()
                    .is_some_and(|it| it.ready_replicas >= 2)
            })
            .await;
    }
    let answer = muster.allocate("simple-server").await;
    let address = format!("{}:{}", answer.address, answer.ports[0].port);
    assert_eq!(echo(&address, "hello").await, "ACK: hello");
    let pods: Api<Pod> = muster.api();
    let running = processes(&pods.list(&ListParams::default()).await.unwrap().items);
    assert!(running.len() >= 4, "{running:?}");
    assert!(running.iter().all(|id| is_alive(*id)));
    let status = muster.terminate().await;
    assert!(status.success(), "{status}\n{}", muster.said());
    let left: Vec<_> = running.iter().filter(|id| is_alive(**id)).collect();
    assert!(left.is_empty(), "{left:?} are left");
}

#[tokio::test]
async fn a_kill_loses_no_acknowledged_object_and_leaves_no_process() {
    let directory = Directory::new();
    let data = directory.path().join("data").display().to_string();
    let mut muster = Muster::start(&directory, &["--data", &data]).await;
    let fleets: Api<Fleet> = muster.api();
    let is_ready = |fleet: &Fleet| {
        fleet
            .status
            .as_ref()
            .is_some_and(|it| it.ready_replicas + it.allocated_replicas >= 3)
    };
    muster.until(&fleets, "simple-server", is_ready).await;
    let maps: Api<ConfigMap> = muster.api();
    let map = |number: usize| -> ConfigMap {
        serde_json::from_value(json!({ "metadata": { "name": format!("kept-{number}") } })).unwrap()
    };
    for number in 0..20 {
        maps.create(&PostParams::default(), &map(number))
            .await
            .unwrap();
    }
    let pods: Api<Pod> = muster.api();
    let running = processes(&pods.list(&ListParams::default()).await.unwrap().items);
    muster.kill().await;
    harness::until("the processes to end", || {
        running.iter().all(|id| !is_alive(*id))
    })
    .await;

    let muster = Muster::start(&directory, &["--data", &data]).await;
    let maps: Api<ConfigMap> = muster.api();
    let kept = maps.list(&ListParams::default()).await.unwrap().items;
    let kept = kept
        .iter()
        .filter(|map| map.metadata.name.as_ref().unwrap().starts_with("kept-"));
    assert_eq!(kept.count(), 20);
    // The match went with its process, and is told so. The fleet makes new servers by itself, which
    // have processes: a game and its SDK server each.
    let fleets: Api<Fleet> = muster.api();
    muster
        .until(&fleets, "simple-server", |fleet| {
            fleet
                .status
                .as_ref()
                .is_some_and(|it| it.ready_replicas == 2 && it.allocated_replicas == 0)
        })
        .await;
    let pods: Api<Pod> = muster.api();
    // The node reports a moment after the game has said Ready.
    harness::until_async("two servers with their processes", async || {
        let labels = format!("{}=simple-server", crds::meta::FLEET_LABEL);
        let params = ListParams::default().labels(&labels);
        let pods = pods.list(&params).await.unwrap().items;
        processes(&pods).iter().filter(|id| is_alive(**id)).count() == 4
    })
    .await;
}

/// The period of the health check in the test below, in seconds. The check can say nothing before
/// three of them are over; the test ends long before the first is.
const PERIOD: u64 = 600;

const _: () = assert!(harness::PATIENCE.as_secs() < PERIOD);

/// What the kernel does to a process that takes too much memory, and no process can catch. That it is
/// not the health check that finds it follows from the time: every wait here is for a change that the
/// API server tells of, and shorter than a single period.
#[tokio::test]
async fn an_arena_that_is_killed_is_unhealthy_before_a_health_period_is_over_and_replaced() {
    let directory = Directory::new();
    let example = include_str!("../../examples/arena.yaml");
    let manifest = example.replace("periodSeconds: 5", &format!("periodSeconds: {PERIOD}"));
    assert_ne!(manifest, example);
    let manifests = directory.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    fs::write(manifests.join("arena.yaml"), manifest).unwrap();
    let path = manifests.display().to_string();
    let muster = Muster::start(&directory, &["--manifest", &path]).await;
    let fleets: Api<Fleet> = muster.api();
    let are_ready = |fleet: &Fleet| {
        let status = fleet.status.as_ref();
        status.is_some_and(|it| it.ready_replicas == 2)
    };
    muster.until(&fleets, "arena", are_ready).await;
    let allocated = muster.allocate("arena").await.game_server_name;
    let servers: Api<GameServer> = muster.api();
    let before = servers.list(&ListParams::default()).await.unwrap().items;
    let names: Vec<_> = before.iter().map(ResourceExt::name_any).collect();
    let ready = names.iter().find(|name| **name != allocated).unwrap();

    let pods: Api<Pod> = muster.api();
    for name in [&allocated, ready] {
        // The node reports a moment after the game has said Ready.
        muster.until(&pods, name, |pod| game(pod).is_some()).await;
        let id = game(&pods.get(name).await.unwrap()).unwrap();
        signal("-KILL", id).await;
        let is_unhealthy = |server: &GameServer| server.state() == State::Unhealthy;
        muster.until(&servers, name, is_unhealthy).await;
        assert!(!is_alive(id));
    }
    // The fleet's own count is of a moment before.
    harness::until_async("two other servers", async || {
        let after = servers.list(&ListParams::default()).await.unwrap().items;
        let others = after
            .iter()
            .filter(|server| server.state() == State::Ready && !names.contains(&server.name_any()));
        others.count() == 2
    })
    .await;
}

#[tokio::test]
async fn a_kubeconfig_goes_on_working_and_namespaces_know_its_authority() {
    let directory = Directory::new();
    let data = directory.path().join("data").display().to_string();
    let mut first = Muster::start(&directory, &["--no-examples", "--data", &data]).await;
    let port = first.port().to_string();
    let kubeconfig = fs::read_to_string(directory.path().join("kubeconfig")).unwrap();
    assert!(first.terminate().await.success());
    let arguments = ["--no-examples", "--data", &data, "--port", &port];
    let _second = Muster::start(&directory, &arguments).await;
    let same = fs::read_to_string(directory.path().join("kubeconfig")).unwrap();
    assert_eq!(kubeconfig, same);
    // The client of the first run asks the second one.
    let maps: Api<ConfigMap> = first.api();
    first.until(&maps, "kube-root-ca.crt", |_| true).await;
    let map = maps.get("kube-root-ca.crt").await.unwrap();
    let config: serde_json::Value = serde_json::from_str(&kubeconfig).unwrap();
    let known = config["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
    let known = STANDARD.decode(known.unwrap()).unwrap();
    assert_eq!(map.data.unwrap()["ca.crt"].as_bytes(), known);
}

#[tokio::test]
async fn a_second_instance_is_told_who_is_in_its_way() {
    let directory = Directory::new();
    let muster = Muster::start(&directory, &["--no-examples"]).await;
    let (status, said) = harness::refused(&directory, &["--no-examples"]).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("another `muster dev`"), "{said}");

    let other = Directory::new();
    let port = muster.port().to_string();
    let (status, said) = harness::refused(&other, &["--port", &port]).await;
    assert_eq!(status.code(), Some(1), "{said}");
    let expected = format!("Kubernetes API cannot listen on 127.0.0.1:{port}");
    assert!(
        said.contains(&expected) && said.contains("--port"),
        "{said}"
    );

    // Data of one instance is not for another, whatever their directories.
    let data = directory.path().join("data").display().to_string();
    let third = Directory::new();
    let first = Muster::start(&third, &["--no-examples", "--data", &data]).await;
    let (status, said) = harness::refused(&other, &["--data", &data]).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&data), "{said}");
    drop(first);
}

#[tokio::test]
async fn damaged_data_is_refused_and_not_touched() {
    let directory = Directory::new();
    let data = directory.path().join("data");
    let path = data.display().to_string();
    let mut muster = Muster::start(&directory, &["--no-examples", "--data", &path]).await;
    assert!(muster.terminate().await.success());
    let file = fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_file() && path.metadata().unwrap().len() > 0)
        .unwrap();
    fs::write(&file, "this is no database").unwrap();
    let (status, said) = harness::refused(&directory, &["--data", &path]).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&path), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "this is no database");
}

#[tokio::test]
async fn a_bad_manifest_is_named_by_file_and_field_and_applied_once_it_is_mended() {
    let directory = Directory::new();
    let manifests = directory.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    let fleet = include_str!("../../examples/fleet.yaml");
    let bad = fleet.replace("replicas: 3", "replicas: -3");
    fs::write(manifests.join("bad.yaml"), bad).unwrap();
    fs::write(manifests.join("torn.yaml"), "kind: [").unwrap();
    fs::write(
        manifests.join("good.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: good }\n",
    )
    .unwrap();
    let path = manifests.display().to_string();
    let muster = Muster::start(&directory, &["--manifest", &path]).await;
    let maps: Api<ConfigMap> = muster.api();
    muster.until(&maps, "good", |_| true).await;
    for words in [["bad.yaml", "spec.replicas"], ["torn.yaml", "not valid"]] {
        harness::until("the manifests to be named", || {
            let said = muster.said();
            said.lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        })
        .await;
    }
    fs::write(
        manifests.join("bad.yaml"),
        fleet.replace("replicas: 3", "replicas: 0"),
    )
    .unwrap();
    let fleets: Api<Fleet> = muster.api();
    muster.until(&fleets, "simple-server", |_| true).await;
}

#[tokio::test]
async fn an_image_without_a_program_is_told_with_the_flag_that_helps() {
    let directory = Directory::new();
    let (status, said) = harness::refused(&directory, &["--image", "game=/no/such/game"]).await;
    assert_eq!(status.code(), Some(64), "{said}");
    assert!(said.contains("/no/such/game"), "{said}");

    let muster = Muster::start(&directory, &["--no-examples"]).await;
    let pods: Api<Pod> = muster.api();
    let pod = serde_json::from_value(json!({
        "metadata": { "name": "unknown" },
        "spec": { "containers": [{ "name": "game", "image": "nobody/knows:1" }] },
    }))
    .unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    muster
        .until(&pods, "unknown", |pod| {
            let status = pod.status.clone().unwrap_or_default();
            let waiting = status
                .container_statuses
                .into_iter()
                .flatten()
                .find_map(|container| container.state?.waiting?.message);
            waiting.is_some_and(|message| message.contains("--image"))
        })
        .await;
}

/// What the welcome tells to try is what is tried, over real sockets.
#[tokio::test]
async fn a_player_registers_as_the_welcome_says_and_is_known_after_a_restart() {
    let directory = Directory::new();
    let data = directory.path().join("data").display().to_string();
    let arguments = ["--no-examples", "--data", &data];
    let mut first = Muster::start(&directory, &arguments).await;
    let (body, url) = first.registration();
    let issuer = url.strip_suffix("/register").unwrap().to_owned();
    assert_eq!(issuer, format!("http://localhost:{}", first.port() + 5));
    let registered = first.post(&url, &body).await;
    let player = registered["player_id"].as_str().unwrap();

    let token = json!({ "access_token": registered["access_token"] });
    let valid = first.post(&format!("{issuer}/validate"), &token).await;
    assert_eq!(valid["player_id"], player);
    let guess = json!({ "email": body["email"], "password": "another-password-here" });
    let refused = first.ask(&format!("{issuer}/login"), &guess).await;
    assert_eq!(refused.status(), 401);
    // Its owner would read it in a mail; here it is a file, and says where the link leads.
    let mail = json!({ "email": body["email"] });
    first
        .post(&format!("{issuer}/password/forgot"), &mail)
        .await;
    let mails = directory.path().join("data/accounts/mails");
    harness::until("the mail", || {
        fs::read_dir(&mails).is_ok_and(|mut files| {
            files.any(|file| {
                let text = fs::read_to_string(file.unwrap().path()).unwrap_or_default();
                text.contains(&format!("{issuer}/reset"))
            })
        })
    })
    .await;
    assert!(first.said().contains(&mails.display().to_string()));
    let port = first.port().to_string();
    let status = first.terminate().await;
    assert!(status.success(), "{status}\n{}", first.said());

    let arguments = ["--no-examples", "--data", &data, "--port", &port];
    let second = Muster::start(&directory, &arguments).await;
    let again = second.post(&format!("{issuer}/login"), &body).await;
    assert_eq!(again["player_id"], player);
    // Keys were kept, too: what was signed before is good.
    let valid = second.post(&format!("{issuer}/validate"), &token).await;
    assert_eq!(valid["player_id"], player);
}

#[tokio::test]
async fn accounts_are_forgotten_where_nothing_is_kept_and_absent_where_nobody_wants_them() {
    let directory = Directory::new();
    let mut first = Muster::start(&directory, &["--no-examples"]).await;
    let (body, url) = first.registration();
    first.post(&url, &body).await;
    let port = first.port().to_string();
    assert!(first.terminate().await.success());
    let arguments = ["--no-examples", "--port", &port];
    let mut second = Muster::start(&directory, &arguments).await;
    let login = url.replace("/register", "/login");
    assert_eq!(second.ask(&login, &body).await.status(), 401);
    assert!(second.terminate().await.success());

    let third = Muster::start(&directory, &["--no-examples", "--no-auth"]).await;
    assert!(!third.said().contains("/register"), "{}", third.said());
    let address = ("127.0.0.1", third.port() + 5);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

/// Others use the machine too, so that times say nothing of the server: what holds under a flood
/// has to hold here, which is every connection.
#[tokio::test]
async fn players_play_in_the_arena_with_tokens_of_an_allocation_and_of_a_secret() {
    let directory = Directory::new();
    let muster = Muster::start(&directory, &[]).await;
    let fleets: Api<Fleet> = muster.api();
    let is_ready = |fleet: &Fleet| {
        let status = fleet.status.as_ref();
        status.is_some_and(|it| it.ready_replicas >= 2)
    };
    muster.until(&fleets, "arena", is_ready).await;
    let order = Order {
        url: format!("http://127.0.0.1:{}", muster.port() + 2),
        namespace: "default".to_owned(),
        fleet: Some("arena".to_owned()),
    };
    let ask = move || allocation::allocate(&order, 4);
    let allocated = tokio::task::spawn_blocking(ask).await.unwrap().unwrap();

    let object: MatchAllocation = serde_json::from_value(json!({
        "metadata": { "name": "duel" },
        "spec": {
            "selectors": [{ "matchLabels": { "muster.dev/fleet": "arena" } }],
            "players": [
                { "playerId": "11111111-2222-3333-4444-555555555555" },
                { "playerId": "66666666-7777-8888-9999-aaaaaaaaaaaa" },
            ],
        },
    }))
    .unwrap();
    let matches: Api<MatchAllocation> = muster.api();
    matches
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let is_allocated = |it: &MatchAllocation| {
        let status = it.status.as_ref();
        status.is_some_and(|status| !status.connect_tokens_secret_name.is_empty())
    };
    muster.until(&matches, "duel", is_allocated).await;
    let status = matches.get("duel").await.unwrap().status.unwrap();
    let secrets: Api<Secret> = muster.api();
    let secret = secrets
        .get(&status.connect_tokens_secret_name)
        .await
        .unwrap();
    let of_secret = secret.data.unwrap().into_values().map(|token| token.0);

    for tokens in [allocated.tokens, of_secret.collect()] {
        let count = tokens.len();
        let play = move || command::play(tokens, &FLOOD, Duration::from_secs(3));
        let report = tokio::task::spawn_blocking(play).await.unwrap().unwrap();
        assert!(report.passes(), "{:?}\n{}", report.broken, muster.said());
        assert!(
            report.playing == count && report.snapshots > 0,
            "{report:?}"
        );
    }
}
