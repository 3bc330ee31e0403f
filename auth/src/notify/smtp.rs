//! Mails by SMTP (RFC 5321), encrypted by STARTTLS or from the first byte.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use url::Url;
use uuid::Uuid;

use super::{Deliver, Mail, Undelivered};
use crate::secrets::Secrets;

/// The secret with the password of the mail server.
pub const PASSWORD: &str = "smtp.password";

/// How a mail server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `smtp://mail.example.com` encrypts by STARTTLS (port 587), `smtps://` from the first byte
    /// (port 465); `smtp://127.0.0.1:25?tls=none` not at all, on this machine alone. The name of
    /// the user may stand before the host, and the password is the secret `smtp.password`.
    pub url: Url,
    /// The sender: `Arena <noreply@example.com>`.
    pub from: String,
    /// The certificate authority of the server (PEM), where the system's do not have it.
    pub ca: Option<Vec<u8>>,
    /// How long a connection may take to come about. The whole is limited by the outbox.
    pub timeout: Duration,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address.
    #[error("use the address of the mail server: {0}")]
    Url(&'static str),
    /// The sender.
    #[error("use the sender of mails: {0}")]
    From(String),
    /// The certificate authority.
    #[error("use the certificate authority of the mail server: {0}")]
    Ca(String),
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    from: Mailbox,
    user: Option<String>,
    transport: AsyncSmtpTransportBuilder,
    secrets: Arc<Secrets>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Smtp")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Smtp {
    /// A mail server; asks it nothing yet.
    pub fn new(config: &Config, secrets: Arc<Secrets>) -> Result<Self, Error> {
        let url = &config.url;
        let host = url.host_str().ok_or(Error::Url("it names no host"))?;
        if url.password().is_some() {
            return Err(Error::Url(
                "the password belongs into the secret smtp.password",
            ));
        }
        let from: Mailbox = config
            .from
            .parse()
            .map_err(|error: lettre::address::AddressError| Error::From(error.to_string()))?;
        let plain = match url.query() {
            None => false,
            Some("tls=none") if is_loopback(url) => true,
            Some("tls=none") => return Err(Error::Url("tls=none is for loopback alone")),
            Some(_) => return Err(Error::Url("it takes no parameter but tls=none")),
        };
        let (tls, port) = match (url.scheme(), plain) {
            ("smtp", true) => (Tls::None, 25),
            ("smtp", false) => (Tls::Required(parameters(host, config.ca.as_deref())?), 587),
            ("smtps", false) => (Tls::Wrapper(parameters(host, config.ca.as_deref())?), 465),
            _ => return Err(Error::Url("want smtp:// or smtps://")),
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(config.timeout))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        let user = Some(url.username())
            .filter(|user| !user.is_empty())
            .map(decoded);
        Ok(Self {
            from,
            user,
            transport,
            secrets,
        })
    }

    fn message(&self, mail: &Mail) -> Result<Message, lettre::error::Error> {
        let to = mail
            .to
            .parse()
            .map_err(|_| lettre::error::Error::MissingTo)?;
        let id = format!("<{}@{}>", Uuid::new_v4(), self.from.email.domain());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject.clone())
            .date(SystemTime::from(runtime::clock::now()))
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone())
    }
}

#[async_trait]
impl Deliver<Mail> for Smtp {
    async fn deliver(&self, mail: &Mail) -> Result<(), Undelivered> {
        let message = self
            .message(mail)
            .map_err(|error| Undelivered::Permanent(error.to_string()))?;
        let mut transport = self.transport.clone();
        if let Some(user) = &self.user {
            let current = self.secrets.current();
            let password = current.text(PASSWORD).ok_or_else(|| {
                Undelivered::Temporary(format!("the secret {PASSWORD} is missing"))
            })?;
            transport = transport.credentials(Credentials::new(user.clone(), password.to_owned()));
        }
        transport
            .build::<Tokio1Executor>()
            .send(message)
            .await
            .map(|_| ())
            .map_err(|error| explain(&error))
    }
}

/// What the server said stays out: it likes to repeat the reader's address.
fn explain(error: &lettre::transport::smtp::Error) -> Undelivered {
    match error.status() {
        Some(code) if error.is_permanent() => {
            Undelivered::Permanent(format!("the mail server answers {code}"))
        }
        Some(code) => Undelivered::Temporary(format!("the mail server answers {code}")),
        None if error.is_client() => {
            Undelivered::Permanent("the mail server cannot take such a mail".to_owned())
        }
        None if error.is_tls() => Undelivered::Temporary("no TLS with the mail server".to_owned()),
        None => Undelivered::Temporary("no connection to the mail server".to_owned()),
    }
}

fn is_loopback(url: &Url) -> bool {
    // The parser knows addresses for the web's schemes alone.
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// Undoes percent-encoding: users are often mail addresses.
fn decoded(text: &str) -> String {
    url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
        .map(|(name, _)| name.into_owned())
        .next()
        .unwrap_or_default()
}

fn parameters(host: &str, ca: Option<&[u8]>) -> Result<TlsParameters, Error> {
    let bad = |error: lettre::transport::smtp::Error| Error::Ca(error.to_string());
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = ca {
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(bad)?);
    }
    builder.build_rustls().map_err(bad)
}

#[cfg(test)]
mod tests;
