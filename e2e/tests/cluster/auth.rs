//! Auth as the chart installs it: three replicas that share a PostgreSQL and a Valkey of the test's
//! own, in a namespace that is held to Pod Security `restricted`.
//!
//! Needs the node to be this host, as the local provider's is: pods reach the databases there.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::cluster::{OPERATOR, SYSTEM};
use e2e::{http_client, wait};
use futures::future::join_all;
use http::{Method, StatusCode};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use proto::muster::auth::v1::auth_client::AuthClient;
use proto::muster::auth::v1::{AssignServerRequest, ValidateSessionRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command as Running};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::auth_databases::Databases;
use crate::harness::{Test, shared};

/// The Deployment, the Service and the release.
const AUTH: &str = "muster-auth";

/// The pods of auth.
const PODS: &str = "app.kubernetes.io/component=auth";

/// How long another replica may take to hear that a session ended.
const REVOKED: Duration = Duration::from_secs(1);

/// Between two rounds of calls.
const PACE: Duration = Duration::from_millis(50);

/// Where the player of the test plays.
const SERVER: &str = "203.0.113.7:7012";

#[test]
fn replicas_share_accounts_sessions_and_their_end() {
    shared("auth", async |test| {
        let (_databases, token) = install(test).await?;
        let pods = pods(test).await?;
        let replicas = join_all(pods.iter().map(|pod| Replica::new(test, pod))).await;
        let replicas = replicas.into_iter().collect::<Result<Vec<_>>>()?;
        let [one, two, three] = &replicas[..] else {
            bail!("not three replicas: {pods:?}")
        };

        // What one replica makes, the others know.
        let account = json!({ "email": "ada@example.com", "password": "lovelace and her engine" });
        let registered = one.tokens("/register", &account).await?;
        let session = two.tokens("/login", &account).await?;
        ensure!(registered["player_id"] == session["player_id"]);
        let claims = three.valid(&session).await?;
        ensure!(claims["player_id"] == session["player_id"], "{claims}");
        ensure!(claims["session_id"] == session["session_id"], "{claims}");
        let request = json!({ "refresh_token": session["refresh_token"], "request_id": "first" });
        let refreshed = one.tokens("/token/refresh", &request).await?;
        ensure!(refreshed["session_id"] == session["session_id"]);
        // The same call again, elsewhere: an answer that was lost on its way.
        let again = three.tokens("/token/refresh", &request).await?;
        ensure!(refreshed["refresh_token"] == again["refresh_token"]);

        // Services are known by their token, by gRPC.
        let text = |name: &str| refreshed[name].as_str().unwrap_or_default().to_owned();
        let mut assign = tonic::Request::new(AssignServerRequest {
            player_id: text("player_id"),
            session_id: text("session_id"),
            game_server: SERVER.to_owned(),
        });
        assign
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse()?);
        one.grpc().await?.assign_server(assign).await?;
        let question = |secret: &str| -> Result<_> {
            let mut question = tonic::Request::new(ValidateSessionRequest {
                player_id: text("player_id"),
                session_key: text("session_id"),
                game_server: SERVER.to_owned(),
            });
            question
                .metadata_mut()
                .insert("authorization", format!("Bearer {secret}").parse()?);
            Ok(question)
        };
        let mut client = two.grpc().await?;
        let known = client.validate_session(question(&token)?).await?;
        ensure!(known.into_inner().player_id == text("player_id"));
        let refused = client.validate_session(question("another token")?).await;
        let refused = refused.err().context("anybody is a service")?;
        ensure!(refused.code() == Code::PermissionDenied, "{refused:?}");

        // Each replica has just believed the session; its end is heard by all.
        for replica in &replicas {
            replica.valid(&refreshed).await?;
        }
        let end = json!({ "refresh_token": again["refresh_token"] });
        let (status, ended) = one.post("/logout", &end).await?;
        ensure!(status == StatusCode::OK && ended["ended"] == 1, "{ended}");
        // All at once: the time is that of every replica together.
        let refusals = join_all(replicas.iter().map(async |replica| {
            let what = format!("{} to refuse a session that ended", replica.pod);
            wait::poll(&what, REVOKED, PACE, async || {
                let (status, answer) = replica.validate(&refreshed).await?;
                ensure!(
                    matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED),
                    "{status}: {answer}"
                );
                Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
            })
            .await
        }));
        for refused in refusals.await {
            refused?;
        }
        // The player's other session is none of this.
        for replica in &replicas {
            replica.valid(&registered).await?;
        }
        Ok(())
    });
}

#[test]
fn a_replica_dies_and_calls_go_on() {
    shared("auth-kill", async |test| {
        let (_databases, _) = install(test).await?;
        let pods = pods(test).await?;
        let [victim, survivors @ ..] = &pods[..] else {
            bail!("no replicas")
        };
        let survivors = join_all(survivors.iter().map(|pod| Replica::new(test, pod))).await;
        let survivors = survivors.into_iter().collect::<Result<Vec<_>>>()?;
        let first = survivors.first().context("one replica is not enough")?;
        let account = json!({ "email": "grace@example.com", "password": "a moth in the relay" });
        let session = first.tokens("/register", &account).await?;
        let service = test
            .cluster
            .service_address_in(&test.namespace, AUTH)
            .await?;

        // Survivors answer every call; the Service may lead to the dead one for a moment, but
        // nobody who answers may answer wrongly.
        let calls = async {
            let mut ticks = tokio::time::interval(PACE);
            loop {
                ticks.tick().await;
                for replica in &survivors {
                    replica.valid(&session).await?;
                }
                if let Ok((status, answer)) = validate_at(service, &session).await {
                    ensure!(status == StatusCode::OK, "{status}: {answer}");
                }
            }
        };
        let replaced = async {
            let now = DeleteParams::default().grace_period(0);
            test.api::<Pod>().delete(victim, &now).await?;
            wait::until_all(&test.api::<Pod>(), PODS, "to be three again", |all| {
                let ready = all.values().filter(|pod| e2e::cluster::is_ready(pod));
                !all.contains_key(victim) && ready.count() == 3
            })
            .await
        };
        let now = tokio::select! {
            failed = calls => {
                let () = failed?;
                bail!("the calls ended")
            }
            replaced = replaced => replaced?,
        };

        // The new one knows everything, and can do everything.
        let new = now.keys().find(|pod| !pods.contains(pod));
        let new = Replica::new(test, new.context("no new replica")?).await?;
        new.valid(&session).await?;
        let request = json!({ "refresh_token": session["refresh_token"] });
        let refreshed = new.tokens("/token/refresh", &request).await?;
        ensure!(refreshed["session_id"] == session["session_id"]);
        Ok(())
    });
}

/// Installs auth in the test's namespace and waits for it; the databases end with what is returned,
/// beside which is the token of a service.
async fn install(test: &Test) -> Result<(Databases, String)> {
    let namespaces = Api::<Namespace>::all(test.cluster.client());
    let restricted =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    namespaces
        .patch(
            &test.namespace,
            &PatchParams::default(),
            &Patch::Merge(restricted),
        )
        .await?;
    let host = host(test).await?;
    let databases = tokio::task::spawn_blocking(move || Databases::start(host)).await??;
    let token = key();
    let entries = [
        ("master.v1", key()),
        ("index.v1", key()),
        ("database.url", databases.postgres_url()?),
        ("valkey.urls", databases.valkey_url()),
        ("service.test", token.clone()),
    ];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(AUTH.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(
            entries
                .into_iter()
                .map(|(name, value)| (name.to_owned(), ByteString(value.into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    };
    test.create(&secret).await?;
    apply(test, &render(test, &values(test).await?)?)?;
    let deployments = test.api::<Deployment>();
    wait::until(&deployments, AUTH, "to have three replicas", |deployment| {
        let status = deployment.status.as_ref();
        status.is_some_and(|status| status.ready_replicas == Some(3))
    })
    .await?;
    Ok((databases, token))
}

/// The address of the only node, which must be this host's.
async fn host(test: &Test) -> Result<IpAddr> {
    let nodes = test.cluster.nodes().list(&ListParams::default()).await?;
    let addresses = nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.addresses.as_ref())
        .flatten();
    addresses
        .filter(|address| address.type_ == "InternalIP")
        .find_map(|address| address.address.parse().ok())
        .context("no node has an address")
}

/// 32 random characters, none of which needs an escape.
fn key() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(32)
        .collect()
}

/// The chart's values: the images of the installation in this cluster, and quick passwords.
async fn values(test: &Test) -> Result<Value> {
    let operator = test.cluster.api::<Deployment>(SYSTEM).get(OPERATOR).await?;
    let image = operator
        .spec
        .and_then(|spec| spec.template.spec)
        .and_then(|pod| pod.containers.into_iter().next()?.image)
        .context("the operator has no image")?;
    let (registry, tag) = image
        .split_once("muster/operator:")
        .with_context(|| format!("{image} is not an image of an operator with a tag"))?;
    Ok(json!({
        "image": { "registry": registry.trim_end_matches('/'), "tag": tag },
        "auth": {
            "enabled": true,
            "issuer": "https://auth.example.com",
            "config": {
                "emailVerification": "Optional",
                "passwords": { "profile": "Argon2id" },
                // Nobody is there: mails wait, and are given up.
                "mail": {
                    "url": "smtp://127.0.0.1:1?tls=none",
                    "from": "Arena <noreply@example.com>",
                    "verifyPage": "https://example.com/verify",
                    "resetPage": "https://example.com/reset",
                },
                "limits": { "factor": 100 },
            },
            "resources": { "requests": { "cpu": "10m", "memory": "32Mi" } },
        },
    }))
}

/// What the chart makes of auth. The rest of it is installed already, once per cluster.
fn render(test: &Test, values: &Value) -> Result<String> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/muster");
    let mut helm = Command::new("helm");
    helm.args(["template", AUTH, chart, "--namespace", &test.namespace])
        .args(["--show-only", "templates/auth.yaml", "--values", "-"]);
    with_input(&mut helm, &values.to_string())
}

fn apply(test: &Test, objects: &str) -> Result<()> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["--namespace", &test.namespace, "apply", "--server-side"]);
    with_input(kubectl.args(["--filename", "-"]), objects).map(drop)
}

/// Runs a program of the cluster, whose folder is on the path.
fn with_input(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} is not on the path"))?;
    let mut pipe = child.stdin.take().context("no pipe")?;
    // Both read everything before they write more than a pipe holds.
    pipe.write_all(input.as_bytes())?;
    drop(pipe);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Names of the pods.
async fn pods(test: &Test) -> Result<Vec<String>> {
    let labels = ListParams::default().labels(PODS);
    let pods = test.api::<Pod>().list(&labels).await?;
    Ok(pods.iter().map(kube::ResourceExt::name_any).collect())
}

/// One replica, reached past the Service.
struct Replica {
    pod: String,
    http: SocketAddr,
    grpc: SocketAddr,
    /// Ends with this.
    _forward: Child,
}

impl Replica {
    async fn new(test: &Test, pod: &str) -> Result<Self> {
        let mut forward = Running::new("kubectl")
            .args(["--namespace", &test.namespace, "port-forward"])
            .args([&format!("pod/{pod}"), ":http", ":grpc"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("kubectl is not on the path")?;
        let output = forward.stdout.take().context("no pipe")?;
        let mut lines = BufReader::new(output).lines();
        // Forwarding from 127.0.0.1:40001 -> 8443
        let find = async {
            let (mut http, mut grpc) = (None, None);
            while let Some(line) = lines.next_line().await? {
                let Some((from, to)) = line
                    .strip_prefix("Forwarding from ")
                    .and_then(|rest| rest.split_once(" -> "))
                else {
                    continue;
                };
                let address = from.parse::<SocketAddr>()?;
                if address.is_ipv4() {
                    *(if to == "8443" { &mut http } else { &mut grpc }) = Some(address);
                }
                if let (Some(http), Some(grpc)) = (http, grpc) {
                    return Ok((http, grpc));
                }
            }
            bail!("kubectl port-forward ended")
        };
        let (http, grpc) = tokio::time::timeout(wait::PATIENCE, find)
            .await
            .with_context(|| format!("no ports of {pod}"))??;
        // It tells of every connection, and stands still when nobody reads.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            pod: pod.to_owned(),
            http,
            grpc,
            _forward: forward,
        })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let body = body.to_string();
        http_client::json(self.http, Method::POST, path, Some(&body)).await
    }

    /// A call that answers with tokens.
    async fn tokens(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.post(path, body).await?;
        // Not the answer itself if it went well: it has tokens.
        ensure!(status == StatusCode::OK, "{path}: {status}: {answer}");
        ensure!(answer["refresh_token"].is_string(), "{path}: no tokens");
        Ok(answer)
    }

    async fn validate(&self, tokens: &Value) -> Result<(StatusCode, Value)> {
        validate_at(self.http, tokens).await
    }

    /// The claims of a token that must be good.
    async fn valid(&self, tokens: &Value) -> Result<Value> {
        let (status, claims) = self.validate(tokens).await?;
        ensure!(status == StatusCode::OK, "{}: {status}: {claims}", self.pod);
        Ok(claims)
    }

    async fn grpc(&self) -> Result<AuthClient<Channel>> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc))?;
        Ok(AuthClient::new(endpoint.connect().await?))
    }
}

async fn validate_at(address: SocketAddr, tokens: &Value) -> Result<(StatusCode, Value)> {
    let body = json!({ "access_token": tokens["access_token"] }).to_string();
    http_client::json(address, Method::POST, "/validate", Some(&body)).await
}
