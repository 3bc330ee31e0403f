//! Against a server that speaks the protocol, over real sockets and real TLS.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use runtime::backoff::Backoff;
use storage::secrets::{Entries, Secret};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::notify::outbox::{Limits, outbox};
use crate::secrets::keyring::fixtures::keyring_of;
use crate::secrets::tests::{fixed, scripted};

/// How the server answers one mail.
#[derive(Clone, Copy, Debug)]
enum Act {
    Takes,
    /// 451 to the content.
    Defers,
    /// 550 to the reader, naming it.
    Refuses,
    /// Falls silent after the greeting.
    Hangs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    StartTls,
    Wrapped,
}

/// What the server saw of a mail that it took.
#[derive(Clone, Debug, Default)]
struct Seen {
    encrypted: bool,
    credentials: Option<String>,
    from: String,
    to: String,
    text: String,
}

#[derive(Default)]
struct Record {
    acts: Mutex<VecDeque<Act>>,
    taken: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<Any: AsyncRead + AsyncWrite + Send + Unpin> Stream for Any {}

struct Server {
    record: Arc<Record>,
    port: u16,
    ca: Vec<u8>,
}

async fn server(kind: Kind, acts: &[Act]) -> Server {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = Arc::new(Record {
        acts: Mutex::new(acts.iter().copied().collect()),
        ..Record::default()
    });
    let shared = Arc::clone(&record);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            *shared.connections.lock().unwrap() += 1;
            let act = shared
                .acts
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(Act::Takes);
            tokio::spawn(connection(
                stream,
                kind,
                act,
                acceptor.clone(),
                Arc::clone(&shared),
            ));
        }
    });
    Server {
        record,
        port,
        ca: certified.cert.pem().into_bytes(),
    }
}

async fn connection(
    stream: TcpStream,
    kind: Kind,
    act: Act,
    acceptor: TlsAcceptor,
    record: Arc<Record>,
) -> std::io::Result<()> {
    let mut seen = Seen::default();
    if kind == Kind::Wrapped {
        seen.encrypted = true;
        let stream = acceptor.accept(stream).await?;
        return session(BufReader::new(stream), kind, act, seen, &record, true)
            .await
            .map(|_| ());
    }
    let stream = BufReader::new(stream);
    if let Some(stream) = session(stream, kind, act, seen.clone(), &record, true).await? {
        seen.encrypted = true;
        let stream = acceptor.accept(stream.into_inner()).await?;
        session(BufReader::new(stream), kind, act, seen, &record, false).await?;
    }
    Ok(())
}

/// Speaks until the client quits (none), or wants to be encrypted.
async fn session<Any: Stream>(
    mut stream: BufReader<Any>,
    kind: Kind,
    act: Act,
    mut seen: Seen,
    record: &Record,
    greets: bool,
) -> std::io::Result<Option<BufReader<Any>>> {
    if greets {
        stream.write_all(b"220 localhost ESMTP\r\n").await?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let upper = line.trim().to_ascii_uppercase();
        let answer = match upper.split(' ').next().unwrap_or_default() {
            "EHLO" if matches!(act, Act::Hangs) => std::future::pending().await,
            "EHLO" if kind == Kind::StartTls && !seen.encrypted => {
                "250-localhost\r\n250-8BITMIME\r\n250 STARTTLS\r\n"
            }
            "EHLO" => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n").await?;
                return Ok(Some(stream));
            }
            "AUTH" => {
                let text = line.trim().rsplit(' ').next().unwrap();
                let decoded = base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .unwrap();
                let decoded = String::from_utf8(decoded).unwrap().replace('\0', " ");
                let good = decoded.ends_with(" s3cret");
                seen.credentials = Some(decoded);
                if good {
                    "235 welcome\r\n"
                } else {
                    "535 bad credentials\r\n"
                }
            }
            "MAIL" => {
                line.trim().clone_into(&mut seen.from);
                "250 ok\r\n"
            }
            "RCPT" if matches!(act, Act::Refuses) => "550 ann@example.com is unknown here\r\n",
            "RCPT" => {
                line.trim().clone_into(&mut seen.to);
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await?;
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await?;
                    if line == ".\r\n" || line.is_empty() {
                        break;
                    }
                    seen.text += &line;
                }
                if matches!(act, Act::Defers) {
                    "451 try again later\r\n"
                } else {
                    record.taken.lock().unwrap().push(seen.clone());
                    "250 queued\r\n"
                }
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(None);
            }
            _ => "500 what?\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Secrets with this password of the mail server.
fn entries(password: &[u8]) -> Entries {
    let mut entries = keyring_of(&[1]);
    entries.insert(PASSWORD.to_owned(), Secret::new(password.to_vec()));
    entries
}

fn secrets() -> Arc<Secrets> {
    fixed(entries(b"s3cret\n"))
}

fn smtp(server: &Server, url: &str) -> Smtp {
    let config = Config {
        url: url
            .replace("PORT", &server.port.to_string())
            .parse()
            .unwrap(),
        from: "Arena <noreply@arena.example>".to_owned(),
        ca: Some(server.ca.clone()),
        timeout: Duration::from_mins(1),
    };
    Smtp::new(&config, secrets()).unwrap()
}

fn mail() -> Mail {
    Mail {
        to: "ann@example.com".to_owned(),
        subject: "Grüße".to_owned(),
        text: "A code:\n\nabc_-123\n.\nEnd\n".to_owned(),
    }
}

#[tokio::test]
async fn a_mail_arrives_encrypted_and_authenticated() {
    for (kind, url) in [
        (Kind::StartTls, "smtp://mailer%40arena@localhost:PORT"),
        (Kind::Wrapped, "smtps://mailer%40arena@localhost:PORT"),
    ] {
        let server = server(kind, &[]).await;
        smtp(&server, url).deliver(&mail()).await.unwrap();
        let taken = server.record.taken.lock().unwrap();
        let [seen] = taken.as_slice() else {
            panic!("{taken:?}");
        };
        assert!(seen.encrypted);
        assert_eq!(seen.credentials.as_deref(), Some(" mailer@arena s3cret"));
        assert!(
            seen.from.starts_with("MAIL FROM:<noreply@arena.example>"),
            "{seen:?}"
        );
        assert!(seen.to.starts_with("RCPT TO:<ann@example.com>"), "{seen:?}");
        assert!(
            seen.text
                .contains("From: Arena <noreply@arena.example>\r\n"),
            "{seen:?}"
        );
        assert!(
            seen.text
                .contains("\r\nA code:\r\n\r\nabc_-123\r\n..\r\nEnd\r\n"),
            "{seen:?}"
        );
        assert!(seen.text.contains("Message-ID: <"), "{seen:?}");
        assert!(
            !seen.text.contains("Grüße"),
            "the subject is encoded: {seen:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_cannot_be_trusted() {
    // It offers no STARTTLS, as somebody in between would have it.
    let stripped = server(Kind::Plain, &[]).await;
    let result = smtp(&stripped, "smtp://mailer@localhost:PORT")
        .deliver(&mail())
        .await;
    assert!(result.is_err(), "{result:?}");
    assert!(stripped.record.taken.lock().unwrap().is_empty());

    // Its certificate is of nobody we know.
    let known = server(Kind::StartTls, &[]).await;
    let other = server(Kind::StartTls, &[]).await;
    let mixed = Server {
        record: Arc::clone(&other.record),
        port: other.port,
        ca: known.ca,
    };
    let result = smtp(&mixed, "smtp://mailer@localhost:PORT")
        .deliver(&mail())
        .await;
    assert!(
        matches!(result, Err(Undelivered::Temporary(_))),
        "{result:?}"
    );
    assert!(other.record.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn answers_are_told_apart_without_repeating_them() {
    for (act, expected) in [
        (
            Act::Defers,
            Undelivered::Temporary("the mail server answers 451".to_owned()),
        ),
        (
            Act::Refuses,
            Undelivered::Permanent("the mail server answers 550".to_owned()),
        ),
    ] {
        let server = server(Kind::Plain, &[act]).await;
        let result = smtp(&server, "smtp://127.0.0.1:PORT?tls=none")
            .deliver(&mail())
            .await;
        assert_eq!(result, Err(expected));
    }
    let server = server(Kind::Plain, &[]).await;
    let bad = Mail {
        to: "no address".to_owned(),
        ..mail()
    };
    let result = smtp(&server, "smtp://127.0.0.1:PORT?tls=none")
        .deliver(&bad)
        .await;
    assert!(
        matches!(result, Err(Undelivered::Permanent(_))),
        "{result:?}"
    );
    assert_eq!(*server.record.connections.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_defers_or_hangs_gets_the_mail_in_the_end() {
    let server = server(Kind::Plain, &[Act::Defers, Act::Hangs, Act::Takes]).await;
    let limits = Limits {
        // Real sockets know no virtual time; what hangs is given up quickly, what works is not
        // that slow.
        timeout: Duration::from_secs(2),
        backoff: Backoff {
            base: Duration::from_millis(1),
            cap: Duration::from_millis(1),
        },
        ..Limits::default()
    };
    let smtp = smtp(&server, "smtp://127.0.0.1:PORT?tls=none");
    let (outbox, worker) = outbox(Arc::new(smtp), limits);
    assert!(outbox.post(mail()));
    let running = tokio::spawn(worker.run(CancellationToken::new()));
    let delivered = async {
        while outbox.counters().delivered.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), delivered)
        .await
        .unwrap();
    assert_eq!(*server.record.connections.lock().unwrap(), 3);
    assert_eq!(server.record.taken.lock().unwrap().len(), 1);
    drop(outbox);
    running.await.unwrap();
}

#[tokio::test]
async fn a_password_that_changes_is_used_at_once() {
    let server = server(Kind::StartTls, &[]).await;
    let (secrets, source) = scripted(keyring_of(&[1]));
    let smtp = Smtp {
        secrets: Arc::clone(&secrets),
        ..smtp(&server, "smtp://mailer@localhost:PORT")
    };
    let result = smtp.deliver(&mail()).await;
    assert!(
        matches!(result, Err(Undelivered::Temporary(_))),
        "{result:?}"
    );
    source.set(entries(b"wrong"));
    secrets.look().await.unwrap();
    let result = smtp.deliver(&mail()).await;
    assert_eq!(
        result,
        Err(Undelivered::Permanent(
            "the mail server answers 535".to_owned()
        ))
    );
    source.set(entries(b"s3cret"));
    secrets.look().await.unwrap();
    smtp.deliver(&mail()).await.unwrap();
}

#[test]
fn what_cannot_be_meant_is_refused_at_the_start() {
    for (url, from, expected) in [
        (
            "smtp://mail.example.com?tls=none",
            "a@b.cd",
            "tls=none is for loopback alone",
        ),
        (
            "smtp://mail.example.com?tls=off",
            "a@b.cd",
            "it takes no parameter but tls=none",
        ),
        (
            "smtp://u:p@mail.example.com",
            "a@b.cd",
            "the password belongs into the secret",
        ),
        (
            "http://mail.example.com",
            "a@b.cd",
            "want smtp:// or smtps://",
        ),
        ("smtps:mail", "a@b.cd", "it names no host"),
        (
            "smtps://mail.example.com",
            "nobody",
            "use the sender of mails",
        ),
    ] {
        let config = Config {
            url: url.parse().unwrap(),
            from: from.to_owned(),
            ca: None,
            timeout: Duration::from_secs(1),
        };
        let error = Smtp::new(&config, secrets()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
