//! What is secret is in no line of the log: a whole journey of a player, with every line of `debug`
//! looked through for what was used in it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

#[path = "totp/app.rs"]
mod totp;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::args::Args;
use auth::config::Config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The longest wait for anything.
const LIMIT: Duration = Duration::from_mins(1);

const EMAIL: &str = "ada.lovelace.of.london@example.com";
const PASSWORD: &str = "violet anvils hum at dusk 41";
const NEW_PASSWORD: &str = "copper lanterns drift past noon 58";
const WRONG_PASSWORD: &str = "somebody guesses this for nothing 77";
const SERVICE_TOKEN: &str = "the-token-of-a-game-server-5f1d2c";
const DEVICE: &str = "device-of-ada-7d0f6f5d9a";

/// Everything that is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A folder that is gone in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A player's client, and what it must not find in the log.
struct Journey {
    http: Client,
    address: SocketAddr,
    mails: PathBuf,
    secret: Vec<String>,
}

impl Journey {
    async fn post(
        &mut self,
        path: &str,
        bearer: Option<&str>,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request = self.http.post(format!("http://{}{path}", self.address));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let answer = request.json(body).send().await.unwrap();
        let status = answer.status();
        let body = answer.json().await.unwrap_or(Value::Null);
        self.note(&body);
        (status, body)
    }

    /// What an answer holds that is secret.
    fn note(&mut self, body: &Value) {
        let names = [
            "access_token",
            "refresh_token",
            "challenge",
            "secret",
            "uri",
            "handle",
        ];
        for name in names {
            self.secret
                .extend(body[name].as_str().map(ToOwned::to_owned));
        }
        for code in body["recovery_codes"].as_array().into_iter().flatten() {
            self.secret.push(code.as_str().unwrap().to_owned());
        }
    }

    /// The secret of the mail that comes.
    async fn mailed(&mut self) -> String {
        let wait = async {
            let mut looks = tokio::time::interval(Duration::from_millis(10));
            loop {
                looks.tick().await;
                if let Some(secret) = take_mail(&self.mails) {
                    return secret;
                }
            }
        };
        let secret = tokio::time::timeout(LIMIT, wait).await;
        let secret = secret.expect("a mail comes");
        self.secret.push(secret.clone());
        secret
    }

    async fn login(&mut self, password: &str) -> (StatusCode, Value) {
        let client = json!({"name": "test", "device_id": DEVICE});
        let body = json!({"email": EMAIL, "password": password, "client": client});
        self.post("/login", None, &body).await
    }

    /// Asks a question over a WebSocket.
    async fn ask(&self, question: &Value) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let key = STANDARD.encode(Uuid::new_v4().as_bytes());
        let head = format!(
            "GET /validate HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Authorization: Bearer {SERVICE_TOKEN}\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        // One text of up to 64 KiB, masked with zeros.
        let text = question.to_string();
        let length = u16::try_from(text.len()).unwrap();
        let mut frame = vec![0x81, 0xfe];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        stream.write_all(&frame).await.unwrap();
        let first = stream.read_u16().await.unwrap();
        let length = match first & 0x7f {
            126 => usize::from(stream.read_u16().await.unwrap()),
            short => usize::from(short),
        };
        let mut text = vec![0; length];
        stream.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }
}

/// The secret of the next mail that carries one; the mail is removed.
fn take_mail(folder: &Path) -> Option<String> {
    let mut mails: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .map(|entry| entry.unwrap().path())
        .collect();
    mails.sort();
    for mail in mails {
        let text = std::fs::read_to_string(&mail).unwrap();
        // It may not be written wholly yet.
        let secret = text.lines().find(|line| {
            line.len() == 64
                && line
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
        if let Some(secret) = secret {
            std::fs::remove_file(&mail).unwrap();
            return Some(secret.to_owned());
        }
    }
    None
}

fn config(folder: &Path) -> Config {
    let secrets = folder.join("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("service.game"), SERVICE_TOKEN).unwrap();
    std::fs::write(secrets.join("corp.secret"), "client-secret-at-corp-9981").unwrap();
    let file = folder.join("config.json");
    let provider = json!({
        "kind": "oidc", "issuer": "https://127.0.0.1:1", "clientId": "arena",
        "clientSecret": "corp.secret",
        "redirectUri": "https://auth.example.com/oauth/corp/callback",
    });
    let text = json!({
        "passwords": {"profile": "Argon2id"},
        "limits": {"factor": 1000},
        "elsewhere": {"providers": {"corp": provider}},
    });
    std::fs::write(&file, text.to_string()).unwrap();
    let of = |name: &str| folder.join(name).display().to_string();
    let args = [
        "auth",
        "--issuer=https://auth.example.com",
        "--address=127.0.0.1:0",
        "--grpc-address=127.0.0.1:0",
        "--admin-address=127.0.0.1:0",
        &format!("--config={}", of("config.json")),
        &format!("--sqlite={}", of("accounts")),
        &format!("--secrets-dir={}", of("secrets")),
        "--shutdown-delay-seconds=0",
    ]
    .map(ToOwned::to_owned);
    Config::try_from(Args::try_parse_from(args).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_is_logged() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let folder = Folder(std::env::temp_dir().join(format!("muster-logs-{}", Uuid::new_v4())));
    let config = config(&folder.0);
    let http = TcpListener::bind(config.address).await.unwrap();
    let grpc = TcpListener::bind(config.grpc_address).await.unwrap();
    let stop = CancellationToken::new();
    let mut journey = Journey {
        http: Client::new(),
        address: http.local_addr().unwrap(),
        mails: folder.0.join("mails"),
        secret: [
            EMAIL,
            PASSWORD,
            NEW_PASSWORD,
            WRONG_PASSWORD,
            SERVICE_TOKEN,
            DEVICE,
        ]
        .map(ToOwned::to_owned)
        .to_vec(),
    };
    journey.secret.push("client-secret-at-corp-9981".to_owned());
    let admin = runtime::admin::Admin::default();
    let serving = auth::run::serve(config, admin, http, grpc, stop.clone());
    let travelling = async {
        travel(&mut journey).await;
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serving, travelling);
    served.unwrap();
    let log = lines.text();
    // It was looked at the right place.
    for said in ["Audit", "refresh_reuse", "Token refused", "DEBUG"] {
        assert!(log.contains(said), "{said}");
    }
    assert!(journey.secret.len() > 30, "{}", journey.secret.len());
    for secret in &journey.secret {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None, "a line holds {secret}");
    }
    let name = EMAIL.split('@').next().unwrap();
    assert!(!log.contains(name), "a line holds a mail address");
}

async fn travel(journey: &mut Journey) {
    let account = json!({"email": EMAIL, "password": PASSWORD});
    let (status, _) = journey.post("/register", None, &account).await;
    assert_eq!(status, 202);
    let token = journey.mailed().await;
    let client = json!({"audiences": ["auth"]});
    let body = json!({"token": token, "password": PASSWORD, "client": client});
    let (status, first) = journey.post("/email/verify", None, &body).await;
    assert_eq!(status, 200, "{first}");
    let misspelled = json!({"email": EMAIL, "password": PASSWORD, "pasword": PASSWORD});
    assert_eq!(journey.post("/login", None, &misspelled).await.0, 400);
    assert_eq!(journey.login(WRONG_PASSWORD).await.0, 401);
    let (status, tokens) = journey.login(PASSWORD).await;
    assert_eq!(status, 200, "{tokens}");

    // A token that is good once, and a thief.
    let body = json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(journey.post("/token/refresh", None, &body).await.0, 200);
    assert_eq!(journey.post("/token/refresh", None, &body).await.0, 401);

    // A second factor.
    let access = first["access_token"].as_str().unwrap().to_owned();
    let body = json!({"password": PASSWORD});
    let (status, enrolled) = journey.post("/totp", Some(&access), &body).await;
    assert_eq!(status, 200, "{enrolled}");
    let digits = totp::code(enrolled["secret"].as_str().unwrap(), runtime::clock::now());
    // Six digits alone are found in any number: as a word that is logged.
    journey.secret.push(format!("\"{digits}\""));
    let body = json!({"code": digits});
    assert_eq!(
        journey.post("/totp/confirm", Some(&access), &body).await.0,
        204
    );
    let (_, challenge) = journey.login(PASSWORD).await;
    for (code, expected) in [
        (json!("000 000"), 401),
        (enrolled["recovery_codes"][0].clone(), 200),
    ] {
        let body = json!({"challenge": challenge["challenge"], "code": code});
        let (status, answer) = journey.post("/login", None, &body).await;
        assert_eq!(status, expected, "{answer}");
    }

    // A password that was forgotten.
    let body = json!({"email": EMAIL});
    assert_eq!(journey.post("/password/forgot", None, &body).await.0, 202);
    let token = journey.mailed().await;
    let body = json!({"token": token, "password": NEW_PASSWORD});
    let (status, answer) = journey.post("/password/reset", None, &body).await;
    assert!(status.is_success(), "{status} {answer}");
    assert_eq!(journey.login(PASSWORD).await.0, 401);
    let (_, challenge) = journey.login(NEW_PASSWORD).await;
    let body = json!({
        "challenge": challenge["challenge"], "code": enrolled["recovery_codes"][1],
    });
    let (status, tokens) = journey.post("/login", None, &body).await;
    assert_eq!(status, 200, "{tokens}");

    // A provider that does not answer, and a browser that brings nonsense.
    let (status, answer) = journey.post("/oauth/corp", None, &json!({})).await;
    assert!(status.is_server_error(), "{status} {answer}");
    let (brought, state) = ("code-that-a-browser-brought", "state-that-nobody-knows");
    journey
        .secret
        .extend([brought, state].map(ToOwned::to_owned));
    let callback = format!(
        "http://{}/oauth/corp/callback?code={brought}&state={state}",
        journey.address
    );
    let answer = journey.http.get(callback).send().await.unwrap();
    assert!(answer.status().is_client_error());

    // A game server asks.
    for (token, said) in [
        (tokens["access_token"].clone(), "\"ok\""),
        (json!("a-token-that-is-none-881"), "invalid_token"),
    ] {
        journey.secret.extend(token.as_str().map(ToOwned::to_owned));
        let question = json!({
            "type": "validate_token", "id": 1, "access_token": token,
            "audience": "game",
        });
        let answer = journey.ask(&question).await;
        assert!(answer.contains(said), "{answer}");
    }
}
